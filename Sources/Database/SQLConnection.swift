/// Which SQL a connection speaks, where the two differ.
public enum SQLDialect: String, Sendable, Hashable {
    case sqlite
    case postgres
}

public enum TransactionMode: Sendable, Hashable {
    /// May write. On SQLite the one write lock is taken at its beginning.
    case write
    /// One snapshot for all statements; writes are refused with `DatabaseError.readOnly`.
    case read
}

/// A blocking connection. It is confined to one thread or serial queue, and not Sendable.
///
/// Placeholders are `$1`, `$2`, ... in both dialects, and their number must equal the parameters'.
/// A statement is prepared once per connection and kept in a cache of `statementCacheCapacity`.
/// An error inside a transaction dooms it: what follows throws until it is rolled back. Transactions
/// are begun and ended by the functions here, never by SQL given to `execute`.
public protocol SQLConnection: AnyObject {
    var dialect: SQLDialect { get }
    var isInTransaction: Bool { get }

    /// All rows of one statement.
    func query(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> [SQLRow]

    /// Runs one statement; how many rows it inserted, updated or deleted.
    @discardableResult
    func execute(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> Int

    /// Runs one statement for each row of parameters, prepared once and without a round trip per row.
    /// All or nothing: outside of a transaction it is one of its own.
    /// - Returns: rows affected, in total.
    @discardableResult
    func executeMany(_ sql: String, rows: SQLRows) throws(DatabaseError) -> Int

    /// Adds rows to a table, all or none, by the fastest way of the engine. Of a row that is there already the
    /// constraint's error is thrown. Names of tables and columns stand in the SQL as they are given.
    /// On Postgres it also needs the right to read the columns.
    func insert(into table: String, _ columns: [String], _ rows: SQLRows) throws(DatabaseError)

    /// Adds rows to a table, or changes those with the same key by the rule, all or none. No key comes twice in `rows`.
    ///
    /// - Parameter key: the columns of a unique index
    func upsert(
        into table: String, _ columns: [String], key: [String], _ rows: SQLRows, rule: UpsertRule
    ) throws(DatabaseError)

    /// Passes the rows to `body` one by one, in constant memory. The connection runs nothing else
    /// meanwhile. A body that throws ends it; on Postgres what the server still sends is read and dropped.
    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (SQLRow) throws -> Void) throws

    /// Runs several statements without parameters, such as a migration.
    func script(_ sql: String) throws(DatabaseError)

    /// Begins a transaction. Prefer `transaction`.
    func begin(_ mode: TransactionMode) throws(DatabaseError)

    /// Ends the transaction. If it throws, the transaction is still to be rolled back.
    func commit() throws(DatabaseError)

    /// Gives the transaction up, if there is one.
    func rollback()

    /// Ends the connection; later uses throw `DatabaseError.closed`.
    func close()
}

/// How many prepared statements a connection keeps; the one that was not used for longest goes first.
let statementCacheCapacity = 256

extension SQLConnection {
    public func query(_ sql: String) throws(DatabaseError) -> [SQLRow] { try query(sql, []) }

    @discardableResult
    public func execute(_ sql: String) throws(DatabaseError) -> Int { try execute(sql, []) }

    public func forEach(_ sql: String, _ body: (SQLRow) throws -> Void) throws { try forEach(sql, [], body) }

    /// The first row, or nil if there is none.
    public func queryOne(_ sql: String, _ parameters: [SQLValue] = []) throws(DatabaseError) -> SQLRow? {
        try query(sql, parameters).first
    }

    /// Commits what `body` did, or, if it throws, keeps nothing of it and rethrows. A transaction
    /// inside another is refused.
    @discardableResult
    public func transaction<T>(_ mode: TransactionMode = .write, _ body: () throws -> T) throws -> T {
        try begin(mode)
        do {
            let result = try body()
            try commit()
            return result
        } catch {
            rollback()
            throw error
        }
    }
}

/// What both drivers refuse before they ask the database.
enum Misuse {
    static let nested = DatabaseError.programming("a transaction inside another")
    static let noTransaction = DatabaseError.programming("no transaction to commit")
    static let doomed = DatabaseError.programming("an earlier statement of the transaction failed")
    static let streaming = DatabaseError.programming("the connection is streaming rows")
    static let nulInText = DatabaseError.programming("text with a NUL character")

    static let tableChanged = DatabaseError.serializationFailure(detail: "the table's columns changed meanwhile")

    static func parameterCount(expected: Int, found: Int) -> DatabaseError {
        .programming("\(expected) parameters expected, \(found) given")
    }
}
