internal import CPostgres

/// How rows for some columns of a table travel in bulk: the table's columns as the server's catalogue has them, and
/// which of them are given.
struct PostgresLayout {
    struct Column {
        let oid: Oid
        let type: PostgresType
        /// The place of its value in a row; nil for a column that is not given.
        let source: Int?
    }

    /// Of the table's row type.
    let rowType: Oid
    /// In the table's order, all that it has.
    let columns: [Column]
    /// Of the columns given, in their order.
    let given: [Oid]
    /// Whether the server lets COPY into the table: not under row-level security.
    let mayCopy: Bool
    /// Whether every column given is there, with a binary form.
    let isBinary: Bool

    /// For one parameter, the table's name.
    static let query = """
        SELECT t.oid, a.attname, a.atttypid, row_security_active(c.oid)
        FROM pg_class c
        JOIN pg_type t ON t.oid = c.reltype
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.oid = CAST(CAST($1 AS TEXT) AS REGCLASS)
        ORDER BY a.attnum
        """

    /// - Parameters:
    ///   - names: the columns given; unquoted, so in any case
    ///   - catalogue: what ``query`` answered
    init(_ names: [String], _ catalogue: [SQLRow]) throws(DatabaseError) {
        let names = names.map { $0.lowercased() }
        var columns: [Column] = []
        for row in catalogue {
            let oid = Oid(truncatingIfNeeded: try row.int64(2))
            let source = names.firstIndex(of: try row.text(1))
            columns.append(Column(oid: oid, type: PostgresType(oid: oid), source: source))
        }
        self.columns = columns
        rowType = Oid(truncatingIfNeeded: try catalogue.first?.int64(0) ?? 0)
        mayCopy = try catalogue.first?.int64(3) == 0
        let present = columns.filter { $0.source != nil }
        isBinary = present.count == names.count && present.allSatisfy(\.type.isBinary)
        given = present.sorted { ($0.source ?? 0) < ($1.source ?? 0) }.map(\.oid)
    }
}

// MARK: - Encoding

extension PostgresBuffer {
    /// Begins COPY's binary form, <https://www.postgresql.org/docs/current/sql-copy.html>.
    func appendCopyHeader() {
        "PGCOPY\n".utf8.forEach { append($0) }
        for byte in [0xff, 0x0d, 0x0a, 0] as [UInt8] { append(byte) }
        append(0 as Int32)
        append(0 as Int32)
    }

    func appendCopyEnd() { append(-1 as Int16) }

    /// A row of COPY's.
    func appendCopy(_ row: UnsafeBufferPointer<SQLValue>, _ types: [PostgresType]) throws(DatabaseError) {
        append(Int16(row.count))
        for (value, type) in zip(row, types) { try append(value, as: type) }
    }

    /// Begins an array of the table's row type; the number of rows is put in by `endArray`.
    func beginArray(of layout: PostgresLayout) {
        append(1 as Int32)  // dimensions
        append(0 as Int32)  // no NULL in it
        append(layout.rowType)
        append(0 as Int32)
        append(1 as Int32)  // its first index
    }

    func endArray(rows: Int) { replace(at: 12, with: Int32(rows)) }

    /// A row of an array. The server compares every column's type with the table's.
    func appendElement(_ row: UnsafeBufferPointer<SQLValue>, _ layout: PostgresLayout) throws(DatabaseError) {
        let start = count
        append(0 as Int32)
        append(Int32(layout.columns.count))
        for column in layout.columns {
            append(column.oid)
            guard let source = column.source else {
                append(-1 as Int32)
                continue
            }
            try append(row[source], as: column.type)
        }
        replace(at: start, with: Int32(clamping: count - start - 4))
    }
}
