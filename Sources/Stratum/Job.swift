public import Units

/// A `mining.notify`, validated: everything a miner needs to build headers, except its extranonces.
public struct Job: Hashable, Sendable {
    /// The name that shares refer to; 1...128 bytes.
    public var id: String
    /// The previous block's hash, in internal order (the wire swaps each 4-byte word).
    public var previousBlock: Hash256
    /// The coinbase transaction before extranonce1.
    public var coinb1: [UInt8]
    /// The coinbase transaction after extranonce2.
    public var coinb2: [UInt8]
    /// The coinbase's siblings on the way to the merkle root; at most 32.
    public var branches: [Hash256]
    /// The header version before rolling.
    public var version: UInt32
    /// The network's target in compact form; always valid.
    public var nbits: UInt32
    /// Seconds since 1970.
    public var ntime: UInt32
    /// Earlier jobs are worthless from now on.
    public var cleanJobs: Bool

    public static let maximalIDBytes = 128
    public static let maximalBranches = 32
    /// Bound on coinb1 and coinb2 together.
    public static let maximalCoinbaseBytes = 49_152

    public init(
        id: String, previousBlock: Hash256, coinb1: [UInt8], coinb2: [UInt8], branches: [Hash256], version: UInt32,
        nbits: UInt32, ntime: UInt32, cleanJobs: Bool
    ) {
        self.id = id
        self.previousBlock = previousBlock
        self.coinb1 = coinb1
        self.coinb2 = coinb2
        self.branches = branches
        self.version = version
        self.nbits = nbits
        self.ntime = ntime
        self.cleanJobs = cleanJobs
    }

    /// The target of a block; jobs read from the wire always have one.
    public var networkTarget: Target? { Target(nbits: nbits) }
}

extension Job {
    /// Reads the parameters of a `mining.notify`.
    init(parameters: inout ParameterReader) throws(WireError) {
        id = try parameters.string(limit: Job.maximalIDBytes)
        guard !id.isEmpty else { throw .invalid(.jobID) }
        previousBlock = try parameters.hash(.previousBlock).swappingWords
        coinb1 = try parameters.hexBytes(limit: Job.maximalCoinbaseBytes, .coinbase)
        coinb2 = try parameters.hexBytes(limit: Job.maximalCoinbaseBytes - coinb1.count, .coinbase)
        branches = try parameters.hashes(limit: Job.maximalBranches, .branches)
        version = try parameters.word(.version)
        nbits = try parameters.word(.nbits)
        ntime = try parameters.word(.ntime)
        cleanJobs = try parameters.bool()
        guard Target(nbits: nbits) != nil else { throw .invalid(.nbits) }
    }
}

extension Hash256 {
    /// Each 4-byte word's bytes reversed: between header order and `mining.notify`'s previous-block field.
    public var swappingWords: Hash256 {
        func swap(_ limb: UInt64) -> UInt64 {
            UInt64(UInt32(truncatingIfNeeded: limb).byteSwapped) | UInt64(UInt32(limb >> 32).byteSwapped) << 32
        }
        return Hash256(l0: swap(l0), l1: swap(l1), l2: swap(l2), l3: swap(l3))
    }
}
