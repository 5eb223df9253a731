public import Foundation
import Database

/// A small market as the second version left it: `Tests/Golden/market-2.sql`.
public enum StoredVersionTwo {
    public static let schema = 2
    public static let separator = "-- The journal.\n"
    public static let url = URL(filePath: #filePath).appending(path: "../../Golden/market-2.sql").standardizedFileURL

    /// Into empty databases of its schema.
    public static func load(into storage: Storage) throws {
        let parts = try String(contentsOf: url, encoding: .utf8).components(separatedBy: separator)
        precondition(parts.count == 2, "a dump has tables and a journal")
        try storage.script("DELETE FROM projector;\n" + text(parts[0], storage.tables), in: storage.tables)
        try storage.script("DELETE FROM writer;\n" + text(parts[1], storage.journal), in: storage.journal)
    }

    /// Blobs are written as `X'..'`, which Postgres has for bits.
    private static func text(_ sql: String, _ location: DatabaseLocation) -> String {
        switch location.dialect {
        case .sqlite: sql
        case .postgres: sql.replacing("X'", with: "'\\x")
        }
    }
}
