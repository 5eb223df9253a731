import Database
import Testing

@Suite("Statements")
struct StatementTests {
    private static let schema = "CREATE TABLE t (id BIGINT PRIMARY KEY, x BIGINT NOT NULL)"

    @Test("count the rows they change", arguments: Driver.allCases)
    func affected(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            #expect(try connection.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)") == 3)
            #expect(try connection.execute("UPDATE t SET x = x + 1 WHERE id > $1", [1]) == 2)
            #expect(try connection.execute("UPDATE t SET x = 0 WHERE id = $1", [99]) == 0)
            #expect(try connection.execute("SELECT * FROM t") == 0)
            #expect(try connection.execute("DELETE FROM t") == 3)
            #expect(try connection.execute("CREATE TABLE u (x BIGINT)") == 0)
        }
    }

    @Test("insert or update", arguments: Driver.allCases)
    func upsert(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let sql = "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET x = t.x + excluded.x"
            #expect(try connection.execute(sql, [1, 10]) == 1)
            #expect(try connection.execute(sql, [1, 5]) == 1)
            #expect(try connection.query("SELECT id, x FROM t") == [SQLRow([1, 15])])
            #expect(try connection.execute("INSERT INTO t VALUES (1, 0) ON CONFLICT DO NOTHING") == 0)
        }
    }

    @Test("return what they changed", arguments: Driver.allCases)
    func returning(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            #expect(try connection.query("INSERT INTO t VALUES ($1, 2) RETURNING x, id", [1]) == [SQLRow([2, 1])])
            #expect(try connection.query("UPDATE t SET x = 3 RETURNING x") == [SQLRow([3])])
            #expect(try connection.execute("UPDATE t SET x = 4 RETURNING x") == 1)
        }
    }

    @Test("fence: a deposed writer changes no row", arguments: Driver.allCases)
    func fencing(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script("CREATE TABLE writer (epoch BIGINT, last BIGINT); INSERT INTO writer VALUES (2, 10);")
            let sql = "UPDATE writer SET last = $1 WHERE epoch = $2 AND last = $3"
            #expect(try connection.execute(sql, [11, 1, 10]) == 0)
            #expect(try connection.execute(sql, [11, 2, 9]) == 0)
            #expect(try connection.execute(sql, [11, 2, 10]) == 1)
        }
    }

    @Test("run for 10,000 rows at once", arguments: Driver.allCases)
    func executeMany(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let rows = (1...10_000).map { [SQLValue($0), SQLValue($0 * 2)] }
            #expect(try connection.executeMany("INSERT INTO t VALUES ($1, $2)", rows: rows) == 10_000)
            #expect(try connection.queryOne("SELECT count(*), CAST(sum(x) AS BIGINT) FROM t") == SQLRow([10_000, 100_010_000]))
            #expect(try connection.executeMany("INSERT INTO t VALUES ($1, $2)", rows: []) == 0)
            #expect(!connection.isInTransaction)
        }
    }

    @Test("for many rows are all or nothing", arguments: Driver.allCases)
    func executeManyFails(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let rows = (1...2_000).map { [SQLValue($0 % 1_500), SQLValue(0)] }
            let error = databaseError { try connection.executeMany("INSERT INTO t VALUES ($1, $2)", rows: rows) }
            guard case .constraintViolation(.unique, _) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
        }
    }

    @Test("for many rows may carry large values", arguments: Driver.allCases)
    func executeManyLarge(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script("CREATE TABLE b (id BIGINT, x \(driver.blobType))")
            let blob = SQLValue([UInt8](repeating: 7, count: 100_000))
            let rows = (0..<600).map { [SQLValue($0), blob] }
            #expect(try connection.executeMany("INSERT INTO b VALUES ($1, $2) RETURNING x", rows: rows) == 600)
        }
    }

    @Test("stream their rows", arguments: Driver.allCases)
    func streaming(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            try connection.executeMany("INSERT INTO t VALUES ($1, 0)", rows: (1...20_000).map { [SQLValue($0)] })
            var sum: Int64 = 0
            try connection.forEach("SELECT id FROM t WHERE id <= $1", [10_000]) { sum += try $0.int64(0) }
            #expect(sum == 50_005_000)
        }
    }

    @Test("stop streaming when the body throws, and go on", arguments: Driver.allCases)
    func streamingStops(_ driver: Driver) throws {
        struct Enough: Error {}
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            try connection.executeMany("INSERT INTO t VALUES ($1, 0)", rows: (1...1_000).map { [SQLValue($0)] })
            var seen = 0
            #expect(throws: Enough.self) {
                try connection.forEach("SELECT id FROM t ORDER BY id") { _ in
                    seen += 1
                    if seen == 10 { throw Enough() }
                }
            }
            #expect(seen == 10)
            #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([1_000]))
        }
    }

    @Test("wait while rows are streamed", arguments: Driver.allCases)
    func nestedInStream(_ driver: Driver) throws {
        try driver.withConnection { connection in
            #expect(
                databaseError { try connection.forEach("SELECT 1") { _ in try connection.execute("SELECT 2") } }
                    == .programming("the connection is streaming rows")
            )
        }
    }

    @Test("that are wrong say so, and the connection goes on", arguments: Driver.allCases)
    func programmingErrors(_ driver: Driver) throws {
        try driver.withConnection { connection throws in
            for sql in ["SELEKT 1", "SELECT * FROM nowhere", "SELECT 1; SELECT 2"] {
                guard case .programming = databaseError({ _ = try connection.query(sql) }) else {
                    return #expect(Bool(false), "\(sql)")
                }
            }
            #expect(try connection.query("SELECT 1;") == [SQLRow([1])])
        }
    }

    @Test("stay usable beyond the cache of prepared ones", arguments: Driver.allCases)
    func statementCache(_ driver: Driver) throws {
        try driver.withConnection { connection throws in
            for round in 0..<2 {
                for number in 0..<300 {
                    #expect(try connection.query("SELECT \(number)") == [SQLRow([SQLValue(number)])], "round \(round)")
                }
            }
        }
    }

    @Test("see a table's new columns", arguments: Driver.allCases)
    func staleStatement(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script("\(Self.schema); INSERT INTO t VALUES (1, 2);")
            #expect(try connection.query("SELECT * FROM t") == [SQLRow([1, 2])])
            try connection.script("ALTER TABLE t ADD COLUMN y BIGINT")
            _ = databaseError { _ = try connection.query("SELECT * FROM t") }
            #expect(try connection.query("SELECT * FROM t") == [SQLRow([1, 2, nil])])
        }
    }

    @Test("of a closed connection are refused", arguments: Driver.allCases)
    func closed(_ driver: Driver) throws {
        try driver.withConnection { connection in
            connection.close()
            #expect(databaseError { _ = try connection.query("SELECT 1") } == .closed)
            #expect(databaseError { try connection.begin(.write) } == .closed)
            connection.close()
        }
    }
}
