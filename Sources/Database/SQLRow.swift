/// One row of a result, read by position (from 0). A value of another type than asked for is
/// `DatabaseError.decoding`: nothing is converted.
public struct SQLRow: Sendable, Hashable {
    private let values: [SQLValue]

    public init(_ values: [SQLValue]) { self.values = values }

    /// The number of columns.
    public var count: Int { values.count }

    public subscript(_ index: Int) -> SQLValue { values[index] }

    public func int64(_ index: Int) throws(DatabaseError) -> Int64 {
        guard case .integer(let value) = try value(at: index) else { throw mismatch(index, "integer") }
        return value
    }

    public func int(_ index: Int) throws(DatabaseError) -> Int { Int(try int64(index)) }

    public func text(_ index: Int) throws(DatabaseError) -> String {
        guard case .text(let value) = try value(at: index) else { throw mismatch(index, "text") }
        return value
    }

    public func blob(_ index: Int) throws(DatabaseError) -> [UInt8] {
        guard case .blob(let value) = try value(at: index) else { throw mismatch(index, "blob") }
        return value
    }

    /// The integers 0 and 1; Postgres' BOOLEAN arrives as these too.
    public func bool(_ index: Int) throws(DatabaseError) -> Bool {
        switch try int64(index) {
        case 0: return false
        case 1: return true
        default: throw mismatch(index, "0 or 1")
        }
    }

    /// A number in decimal digits: an integer, or a NUMERIC, which Postgres gives as text.
    public func decimal(_ index: Int) throws(DatabaseError) -> String {
        switch try value(at: index) {
        case .integer(let value): return String(value)
        case .text(let value): return value
        case .null, .blob: throw mismatch(index, "number")
        }
    }

    public func optionalInt64(_ index: Int) throws(DatabaseError) -> Int64? {
        try isNull(index) ? nil : int64(index)
    }

    public func optionalInt(_ index: Int) throws(DatabaseError) -> Int? {
        try isNull(index) ? nil : int(index)
    }

    public func optionalText(_ index: Int) throws(DatabaseError) -> String? {
        try isNull(index) ? nil : text(index)
    }

    public func optionalBlob(_ index: Int) throws(DatabaseError) -> [UInt8]? {
        try isNull(index) ? nil : blob(index)
    }

    public func optionalBool(_ index: Int) throws(DatabaseError) -> Bool? {
        try isNull(index) ? nil : bool(index)
    }

    public func isNull(_ index: Int) throws(DatabaseError) -> Bool { try value(at: index) == .null }

    private func value(at index: Int) throws(DatabaseError) -> SQLValue {
        guard values.indices.contains(index) else {
            throw .decoding("column \(index) of a row of \(values.count)")
        }
        return values[index]
    }

    private func mismatch(_ index: Int, _ expected: String) -> DatabaseError {
        .decoding("column \(index): \(expected) expected, found \(values[index].kind)")
    }
}
