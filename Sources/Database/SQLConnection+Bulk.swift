extension SQLConnection {
    /// The same for rows that are arrays of their own, of one length.
    @discardableResult
    public func executeMany(_ sql: String, rows: [[SQLValue]]) throws(DatabaseError) -> Int {
        guard let first = rows.first else { return 0 }
        guard !first.isEmpty else { throw .programming("a statement for many rows has parameters") }
        var flat = SQLRows(columns: first.count, reservingCapacity: rows.count)
        for row in rows {
            guard row.count == first.count else { throw Misuse.parameterCount(expected: first.count, found: row.count) }
            flat.append(row: row)
        }
        return try executeMany(sql, rows: flat)
    }

    /// Adds rows to a table, or replaces those with the same key; see ``upsert(into:_:key:_:rule:)``.
    public func upsert(into table: String, _ columns: [String], key: [String], _ rows: SQLRows) throws(DatabaseError) {
        try upsert(into: table, columns, key: key, rows, rule: .replace)
    }
}

/// The statements of inserts and upserts.
struct BulkSQL {
    let table: String
    let columns: [String]

    /// Refuses rows of another width.
    init(_ table: String, _ columns: [String], _ rows: SQLRows) throws(DatabaseError) {
        guard rows.columns == columns.count else {
            throw Misuse.parameterCount(expected: columns.count, found: rows.columns)
        }
        self.table = table
        self.columns = columns
    }

    var list: String { columns.joined(separator: ", ") }

    /// For one row of parameters.
    var insertion: String {
        "INSERT INTO \(table) (\(list)) VALUES (\(columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")))"
    }

    /// What follows the insertion.
    func conflict(key: [String], _ rule: UpsertRule) -> String {
        let assignments = columns.filter { !key.contains($0) }.map { column in
            switch rule {
            case .replace: "\(column) = excluded.\(column)"
            case .add: "\(column) = \(table).\(column) + excluded.\(column)"
            }
        }
        let target = " ON CONFLICT (\(key.joined(separator: ", ")))"
        guard !assignments.isEmpty else { return "\(target) DO NOTHING" }
        return "\(target) DO UPDATE SET \(assignments.joined(separator: ", "))"
    }

    /// Changes the row with the key of one row of parameters; nil if it has nothing but a key.
    ///
    /// - Parameter unchanged: columns that must have their values already for the row to be changed
    func update(key: [String], _ rule: UpsertRule, unchanged: Set<String> = []) -> String? {
        var assignments: [String] = []
        var conditions: [String] = []
        for (index, column) in columns.enumerated() {
            if key.contains(column) {
                conditions.append("\(column) = $\(index + 1)")
            } else if unchanged.contains(column) {
                conditions.append("\(column) IS $\(index + 1)")
            } else {
                switch rule {
                case .replace: assignments.append("\(column) = $\(index + 1)")
                case .add: assignments.append("\(column) = \(column) + $\(index + 1)")
                }
            }
        }
        guard !assignments.isEmpty, Set(key).isSubset(of: columns) else { return nil }
        return "UPDATE \(table) SET \(assignments.joined(separator: ", ")) WHERE \(conditions.joined(separator: " AND "))"
    }
}
