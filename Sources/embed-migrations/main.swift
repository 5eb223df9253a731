// Writes a Swift file that carries every migration of the four streams as string literals, so that
// the program needs no folder beside it. Run by the EmbedMigrations plugin.
//
// usage: embed-migrations OUTPUT.swift STREAM/NNNN_name.sql ...
import Foundation

/// One SQL file, as its path tells: `<stream>/<NNNN>_<name>.sql`.
struct MigrationSource {
    let stream: String
    let number: Int
    let name: String
    let sql: String

    init?(path: String) throws {
        let url = URL(fileURLWithPath: path)
        let stem = url.deletingPathExtension().lastPathComponent
        let parts = stem.split(separator: "_", maxSplits: 1)
        guard url.pathExtension == "sql", parts.count == 2, parts[0].count == 4, let number = Int(parts[0]) else {
            return nil
        }
        self.stream = url.deletingLastPathComponent().lastPathComponent
        self.number = number
        self.name = stem
        self.sql = try String(contentsOf: url, encoding: .utf8)
    }

    /// The Swift expression that makes it again.
    var swift: String {
        "    .init(stream: \(literal(stream)), number: \(number), name: \(literal(name)), sql: \(literal(sql))),\n"
    }

    private func literal(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(1)
}

guard CommandLine.arguments.count >= 2 else { fail("usage: embed-migrations OUTPUT.swift FILE.sql ...") }
var output = "/// Every migration that the program was built with.\nlet embeddedMigrations: [EmbeddedMigration] = [\n"
for path in CommandLine.arguments.dropFirst(2).sorted() {
    do {
        guard let source = try MigrationSource(path: path) else {
            fail("\(path): a migration is named NNNN_name.sql")
        }
        output += source.swift
    } catch {
        fail("\(path): \(error)")
    }
}
output += "]\n"
do {
    try output.write(toFile: CommandLine.arguments[1], atomically: true, encoding: .utf8)
} catch {
    fail("\(CommandLine.arguments[1]): \(error)")
}
