public import Units

/// A pool target's day: what was metered, how the pool answered, and what it says itself.
public struct PoolDay: Hashable, Sendable {
    public var target: PoolTargetID
    /// Days since 1970, UTC.
    public var day: Int64
    /// Work of valid shares, whether or not they met the pool's own target.
    public var validWork: Int128
    public var forwarded: Int64
    public var accepted: Int64
    public var rejected: Int64
    /// nil: the pool has not said.
    public var poolShares: Int64?
    public var poolWork: Int64?

    public init(
        target: PoolTargetID, day: Int64, validWork: Int128 = 0, forwarded: Int64 = 0, accepted: Int64 = 0, rejected: Int64 = 0,
        poolShares: Int64? = nil, poolWork: Int64? = nil
    ) {
        self.target = target
        self.day = day
        self.validWork = validWork
        self.forwarded = forwarded
        self.accepted = accepted
        self.rejected = rejected
        self.poolShares = poolShares
        self.poolWork = poolWork
    }

    /// Forwarded, and no answer known.
    public var unanswered: Int64 { forwarded - accepted - rejected }
}

/// Compares the meter with pools' answers and pools' own counts.
public enum PoolComparison {
    /// What is off by more than so many parts of a million: of what was forwarded, accepted or metered.
    ///
    /// A pool counts work at its own difficulty, only of shares that meet it: that is the same as the meter's on the long run
    /// only, so the tolerance has to be above what chance does.
    public static func breaks(_ days: [PoolDay], tolerance: PartsPerMillion) -> [FoundBreak] {
        days.flatMap { breaks($0, tolerance) }
    }

    /// Whether a difference is more than the tolerated part of what it should be.
    public static func exceeds(_ difference: Int128, of expected: Int128, _ tolerance: PartsPerMillion) -> Bool {
        difference.magnitude * 1_000_000 > (expected.magnitude) * UInt128(max(0, tolerance.rawValue))
    }

    private static func breaks(_ day: PoolDay, _ tolerance: PartsPerMillion) -> [FoundBreak] {
        var found: [FoundBreak] = []
        let forwarded = Int128(day.forwarded)
        func add(_ kind: BreakKind, _ amount: Int128, _ cause: String) {
            found.append(FoundBreak(
                kind: kind, key: "target \(day.target) | day \(day.day)", at: Timestamp(microseconds: day.day * Interval.day.microseconds),
                amount: Int64(clamping: amount), cause: cause))
        }
        if exceeds(Int128(day.rejected), of: forwarded, tolerance) {
            add(.poolRejected, Int128(day.rejected), "The pool refused \(day.rejected) of \(day.forwarded) shares.")
        }
        if exceeds(Int128(day.unanswered), of: forwarded, tolerance) {
            add(.poolUnanswered, Int128(day.unanswered), "The pool did not answer \(day.unanswered) of \(day.forwarded) shares.")
        }
        if let shares = day.poolShares {
            let difference = Int128(shares) - Int128(day.accepted)
            if exceeds(difference, of: Int128(day.accepted), tolerance) {
                add(.poolShareCount, difference, "The pool counts \(shares) shares; it accepted \(day.accepted).")
            }
        }
        if let work = day.poolWork {
            let difference = Int128(work) - day.validWork
            if exceeds(difference, of: day.validWork, tolerance) {
                add(.poolWork, difference, "The pool counts \(work) work units; \(day.validWork) were metered.")
            }
        }
        return found
    }

    /// Whether a day's slots and shares count the same, replies included: what bills were made from is what pools are compared with.
    public static func slotBreak(day: Int64, slots: SlotTotals, shares: SlotTotals) -> FoundBreak? {
        let differences = [
            slots.forwarded - shares.forwarded, slots.accepted - shares.accepted, slots.rejected - shares.rejected,
        ]
        guard let worst = differences.max(by: { $0.magnitude < $1.magnitude }), worst != 0 else { return nil }
        return FoundBreak(
            kind: .slotsDiffer, key: "day \(day)", at: Timestamp(microseconds: day * Interval.day.microseconds), amount: worst,
            cause: "Slots count \(slots.forwarded) forwarded, \(slots.accepted) accepted and \(slots.rejected) refused shares; the shares "
                + "themselves are \(shares.forwarded), \(shares.accepted) and \(shares.rejected).")
    }

    public struct SlotTotals: Hashable, Sendable {
        public var forwarded: Int64
        public var accepted: Int64
        public var rejected: Int64

        public init(forwarded: Int64, accepted: Int64, rejected: Int64) {
            self.forwarded = forwarded
            self.accepted = accepted
            self.rejected = rejected
        }
    }
}
