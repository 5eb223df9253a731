import Database
import MigrationFiles
import Testing
import TestSupport

/// What the contract suite runs against.
enum Driver: String, CaseIterable, CustomTestStringConvertible {
    case sqlite
    case postgres

    var testDescription: String { rawValue }

    /// The column type for bytes.
    var blobType: String {
        switch self {
        case .sqlite: "BLOB"
        case .postgres: "BYTEA"
        }
    }

    /// Its migrations.
    var stream: MigrationStream {
        switch self {
        case .sqlite: .sqlite
        case .postgres: .postgres
        }
    }

    /// Lends an empty database.
    func withLocation(_ body: (DatabaseLocation) throws -> Void) throws {
        switch self {
        case .sqlite:
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            try body(.sqlite(path: folder.file("test.sqlite")))
        case .postgres:
            let database = try TestPostgres.createDatabase()
            defer { database.drop() }
            try body(database.location)
        }
    }

    /// Lends a connection to an empty database.
    func withConnection(_ body: (any SQLConnection) throws -> Void) throws {
        try withLocation { location in
            let connection = try Database.openConnection(location)
            defer { connection.close() }
            try body(connection)
        }
    }

    /// Lends a `Database`, empty but for what `schema` makes.
    func withDatabase(
        _ schema: String,
        configuration: Database.Configuration = .init(),
        _ body: (Database) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let postgres: TestDatabase? = self == .postgres ? try TestPostgres.createDatabase() : nil
        defer { postgres?.drop() }
        let location = postgres?.location ?? .sqlite(path: folder.file("test.sqlite"))
        let database = try await Database.open(location, configuration: configuration)
        do {
            try await database.withWriterConnection { try $0.script(schema) }
            try await body(database)
        } catch {
            await database.close()
            throw error
        }
        await database.close()
    }
}

/// The database error that `body` throws, or nil.
func databaseError<T>(_ body: () throws -> T) -> DatabaseError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? DatabaseError
    }
}
