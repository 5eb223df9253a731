internal import Database
internal import Metering
internal import Units

/// Which shares a batch holds, and how far back its slots go.
struct BatchExtent {
    /// Numbers of its first and last share; nil without shares.
    private(set) var shares: ClosedRange<Int64>?
    /// Minutes since 1970 of the earliest slot that it adds to; nil when it adds to none.
    private(set) var firstMinute: Int64?

    init(_ batch: SealedBatch) {
        var first = Int64.max, last = Int64.min, minute = Int64.max
        for record in batch.records {
            switch record {
            case .job: break
            case .share(let share):
                first = min(first, share.number)
                last = max(last, share.number)
                minute = min(minute, share.receivedAt.minute)
            case .poolReply(let reply): minute = min(minute, reply.shareReceivedAt.minute)
            }
        }
        if first <= last { shares = first...last }
        if minute < .max { firstMinute = minute }
    }
}

/// Work that comes long after its minute: noted for a true-up, or, when its slots have gone, as expired.
struct OldSlots {
    private let connection: any SQLConnection
    private let now: Timestamp
    private let lateAfter: Interval

    /// Retention keeps a day at least: only slots older than half of one may have gone.
    private static let youngestGone = Interval.seconds(12 * 3600)

    init(_ connection: any SQLConnection, now: Timestamp, lateAfter: Interval) {
        self.connection = connection
        self.now = now
        self.lateAfter = lateAfter
    }

    /// Notes what is old, and takes out what must not become a slot again.
    ///
    /// - Parameter slots: sums of the batches, in order
    func note(_ slots: inout [(key: SlotKey, value: SlotCounts)], _ batches: [DigestedBatch]) throws {
        let oldest = slots.lazy.map(\.key.minute).min() ?? .max
        if oldest < (now - OldSlots.youngestGone).minute { try takeExpired(&slots, oldest, batches) }
        let late = (now - lateAfter).minute
        guard oldest < late else { return }
        for (key, _) in slots where key.minute < late {
            guard let delivery = key.delivery else { continue }
            // A row that is there changes: whoever has read it does not take it away.
            try connection.execute(
                """
                INSERT INTO late_slots (delivery, rig, minute, noted_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (delivery, rig, minute) DO UPDATE SET noted_at = late_slots.noted_at + 1
                """,
                [.integer(delivery.rawValue), .integer(key.rig.rawValue), .integer(key.minute), .integer(now.microseconds)])
        }
    }

    private func takeExpired(
        _ slots: inout [(key: SlotKey, value: SlotCounts)], _ oldest: Int64, _ batches: [DigestedBatch]
    ) throws {
        let row = try connection.queryOne("SELECT kept_from FROM retention WHERE name = 'meter_slots'")
        guard let row else { return }
        let keptFrom = Timestamp(microseconds: try row.int64(0)).minute
        guard oldest < keptFrom else { return }
        slots.removeAll { $0.key.minute < keptFrom }
        for item in batches {
            let expired = Meter(item.batch.records).slots.filter { $0.key.minute < keptFrom && $0.value.validShares > 0 }
            for (key, counts) in expired.sorted(by: { $0.key < $1.key }) { try keep(key, counts, of: item) }
        }
    }

    private func keep(_ key: SlotKey, _ counts: SlotCounts, of item: DigestedBatch) throws {
        try connection.execute(
            """
            INSERT INTO expired_work (
                edge, epoch, sequence, delivery, rig, minute, valid_shares, valid_work, billable_work, applied_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            [
                .integer(item.batch.edge.rawValue), .integer(item.batch.epoch), .integer(item.batch.sequence),
                .integer(key.delivery?.rawValue ?? 0), .integer(key.rig.rawValue), .integer(key.minute),
                .integer(counts.validShares), .integer(counts.validWork.units), .integer(counts.billableWork.units),
                .integer(now.microseconds),
            ])
    }
}
