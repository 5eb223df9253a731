internal import Crypto
internal import Foundation
internal import Settlement

/// A public key that documents are signed with, and where in time.
public struct PublicSigningKey: Hashable, Sendable {
    /// The first 16 hex digits of the key's SHA-256.
    public var id: String
    /// 32 bytes, Ed25519.
    public var key: [UInt8]

    public init(key: [UInt8]) {
        self.key = key
        id = HexText.encode(SHA256.hash(data: key).prefix(8))
    }

    /// From 64 hex digits.
    public init?(hex: String) {
        guard let key = HexText.decode(hex), key.count == 32 else { return nil }
        self.init(key: key)
    }

    /// Whether a signature was made with this key over a document's digest.
    public func isValid(_ signature: [UInt8], digest: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key) else { return false }
        return key.isValidSignature(signature, for: SigningKey.message(digest))
    }
}

/// The market's private key (Ed25519, RFC 8032), in a file that only its owner may read.
public struct SigningKey: Sendable {
    private let seed: [UInt8]
    public let publicKey: PublicSigningKey

    /// Reads the file. One that is not there is never made: a lost key is not replaced without anybody's knowledge.
    ///
    /// The file has 64 hex digits: the 32 bytes of RFC 8032's private key.
    public init(file: String) throws {
        guard let content = FileManager.default.contents(atPath: file) else {
            guard !SigningKey.isThere(file) else { throw DocumentError("the signing key in \(file) cannot be read") }
            throw DocumentError(
                "the signing key's file \(file) is missing: bring it back, or name it with --signing-key; "
                    + "`hashspot statement issue --new-signing-key` makes another key")
        }
        let mode = (try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o077 == 0 else { throw DocumentError("the signing key in \(file) may be read by others: chmod 600 it") }
        let text = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let seed = HexText.decode(text), seed.count == 32 else {
            throw DocumentError("\(file) has no signing key: 64 lower-case hex digits are expected")
        }
        try self.init(seed: seed)
    }

    /// Makes a new key, and the file for it, which must not be there.
    public init(making file: String) throws {
        let fresh = Array(Curve25519.Signing.PrivateKey().rawRepresentation)
        try SigningKey.write(fresh, to: file)
        try self.init(seed: fresh)
    }

    /// Whether there is such a file, with whatever content.
    public static func isThere(_ file: String) -> Bool { FileManager.default.fileExists(atPath: file) }

    init(seed: [UInt8]) throws {
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        self.seed = seed
        publicKey = PublicSigningKey(key: Array(key.publicKey.rawRepresentation))
    }

    /// Never over a key that somebody else has just made.
    private static func write(_ seed: [UInt8], to file: String) throws {
        let descriptor = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DocumentError("the signing key \(file) cannot be made: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let bytes = Array((HexText.encode(seed) + "\n").utf8)
        guard Foundation.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw DocumentError("the signing key \(file) cannot be written")
        }
    }

    public func sign(_ digest: [UInt8]) throws -> [UInt8] {
        Array(try Curve25519.Signing.PrivateKey(rawRepresentation: seed).signature(for: SigningKey.message(digest)))
    }

    /// What is signed: a name of the purpose, so that a signature means nothing elsewhere, and the digest.
    static func message(_ digest: [UInt8]) -> [UInt8] { Array("hashspot-document-1\n".utf8) + digest }
}

/// SHA-256 of what comes piece by piece.
public struct Digest256 {
    private var hash = SHA256()

    public init() {}

    public mutating func update(_ bytes: [UInt8]) { hash.update(data: bytes) }

    public func value() -> [UInt8] { Array(hash.finalize()) }

    public static func of(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }
}
