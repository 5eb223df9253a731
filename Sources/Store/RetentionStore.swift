public import Database
public import Market
public import Units

/// What a run of retention did.
public struct RetentionReport: Sendable, Hashable {
    public var made: [TableDay] = []
    public var dropped: [TableDay] = []
    /// Rows deleted one by one: all on SQLite, on Postgres those that belong to no day's partition.
    public var deleted = 0
    /// Rows that belong to no day's partition and are too young to go, up to a million: an edge's clock may be far off.
    public var strays: [MeteredTable: Int] = [:]
    /// Another server was at it.
    public var isSkipped = false
}

/// Lets go of metered rows that are old and settled, and makes partitions for the days to come.
///
/// Each step is a transaction of its own and may be repeated; several servers may run at once.
public struct RetentionStore: Sendable {
    /// Rows deleted in one transaction.
    static let chunk: Int64 = 10_000
    /// Chunks in one run and table; what is left waits for the next run.
    static let mostChunks = 1000
    /// Answers wait so long for their shares.
    static let waitingDays: Int64 = 2
    /// Of the advisory lock: "retained" in ASCII.
    private static let lock: Int64 = 0x7265_7461_696e_6564

    let database: Database
    private let policy: RetentionPolicy
    private let clock: @Sendable () -> Timestamp

    public init(
        _ database: Database, policy: RetentionPolicy = RetentionPolicy(),
        clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock
    ) {
        precondition(policy.flaw == nil, "a valid policy")
        self.database = database
        self.policy = policy
        self.clock = clock
    }

    /// - Throws: what the database threw, or `CancellationError` between two steps; the next run goes on
    public func runOnce() async throws -> RetentionReport {
        let now = clock()
        let facts = try await database.read { try RetentionStore.facts($0, now) }
        let plan = RetentionPlan(policy, facts)
        var report = RetentionReport()
        switch database.dialect {
        case .postgres: try await carryOut(plan, &report)
        case .sqlite: for table in MeteredTable.allCases { try await deleteOld(table, plan, &report) }
        }
        let waiting = now.microseconds - RetentionStore.waitingDays * Timestamp.dayLength
        try await database.write { connection in
            try connection.execute("DELETE FROM waiting_replies WHERE received_at < $1", [.integer(waiting)])
        }
        return report
    }

    private static func facts(_ connection: any SQLConnection, _ now: Timestamp) throws -> RetentionFacts {
        let oldest = try connection.queryOne("SELECT min(opened_at) FROM deliveries WHERE live = 1")?.optionalInt64(0)
        let settled = try connection.queryOne("SELECT coalesce(max(watermark), 0) FROM settlement_runs")?.int64(0) ?? 0
        // With every delivery settled nothing that an edge has reported is still to be billed.
        let until = oldest == nil ? try MeterStore.watermark(connection) : Timestamp(microseconds: settled)
        let needed = [oldest, try oldestToAssessAgain(connection)].compactMap { $0 }.min()
        return RetentionFacts(
            now: now, settledUntil: until, oldestOpen: needed.map { Timestamp(microseconds: $0) },
            days: try days(connection))
    }

    /// Deliveries that no final run has looked at were opened later: terms are a day at most.
    private static func oldestToAssessAgain(_ connection: any SQLConnection) throws -> Int64? {
        let row = try connection.queryOne(
            """
            SELECT coalesce(
                (SELECT max(to_minute) * 60000000 FROM settlement_runs WHERE kind = 'final' AND finished_at IS NOT NULL),
                (SELECT min(started_at) FROM settlement_runs WHERE program IS NOT NULL))
            """)
        return try row?.optionalInt64(0).map { $0 - Timestamp.dayLength }
    }

    private static func days(_ connection: any SQLConnection) throws -> Set<TableDay> {
        guard connection.dialect == .postgres else { return [] }
        var days: Set<TableDay> = []
        for table in MeteredTable.allCases {
            for row in try connection.query("SELECT hashspot_days($1)", [.text(table.rawValue)]) {
                days.insert(TableDay(table, try row.int64(0)))
            }
        }
        return days
    }

    /// What is dropped from now on is gone for the audit before it is gone.
    private static func raise(_ table: MeteredTable, keptFrom day: Int64, _ connection: any SQLConnection) throws {
        try connection.execute(
            "UPDATE retention SET kept_from = $2 WHERE name = $1 AND kept_from < $2",
            [.text(table.rawValue), .integer(day * Timestamp.dayLength)])
    }
}

// MARK: - Postgres

extension RetentionStore {
    private func carryOut(_ plan: RetentionPlan, _ report: inout RetentionReport) async throws {
        for day in plan.make where try await step("SELECT hashspot_make_day($1, $2)", day, nil, &report) { report.made.append(day) }
        for day in plan.drop where try await step("SELECT hashspot_drop_day($1, $2)", day, day.day + 1, &report) {
            report.dropped.append(day)
        }
        for table in MeteredTable.allCases {
            try await dropStrays(TableDay(table, plan.keptFrom[table] ?? 0), &report)
            let left = try await database.read { connection in
                try connection.queryOne("SELECT count(*) FROM (SELECT FROM \(table.rawValue)_default LIMIT 1000000) AS t")?.int(0)
            }
            if let left, left > 0 { report.strays[table] = left }
        }
    }

    /// One transaction that no other server's coincides with, and that gives up rather than hold up the intake.
    ///
    /// - Returns: whether there was anything to do
    private func step(
        _ sql: String, _ day: TableDay, _ keptFrom: Int64?, _ report: inout RetentionReport
    ) async throws -> Bool {
        let done: Bool? = try await database.write { connection in
            guard try RetentionStore.begin(connection) else { return nil }
            if let keptFrom { try RetentionStore.raise(day.table, keptFrom: keptFrom, connection) }
            return try connection.queryOne(sql, [.text(day.table.rawValue), .integer(day.day)])?.bool(0)
        }
        if done == nil { report.isSkipped = true }
        return done ?? false
    }

    private func dropStrays(_ before: TableDay, _ report: inout RetentionReport) async throws {
        guard before.day > 0 else { return }
        for _ in 0..<RetentionStore.mostChunks {
            try Task.checkCancellation()
            let gone: Int64? = try await database.write { connection in
                guard try RetentionStore.begin(connection) else { return nil }
                let gone = try connection.queryOne(
                    "SELECT hashspot_drop_strays($1, $2, $3)",
                    [.text(before.table.rawValue), .integer(before.day), .integer(RetentionStore.chunk)])?.int64(0) ?? 0
                if gone > 0 { try RetentionStore.raise(before.table, keptFrom: before.day, connection) }
                return gone
            }
            guard let gone else { return report.isSkipped = true }
            report.deleted += Int(gone)
            if gone < RetentionStore.chunk { return }
        }
    }

    private static func begin(_ connection: any SQLConnection) throws -> Bool {
        try connection.execute("SELECT set_config('lock_timeout', '1s', true)")
        return try connection.queryOne("SELECT pg_try_advisory_xact_lock($1)", [.integer(lock)])?.bool(0) ?? false
    }
}

// MARK: - SQLite

extension RetentionStore {
    /// Rows come in about the order of their times: deleted from the front, until a whole chunk is to stay.
    private func deleteOld(_ table: MeteredTable, _ plan: RetentionPlan, _ report: inout RetentionReport) async throws {
        guard let day = plan.keptFrom[table], day > 0 else { return }
        var cursor = Int64.min
        for _ in 0..<RetentionStore.mostChunks {
            try Task.checkCancellation()
            let start = cursor
            let (last, gone) = try await database.write { try RetentionStore.deleteChunk(table, before: day, after: start, $0) }
            report.deleted += gone
            guard let last, gone > 0 else { return }
            cursor = last
        }
    }

    /// - Returns: the last row that was looked at, and how many were deleted
    private static func deleteChunk(
        _ table: MeteredTable, before day: Int64, after cursor: Int64, _ connection: any SQLConnection
    ) throws -> (last: Int64?, gone: Int) {
        let last = try connection.queryOne(
            """
            SELECT max(id) FROM (SELECT rowid AS id FROM \(table.rawValue) WHERE rowid > $1 ORDER BY rowid LIMIT $2) AS chunk
            """, [.integer(cursor), .integer(chunk)])?.optionalInt64(0)
        guard let last else { return (nil, 0) }
        let (column, perDay) = table.time
        let gone = try connection.execute(
            "DELETE FROM \(table.rawValue) WHERE rowid > $1 AND rowid <= $2 AND \(column) < $3",
            [.integer(cursor), .integer(last), .integer(day * perDay)])
        if gone > 0 { try raise(table, keptFrom: day, connection) }
        return (last, gone)
    }
}

extension MeteredTable {
    /// The column that says when, and how much of it a day is.
    fileprivate var time: (column: String, perDay: Int64) {
        switch self {
        case .shares: ("received_at", Timestamp.dayLength)
        case .jobs: ("sealed_at", Timestamp.dayLength)
        case .slots: ("minute", 1440)
        }
    }
}
