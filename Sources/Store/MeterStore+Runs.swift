internal import Database
internal import Exchange
public import Market
public import Units

/// Settlement's runs, and what it notes about late and expired work.
extension MeterStore {
    private static let runColumns = """
        run, kind, from_minute, to_minute, started_at, watermark, program, input_digest, deliveries, totals, requested_by, note,
        finished_at
        """

    public func begin(_ run: SettlementRun) async throws -> Int64 {
        try await database.write { connection in
            guard let row = try connection.queryOne(
                """
                INSERT INTO settlement_runs (run, kind, from_minute, to_minute, started_at, watermark, program, requested_by, note)
                SELECT coalesce(max(run), 0) + 1, CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT),
                       CAST($5 AS BIGINT), CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS TEXT)
                FROM settlement_runs
                RETURNING run
                """,
                [
                    .text(run.kind.rawValue), SQLValue(run.minutes?.lowerBound), SQLValue(run.minutes?.upperBound),
                    .integer(run.startedAt.microseconds), .integer(run.watermark.microseconds), SQLValue(run.program),
                    SQLValue(run.requestedBy?.rawValue), SQLValue(run.note),
                ])
            else { throw DatabaseError.decoding("no run number came back") }
            return try row.int64(0)
        }
    }

    public func finish(_ run: SettlementRun) async throws {
        try await database.write { connection in
            try connection.execute(
                """
                UPDATE settlement_runs SET finished_at = $2, input_digest = $3, deliveries = $4, totals = $5, note = $6
                WHERE run = $1
                """,
                [
                    .integer(run.number), SQLValue(run.finishedAt?.microseconds), SQLValue(run.inputDigest),
                    .integer(run.deliveries), .integer(run.totals), SQLValue(run.note),
                ])
        }
    }

    public func progress() async throws -> SettlementProgress {
        try await database.read { connection in
            var progress = SettlementProgress()
            let ends = try connection.query(
                """
                SELECT kind, max(to_minute), max(run) FROM settlement_runs
                WHERE finished_at IS NOT NULL AND to_minute IS NOT NULL AND kind IN ('initial', 'final') GROUP BY kind
                """)
            var lastInitial: Int64 = 0
            for row in ends {
                if try row.text(0) == SettlementKind.final.rawValue {
                    progress.finalThrough = try row.int64(1)
                } else {
                    progress.initialThrough = try row.int64(1)
                    lastInitial = try row.int64(2)
                }
            }
            let first = try connection.queryOne("SELECT min(started_at) FROM settlement_runs WHERE program IS NOT NULL")
            progress.since = try first?.optionalInt64(0).map { Timestamp(microseconds: $0) }
            if progress.finalThrough == nil, let since = progress.since {
                progress.since = try min(since, MeterStore.firstBilled(connection) ?? since)
            }
            let broken = try connection.queryOne(
                """
                SELECT \(MeterStore.runColumns) FROM settlement_runs
                WHERE kind = 'initial' AND finished_at IS NULL AND to_minute IS NOT NULL AND run > $1 ORDER BY run LIMIT 1
                """, [.integer(lastInitial)])
            progress.brokenOff = try broken.map(MeterStore.run)
            return progress
        }
    }

    /// When the first delivery was opened that runs of this kind have billed: it may have been over before the first of them.
    private static func firstBilled(_ connection: any SQLConnection) throws -> Timestamp? {
        try connection.queryOne(
            """
            SELECT opened_at FROM deliveries WHERE id = (
                SELECT min(delivery) FROM settlement_lines
                WHERE run >= (SELECT min(run) FROM settlement_runs WHERE program IS NOT NULL))
            """
        ).map { Timestamp(microseconds: try $0.int64(0)) }
    }

    public func runs(before cursor: Int64?, limit: Int) async throws -> [SettlementRun] {
        try await database.read { connection in
            try connection.query(
                "SELECT \(MeterStore.runColumns) FROM settlement_runs WHERE run < $1 ORDER BY run DESC LIMIT $2",
                [.integer(cursor ?? .max), .integer(Int64(limit))]
            ).map(MeterStore.run)
        }
    }

    private static func run(_ row: SQLRow) throws -> SettlementRun {
        guard let kind = SettlementKind(rawValue: try row.text(1)) else { throw DatabaseError.decoding("kind of a run") }
        var minutes: Range<Int64>?
        if let from = try row.optionalInt64(2), let to = try row.optionalInt64(3), from <= to { minutes = from..<to }
        var run = SettlementRun(
            kind: kind, minutes: minutes, startedAt: Timestamp(microseconds: try row.int64(4)),
            watermark: Timestamp(microseconds: try row.int64(5)), program: try row.optionalText(6),
            requestedBy: try row.optionalInt64(10).map { AccountID($0) }, note: try row.optionalText(11))
        run.number = try row.int64(0)
        run.inputDigest = try row.optionalBlob(7)
        run.deliveries = try row.optionalInt64(8) ?? 0
        run.totals = try row.optionalInt64(9) ?? 0
        run.finishedAt = try row.optionalInt64(12).map { Timestamp(microseconds: $0) }
        return run
    }

    public func valueDates() async throws -> ClosedRange<Timestamp>? {
        try await database.read { connection in
            let row = try connection.queryOne("SELECT min(value_at), max(value_at) FROM ledger_entries")
            guard let row, let first = try row.optionalInt64(0), let last = try row.optionalInt64(1) else { return nil }
            return Timestamp(microseconds: first)...Timestamp(microseconds: last)
        }
    }
}

// MARK: - Late and expired work

extension MeterStore {
    public func lateSlots(after cursor: LateSlot?, limit: Int) async throws -> [LateSlot] {
        try await database.read { connection in
            try connection.query(
                """
                SELECT delivery, rig, minute, noted_at FROM late_slots WHERE (delivery, rig, minute) > ($1, $2, $3)
                ORDER BY delivery, rig, minute LIMIT $4
                """,
                [
                    .integer(cursor?.delivery.rawValue ?? 0), .integer(cursor?.rig.rawValue ?? 0), .integer(cursor?.minute ?? 0),
                    .integer(Int64(limit)),
                ]
            ).map { row in
                LateSlot(
                    delivery: DeliveryID(try row.int64(0)), rig: RigID(try row.int64(1)), minute: try row.int64(2),
                    notedAt: try row.int64(3))
            }
        }
    }

    public func forget(_ slots: [LateSlot]) async throws {
        guard !slots.isEmpty else { return }
        let rows = slots.map { slot -> [SQLValue] in
            [.integer(slot.delivery.rawValue), .integer(slot.rig.rawValue), .integer(slot.minute), .integer(slot.notedAt)]
        }
        try await database.write { connection in
            try connection.executeMany(
                "DELETE FROM late_slots WHERE delivery = $1 AND rig = $2 AND minute = $3 AND noted_at = $4", rows: rows)
        }
    }

    public func expiredWork(after count: Int64, limit: Int) async throws -> [ExpiredWork] {
        try await database.read { connection in
            try connection.query(
                """
                SELECT edge, epoch, sequence, delivery, rig, minute, valid_shares, valid_work, billable_work, applied_at,
                       acknowledged_by, acknowledged_at
                FROM expired_work ORDER BY applied_at, edge, epoch, sequence, delivery, rig, minute LIMIT $1 OFFSET $2
                """, [.integer(Int64(limit)), .integer(count)]
            ).map(MeterStore.expired)
        }
    }

    private static func expired(_ row: SQLRow) throws -> ExpiredWork {
        let delivery = try row.int64(3)
        return ExpiredWork(
            edge: EdgeID(try row.int64(0)), epoch: try row.int64(1), sequence: try row.int64(2),
            delivery: delivery == 0 ? nil : DeliveryID(delivery), rig: RigID(try row.int64(4)), minute: try row.int64(5),
            validShares: try row.int64(6), validWork: Work(units: try row.int64(7)), billableWork: Work(units: try row.int64(8)),
            appliedAt: Timestamp(microseconds: try row.int64(9)),
            acknowledgedBy: try row.optionalInt64(10).map { AccountID($0) },
            acknowledgedAt: try row.optionalInt64(11).map { Timestamp(microseconds: $0) })
    }

    public func acknowledgeExpired(appliedThrough: Timestamp, by: AccountID, at: Timestamp) async throws -> Int {
        try await database.write { connection in
            try connection.execute(
                "UPDATE expired_work SET acknowledged_by = $1, acknowledged_at = $2 WHERE applied_at <= $3 AND acknowledged_at IS NULL",
                [.integer(by.rawValue), .integer(at.microseconds), .integer(appliedThrough.microseconds)])
        }
    }
}
