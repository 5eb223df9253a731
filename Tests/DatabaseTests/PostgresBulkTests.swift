import Database
import TestSupport
import Testing

/// What only Postgres can do to rows in bulk: types that must fit, tables that change, sessions that end.
@Suite("Bulk on Postgres")
struct PostgresBulkTests {
    private func rows(_ number: Int, _ row: (Int) -> [SQLValue]) -> SQLRows {
        var rows = SQLRows(columns: row(1).count)
        for id in 1...number { rows.append(row: row(id)) }
        return rows
    }

    private enum Way: CaseIterable {
        case insert, upsert

        func write(_ columns: [String], _ rows: SQLRows, _ connection: any SQLConnection) throws {
            switch self {
            case .insert: try connection.insert(into: "t", columns, rows)
            case .upsert: try connection.upsert(into: "t", columns, key: [columns[0]], rows)
            }
        }
    }

    @Test("goes into every type that rows are made of", arguments: [3, 300])
    func types(_ number: Int) throws {
        try Driver.postgres.withConnection { connection in
            try connection.script(
                """
                CREATE TABLE t (id BIGINT PRIMARY KEY, a SMALLINT, b INTEGER, c BOOLEAN, d VARCHAR(20), e CHAR(3), f BYTEA, g TEXT, h OID)
                """)
            let columns = ["id", "a", "b", "c", "d", "e", "f", "g", "h"]
            let rows = rows(number) { id in
                [SQLValue(id), SQLValue(-id), SQLValue(id << 16), SQLValue(id % 2), .text("v\(id)"), "abc", .blob([]), "", SQLValue(id)]
            }
            for way in Way.allCases {
                try connection.execute("DELETE FROM t")
                try way.write(columns, rows, connection)
                let stored = try connection.query("SELECT * FROM t ORDER BY id")
                #expect(stored == (0..<number).map { SQLRow(Array(rows[$0])) })
            }
        }
    }

    @Test("goes by text into types without a binary form here", arguments: [3, 300])
    func textTypes(_ number: Int) throws {
        try Driver.postgres.withConnection { connection in
            try connection.script("CREATE TABLE t (id BIGINT PRIMARY KEY, a NUMERIC, b DATE, c JSONB)")
            let rows = rows(number) { [SQLValue($0), "1234567890123456789012345678901234567890.5", "2026-01-02", .text("{\"a\": \($0)}")] }
            for way in Way.allCases {
                try connection.execute("DELETE FROM t")
                try way.write(["id", "a", "b", "c"], rows, connection)
                let sql = "SELECT count(*) FROM t WHERE a > 1e39 AND b = DATE '2026-01-02' AND c ->> 'a' = CAST(id AS TEXT)"
                #expect(try connection.queryOne(sql) == SQLRow([SQLValue(number)]))
            }
        }
    }

    @Test("refuses values that do not fit their column", arguments: [3, 300])
    func wrongTypes(_ number: Int) throws {
        try Driver.postgres.withConnection { connection in
            try connection.script("CREATE TABLE t (id BIGINT PRIMARY KEY, n INTEGER, b BYTEA, s TEXT)")
            let wrong: [(String, SQLValue)] = [("n", .integer(1 << 40)), ("n", "x"), ("n", .blob([1])), ("b", 1), ("b", "x"), ("s", .blob([1]))]
            for (column, value) in wrong {
                for way in Way.allCases {
                    let rows = rows(number) { [SQLValue($0), $0 == number ? value : .null] }
                    let error = databaseError { try way.write(["id", column], rows, connection) }
                    guard case .programming = error else { return #expect(Bool(false), "\(column): \(String(describing: error))") }
                    #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
                }
            }
        }
    }

    @Test("follows a table that another session changes, after at most one refusal", arguments: [
        "ALTER TABLE t ALTER COLUMN x TYPE TEXT", "ALTER TABLE t ALTER COLUMN x TYPE INTEGER", "ALTER TABLE t ADD COLUMN z BIGINT",
        "ALTER TABLE t DROP COLUMN y", "DROP TABLE t; CREATE TABLE t (x BIGINT, id BIGINT PRIMARY KEY)",
        "ALTER TABLE t ALTER COLUMN x TYPE TIMESTAMP USING NULL",
    ])
    func shapeChanges(_ change: String) throws {
        for way in Way.allCases {
            try Driver.postgres.withLocation { location in
                let connection = try Database.openConnection(location)
                let other = try Database.openConnection(location)
                defer {
                    connection.close()
                    other.close()
                }
                try other.script("CREATE TABLE t (id BIGINT PRIMARY KEY, x BIGINT, y BIGINT)")
                try way.write(["id", "x"], rows(50) { [SQLValue($0), 0x4142_4344_4546] }, connection)
                try other.script("DELETE FROM t; \(change)")
                let isTime = change.contains("TIMESTAMP")
                let value: SQLValue = isTime ? "2026-01-02 03:04:05" : change.contains("TEXT") ? "7" : 7
                let rows = rows(50) { [SQLValue($0), value] }
                if databaseError({ try way.write(["id", "x"], rows, connection) }) != nil {
                    // Nothing was taken for what it is not.
                    #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
                    try way.write(["id", "x"], rows, connection)
                }
                let sql = "SELECT count(*) FROM t WHERE CAST(x AS TEXT) = \(isTime ? "'2026-01-02 03:04:05'" : "'7'")"
                #expect(try connection.queryOne(sql) == SQLRow([50]), "\(way)")
            }
        }
    }

    @Test("tells the first to find a changed table to try again")
    func shapeChangeIsTransient() throws {
        for way in Way.allCases {
            try Driver.postgres.withLocation { location in
                let connection = try Database.openConnection(location)
                let other = try Database.openConnection(location)
                defer {
                    connection.close()
                    other.close()
                }
                try other.script("CREATE TABLE t (id BIGINT PRIMARY KEY, x BIGINT)")
                try way.write(["id", "x"], rows(50) { [SQLValue($0), 1] }, connection)
                try other.script("DELETE FROM t; ALTER TABLE t ALTER COLUMN x TYPE INTEGER")
                let error = databaseError { try way.write(["id", "x"], rows(50) { [SQLValue($0), 1] }, connection) }
                guard case .serializationFailure = error else { return #expect(Bool(false), "\(String(describing: error))") }
            }
        }
    }

    @Test("writes under row-level security")
    func rowSecurity() throws {
        try Driver.postgres.withConnection { connection in
            // Roles are the whole server's.
            let role = "limited_\(try connection.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0)"
            try connection.script(
                """
                CREATE TABLE t (id BIGINT PRIMARY KEY, x BIGINT);
                ALTER TABLE t ENABLE ROW LEVEL SECURITY;
                CREATE POLICY small ON t USING (x < 1000) WITH CHECK (x < 1000);
                DROP ROLE IF EXISTS \(role);
                CREATE ROLE \(role);
                GRANT SELECT, INSERT, UPDATE ON t TO \(role);
                """)
            try connection.script("SET ROLE \(role)")
            for way in Way.allCases {
                let rows = rows(100) { [SQLValue(way == .insert ? $0 : $0 + 50), SQLValue($0)] }
                try way.write(["id", "x"], rows, connection)
                #expect(databaseError { try way.write(["id", "x"], self.rows(100) { [SQLValue($0 + 500), 1000] }, connection) } != nil)
            }
            try connection.script("RESET ROLE")
            #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([150]))
            try connection.script("DROP TABLE t; DROP ROLE \(role)")
        }
    }

    @Test("goes into partitions, past a trigger and out of another schema")
    func tables() throws {
        try Driver.postgres.withConnection { connection in
            try connection.script(
                """
                CREATE SCHEMA other;
                CREATE TABLE other.t (id BIGINT, x BIGINT, PRIMARY KEY (id)) PARTITION BY RANGE (id);
                CREATE TABLE other.low PARTITION OF other.t FOR VALUES FROM (0) TO (500);
                CREATE TABLE other.high PARTITION OF other.t FOR VALUES FROM (500) TO (100000);
                CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.x := 2 * NEW.x; RETURN NEW; END $$;
                CREATE TRIGGER twice BEFORE INSERT ON other.t FOR EACH ROW EXECUTE FUNCTION twice();
                """)
            let rows = rows(1_000) { [SQLValue($0), 1] }
            try connection.insert(into: "other.t", ["id", "x"], rows)
            try connection.upsert(into: "other.t", ["id", "x"], key: ["id"], rows)
            #expect(try connection.queryOne("SELECT count(*) FROM other.low WHERE x = 2") == SQLRow([499]))
            #expect(try connection.queryOne("SELECT count(*) FROM other.high WHERE x = 2") == SQLRow([501]))
        }
    }

    @Test("is refused in a transaction for reading", arguments: [3, 300])
    func readOnly(_ number: Int) throws {
        try Driver.postgres.withConnection { connection in
            try connection.script("CREATE TABLE t (id BIGINT PRIMARY KEY)")
            for way in Way.allCases {
                let rows = rows(number) { [SQLValue($0)] }
                let error = databaseError { try connection.transaction(.read) { try way.write(["id"], rows, connection) } }
                guard case .readOnly = error else { return #expect(Bool(false), "\(String(describing: error))") }
            }
        }
    }

    @Test("told apart from a table's error is a connection that is lost, after which all is prepared anew", arguments: [3, 30_000])
    func lost(_ number: Int) throws {
        try Driver.postgres.withLocation { location in
            let connection = try Database.openConnection(location)
            let other = try Database.openConnection(location)
            defer {
                connection.close()
                other.close()
            }
            try connection.script("CREATE TABLE t (id BIGINT PRIMARY KEY, x TEXT)")
            let rows = rows(number) { [SQLValue($0), .text("some text of row \($0)")] }
            for way in Way.allCases {
                for isInTransaction in [false, true] {
                    try connection.execute("DELETE FROM t")
                    // So that what the session knows of the table is lost with it.
                    try connection.upsert(into: "t", ["id", "x"], key: ["id"], rows)
                    try connection.execute("DELETE FROM t")
                    let process = try connection.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0
                    if isInTransaction { try connection.begin(.write) }
                    _ = try other.query("SELECT pg_terminate_backend($1, 10000)", [.integer(process)])
                    let error = databaseError { try way.write(["id", "x"], rows, connection) }
                    guard case .connectionLost = error else { return #expect(Bool(false), "\(String(describing: error))") }
                    connection.rollback()
                    #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
                    try way.write(["id", "x"], rows, connection)
                    #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([SQLValue(number)]))
                }
            }
        }
    }

    @Test("ended by the server in its middle is a lost connection")
    func lostInTheMiddle() throws {
        try Driver.postgres.withConnection { connection in
            try connection.script(
                """
                CREATE TABLE t (id BIGINT PRIMARY KEY, x TEXT);
                CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NEW.id = 20000 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER die BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION die();
                """)
            let rows = rows(100_000) { [SQLValue($0), .text("some text of row \($0)")] }
            for way in Way.allCases {
                let error = databaseError { try way.write(["id", "x"], rows, connection) }
                guard case .connectionLost = error else { return #expect(Bool(false), "\(String(describing: error))") }
                #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
            }
        }
    }
}
