/// A history of schema changes with a numbering of its own, kept in the folder of its name.
public enum MigrationStream: String, Sendable, Hashable, CaseIterable {
    /// Tables of the embedded default.
    case sqlite
    /// The journal of the embedded default, a file of its own.
    case sqliteJournal = "sqlite-journal"
    /// Journal and tables in one Postgres database.
    case postgres
    /// An edge's spool of verdicts.
    case spool
}

/// One forward step of a schema, `NNNN_name.sql`. Once shipped it never changes.
public struct MigrationFile: Sendable, Hashable {
    public let stream: MigrationStream
    /// 1 and up, without gaps.
    public let number: Int
    /// The file's name without its extension, such as `0001_initial`.
    public let name: String
    public let sql: String

    public init(stream: MigrationStream, number: Int, name: String, sql: String) {
        self.stream = stream
        self.number = number
        self.name = name
        self.sql = sql
    }

    /// What the program was built with, in order.
    public static func all(of stream: MigrationStream) -> [MigrationFile] {
        embeddedMigrations
            .filter { $0.stream == stream.rawValue }
            .map { MigrationFile(stream: stream, number: $0.number, name: $0.name, sql: $0.sql) }
            .sorted { $0.number < $1.number }
    }
}

/// The shape in which the build embeds a file.
struct EmbeddedMigration: Sendable {
    let stream: String
    let number: Int
    let name: String
    let sql: String
}
