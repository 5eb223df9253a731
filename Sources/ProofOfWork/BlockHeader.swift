public import Units

/// The 80 bytes that a miner hashes, as fields.
public struct BlockHeader: Hashable, Sendable {
    public var version: UInt32
    /// The previous block's hash.
    public var previousBlock: Hash256
    public var merkleRoot: Hash256
    /// Seconds since 1970.
    public var ntime: UInt32
    /// The network's target in compact form.
    public var nbits: UInt32
    public var nonce: UInt32

    public static let byteCount = 80
    static let merkleRootOffset = 36

    public init(
        version: UInt32, previousBlock: Hash256, merkleRoot: Hash256, ntime: UInt32, nbits: UInt32, nonce: UInt32
    ) {
        self.version = version
        self.previousBlock = previousBlock
        self.merkleRoot = merkleRoot
        self.ntime = ntime
        self.nbits = nbits
        self.nonce = nonce
    }

    /// nil unless there are exactly 80 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == BlockHeader.byteCount,
            let previous = Hash256(bytes: bytes[4..<36]), let root = Hash256(bytes: bytes[36..<68])
        else { return nil }
        func word(_ at: Int) -> UInt32 {
            bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        self.init(
            version: word(0), previousBlock: previous, merkleRoot: root, ntime: word(68), nbits: word(72),
            nonce: word(76))
    }

    /// The header as it is hashed.
    public var bytes: [UInt8] { withBytes { Array($0) } }

    /// Calls `body` with the 80 bytes as they are hashed; nothing is allocated.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withMutableBytes { body(UnsafeRawBufferPointer($0)) }
    }

    func withMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: BlockHeader.byteCount, alignment: 16) { buffer in
            func put(_ value: UInt32, at offset: Int) {
                buffer.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
            }
            put(version, at: 0)
            previousBlock.store(in: buffer, at: 4)
            merkleRoot.store(in: buffer, at: BlockHeader.merkleRootOffset)
            put(ntime, at: 68)
            put(nbits, at: 72)
            put(nonce, at: 76)
            return body(buffer)
        }
    }

    /// The target that a block with this header has to meet; nil when nbits is invalid.
    public var networkTarget: Target? { Target(nbits: nbits) }
}

extension Hash256 {
    func store(in buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        buffer.storeBytes(of: l0.littleEndian, toByteOffset: offset, as: UInt64.self)
        buffer.storeBytes(of: l1.littleEndian, toByteOffset: offset + 8, as: UInt64.self)
        buffer.storeBytes(of: l2.littleEndian, toByteOffset: offset + 16, as: UInt64.self)
        buffer.storeBytes(of: l3.littleEndian, toByteOffset: offset + 24, as: UInt64.self)
    }

    init(loading bytes: UnsafeRawBufferPointer) {
        func limb(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        self.init(l0: limb(0), l1: limb(8), l2: limb(16), l3: limb(24))
    }
}
