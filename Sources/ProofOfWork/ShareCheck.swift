public import Units

/// What hashing a share says about it, before duplicates and staleness are looked at.
public struct ShareCheck: Hashable, Sendable {
    /// The header's proof-of-work hash: what duplicates are found by.
    public let hash: Hash256
    /// It meets the target that was assigned with its job.
    public let meetsShare: Bool
    /// It meets the network's target: a block.
    public let meetsNetwork: Bool

    /// Hashes the header of a share and compares it with the target assigned with the job and with the network's.
    public init(_ header: BlockHeader, assigned: Target, algorithm: Algorithm = .sha256d) {
        self.init(algorithm.proofOfWork.hash(header), assigned: assigned, network: header.networkTarget)
    }

    /// - Parameter network: nil when the header's nbits is invalid
    public init(_ hash: Hash256, assigned: Target, network: Target?) {
        self.hash = hash
        meetsShare = hash.meets(assigned)
        meetsNetwork = network.map { hash.meets($0) } ?? false
    }
}
