import Market
import Synchronization
import Units
@testable import WebAPI

/// Accounts and keys in memory, as the tables keep them.
final class MemoryDirectory: AccountDirectory, KeyDirectory {
    private struct Secret {
        var secret: NewSecret
        var until: Timestamp?
    }

    private struct Row {
        var key: AccessKey
        var name: String
        var roles: Set<Role>
        /// Newest first.
        var secrets: [Secret]
    }

    private struct Inside {
        var rows: [KeyID: Row] = [:]
        var accounts: [AccountID: (name: String, roles: Set<Role>)] = [:]
        var requests: [String: (digest: [UInt8], key: KeyID)] = [:]
        var lookups = 0
        var uses = 0
        var isBroken = false
    }

    private let inside = Mutex(Inside())

    /// A first bearer key of an account.
    func add(_ key: String, _ principal: Principal) {
        inside.withLock { inside in
            inside.accounts[principal.account] = (principal.name, principal.roles)
            _ = MemoryDirectory.insert(
                NewAccessKey(
                    account: principal.account, name: nil, label: "first key", grant: .all, secret: .digest(APIKey.digest(key)),
                    createdBy: nil), at: Timestamp(microseconds: 0), &inside)
        }
    }

    /// A key with a grant of its own.
    func add(_ grant: KeyGrant, of caller: Caller, name: String? = nil, secret: NewSecret) -> KeyID {
        inside.withLock { inside in
            MemoryDirectory.insert(
                NewAccessKey(
                    account: AccountID(caller.account), name: name, label: "k", grant: grant, secret: secret, createdBy: nil),
                at: Timestamp(microseconds: 0), &inside)
        }
    }

    private static func insert(_ new: NewAccessKey, at: Timestamp, _ inside: inout Inside) -> KeyID {
        let id = KeyID(Int64(inside.rows.count + 1))
        let (name, roles) = inside.accounts[new.account]!
        let key = AccessKey(
            id: id, account: new.account, kind: new.name == nil ? .bearer : .signed, name: new.name, label: new.label,
            grant: new.grant, createdAt: at, rotatedAt: at)
        inside.rows[id] = Row(key: key, name: name, roles: roles, secrets: [Secret(secret: new.secret)])
        return id
    }

    /// Takes a key away, as if there had never been one.
    func revoke(_ key: String) {
        inside.withLock { inside in
            inside.rows = inside.rows.filter { _, row in !row.secrets.contains { $0.secret == .digest(APIKey.digest(key)) } }
        }
    }

    func setBroken(_ value: Bool) { inside.withLock { $0.isBroken = value } }
    var lookupCount: Int { inside.withLock { $0.lookups } }
    var useCount: Int { inside.withLock { $0.uses } }

    private func checked<T>(_ body: (inout sending Inside) throws -> sending T) throws -> T {
        try inside.withLock { inside in
            if inside.isBroken { throw MemoryMarket.Broken() }
            return try body(&inside)
        }
    }

    // MARK: - Directories

    func exists(_ account: AccountID) async throws -> Bool { inside.withLock { $0.accounts[account] != nil } }

    func credential(digest: [UInt8]) async throws -> Credential? {
        try checked { inside in
            inside.lookups += 1
            for row in inside.rows.values {
                guard let secret = row.secrets.first(where: { $0.secret == .digest(digest) }) else { continue }
                return Credential(key: row.key, accountName: row.name, roles: row.roles, bearerUntil: secret.until)
            }
            return nil
        }
    }

    func credential(name: String) async throws -> Credential? {
        try checked { inside in
            inside.lookups += 1
            guard let row = inside.rows.values.first(where: { $0.key.name == name }) else { return nil }
            let secrets = row.secrets.compactMap { secret -> SigningSecret? in
                switch secret.secret {
                case .digest: nil
                case .signing(let bytes): SigningSecret(bytes: bytes, until: secret.until)
                }
            }
            return Credential(key: row.key, accountName: row.name, roles: row.roles, secrets: secrets)
        }
    }

    func keys(of account: AccountID, after cursor: Int64, limit: Int) async throws -> [AccessKey] {
        try checked { inside in
            Array(inside.rows.values.map(\.key).filter { $0.account == account && $0.id.rawValue > cursor }
                .sorted { $0.id < $1.id }.prefix(limit))
        }
    }

    func key(_ id: KeyID, of account: AccountID) async throws -> AccessKey? {
        try checked { inside in inside.rows[id].flatMap { $0.key.account == account ? $0.key : nil } }
    }

    func create(_ new: NewAccessKey, request: KeyRequest?, at: Timestamp) async throws -> AccessKey {
        try checked { inside in
            guard inside.accounts[new.account] != nil else { throw KeyError.accountUnknown }
            if let known = try MemoryDirectory.made(request, new.account, inside) { return known }
            let live = inside.rows.values.count {
                $0.key.account == new.account && $0.key.revokedAt == nil && $0.key.grant.expiresAt.map { $0 > at } ?? true
            }
            guard live < KeyLimits.liveKeys else { throw KeyError.tooMany }
            let id = MemoryDirectory.insert(new, at: at, &inside)
            if let request { inside.requests["\(new.account) \(request.key)"] = (request.digest, id) }
            return inside.rows[id]!.key
        }
    }

    private static func made(_ request: KeyRequest?, _ account: AccountID, _ inside: Inside) throws -> AccessKey? {
        guard let request, let known = inside.requests["\(account) \(request.key)"] else { return nil }
        guard known.digest == request.digest else { throw KeyError.requestReused }
        return inside.rows[known.key]?.key
    }

    func rotate(
        _ id: KeyID, of account: AccountID, to secret: NewSecret, previousUntil: Timestamp, request: KeyRequest?, at: Timestamp
    ) async throws -> AccessKey {
        try checked { inside in
            if let known = try MemoryDirectory.made(request, account, inside) { return known }
            guard var row = inside.rows[id], row.key.account == account else { throw KeyError.unknown }
            guard row.key.revokedAt == nil else { throw KeyError.revoked }
            row.secrets = [Secret(secret: secret), Secret(secret: row.secrets[0].secret, until: previousUntil)]
            row.key.rotatedAt = at
            row.key.previousUntil = previousUntil
            inside.rows[id] = row
            if let request { inside.requests["\(account) \(request.key)"] = (request.digest, id) }
            return row.key
        }
    }

    func revoke(_ id: KeyID, of account: AccountID, at: Timestamp) async throws {
        try checked { inside in
            guard let key = inside.rows[id]?.key, key.account == account else { throw KeyError.unknown }
            inside.rows[id]?.key.revokedAt = key.revokedAt ?? at
        }
    }

    func noteUse(_ id: KeyID, at: Timestamp) async throws {
        try checked { inside in
            inside.uses += 1
            inside.rows[id]?.key.lastUsedAt = at
        }
    }
}
