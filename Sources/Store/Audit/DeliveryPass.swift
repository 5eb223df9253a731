internal import Database
internal import Exchange
internal import Settlement
internal import Units

/// Deliveries beside their lines and their tariffs, ten thousand at a time.
struct DeliveryPass: AuditPass {
    let invariants = [
        AuditInvariant("delivery.lines", "a delivery's settled work and charge are the sums of its lines"),
        AuditInvariant("delivery.tariff", "deliveries have the fees of their tariff"),
        AuditInvariant("delivery.cap", "no delivery is billed for more work than was sold, with 5 % and 20 shares for luck"),
        AuditInvariant("delivery.hold", "a hold pays no more than it is, and what is settled to the end holds nothing"),
    ]

    private static let page: Int64 = 10_000
    private var hasBegun = false
    private var last: Int64 = 0
    private var algorithm: Algorithm?

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        if !hasBegun {
            hasBegun = true
            tally.expected = try connection.count("SELECT count(*) FROM deliveries")
            algorithm = try connection.marketRules()?.algorithm
        }
        guard let end = try DeliveryPass.end(connection, after: last, DeliveryPass.page) else { return false }
        let rows = try connection.query(DeliveryPass.sql, [.integer(last), .integer(end)])
        for row in rows { try check(row, &tally) }
        tally.read(Int64(rows.count))
        last = end
        return true
    }

    /// The number of the last delivery of the next page; nil when there is none.
    static func end(_ connection: any SQLConnection, after last: Int64, _ page: Int64) throws -> Int64? {
        try connection.queryOne(
            "SELECT max(id) FROM (SELECT id FROM deliveries WHERE id > $1 ORDER BY id LIMIT $2) AS page",
            [.integer(last), .integer(page)])?.optionalInt64(0)
    }

    private static let sql = """
        SELECT d.id, d.settled_work, d.charged, d.settled_fault, d.hold, d.held, d.live, d.hashrate, d.opened_at,
               coalesce(d.ended_at, d.expires_at), d.allowance, d.seller_fee_ppm, d.buyer_fee_ppm, b.seller_fee_ppm, b.buyer_fee_ppm,
               coalesce(l.work, 0), coalesce(l.charge, 0), coalesce(l.from_hold, 0), coalesce(l.fault, 0), d.unpaid,
               coalesce(l.from_loss, 0), d.unrecovered, coalesce(l.seller_short, 0)
        FROM deliveries d
        LEFT JOIN billings b ON b.bid = d.bid AND b.ask = d.ask AND b.rig = d.rig AND b.tariff = d.tariff
        LEFT JOIN (
            SELECT delivery, sum(CASE WHEN code <= 3 THEN work ELSE 0 END) AS work,
                   sum(CASE WHEN code <= 3 THEN charge ELSE 0 END) AS charge, sum(from_hold) AS from_hold,
                   sum(CASE WHEN code = 3 THEN work ELSE 0 END) AS fault,
                   sum(CASE WHEN code <= 3 THEN from_loss ELSE 0 END) AS from_loss,
                   sum(CASE WHEN code <= 3 THEN seller_short ELSE 0 END) AS seller_short
            FROM settlement_lines WHERE delivery > $1 AND delivery <= $2 GROUP BY delivery
        ) l ON l.delivery = d.id
        WHERE d.id > $1 AND d.id <= $2 ORDER BY d.id
        """

    private func check(_ row: SQLRow, _ tally: inout AuditTally) throws {
        for invariant in invariants { tally.looked(invariant.code) }
        let id = try row.int64(0), settled = try row.int64(1)
        let name = "delivery \(id)"
        tally.compare("delivery.lines", "settled work of \(name)", expected: try row.sum(15), found: Int128(settled))
        tally.compare("delivery.lines", "charge of \(name)", expected: try row.sum(16), found: Int128(try row.int64(2)))
        let more = [("work during faults", 18, 3), ("unpaid charge", 20, 19), ("unrecovered proceeds", 22, 21)]
        for (what, lines, stored) in more {
            tally.compare(
                "delivery.lines", "\(what) of \(name)", expected: try row.sum(lines), found: Int128(try row.int64(stored)))
        }
        try checkTariff(row, name, &tally)
        try checkCap(row, name, &tally)
        let (hold, held) = (try row.int64(4), try row.int64(5))
        if try row.sum(17) > Int128(hold) - Int128(held) {
            tally.broken("delivery.hold", name, expected: "at most \(hold - held) from its hold", found: "\(try row.sum(17))")
        }
        if try row.int64(6) == 0, held != 0 { tally.broken("delivery.hold", name, expected: "nothing held", found: "\(held)") }
    }

    private func checkTariff(_ row: SQLRow, _ name: String, _ tally: inout AuditTally) throws {
        guard let seller = try row.optionalInt64(13), let buyer = try row.optionalInt64(14) else {
            tally.broken("delivery.tariff", name, found: "its tariff has no totals")
            return
        }
        tally.compare("delivery.tariff", "seller's fee of \(name), ppm", expected: Int128(seller), found: Int128(try row.int64(11)))
        tally.compare("delivery.tariff", "buyer's fee of \(name), ppm", expected: Int128(buyer), found: Int128(try row.int64(12)))
    }

    private func checkCap(_ row: SQLRow, _ name: String, _ tally: inout AuditTally) throws {
        guard let algorithm else { return }
        let elapsed = try row.int64(9).subtractingReportingOverflow(try row.int64(8))
        let cap = Tariff.workCap(
            Hashrate(hashesPerSecond: max(0, try row.int64(7))),
            elapsed: Interval(microseconds: elapsed.overflow ? .max : elapsed.partialValue),
            allowance: Work(units: try row.int64(10)), algorithm: algorithm)
        let settled = try row.int64(1)
        if settled > cap.units { tally.broken("delivery.cap", name, expected: "at most \(cap.units)", found: "\(settled)") }
    }
}

/// Orders, rigs and farms beside the deliveries that run.
struct MarketPass: AuditPass {
    let invariants = MarketPass.checks.map { AuditInvariant($0.code, $0.sentence) }

    private struct Check {
        var code: String
        var sentence: String
        /// Of the rows that are looked at.
        var table: String
        /// A number, what there should be, and what there is.
        var sql: String
        var subject: String
    }

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        for check in MarketPass.checks where tally.wants(check.code) {
            tally.looked(check.code, try connection.count("SELECT count(*) FROM \(check.table)"))
            try connection.forEach(check.sql) { row in
                tally.broken(
                    check.code, "\(check.subject) \(try row.int64(0))", expected: try row.isNull(1) ? nil : try row.decimal(1),
                    found: try row.isNull(2) ? "none" : try row.decimal(2))
            }
        }
        return false
    }

    private static let checks = [
        Check(
            code: "order.delivering", sentence: "running deliveries are those that live orders count", table: "orders WHERE live = 1",
            sql: """
                SELECT id, sum(running), sum(counted) FROM (
                    SELECT id, delivering AS counted, 0 AS running FROM orders WHERE live = 1
                    UNION ALL
                    SELECT bid, 0, lots FROM deliveries WHERE ended_at IS NULL
                    UNION ALL
                    SELECT ask, 0, lots FROM deliveries WHERE ended_at IS NULL
                ) AS both_sides GROUP BY id HAVING sum(running) <> sum(counted) ORDER BY id
                """, subject: "lots in delivery of order"),
        Check(
            code: "order.lots", sentence: "no order delivers more lots than it has", table: "orders WHERE live = 1",
            sql: "SELECT id, lots, delivering FROM orders WHERE live = 1 AND delivering > lots ORDER BY id",
            subject: "lots in delivery of order"),
        Check(
            code: "order.unsettled", sentence: "unsettled deliveries are those that live orders count", table: "orders WHERE live = 1",
            sql: """
                SELECT id, sum(open), sum(counted) FROM (
                    SELECT id, unsettled AS counted, 0 AS open FROM orders WHERE live = 1
                    UNION ALL
                    SELECT bid, 0, 1 FROM deliveries WHERE live = 1
                    UNION ALL
                    SELECT ask, 0, 1 FROM deliveries WHERE live = 1
                ) AS both_sides GROUP BY id HAVING sum(open) <> sum(counted) ORDER BY id
                """, subject: "unsettled deliveries of order"),
        Check(
            code: "rig.asks", sentence: "rigs and farms know the asks on them", table: "orders WHERE side = 1 AND live = 1 AND status <> 2",
            sql: """
                SELECT o.rig, o.id, r.ask FROM orders o LEFT JOIN rigs r ON r.id = o.rig
                WHERE o.side = 1 AND o.live = 1 AND o.status <> 2
                  AND (r.ask IS NULL OR r.ask <> o.id OR (o.farm IS NOT NULL AND (r.farm IS NULL OR r.farm <> o.farm)))
                ORDER BY o.id
                """, subject: "the ask, or the farm, of rig"),
    ]
}
