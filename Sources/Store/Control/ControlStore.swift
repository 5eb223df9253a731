internal import Crypto
public import Database
internal import Exchange
internal import Market
public import Units

/// Audit trail, reconciliations, disputes and the published index in SQL.
///
/// What it writes is only ever added to. Writers of several processes take turns: numbers have no gaps.
public struct ControlStore: Sendable {
    /// What may be set.
    public struct Policy: Hashable, Sendable {
        /// For how long after a line's booking, or an interval's end, a party may object.
        public var disputeWindow: Interval

        public init(disputeWindow: Interval = .day) { self.disputeWindow = disputeWindow }
    }

    let database: Database
    let policy: Policy

    public init(_ database: Database, policy: Policy = Policy()) {
        self.database = database
        self.policy = policy
    }

    /// One transaction that no other of its kind runs beside.
    func change<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await database.write { connection in
            try ControlStore.takeTurn(connection)
            return try body(connection)
        }
    }

    /// Postgres: an advisory lock until the transaction's end, "hscontrl" in ASCII. SQLite has one writer at a time anyway.
    static func takeTurn(_ connection: any SQLConnection) throws(DatabaseError) {
        switch connection.dialect {
        case .sqlite: break
        case .postgres: _ = try connection.query("SELECT pg_advisory_xact_lock($1)", [0x6873_636f_6e74_726c])
        }
    }

    /// The highest number of a table, plus one.
    static func next(_ column: String, of table: String, _ connection: any SQLConnection) throws(DatabaseError) -> Int64 {
        try (connection.queryOne("SELECT coalesce(max(\(column)), 0) FROM \(table)")?.int64(0) ?? 0) + 1
    }

    /// Does `body` unless the request was done before; returns the number of what it made or changed.
    static func once(
        _ request: Repeatable, at time: Timestamp, _ connection: any SQLConnection, _ body: () throws -> Int64
    ) throws -> Int64 {
        guard let request else { return try body() }
        if let earlier = try ControlStore.earlier(request, connection) { return earlier }
        let subject = try body()
        try connection.execute(
            "INSERT INTO control_answers (account, key, digest, subject, at) VALUES ($1, $2, $3, $4, $5)", [
                .integer(request.key.account.rawValue), .text(request.key.key), .blob(request.digest), .integer(subject),
                .integer(time.microseconds),
            ])
        return subject
    }

    /// What the same request made or changed before; nil: it is new.
    static func earlier(_ request: Repeatable, _ connection: any SQLConnection) throws -> Int64? {
        guard let request else { return nil }
        let known = try connection.queryOne(
            "SELECT digest, subject FROM control_answers WHERE account = $1 AND key = $2",
            [.integer(request.key.account.rawValue), .text(request.key.key)])
        guard let known else { return nil }
        guard try known.blob(0) == request.digest else { throw ControlRefusal.idempotencyKeyReused }
        return try known.int64(1)
    }

    /// A stored code as one of ours.
    static func known<T: RawRepresentable>(_ value: Int64, _ type: T.Type) throws(DatabaseError) -> T where T.RawValue == UInt8 {
        guard let raw = UInt8(exactly: value), let known = T(rawValue: raw) else { throw .decoding("no \(type) has the number \(value)") }
        return known
    }

    static func optional(_ number: Int64?) -> SQLValue { number.map { .integer($0) } ?? .null }
}
