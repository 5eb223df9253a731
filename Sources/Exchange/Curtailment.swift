public import Units

/// A farm whose owner draws less power for a while.
///
/// holding -> lifted (rigs come back over the ramp) -> gone
public struct Curtailment: Hashable, Sendable {
    public var farm: FarmID
    /// The most hashrate that its rigs may have together.
    public var cap: Lots
    /// How long it takes until all rigs are back.
    public var ramp: Interval
    public var since: Timestamp
    /// When it is lifted by itself.
    public var until: Timestamp?
    /// nil while it holds.
    public var liftedAt: Timestamp?

    public init(
        farm: FarmID, cap: Lots, ramp: Interval, since: Timestamp, until: Timestamp? = nil, liftedAt: Timestamp? = nil
    ) {
        self.farm = farm
        self.cap = cap
        self.ramp = ramp
        self.since = since
        self.until = until
        self.liftedAt = liftedAt
    }

    public var isHolding: Bool { liftedAt == nil }

    public static let longestRamp = Interval.seconds(86_400)
}

/// A rig that may not hash now.
public struct CutRig: Hashable, Sendable {
    public var farm: FarmID
    /// nil: not before the curtailment is lifted.
    public var returnsAt: Timestamp?

    public init(farm: FarmID, returnsAt: Timestamp? = nil) {
        self.farm = farm
        self.returnsAt = returnsAt
    }
}

/// When a rig that was cut comes back.
public struct RigReturn: Hashable, Sendable {
    public var rig: RigID
    public var at: Timestamp?

    public init(rig: RigID, at: Timestamp?) {
        self.rig = rig
        self.at = at
    }
}

/// Which rigs of a curtailed farm go on: the dearest sold first, then those that hash unsold, then those that are away; among
/// equals by number. Each one that still fits under the cap is kept.
public struct CurtailmentPlan: Sendable {
    public struct Candidate: Hashable, Sendable {
        public var rig: RigID
        /// What it hashes; 0 while that is unknown, and then it is not kept.
        public var hashrate: Hashrate
        /// Of what is sold of it the highest; nil while it is unsold.
        public var price: Price?
        public var isOnline: Bool

        public init(rig: RigID, hashrate: Hashrate, price: Price?, isOnline: Bool) {
            self.rig = rig
            self.hashrate = hashrate
            self.price = price
            self.isOnline = isOnline
        }

        fileprivate var rank: (Int64, Int) { (-(price?.rawValue ?? 0), isOnline ? 0 : 1) }
    }

    public let kept: Set<RigID>

    /// O(n log n)
    public init(_ candidates: [Candidate], cap: Hashrate) {
        var left = cap.hashesPerSecond
        var kept: Set<RigID> = []
        for candidate in candidates.sorted(by: { ($0.rank, $0.rig) < ($1.rank, $1.rig) }) {
            let hashrate = candidate.hashrate.hashesPerSecond
            guard hashrate > 0, hashrate <= left else { continue }
            left -= hashrate
            kept.insert(candidate.rig)
        }
        self.kept = kept
    }
}

/// How rigs come back: after a part of the time the same part of them, in the order given, on whole seconds.
public struct ReturnRamp: Sendable {
    public let start: Timestamp
    public let length: Interval

    public init(start: Timestamp, length: Interval) {
        precondition(length >= .zero, "a ramp does not run backwards")
        self.start = start
        self.length = length
    }

    /// When each of them is admitted; the last at the end of the ramp, or up to a second later.
    public func returns(of rigs: [RigID]) -> [RigReturn] {
        let count = Int128(max(1, rigs.count))
        return rigs.enumerated().map { place, rig in
            let offset = Int64(Int128(length.microseconds) * Int128(place + 1) / count)
            return RigReturn(rig: rig, at: start + .seconds((offset + 999_999) / 1_000_000))
        }
    }
}

private func < (a: ((Int64, Int), RigID), b: ((Int64, Int), RigID)) -> Bool {
    if a.0 != b.0 { return a.0 < b.0 }
    return a.1 < b.1
}
