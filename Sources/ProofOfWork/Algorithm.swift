import CHashing
import Crypto
import CryptoExtras
public import Units

/// A way to hash block headers. Coinbases and merkle trees use ``DoubleSHA256`` whatever the algorithm.
public protocol ProofOfWorkAlgorithm: Sendable {
    /// Its name and its conventions of difficulty and work.
    static var algorithm: Algorithm { get }
    /// About how many headers a processor hashes in 10 ms: what a miner does between two looks at its job.
    static var hashesPerLook: UInt64 { get }
    /// The proof-of-work hash of a header's 80 bytes.
    static func hash(_ header: UnsafeRawBufferPointer) -> Hash256
}

extension ProofOfWorkAlgorithm {
    public static func hash(_ header: BlockHeader) -> Hash256 { header.withBytes { hash($0) } }
}

extension Algorithm {
    /// How its headers are hashed.
    public var proofOfWork: any ProofOfWorkAlgorithm.Type {
        switch self {
        case .sha256d: SHA256D.self
        case .scrypt: Scrypt.self
        }
    }
}

/// Bitcoin's proof of work: SHA-256 twice over the 80 bytes of the header.
public enum SHA256D: ProofOfWorkAlgorithm {
    public static let algorithm = Algorithm.sha256d
    public static let hashesPerLook: UInt64 = 1 << 18

    public static func hash(_ header: UnsafeRawBufferPointer) -> Hash256 { DoubleSHA256.hash(header) }
}

/// Litecoin's proof of work: scrypt (RFC 7914) with N = 1024, r = 1, p = 1 of the header, salted with itself.
public enum Scrypt: ProofOfWorkAlgorithm {
    public static let algorithm = Algorithm.scrypt
    public static let hashesPerLook: UInt64 = 32

    public static func hash(_ header: UnsafeRawBufferPointer) -> Hash256 {
        do {
            let key = try KDF.Scrypt.deriveKey(
                from: header, salt: header, outputByteCount: Hash256.byteCount, rounds: 1024, blockSize: 1, parallelism: 1)
            return key.withUnsafeBytes { Hash256(loading: $0) }
        } catch {
            // The parameters are constants: it cannot but succeed while there are 128 kB of memory.
            preconditionFailure("scrypt failed: \(error)")
        }
    }
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
