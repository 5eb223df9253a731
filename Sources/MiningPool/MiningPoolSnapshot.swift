/// What a ``MiningPool`` has counted.
public struct MiningPoolSnapshot: Hashable, Sendable, Codable {
    /// By the names they authorized with.
    public var workers: [String: Worker] = [:]
    public var connections = 0
    /// Connections since the start.
    public var connects = 0
    public var jobs = 0
    /// Shares that met the network's target.
    public var blocks = 0
    /// What new connections get.
    public var difficulty = ""

    public struct Worker: Hashable, Sendable, Codable {
        /// Shares accepted.
        public var accepted = 0
        /// Accepted shares by the difficulty of their jobs: the exact account.
        public var acceptedByDifficulty: [String: Int] = [:]
        /// The accepted difficulty in work units of the algorithm, rounded down once per difficulty.
        public var acceptedUnits: Int64 = 0
        /// Shares refused, by error code.
        public var rejected: [String: Int] = [:]
        /// Valid shares refused by an injected fault; part of `rejected` too.
        public var refusedByFault = 0

        public init() {}
    }

    public init() {}

    public var accepted: Int { workers.values.reduce(0) { $0 + $1.accepted } }
    public var acceptedUnits: Int64 { workers.values.reduce(0) { $0 + $1.acceptedUnits } }
    public var rejected: Int { workers.values.reduce(0) { $0 + $1.rejected.values.reduce(0, +) } }
}
