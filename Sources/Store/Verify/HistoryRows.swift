internal import Database
internal import Exchange
internal import Settlement
internal import Units

/// Rows of what the market no longer holds, compared with the last image of each that the replay saw. Only corrections of closed
/// deliveries change them: what differs may do so because the replay is not there yet, and is said at the end.
struct HistoryRows {
    private static let batchSize = 100
    /// So many differing rows may wait for a correction.
    private static let mostUnmatched = 100_000

    private let connection: any SQLConnection
    private var unmatched: [String: StorageFinding] = [:]

    init(_ connection: any SQLConnection) { self.connection = connection }

    /// What left the state since the last call.
    mutating func take(_ changes: StateChanges, _ findings: inout FindingList) throws {
        try compare("orders", TableColumns.order, keyCount: 1, changes.orders, &findings) { TableColumns.append($1, to: &$2) }
        try compare("deliveries", TableColumns.delivery, keyCount: 1, changes.deliveries, &findings) {
            TableColumns.append($1, to: &$2)
        }
        try compare("transfers", TableColumns.transfer, keyCount: 1, changes.transfers, &findings) {
            TableColumns.append($1, to: &$2)
        }
        try compare("billings", TableColumns.billing, keyCount: 4, changes.billings, &findings) {
            TableColumns.append($0, $1, to: &$2)
        }
    }

    /// At the tables' position: orders and deliveries are numbered without gaps, so that there is no row too many.
    ///
    /// - Parameter books: as the tables have them there
    mutating func end(_ counters: Counters, _ books: Books, _ findings: inout FindingList) throws {
        // Rows that were corrected since the tables were read are of a later position.
        if !unmatched.isEmpty, try TableReader(connection).books().reopenings == books.reopenings {
            for (_, finding) in unmatched.sorted(by: { $0.key < $1.key }) { findings.add(finding) }
        }
        unmatched.removeAll()
        for (table, next) in [("orders", counters.order), ("deliveries", counters.delivery)] {
            let found = try connection.queryOne("SELECT count(*) FROM \(table) WHERE id < $1", [.integer(next)])?.int64(0) ?? 0
            guard found > next - 1 else { continue }
            findings.add(StorageFinding(
                "table.rowUnexpected", table, expected: "\(next - 1)", found: "\(found)",
                "\(table): \(found) rows, the journal has \(next - 1)"))
        }
    }

    private mutating func compare<Key: EntityKey, Entity>(
        _ table: String, _ columns: [String], keyCount: Int, _ changes: [Key: EntityChange<Entity>],
        _ findings: inout FindingList, _ append: (Key, Entity, inout SQLRows) -> Void
    ) throws {
        var rows = SQLRows(columns: columns.count)
        for key in changes.keys.sorted() {
            guard case .gone(let entity)? = changes[key] else { continue }
            append(key, entity, &rows)
            rows.append(.integer(0))
        }
        for start in stride(from: 0, to: rows.count, by: Self.batchSize) {
            let expected = (start..<min(start + Self.batchSize, rows.count)).map { SQLRow(Array(rows[$0])) }
            try compare(table, columns, keyCount, expected, &findings)
        }
    }

    private mutating func compare(
        _ table: String, _ columns: [String], _ keyCount: Int, _ expected: [SQLRow], _ findings: inout FindingList
    ) throws {
        func key(_ row: SQLRow) -> [SQLValue] { (0..<keyCount).map { row[$0] } }
        let places = expected.indices.map { row in
            "(\((0..<keyCount).map { "CAST($\(row * keyCount + $0 + 1) AS BIGINT)" }.joined(separator: ", ")))"
        }
        let found = try connection.query(
            """
            SELECT \(columns.joined(separator: ", ")) FROM \(table)
            WHERE (\(columns.prefix(keyCount).joined(separator: ", "))) IN (VALUES \(places.joined(separator: ", ")))
            """, expected.flatMap(key))
        let byKey = Dictionary(found.map { (key($0), $0) }) { $1 }
        for row in expected {
            let name = "\(table) \(try (0..<keyCount).map { "\(try row.int64($0))" }.joined(separator: "/"))"
            guard byKey[key(row)] != row else {
                unmatched[name] = nil
                continue
            }
            let finding = RowText(columns).finding(name, row, byKey[key(row)])
            if unmatched[name] != nil || unmatched.count < Self.mostUnmatched {
                unmatched[name] = finding
            } else {
                findings.add(finding)
            }
        }
    }
}
