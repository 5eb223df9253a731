import Database
import Testing

@Suite("Transactions")
struct TransactionTests {
    private static let schema = "CREATE TABLE t (id BIGINT PRIMARY KEY)"

    private func count(_ connection: any SQLConnection) throws -> Int64? {
        try connection.queryOne("SELECT count(*) FROM t")?.int64(0)
    }

    @Test("keep what was committed", arguments: Driver.allCases)
    func commit(_ driver: Driver) throws {
        try driver.withLocation { location in
            let connection = try Database.openConnection(location)
            try connection.script(Self.schema)
            let answer = try connection.transaction {
                #expect(connection.isInTransaction)
                try connection.execute("INSERT INTO t VALUES (1)")
                return "done"
            }
            #expect(answer == "done")
            #expect(!connection.isInTransaction)
            connection.close()
            let other = try Database.openConnection(location, checksIntegrity: true)
            #expect(try count(other) == 1)
            other.close()
        }
    }

    @Test("keep nothing when the body throws", arguments: Driver.allCases)
    func rollback(_ driver: Driver) throws {
        struct Refusal: Error {}
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            #expect(throws: Refusal.self) {
                try connection.transaction {
                    try connection.execute("INSERT INTO t VALUES (1)")
                    throw Refusal()
                }
            }
            #expect(try count(connection) == 0)
            #expect(!connection.isInTransaction)
        }
    }

    @Test("are doomed by an error that the body swallows", arguments: Driver.allCases)
    func doomed(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let error = databaseError {
                try connection.transaction {
                    try connection.execute("INSERT INTO t VALUES (1)")
                    _ = databaseError { try connection.execute("INSERT INTO t VALUES (1)") }
                    #expect(databaseError { _ = try self.count(connection) } != nil)
                }
            }
            #expect(error == .programming("an earlier statement of the transaction failed"))
            #expect(try count(connection) == 0)
        }
    }

    @Test("are not nested", arguments: Driver.allCases)
    func nested(_ driver: Driver) throws {
        try driver.withConnection { connection in
            let error = databaseError { try connection.transaction { try connection.transaction {} } }
            #expect(error == .programming("a transaction inside another"))
            #expect(databaseError { try connection.commit() } == .programming("no transaction to commit"))
        }
    }

    @Test("for reading refuse to write", arguments: Driver.allCases)
    func readOnly(_ driver: Driver) throws {
        try driver.withConnection { connection in
            try connection.script(Self.schema)
            let error = databaseError {
                try connection.transaction(.read) { try connection.execute("INSERT INTO t VALUES (1)") }
            }
            guard case .readOnly = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(try count(connection) == 0)
        }
    }

    @Test("for reading see one snapshot", arguments: Driver.allCases)
    func snapshot(_ driver: Driver) throws {
        try driver.withLocation { location in
            let reader = try Database.openConnection(location)
            let writer = try Database.openConnection(location)
            defer {
                reader.close()
                writer.close()
            }
            try writer.script(Self.schema)
            try reader.transaction(.read) {
                #expect(try count(reader) == 0)
                try writer.execute("INSERT INTO t VALUES (1)")
                #expect(try count(reader) == 0)
            }
            #expect(try count(reader) == 1)
        }
    }

    @Test("of which a second one waits are not lost", arguments: Driver.allCases)
    func twoWriters(_ driver: Driver) async throws {
        try await driver.withDatabase("CREATE TABLE n (x BIGINT); INSERT INTO n VALUES (0);") { database in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask { try await database.write { _ = try $0.execute("UPDATE n SET x = x + 1") } }
                }
                try await group.waitForAll()
            }
            #expect(try await database.read { try $0.queryOne("SELECT x FROM n") } == SQLRow([200]))
        }
    }
}
