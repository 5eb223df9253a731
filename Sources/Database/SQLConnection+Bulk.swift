extension SQLConnection {
    /// Runs one statement for each row; see ``executeMany(_:rows:)``.
    @discardableResult
    public func executeMany(_ sql: String, rows: SQLRows) throws(DatabaseError) -> Int {
        try executeMany(sql, rows: (0..<rows.count).map { Array(rows[$0]) })
    }

    /// Adds rows to a table, all or none, by the fastest way of the engine. Of a row that is there already the
    /// constraint's error is thrown.
    public func insert(into table: String, _ columns: [String], _ rows: SQLRows) throws(DatabaseError) {
        guard !rows.isEmpty else { return }
        try executeMany(Self.insertion(table, columns), rows: rows)
    }

    /// Adds rows to a table, or changes those with the same key by the rule, all or none. No key comes twice in `rows`.
    ///
    /// - Parameter key: the columns of a unique index
    public func upsert(
        into table: String, _ columns: [String], key: [String], _ rows: SQLRows, rule: UpsertRule = .replace
    ) throws(DatabaseError) {
        guard !rows.isEmpty else { return }
        let assignments = columns.filter { !key.contains($0) }.map { column in
            switch rule {
            case .replace: "\(column) = excluded.\(column)"
            case .add: "\(column) = \(table).\(column) + excluded.\(column)"
            }
        }
        let conflict = " ON CONFLICT (\(key.joined(separator: ", "))) DO UPDATE SET \(assignments.joined(separator: ", "))"
        try executeMany(Self.insertion(table, columns) + conflict, rows: rows)
    }

    private static func insertion(_ table: String, _ columns: [String]) -> String {
        let places = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(places))"
    }
}
