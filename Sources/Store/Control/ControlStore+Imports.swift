internal import Crypto
internal import Database
public import Market
internal import Settlement
public import Units

extension ControlStore {
    public func importCustody(
        _ file: [UInt8], source: String, by account: AccountID, once: Repeatable, at time: Timestamp
    ) async throws -> (number: Int64, items: Int64) {
        let statement: CustodyStatement
        do throws(ImportFlaws) { statement = try CustodyStatement(csv: file) } catch { throw ControlRefusal.importFlawed(error) }
        let digest = Array(SHA256.hash(data: file))
        return try await change { connection in
            let number = try ControlStore.once(once, at: time, connection) {
                let known = try connection.queryOne(
                    "SELECT number FROM custody_statements WHERE source = $1 AND digest = $2", [.text(source), .blob(digest)])
                if let known { return try known.int64(0) }
                try ControlStore.checkReferences(of: statement, source, connection)
                return try ControlStore.insert(statement, source, digest, by: account, at: time, connection)
            }
            return (number, Int64(statement.items.count))
        }
    }

    private static func insert(
        _ statement: CustodyStatement, _ source: String, _ digest: [UInt8], by account: AccountID, at time: Timestamp,
        _ connection: any SQLConnection
    ) throws(DatabaseError) -> Int64 {
        let number = try ControlStore.next("number", of: "custody_statements", connection)
        try connection.execute(
            """
            INSERT INTO custody_statements (number, source, imported_at, imported_by, digest, items) VALUES ($1, $2, $3, $4, $5, $6)
            """, [
                .integer(number), .text(source), .integer(time.microseconds), .integer(account.rawValue), .blob(digest),
                .integer(Int64(statement.items.count)),
            ])
        var rows = SQLRows(columns: 9, reservingCapacity: statement.items.count)
        let first = try ControlStore.next("number", of: "custody_items", connection)
        for (index, item) in statement.items.enumerated() {
            rows.append(row: [
                .text(source), .text(item.reference), .integer(first + Int64(index)), .integer(number), .integer(Int64(item.line)),
                .integer(item.at.microseconds), .integer(item.amount.rawValue), ControlStore.optional(item.balance?.rawValue),
                .text(item.description),
            ])
        }
        try connection.executeMany(
            """
            INSERT INTO custody_items (source, reference, number, statement, line, at, amount, balance, description)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """, rows: rows)
        return number
    }

    /// A source has a reference once.
    private static func checkReferences(of statement: CustodyStatement, _ source: String, _ connection: any SQLConnection) throws {
        var flaws: [ImportFlaw] = []
        for start in stride(from: 0, to: statement.items.count, by: 100) {
            let items = statement.items[start..<min(start + 100, statement.items.count)]
            let places = (0..<items.count).map { "$\($0 + 2)" }.joined(separator: ", ")
            let rows = try connection.query(
                "SELECT reference, statement, line FROM custody_items WHERE source = $1 AND reference IN (\(places))",
                [.text(source)] + items.map { .text($0.reference) })
            for row in rows {
                let reference = try row.text(0)
                guard let item = items.first(where: { $0.reference == reference }) else { continue }
                flaws.append(ImportFlaw(
                    line: item.line,
                    reason: "the reference was imported before, with line \(try row.int64(2)) of statement \(try row.int64(1))"))
            }
        }
        guard flaws.isEmpty else { throw ControlRefusal.importFlawed(ImportFlaws(flaws.sorted { $0.line < $1.line })) }
    }

    public func importPools(_ file: [UInt8], by account: AccountID, once: Repeatable, at time: Timestamp) async throws -> Int64 {
        let statement: PoolStatement
        do throws(ImportFlaws) { statement = try PoolStatement(csv: file) } catch { throw ControlRefusal.importFlawed(error) }
        return try await change { connection in
            try ControlStore.once(once, at: time, connection) {
                var flaws: [ImportFlaw] = []
                for item in statement.items {
                    let target = try connection.queryOne("SELECT 1 FROM pool_targets WHERE id = $1", [.integer(item.target.rawValue)])
                    if target == nil { flaws.append(ImportFlaw(line: item.line, reason: "there is no pool target \(item.target)")) }
                }
                guard flaws.isEmpty else { throw ControlRefusal.importFlawed(ImportFlaws(flaws)) }
                for item in statement.items { try ControlStore.add(item, by: account, at: time, connection) }
                return Int64(statement.items.count)
            }
        }
    }

    /// As a new version, if it says something new.
    private static func add(
        _ item: PoolStatement.Item, by account: AccountID, at time: Timestamp, _ connection: any SQLConnection
    ) throws(DatabaseError) {
        let last = try connection.queryOne(
            "SELECT version, shares, work FROM pool_statements WHERE target = $1 AND day = $2 ORDER BY version DESC LIMIT 1",
            [.integer(item.target.rawValue), .integer(item.day)])
        if let last, try last.optionalInt64(1) == item.shares, try last.optionalInt64(2) == item.work { return }
        try connection.execute(
            """
            INSERT INTO pool_statements (target, day, version, shares, work, imported_at, imported_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
            """, [
                .integer(item.target.rawValue), .integer(item.day), .integer(try (last?.int64(0) ?? 0) + 1), optional(item.shares),
                optional(item.work), .integer(time.microseconds), .integer(account.rawValue),
            ])
    }
}
