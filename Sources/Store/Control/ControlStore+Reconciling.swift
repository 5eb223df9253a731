internal import Database
internal import Exchange
public import Market
internal import Settlement
public import Units

extension ControlStore: ReconciliationRecords {
    public func reconcile(
        _ request: ReconciliationRequest, once: Repeatable, at time: Timestamp
    ) async throws -> ReconciliationRun {
        // What may take long is read beside the market's writes.
        let comparison = try await database.read { connection -> Comparison? in
            guard try ControlStore.earlier(once, connection) == nil else { return nil }
            return switch request.area {
            case .custody: try CustodySQL.compare(request, connection)
            case .pools: try PoolSQL.compare(request, connection)
            }
        }
        let number = try await change { connection in
            try ControlStore.once(once, at: time, connection) {
                guard let comparison else { throw DatabaseError.serializationFailure(detail: "the earlier answer is gone") }
                var run = ReconciliationRun(
                    run: try ControlStore.next("run", of: "reconciliations", connection), at: time, request: request,
                    compared: comparison.compared, breaks: Int64(comparison.breaks.count), news: 0, custody: comparison.custody,
                    ledger: comparison.ledger, liabilities: comparison.liabilities)
                run.news = try BreakSQL.note(comparison, run, connection)
                try RunSQL.insert(run, connection)
                return run.run
            }
        }
        guard let run = try await runs(after: number - 1, limit: 1).first else { throw DatabaseError.decoding("no run \(number)") }
        return run
    }

    public func runs(after cursor: Int64, limit: Int) async throws -> [ReconciliationRun] {
        try await database.read { connection in
            try connection.query(
                "SELECT \(RunSQL.columns) FROM reconciliations WHERE run > $1 ORDER BY run LIMIT $2",
                [.integer(cursor), .integer(Int64(limit))]
            ).map { try RunSQL.run($0) }
        }
    }
}

/// What a reconciliation made of both sides.
struct Comparison: Sendable {
    var compared: Int64
    var breaks: [FoundBreak]
    /// Known breaks outside are not looked for: they are not gone.
    var covers: @Sendable (FoundBreak.Name, Timestamp) -> Bool
    var custody: Satoshis?
    var ledger: Satoshis?
    var liabilities: Satoshis?
}

private enum RunSQL {
    static let columns = """
        run, area, at, requested_by, from_time, to_time, tolerance_ppm, compared, breaks, news, custody, ledger, liabilities
        """

    static func insert(_ run: ReconciliationRun, _ connection: any SQLConnection) throws(DatabaseError) {
        try connection.execute(
            "INSERT INTO reconciliations (\(columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", [
                .integer(run.run), .integer(Int64(run.request.area.rawValue)), .integer(run.at.microseconds),
                .integer(run.request.by.rawValue), .integer(run.request.from.microseconds), .integer(run.request.to.microseconds),
                .integer(run.request.tolerance.rawValue), .integer(run.compared), .integer(run.breaks), .integer(run.news),
                ControlStore.optional(run.custody?.rawValue), ControlStore.optional(run.ledger?.rawValue),
                ControlStore.optional(run.liabilities?.rawValue),
            ])
    }

    static func run(_ row: SQLRow) throws(DatabaseError) -> ReconciliationRun {
        func amount(_ column: Int) throws(DatabaseError) -> Satoshis? {
            guard let value = try row.optionalInt64(column) else { return nil }
            return Satoshis(value)
        }
        return ReconciliationRun(
            run: try row.int64(0), at: Timestamp(microseconds: try row.int64(2)),
            request: ReconciliationRequest(
                area: try ControlStore.known(try row.int64(1), ReconciliationArea.self),
                from: Timestamp(microseconds: try row.int64(4)), to: Timestamp(microseconds: try row.int64(5)),
                tolerance: PartsPerMillion(try row.int64(6)), by: AccountID(try row.int64(3))),
            compared: try row.int64(7), breaks: try row.int64(8), news: try row.int64(9), custody: try amount(10),
            ledger: try amount(11), liabilities: try amount(12))
    }
}

// MARK: - Custody

private enum CustodySQL {
    // Kinds of entries, as stored.
    private static let depositRecorded: Int64 = 5
    private static let depositReturned: Int64 = 7
    private static let withdrawalPaid: Int64 = 9

    /// Either side may book a movement so much later than the other.
    private static let margin = Interval.seconds(31 * 86_400)

    static func compare(_ request: ReconciliationRequest, _ connection: any SQLConnection) throws -> Comparison {
        let from = Timestamp(microseconds: max(0, request.from.microseconds - margin.microseconds))
        let range: [SQLValue] = [.integer(from.microseconds), .integer((request.to + margin).microseconds)]
        let ledger = try ledgerMovements(range, connection)
        let statements = try statementMovements(range, connection)
        var breaks = CustodyMatching.breaks(ledger: ledger, statements: statements, until: request.to).filter { $0.at >= request.from }
        let balances = try ledgerBalances(at: request.to, connection)
        let custody = try custodyBalance(at: request.to, connection)
        // What a balance was before the last look at it is past.
        let isNewest = try connection.queryOne(
            "SELECT 1 FROM reconciliations WHERE area = 1 AND to_time > $1 LIMIT 1", [.integer(request.to.microseconds)]) == nil
        let comparesBalances = custody != nil && isNewest
        if let custody, comparesBalances {
            breaks += CustodyMatching.balanceBreaks(
                custody: custody, ledger: balances.custody, liabilities: balances.liabilities, at: request.to - Interval(microseconds: 1))
        }
        func isWithin(_ movement: CustodyMovement) -> Bool { movement.at >= request.from && movement.at < request.to }
        let (start, end) = (request.from, request.to)
        return Comparison(
            compared: Int64(ledger.count(where: isWithin) + statements.count(where: isWithin)), breaks: breaks,
            covers: { name, at in
                switch name.kind {
                case .balanceDiffers, .liabilitiesNotCovered: comparesBalances
                case .missingInLedger, .missingInCustody, .amountDiffers, .duplicateInLedger, .duplicateInCustody:
                    at >= start && at < end
                case .poolRejected, .poolUnanswered, .poolShareCount, .poolWork, .slotsDiffer: false
                }
            }, custody: custody, ledger: balances.custody, liabilities: balances.liabilities)
    }

    private static func statementMovements(_ range: [SQLValue], _ connection: any SQLConnection) throws -> [CustodyMovement] {
        var found: [CustodyMovement] = []
        try connection.forEach("SELECT source, reference, at, amount FROM custody_items WHERE at >= $1 AND at < $2", range) { row in
            found.append(CustodyMovement(
                origin: try row.text(0), reference: try row.text(1), at: Timestamp(microseconds: try row.int64(2)),
                amount: Satoshis(try row.int64(3))))
        }
        return found
    }

    /// Under the payments' own references. An entry of a transfer refers to that, and has the payment's reference as its reason; a
    /// deposit that was returned goes by the reference under which it was recorded.
    private static func ledgerMovements(_ range: [SQLValue], _ connection: any SQLConnection) throws -> [CustodyMovement] {
        var found: [CustodyMovement] = []
        var payments: [String: String] = [:]
        try connection.forEach(
            """
            SELECT CAST(e.id AS TEXT), e.reference, e.value_at, -p.amount, e.kind, e.reason FROM ledger_entries e
            JOIN ledger_postings p ON p.entry = e.id AND p.account_kind = 3
            WHERE e.value_at >= $1 AND e.value_at < $2 ORDER BY e.id
            """, range
        ) { row in
            var reference = try row.text(1)
            switch try row.int64(4) {
            case depositRecorded, withdrawalPaid:
                let payment = try row.optionalText(5) ?? reference
                payments[reference] = payment
                reference = payment
            case depositReturned: reference = payments[reference] ?? reference
            default: break
            }
            found.append(CustodyMovement(
                origin: try row.text(0), reference: reference, at: Timestamp(microseconds: try row.int64(2)),
                amount: Satoshis(try row.int64(3))))
        }
        return found
    }

    /// What all sources say is there before a time: the last balance of each and what moved after it. nil: nothing was imported.
    private static func custodyBalance(at time: Timestamp, _ connection: any SQLConnection) throws -> Satoshis? {
        let sources = try connection.query(
            "SELECT DISTINCT source FROM custody_items WHERE at < $1", [.integer(time.microseconds)]
        ).map { try $0.text(0) }
        guard !sources.isEmpty else { return nil }
        var total = Satoshis.zero
        for source in sources {
            let key: [SQLValue] = [.text(source), .integer(time.microseconds)]
            let last = try connection.queryOne(
                """
                SELECT balance, at, number FROM custody_items WHERE source = $1 AND at < $2 AND balance IS NOT NULL
                ORDER BY at DESC, number DESC LIMIT 1
                """, key)
            let moved = try connection.queryOne(
                """
                SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM custody_items
                WHERE source = $1 AND at < $2 AND (at > $3 OR (at = $3 AND number > $4))
                """, key + [.integer(try last?.int64(1) ?? -1), .integer(try last?.int64(2) ?? 0)])
            total += Satoshis(try (last?.int64(0) ?? 0) + (moved?.int64(0) ?? 0))
        }
        return total
    }

    /// What the ledger says is there before a time, and what is owed to customers: available, held and leaving.
    private static func ledgerBalances(
        at time: Timestamp, _ connection: any SQLConnection
    ) throws(DatabaseError) -> (custody: Satoshis, liabilities: Satoshis) {
        // From now backwards: there is less after the time than before it.
        let rows = try connection.query(
            """
            SELECT kind, CAST(sum(amount) AS BIGINT) FROM (
                SELECT kind, balance AS amount FROM ledger_balances
                UNION ALL
                SELECT p.account_kind, -p.amount FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id WHERE e.value_at >= $1
            ) AS both_sides GROUP BY kind
            """, [.integer(time.microseconds)])
        var (custody, liabilities) = (Satoshis.zero, Satoshis.zero)
        for row in rows {
            let amount = Satoshis(try row.int64(1))
            switch try row.int64(0) {
            case 1, 2, 7: liabilities += amount
            case 3: custody -= amount
            default: break
            }
        }
        return (custody, liabilities)
    }
}

// MARK: - Pools

private enum PoolSQL {
    private static let day = Interval.day.microseconds

    /// Whole days only, as far back as shares are kept.
    static func compare(_ request: ReconciliationRequest, _ connection: any SQLConnection) throws -> Comparison {
        let kept = try connection.queryOne(
            "SELECT coalesce(max(kept_from), 0) FROM retention WHERE name IN ('shares', 'meter_slots')")?.int64(0) ?? 0
        let first = max((request.from.microseconds + day - 1) / day, (kept + day - 1) / day)
        let days = first..<max(first, request.to.microseconds / day)
        let pools = try poolDays(days, connection)
        var breaks = PoolComparison.breaks(pools, tolerance: request.tolerance)
        breaks += try slotBreaks(days, connection)
        return Comparison(compared: Int64(pools.count), breaks: breaks, covers: { name, at in
            switch name.kind {
            case .poolRejected, .poolUnanswered, .poolShareCount, .poolWork, .slotsDiffer: days.contains(at.microseconds / day)
            case .missingInLedger, .missingInCustody, .amountDiffers, .duplicateInLedger, .duplicateInCustody, .balanceDiffers,
                .liabilitiesNotCovered:
                false
            }
        }, custody: nil, ledger: nil, liabilities: nil)
    }

    private static func poolDays(_ days: Range<Int64>, _ connection: any SQLConnection) throws -> [PoolDay] {
        var found: [[Int64]: PoolDay] = [:]
        // Jobs are sealed before their shares come, or with them; shares come for hours at most.
        let rows = try connection.query(
            """
            SELECT j.target, s.received_at / 86400000000,
                   CAST(coalesce(sum(CASE WHEN s.verdict = 1 THEN s.difficulty ELSE 0 END), 0) AS BIGINT),
                   CAST(coalesce(sum(s.forwarded), 0) AS BIGINT),
                   CAST(coalesce(sum(CASE WHEN s.pool_reply = 1 THEN 1 ELSE 0 END), 0) AS BIGINT),
                   CAST(coalesce(sum(CASE WHEN s.pool_reply = 2 THEN 1 ELSE 0 END), 0) AS BIGINT)
            FROM shares s JOIN jobs j ON j.edge = s.edge AND j.epoch = s.epoch AND j.number = s.job
                AND j.sealed_at >= $3 AND j.sealed_at < $4
            WHERE s.received_at >= $1 AND s.received_at < $2
            GROUP BY j.target, s.received_at / 86400000000
            """, [
                .integer(days.lowerBound * day), .integer(days.upperBound * day), .integer((days.lowerBound - 2) * day),
                .integer((days.upperBound + 2) * day),
            ])
        for row in rows {
            let pool = PoolDay(
                target: PoolTargetID(try row.int64(0)), day: try row.int64(1), validWork: Int128(try row.int64(2)),
                forwarded: try row.int64(3), accepted: try row.int64(4), rejected: try row.int64(5))
            found[[pool.target.rawValue, pool.day]] = pool
        }
        let statements = try connection.query(
            """
            SELECT p.target, p.day, p.shares, p.work FROM pool_statements p
            WHERE p.day >= $1 AND p.day < $2
              AND p.version = (SELECT max(x.version) FROM pool_statements x WHERE x.target = p.target AND x.day = p.day)
            """, [.integer(days.lowerBound), .integer(days.upperBound)])
        for row in statements {
            let (target, day) = (try row.int64(0), try row.int64(1))
            found[[target, day], default: PoolDay(target: PoolTargetID(target), day: day)].poolShares = try row.optionalInt64(2)
            found[[target, day]]?.poolWork = try row.optionalInt64(3)
        }
        return found.values.sorted { ($0.day, $0.target) < ($1.day, $1.target) }
    }

    /// Days whose shares all have rows.
    private static func slotBreaks(_ days: Range<Int64>, _ connection: any SQLConnection) throws -> [FoundBreak] {
        let bounds: [SQLValue] = [.integer(days.lowerBound), .integer(days.upperBound)]
        let slots = try totals(
            """
            SELECT minute / 1440, CAST(sum(forwarded_shares) AS BIGINT), CAST(sum(pool_accepted) AS BIGINT),
                   CAST(sum(pool_rejected) AS BIGINT)
            FROM meter_slots WHERE minute >= $1 * 1440 AND minute < $2 * 1440 GROUP BY minute / 1440 HAVING sum(unlogged_shares) = 0
            """, bounds, connection)
        let shares = try totals(
            """
            SELECT received_at / 86400000000, CAST(sum(forwarded) AS BIGINT),
                   CAST(sum(CASE WHEN pool_reply = 1 THEN 1 ELSE 0 END) AS BIGINT),
                   CAST(sum(CASE WHEN pool_reply = 2 THEN 1 ELSE 0 END) AS BIGINT)
            FROM shares WHERE received_at >= $1 * 86400000000 AND received_at < $2 * 86400000000 GROUP BY received_at / 86400000000
            """, bounds, connection)
        let none = PoolComparison.SlotTotals(forwarded: 0, accepted: 0, rejected: 0)
        return slots.keys.sorted().compactMap { day in
            PoolComparison.slotBreak(day: day, slots: slots[day] ?? none, shares: shares[day] ?? none)
        }
    }

    private static func totals(
        _ sql: String, _ bounds: [SQLValue], _ connection: any SQLConnection
    ) throws -> [Int64: PoolComparison.SlotTotals] {
        var found: [Int64: PoolComparison.SlotTotals] = [:]
        for row in try connection.query(sql, bounds) {
            found[try row.int64(0)] = PoolComparison.SlotTotals(
                forwarded: try row.int64(1), accepted: try row.int64(2), rejected: try row.int64(3))
        }
        return found
    }
}
