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
    /// The target of a block; nil when nbits is invalid.
    public let networkTarget: Target?
    /// SHA-256 after the coinbase's bytes before the extranonces.
    private let prefix: hashing_context
    /// The branches as they are hashed.
    private let branchBytes: [UInt8]

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
        networkTarget = Target(nbits: nbits)
        branchBytes = branches.flatMap(\.bytes)
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
        var context = prefix
        context.update(extranonce1)
        let root = withCoinbase(context, extranonce2) { coinbase in
            DoubleSHA256.hash { hashing_root(hashing_best(), &coinbase, $0) }
        }
        return header(merkleRoot: root, ntime: ntime, nonce: nonce, version: version)
    }

    /// Builds the header of a share, hashes it and compares it with the assigned target and the network's.
    ///
    /// - Parameters:
    ///   - extranonces: extranonce1, where it is not in the template, and extranonce2
    ///   - version: the final one, after rolling
    ///   - assigned: the target that was assigned with the job
    public func check(
        extranonces: [UInt8], ntime: UInt32, nonce: UInt32, version: UInt32, assigned: Target, algorithm: Algorithm,
        path: HashingPath = .instructions
    ) -> ShareCheck {
        let header = header(merkleRoot: .zero, ntime: ntime, nonce: nonce, version: version)
        let hash: Hash256 = header.withMutableBytes { header in
            withCoinbase(prefix, extranonces) { coinbase in
                self.hash(header, &coinbase, algorithm, path.implementation)
            }
        }
        return ShareCheck(hash, assigned: assigned, network: networkTarget)
    }

    /// Completes the header by its merkle root and hashes it.
    private func hash(
        _ header: UnsafeMutableRawBufferPointer, _ coinbase: inout hashing_coinbase, _ algorithm: Algorithm,
        _ implementation: hashing_implementation
    ) -> Hash256 {
        let bytes = header.baseAddress?.assumingMemoryBound(to: UInt8.self)
        switch algorithm {
        case .sha256d: return DoubleSHA256.hash { hashing_share(implementation, &coinbase, bytes, $0) }
        case .scrypt:
            hashing_root(implementation, &coinbase, bytes.map { $0 + BlockHeader.merkleRootOffset })
            return Scrypt.hash(UnsafeRawBufferPointer(header))
        }
    }

    private func header(merkleRoot: Hash256, ntime: UInt32, nonce: UInt32, version: UInt32) -> BlockHeader {
        BlockHeader(
            version: version, previousBlock: previousBlock, merkleRoot: merkleRoot, ntime: ntime, nbits: nbits, nonce: nonce)
    }

    /// The coinbase as C takes it; valid while `body` runs.
    private func withCoinbase<R>(
        _ context: hashing_context, _ extranonces: [UInt8], _ body: (inout hashing_coinbase) -> R
    ) -> R {
        withUnsafePointer(to: context) { context in
            extranonces.withUnsafeBufferPointer { extranonces in
                coinb2.withUnsafeBufferPointer { suffix in
                    branchBytes.withUnsafeBufferPointer { branchBytes in
                        var coinbase = hashing_coinbase(
                            prefix: context, extranonces: extranonces.baseAddress, extranonces_count: extranonces.count,
                            suffix: suffix.baseAddress, suffix_count: suffix.count, branches: branchBytes.baseAddress,
                            branch_count: branches.count)
                        return body(&coinbase)
                    }
                }
            }
        }
    }
}

extension hashing_context {
    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { hashing_update(hashing_best(), &self, $0.baseAddress, $0.count) }
    }
}
