import Database
import Testing

/// What only Postgres can do: lose the connection, and set transactions against each other.
@Suite("Postgres connections")
struct ConnectionLossTests {
    /// Lends a connection and the function that ends it from another.
    private func withVictim(_ body: (any SQLConnection, () throws -> Void) throws -> Void) throws {
        try Driver.postgres.withLocation { location in
            let victim = try Database.openConnection(location)
            let other = try Database.openConnection(location)
            defer {
                victim.close()
                other.close()
            }
            try victim.script("CREATE TABLE t (id BIGINT PRIMARY KEY)")
            let process = try victim.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0
            try body(victim) {
                _ = try other.query("SELECT pg_terminate_backend($1, 10000)", [.integer(process)])
            }
        }
    }

    private func expectLost(_ error: DatabaseError?, _ location: SourceLocation = #_sourceLocation) {
        guard case .connectionLost = error else {
            Issue.record("\(String(describing: error))", sourceLocation: location)
            return
        }
        #expect(error?.isTransient == true, sourceLocation: location)
    }

    @Test("that were lost are told once, and made anew")
    func reconnects() throws {
        try withVictim { connection, terminate in
            try terminate()
            expectLost(databaseError { _ = try connection.query("SELECT 1") })
            #expect(try connection.query("SELECT 1") == [SQLRow([1])])
        }
    }

    @Test("lost in a transaction take it with them")
    func inTransaction() throws {
        try withVictim { connection, terminate throws in
            let error = databaseError {
                try connection.transaction {
                    try connection.execute("INSERT INTO t VALUES (1)")
                    try terminate()
                    expectLost(databaseError { try connection.execute("INSERT INTO t VALUES (2)") })
                    // Not on a new connection, outside of the transaction:
                    try connection.execute("INSERT INTO t VALUES (3)")
                }
            }
            #expect(error != nil)
            #expect(!connection.isInTransaction)
            #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
        }
    }

    @Test("lost at the commit leave it unknown")
    func atCommit() throws {
        try withVictim { connection, terminate throws in
            let error = databaseError {
                try connection.transaction {
                    try connection.execute("INSERT INTO t VALUES (1)")
                    try terminate()
                }
            }
            guard case .commitOutcomeUnknown = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(error?.isTransient == false)
            #expect(try connection.queryOne("SELECT count(*) FROM t") == SQLRow([0]))
        }
    }

    @Test("lost before a pipeline fail it as a whole")
    func inPipeline() throws {
        try withVictim { connection, terminate in
            let rows = (1...5_000).map { [SQLValue($0)] }
            let sql = "INSERT INTO t VALUES ($1)"
            try connection.begin(.write)
            try terminate()
            expectLost(databaseError { try connection.executeMany(sql, rows: rows) })
            connection.rollback()
            #expect(try connection.executeMany(sql, rows: rows) == 5_000)
        }
    }

    @Test("lost before a stream fail it")
    func inStream() throws {
        try withVictim { connection, terminate in
            try terminate()
            expectLost(databaseError { try connection.forEach("SELECT 1") { _ in } })
            try connection.forEach("SELECT 1") { #expect($0 == SQLRow([1])) }
        }
    }

    @Test("report a collision as one to try again")
    func serializationFailure() throws {
        try Driver.postgres.withLocation { location in
            let first = try Database.openConnection(location)
            let second = try Database.openConnection(location)
            defer {
                first.close()
                second.close()
            }
            try first.script("CREATE TABLE n (x BIGINT); INSERT INTO n VALUES (0);")
            try first.begin(.write)
            try first.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            _ = try first.query("SELECT x FROM n")
            try second.execute("UPDATE n SET x = 1")
            let error = databaseError { try first.execute("UPDATE n SET x = 2") }
            first.rollback()
            guard case .serializationFailure = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(error?.isTransient == true)
        }
    }

    @Test("tell a lock that is not had")
    func lockNotAvailable() throws {
        try Driver.postgres.withLocation { location in
            let first = try Database.openConnection(location)
            let second = try Database.openConnection(location)
            defer {
                first.close()
                second.close()
            }
            try first.script("CREATE TABLE n (x BIGINT); INSERT INTO n VALUES (0);")
            try first.begin(.write)
            _ = try first.query("SELECT x FROM n FOR UPDATE")
            guard case .busy = databaseError({ _ = try second.query("SELECT x FROM n FOR UPDATE NOWAIT") }) else {
                return #expect(Bool(false), "the lock was had twice")
            }
        }
    }
}
