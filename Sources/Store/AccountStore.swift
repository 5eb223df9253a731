public import Database
public import Market
public import Units

/// Accounts in SQL.
public struct AccountStore: AccountDirectory {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public func exists(_ account: AccountID) async throws -> Bool {
        try await database.read { connection in
            try connection.queryOne("SELECT 1 FROM accounts WHERE id = $1", [.integer(account.rawValue)]) != nil
        }
    }

    /// Creates an account with one bearer key, which gives all that its roles do.
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
            let first = NewAccessKey(
                account: AccountID(id), name: nil, label: "first key", grant: .all, secret: .digest(keyDigest), createdBy: nil)
            _ = try AccessKeyRows.insert(first, sealing: nil, at: at, connection)
            return AccountID(id)
        }
    }
}
