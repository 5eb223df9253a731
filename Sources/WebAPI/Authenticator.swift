internal import Crypto
internal import Logging
internal import Market
internal import Synchronization
internal import Units

/// Finds the keys that requests name, and remembers them for ``lifetime``, so that a key that is changed elsewhere works at most
/// so much longer; one that is changed here is forgotten at once.
///
/// Unknown keys are not remembered: a flood of them cannot push the known ones out.
final class Authenticator: Sendable {
    /// A key that was found, with what its requests are checked with.
    struct Known: Sendable {
        var credential: Credential
        /// Of a signed key, newest first.
        var secrets: [(key: SymmetricKey, until: Timestamp?)]
        fileprivate var until: Timestamp
    }

    /// What a request calls its key.
    private enum Call: Hashable {
        case digest([UInt8])
        case name(String)
    }

    private struct Memory {
        var known: [Call: Known] = [:]
        /// Counts the times that keys were forgotten: what was looked up before is not remembered after.
        var changes = 0
    }

    static let lifetime = Interval.seconds(10)
    /// How coarse the time of a key's last use is kept.
    static let useResolution = Interval.seconds(3600)

    private let directory: any KeyDirectory
    private let now: @Sendable () -> Timestamp
    private let capacity: Int
    private let memory = Mutex(Memory())

    init(directory: any KeyDirectory, capacity: Int = Limits.cachedKeys, now: @escaping @Sendable () -> Timestamp) {
        self.directory = directory
        self.capacity = capacity
        self.now = now
    }

    /// The key that a request names; nothing is proved of a signed one yet.
    func known(_ claim: Claim, logger: Logger) async throws(Problem) -> Known {
        let call: Call =
            switch claim {
            case .bearer(let digest): .digest(digest)
            case .signed(let signature): .name(signature.key)
            }
        let time = now()
        let (entry, changes) = memory.withLock { ($0.known[call], $0.changes) }
        if let entry, time < entry.until { return entry }
        let found: Credential?
        do { found = try await find(call) } catch {
            logger.error("API keys cannot be looked up", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The directory of accounts")
        }
        guard let found else {
            switch claim {
            case .bearer: throw Claim.invalid
            case .signed: throw Claim.flaw("invalidCredentials", .xAuth, "There is no such API key.")
            }
        }
        let known = Known(
            credential: found, secrets: found.secrets.map { (SymmetricKey(data: $0.bytes), $0.until) },
            until: time + Authenticator.lifetime)
        remember(known, call, at: time, unlessChangedSince: changes)
        return known
    }

    private func find(_ call: Call) async throws -> Credential? {
        switch call {
        case .digest(let digest): try await directory.credential(digest: digest)
        case .name(let name): try await directory.credential(name: name)
        }
    }

    private func remember(_ entry: Known, _ call: Call, at time: Timestamp, unlessChangedSince changes: Int) {
        memory.withLock { memory in
            guard memory.changes == changes else { return }
            if memory.known.count >= capacity { memory.known = memory.known.filter { time < $0.value.until } }
            if memory.known.count >= capacity { memory.known.removeAll(keepingCapacity: true) }
            memory.known[call] = entry
        }
    }

    /// A key was changed.
    func forget(_ id: KeyID) {
        memory.withLock { memory in
            memory.changes += 1
            memory.known = memory.known.filter { $0.value.credential.key.id != id }
        }
    }

    // MARK: - Last use

    /// Notes that a key is used, once in ``useResolution``. That it cannot be noted is no reason to refuse the request.
    func noteUse(_ key: AccessKey, logger: Logger) async {
        let time = now()
        if let last = key.lastUsedAt, time - last < Authenticator.useResolution { return }
        let isFirst = memory.withLock { memory in
            var isFirst = true
            for (call, entry) in memory.known where entry.credential.key.id == key.id {
                isFirst = entry.credential.key.lastUsedAt == key.lastUsedAt
                memory.known[call]?.credential.key.lastUsedAt = time
            }
            return isFirst
        }
        guard isFirst else { return }
        do { try await directory.noteUse(key.id, at: time) } catch {
            logger.warning("a key's use cannot be noted", metadata: ["key": "\(key.id)", "error": "\(error)"])
        }
    }
}

/// The form of API keys: `hs_` and 32 random bytes in base64url.
public enum APIKey {
    public static func isWellFormed(_ text: some StringProtocol) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 46 && bytes.starts(with: "hs_".utf8) && bytes.dropFirst(3).allSatisfy(Base64URL.isDigit)
    }

    /// A new key from 32 random bytes.
    ///
    /// - Precondition: `random` has 32 bytes
    public static func make(random: [UInt8]) -> String {
        precondition(random.count == 32, "an API key is made of 32 random bytes")
        return "hs_" + Base64URL.encode(random)
    }

    /// The name of a signed key, from 16 random bytes: a UUID of version 4, as other markets' clients expect one.
    ///
    /// - Precondition: `random` has 16 bytes
    public static func makeName(random: [UInt8]) -> String {
        precondition(random.count == 16, "a key's name is made of 16 random bytes")
        var bytes = random
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let text = Hex.encode(bytes)
        var parts: [Substring] = []
        var rest = text[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return parts.joined(separator: "-")
    }

    /// A secret to sign with, from 32 random bytes: 64 hexadecimal digits.
    ///
    /// - Precondition: `random` has 32 bytes
    public static func makeSigningSecret(random: [UInt8]) -> String {
        precondition(random.count == 32, "a signing secret is made of 32 random bytes")
        return Hex.encode(random)
    }

    /// What the directory stores of a bearer key: its SHA-256.
    public static func digest(_ key: String) -> [UInt8] { Array(SHA256.hash(data: Array(key.utf8))) }
}

/// Base64 for URLs and file names without padding (RFC 4648, section 5).
enum Base64URL {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    static func isDigit(_ byte: UInt8) -> Bool { digits.contains(byte) }

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(digits[Int(buffer >> UInt32(bits) & 63)])
            }
            buffer &= (1 << UInt32(bits)) - 1
        }
        if bits > 0 { text.append(digits[Int(buffer << UInt32(6 - bits) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }
}
