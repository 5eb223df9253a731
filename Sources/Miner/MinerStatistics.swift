/// What a ``Miner`` has done so far.
public struct MinerStatistics: Hashable, Sendable, Codable {
    public var connects = 0
    /// Sessions that got as far as being authorized.
    public var sessions = 0
    public var jobs = 0
    public var hashes: Int64 = 0
    /// Shares that the pool accepted.
    public var accepted = 0
    /// The accepted shares' difficulties in whole work units of the algorithm, each rounded down.
    public var acceptedUnits: Int64 = 0
    /// Shares that the pool refused, by its code.
    public var rejected: [Int: Int] = [:]
    /// Shares sent that were never answered.
    public var unanswered = 0
    /// Shares found for jobs that a clean job had replaced, or without a connection: not sent.
    public var dropped = 0

    public init() {}

    public var rejectedCount: Int { rejected.values.reduce(0, +) }
}
