public import Units

/// What hashing a share says about it, before duplicates and staleness are looked at.
public struct ShareCheck: Hashable, Sendable {
    /// The header's hash: what duplicates are found by.
    public let hash: Hash256
    /// It meets the target that was assigned with its job.
    public let meetsShare: Bool
    /// It meets the network's target: a block.
    public let meetsNetwork: Bool

    /// Hashes the header of a share and compares it with the target assigned with the job and with the network's.
    public init<Algorithm: ProofOfWorkAlgorithm>(
        _ header: BlockHeader, assigned: Target, algorithm: Algorithm.Type = SHA256D.self
    ) {
        let hash = Algorithm.hash(header)
        self.hash = hash
        meetsShare = hash.meets(assigned)
        meetsNetwork = header.networkTarget.map { hash.meets($0) } ?? false
    }

    /// The work the hash would stand for at best, in units (65,536 are difficulty 1): for display, never for billing.
    public var bestUnits: Int64 { hash.number.difficultyUnits }
}
