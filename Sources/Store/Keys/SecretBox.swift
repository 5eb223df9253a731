internal import Crypto

/// Why a sealed secret cannot be had. Safe to show.
public enum SecretBoxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It was sealed under a master key that is not (any more) in the file.
    case unknownMasterKey
    /// It was changed, or belongs elsewhere.
    case damaged

    public var description: String {
        switch self {
        case .unknownMasterKey: "it is sealed under a master key that is not in the secrets key file"
        case .damaged: "it is damaged, or was moved from elsewhere"
        }
    }
}

/// Seals secrets by AES-256-GCM under a master key that is not in the database.
///
/// Form: a 1, the first 8 bytes of the master key's SHA-256, 12 bytes of nonce, the ciphertext, 16 bytes of tag. The context,
/// what the secret is of, is authenticated: a sealed secret that is moved elsewhere does not open.
public struct SecretBox: Sendable {
    private static let version: UInt8 = 1
    private static let headBytes = 9
    private static let keyIDBytes = 8

    private struct MasterKey: Sendable {
        var id: [UInt8]
        var key: SymmetricKey
    }

    /// The newest, which seals, first.
    private let keys: [MasterKey]

    /// - Parameter masterKeys: 32 bytes each, the newest first; the others only open
    /// - Precondition: at least one, each of 32 bytes
    public init(masterKeys: [[UInt8]]) {
        precondition(!masterKeys.isEmpty, "secrets are sealed under a master key")
        precondition(masterKeys.allSatisfy { $0.count == 32 }, "a master key has 32 bytes")
        keys = masterKeys.map { MasterKey(id: Array(SHA256.hash(data: $0).prefix(SecretBox.keyIDBytes)), key: SymmetricKey(data: $0)) }
    }

    public func seal(_ secret: [UInt8], context: String) -> [UInt8] {
        let head = [SecretBox.version] + keys[0].id
        guard let box = try? AES.GCM.seal(secret, using: keys[0].key, authenticating: SecretBox.context(context, head)),
            let combined = box.combined
        else { preconditionFailure("a secret of some bytes can be sealed under 32 bytes") }
        return head + Array(combined)
    }

    public func open(_ sealed: [UInt8], context: String) throws(SecretBoxError) -> [UInt8] {
        guard sealed.count >= SecretBox.headBytes + 28, sealed[0] == SecretBox.version else { throw .damaged }
        let head = Array(sealed.prefix(SecretBox.headBytes))
        guard let master = keys.first(where: { $0.id == Array(head.dropFirst()) }) else { throw .unknownMasterKey }
        do {
            let box = try AES.GCM.SealedBox(combined: Array(sealed.dropFirst(SecretBox.headBytes)))
            return Array(try AES.GCM.open(box, using: master.key, authenticating: SecretBox.context(context, head)))
        } catch { throw .damaged }
    }

    /// Whether the newest master key sealed it.
    public func isCurrent(_ sealed: [UInt8]) -> Bool {
        sealed.first == SecretBox.version && Array(sealed.dropFirst().prefix(SecretBox.keyIDBytes)) == keys[0].id
    }

    private static func context(_ text: String, _ head: [UInt8]) -> [UInt8] { head + Array(text.utf8) }
}
