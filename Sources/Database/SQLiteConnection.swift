internal import Foundation
internal import GRDB

/// An SQLite file, over a `DatabaseQueue` of GRDB: one connection, each call one access to its queue.
/// Transactions span calls, which GRDB names unsafe; `ConnectionState` minds them.
final class SQLiteConnection: SQLConnection {
    let queue: DatabaseQueue
    /// Touched inside an access only.
    private var statements = StatementCache<SQLiteStatement>()
    private let scratch = SQLiteScratch()
    /// By table.
    private var indexedColumns: [String: Set<String>] = [:]
    private var state = ConnectionState()

    var dialect: SQLDialect { .sqlite }
    var isInTransaction: Bool { state.isInTransaction }

    init(path: String, checksIntegrity: Bool) throws(DatabaseError) {
        do {
            if checksIntegrity { try Self.checkIntegrity(path) }
            queue = try DatabaseQueue(path: path, configuration: Self.configuration())
        } catch {
            throw Self.openingError(.sqlite(error), path: path)
        }
    }

    deinit {
        // The file is all that is left when an owner forgets to close.
        close()
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> [SQLRow] {
        try state.checkStatement()
        return try access { database throws(DatabaseError) in
            var rows: [SQLRow] = []
            try stream(sql, parameters, database) { row in
                rows.append(row)
                return true
            }
            return rows
        }
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> Int {
        try state.checkStatement()
        return try access { database throws(DatabaseError) in
            try using(sql, database) { statement throws(DatabaseError) in try statement.run(parameters) }
        }
    }

    @discardableResult
    func executeMany(_ sql: String, rows: SQLRows) throws(DatabaseError) -> Int {
        try state.checkStatement()
        guard !rows.isEmpty else { return 0 }
        return try atomically { () throws(DatabaseError) in
            try access { database throws(DatabaseError) in
                try using(sql, database) { statement throws(DatabaseError) in
                    var affected = 0
                    try rows.forEachRow { row throws(DatabaseError) in affected += try statement.run(row) }
                    return affected
                }
            }
        }
    }

    func insert(into table: String, _ columns: [String], _ rows: SQLRows) throws(DatabaseError) {
        try executeMany(BulkSQL(table, columns, rows).insertion, rows: rows)
    }

    func upsert(
        into table: String, _ columns: [String], key: [String], _ rows: SQLRows, rule: UpsertRule
    ) throws(DatabaseError) {
        let sql = try BulkSQL(table, columns, rows)
        guard let update = sql.update(key: key, rule) else {
            try executeMany(sql.insertion + sql.conflict(key: key, rule), rows: rows)
            return
        }
        let indexed = try rule == .replace ? indexedColumns(of: table) : []
        let frequent = indexed.isDisjoint(with: columns) ? nil : sql.update(key: key, rule, unchanged: indexed)
        let counter = key.count == 1 ? columns.firstIndex(of: key[0]) : nil
        let greatest = try counter == nil ? .min : greatestInteger(key[0], in: table)
        try updateOrInsert(frequent, update, sql.insertion, rows, counter: counter, greatest: greatest)
    }

    /// The column's greatest value, which an index tells; the least integer if there are no rows. Texts and bytes are greater
    /// than all integers.
    private func greatestInteger(_ column: String, in table: String) throws(DatabaseError) -> Int64 {
        switch try query("SELECT max(\(column)) FROM \(table)").first?[0] {
        case .integer(let number): number
        case .null, nil: .min
        case .text, .blob: .max
        }
    }

    /// Columns of the table's indexes that have all rows. SQLite writes an index anew when a statement sets one of its
    /// columns, be it to the value that it had: every such row would cost a page of the index.
    private func indexedColumns(of table: String) throws(DatabaseError) -> Set<String> {
        if let known = indexedColumns[table] { return known }
        let rows = try query(
            """
            SELECT DISTINCT i.name FROM pragma_index_list($1) l JOIN pragma_index_info(l.name) i
            WHERE l.partial = 0 AND l.origin <> 'pk' AND i.name IS NOT NULL
            """, [.text(table)])
        var columns: Set<String> = []
        for row in rows { columns.insert(try row.text(0)) }
        indexedColumns[table] = columns
        return columns
    }

    /// Nobody else writes meanwhile, so two statements are as good as ON CONFLICT DO UPDATE, and dearer only for rows that
    /// are new: for that one SQLite makes a statement journal in 64 KiB of new memory for every row.
    ///
    /// - Parameters:
    ///   - frequent: changes only rows whose indexed columns stay as they are
    ///   - counter: the column that is the whole key
    ///   - greatest: its greatest value in the table; rows beyond it are new
    private func updateOrInsert(
        _ frequent: String?, _ update: String, _ insertion: String, _ rows: SQLRows, counter: Int?, greatest: Int64
    ) throws(DatabaseError) {
        try state.checkStatement()
        guard !rows.isEmpty else { return }
        let hasFrequent = frequent != nil
        var greatest = greatest
        try atomically { () throws(DatabaseError) in
            try access { database throws(DatabaseError) in
                try using(frequent ?? update, database) { frequent throws(DatabaseError) in
                    try using(update, database) { update throws(DatabaseError) in
                        try using(insertion, database) { insertion throws(DatabaseError) in
                            try rows.forEachRow { row throws(DatabaseError) in
                                if let counter, case .integer(let number) = row[row.startIndex + counter], number > greatest {
                                    greatest = number
                                    _ = try insertion.run(row)
                                    return
                                }
                                if try frequent.run(row) > 0 { return }
                                if hasFrequent, try update.run(row) > 0 { return }
                                _ = try insertion.run(row)
                            }
                        }
                    }
                }
            }
        }
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (SQLRow) throws -> Void) throws {
        try state.checkStatement()
        state.isStreaming = true
        defer { state.isStreaming = false }
        var refusal: (any Error)?
        try access { database throws(DatabaseError) in
            try stream(sql, parameters, database) { row in
                do { try body(row) } catch { refusal = error }
                return refusal == nil
            }
        }
        if let refusal { throw refusal }
    }

    func script(_ sql: String) throws(DatabaseError) {
        try state.checkStatement()
        guard !state.isReading else { throw .readOnly(detail: "a script in a read transaction") }
        try access { database throws(DatabaseError) in
            guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
            try DatabaseError.translatingSQLite { try database.execute(sql: sql) }
        }
    }

    func begin(_ mode: TransactionMode) throws(DatabaseError) {
        try state.checkBegin()
        switch mode {
        case .write: try control("BEGIN IMMEDIATE")
        case .read: try control("BEGIN DEFERRED")
        }
        state.began(mode)
    }

    func commit() throws(DatabaseError) {
        try state.checkCommit()
        try control("COMMIT")
        state.ended()
    }

    func rollback() {
        guard state.isInTransaction else { return }
        state.ended()
        // Some errors (disk full, I/O) have rolled back already: then GRDB does nothing.
        queue.unsafeReentrantWrite { database in try? database.rollback() }
    }

    func close() {
        guard !state.isClosed else { return }
        precondition(!state.isStreaming, "a connection is not closed while it streams rows")
        rollback()
        state.closed()
        queue.unsafeReentrantWrite { _ in _ = statements.removeAll() }
        // If SQLite refuses, it closes with the queue.
        try? queue.close()
    }
}

// MARK: - Statements

extension SQLiteConnection {
    /// The one way to the database. Dooms the transaction if `body` throws.
    private func access<T>(
        _ body: (GRDB.Database) throws(DatabaseError) -> T
    ) throws(DatabaseError) -> T {
        let result = queue.unsafeReentrantWrite { database in
            Result { () throws(DatabaseError) in try body(database) }
        }
        if case .failure = result { state.failed() }
        return try result.get()
    }

    /// Lends the prepared statement, and forgets it if `body` throws.
    private func using<T>(
        _ sql: String,
        _ database: GRDB.Database,
        _ body: (SQLiteStatement) throws(DatabaseError) -> T
    ) throws(DatabaseError) -> T {
        let statement = try prepared(sql, database)
        guard !state.isReading || statement.isReadOnly else {
            throw .readOnly(detail: "a write in a read transaction")
        }
        do {
            return try body(statement)
        } catch {
            statements.remove(sql)
            throw error
        }
    }

    private func prepared(_ sql: String, _ database: GRDB.Database) throws(DatabaseError) -> SQLiteStatement {
        if let statement = statements.statement(for: sql) { return statement }
        let statement = try SQLiteStatement(sql, database, scratch)
        statements.evictIfFull()
        statements.insert(statement, for: sql)
        return statement
    }

    /// Passes the rows to `body` until it says no.
    private func stream(
        _ sql: String,
        _ parameters: [SQLValue],
        _ database: GRDB.Database,
        _ body: (SQLRow) -> Bool
    ) throws(DatabaseError) {
        try using(sql, database) { statement throws(DatabaseError) in try statement.forEachRow(parameters, body) }
    }

    /// Begins or ends a transaction.
    private func control(_ sql: String) throws(DatabaseError) {
        try access { database throws(DatabaseError) in
            _ = try using(sql, database) { statement throws(DatabaseError) in try statement.run([]) }
        }
    }
}

// MARK: - Opening

extension SQLiteConnection {
    /// Seconds that a statement waits for another connection's lock.
    private static let busyTimeout = 5.0
    /// So long a write-ahead log is copied into the file by the commit that makes it so long, and begun anew as soon as nobody
    /// reads from it: 16 MiB. It grows further only while a reader keeps its snapshot.
    private static let checkpointPages = 4000
    /// Pages of the file that a connection keeps in memory at most.
    private static let cacheKibibytes = 32768
    /// What is left of a log that grew longer, in bytes.
    private static let logBytes = 64 << 20

    private static func configuration() -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.label = "hashspot.database.sqlite"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(busyTimeout)
        configuration.allowsUnsafeTransactions = true
        configuration.prepareDatabase { try setUp($0) }
        return configuration
    }

    /// Write-ahead log, and an fsync at every commit: what was committed survives a power cut. GRDB's own
    /// setting for the log would leave that fsync out.
    private static func setUp(_ database: GRDB.Database) throws {
        if try pragma("journal_mode", database) != "wal" {
            let mode = try switchToWAL(database, attempts: 50)
            guard mode == "wal" else {
                throw DatabaseError.unavailable(detail: "the file system allows no write-ahead log (\(mode))")
            }
        }
        try database.execute(sql: "PRAGMA synchronous = FULL")
        try database.execute(sql: "PRAGMA wal_autocheckpoint = \(checkpointPages)")
        try database.execute(sql: "PRAGMA cache_size = -\(cacheKibibytes)")
        try database.execute(sql: "PRAGMA journal_size_limit = \(logBytes)")
    }

    /// The first switch needs the file for itself, and SQLite does not always wait for it: another
    /// process may be opening the new file too. Waits 100 ms between attempts.
    private static func switchToWAL(_ database: GRDB.Database, attempts: Int) throws -> String {
        for _ in 1..<attempts {
            do {
                return try pragma("journal_mode = WAL", database)
            } catch GRDB.DatabaseError.SQLITE_BUSY, GRDB.DatabaseError.SQLITE_LOCKED {
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
        return try pragma("journal_mode = WAL", database)
    }

    /// On a connection for reading: at its end another would copy the log into the file, even a log that is not the file's.
    private static func checkIntegrity(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busyTimeout)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        let finding = try queue.read { try pragma("quick_check(1)", $0) }
        try queue.close()
        guard finding == "ok" else { throw DatabaseError.corrupt(detail: finding) }
    }

    private static func pragma(_ name: String, _ database: GRDB.Database) throws -> String {
        try String.fetchOne(database, sql: "PRAGMA \(name)") ?? ""
    }

    /// Says what is wrong with the path, where SQLite says only that it cannot open the file.
    private static func openingError(_ error: DatabaseError, path: String) -> DatabaseError {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder = ObjCBool(false)
        if !FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) || !isFolder.boolValue {
            return .unavailable(detail: "\(path): there is no folder \(folder)")
        }
        switch error {
        case .unavailable(let detail), .readOnly(let detail):
            return .unavailable(
                detail: "\(path): the file or its folder cannot be read and written (\(detail)): give this user both rights")
        case .corrupt(let detail):
            return .corrupt(
                detail: """
                    \(path): \(detail). It is damaged, not an SQLite database, or beside another one's \(path)-wal: \
                    keep a copy of all its files, and put a backup in their place
                    """)
        case .busy(let detail): return .busy(detail: "\(path): \(detail)")
        case .diskFull(let detail): return .diskFull(detail: "\(path): \(detail)")
        case .constraintViolation, .serializationFailure, .connectionLost, .commitOutcomeUnknown, .forbidden,
            .programming, .decoding, .invalidLocation, .closed:
            return error
        }
    }
}
