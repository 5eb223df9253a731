internal import CPostgres

/// Many rows at once: COPY for what is new, one array of rows for what may be there already, and a pipeline of
/// statements for few rows and for types without a binary form.
extension PostgresConnection {
    /// From so many rows on, one array of rows is faster than a pipeline of statements; COPY too.
    private static let bulkThreshold = 8
    /// Bytes given to libpq at once for COPY.
    private static let copyChunk = 256 << 10
    /// Bytes, and rows, of one array, but for a last row that is longer.
    private static let mostArrayBytes = 8 << 20
    private static let mostArrayRows = 8192

    func insert(into table: String, _ columns: [String], _ rows: SQLRows) throws(DatabaseError) {
        let sql = try BulkSQL(table, columns, rows)
        try state.checkStatement()
        guard !rows.isEmpty else { return }
        guard rows.count >= Self.bulkThreshold else { return try each(sql.insertion, rows) }
        try atomically { () throws(DatabaseError) in
            try guarding { session throws(DatabaseError) in
                try withLayout(sql, session) { layout throws(DatabaseError) in
                    guard layout.isBinary, layout.mayCopy else { return try each(sql.insertion, rows) }
                    try copy(sql, rows, layout, session)
                }
            }
        }
    }

    func upsert(
        into table: String, _ columns: [String], key: [String], _ rows: SQLRows, rule: UpsertRule
    ) throws(DatabaseError) {
        let sql = try BulkSQL(table, columns, rows)
        try state.checkStatement()
        guard !rows.isEmpty else { return }
        let conflict = sql.conflict(key: key, rule)
        guard rows.count >= Self.bulkThreshold else { return try each(sql.insertion + conflict, rows) }
        try atomically { () throws(DatabaseError) in
            try guarding { session throws(DatabaseError) in
                try withLayout(sql, session) { layout throws(DatabaseError) in
                    guard layout.isBinary else { return try each(sql.insertion + conflict, rows) }
                    try insertArrays(sql, conflict, rows, layout, session)
                }
            }
        }
    }

    private func each(_ sql: String, _ rows: SQLRows) throws(DatabaseError) { try executeMany(sql, rows: rows) }
}

// MARK: - The table's columns

extension PostgresConnection {
    /// Lends the layout, and forgets it if `body` throws: the table may not be what it was.
    private func withLayout(
        _ sql: BulkSQL, _ session: OpaquePointer, _ body: (PostgresLayout) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        let key = "\(sql.table)(\(sql.list))"
        do {
            try body(try layout(sql, key, session))
        } catch {
            layouts.remove(key)
            throw error
        }
    }

    private func layout(_ sql: BulkSQL, _ key: String, _ session: OpaquePointer) throws(DatabaseError) -> PostgresLayout {
        if let layout = layouts.statement(for: key) { return layout }
        let catalogue = try run(PostgresLayout.query, [.text(sql.table)], session).rows()
        let layout = try PostgresLayout(sql.columns, catalogue)
        layouts.evictIfFull()
        layouts.insert(layout, for: key)
        return layout
    }
}

// MARK: - COPY

extension PostgresConnection {
    /// The SELECT goes with the COPY in one message. It locks the table's shape until the transaction's end and tells its
    /// types, so that no value is ever taken for another type's.
    private func copy(
        _ sql: BulkSQL, _ rows: SQLRows, _ layout: PostgresLayout, _ session: OpaquePointer
    ) throws(DatabaseError) {
        let statements = """
            SELECT \(sql.list) FROM \(sql.table) LIMIT 0;
            COPY \(sql.table) (\(sql.list)) FROM STDIN (FORMAT binary)
            """
        guard PQsendQuery(session, statements) == 1 else { throw lost(session) }
        let types = try resultTypes(session)
        let begun = PostgresResult(PQgetResult(session))
        guard begun.status == PGRES_COPY_IN else { throw failure(begun, session) }
        var refusal: DatabaseError?
        if types == layout.given {
            do { try sendCopy(rows, types.map { PostgresType(oid: $0) }, session) } catch { refusal = error }
        } else {
            refusal = Misuse.tableChanged
        }
        guard self.session != nil else { throw refusal ?? .connectionLost(detail: "lost while copying") }
        try endCopy(refusal, session)
    }

    /// Of the SELECT's columns.
    private func resultTypes(_ session: OpaquePointer) throws(DatabaseError) -> [Oid] {
        let result = PostgresResult(PQgetResult(session))
        guard !result.isFailure else { throw failure(result, session) }
        return result.columnTypes
    }

    private func sendCopy(_ rows: SQLRows, _ types: [PostgresType], _ session: OpaquePointer) throws(DatabaseError) {
        buffer.clear()
        buffer.appendCopyHeader()
        try rows.forEachRow { row throws(DatabaseError) in
            try buffer.appendCopy(row, types)
            if buffer.count >= Self.copyChunk { try flushCopy(session) }
        }
        buffer.appendCopyEnd()
        try flushCopy(session)
    }

    private func flushCopy(_ session: OpaquePointer) throws(DatabaseError) {
        defer { buffer.clear() }
        guard PQputCopyData(session, buffer.address(0), Int32(clamping: buffer.count)) == 1 else { throw lost(session) }
    }

    /// A refusal makes the server give up the rows it has.
    private func endCopy(_ refusal: DatabaseError?, _ session: OpaquePointer) throws(DatabaseError) {
        guard PQputCopyEnd(session, refusal == nil ? nil : "refused by the client") == 1 else { throw lost(session) }
        let result = PostgresResult(PQgetResult(session))
        guard !result.isFailure else {
            let failure = failure(result, session)
            throw refusal ?? failure
        }
        drain(session)
    }

    /// The result's error, with the connection ready for the next statement.
    private func failure(_ result: borrowing PostgresResult, _ session: OpaquePointer) -> DatabaseError {
        let failure = error(result, session)
        if self.session != nil { drain(session) }
        return failure
    }

    private func drain(_ session: OpaquePointer) { while let rest = PQgetResult(session) { PQclear(rest) } }
}

// MARK: - Arrays of rows

extension PostgresConnection {
    /// One statement for all rows, as far as they fit into one array.
    private func insertArrays(
        _ sql: BulkSQL, _ conflict: String, _ rows: SQLRows, _ layout: PostgresLayout, _ session: OpaquePointer
    ) throws(DatabaseError) {
        let insertion = """
            INSERT INTO \(sql.table) (\(sql.list))
            SELECT \(sql.list) FROM unnest(CAST($1 AS \(sql.table)[]))\(conflict)
            """
        let statement = try prepared(insertion, session)
        var waiting = 0
        try rows.forEachRow { row throws(DatabaseError) in
            if waiting == 0 {
                buffer.clear()
                buffer.beginArray(of: layout)
            }
            try buffer.appendElement(row, layout)
            waiting += 1
            guard waiting == Self.mostArrayRows || buffer.count >= Self.mostArrayBytes else { return }
            try sendArray(waiting, insertion, statement, session)
            waiting = 0
        }
        if waiting > 0 { try sendArray(waiting, insertion, statement, session) }
        buffer.clear()
    }

    private func sendArray(
        _ rows: Int, _ insertion: String, _ statement: PostgresStatement, _ session: OpaquePointer
    ) throws(DatabaseError) {
        buffer.endArray(rows: rows)
        let result = PostgresResult(
            withUnsafePointer(to: Optional(buffer.address(0))) { value in
                PQexecPrepared(session, statement.name, 1, value, [Int32(clamping: buffer.count)], [1], 1)
            })
        guard result.isFailure else { return }
        guard result.isOfOtherShape else { throw error(result, session) }
        forget(insertion, session)
        throw Misuse.tableChanged
    }
}
