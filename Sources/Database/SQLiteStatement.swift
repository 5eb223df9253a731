internal import GRDB
internal import GRDBSQLite

/// A prepared statement of one SQLite connection, used only inside an access to its database. GRDB prepares it
/// and lends the handle; values go in and rows come out by SQLite's own functions.
/// After an error it is not to be used again.
struct SQLiteStatement {
    private let statement: Statement
    private let handle: OpaquePointer
    private let connection: OpaquePointer
    private let scratch: SQLiteScratch
    /// For SQLite's parameter i + 1, the n of its `$n`.
    private let numbers: [Int]
    /// The greatest n.
    private let parameterCount: Int

    init(_ sql: String, _ database: GRDB.Database, _ scratch: SQLiteScratch) throws(DatabaseError) {
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        statement = try DatabaseError.translatingSQLite { try database.makeStatement(sql: sql) }
        handle = statement.sqliteStatement
        guard let connection = sqlite3_db_handle(handle) else { throw .programming("a statement without a connection") }
        self.connection = connection
        self.scratch = scratch
        numbers = try Self.numbers(of: handle)
        parameterCount = numbers.max() ?? 0
    }

    var isReadOnly: Bool { statement.isReadonly }

    /// Runs to the end and drops the rows.
    /// - Returns: how many rows it inserted, updated or deleted.
    func run(_ parameters: [SQLValue]) throws(DatabaseError) -> Int {
        try parameters.withUnsafeBufferPointer { row throws(DatabaseError) in try run(row) }
    }

    func run(_ parameters: UnsafeBufferPointer<SQLValue>) throws(DatabaseError) -> Int {
        let before = sqlite3_total_changes64(connection)
        try bind(parameters)
        defer { end() }
        while try step() {}
        // The statement's own count leaves out what triggers did, but keeps its value over statements that change nothing.
        return sqlite3_total_changes64(connection) == before ? 0 : Int(sqlite3_changes64(connection))
    }

    /// Passes the rows to `body` until it says no.
    func forEachRow(_ parameters: [SQLValue], _ body: (SQLRow) -> Bool) throws(DatabaseError) {
        try parameters.withUnsafeBufferPointer { row throws(DatabaseError) in try bind(row) }
        defer { end() }
        while try step() {
            guard body(try row()) else { return }
        }
    }
}

// MARK: - Steps

extension SQLiteStatement {
    /// Whether there is a row.
    private func step() throws(DatabaseError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw .sqlite(code: code, detail: String(cString: sqlite3_errmsg(connection)))
        }
    }

    /// Lets go of the rows' snapshot, and of the values, which lie in `scratch`.
    private func end() {
        sqlite3_reset(handle)
        if !numbers.isEmpty { sqlite3_clear_bindings(handle) }
    }

    private func row() throws(DatabaseError) -> SQLRow {
        let count = sqlite3_data_count(handle)
        var values: [SQLValue] = []
        values.reserveCapacity(Int(count))
        for column in 0..<count { values.append(try value(column)) }
        return SQLRow(values)
    }

    private func value(_ column: Int32) throws(DatabaseError) -> SQLValue {
        switch sqlite3_column_type(handle, column) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(handle, column))
        case SQLITE_TEXT: return .text(String(decoding: bytes(sqlite3_column_text(handle, column), column), as: UTF8.self))
        case SQLITE_BLOB: return .blob([UInt8](bytes(sqlite3_column_blob(handle, column), column)))
        default: throw .decoding("column \(column) is floating point")
        }
    }

    /// Their number is asked for after the pointer, as SQLite wants it.
    private func bytes(_ start: UnsafeRawPointer?, _ column: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }
}

// MARK: - Parameters

extension SQLiteStatement {
    /// SQLite takes `$1` for a name, and numbers names as they appear.
    private static func numbers(of handle: OpaquePointer) throws(DatabaseError) -> [Int] {
        var numbers: [Int] = []
        for index in 0..<sqlite3_bind_parameter_count(handle) {
            guard let name = sqlite3_bind_parameter_name(handle, index + 1).map({ String(cString: $0) }),
                name.hasPrefix("$"), let number = Int(name.dropFirst()), (1...65_535).contains(number)
            else { throw .programming("a placeholder that is not $1, $2, ...") }
            numbers.append(number)
        }
        return numbers
    }

    private func bind(_ parameters: UnsafeBufferPointer<SQLValue>) throws(DatabaseError) {
        guard parameters.count == parameterCount else {
            throw Misuse.parameterCount(expected: parameterCount, found: parameters.count)
        }
        scratch.prepare(for: parameters)
        var index: Int32 = 0
        for number in numbers {
            index += 1
            let code = try bind(parameters[number - 1], at: index)
            guard code == SQLITE_OK else { throw .sqlite(code: code, detail: String(cString: sqlite3_errmsg(connection))) }
        }
    }

    /// No destructor: SQLite reads the bytes where they are, until `end`.
    private func bind(_ value: SQLValue, at index: Int32) throws(DatabaseError) -> Int32 {
        switch value {
        case .null: return sqlite3_bind_null(handle, index)
        case .integer(let integer): return sqlite3_bind_int64(handle, index, integer)
        case .text(let text):
            let bytes = scratch.add(text)
            guard !bytes.contains(0) else { throw Misuse.nulInText }
            let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            return sqlite3_bind_text64(handle, index, start, UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob(let blob):
            let bytes = scratch.add(blob)
            return sqlite3_bind_blob64(handle, index, bytes.baseAddress, UInt64(bytes.count), nil)
        }
    }
}

/// Memory for the texts and blobs of one row, used again for the next: no allocation per value.
final class SQLiteScratch {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    private var used = 0

    /// What is kept from one row to the next at most, in bytes.
    private static let mostKept = 1 << 20

    deinit { memory.deallocate() }

    /// Makes room for all of the row's values; those of the row before are no longer valid.
    func prepare(for row: UnsafeBufferPointer<SQLValue>) {
        used = 0
        var needed = 1
        for value in row {
            switch value {
            case .null, .integer: continue
            case .text(let text): needed += text.utf8.count
            case .blob(let blob): needed += blob.count
            }
        }
        let isTooLarge = memory.count > Self.mostKept && needed <= Self.mostKept
        guard needed > memory.count || isTooLarge else { return }
        memory.deallocate()
        memory = .allocate(byteCount: max(4096, needed), alignment: 16)
    }

    /// A copy, valid until the next row. Its address is never nil, which would mean NULL.
    func add(_ text: String) -> UnsafeRawBufferPointer {
        let isCopied: Void? = text.utf8.withContiguousStorageIfAvailable { copy(UnsafeRawBufferPointer($0)) }
        if isCopied == nil { Array(text.utf8).withUnsafeBytes { copy($0) } }
        return last(text.utf8.count)
    }

    func add(_ blob: [UInt8]) -> UnsafeRawBufferPointer {
        blob.withUnsafeBytes { copy($0) }
        return last(blob.count)
    }

    private func copy(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + bytes.count]).copyMemory(from: bytes)
        used += bytes.count
    }

    private func last(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: memory.baseAddress! + (used - count), count: count)
    }
}
