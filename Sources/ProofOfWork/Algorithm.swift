import CHashing
public import Units

/// A way to hash block headers. Coinbases and merkle trees use ``DoubleSHA256`` whatever the algorithm.
public protocol ProofOfWorkAlgorithm: Sendable {
    /// The market's name for it, such as `SHA256D`.
    static var name: String { get }
    /// The proof-of-work hash of a header.
    static func hash(_ header: BlockHeader) -> Hash256
}

/// Bitcoin's proof of work: SHA-256 twice over the 80 bytes of the header.
public enum SHA256D: ProofOfWorkAlgorithm {
    public static let name = "SHA256D"

    public static func hash(_ header: BlockHeader) -> Hash256 { header.withBytes { DoubleSHA256.hash($0) } }
}

/// SHA-256 (FIPS 180-4) applied twice.
public enum DoubleSHA256 {
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> Hash256 {
        hash { hashing_double(hashing_best(), bytes.baseAddress, bytes.count, $0) }
    }

    public static func hash(_ bytes: [UInt8]) -> Hash256 { bytes.withUnsafeBytes { hash($0) } }

    /// The parent of two nodes of a merkle tree.
    public static func parent(_ left: Hash256, _ right: Hash256) -> Hash256 {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
            left.store(in: buffer, at: 0)
            right.store(in: buffer, at: 32)
            return hash(UnsafeRawBufferPointer(buffer))
        }
    }

    /// The root above a coinbase, whose siblings on the way up are `branches`.
    public static func merkleRoot(coinbase: Hash256, branches: [Hash256]) -> Hash256 {
        branches.reduce(coinbase) { parent($0, $1) }
    }

    /// Runs `body` with room for a digest.
    static func hash(_ body: (UnsafeMutablePointer<UInt8>) -> Void) -> Hash256 {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { digest in
            digest.initialize(repeating: 0)
            if let base = digest.baseAddress { body(base) }
            return Hash256(loading: UnsafeRawBufferPointer(digest))
        }
    }
}
