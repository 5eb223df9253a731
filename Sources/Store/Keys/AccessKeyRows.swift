internal import Database
internal import Market
internal import Units

/// Rows of keys and their secrets, within a transaction.
enum AccessKeyRows {
    static let columns = """
        k.id, k.account, k.name, k.label, k.scopes, k.networks, k.expires_at, k.created_at, k.revoked_at, k.last_used_at,
        (SELECT max(s.made_at) FROM access_key_secrets s WHERE s.key = k.id),
        (SELECT max(s.until_at) FROM access_key_secrets s WHERE s.key = k.id)
        """

    static func key(_ row: SQLRow) throws -> AccessKey {
        let name = try row.optionalText(2)
        return AccessKey(
            id: KeyID(try row.int64(0)), account: AccountID(try row.int64(1)), kind: name == nil ? .bearer : .signed, name: name,
            label: try row.text(3), grant: try grant(row), createdAt: Timestamp(microseconds: try row.int64(7)),
            revokedAt: try row.optionalInt64(8).map(Timestamp.init(microseconds:)),
            lastUsedAt: try row.optionalInt64(9).map(Timestamp.init(microseconds:)),
            rotatedAt: Timestamp(microseconds: try row.int64(10)),
            previousUntil: try row.optionalInt64(11).map(Timestamp.init(microseconds:)))
    }

    /// What is not understood must not widen a key: it is refused.
    private static func grant(_ row: SQLRow) throws -> KeyGrant {
        let scopes = try row.text(4).split(separator: ",").map { text in
            guard let scope = Scope(rawValue: String(text)) else { throw DatabaseError.decoding("unknown scope") }
            return scope
        }
        let networks = try row.text(5).split(separator: ",").map { text in
            guard let network = IPNetwork(text) else { throw DatabaseError.decoding("not a network") }
            return network
        }
        return KeyGrant(
            scopes: Set(scopes), networks: networks, expiresAt: try row.optionalInt64(6).map(Timestamp.init(microseconds:)))
    }

    static func find(_ id: KeyID, of account: AccountID, _ connection: any SQLConnection) throws -> AccessKey? {
        try connection.queryOne(
            "SELECT \(columns) FROM access_keys k WHERE k.id = $1 AND k.account = $2",
            [.integer(id.rawValue), .integer(account.rawValue)]
        ).map(key)
    }

    /// - Parameter sealing: what seals signing secrets; those of bearer keys need none
    static func insert(
        _ new: NewAccessKey, sealing box: SecretBox?, at: Timestamp, _ connection: any SQLConnection
    ) throws -> KeyID {
        guard let row = try connection.queryOne(
            """
            INSERT INTO access_keys (id, account, name, label, scopes, networks, expires_at, created_at, created_by)
            SELECT coalesce(max(id), 0) + 1, CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT),
                   CAST($5 AS TEXT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), CAST($8 AS BIGINT)
            FROM access_keys
            RETURNING id
            """,
            [
                .integer(new.account.rawValue), SQLValue(new.name), .text(new.label),
                .text(new.grant.scopes.sorted().map(\.rawValue).joined(separator: ",")),
                .text(new.grant.networks.map(\.description).joined(separator: ",")), SQLValue(new.grant.expiresAt?.microseconds),
                .integer(at.microseconds), SQLValue(new.createdBy?.rawValue),
            ])
        else { throw DatabaseError.decoding("no key number came back") }
        let id = KeyID(try row.int64(0))
        try insert(new.secret, of: id, number: 1, sealing: box, at: at, connection)
        return id
    }

    static func insert(
        _ secret: NewSecret, of key: KeyID, number: Int64, sealing box: SecretBox?, at: Timestamp, _ connection: any SQLConnection
    ) throws {
        let (digest, sealed): ([UInt8]?, [UInt8]?)
        switch secret {
        case .digest(let bytes): (digest, sealed) = (bytes, nil)
        case .signing(let bytes):
            guard let box else { preconditionFailure("signing secrets are sealed") }
            (digest, sealed) = (nil, box.seal(bytes, context: context(key, number)))
        }
        try connection.execute(
            "INSERT INTO access_key_secrets (key, number, digest, sealed, made_at) VALUES ($1, $2, $3, $4, $5)",
            [.integer(key.rawValue), .integer(number), SQLValue(digest), SQLValue(sealed), .integer(at.microseconds)])
    }

    /// What a sealed secret is of.
    static func context(_ key: KeyID, _ number: Int64) -> String { "signing secret \(number) of key \(key)" }
}
