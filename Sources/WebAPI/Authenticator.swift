internal import Crypto
internal import HTTPTypes
internal import Logging
internal import Market
internal import Synchronization
internal import Units

/// Finds out who is calling, by their API key.
///
/// Owners are remembered for ``lifetime``, so that a revoked key works at most so much longer. Unknown keys are
/// not remembered: a flood of them cannot push the known ones out.
final class Authenticator: Sendable {
    private struct Known {
        var principal: Principal
        var until: Timestamp
    }

    static let lifetime = Interval.seconds(10)

    private let directory: any AccountDirectory
    private let now: @Sendable () -> Timestamp
    private let capacity: Int
    private let known = Mutex<[[UInt8]: Known]>([:])

    init(directory: any AccountDirectory, capacity: Int = Limits.cachedKeys, now: @escaping @Sendable () -> Timestamp) {
        self.directory = directory
        self.capacity = capacity
        self.now = now
    }

    func principal(_ headers: HTTPFields, logger: Logger) async throws(Problem) -> Principal {
        let digest = APIKey.digest(try Authenticator.key(in: headers))
        let time = now()
        if let entry = known.withLock({ $0[digest] }), time < entry.until { return entry.principal }
        let found: Principal?
        do { found = try await directory.principal(keyDigest: digest) } catch {
            logger.error("API keys cannot be looked up", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The directory of accounts")
        }
        guard let found else { throw Authenticator.invalid }
        remember(found, digest, at: time)
        return found
    }

    private func remember(_ principal: Principal, _ digest: [UInt8], at time: Timestamp) {
        known.withLock { known in
            if known.count >= capacity { known = known.filter { time < $0.value.until } }
            if known.count >= capacity { known.removeAll(keepingCapacity: true) }
            known[digest] = Known(principal: principal, until: time + Authenticator.lifetime)
        }
    }

    private static let invalid = Problem(.unauthorized, "invalidCredentials", "There is no such API key.", field: "Authorization")
        .with(.wwwAuthenticate, "Bearer error=\"invalid_token\"")

    private static let missing = Problem(
        .unauthorized, "missingCredentials", "Send `Authorization: Bearer <API key>`.", field: "Authorization")
        .with(.wwwAuthenticate, "Bearer")

    /// The key in an Authorization header, by its form: `hs_` and 43 base64url characters.
    private static func key(in headers: HTTPFields) throws(Problem) -> String {
        guard let header = headers[.authorization] else { throw missing }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard let scheme = parts.first, scheme.lowercased() == "bearer" else { throw missing }
        guard parts.count == 2, APIKey.isWellFormed(parts[1]) else { throw invalid }
        return String(parts[1])
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

    /// What the directory stores of a key: its SHA-256.
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
