public import Metering
public import Units

/// A rig's figures of a longer time, from its edge.
public struct LiveFigures: Hashable, Sendable {
    public var hashrate5Minutes: Hashrate
    public var hashrate60Minutes: Hashrate
    public var hashrate24Hours: Hashrate
    /// Of the last day.
    public var online24Hours: Interval
    /// Best share, in work units of 65,536 hashes to a difficulty of 1; nil before the first.
    public var bestUnits: Int64?
    /// By the market's verdict, since the edge started.
    public var valid: Int64
    public var stale: Int64
    public var duplicate: Int64
    public var lowDifficulty: Int64
    public var invalid: Int64
    public var notKept: Int64
    public var blocks: Int64
    /// Since its present firmware connected first.
    public var firmware: FirmwareFigures

    public init(
        hashrate5Minutes: Hashrate, hashrate60Minutes: Hashrate, hashrate24Hours: Hashrate, online24Hours: Interval,
        bestUnits: Int64?, valid: Int64, stale: Int64, duplicate: Int64, lowDifficulty: Int64, invalid: Int64, notKept: Int64,
        blocks: Int64, firmware: FirmwareFigures
    ) {
        self.hashrate5Minutes = hashrate5Minutes
        self.hashrate60Minutes = hashrate60Minutes
        self.hashrate24Hours = hashrate24Hours
        self.online24Hours = online24Hours
        self.bestUnits = bestUnits
        self.valid = valid
        self.stale = stale
        self.duplicate = duplicate
        self.lowDifficulty = lowDifficulty
        self.invalid = invalid
        self.notKept = notKept
        self.blocks = blocks
        self.firmware = firmware
    }
}

/// Shares of rigs with one firmware.
public struct FirmwareFigures: Hashable, Sendable {
    /// What the miner says at its subscription; nil when it says nothing.
    public var userAgent: String?
    public var rigs: Int64
    public var accepted: Int64
    public var rejects: RejectCounts

    public init(userAgent: String?, rigs: Int64 = 1, accepted: Int64 = 0, rejects: RejectCounts = RejectCounts()) {
        self.userAgent = userAgent
        self.rigs = rigs
        self.accepted = accepted
        self.rejects = rejects
    }

    /// Sums of all rigs with one firmware, those with the most rigs first; beyond `most` of them all others are one, last,
    /// without a name.
    public static func summed(_ rigs: some Sequence<FirmwareFigures>, most: Int) -> (named: [FirmwareFigures], others: FirmwareFigures?) {
        var sums: [String?: FirmwareFigures] = [:]
        for rig in rigs { sums[rig.userAgent, default: FirmwareFigures(userAgent: rig.userAgent, rigs: 0)].add(rig) }
        let sorted = sums.values.sorted { ($1.rigs, $0.userAgent ?? "") < ($0.rigs, $1.userAgent ?? "") }
        guard sorted.count > most else { return (sorted, nil) }
        var others = FirmwareFigures(userAgent: nil, rigs: 0)
        for rare in sorted.dropFirst(most) { others.add(rare) }
        return (Array(sorted.prefix(most)), others)
    }

    private mutating func add(_ more: FirmwareFigures) {
        rigs += more.rigs
        accepted += more.accepted
        rejects += more.rejects
    }
}
