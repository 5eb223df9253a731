internal import Database
internal import Metering
internal import Units

/// All rows that some batches add.
struct MeterRows {
    private var meter = Meter()
    private let batches: [DigestedBatch]
    private let rawShares: Bool
    private var jobs = SQLRows(columns: MeterRows.jobColumns.count)
    private var shares: SQLRows
    private var replies: [ShareName: PoolReplyRecord] = [:]

    /// A share's number among all edges.
    struct ShareName: Hashable {
        var edge: Int64
        var epoch: Int64
        var number: Int64
    }

    init(_ batches: [DigestedBatch], rawShares: Bool, now: Timestamp) {
        self.batches = batches
        self.rawShares = rawShares
        let records = rawShares ? batches.reduce(0) { $0 + $1.batch.records.count } : 0
        shares = SQLRows(columns: MeterRows.shareColumns.count, reservingCapacity: records)
        for item in batches {
            for record in item.batch.records { meter.add(record) }
            guard rawShares else { continue }
            addReplies(item.batch)
        }
        guard rawShares else { return }
        for item in batches { addRecords(item.batch, now) }
    }

    func write(_ connection: any SQLConnection, _ old: OldSlots) throws {
        // In the order of their keys, so that servers which change the same slots wait for each other instead of deadlocking.
        var slots = meter.slots.sorted { $0.key < $1.key }
        try old.note(&slots, batches)
        try connection.upsert(
            into: "meter_slots", MeterRows.slotColumns, key: ["delivery", "rig", "minute"], rows(slots), rule: .add)
        guard rawShares else { return }
        try connection.insert(into: "jobs", MeterRows.jobColumns, jobs)
        try connection.insert(into: "shares", MeterRows.shareColumns, shares)
        let late = LateReplies(connection)
        try late.write(replies)
        if !shares.isEmpty { try late.settleWaiting() }
    }

    // MARK: - Slots

    private static let slotColumns = ["delivery", "rig", "minute"] + MeterStore.countColumns + ["unlogged_shares"]

    private func rows(_ slots: [(key: SlotKey, value: SlotCounts)]) -> SQLRows {
        var rows = SQLRows(columns: MeterRows.slotColumns.count, reservingCapacity: slots.count)
        for (key, counts) in slots {
            rows.append(.integer(key.delivery?.rawValue ?? 0))
            rows.append(.integer(key.rig.rawValue))
            rows.append(.integer(key.minute))
            MeterStore.append(counts, to: &rows)
            rows.append(.integer(rawShares ? 0 : counts.shares))
        }
        return rows
    }

    // MARK: - Records

    private mutating func addReplies(_ batch: SealedBatch) {
        for record in batch.records {
            guard case .poolReply(let reply) = record else { continue }
            replies[ShareName(edge: batch.edge.rawValue, epoch: batch.epoch, number: reply.share)] = reply
        }
    }

    private mutating func addRecords(_ batch: SealedBatch, _ now: Timestamp) {
        let sealedAt = MeterRows.sealedAt(batch, now)
        for record in batch.records {
            switch record {
            case .job(let job): add(job, of: batch, sealedAt)
            case .share(let share): add(share, of: batch)
            case .poolReply: break
            }
        }
    }

    /// A batch promises nothing more than the one before it while others follow: then its last share tells its time.
    private static func sealedAt(_ batch: SealedBatch, _ now: Timestamp) -> Timestamp {
        let last = batch.records.lazy.compactMap { record -> Timestamp? in
            guard case .share(let share) = record else { return nil }
            return share.receivedAt
        }.max()
        let known = max(batch.completeUntil, last ?? batch.completeUntil)
        return known.microseconds > 0 ? known : now
    }

    private static let jobColumns = [
        "edge", "epoch", "number", "sealed_at", "target", "pool_job", "coinbase_prefix", "coinbase_suffix", "branches",
        "previous_hash", "version", "nbits", "ntime",
    ]

    private mutating func add(_ job: JobRecord, of batch: SealedBatch, _ sealedAt: Timestamp) {
        jobs.append(.integer(batch.edge.rawValue))
        jobs.append(.integer(batch.epoch))
        jobs.append(.integer(job.number))
        jobs.append(.integer(sealedAt.microseconds))
        jobs.append(.integer(job.target.rawValue))
        jobs.append(.blob(job.poolJobID))
        jobs.append(.blob(job.coinbasePrefix))
        jobs.append(.blob(job.coinbaseSuffix))
        jobs.append(.blob(job.branches))
        jobs.append(.blob(job.previousHash))
        jobs.append(.integer(Int64(job.version)))
        jobs.append(.integer(Int64(job.nbits)))
        jobs.append(.integer(Int64(job.ntime)))
    }

    private static let shareColumns = [
        "edge", "epoch", "number", "received_at", "rig", "delivery", "job", "verdict", "difficulty", "billable", "forwarded",
        "extranonce2", "ntime", "nonce", "version", "hash", "pool_reply", "pool_error",
    ]

    private mutating func add(_ share: ShareRecord, of batch: SealedBatch) {
        shares.append(.integer(batch.edge.rawValue))
        shares.append(.integer(batch.epoch))
        shares.append(.integer(share.number))
        shares.append(.integer(share.receivedAt.microseconds))
        shares.append(.integer(share.rig.rawValue))
        shares.append(.integer(share.delivery?.rawValue ?? 0))
        shares.append(.integer(share.job))
        shares.append(.integer(Int64(share.verdict.rawValue)))
        shares.append(.integer(share.difficulty.units))
        shares.append(SQLValue(share.isBillable))
        shares.append(SQLValue(share.isForwarded))
        shares.append(.blob(share.extranonce2))
        shares.append(.integer(Int64(share.ntime)))
        shares.append(.integer(Int64(share.nonce)))
        shares.append(.integer(Int64(share.version)))
        shares.append(.blob(share.hash))
        let reply = share.isForwarded && !replies.isEmpty ? takeReply(share, of: batch) : nil
        shares.append(SQLValue(reply.map { Int64($0.reply.rawValue) }))
        shares.append(SQLValue(reply?.errorCode))
    }

    /// The pool's answer, if it came together with the share.
    private mutating func takeReply(_ share: ShareRecord, of batch: SealedBatch) -> PoolReplyRecord? {
        let name = ShareName(edge: batch.edge.rawValue, epoch: batch.epoch, number: share.number)
        guard let reply = replies[name], reply.shareReceivedAt == share.receivedAt else { return nil }
        replies[name] = nil
        return reply
    }
}

extension SlotCounts {
    /// All shares, whatever the verdict.
    fileprivate var shares: Int64 { validShares + staleShares + duplicateShares + lowDifficultyShares + invalidShares }
}

extension MeterStore {
    /// The columns of ``SlotCounts``.
    static let countColumns = [
        "valid_shares", "valid_work", "billable_work", "stale_shares", "stale_work", "duplicate_shares",
        "low_difficulty_shares", "invalid_shares", "forwarded_shares", "pool_accepted", "pool_rejected",
        "pool_unanswered",
    ]

    /// Adds ``countColumns`` to a row.
    fileprivate static func append(_ counts: SlotCounts, to rows: inout SQLRows) {
        rows.append(.integer(counts.validShares))
        rows.append(.integer(counts.validWork.units))
        rows.append(.integer(counts.billableWork.units))
        rows.append(.integer(counts.staleShares))
        rows.append(.integer(counts.staleWork.units))
        rows.append(.integer(counts.duplicateShares))
        rows.append(.integer(counts.lowDifficultyShares))
        rows.append(.integer(counts.invalidShares))
        rows.append(.integer(counts.forwardedShares))
        rows.append(.integer(counts.poolAccepted))
        rows.append(.integer(counts.poolRejected))
        rows.append(.integer(counts.poolUnanswered))
    }

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
}
