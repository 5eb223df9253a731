public import Database

/// One invariant, checked on the tables.
public struct AuditFinding: Hashable, Sendable {
    public var invariant: String
    /// How many rows break it; 0 when it holds.
    public var violations: Int64
}

/// Checks of the books that can be run on live data (design, section 8).
///
/// Each is one query that counts what breaks the invariant, in one snapshot with the others. What was metered is checked as
/// far back as retention has kept it, and slots against shares where the shares' rows are kept at all.
public struct Audit: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public func run() async throws -> [AuditFinding] {
        try await database.read { connection in
            try Audit.checks.map { check in
                let row = try connection.queryOne(check.sql, [])
                return AuditFinding(invariant: check.invariant, violations: try row?.optionalInt64(0) ?? 0)
            }
        }
    }

    private static let checks: [(invariant: String, sql: String)] = [
        (
            "every ledger entry sums to zero",
            """
            SELECT count(*) FROM (
                SELECT e.id FROM ledger_entries e LEFT JOIN ledger_postings p ON p.entry = e.id
                GROUP BY e.id HAVING coalesce(sum(p.amount), 1) <> 0
            ) AS broken
            """
        ),
        (
            "all accounts together are zero",
            "SELECT count(*) FROM (SELECT sum(balance) AS total FROM ledger_balances) AS t WHERE t.total <> 0"
        ),
        (
            "every balance is the sum of its postings",
            """
            SELECT count(*) FROM (
                SELECT kind, owner FROM (
                    SELECT kind, owner, balance AS amount FROM ledger_balances
                    UNION ALL
                    SELECT account_kind, owner, -amount FROM ledger_postings
                ) AS both_sides GROUP BY kind, owner HAVING sum(amount) <> 0
            ) AS broken
            """
        ),
        (
            "held funds are the sum of open holds",
            """
            SELECT count(*) FROM (
                SELECT owner FROM (
                    SELECT owner, balance AS amount FROM ledger_balances WHERE kind = 2
                    UNION ALL
                    SELECT buyer, -held FROM deliveries WHERE live = 1
                ) AS both_sides GROUP BY owner HAVING sum(amount) <> 0
            ) AS broken
            """
        ),
        (
            "no customer's balance is negative",
            "SELECT count(*) FROM ledger_balances WHERE kind IN (1, 2) AND balance < 0"
        ),
        (
            "batch sequences have no gap",
            """
            SELECT count(*) FROM (
                SELECT edge, epoch FROM batches GROUP BY edge, epoch
                HAVING count(*) <> max(sequence) OR min(sequence) <> 1
            ) AS broken
            """
        ),
        (
            "every slot is the sum of its shares",
            """
            SELECT count(*) FROM (
                SELECT delivery, rig, minute FROM (
                    SELECT delivery, rig, minute, valid_shares, valid_work, billable_work, stale_shares, stale_work,
                           duplicate_shares, low_difficulty_shares, invalid_shares, forwarded_shares, unlogged_shares
                    FROM meter_slots
                    WHERE minute >= (SELECT max(kept_from) / 60000000 FROM retention WHERE name IN ('shares', 'meter_slots'))
                    UNION ALL
                    SELECT delivery, rig, received_at / 60000000,
                           CASE WHEN verdict = 1 THEN -1 ELSE 0 END,
                           CASE WHEN verdict = 1 THEN -difficulty ELSE 0 END,
                           CASE WHEN verdict = 1 AND billable = 1 THEN -difficulty ELSE 0 END,
                           CASE WHEN verdict = 2 THEN -1 ELSE 0 END,
                           CASE WHEN verdict = 2 THEN -difficulty ELSE 0 END,
                           CASE WHEN verdict = 3 THEN -1 ELSE 0 END,
                           CASE WHEN verdict = 4 THEN -1 ELSE 0 END,
                           CASE WHEN verdict = 5 THEN -1 ELSE 0 END,
                           -forwarded, 0
                    FROM shares
                    WHERE received_at >= (SELECT max(kept_from) FROM retention WHERE name IN ('shares', 'meter_slots'))
                ) AS both_sides GROUP BY delivery, rig, minute
                HAVING sum(unlogged_shares) = 0 AND (
                    sum(valid_shares) <> 0 OR sum(valid_work) <> 0 OR sum(billable_work) <> 0
                    OR sum(stale_shares) <> 0 OR sum(stale_work) <> 0 OR sum(duplicate_shares) <> 0
                    OR sum(low_difficulty_shares) <> 0 OR sum(invalid_shares) <> 0 OR sum(forwarded_shares) <> 0)
            ) AS broken
            """
        ),
        (
            "every header is valid at most once",
            """
            SELECT count(*) FROM (
                SELECT hash FROM shares WHERE verdict = 1 GROUP BY hash HAVING count(*) > 1
            ) AS broken
            """
        ),
        (
            "billed work is not above verified work",
            """
            SELECT count(*) FROM deliveries d
            WHERE d.opened_at >= (SELECT kept_from FROM retention WHERE name = 'meter_slots')
              AND d.settled_work > (SELECT coalesce(sum(s.billable_work), 0) FROM meter_slots s WHERE s.delivery = d.id)
            """
        ),
        (
            "a delivery's settled work and charge are the sums of its lines",
            """
            SELECT count(*) FROM (
                SELECT id FROM (
                    SELECT id, settled_work AS work, charged AS charge FROM deliveries
                    UNION ALL
                    SELECT delivery, -work, -charge FROM settlement_lines WHERE code BETWEEN 1 AND 3
                ) AS both_sides GROUP BY id HAVING sum(work) <> 0 OR sum(charge) <> 0
            ) AS broken
            """
        ),
        (
            "fees are in the ledger as on the lines",
            """
            SELECT count(*) FROM (
                SELECT (SELECT coalesce(sum(balance), 0) FROM ledger_balances WHERE kind = 4)
                     - (SELECT coalesce(sum(seller_fee + buyer_fee), 0) FROM settlement_lines) AS difference
            ) AS t WHERE t.difference <> 0
            """
        ),
        (
            "fees follow from a tariff's charges",
            // floor(charge x ppm / 10^6), without leaving 64 bits.
            """
            SELECT count(*) FROM billings
            WHERE seller_fee <> charge / 1000000 * seller_fee_ppm + charge % 1000000 * seller_fee_ppm / 1000000
               OR buyer_fee <> charge / 1000000 * buyer_fee_ppm + charge % 1000000 * buyer_fee_ppm / 1000000
            """
        ),
        (
            "deliveries have the fees of their tariff",
            """
            SELECT count(*) FROM deliveries d
            LEFT JOIN billings b ON b.bid = d.bid AND b.ask = d.ask AND b.rig = d.rig AND b.tariff = d.tariff
            WHERE b.bid IS NULL OR b.seller_fee_ppm <> d.seller_fee_ppm OR b.buyer_fee_ppm <> d.buyer_fee_ppm
            """
        ),
        (
            "a tariff's totals are the sums of its lines",
            """
            SELECT count(*) FROM (
                SELECT bid, ask, rig, tariff FROM (
                    SELECT bid, ask, rig, tariff, charge, seller_fee, buyer_fee FROM billings
                    UNION ALL
                    SELECT d.bid, d.ask, d.rig, d.tariff, -l.charge, -l.seller_fee, -l.buyer_fee
                    FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE l.code BETWEEN 1 AND 3
                ) AS both_sides GROUP BY bid, ask, rig, tariff
                HAVING sum(charge) <> 0 OR sum(seller_fee) <> 0 OR sum(buyer_fee) <> 0
            ) AS broken
            """
        ),
        (
            "a bid's spending is the sum of its lines",
            """
            SELECT count(*) FROM (
                SELECT id FROM (
                    SELECT id, spent FROM orders WHERE side = 0
                    UNION ALL
                    SELECT d.bid, l.from_loss - l.charge - l.buyer_fee
                    FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE l.code BETWEEN 1 AND 3
                ) AS both_sides GROUP BY id HAVING sum(spent) <> 0
            ) AS broken
            """
        ),
        (
            "running deliveries are those that live orders count",
            """
            SELECT count(*) FROM (
                SELECT id FROM (
                    SELECT id, delivering AS lots FROM orders WHERE live = 1
                    UNION ALL
                    SELECT bid, -lots FROM deliveries WHERE ended_at IS NULL
                    UNION ALL
                    SELECT ask, -lots FROM deliveries WHERE ended_at IS NULL
                ) AS both_sides GROUP BY id HAVING sum(lots) <> 0
            ) AS broken
            """
        ),
        (
            "no order delivers more lots than it has",
            "SELECT count(*) FROM orders WHERE live = 1 AND delivering > lots"
        ),
        (
            "unsettled deliveries are those that live orders count",
            """
            SELECT count(*) FROM (
                SELECT id FROM (
                    SELECT id, unsettled AS number FROM orders WHERE live = 1
                    UNION ALL
                    SELECT bid, -1 FROM deliveries WHERE live = 1
                    UNION ALL
                    SELECT ask, -1 FROM deliveries WHERE live = 1
                ) AS both_sides GROUP BY id HAVING sum(number) <> 0
            ) AS broken
            """
        ),
        (
            "rigs and farms know the asks on them",
            """
            SELECT count(*) FROM orders o LEFT JOIN rigs r ON r.id = o.rig
            WHERE o.side = 1 AND o.live = 1 AND o.status <> 2
              AND (r.ask IS NULL OR r.ask <> o.id OR (o.farm IS NOT NULL AND (r.farm IS NULL OR r.farm <> o.farm)))
            """
        ),
    ]
}

/// What went to a pool target and what came back, from the shares themselves.
public struct PoolCount: Hashable, Sendable {
    public var target: Int64
    public var owner: Int64
    public var name: String
    public var url: String
    public var poolUser: String
    public var validShares: Int64
    public var validWork: Int64
    public var forwarded: Int64
    public var accepted: Int64
    public var rejected: Int64
    /// Forwarded, and no answer known.
    public var unanswered: Int64
}

extension ReportStore {
    /// Per pool target, what was metered and forwarded, and how the pool answered.
    public func poolCounts() async throws -> [PoolCount] {
        try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT t.id, t.owner, t.name, t.url, t.pool_user,
                       CAST(coalesce(sum(CASE WHEN s.verdict = 1 THEN 1 ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.verdict = 1 THEN s.difficulty ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(s.forwarded), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.pool_reply = 1 THEN 1 ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.pool_reply = 2 THEN 1 ELSE 0 END), 0) AS BIGINT)
                FROM pool_targets t
                LEFT JOIN jobs j ON j.target = t.id
                LEFT JOIN shares s ON s.edge = j.edge AND s.epoch = j.epoch AND s.job = j.number
                GROUP BY t.id, t.owner, t.name, t.url, t.pool_user
                ORDER BY t.id
                """, [])
            return try rows.map { row in
                let (forwarded, accepted, rejected) = (try row.int64(7), try row.int64(8), try row.int64(9))
                return PoolCount(
                    target: try row.int64(0), owner: try row.int64(1), name: try row.text(2), url: try row.text(3),
                    poolUser: try row.text(4), validShares: try row.int64(5), validWork: try row.int64(6),
                    forwarded: forwarded, accepted: accepted, rejected: rejected,
                    unanswered: forwarded - accepted - rejected)
            }
        }
    }
}
