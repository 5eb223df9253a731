public import Database
public import Market
public import Metering
public import Units

/// Metered work in SQL: batches, slots, jobs and raw shares.
public struct MeterStore: MeterPort {
    /// Batches that one transaction applies at most.
    static let mostBatches = 32

    let database: Database
    private let clock: @Sendable () -> Timestamp
    private let rawShares: Bool
    private let lateAfter: Interval

    /// Slots that get work later than this after their minute are noted for a true-up: an hour before the shortest dispute window
    /// ends.
    public static let lateAfter = Interval.seconds(23 * 3600)

    /// - Parameters:
    ///   - rawShares: whether each share and its job become rows beside the slots
    ///   - lateAfter: less than the dispute window by what edges' and servers' clocks may differ, at least
    public init(
        _ database: Database, rawShares: Bool = true, lateAfter: Interval = MeterStore.lateAfter,
        clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock
    ) {
        self.database = database
        self.clock = clock
        self.rawShares = rawShares
        self.lateAfter = lateAfter
    }

    /// - Throws: ``BatchConflict``, or what the database threw; then nothing of the batch is kept, or its commit's outcome is
    ///   not known: it may be applied again
    public func apply(_ batch: SealedBatch, digest: [UInt8]) async throws {
        switch try await apply([DigestedBatch(batch, digest: digest)])[0] {
        case .applied, .repeated: break
        case .conflicting(let conflict): throw conflict
        case .failed(let error): throw error
        }
    }

    /// Applies batches, each exactly once, several in one transaction. One that cannot be applied does not hold up the others.
    ///
    /// - Returns: what became of each, in their order
    /// - Throws: when the database failed as a whole; whatever was applied by then is recognised when it comes again
    public func apply(_ batches: [DigestedBatch]) async throws -> [BatchOutcome] {
        var outcomes = Array(repeating: BatchOutcome.repeated, count: batches.count)
        // The order of their numbers: replies follow their shares, and servers that apply the same ones wait for each other.
        let order = batches.indices.sorted { batches[$0].number < batches[$1].number }
        for start in stride(from: 0, to: order.count, by: MeterStore.mostBatches) {
            let chunk = order[start..<min(start + MeterStore.mostBatches, order.count)]
            for (index, outcome) in zip(chunk, try await applyChunk(chunk.map { batches[$0] })) { outcomes[index] = outcome }
        }
        return outcomes
    }

    private func applyChunk(_ batches: [DigestedBatch]) async throws -> [BatchOutcome] {
        do { return try await applyTogether(batches) } catch let error as DatabaseError where error.isOfOneBatch {
            guard batches.count > 1 else { return [.failed(error)] }
        }
        var outcomes: [BatchOutcome] = []
        for batch in batches { outcomes += try await applyChunk([batch]) }
        return outcomes
    }

    /// One transaction. The rows are made before it begins.
    private func applyTogether(_ batches: [DigestedBatch]) async throws -> [BatchOutcome] {
        let now = clock()
        let rows = MeterRows(batches, rawShares: rawShares, now: now)
        let extents = batches.map { BatchExtent($0.batch) }
        return try await database.write { connection in
            let outcomes = try zip(batches, extents).map { try book($0, $1, now, connection) }
            let new = zip(batches, outcomes).filter { $0.1.isApplied }.map { $0.0 }
            guard !new.isEmpty else { return outcomes }
            let old = OldSlots(connection, now: now, lateAfter: lateAfter)
            if new.count == batches.count {
                try rows.write(connection, old)
            } else {
                try MeterRows(new, rawShares: rawShares, now: now).write(connection, old)
            }
            return outcomes
        }
    }

    /// Books the batch's number, which is what makes it count once.
    private func book(
        _ item: DigestedBatch, _ extent: BatchExtent, _ now: Timestamp, _ connection: any SQLConnection
    ) throws -> BatchOutcome {
        let batch = item.batch
        let inserted = try connection.execute(
            """
            INSERT INTO batches (
                edge, epoch, sequence, digest, complete_until, records, applied_at, first_share, last_share, first_minute)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (edge, epoch, sequence) DO NOTHING
            """,
            [
                .integer(batch.edge.rawValue), .integer(batch.epoch), .integer(batch.sequence), .blob(item.digest),
                .integer(batch.completeUntil.microseconds), .integer(Int64(batch.records.count)),
                .integer(now.microseconds), SQLValue(extent.shares?.lowerBound), SQLValue(extent.shares?.upperBound),
                SQLValue(extent.firstMinute),
            ])
        if inserted == 1 { return .applied }
        let known = try connection.queryOne(
            "SELECT digest FROM batches WHERE edge = $1 AND epoch = $2 AND sequence = $3",
            [.integer(batch.edge.rawValue), .integer(batch.epoch), .integer(batch.sequence)])?.blob(0)
        if known == item.digest { return .repeated }
        return .conflicting(BatchConflict(
            description: "batch \(batch.edge)/\(batch.epoch)/\(batch.sequence) came with other content"))
    }
}
