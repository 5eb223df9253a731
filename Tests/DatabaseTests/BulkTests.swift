import Database
import TestSupport
import Testing

/// The bulk interface over both engines. Counts lie on both sides of where a driver changes its way.
@Suite("Bulk")
struct BulkTests {
    private static let counts = [1, 7, 8, 100, 20_000]
    private static let columns = ["id", "number", "name", "bytes"]

    private func schema(_ driver: Driver) -> String {
        "CREATE TABLE t (id BIGINT PRIMARY KEY, number INTEGER, name TEXT, bytes \(driver.blobType), untouched TEXT DEFAULT 'kept')"
    }

    /// Every kind of value, and NULL in every column but the key.
    private func rows(_ ids: ClosedRange<Int>, number: Int = 0) -> SQLRows {
        var rows = SQLRows(columns: 4, reservingCapacity: ids.count)
        for id in ids {
            rows.append(SQLValue(id))
            rows.append(id % 5 == 0 ? .null : SQLValue(number - id))
            rows.append(id % 3 == 0 ? .null : SQLValue("näme \(id) " + String(repeating: "x", count: id % 40)))
            rows.append(id % 7 == 0 ? .null : SQLValue((0..<id % 50).map { UInt8($0) }))
        }
        return rows
    }

    private func stored(_ connection: any SQLConnection) throws -> [SQLRow] {
        try connection.query("SELECT id, number, name, bytes FROM t ORDER BY id")
    }

    private func expected(_ rows: SQLRows) -> [SQLRow] { (0..<rows.count).map { SQLRow(Array(rows[$0])) } }

    private func count(_ connection: any SQLConnection) throws -> Int? {
        try connection.queryOne("SELECT count(*) FROM t")?.int(0)
    }

    private func withTable(_ driver: Driver, _ body: (any SQLConnection) throws -> Void) throws {
        try driver.withConnection { connection in
            try connection.script(schema(driver))
            try body(connection)
        }
    }

    /// The three ways to write rows.
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case executeMany, insert, upsert
        var testDescription: String { rawValue }

        func write(_ rows: SQLRows, _ connection: any SQLConnection) throws {
            switch self {
            case .executeMany:
                let sql = "INSERT INTO t (id, number, name, bytes) VALUES ($1, $2, $3, $4)"
                #expect(try connection.executeMany(sql, rows: rows) == rows.count)
            case .insert: try connection.insert(into: "t", BulkTests.columns, rows)
            case .upsert: try connection.upsert(into: "t", BulkTests.columns, key: ["id"], rows)
            }
        }
    }

    /// Each way on each engine.
    static let cases = Driver.allCases.flatMap { driver in Way.allCases.map { Case(driver: driver, way: $0) } }

    struct Case: CustomTestStringConvertible {
        let driver: Driver
        let way: Way
        var testDescription: String { "\(way) on \(driver)" }
    }

    @Test("writes every kind of value, in every number of rows", arguments: cases)
    func values(_ example: Case) throws {
        try withTable(example.driver) { connection in
            for count in Self.counts {
                try connection.execute("DELETE FROM t")
                let rows = rows(1...count)
                try example.way.write(rows, connection)
                #expect(!connection.isInTransaction)
                #expect(try stored(connection) == expected(rows), "\(count) rows")
            }
            #expect(try connection.queryOne("SELECT count(*) FROM t WHERE untouched = 'kept'") == SQLRow([20_000]))
        }
    }

    @Test("of no rows does nothing", arguments: cases)
    func empty(_ example: Case) throws {
        try withTable(example.driver) { connection in
            try example.way.write(SQLRows(columns: 4), connection)
            #expect(try count(connection) == 0)
        }
    }

    @Test("is all or nothing outside of a transaction", arguments: cases, [9, 2_000])
    func atomic(_ example: Case, _ number: Int) throws {
        try withTable(example.driver) { connection in
            try connection.script("CREATE UNIQUE INDEX names ON t (name)")
            var rows = SQLRows(columns: 4)
            for id in 1...number { rows.append(row: [SQLValue(id), nil, SQLValue(id == number ? "name 1" : "name \(id)"), nil]) }
            let error = databaseError { try example.way.write(rows, connection) }
            guard case .constraintViolation(.unique, let detail) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(detail.contains("name"))
            #expect(!connection.isInTransaction)
            #expect(try count(connection) == 0)
            try example.way.write(self.rows(1...number), connection)
            #expect(try count(connection) == number)
        }
    }

    @Test("belongs to the transaction it is in", arguments: cases, [3, 300])
    func inTransaction(_ example: Case, _ number: Int) throws {
        try withTable(example.driver) { connection in
            let given = rows(1...number)
            try connection.begin(.write)
            try example.way.write(given, connection)
            #expect(connection.isInTransaction)
            #expect(try count(connection) == number)
            connection.rollback()
            #expect(try count(connection) == 0)
            try connection.transaction {
                try example.way.write(given, connection)
                try example.way.write(rows(number + 1...2 * number), connection)
            }
            #expect(try stored(connection) == expected(rows(1...2 * number)))
        }
    }

    @Test("that fails dooms the transaction", arguments: cases, [3, 300])
    func dooms(_ example: Case, _ number: Int) throws {
        try withTable(example.driver) { connection in
            try connection.script("CREATE UNIQUE INDEX names ON t (name)")
            try connection.begin(.write)
            try connection.execute("INSERT INTO t (id, name) VALUES (1000, $1)", ["näme 1 x"])
            #expect(databaseError { try example.way.write(rows(1...number), connection) } != nil)
            let doomed = DatabaseError.programming("an earlier statement of the transaction failed")
            #expect(databaseError { try example.way.write(rows(2...number), connection) } == doomed)
            #expect(databaseError { try connection.commit() } == doomed)
            connection.rollback()
            #expect(try count(connection) == 0)
        }
    }

    @Test("refuses text with NUL, at the end too", arguments: cases, [3, 300])
    func nulInText(_ example: Case, _ number: Int) throws {
        try withTable(example.driver) { connection in
            var rows = rows(1...number)
            rows.append(row: [SQLValue(number + 1), nil, "a\0b", nil])
            #expect(databaseError { try example.way.write(rows, connection) } == .programming("text with a NUL character"))
            #expect(try count(connection) == 0)
            try example.way.write(self.rows(1...number), connection)
            #expect(try count(connection) == number)
        }
    }

    @Test("refuses rows of another width", arguments: Driver.allCases)
    func width(_ driver: Driver) throws {
        try withTable(driver) { connection in
            var rows = SQLRows(columns: 3)
            rows.append(row: [1, 2, "x"])
            for way in Way.allCases {
                let error = databaseError { try way.write(rows, connection) }
                guard case .programming = error else { return #expect(Bool(false), "\(String(describing: error))") }
            }
        }
    }

    @Test("names what is not there", arguments: Driver.allCases, [3, 300])
    func wrongNames(_ driver: Driver, _ number: Int) throws {
        try withTable(driver) { connection in
            let rows = rows(1...number)
            for (table, columns) in [("nowhere", Self.columns), ("t", ["id", "number", "name", "nothing"])] {
                for error in [
                    databaseError { try connection.insert(into: table, columns, rows) },
                    databaseError { try connection.upsert(into: table, columns, key: ["id"], rows) },
                ] {
                    guard case .programming(let detail) = error else { return #expect(Bool(false), "\(String(describing: error))") }
                    #expect(detail.contains("nowhere") || detail.contains("nothing"))
                }
            }
        }
    }

    @Test("takes columns in any order and case", arguments: Driver.allCases)
    func order(_ driver: Driver) throws {
        try withTable(driver) { connection in
            var rows = SQLRows(columns: 2)
            for id in 1...50 { rows.append(row: [SQLValue("n\(id)"), SQLValue(id)]) }
            try connection.insert(into: "t", ["NAME", "id"], rows)
            try connection.upsert(into: "T", ["Name", "ID"], key: ["ID"], rows)
            #expect(try connection.queryOne("SELECT count(*) FROM t WHERE name = 'n' || id AND untouched = 'kept'") == SQLRow([50]))
        }
    }

    // MARK: - Inserts

    @Test("insert refuses what is there", arguments: Driver.allCases, [3, 300])
    func duplicates(_ driver: Driver, _ number: Int) throws {
        try withTable(driver) { connection in
            let first = rows(1...number, number: 7)
            try connection.insert(into: "t", Self.columns, first)
            let error = databaseError { try connection.insert(into: "t", Self.columns, rows(number...2 * number)) }
            guard case .constraintViolation(.unique, _) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(try stored(connection) == expected(first))
        }
    }

    @Test("insert carries large values", arguments: Driver.allCases)
    func large(_ driver: Driver) throws {
        try withTable(driver) { connection in
            var rows = SQLRows(columns: 4)
            for id in 1...40 {
                let text = String(repeating: "é", count: 50_000)
                rows.append(row: [SQLValue(id), nil, .text(text), .blob([UInt8](repeating: 9, count: 400_000))])
            }
            try connection.insert(into: "t", Self.columns, rows)
            try connection.upsert(into: "t", Self.columns, key: ["id"], rows)
            let sum = try connection.queryOne("SELECT count(*), CAST(sum(length(name) + length(bytes)) AS BIGINT) FROM t")
            #expect(sum == SQLRow([40, 18_000_000]))
        }
    }

    // MARK: - Upserts

    @Test("upsert replaces what is there, and leaves other columns", arguments: Driver.allCases, [3, 300])
    func replaces(_ driver: Driver, _ number: Int) throws {
        try withTable(driver) { connection in
            try connection.upsert(into: "t", Self.columns, key: ["id"], rows(1...number))
            try connection.execute("UPDATE t SET untouched = 'mine'")
            let newer = rows(2...number + 2, number: 1_000)
            try connection.upsert(into: "t", Self.columns, key: ["id"], newer)
            #expect(try stored(connection) == expected(rows(1...1)) + expected(newer))
            #expect(try connection.queryOne("SELECT count(*) FROM t WHERE untouched = 'mine'") == SQLRow([SQLValue(number)]))
        }
    }

    @Test("upsert adds", arguments: Driver.allCases, [3, 300])
    func adds(_ driver: Driver, _ number: Int) throws {
        try driver.withConnection { connection in
            try connection.script("CREATE TABLE s (a BIGINT, b BIGINT, x BIGINT NOT NULL, y BIGINT, PRIMARY KEY (a, b))")
            for round in 1...3 {
                var rows = SQLRows(columns: 4)
                for id in 1...number { rows.append(row: [SQLValue(id), 7, SQLValue(id * round), 1]) }
                try connection.upsert(into: "s", ["a", "b", "x", "y"], key: ["a", "b"], rows, rule: .add)
            }
            let sums = try connection.queryOne("SELECT count(*), CAST(sum(x) AS BIGINT), CAST(sum(y) AS BIGINT) FROM s WHERE x = 6 * a")
            #expect(sums == SQLRow([SQLValue(number), SQLValue(3 * number * (number + 1)), SQLValue(3 * number)]))
        }
    }

    @Test("upsert of nothing but a key keeps what is there", arguments: Driver.allCases, [3, 300])
    func keyOnly(_ driver: Driver, _ number: Int) throws {
        try withTable(driver) { connection in
            var rows = SQLRows(columns: 1)
            for id in 1...number { rows.append(row: [SQLValue(id)]) }
            try connection.upsert(into: "t", ["id"], key: ["id"], rows)
            try connection.upsert(into: "t", ["id"], key: ["id"], rows)
            #expect(try count(connection) == number)
        }
    }

    @Test("upsert gives what a naive one gives, on random histories", arguments: Driver.allCases, Seeds.list(3))
    func reference(_ driver: Driver, _ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        try withTable(driver) { connection in
            var naive: [Int: [SQLValue]] = [:]
            for _ in 0..<12 {
                var rows = SQLRows(columns: 4)
                for id in Set((0..<random.int(1...60)).map { _ in random.int(1...100) }) {
                    let name = String(decoding: random.bytes(random.int(0...20)).map { $0 % 26 + 97 }, as: UTF8.self)
                    let row: [SQLValue] = [
                        SQLValue(id), random.chance(20) ? .null : .integer(random.int64(-1_000_000...1_000_000)),
                        random.chance(20) ? .null : .text(name), random.chance(20) ? .null : .blob(random.bytes(random.int(0...40))),
                    ]
                    naive[id] = row
                    rows.append(row: row)
                }
                try connection.upsert(into: "t", Self.columns, key: ["id"], rows)
                #expect(try stored(connection) == naive.sorted { $0.key < $1.key }.map { SQLRow($0.value) })
            }
        }
    }

    /// Rows whose indexed columns stay, change, become NULL or are new, through one call.
    @Test("change indexed columns too", arguments: Driver.allCases)
    func indexedColumns(_ driver: Driver) throws {
        try withTable(driver) { connection in
            try connection.script("CREATE INDEX t_number ON t (number, id); CREATE UNIQUE INDEX t_name ON t (name)")
            var rows = SQLRows(columns: 4)
            for id in 1...50 { rows.append(row: [SQLValue(id), SQLValue(id), SQLValue("name \(id)"), .null]) }
            try connection.upsert(into: "t", Self.columns, key: ["id"], rows)
            var others = SQLRows(columns: 4)
            for id in 1...60 {
                let number: SQLValue = id % 3 == 0 ? .null : SQLValue(id % 3 == 1 ? id : -id)
                let name: SQLValue = id % 4 == 0 ? .null : SQLValue(id % 4 == 1 ? "other \(id)" : "name \(id)")
                others.append(row: [SQLValue(id), number, name, .blob([UInt8(id)])])
            }
            for _ in 1...2 {
                try connection.upsert(into: "t", Self.columns, key: ["id"], others)
                #expect(try stored(connection) == expected(others))
                #expect(try connection.query("SELECT id FROM t WHERE number < 0 ORDER BY number DESC").map { try $0.int(0) }
                    == (1...60).filter { $0 % 3 == 2 })
            }
            var taken = SQLRows(columns: 4)
            taken.append(row: [2, 2, .text("other 1"), .null])
            let error = databaseError {
                try connection.upsert(into: "t", Self.columns, key: ["id"], taken)
            }
            guard case .constraintViolation(.unique, _) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(try stored(connection) == expected(others))
        }
    }

    /// Keys that are texts, and keys in any order: greater ones than before are new, others may be.
    @Test("find rows whatever their keys", arguments: Driver.allCases)
    func keys(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script("CREATE TABLE a (k TEXT PRIMARY KEY, v INTEGER); CREATE TABLE b (k BIGINT PRIMARY KEY, v INTEGER)")
            for round in 1...3 {
                var (texts, numbers) = (SQLRows(columns: 2), SQLRows(columns: 2))
                for key in [5, 3, 9, 1, -4, 12, 7, Int.min, Int.max].prefix(3 * round) {
                    texts.append(row: [.text("\(key)"), SQLValue(round)])
                    numbers.append(row: [SQLValue(key), SQLValue(round)])
                }
                try connection.upsert(into: "a", ["k", "v"], key: ["k"], texts)
                try connection.upsert(into: "b", ["k", "v"], key: ["k"], numbers)
                for table in ["a", "b"] {
                    #expect(try connection.query("SELECT count(*), min(v), max(v) FROM \(table)") == [
                        SQLRow([SQLValue(3 * round), SQLValue(round), SQLValue(round)])
                    ])
                }
            }
        }
    }
}
