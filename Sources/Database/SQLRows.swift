/// Rows of parameters or of a table, one after the other in one array.
public struct SQLRows: Sendable, Hashable {
    /// Values in a row; 1 and up.
    public let columns: Int
    public private(set) var values: ContiguousArray<SQLValue> = []

    public init(columns: Int, reservingCapacity rows: Int = 0) {
        precondition(columns > 0, "a row has a value")
        self.columns = columns
        values.reserveCapacity(rows * columns)
    }

    public var count: Int { values.count / columns }
    public var isEmpty: Bool { values.isEmpty }

    /// Adds a value to the last row, or begins a new one. Rows are complete before they are used.
    @inline(__always)
    public mutating func append(_ value: SQLValue) { values.append(value) }

    public mutating func append(row: [SQLValue]) {
        precondition(row.count == columns, "a row has a value for each column")
        values.append(contentsOf: row)
    }

    /// Keeps the memory for other rows.
    public mutating func removeAll() { values.removeAll(keepingCapacity: true) }

    public subscript(row: Int) -> ArraySlice<SQLValue> { ArraySlice(values[row * columns..<(row + 1) * columns]) }

    /// Lends each row of the range in turn, or of all, without a copy.
    func forEachRow(
        _ range: Range<Int>? = nil, _ body: (UnsafeBufferPointer<SQLValue>) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        precondition(values.count.isMultiple(of: columns), "the last row is complete")
        try values.withUnsafeBufferPointer { values throws(DatabaseError) in
            for row in range ?? 0..<count {
                try body(UnsafeBufferPointer(rebasing: values[row * columns..<(row + 1) * columns]))
            }
        }
    }
}

/// What an upsert does to a column of a row that is there already.
public enum UpsertRule: Sendable, Hashable {
    /// The new value replaces the old one.
    case replace
    /// The new value is added to the old one: integers only.
    case add
}
