@testable import Database
import MigrationFiles
import TestSupport
import Testing

/// Limits of a session, and what the server's errors mean.
@Suite("Postgres sessions")
struct PostgresSessionTests {
    /// The URL with options, and a database of its own.
    private func withURL(_ options: String, _ body: (String) throws -> Void) throws {
        let database = try TestPostgres.createDatabase()
        defer { database.drop() }
        try body(options.isEmpty ? database.url : "\(database.url)?\(options)")
    }

    private func withConnection(_ options: String, _ body: (any SQLConnection) throws -> Void) throws {
        try withURL(options) { url in
            let connection = try Database.openConnection(.postgres(url: url))
            defer { connection.close() }
            try body(connection)
        }
    }

    private func setting(_ name: String, _ connection: any SQLConnection) throws -> String? {
        try connection.queryOne("SELECT current_setting($1)", [.text(name)])?.text(0)
    }

    // MARK: - Limits

    @Test("have limits, even after they were lost")
    func defaults() throws {
        try withURL("") { url in
            let connection = try Database.openConnection(.postgres(url: url))
            let other = try Database.openConnection(.postgres(url: url))
            defer {
                connection.close()
                other.close()
            }
            for _ in 0..<2 {
                #expect(try setting("statement_timeout", connection) == "5min")
                #expect(try setting("lock_timeout", connection) == "10s")
                #expect(try setting("idle_in_transaction_session_timeout", connection) == "1min")
                #expect(try setting("application_name", connection) == "hashspot")
                let process = try connection.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0
                _ = try other.query("SELECT pg_terminate_backend($1, 10000)", [.integer(process)])
                #expect(databaseError { _ = try connection.query("SELECT 1") } != nil)
            }
        }
    }

    @Test("have none for long work but for locks", arguments: ["", "options=-c%20work_mem%3D8MB&application_name=me"])
    func longWork(_ options: String) throws {
        try withURL(options) { url in
            let connection = try Database.openConnection(DatabaseLocation(url).forLongWork)
            defer { connection.close() }
            #expect(try setting("statement_timeout", connection) == "0")
            #expect(try setting("idle_in_transaction_session_timeout", connection) == "0")
            #expect(try setting("lock_timeout", connection) == "10s")
            #expect(try setting("work_mem", connection) == (options.isEmpty ? "4MB" : "8MB"))
        }
    }

    @Test("take other limits from their URL, and keep the rest")
    func overriding() throws {
        try withConnection("application_name=me&options=-c%20statement_timeout%3D30s%20-c%20work_mem%3D8MB") { connection throws in
            #expect(try setting("statement_timeout", connection) == "30s")
            #expect(try setting("work_mem", connection) == "8MB")
            #expect(try setting("lock_timeout", connection) == "10s")
            #expect(try setting("application_name", connection) == "me")
        }
    }

    @Test("have libpq's limits before the URL, which has the last word")
    func precedence() throws {
        let keywords = PostgresSettings.parameters("postgres://h/d?tcp_user_timeout=1").map(\.0)
        let url = try #require(keywords.firstIndex(of: "dbname"))
        for keyword in ["connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"] {
            let index = try #require(keywords.firstIndex(of: keyword))
            #expect(index < url)
        }
    }

    @Test("end a statement that takes too long")
    func statementTimeout() throws {
        try withConnection("options=-c%20statement_timeout%3D20ms") { connection throws in
            guard case .busy = databaseError({ _ = try connection.query("SELECT pg_sleep(600)") }) else {
                return #expect(Bool(false), "it slept")
            }
            #expect(try connection.queryOne("SELECT 1") == SQLRow([1]))
        }
    }

    @Test("end the wait for a lock")
    func lockTimeout() throws {
        try withURL("options=-c%20lock_timeout%3D20ms") { url in
            let first = try Database.openConnection(.postgres(url: url))
            let second = try Database.openConnection(.postgres(url: url))
            defer {
                first.close()
                second.close()
            }
            try first.script("CREATE TABLE n (x BIGINT); INSERT INTO n VALUES (0);")
            try first.begin(.write)
            try first.execute("UPDATE n SET x = 1")
            let error = databaseError { try second.execute("UPDATE n SET x = 2") }
            guard case .busy = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(error?.isTransient == true)
            first.rollback()
            #expect(try second.execute("UPDATE n SET x = 2") == 1)
        }
    }

    @Test("end with a transaction that does nothing, and are replaced")
    func idleInTransaction() async throws {
        let database = try TestPostgres.createDatabase()
        defer { database.drop() }
        let url = "\(database.url)?options=-c%20idle_in_transaction_session_timeout%3D20ms"
        let connection = try Database.openConnection(.postgres(url: url))
        let other = try Database.openConnection(database.location)
        defer {
            connection.close()
            other.close()
        }
        try connection.script("CREATE TABLE t (x BIGINT)")
        let process = try connection.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0
        try connection.begin(.write)
        try await eventually("the session's end") {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
            return try other.queryOne(sql, [.integer(process)]) == SQLRow([0])
        }
        guard case .connectionLost = databaseError({ try connection.execute("INSERT INTO t VALUES (1)") }) else {
            return #expect(Bool(false), "it went on")
        }
        connection.rollback()
        #expect(try connection.execute("INSERT INTO t VALUES (1)") == 1)
    }

    @Test("without a limit for migrations")
    func migrations() throws {
        try withConnection("options=-c%20statement_timeout%3D200ms%20-c%20lock_timeout%3D200ms") { connection throws in
            let file = MigrationFile(stream: .postgres, number: 1, name: "0001_slow", sql: "SELECT pg_sleep(0.5);")
            _ = try Migrator(stream: .postgres, files: [file]).migrate(connection)
            #expect(try setting("statement_timeout", connection) == "200ms")
        }
    }

    // MARK: - Errors

    /// SQLSTATE, our name for it, whether to try again.
    private static let table: [(String, String, Bool)] = [
        ("08000", "connectionLost", true), ("08006", "connectionLost", true), ("08007", "commitOutcomeUnknown", false),
        ("08P01", "connectionLost", true), ("0A000", "programming", false), ("21000", "programming", false),
        ("22001", "programming", false), ("22003", "programming", false), ("22012", "programming", false),
        ("22021", "programming", false), ("22P02", "programming", false), ("22P05", "programming", false),
        ("23000", "constraintViolation", false), ("23502", "constraintViolation", false),
        ("23503", "constraintViolation", false), ("23505", "constraintViolation", false),
        ("23514", "constraintViolation", false), ("23P01", "constraintViolation", false), ("25006", "readOnly", false),
        ("25P03", "connectionLost", true), ("26000", "programming", false), ("28000", "unavailable", true),
        ("28P01", "unavailable", true), ("3D000", "unavailable", true), ("3F000", "programming", false),
        ("40000", "serializationFailure", true), ("40001", "serializationFailure", true),
        ("40003", "commitOutcomeUnknown", false), ("40P01", "serializationFailure", true), ("42501", "forbidden", false),
        ("42601", "programming", false), ("42804", "programming", false), ("42P01", "programming", false),
        ("44000", "constraintViolation", false), ("53000", "unavailable", true), ("53100", "diskFull", false),
        ("53200", "unavailable", true), ("53300", "unavailable", true), ("53400", "unavailable", true),
        ("54000", "programming", false), ("55000", "programming", false), ("55006", "busy", true), ("55P03", "busy", true),
        ("57014", "busy", true), ("57P01", "connectionLost", true), ("57P02", "connectionLost", true),
        ("57P03", "unavailable", true), ("57P04", "connectionLost", true), ("57P05", "connectionLost", true),
        ("58000", "unavailable", true), ("58030", "unavailable", true), ("72000", "serializationFailure", true),
        ("F0000", "unavailable", true), ("P0001", "constraintViolation", false), ("XX000", "programming", false),
        ("XX001", "corrupt", false), ("XX002", "corrupt", false),
    ]

    @Test("name each of the server's errors, and go on after it")
    func errors() throws {
        try withConnection("") { connection throws in
            for (state, name, isTransient) in Self.table {
                let error = try #require(
                    databaseError {
                        try connection.script("DO $$ BEGIN RAISE EXCEPTION 'the text' USING ERRCODE = '\(state)'; END $$")
                    })
                #expect(Mirror(reflecting: error).children.first?.label == name, "\(state)")
                #expect(error.isTransient == isTransient, "\(state)")
                #expect(error.detail.contains(state) && error.detail.contains("the text"), "\(error.detail)")
                #expect(!"\(error)".contains("the text"))
                #expect(try connection.queryOne("SELECT 1") == SQLRow([1]))
            }
        }
    }

    @Test("that accept no changes outside of a transaction for reading are left: the server is a standby now")
    func standby() throws {
        try withConnection("") { connection in
            try connection.script("CREATE TABLE t (x BIGINT)")
            let process = try connection.queryOne("SELECT pg_backend_pid()")
            try connection.script("SET default_transaction_read_only = on")
            guard case .readOnly = databaseError({ try connection.execute("INSERT INTO t VALUES (1)") }) else {
                return #expect(Bool(false), "it was written")
            }
            #expect(try connection.queryOne("SELECT pg_backend_pid()") != process)
            #expect(try connection.execute("INSERT INTO t VALUES (1)") == 1)
        }
    }

    @Test("with too few rights say so")
    func rights() throws {
        try withConnection("") { connection in
            let role = "reader_\(try connection.queryOne("SELECT pg_backend_pid()")?.int64(0) ?? 0)"
            try connection.script("CREATE TABLE t (x BIGINT); DROP ROLE IF EXISTS \(role); CREATE ROLE \(role); SET ROLE \(role)")
            guard case .forbidden(let detail) = databaseError({ try connection.execute("INSERT INTO t VALUES (1)") }) else {
                return #expect(Bool(false), "it was written")
            }
            #expect(detail.contains("permission denied for table t"))
            try connection.script("RESET ROLE; DROP ROLE \(role)")
        }
    }
}
