public import Database
public import Market
public import Units

/// API keys in SQL: of bearer keys the SHA-256, of signed keys the sealed secret.
public struct KeyStore: KeyDirectory {
    /// How long a repeated request finds what it made.
    public static let requestLifetime = Interval.seconds(86_400)

    private let database: Database
    private let box: SecretBox

    public init(_ database: Database, sealing box: SecretBox) {
        self.database = database
        self.box = box
    }

    // MARK: - For requests

    public func credential(digest: [UInt8]) async throws -> Credential? {
        try await database.read { connection in
            guard let row = try connection.queryOne(
                """
                SELECT \(AccessKeyRows.columns), a.name, a.roles, t.until_at
                FROM access_key_secrets t JOIN access_keys k ON k.id = t.key JOIN accounts a ON a.id = k.account
                WHERE t.digest = $1
                """, [.blob(digest)])
            else { return nil }
            return Credential(
                key: try AccessKeyRows.key(row), accountName: try row.text(12), roles: try KeyStore.roles(row.text(13)),
                bearerUntil: try row.optionalInt64(14).map(Timestamp.init(microseconds:)))
        }
    }

    public func credential(name: String) async throws -> Credential? {
        let box = box
        return try await database.read { connection in
            guard let row = try connection.queryOne(
                """
                SELECT \(AccessKeyRows.columns), a.name, a.roles
                FROM access_keys k JOIN accounts a ON a.id = k.account WHERE k.name = $1
                """, [.text(name)])
            else { return nil }
            let key = try AccessKeyRows.key(row)
            let secrets = try connection.query(
                "SELECT number, sealed, until_at FROM access_key_secrets WHERE key = $1 ORDER BY number DESC",
                [.integer(key.id.rawValue)]
            ).map { row in
                SigningSecret(
                    bytes: try box.open(row.blob(1), context: AccessKeyRows.context(key.id, row.int64(0))),
                    until: try row.optionalInt64(2).map(Timestamp.init(microseconds:)))
            }
            return Credential(key: key, accountName: try row.text(12), roles: try KeyStore.roles(row.text(13)), secrets: secrets)
        }
    }

    private static func roles(_ list: String) -> Set<Role> {
        Set(list.split(separator: ",").compactMap { Role(rawValue: String($0)) })
    }

    public func noteUse(_ id: KeyID, at: Timestamp) async throws {
        try await database.write { connection in
            _ = try connection.execute(
                "UPDATE access_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
                [.integer(id.rawValue), .integer(at.microseconds)])
        }
    }

    // MARK: - For owners

    public func keys(of account: AccountID, after cursor: Int64, limit: Int) async throws -> [AccessKey] {
        try await database.read { connection in
            try connection.query(
                "SELECT \(AccessKeyRows.columns) FROM access_keys k WHERE k.account = $1 AND k.id > $2 ORDER BY k.id LIMIT $3",
                [.integer(account.rawValue), .integer(cursor), SQLValue(limit)]
            ).map(AccessKeyRows.key)
        }
    }

    public func key(_ id: KeyID, of account: AccountID) async throws -> AccessKey? {
        try await database.read { try AccessKeyRows.find(id, of: account, $0) }
    }

    public func create(_ new: NewAccessKey, request: KeyRequest?, at: Timestamp) async throws -> AccessKey {
        let box = box
        return try await database.write { connection in
            try KeyStore.lock(new.account, connection)
            if let known = try KeyStore.made(by: request, of: new.account, at, connection) { return known }
            let live = try connection.queryOne(
                """
                SELECT count(*) FROM access_keys
                WHERE account = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
                """, [.integer(new.account.rawValue), .integer(at.microseconds)])
            guard try live?.int(0) ?? 0 < KeyLimits.liveKeys else { throw KeyError.tooMany }
            let id = try AccessKeyRows.insert(new, sealing: box, at: at, connection)
            try KeyStore.remember(request, of: new.account, id, at, connection)
            return try KeyStore.found(id, new.account, connection)
        }
    }

    public func rotate(
        _ id: KeyID, of account: AccountID, to secret: NewSecret, previousUntil: Timestamp, request: KeyRequest?, at: Timestamp
    ) async throws -> AccessKey {
        let box = box
        return try await database.write { connection in
            try KeyStore.lock(account, connection)
            if let known = try KeyStore.made(by: request, of: account, at, connection) { return known }
            guard let key = try AccessKeyRows.find(id, of: account, connection) else { throw KeyError.unknown }
            guard key.revokedAt == nil else { throw KeyError.revoked }
            let newest = try connection.queryOne(
                "SELECT max(number) FROM access_key_secrets WHERE key = $1", [.integer(id.rawValue)])?.int64(0) ?? 0
            try connection.execute(
                "DELETE FROM access_key_secrets WHERE key = $1 AND number < $2", [.integer(id.rawValue), .integer(newest)])
            try connection.execute(
                "UPDATE access_key_secrets SET until_at = $3 WHERE key = $1 AND number = $2",
                [.integer(id.rawValue), .integer(newest), .integer(previousUntil.microseconds)])
            try AccessKeyRows.insert(secret, of: id, number: newest + 1, sealing: box, at: at, connection)
            try KeyStore.remember(request, of: account, id, at, connection)
            return try KeyStore.found(id, account, connection)
        }
    }

    public func revoke(_ id: KeyID, of account: AccountID, at: Timestamp) async throws {
        try await database.write { connection in
            let row = try connection.queryOne(
                "UPDATE access_keys SET revoked_at = coalesce(revoked_at, $3) WHERE id = $1 AND account = $2 RETURNING id",
                [.integer(id.rawValue), .integer(account.rawValue), .integer(at.microseconds)])
            guard row != nil else { throw KeyError.unknown }
        }
    }

    private static func found(_ id: KeyID, _ account: AccountID, _ connection: any SQLConnection) throws -> AccessKey {
        guard let key = try AccessKeyRows.find(id, of: account, connection) else { throw KeyError.unknown }
        return key
    }

    /// Changes of one account's keys come one after the other.
    private static func lock(_ account: AccountID, _ connection: any SQLConnection) throws {
        let row = try connection.queryOne(
            "UPDATE accounts SET name = name WHERE id = $1 RETURNING id", [.integer(account.rawValue)])
        guard row != nil else { throw KeyError.accountUnknown }
    }

    // MARK: - Repeated requests

    private static func made(
        by request: KeyRequest?, of account: AccountID, _ now: Timestamp, _ connection: any SQLConnection
    ) throws -> AccessKey? {
        guard let request else { return nil }
        try connection.execute(
            "DELETE FROM access_key_requests WHERE account = $1 AND made_at < $2",
            [.integer(account.rawValue), .integer((now - requestLifetime).microseconds)])
        guard let row = try connection.queryOne(
            "SELECT digest, key FROM access_key_requests WHERE account = $1 AND request_key = $2",
            [.integer(account.rawValue), .text(request.key)])
        else { return nil }
        guard try row.blob(0) == request.digest else { throw KeyError.requestReused }
        return try found(KeyID(try row.int64(1)), account, connection)
    }

    private static func remember(
        _ request: KeyRequest?, of account: AccountID, _ key: KeyID, _ now: Timestamp, _ connection: any SQLConnection
    ) throws {
        guard let request else { return }
        try connection.execute(
            "INSERT INTO access_key_requests (account, request_key, digest, key, made_at) VALUES ($1, $2, $3, $4, $5)",
            [
                .integer(account.rawValue), .text(request.key), .blob(request.digest), .integer(key.rawValue),
                .integer(now.microseconds),
            ])
    }
}

// MARK: - The master key

extension KeyStore {
    /// Seals under the newest master key what an older one sealed, so that the older one can be taken away.
    ///
    /// - Returns: how many secrets were sealed anew
    public func reseal() async throws -> Int {
        let box = box
        return try await database.write { connection in
            var count = 0
            for row in try connection.query("SELECT key, number, sealed FROM access_key_secrets WHERE sealed IS NOT NULL") {
                let sealed = try row.blob(2)
                guard !box.isCurrent(sealed) else { continue }
                let context = AccessKeyRows.context(KeyID(try row.int64(0)), try row.int64(1))
                // What cannot be opened stays: its master key may come back.
                guard let secret = try? box.open(sealed, context: context) else { continue }
                try connection.execute(
                    "UPDATE access_key_secrets SET sealed = $3 WHERE key = $1 AND number = $2",
                    [.integer(try row.int64(0)), .integer(try row.int64(1)), .blob(box.seal(secret, context: context))])
                count += 1
            }
            return count
        }
    }
}
