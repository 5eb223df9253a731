internal import GRDBSQLite

/// A prepared statement of one SQLite connection.
struct SQLiteStatement {
    private let pointer: OpaquePointer
    /// For SQLite's parameter i + 1, the n of its `$n`.
    private let numbers: [Int]
    /// The greatest n.
    private let parameterCount: Int

    init(_ sql: String, _ handle: OpaquePointer) throws(DatabaseError) {
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        pointer = try Self.prepare(sql, handle)
        do {
            numbers = try Self.numbers(of: pointer)
            parameterCount = numbers.max() ?? 0
        } catch {
            sqlite3_finalize(pointer)
            throw error
        }
    }

    var isReadOnly: Bool { sqlite3_stmt_readonly(pointer) != 0 }

    func finalize() { sqlite3_finalize(pointer) }

    func reset() {
        sqlite3_reset(pointer)
        sqlite3_clear_bindings(pointer)
    }

    /// - Returns: whether there is a row to read.
    func step(_ handle: OpaquePointer) throws(DatabaseError) -> Bool {
        switch sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw .sqlite(handle)
        }
    }

    func row() throws(DatabaseError) -> SQLRow {
        var values: [SQLValue] = []
        let count = sqlite3_column_count(pointer)
        values.reserveCapacity(Int(count))
        for column in 0..<count { values.append(try value(column)) }
        return SQLRow(values)
    }

    func bind(_ parameters: [SQLValue], _ handle: OpaquePointer) throws(DatabaseError) {
        guard parameters.count == parameterCount else {
            throw Misuse.parameterCount(expected: parameterCount, found: parameters.count)
        }
        for (index, number) in numbers.enumerated() {
            guard try bind(parameters[number - 1], at: Int32(index + 1)) == SQLITE_OK else { throw .sqlite(handle) }
        }
    }
}

extension SQLiteStatement {
    private static func prepare(_ sql: String, _ handle: OpaquePointer) throws(DatabaseError) -> OpaquePointer {
        var pointer: OpaquePointer?
        var hasTail = false
        let code = sql.withCString { start in
            var tail: UnsafePointer<CChar>?
            let code = sqlite3_prepare_v3(handle, start, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, &tail)
            while let end = tail, end.pointee != 0 {
                guard [UInt8(ascii: " "), 9, 10, 13, UInt8(ascii: ";")].contains(UInt8(bitPattern: end.pointee)) else {
                    hasTail = true
                    break
                }
                tail = end + 1
            }
            return code
        }
        guard code == SQLITE_OK else { throw .sqlite(handle) }
        guard let pointer else { throw .programming("an empty statement") }
        guard !hasTail else {
            sqlite3_finalize(pointer)
            throw .programming("several statements in one: use script")
        }
        return pointer
    }

    /// SQLite takes `$1` for a name, and numbers names as they appear.
    private static func numbers(of pointer: OpaquePointer) throws(DatabaseError) -> [Int] {
        var numbers: [Int] = []
        for index in 0..<sqlite3_bind_parameter_count(pointer) {
            guard let name = sqlite3_bind_parameter_name(pointer, index + 1).map({ String(cString: $0) }),
                name.hasPrefix("$"), let number = Int(name.dropFirst()), (1...65_535).contains(number)
            else { throw .programming("a placeholder that is not $1, $2, ...") }
            numbers.append(number)
        }
        return numbers
    }

    private func bind(_ value: SQLValue, at index: Int32) throws(DatabaseError) -> Int32 {
        switch value {
        case .null:
            return sqlite3_bind_null(pointer, index)
        case .integer(let integer):
            return sqlite3_bind_int64(pointer, index, integer)
        case .text(var text):
            guard !text.utf8.contains(0) else { throw Misuse.nulInText }
            return text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { characters in
                    guard let start = characters.baseAddress else {
                        return sqlite3_bind_text(pointer, index, "", 0, Self.copies)
                    }
                    return sqlite3_bind_text64(
                        pointer, index, start, UInt64(characters.count), Self.copies, UInt8(SQLITE_UTF8)
                    )
                }
            }
        case .blob(let bytes):
            guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(pointer, index, 0) }
            return sqlite3_bind_blob64(pointer, index, bytes, UInt64(bytes.count), Self.copies)
        }
    }

    /// SQLITE_TRANSIENT, a macro that Swift does not import: SQLite takes a copy.
    private static var copies: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    private func value(_ column: Int32) throws(DatabaseError) -> SQLValue {
        switch sqlite3_column_type(pointer, column) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(pointer, column))
        case SQLITE_TEXT:
            let start = sqlite3_column_text(pointer, column)
            let count = Int(sqlite3_column_bytes(pointer, column))
            return .text(String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            let start = sqlite3_column_blob(pointer, column)
            let count = Int(sqlite3_column_bytes(pointer, column))
            return .blob([UInt8](UnsafeRawBufferPointer(start: start, count: count)))
        default: throw .decoding("column \(column) is floating point")
        }
    }
}
