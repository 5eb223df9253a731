internal import Foundation
internal import GRDB
internal import GRDBSQLite

/// An SQLite file. GRDB opens and owns the connection; statements run on its raw handle, because GRDB's
/// hop to its own queue on each call costs more than the statement.
final class SQLiteConnection: SQLConnection {
    private let owner: DatabaseQueue
    private let handle: OpaquePointer
    private var statements = StatementCache<SQLiteStatement>()
    private var state = ConnectionState()

    var dialect: SQLDialect { .sqlite }
    var isInTransaction: Bool { state.isInTransaction }

    init(path: String, checksIntegrity: Bool) throws(DatabaseError) {
        do {
            owner = try DatabaseQueue(path: path, configuration: Self.configuration(checksIntegrity: checksIntegrity))
        } catch let error as GRDB.DatabaseError {
            throw Self.openingError(error, path: path)
        } catch let error as DatabaseError {
            throw error
        } catch {
            throw .unavailable(detail: "\(path): \(error)")
        }
        guard let handle = owner.unsafeReentrantWrite({ $0.sqliteConnection }) else {
            throw .unavailable(detail: "\(path): no connection")
        }
        self.handle = handle
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> [SQLRow] {
        let statement = try bound(sql, parameters)
        defer { statement.reset() }
        return try guarding { () throws(DatabaseError) in
            var rows: [SQLRow] = []
            while try statement.step(handle) { rows.append(try statement.row()) }
            return rows
        }
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> Int {
        try run(bound(sql, parameters))
    }

    func executeMany(_ sql: String, rows: [[SQLValue]]) throws(DatabaseError) -> Int {
        try atomically { () throws(DatabaseError) in
            var affected = 0
            for row in rows { affected += try run(bound(sql, row)) }
            return affected
        }
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (SQLRow) throws -> Void) throws {
        let statement = try bound(sql, parameters)
        state.isStreaming = true
        defer {
            statement.reset()
            state.isStreaming = false
        }
        while try guarding({ () throws(DatabaseError) in try statement.step(handle) }) {
            try body(statement.row())
        }
    }

    func script(_ sql: String) throws(DatabaseError) {
        try state.checkStatement()
        guard !state.isReading else { throw .readOnly(detail: "a script in a read transaction") }
        try guarding { () throws(DatabaseError) in try runScript(sql) }
    }

    func begin(_ mode: TransactionMode) throws(DatabaseError) {
        try state.checkBegin()
        switch mode {
        case .write: try run(prepared("BEGIN IMMEDIATE"))
        case .read: try run(prepared("BEGIN DEFERRED"))
        }
        state.began(mode)
    }

    func commit() throws(DatabaseError) {
        try state.checkCommit()
        try run(prepared("COMMIT"))
        state.ended()
    }

    func rollback() {
        guard state.isInTransaction else { return }
        state.ended()
        // Some errors (disk full, I/O) have rolled back already.
        guard sqlite3_get_autocommit(handle) == 0 else { return }
        _ = try? runScript("ROLLBACK")
    }

    func close() {
        guard !state.isClosed else { return }
        rollback()
        state.closed()
        for statement in statements.removeAll() { statement.finalize() }
        try? owner.close()
    }
}

// MARK: - Statements

extension SQLiteConnection {
    private func bound(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> SQLiteStatement {
        try state.checkStatement()
        return try guarding { () throws(DatabaseError) in
            let statement = try prepared(sql)
            guard !state.isReading || statement.isReadOnly else {
                throw DatabaseError.readOnly(detail: "a write in a read transaction")
            }
            try statement.bind(parameters, handle)
            return statement
        }
    }

    private func prepared(_ sql: String) throws(DatabaseError) -> SQLiteStatement {
        if let statement = statements.statement(for: sql) { return statement }
        let statement = try SQLiteStatement(sql, handle)
        statements.evictIfFull()?.finalize()
        statements.insert(statement, for: sql)
        return statement
    }

    /// Runs to the end and drops the rows.
    @discardableResult
    private func run(_ statement: SQLiteStatement) throws(DatabaseError) -> Int {
        defer { statement.reset() }
        return try guarding { () throws(DatabaseError) in
            let before = sqlite3_total_changes64(handle)
            while try statement.step(handle) {}
            // `changes` keeps its value over statements that change nothing.
            return sqlite3_total_changes64(handle) == before ? 0 : Int(sqlite3_changes64(handle))
        }
    }

    private func runScript(_ sql: String) throws(DatabaseError) {
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw .sqlite(handle) }
    }

    /// Dooms the transaction if `body` throws.
    private func guarding<T>(_ body: () throws(DatabaseError) -> T) throws(DatabaseError) -> T {
        do {
            return try body()
        } catch {
            state.failed()
            throw error
        }
    }
}

// MARK: - Opening

extension SQLiteConnection {
    private static func configuration(checksIntegrity: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "hashspot.sqlite"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try setUpJournal(database)
            guard checksIntegrity else { return }
            let finding = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
            guard finding == "ok" else { throw DatabaseError.corrupt(detail: finding) }
        }
        return configuration
    }

    /// Write-ahead log, and an fsync at every commit: what was committed survives a power cut.
    private static func setUpJournal(_ database: GRDB.Database) throws {
        if try String.fetchOne(database, sql: "PRAGMA journal_mode") != "wal" {
            let mode = try switchToWAL(database, attempts: 50)
            guard mode == "wal" else {
                throw DatabaseError.unavailable(detail: "the file system allows no write-ahead log (\(mode))")
            }
        }
        try database.execute(sql: "PRAGMA synchronous = FULL")
    }

    /// The first switch needs the file for itself, and SQLite does not always wait for it: another
    /// process may be opening the new file too. Waits 100 ms between attempts.
    private static func switchToWAL(_ database: GRDB.Database, attempts: Int) throws -> String {
        for _ in 1..<attempts {
            do {
                return try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL") ?? ""
            } catch let error as GRDB.DatabaseError where error.resultCode == .SQLITE_BUSY {
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
        return try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL") ?? ""
    }

    private static func openingError(_ error: GRDB.DatabaseError, path: String) -> DatabaseError {
        let message = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder = ObjCBool(false)
        if !FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) || !isFolder.boolValue {
            return .unavailable(detail: "\(path): there is no folder \(folder)")
        }
        if error.resultCode == .SQLITE_CANTOPEN || error.resultCode == .SQLITE_READONLY {
            return .unavailable(detail: "\(path): the file or its folder cannot be written (\(message))")
        }
        return .sqlite(code: error.extendedResultCode.rawValue, detail: "\(path): \(message)")
    }
}
