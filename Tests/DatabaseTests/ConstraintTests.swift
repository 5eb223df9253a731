import Database
import Testing

@Suite("Constraints")
struct ConstraintTests {
    private static let schema = """
        CREATE TABLE parent (id BIGINT PRIMARY KEY, name TEXT UNIQUE);
        CREATE TABLE child (
            id     BIGINT PRIMARY KEY,
            parent BIGINT NOT NULL REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED,
            amount BIGINT NOT NULL CHECK (amount >= 0)
        );
        INSERT INTO parent VALUES (1, 'a');
        """

    @Test(
        "tell their kind",
        arguments: Driver.allCases,
        [
            ("INSERT INTO parent VALUES (1, 'b')", ConstraintKind.unique),
            ("INSERT INTO parent VALUES (2, 'a')", .unique),
            ("INSERT INTO child VALUES (1, 9, 0)", .foreignKey),
            ("INSERT INTO child VALUES (1, 1, -1)", .check),
            ("INSERT INTO child VALUES (1, NULL, 0)", .notNull),
        ]
    )
    func kinds(_ driver: Driver, _ example: (sql: String, kind: ConstraintKind)) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let error = databaseError { try connection.execute(example.sql) }
            guard case .constraintViolation(example.kind, let detail) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(!detail.isEmpty)
            #expect(error?.isTransient == false)
        }
    }

    @Test("that are deferred refuse the commit", arguments: Driver.allCases)
    func deferred(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let error = databaseError {
                try connection.transaction { try connection.execute("INSERT INTO child VALUES (1, 9, 0)") }
            }
            guard case .constraintViolation(.foreignKey, _) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(!connection.isInTransaction)
            #expect(try connection.queryOne("SELECT count(*) FROM child") == SQLRow([0]))
        }
    }

    @Test("of triggers are refusals too", arguments: Driver.allCases)
    func raised(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            try connection.script(Self.trigger(driver))
            let error = databaseError { try connection.execute("INSERT INTO parent VALUES (5, 'z')") }
            guard case .constraintViolation(.raised, let detail) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(detail.contains("immutable"))
        }
    }

    private static func trigger(_ driver: Driver) -> String {
        switch driver {
        case .sqlite:
            "CREATE TRIGGER no BEFORE INSERT ON parent BEGIN SELECT RAISE(ABORT, 'immutable'); END"
        case .postgres:
            """
            CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'immutable'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION no();
            """
        }
    }

    @Test("are told to strangers without detail", arguments: Driver.allCases)
    func descriptions(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let error = try #require(databaseError { try connection.execute("INSERT INTO parent VALUES (1, 'b')") })
            #expect("\(error)" == "The database refused the change (unique).")
            #expect(error.detail.contains("parent"))
        }
    }
}
