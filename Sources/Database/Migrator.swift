internal import Crypto
public import MigrationFiles

/// What a migration run did.
public struct MigrationReport: Sendable, Hashable {
    /// The names of what was applied now, in order; empty if all had been.
    public let applied: [String]
    /// The number of the last migration that the database has.
    public let version: Int
}

/// Why a database's schema is not what the program needs. Texts are for operators.
public enum MigrationError: Error, Sendable, Hashable {
    /// The files do not count 1, 2, 3, ...
    case misnumbered(name: String)
    /// The stream is for the other kind of database.
    case wrongDialect(stream: String, dialect: SQLDialect)
    /// The database has a migration that this program does not know: the program is older.
    case databaseIsNewer(database: Int, program: Int)
    /// A migration differs from when it was applied.
    case changed(name: String)
    /// The file or database belongs to another stream.
    case otherStream(found: String, expected: String)
    case failed(name: String, DatabaseError)
    case database(DatabaseError)
}

extension MigrationError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .misnumbered(let name):
            "migration \(name) does not follow the one before it"
        case .wrongDialect(let stream, let dialect):
            "the migrations '\(stream)' are not for a \(dialect.rawValue) database"
        case .databaseIsNewer(let database, let program):
            "the database has schema version \(database), but this program knows only \(program): use a newer program"
        case .changed(let name):
            "migration \(name) is not what was applied to the database: a shipped migration must never change"
        case .otherStream(let found, let expected):
            "the database holds the schema '\(found)', not '\(expected)'"
        case .failed(let name, let error):
            "migration \(name) failed and was rolled back: \(error.detail)"
        case .database(let error):
            "the schema could not be read: \(error.detail)"
        }
    }
}

/// Applies a stream's migrations, forward only, each in one transaction with its entry in
/// `schema_migrations`. Of several at once, one works and the others wait.
public struct Migrator: Sendable {
    private let stream: MigrationStream
    private let files: [MigrationFile]

    /// For the migrations that the program was built with.
    public init(_ stream: MigrationStream) { self.init(stream: stream, files: MigrationFile.all(of: stream)) }

    /// For other files, in order.
    public init(stream: MigrationStream, files: [MigrationFile]) {
        self.stream = stream
        self.files = files
    }

    /// Applies what is missing.
    public func migrate(_ connection: any SQLConnection) throws(MigrationError) -> MigrationReport {
        try check(connection.dialect)
        var applied: [String] = []
        while let name = try applyNext(connection) { applied.append(name) }
        return MigrationReport(applied: applied, version: files.count)
    }

    /// The names of what `migrate` would apply. Changes nothing.
    public func pending(_ connection: any SQLConnection) throws(MigrationError) -> [String] {
        try check(connection.dialect)
        let done = try rewrapping { () throws(DatabaseError) in
            try hasBookkeeping(connection) ? try entries(connection) : []
        }
        return try missing(after: done).map(\.name)
    }
}

extension Migrator {
    /// A row of `schema_migrations`.
    private struct Entry {
        let stream: String
        let number: Int
        let digest: String
    }

    private func check(_ dialect: SQLDialect) throws(MigrationError) {
        let expected: SQLDialect =
            switch stream {
            case .sqlite, .sqliteJournal, .spool: .sqlite
            case .postgres: .postgres
            }
        guard dialect == expected else { throw .wrongDialect(stream: stream.rawValue, dialect: dialect) }
        for (index, file) in files.enumerated() {
            guard file.number == index + 1 else { throw .misnumbered(name: file.name) }
        }
    }

    /// One transaction, begun with the lock that keeps other migrators out.
    /// - Returns: the name of what was applied, or nil if nothing was missing.
    private func applyNext(_ connection: any SQLConnection) throws(MigrationError) -> String? {
        try rewrapping { () throws(DatabaseError) in try connection.begin(.write) }
        do {
            let name = try applyNextLocked(connection)
            try rewrapping { () throws(DatabaseError) in try connection.commit() }
            return name
        } catch {
            connection.rollback()
            throw error
        }
    }

    private func applyNextLocked(_ connection: any SQLConnection) throws(MigrationError) -> String? {
        let done = try rewrapping { () throws(DatabaseError) in
            try lock(connection)
            try makeBookkeeping(connection)
            return try entries(connection)
        }
        guard let file = try missing(after: done).first else { return nil }
        do {
            try connection.script(file.sql)
            try record(file, connection)
        } catch {
            throw .failed(name: file.name, error)
        }
        return file.name
    }

    /// Compares what was applied with the files.
    private func missing(after done: [Entry]) throws(MigrationError) -> ArraySlice<MigrationFile> {
        for entry in done {
            guard entry.stream == stream.rawValue else {
                throw .otherStream(found: entry.stream, expected: stream.rawValue)
            }
        }
        guard done.count <= files.count else {
            throw .databaseIsNewer(database: done.last?.number ?? done.count, program: files.count)
        }
        for (entry, file) in zip(done, files) {
            guard entry.number == file.number, entry.digest == Self.digest(file) else {
                throw .changed(name: file.name)
            }
        }
        return files[done.count...]
    }

    /// SHA-256 in hexadecimal.
    private static func digest(_ file: MigrationFile) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let bytes = SHA256.hash(data: Array(file.sql.utf8)).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func rewrapping<T>(_ body: () throws(DatabaseError) -> T) throws(MigrationError) -> T {
        do { return try body() } catch { throw .database(error) }
    }
}

// MARK: - SQL

extension Migrator {
    /// Postgres: an advisory lock until the transaction's end, "hashspot" in ASCII, however long another migrator has it.
    /// SQLite: BEGIN IMMEDIATE was it.
    private func lock(_ connection: any SQLConnection) throws(DatabaseError) {
        switch connection.dialect {
        case .sqlite: break
        case .postgres:
            try connection.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            _ = try connection.query("SELECT pg_advisory_xact_lock($1)", [0x6861_7368_7370_6f74])
        }
    }

    private func makeBookkeeping(_ connection: any SQLConnection) throws(DatabaseError) {
        guard try !hasBookkeeping(connection) else { return }
        try connection.script(
            """
            CREATE TABLE schema_migrations (
                number     BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
                stream     TEXT   NOT NULL,
                name       TEXT   NOT NULL UNIQUE,
                digest     TEXT   NOT NULL CHECK (length(digest) = 64),
                applied_at TEXT   NOT NULL
            );
            """
        )
    }

    private func hasBookkeeping(_ connection: any SQLConnection) throws(DatabaseError) -> Bool {
        let sql =
            switch connection.dialect {
            case .sqlite: "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
            case .postgres: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
            }
        return try connection.queryOne(sql)?.int64(0) == 1
    }

    private func entries(_ connection: any SQLConnection) throws(DatabaseError) -> [Entry] {
        let rows = try connection.query("SELECT stream, number, digest FROM schema_migrations ORDER BY number")
        var entries: [Entry] = []
        for row in rows { entries.append(Entry(stream: try row.text(0), number: try row.int(1), digest: try row.text(2))) }
        return entries
    }

    private func record(_ file: MigrationFile, _ connection: any SQLConnection) throws(DatabaseError) {
        try connection.execute(
            """
            INSERT INTO schema_migrations (number, stream, name, digest, applied_at)
            VALUES ($1, $2, $3, $4, CAST(CURRENT_TIMESTAMP AS TEXT))
            """,
            [SQLValue(file.number), SQLValue(stream.rawValue), SQLValue(file.name), SQLValue(Self.digest(file))]
        )
    }
}
