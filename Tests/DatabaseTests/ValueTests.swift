import Database
import Testing

@Suite("Values")
struct ValueTests {
    @Test("come back as they went", arguments: Driver.allCases)
    func roundTrip(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(
                "CREATE TABLE v (n BIGINT PRIMARY KEY, i BIGINT, t TEXT, b \(driver.blobType), f BOOLEAN, s INTEGER)"
            )
            let rows: [[SQLValue]] = [
                [1, .integer(.max), "", .blob([]), true, 7],
                [2, .integer(.min), "Grüße, 世界 🧱 'quoted' \"too\" $1 \\", .blob([0, 1, 0, 255, 0]), false, -7],
                [3, 0, .text(String(repeating: "x", count: 100_000)), .blob((0..<100_000).map { UInt8($0 & 255) }), true, 0],
                [4, nil, nil, nil, nil, nil],
            ]
            for row in rows {
                #expect(try connection.execute("INSERT INTO v VALUES ($1, $2, $3, $4, $5, $6)", row) == 1)
            }
            #expect(try connection.query("SELECT * FROM v ORDER BY n") == rows.map { SQLRow($0) })
        }
    }

    @Test("of NULL are told apart from empty ones", arguments: Driver.allCases)
    func nulls(_ driver: Driver) throws {
        try driver.withConnection { connection in
            let row = try #require(try connection.queryOne("SELECT CAST(NULL AS TEXT), '', CAST(NULL AS BIGINT)"))
            #expect(try row.optionalText(0) == nil)
            #expect(try row.optionalText(1) == "")
            #expect(try row.optionalInt64(2) == nil)
            #expect(throws: DatabaseError.self) { try row.text(0) }
        }
    }

    @Test("of another type than asked for are errors", arguments: Driver.allCases)
    func mismatch(_ driver: Driver) throws {
        try driver.withConnection { connection in
            let row = try #require(try connection.queryOne("SELECT 2, 'x'"))
            #expect(databaseError { _ = try row.text(0) } == .decoding("column 0: text expected, found integer"))
            #expect(databaseError { _ = try row.bool(0) } == .decoding("column 0: 0 or 1 expected, found integer"))
            #expect(databaseError { _ = try row.int64(2) } == .decoding("column 2 of a row of 2"))
        }
    }

    @Test("are never floating point", arguments: Driver.allCases)
    func floatingPoint(_ driver: Driver) throws {
        try driver.withConnection { connection in
            guard case .decoding = databaseError({ _ = try connection.query("SELECT CAST(1.5 AS DOUBLE PRECISION)") })
            else { return #expect(Bool(false), "a double was read") }
        }
    }

    @Test("may be the same parameter twice, in any order", arguments: Driver.allCases)
    func repeatedParameters(_ driver: Driver) throws {
        try driver.withConnection { connection in
            let row = try connection.queryOne(
                "SELECT CAST($2 AS TEXT), CAST($1 AS BIGINT), CAST($2 AS TEXT), '$3' -- $4", [5, "b"]
            )
            #expect(row == SQLRow(["b", 5, "b", "$3"]))
        }
    }

    @Test("must be as many as the placeholders", arguments: Driver.allCases, [0, 1, 3])
    func parameterCount(_ driver: Driver, _ count: Int) throws {
        try driver.withConnection { connection in
            let error = databaseError {
                let sql = "SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT)"
                _ = try connection.query(sql, Array(repeating: 1, count: count))
            }
            #expect(error == .programming("2 parameters expected, \(count) given"))
        }
    }

    @Test("of text hold no NUL", arguments: Driver.allCases)
    func nulInText(_ driver: Driver) throws {
        try driver.withConnection { connection in
            #expect(
                databaseError { _ = try connection.query("SELECT CAST($1 AS TEXT)", ["a\0b"]) }
                    == .programming("text with a NUL character")
            )
        }
    }

    @Test(
        "of NUMERIC are read as decimal digits",
        arguments: [
            "0", "1", "-1", "10000", "99999999", "100000000", "0.5", "-0.0001", "0.00001000", "12345.678900",
            "340282366920938463463374607431768211455", "1000000000000.000000000001", "NaN",
        ]
    )
    func numeric(_ digits: String) throws {
        try Driver.postgres.withConnection { connection in
            let row = try #require(try connection.queryOne("SELECT CAST($1 AS NUMERIC)", [.text(digits)]))
            #expect(try row.decimal(0) == digits)
        }
    }

    @Test("of sums are integers after a cast", arguments: Driver.allCases)
    func sum(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script("CREATE TABLE s (x BIGINT NOT NULL); INSERT INTO s VALUES (40), (2);")
            #expect(try connection.queryOne("SELECT CAST(sum(x) AS BIGINT), count(*) FROM s") == SQLRow([42, 2]))
            #expect(try connection.queryOne("SELECT sum(x) FROM s")?.decimal(0) == "42")
        }
    }

    @Test("that Postgres has no binary form for must be cast")
    func unsupportedType() throws {
        try Driver.postgres.withConnection { connection throws in
            guard case .decoding = databaseError({ _ = try connection.query("SELECT now()") }) else {
                return #expect(Bool(false), "a timestamp was read")
            }
            #expect(try connection.queryOne("SELECT CAST(DATE '2026-01-02' AS TEXT)") == SQLRow(["2026-01-02"]))
            #expect(try connection.queryOne("SELECT CAST(CAST($1 AS DATE) AS TEXT)", ["2026-01-02"]) == SQLRow(["2026-01-02"]))
        }
    }

    @Test("too great for their parameter are refused")
    func narrowParameter() throws {
        try Driver.postgres.withConnection { connection in
            try connection.script("CREATE TABLE n (x INTEGER)")
            guard case .programming = databaseError({ try connection.execute("INSERT INTO n VALUES ($1)", [.integer(.max)]) })
            else { return #expect(Bool(false), "2^63 - 1 went into 32 bits") }
        }
    }
}
