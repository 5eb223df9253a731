public import Database
public import Market
public import Metering
public import Units

/// A batch came again under its number with other content.
public struct BatchConflict: Error, CustomStringConvertible {
    public let description: String
}

/// Metered work in SQL: batches, slots, jobs and raw shares.
public struct MeterStore: MeterPort {
    private let database: Database
    private let clock: @Sendable () -> Timestamp

    public init(_ database: Database, clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock) {
        self.database = database
        self.clock = clock
    }

    public func apply(_ batch: SealedBatch, digest: [UInt8]) async throws {
        let now = clock()
        try await database.write { connection in
            guard try isNew(batch, digest, now, connection) else { return }
            try writeSlots(Meter(batch.records), connection)
            try writeRecords(batch, connection)
        }
    }

    /// Books the batch's number; false if this very batch was applied before.
    private func isNew(
        _ batch: SealedBatch, _ digest: [UInt8], _ now: Timestamp, _ connection: any SQLConnection
    ) throws -> Bool {
        let inserted = try connection.execute(
            """
            INSERT INTO batches (edge, epoch, sequence, digest, complete_until, records, applied_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (edge, epoch, sequence) DO NOTHING
            """,
            [
                .integer(batch.edge.rawValue), .integer(batch.epoch), .integer(batch.sequence), .blob(digest),
                .integer(batch.completeUntil.microseconds), .integer(Int64(batch.records.count)),
                .integer(now.microseconds),
            ])
        if inserted == 1 { return true }
        let known = try connection.queryOne(
            "SELECT digest FROM batches WHERE edge = $1 AND epoch = $2 AND sequence = $3",
            [.integer(batch.edge.rawValue), .integer(batch.epoch), .integer(batch.sequence)])?.blob(0)
        guard known == digest else {
            throw BatchConflict(description: "batch \(batch.edge)/\(batch.epoch)/\(batch.sequence) came with other content")
        }
        return false
    }

    private func writeSlots(_ meter: Meter, _ connection: any SQLConnection) throws {
        let columns = MeterStore.countColumns
        let sql = TableColumns.insert("meter_slots", ["delivery", "rig", "minute"] + columns)
            + " ON CONFLICT (delivery, rig, minute) DO UPDATE SET "
            + columns.map { "\($0) = meter_slots.\($0) + excluded.\($0)" }.joined(separator: ", ")
        let rows = meter.slots.sorted { $0.key < $1.key }.map { key, counts -> [SQLValue] in
            let numbers: [Int64] = [
                key.delivery?.rawValue ?? 0, key.rig.rawValue, key.minute, counts.validShares, counts.validWork.units,
                counts.billableWork.units, counts.staleShares, counts.staleWork.units, counts.duplicateShares,
                counts.lowDifficultyShares, counts.invalidShares, counts.forwardedShares, counts.poolAccepted,
                counts.poolRejected, counts.poolUnanswered,
            ]
            return numbers.map { .integer($0) }
        }
        if !rows.isEmpty { try connection.executeMany(sql, rows: rows) }
    }

    /// The columns of ``SlotCounts``.
    static let countColumns = [
        "valid_shares", "valid_work", "billable_work", "stale_shares", "stale_work", "duplicate_shares",
        "low_difficulty_shares", "invalid_shares", "forwarded_shares", "pool_accepted", "pool_rejected",
        "pool_unanswered",
    ]

    /// Reads ``countColumns`` back, from this column on.
    static func counts(_ row: SQLRow, from first: Int) throws -> SlotCounts {
        var counts = SlotCounts()
        counts.validShares = try row.int64(first)
        counts.validWork = Work(units: try row.int64(first + 1))
        counts.billableWork = Work(units: try row.int64(first + 2))
        counts.staleShares = try row.int64(first + 3)
        counts.staleWork = Work(units: try row.int64(first + 4))
        counts.duplicateShares = try row.int64(first + 5)
        counts.lowDifficultyShares = try row.int64(first + 6)
        counts.invalidShares = try row.int64(first + 7)
        counts.forwardedShares = try row.int64(first + 8)
        counts.poolAccepted = try row.int64(first + 9)
        counts.poolRejected = try row.int64(first + 10)
        counts.poolUnanswered = try row.int64(first + 11)
        return counts
    }

    private func writeRecords(_ batch: SealedBatch, _ connection: any SQLConnection) throws {
        let origin: [SQLValue] = [.integer(batch.edge.rawValue), .integer(batch.epoch)]
        var jobs: [[SQLValue]] = []
        var shares: [[SQLValue]] = []
        var replies: [[SQLValue]] = []
        for record in batch.records {
            switch record {
            case .job(let job): jobs.append(origin + MeterStore.values(job))
            case .share(let share): shares.append(origin + MeterStore.values(share))
            case .poolReply(let reply):
                replies.append([
                    .integer(Int64(reply.reply.rawValue)), .integer(reply.errorCode),
                ] + origin + [.integer(reply.share)])
            }
        }
        if !jobs.isEmpty {
            try connection.executeMany(TableColumns.insert("jobs", [
                "edge", "epoch", "number", "target", "pool_job", "coinbase_prefix", "coinbase_suffix", "branches",
                "previous_hash", "version", "nbits", "ntime",
            ]), rows: jobs)
        }
        if !shares.isEmpty {
            try connection.executeMany(TableColumns.insert("shares", [
                "edge", "epoch", "number", "received_at", "rig", "delivery", "job", "verdict", "difficulty",
                "billable", "forwarded", "extranonce2", "ntime", "nonce", "version", "hash",
            ]), rows: shares)
        }
        if !replies.isEmpty {
            try connection.executeMany(
                "UPDATE shares SET pool_reply = $1, pool_error = $2 WHERE edge = $3 AND epoch = $4 AND number = $5",
                rows: replies)
        }
    }

    private static func values(_ job: JobRecord) -> [SQLValue] {
        [
            .integer(job.number), .integer(job.target.rawValue), .blob(job.poolJobID), .blob(job.coinbasePrefix),
            .blob(job.coinbaseSuffix), .blob(job.branches), .blob(job.previousHash), .integer(Int64(job.version)),
            .integer(Int64(job.nbits)), .integer(Int64(job.ntime)),
        ]
    }

    private static func values(_ share: ShareRecord) -> [SQLValue] {
        [
            .integer(share.number), .integer(share.receivedAt.microseconds), .integer(share.rig.rawValue),
            .integer(share.delivery?.rawValue ?? 0), .integer(share.job), .integer(Int64(share.verdict.rawValue)),
            .integer(share.difficulty.units), SQLValue(share.isBillable), SQLValue(share.isForwarded),
            .blob(share.extranonce2), .integer(Int64(share.ntime)), .integer(Int64(share.nonce)),
            .integer(Int64(share.version)), .blob(share.hash),
        ]
    }

    // MARK: - For settlement

    public func watermark() async throws -> Timestamp {
        try await database.read { connection in
            // The slowest edge sets the mark. One that has shipped nothing yet is complete until its spool was made.
            let row = try connection.queryOne(
                """
                SELECT min(coalesce(b.mark, e.mark)) FROM (
                    SELECT edge, max(created_at) AS mark FROM edge_epochs GROUP BY edge
                ) AS e
                FULL JOIN (
                    SELECT edge, max(complete_until) AS mark FROM batches GROUP BY edge
                ) AS b ON b.edge = e.edge
                """, [])
            return Timestamp(microseconds: try row?.optionalInt64(0) ?? 0)
        }
    }

    public func billableWork(from: DeliveryID, through: DeliveryID) async throws -> [DeliveryID: Work] {
        try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT delivery, CAST(sum(billable_work) AS BIGINT) FROM meter_slots
                WHERE delivery BETWEEN $1 AND $2 GROUP BY delivery
                """, [.integer(from.rawValue), .integer(through.rawValue)])
            var work: [DeliveryID: Work] = [:]
            for row in rows { work[DeliveryID(try row.int64(0))] = Work(units: try row.int64(1)) }
            return work
        }
    }

    public func beginRun(at: Timestamp, watermark: Timestamp) async throws -> Int64 {
        try await database.write { connection in
            guard let row = try connection.queryOne(
                """
                INSERT INTO settlement_runs (run, kind, started_at, watermark)
                SELECT coalesce(max(run), 0) + 1, 'initial', CAST($1 AS BIGINT), CAST($2 AS BIGINT)
                FROM settlement_runs
                RETURNING run
                """, [.integer(at.microseconds), .integer(watermark.microseconds)])
            else { throw DatabaseError.decoding("no run number came back") }
            return try row.int64(0)
        }
    }

    public func allotEpoch(edge: EdgeID, at: Timestamp) async throws -> Int64 {
        try await database.write { connection in
            guard let row = try connection.queryOne(
                """
                INSERT INTO edge_epochs (edge, epoch, created_at)
                SELECT CAST($1 AS BIGINT), coalesce(max(epoch), 0) + 1, CAST($2 AS BIGINT)
                FROM edge_epochs WHERE edge = $1
                RETURNING epoch
                """, [.integer(edge.rawValue), .integer(at.microseconds)])
            else { throw DatabaseError.decoding("no epoch came back") }
            return try row.int64(0)
        }
    }

    /// Billable work metered per delivery, to restore what routes were credited before a restart.
    public func credits(of deliveries: [DeliveryID]) async throws -> [DeliveryID: Work] {
        guard let first = deliveries.min(), let last = deliveries.max() else { return [:] }
        let known = Set(deliveries)
        return try await billableWork(from: first, through: last).filter { known.contains($0.key) }
    }
}
