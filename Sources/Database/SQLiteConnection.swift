internal import Foundation
internal import GRDBSQLite

/// An SQLite file, over SQLite's C interface as GRDB's package exposes it. GRDB's own `DatabaseQueue` is not
/// between: its hop to a queue on each call costs more than the statement, and its commit hooks trap
/// when the raw handle of one of its connections is used elsewhere.
final class SQLiteConnection: SQLConnection {
    private let handle: OpaquePointer
    private var statements = StatementCache<SQLiteStatement>()
    private var state = ConnectionState()

    var dialect: SQLDialect { .sqlite }
    var isInTransaction: Bool { state.isInTransaction }

    init(path: String, checksIntegrity: Bool) throws(DatabaseError) {
        handle = try Self.open(path)
        do {
            try setUp()
            if checksIntegrity { try checkIntegrity() }
        } catch {
            close()
            throw Self.openingError(error, path: path)
        }
    }

    deinit {
        // The file is all that is left when an owner forgets to close.
        close()
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
        sqlite3_close_v2(handle)
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
    /// Milliseconds that a statement waits for another connection's lock.
    private static let busyTimeout: Int32 = 5_000

    private static func open(_ path: String) throws(DatabaseError) -> OpaquePointer {
        var pointer: OpaquePointer?
        // A connection is confined to one thread or queue, so SQLite need not lock it.
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &pointer, flags, nil)
        guard let pointer else { throw .unavailable(detail: "out of memory") }
        guard code == SQLITE_OK else {
            let error = DatabaseError.sqlite(pointer)
            sqlite3_close_v2(pointer)
            throw openingError(error, path: path)
        }
        sqlite3_extended_result_codes(pointer, 1)
        sqlite3_busy_timeout(pointer, busyTimeout)
        _disableDoubleQuotedStringLiterals(pointer)
        return pointer
    }

    /// Write-ahead log, and an fsync at every commit: what was committed survives a power cut.
    private func setUp() throws(DatabaseError) {
        if try pragma("journal_mode") != "wal" {
            let mode = try switchToWAL(attempts: 50)
            guard mode == "wal" else {
                throw .unavailable(detail: "the file system allows no write-ahead log (\(mode))")
            }
        }
        try runScript("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; SELECT 1 FROM sqlite_master LIMIT 1;")
    }

    /// The first switch needs the file for itself, and SQLite does not always wait for it: another
    /// process may be opening the new file too. Waits 100 ms between attempts.
    private func switchToWAL(attempts: Int) throws(DatabaseError) -> String {
        for _ in 1..<attempts {
            do {
                return try pragma("journal_mode = WAL")
            } catch .busy {
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
        return try pragma("journal_mode = WAL")
    }

    private func checkIntegrity() throws(DatabaseError) {
        let finding = try pragma("quick_check(1)")
        guard finding == "ok" else { throw .corrupt(detail: finding) }
    }

    private func pragma(_ name: String) throws(DatabaseError) -> String {
        try query("PRAGMA \(name)", []).first?.text(0) ?? ""
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
            return .unavailable(detail: "\(path): the file or its folder cannot be read and written (\(detail))")
        case .corrupt(let detail): return .corrupt(detail: "\(path): \(detail)")
        case .busy(let detail): return .busy(detail: "\(path): \(detail)")
        case .diskFull(let detail): return .diskFull(detail: "\(path): \(detail)")
        case .constraintViolation, .serializationFailure, .connectionLost, .commitOutcomeUnknown, .programming,
            .decoding, .invalidLocation, .closed:
            return error
        }
    }
}
