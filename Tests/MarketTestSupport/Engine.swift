public import Database
internal import MigrationFiles
public import Store
internal import TestSupport

/// What the contract suites run against.
public enum Engine: String, CaseIterable, Sendable, CustomStringConvertible {
    case sqlite
    case postgres

    public var description: String { rawValue }

    /// Lends a migrated, empty market database.
    public func withStorage(_ body: (Storage) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let postgres: TestDatabase? = self == .postgres ? try TestPostgres.createDatabase() : nil
        defer { postgres?.drop() }
        let storage = Storage(
            tables: postgres?.location ?? .sqlite(path: folder.file("market.sqlite")),
            journal: postgres?.location ?? .sqlite(path: folder.file("journal.sqlite")))
        try await storage.migrate()
        try await body(storage)
    }
}

/// Where a market's tables and journal are.
public struct Storage: Sendable {
    public let tables: DatabaseLocation
    public let journal: DatabaseLocation

    func migrate() async throws {
        switch tables.dialect {
        case .sqlite:
            for (location, stream) in [(tables, MigrationStream.sqlite), (journal, .sqliteJournal)] {
                let database = try await Database.open(location)
                _ = try await database.migrate(stream)
                await database.close()
            }
        case .postgres:
            let database = try await Database.open(tables)
            _ = try await database.migrate(.postgres)
            await database.close()
        }
    }

    /// The journal over a connection of its own.
    public func openJournal() throws -> sending JournalStore { JournalStore(try Database.openConnection(journal)) }

    /// Lends the tables' database.
    public func withTables<T>(_ body: (Database) async throws -> T) async throws -> T {
        let database = try await Database.open(tables)
        do {
            let result = try await body(database)
            await database.close()
            return result
        } catch {
            await database.close()
            throw error
        }
    }

    /// Looks into a database from outside.
    public func query(_ sql: String, in location: DatabaseLocation? = nil) throws -> [SQLRow] {
        let connection = try Database.openConnection(location ?? tables)
        defer { connection.close() }
        return try connection.query(sql)
    }

    /// Runs statements from outside, constraints off where the engine can.
    public func script(_ sql: String, in location: DatabaseLocation? = nil) throws {
        let connection = try Database.openConnection(location ?? tables)
        defer { connection.close() }
        if connection.dialect == .sqlite { try connection.script("PRAGMA ignore_check_constraints = ON") }
        try connection.script(sql)
    }

    /// All rows of all tables that the projector writes, as text.
    public func dump() throws -> [String] {
        let tables = [
            "projector", "market_state", "pool_targets", "rigs", "orders", "deliveries", "billings", "ledger_balances",
            "ledger_entries", "ledger_postings", "deposits", "answers", "settlement_lines",
        ]
        return try tables.flatMap { table in try query("SELECT * FROM \(table)").map { "\(table) \($0)" }.sorted() }
    }
}
