import Metering
public import Units

/// What an edge is doing: for people and metrics.
public struct EdgeSnapshot: Sendable, Hashable {
    public var at: Timestamp
    public var rigs: [RigSnapshot]
    public var pools: [PoolConnectionSnapshot]
    /// Pools that rigs want but that cannot be used now.
    public var unusablePools: [UnusablePool]
    /// Miner connections, authorized or not.
    public var minerConnections: Int
    /// Sessions without a connection that may be resumed.
    public var restingSessions: Int
    /// Who is kept out; those that last longest, at most 100.
    public var bans: [BanSnapshot]
    public var spool: SpoolSnapshot
}

/// One rig that is or was connected.
public struct RigSnapshot: Sendable, Hashable {
    public var rig: RigID
    public var user: String
    public var isOnline: Bool
    public var session: Int64
    public var userAgent: String?
    /// Where it connects from, behind a load balancer or not.
    public var address: SourceAddress?
    public var connectedSince: Timestamp?
    public var versionMask: UInt32
    /// What its present job is for.
    public var target: PoolTargetID?
    public var delivery: DeliveryID?
    /// Assigned with its present job.
    public var difficulty: ShareDifficulty?
    public var hashrate1Minute: Hashrate
    public var hashrate5Minutes: Hashrate
    /// The long average; nil before 30 shares.
    public var measured: Hashrate?
    public var shares: ShareCounts
    /// The same by worker since the connection began, where several are logged in on it.
    public var workers: [String: ShareCounts]
    /// Moves from one pool connection to another.
    public var switches: Int64
    /// Why targets of its routes, or its fallback pool, are not used.
    public var skipped: [SkippedTarget]
    /// Those that it is sold to; several when it works in slices.
    public var slices: [SliceSnapshot]
    public var figures: RigFiguresSnapshot
}

/// One delivery on a rig.
public struct SliceSnapshot: Sendable, Hashable {
    public var delivery: DeliveryID
    /// Sold hashrate.
    public var sold: Hashrate
    /// Its part of the rig's work; all when the rig is sold whole.
    public var share: PartsPerMillion
    /// Valid work since the edge learned of the delivery.
    public var metered: Work
    /// Its own work over the last minute, as a hashrate: bursts of a rig that works in slices.
    public var hashrate1Minute: Hashrate
    /// Whether the rig works for it now.
    public var isServed: Bool
}

/// Shares by the market's verdict, since the edge started.
public struct ShareCounts: Sendable, Hashable {
    public var valid: Int64 = 0
    public var stale: Int64 = 0
    public var duplicate: Int64 = 0
    public var lowDifficulty: Int64 = 0
    public var invalid: Int64 = 0
    /// Answered 20 because their verdict could not be made durable.
    public var notKept: Int64 = 0
    public var blocks: Int64 = 0

    public init() {}

    mutating func count(_ verdict: Verdict) {
        switch verdict {
        case .valid: valid += 1
        case .stale: stale += 1
        case .duplicate: duplicate += 1
        case .lowDifficulty: lowDifficulty += 1
        case .invalid: invalid += 1
        }
    }
}

public struct SkippedTarget: Sendable, Hashable {
    public var target: PoolTargetID
    public var reason: String
}

public struct PoolConnectionSnapshot: Sendable, Hashable {
    public enum State: String, Sendable, Hashable { case opening, ready, closed }

    public var url: String
    public var user: String
    public var state: State
    public var rigs: Int
    public var difficulty: DecimalDifficulty?
    public var extranonce2Size: Int
    public var versionMask: UInt32
    public var forwarded: Int64
    public var accepted: Int64
    public var rejected: Int64
    public var unanswered: Int64
    /// Forwarded shares that the pool has yet to answer.
    public var waiting: Int
    /// The pool's last texts for people.
    public var messages: [String]
}

public struct UnusablePool: Sendable, Hashable {
    public var url: String
    public var user: String
    public var reason: String
}

public struct SpoolSnapshot: Sendable, Hashable {
    public var isHealthy: Bool
    public var epoch: Int64
    /// Shares waiting for their commit.
    public var waiting: Int
    public var commits: Int64
}
