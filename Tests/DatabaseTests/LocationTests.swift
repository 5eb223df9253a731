import Database
import Foundation
import TestSupport
import Testing

@Suite("Locations")
struct LocationTests {
    @Test("are read from text")
    func parsing() throws {
        #expect(try DatabaseLocation("/var/lib/x.sqlite") == .sqlite(path: "/var/lib/x.sqlite"))
        #expect(try DatabaseLocation("sqlite:x.sqlite") == .sqlite(path: "x.sqlite"))
        #expect(try DatabaseLocation("postgres://h/d") == .postgres(url: "postgres://h/d"))
        #expect(try DatabaseLocation("postgresql://h/d").dialect == .postgres)
    }

    @Test(
        "that mean nothing are refused, and the text names no password",
        arguments: ["", "sqlite:", "mysql://u:secret@h/d", "postgres://u:secret@[h/d", "postgres://h/d?nonsense=secret", "a\0b"]
    )
    func refused(_ text: String) throws {
        let error = try #require(databaseError { _ = try DatabaseLocation(text) })
        guard case .invalidLocation(let detail) = error else { return #expect(Bool(false), "\(error)") }
        #expect(!detail.isEmpty)
        #expect(!detail.contains("secret"))
    }

    @Test("hide their password")
    func redaction() throws {
        let location = try DatabaseLocation("postgres://me:secret@h:5432/d?password=secret")
        #expect("\(location)" == "postgres://me@h:5432/d")
        #expect(!String(reflecting: location).contains("secret"))
    }

    @Test("where nobody listens are unavailable, soon")
    func nobodyListens() throws {
        let error = databaseError { _ = try Database.openConnection(.postgres(url: "postgres://postgres@127.0.0.1:1/x")) }
        guard case .unavailable(let detail) = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(!detail.isEmpty)
        #expect(error?.isTransient == true)
    }

    @Test("of a database that is not there are unavailable")
    func noSuchDatabase() throws {
        var url = try #require(URLComponents(string: try TestPostgres.serverURL()))
        url.path = "/no_such_database"
        let location = DatabaseLocation.postgres(url: try #require(url.string))
        guard case .unavailable = databaseError({ _ = try Database.openConnection(location) }) else {
            return #expect(Bool(false), "it opened")
        }
    }

    @Test("in no folder, in a file, or of a folder say what is wrong")
    func noFolder() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try Data("x".utf8).write(to: URL(fileURLWithPath: folder.file("file")))
        for name in ["missing/x.sqlite", "file/x.sqlite"] {
            let path = folder.file(name)
            let error = databaseError { _ = try Database.openConnection(.sqlite(path: path)) }
            guard case .unavailable(let detail) = error else { return #expect(Bool(false), "\(String(describing: error))") }
            #expect(detail.contains("there is no folder"))
            await #expect(throws: DatabaseError.self) { try await Database.open(.sqlite(path: path)) }
        }
        guard case .unavailable = databaseError({ _ = try Database.openConnection(.sqlite(path: folder.path)) }) else {
            return #expect(Bool(false), "a folder opened")
        }
    }

    @Test("that are not writable are unavailable", .enabled(if: getuid() != 0, "root writes everywhere"))
    func notWritable() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: folder.path)
        guard case .unavailable = databaseError({ _ = try Database.openConnection(.sqlite(path: folder.file("x"))) })
        else { return #expect(Bool(false), "it opened") }
    }

    @Test("of a file that is something else are corrupt")
    func notADatabase() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.file("x.sqlite")
        try Data(repeating: 0x41, count: 8192).write(to: URL(fileURLWithPath: path))
        guard case .corrupt = databaseError({ _ = try Database.openConnection(.sqlite(path: path)) }) else {
            return #expect(Bool(false), "it opened")
        }
    }

    @Test("of a damaged file are corrupt when checked")
    func damaged() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.file("x.sqlite")
        let connection = try Database.openConnection(.sqlite(path: path))
        try connection.script("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        let rows = (1...5_000).map { [SQLValue($0), SQLValue("a row of some length, number \($0)")] }
        try connection.executeMany("INSERT INTO t VALUES ($1, $2)", rows: rows)
        connection.close()

        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for offset in 12_288..<20_480 { bytes[offset] = 0x5a }
        try bytes.write(to: URL(fileURLWithPath: path))
        guard case .corrupt = databaseError({ _ = try Database.openConnection(.sqlite(path: path), checksIntegrity: true) })
        else { return #expect(Bool(false), "it opened") }
    }

    @Test("in SQLite have a write-ahead log, full syncs and foreign keys")
    func settings() throws {
        try Driver.sqlite.withConnection { connection throws in
            #expect(try connection.queryOne("PRAGMA journal_mode") == SQLRow(["wal"]))
            #expect(try connection.queryOne("PRAGMA synchronous") == SQLRow([2]))
            #expect(try connection.queryOne("PRAGMA foreign_keys") == SQLRow([1]))
            #expect(try connection.queryOne("PRAGMA busy_timeout") == SQLRow([5_000]))
        }
    }
}
