internal import Foundation
internal import GRDB
internal import GRDBSQLite

/// A prepared statement of one SQLite connection, used only inside an access to its database.
/// After an error it is not to be used again.
struct SQLiteStatement {
    private let statement: Statement
    /// For SQLite's parameter i + 1, the n of its `$n`.
    private let numbers: [Int]
    /// The greatest n.
    private let parameterCount: Int

    init(_ sql: String, _ database: GRDB.Database) throws(DatabaseError) {
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        statement = try DatabaseError.translatingSQLite { try database.makeStatement(sql: sql) }
        numbers = try Self.numbers(of: statement)
        parameterCount = numbers.max() ?? 0
    }

    var isReadOnly: Bool { statement.isReadonly }

    /// Runs to the end and drops the rows.
    /// - Returns: how many rows it inserted, updated or deleted.
    func run(_ parameters: [SQLValue], _ database: GRDB.Database) throws(DatabaseError) -> Int {
        try bind(parameters)
        let before = database.totalChangesCount
        try DatabaseError.translatingSQLite { try statement.execute() }
        unbind()
        // `changesCount` keeps its value over statements that change nothing.
        return database.totalChangesCount == before ? 0 : database.changesCount
    }

    /// Passes the rows to `body` until it says no. A statement that was not run to its end is not to be
    /// used again.
    /// - Returns: whether all rows were passed.
    func forEachRow(
        _ parameters: [SQLValue],
        _ body: (SQLRow) -> Bool
    ) throws(DatabaseError) -> Bool {
        try bind(parameters)
        let rows = try DatabaseError.translatingSQLite { try Row.fetchCursor(statement) }
        while let row = try DatabaseError.translatingSQLite({ try rows.next() }) {
            guard body(try Self.values(row)) else { return false }
        }
        unbind()
        return true
    }
}

extension SQLiteStatement {
    /// SQLite takes `$1` for a name, and numbers names as they appear. GRDB tells neither names nor
    /// numbers, but lends the handle for such questions.
    private static func numbers(of statement: Statement) throws(DatabaseError) -> [Int] {
        let handle = statement.sqliteStatement
        var numbers: [Int] = []
        for index in 0..<sqlite3_bind_parameter_count(handle) {
            guard let name = sqlite3_bind_parameter_name(handle, index + 1).map({ String(cString: $0) }),
                name.hasPrefix("$"), let number = Int(name.dropFirst()), (1...65_535).contains(number)
            else { throw .programming("a placeholder that is not $1, $2, ...") }
            numbers.append(number)
        }
        return numbers
    }

    private func bind(_ parameters: [SQLValue]) throws(DatabaseError) {
        guard parameters.count == parameterCount else {
            throw Misuse.parameterCount(expected: parameterCount, found: parameters.count)
        }
        var values: [DatabaseValue] = []
        values.reserveCapacity(numbers.count)
        for number in numbers { values.append(try Self.value(parameters[number - 1])) }
        // Their number was checked above.
        statement.setUncheckedArguments(StatementArguments(values))
    }

    /// Lets go of the values, which may be long.
    private func unbind() {
        guard !numbers.isEmpty else { return }
        statement.setUncheckedArguments(StatementArguments())
    }

    private static func value(_ value: SQLValue) throws(DatabaseError) -> DatabaseValue {
        switch value {
        case .null: return .null
        case .integer(let integer): return integer.databaseValue
        case .text(let text):
            guard !text.utf8.contains(0) else { throw Misuse.nulInText }
            return text.databaseValue
        case .blob(let bytes): return Data(bytes).databaseValue
        }
    }

    private static func values(_ row: Row) throws(DatabaseError) -> SQLRow {
        var values: [SQLValue] = []
        values.reserveCapacity(row.count)
        for column in 0..<row.count {
            let value: DatabaseValue = row[column]
            switch value.storage {
            case .null: values.append(.null)
            case .int64(let integer): values.append(.integer(integer))
            case .string(let text): values.append(.text(text))
            case .blob(let data): values.append(.blob([UInt8](data)))
            case .double: throw .decoding("column \(column) is floating point")
            }
        }
        return SQLRow(values)
    }
}
