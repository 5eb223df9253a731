import Database
import MigrationFiles
import TestSupport
import Testing

@Suite("Migrations")
struct MigrationTests {
    private func files(_ driver: Driver, _ scripts: [String]) -> [MigrationFile] {
        scripts.enumerated().map { index, sql in
            MigrationFile(stream: driver.stream, number: index + 1, name: "000\(index + 1)_step", sql: sql)
        }
    }

    private func migrator(_ driver: Driver, _ scripts: [String]) -> Migrator {
        Migrator(stream: driver.stream, files: files(driver, scripts))
    }

    private let scripts = ["CREATE TABLE a (x BIGINT); CREATE TABLE b (x BIGINT);", "INSERT INTO a VALUES (1);"]

    private func migrationError(_ body: () throws -> Void) -> MigrationError? {
        do {
            try body()
            return nil
        } catch { return error as? MigrationError }
    }

    @Test("are in the program", arguments: MigrationStream.allCases)
    func embedded(_ stream: MigrationStream) {
        let files = MigrationFile.all(of: stream)
        #expect(files.first?.name == "0001_initial")
        #expect(files.map(\.number) == Array(1...files.count))
        #expect(files.allSatisfy { !$0.sql.isEmpty })
    }

    @Test("of the program apply", arguments: Driver.allCases)
    func shipped(_ driver: Driver) async throws {
        try await driver.withDatabase("") { database in
            let report = try await database.migrate(driver.stream)
            #expect(report.applied == MigrationFile.all(of: driver.stream).map(\.name))
            #expect(try await database.migrate(driver.stream).applied.isEmpty)
        }
    }

    @Test("of the program's other SQLite streams apply", arguments: [MigrationStream.sqliteJournal, .spool])
    func shippedSQLite(_ stream: MigrationStream) throws {
        try Driver.sqlite.withConnection { connection throws in
            #expect(try Migrator(stream).migrate(connection).version == MigrationFile.all(of: stream).count)
        }
    }

    @Test("are applied once, in order", arguments: Driver.allCases)
    func appliedOnce(_ driver: Driver) throws {
        try driver.withConnection { connection in
            let migrator = migrator(driver, scripts)
            #expect(try migrator.pending(connection) == ["0001_step", "0002_step"])
            let report = try migrator.migrate(connection)
            #expect(report.applied == ["0001_step", "0002_step"])
            #expect(report.version == 2)
            #expect(try migrator.pending(connection) == [])
            #expect(try migrator.migrate(connection).applied == [])
            #expect(try connection.queryOne("SELECT count(*) FROM a") == SQLRow([1]))
        }
    }

    @Test("that come later are added", arguments: Driver.allCases)
    func added(_ driver: Driver) throws {
        try driver.withConnection { connection in
            _ = try migrator(driver, scripts).migrate(connection)
            let report = try migrator(driver, scripts + ["DROP TABLE b;"]).migrate(connection)
            #expect(report.applied == ["0003_step"])
        }
    }

    @Test("that changed are refused", arguments: Driver.allCases)
    func changed(_ driver: Driver) throws {
        try driver.withConnection { connection in
            _ = try migrator(driver, scripts).migrate(connection)
            let other = migrator(driver, [scripts[0] + " ", scripts[1]])
            #expect(migrationError { _ = try other.migrate(connection) } == .changed(name: "0001_step"))
            #expect(migrationError { _ = try other.pending(connection) } == .changed(name: "0001_step"))
        }
    }

    @Test("that the program does not know are refused", arguments: Driver.allCases)
    func newer(_ driver: Driver) throws {
        try driver.withConnection { connection in
            _ = try migrator(driver, scripts).migrate(connection)
            let older = migrator(driver, [scripts[0]])
            #expect(migrationError { _ = try older.migrate(connection) } == .databaseIsNewer(database: 2, program: 1))
        }
    }

    @Test("that fail leave nothing", arguments: Driver.allCases)
    func failing(_ driver: Driver) throws {
        try driver.withConnection { connection throws in
            let bad = migrator(driver, [scripts[0], "CREATE TABLE c (x BIGINT); SELEKT;"])
            guard case .failed(name: "0002_step", _) = migrationError({ _ = try bad.migrate(connection) }) else {
                return #expect(Bool(false), "it did not fail")
            }
            #expect(databaseError { _ = try connection.query("SELECT * FROM c") } != nil)
            #expect(try migrator(driver, scripts).migrate(connection).applied == ["0002_step"])
        }
    }

    @Test("have no gaps, and a dialect")
    func misuse() throws {
        try Driver.sqlite.withConnection { connection in
            let gap = Migrator(stream: .sqlite, files: [MigrationFile(stream: .sqlite, number: 2, name: "0002_x", sql: "")])
            #expect(migrationError { _ = try gap.migrate(connection) } == .misnumbered(name: "0002_x"))
            #expect(
                migrationError { _ = try Migrator(.postgres).migrate(connection) }
                    == .wrongDialect(stream: "postgres", dialect: .sqlite)
            )
            _ = try Migrator(.spool).migrate(connection)
            #expect(
                migrationError { _ = try Migrator(.sqliteJournal).migrate(connection) }
                    == .otherStream(found: "spool", expected: "sqlite-journal")
            )
        }
    }

    @Test("run by several at once are applied once", arguments: Driver.allCases)
    func concurrent(_ driver: Driver) async throws {
        let database = try driver == .postgres ? TestPostgres.createDatabase() : nil
        defer { database?.drop() }
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let location = database?.location ?? .sqlite(path: folder.file("x.sqlite"))
        let migrator = migrator(driver, scripts)
        let applied = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let database = try await Database.open(location)
                    let report = try await database.withWriterConnection { try migrator.migrate($0) }
                    await database.close()
                    return report.applied
                }
            }
            return try await group.reduce([], +)
        }
        #expect(applied.sorted() == ["0001_step", "0002_step"])
    }
}
