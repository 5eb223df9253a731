public import Database
public import Market
public import Units

/// Accounts and API keys in SQL. Keys are known by their SHA-256 only.
public struct AccountStore: AccountDirectory {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public func principal(keyDigest: [UInt8]) async throws -> Principal? {
        try await database.read { connection in
            guard let row = try connection.queryOne(
                """
                SELECT a.id, a.name, a.roles FROM api_keys k JOIN accounts a ON a.id = k.account
                WHERE k.digest = $1 AND k.revoked_at IS NULL
                """, [.blob(keyDigest)])
            else { return nil }
            return Principal(
                account: AccountID(try row.int64(0)), name: try row.text(1),
                roles: Set(try row.text(2).split(separator: ",").compactMap { Role(rawValue: String($0)) }))
        }
    }

    public func exists(_ account: AccountID) async throws -> Bool {
        try await database.read { connection in
            try connection.queryOne("SELECT 1 FROM accounts WHERE id = $1", [.integer(account.rawValue)]) != nil
        }
    }

    /// Creates an account with one key.
    ///
    /// - Throws: ``DatabaseError/constraintViolation(_:detail:)`` when the name is taken
    public func create(name: String, roles: Set<Role>, keyDigest: [UInt8], at: Timestamp) async throws -> AccountID {
        let list = roles.map(\.rawValue).sorted().joined(separator: ",")
        return try await database.write { connection in
            guard let row = try connection.queryOne(
                """
                INSERT INTO accounts (id, name, roles, created_at)
                SELECT coalesce(max(id), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM accounts
                RETURNING id
                """, [.text(name), .text(list), .integer(at.microseconds)])
            else { throw DatabaseError.decoding("no account number came back") }
            let id = try row.int64(0)
            try connection.execute(
                "INSERT INTO api_keys (digest, account, created_at) VALUES ($1, $2, $3)",
                [.blob(keyDigest), .integer(id), .integer(at.microseconds)])
            return AccountID(id)
        }
    }
}
