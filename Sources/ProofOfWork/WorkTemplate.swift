import CHashing
public import Units

/// All of a job that does not change from share to share, with the coinbase's first part already hashed.
///
/// Made once per job; hashing a share with it allocates nothing. A share's header is a pure function of this value and
/// the miner's choices.
public struct WorkTemplate: Sendable {
    /// The header version before any version rolling.
    public let version: UInt32
    public let previousBlock: Hash256
    public let nbits: UInt32
    public let branches: [Hash256]
    /// The coinbase after the extranonces.
    public let coinb2: [UInt8]
    /// SHA-256 after the coinbase's bytes before the extranonces.
    private let prefix: hashing_context

    /// - Parameters:
    ///   - coinb1: the coinbase's bytes before extranonce1
    ///   - coinb2: its bytes after extranonce2
    ///   - branches: the coinbase's siblings on the way to the merkle root, in internal order
    public init(
        coinb1: [UInt8], coinb2: [UInt8], branches: [Hash256], version: UInt32, previousBlock: Hash256, nbits: UInt32
    ) {
        self.version = version
        self.previousBlock = previousBlock
        self.nbits = nbits
        self.branches = branches
        self.coinb2 = coinb2
        var context = hashing_context()
        hashing_init(&context)
        context.update(coinb1)
        self.prefix = context
    }

    /// The hash of the coinbase transaction.
    public func coinbase(extranonce1: [UInt8], extranonce2: [UInt8]) -> Hash256 {
        var context = prefix
        context.update(extranonce1)
        context.update(extranonce2)
        context.update(coinb2)
        return DoubleSHA256.hash { hashing_finish_double(hashing_best(), &context, $0) }
    }

    /// The header of a share. `version` is the final one, after rolling.
    public func header(
        extranonce1: [UInt8], extranonce2: [UInt8], ntime: UInt32, nonce: UInt32, version: UInt32
    ) -> BlockHeader {
        let hash = coinbase(extranonce1: extranonce1, extranonce2: extranonce2)
        let root = DoubleSHA256.merkleRoot(coinbase: hash, branches: branches)
        return BlockHeader(
            version: version, previousBlock: previousBlock, merkleRoot: root, ntime: ntime, nbits: nbits, nonce: nonce)
    }

    /// The target of a block; nil when nbits is invalid.
    public var networkTarget: Target? { Target(nbits: nbits) }
}

extension hashing_context {
    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { hashing_update(hashing_best(), &self, $0.baseAddress, $0.count) }
    }
}
