public import Units

/// Names a meter slot: work by verdict for a delivery (or unsold work), a rig and a minute.
public struct SlotKey: Hashable, Comparable, Sendable {
    /// nil for work on the rig's fallback pool.
    public var delivery: DeliveryID?
    public var rig: RigID
    /// Minutes since 1970, UTC, of the shares' receipt.
    public var minute: Int64

    public init(delivery: DeliveryID?, rig: RigID, minute: Int64) {
        self.delivery = delivery
        self.rig = rig
        self.minute = minute
    }

    public static func < (a: SlotKey, b: SlotKey) -> Bool {
        let left = (a.delivery?.rawValue ?? 0, a.rig.rawValue, a.minute)
        return left < (b.delivery?.rawValue ?? 0, b.rig.rawValue, b.minute)
    }
}

/// What one slot counts. Shares are numbers of shares, work is at assigned difficulty.
public struct SlotCounts: Hashable, Sendable {
    public var validShares: Int64 = 0
    public var validWork: Work = .zero
    /// The part of ``validWork`` that counts towards the delivery's bill.
    public var billableWork: Work = .zero
    public var staleShares: Int64 = 0
    public var staleWork: Work = .zero
    public var duplicateShares: Int64 = 0
    public var lowDifficultyShares: Int64 = 0
    public var invalidShares: Int64 = 0
    public var forwardedShares: Int64 = 0
    public var poolAccepted: Int64 = 0
    public var poolRejected: Int64 = 0
    public var poolUnanswered: Int64 = 0

    public init() {}

    public static func += (a: inout SlotCounts, b: SlotCounts) {
        a.validShares += b.validShares
        a.validWork += b.validWork
        a.billableWork += b.billableWork
        a.staleShares += b.staleShares
        a.staleWork += b.staleWork
        a.duplicateShares += b.duplicateShares
        a.lowDifficultyShares += b.lowDifficultyShares
        a.invalidShares += b.invalidShares
        a.forwardedShares += b.forwardedShares
        a.poolAccepted += b.poolAccepted
        a.poolRejected += b.poolRejected
        a.poolUnanswered += b.poolUnanswered
    }
}

/// Turns spool records into slot deltas. Order does not matter: every record only adds.
public struct Meter: Sendable {
    public private(set) var slots: [SlotKey: SlotCounts] = [:]

    public init() {}

    public init(_ records: some Sequence<MeterRecord>) {
        for record in records { add(record) }
    }

    public mutating func add(_ record: MeterRecord) {
        switch record {
        case .job: break
        case .share(let share): add(share)
        case .poolReply(let reply): add(reply)
        }
    }

    private mutating func add(_ share: ShareRecord) {
        let key = SlotKey(delivery: share.delivery, rig: share.rig, minute: share.receivedAt.minute)
        slots[key, default: SlotCounts()].count(share)
    }

    private mutating func add(_ reply: PoolReplyRecord) {
        let key = SlotKey(delivery: reply.delivery, rig: reply.rig, minute: reply.shareReceivedAt.minute)
        switch reply.reply {
        case .accepted: slots[key, default: SlotCounts()].poolAccepted += 1
        case .rejected: slots[key, default: SlotCounts()].poolRejected += 1
        case .unanswered: slots[key, default: SlotCounts()].poolUnanswered += 1
        }
    }
}

extension SlotCounts {
    fileprivate mutating func count(_ share: ShareRecord) {
        if share.isForwarded { forwardedShares += 1 }
        switch share.verdict {
        case .valid:
            validShares += 1
            validWork += share.difficulty
            if share.isBillable { billableWork += share.difficulty }
        case .stale:
            staleShares += 1
            staleWork += share.difficulty
        case .duplicate: duplicateShares += 1
        case .lowDifficulty: lowDifficultyShares += 1
        case .invalid: invalidShares += 1
        }
    }
}
