internal import Database
internal import Routing
internal import Units

/// Whose copy of the feed a folder has, and how far it has come.
public struct EdgeCopyHeader: Hashable, Sendable {
    public var edge: Int64
    public var name: String
    /// The secret by which the database knows the name's holder.
    public var holder: [UInt8]
    public var mark: EdgeFeedMark
    public var rules: EdgeRules?

    public init(edge: Int64, name: String, holder: [UInt8], mark: EdgeFeedMark, rules: EdgeRules?) {
        self.edge = edge
        self.name = name
        self.holder = holder
        self.mark = mark
        self.rules = rules
    }
}

/// An edge's copy of the feed in an SQLite file, from which it can start while the database is away.
public struct EdgeCopy: Sendable {
    private let database: Database

    /// Opens the file, or makes it.
    public init(path: String) async throws {
        database = try await Database.open(.sqlite(path: path), configuration: .init(readers: 1, checksIntegrity: true))
        do {
            try await database.withWriterConnection { try $0.script(EdgeCopy.schema) }
        } catch {
            await database.close()
            throw error
        }
    }

    public func close() async { await database.close() }

    /// nil in a new file.
    public func header() async throws -> EdgeCopyHeader? {
        try await database.read { connection in
            let row = try connection.queryOne(
                """
                SELECT edge, name, holder, serial, position, \(EdgeFeedSQL.ruleColumns.joined(separator: ", ")) FROM header
                """)
            guard let row else { return nil }
            return EdgeCopyHeader(
                edge: try row.int64(0), name: try row.text(1), holder: try row.blob(2),
                mark: EdgeFeedMark(serial: try row.int64(3), position: try row.int64(4)),
                rules: try EdgeFeedSQL.rules(row, at: 5))
        }
    }

    /// All that was saved.
    public func content() async throws -> EdgeChanges {
        try await database.read { try EdgeFeedSQL.changes(after: -1, $0) }
    }

    /// Keeps changes, with the header as it is after them.
    ///
    /// - Parameter replacing: whether they are all that there is
    public func save(_ changes: EdgeChanges, _ header: EdgeCopyHeader, replacing: Bool = false) async throws {
        let serial = header.mark.serial
        try await database.write { connection in
            if replacing {
                for table in ["edge_rigs", "edge_farms", "edge_pools", "edge_routes"] { try connection.execute("DELETE FROM \(table)") }
            }
            for row in changes.rigs {
                try connection.execute(EdgeCopy.replace("edge_rigs", EdgeFeedSQL.rigColumns), EdgeFeedSQL.values(row, serial: serial))
            }
            for row in changes.farms {
                try connection.execute(
                    EdgeCopy.replace("edge_farms", EdgeFeedSQL.farmColumns), EdgeFeedSQL.values(row, serial: serial))
            }
            for row in changes.pools {
                try connection.execute(
                    EdgeCopy.replace("edge_pools", EdgeFeedSQL.poolColumns), EdgeFeedSQL.values(row, serial: serial))
            }
            for row in changes.routes {
                try connection.execute(
                    EdgeCopy.replace("edge_routes", EdgeFeedSQL.routeColumns), EdgeFeedSQL.values(row, serial: serial))
            }
            try connection.execute(
                """
                INSERT OR REPLACE INTO header (
                    id, edge, name, holder, serial, position, \(EdgeFeedSQL.ruleColumns.joined(separator: ", ")))
                VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                [
                    .integer(header.edge), .text(header.name), .blob(header.holder), .integer(serial),
                    .integer(header.mark.position),
                ] + EdgeFeedSQL.values(header.rules))
        }
    }

    private static func replace(_ table: String, _ columns: [String]) -> String {
        """
        INSERT OR REPLACE INTO \(table) (\(columns.joined(separator: ", ")))
        VALUES (\(columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")))
        """
    }

    /// Nothing here is the only copy: a file that cannot be used may be removed while the database can be reached.
    private static let schema = """
        CREATE TABLE IF NOT EXISTS header (
            id INTEGER PRIMARY KEY CHECK (id = 1), edge INTEGER NOT NULL, name TEXT NOT NULL, holder BLOB NOT NULL,
            serial INTEGER NOT NULL, position INTEGER NOT NULL, minimum_difficulty INTEGER, start_difficulty INTEGER,
            share_interval INTEGER, algorithm TEXT, term INTEGER);
        CREATE TABLE IF NOT EXISTS edge_rigs (
            rig INTEGER PRIMARY KEY, serial INTEGER NOT NULL, stratum_user TEXT NOT NULL, password_digest BLOB NOT NULL,
            fallback INTEGER NOT NULL, owner INTEGER, is_curtailed INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS edge_farms (
            farm INTEGER PRIMARY KEY, serial INTEGER NOT NULL, stratum_user TEXT NOT NULL, password_digest BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS edge_pools (
            target INTEGER PRIMARY KEY, serial INTEGER NOT NULL, url TEXT NOT NULL, pool_user TEXT NOT NULL,
            pool_password TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS edge_routes (
            rig INTEGER PRIMARY KEY, serial INTEGER NOT NULL, position INTEGER NOT NULL, routes TEXT NOT NULL,
            unsold INTEGER NOT NULL);
        """
}
