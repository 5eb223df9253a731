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
    ///
    /// - Parameter version: of the schema; nil is the newest
    public func withStorage(schema version: Int? = nil, _ body: (Storage) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let postgres: TestDatabase? = self == .postgres ? try TestPostgres.createDatabase() : nil
        defer { postgres?.drop() }
        let storage = Storage(
            tables: postgres?.location ?? .sqlite(path: folder.file("market.sqlite")),
            journal: postgres?.location ?? .sqlite(path: folder.file("journal.sqlite")))
        try storage.migrate(to: version)
        try await body(storage)
    }
}

/// Where a market's tables and journal are.
public struct Storage: Sendable {
    public let tables: DatabaseLocation
    public let journal: DatabaseLocation

    public init(tables: DatabaseLocation, journal: DatabaseLocation) {
        self.tables = tables
        self.journal = journal
    }

    /// Applies what is missing, up to a version.
    public func migrate(to version: Int? = nil) throws {
        let streams: [(DatabaseLocation, MigrationStream)] =
            switch tables.dialect {
            case .sqlite: [(tables, .sqlite), (journal, .sqliteJournal)]
            case .postgres: [(tables, .postgres)]
            }
        for (location, stream) in streams {
            let files = MigrationFile.all(of: stream).filter { $0.number <= version ?? .max }
            let connection = try Database.openConnection(location)
            defer { connection.close() }
            _ = try Migrator(stream: stream, files: files).migrate(connection)
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
        switch connection.dialect {
        case .sqlite: try connection.script("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        case .postgres: try connection.script("SET session_replication_role = replica")
        }
        try connection.script(sql)
    }

    /// Removes the triggers that keep rows from being changed, where ``script(_:in:)`` does not silence them.
    public func dropTriggers() throws {
        guard tables.dialect == .sqlite else { return }
        for row in try query("SELECT name FROM sqlite_master WHERE type = 'trigger'") {
            try script("DROP TRIGGER \(try row.text(0))")
        }
    }

    /// The same, for a role that is not the tables' owner.
    public func connecting(as role: String) throws -> Storage {
        func location(_ location: DatabaseLocation) -> DatabaseLocation {
            switch location {
            case .sqlite: location
            case .postgres(let url): .postgres(url: url + "?options=-c%20role%3D\(role)")
            }
        }
        return Storage(tables: location(tables), journal: location(journal))
    }

    /// Those of the fifth and the seventh version, where they are.
    private func fleetTables() throws -> [String] {
        let named = """
            name IN ('farm_logins', 'curtailments', 'cut_rigs', 'blocks', 'transfers', 'payment_references', 'account_freezes', 'ledger_chain')
            """
        let sql =
            switch tables.dialect {
            case .sqlite: "SELECT name FROM sqlite_master WHERE type = 'table' AND \(named) ORDER BY name"
            case .postgres:
                "SELECT CAST(tablename AS TEXT) FROM (SELECT tablename, tablename AS name FROM pg_tables) t WHERE \(named) ORDER BY 1"
            }
        return try query(sql).map { try $0.text(0) }
    }

    /// All rows of all tables that the projector writes, as text.
    public func dump() throws -> [String] {
        let tables = try [
            "projector", "market_state", "pool_targets", "rigs", "orders", "deliveries", "billings", "ledger_balances",
            "ledger_entries", "ledger_postings", "deposits", "answers", "settlement_lines", "farms", "silences",
        ] + fleetTables()
        return try tables.flatMap { table in try query("SELECT * FROM \(table)").map { "\(table) \($0)" }.sorted() }
    }
}
