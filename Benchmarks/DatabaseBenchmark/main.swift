// Measures commits and bulk inserts per second.
// usage: DatabaseBenchmark LOCATION ...   (SQLite files or Postgres URLs; makes and drops a table `bench`)
import Database

func measure(_ name: String, _ count: Int, _ body: () throws -> Void) rethrows {
    let duration = try ContinuousClock().measure { try body() }
    let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    print("  \(name): \(Int(Double(count) / seconds))/s")
}

func run(_ location: DatabaseLocation) throws {
    print("\(location)")
    let connection = try Database.openConnection(location)
    defer { connection.close() }
    let blob = connection.dialect == .sqlite ? "BLOB" : "BYTEA"
    try connection.script("DROP TABLE IF EXISTS bench; CREATE TABLE bench (id BIGINT PRIMARY KEY, x BIGINT, b \(blob));")
    let insert = "INSERT INTO bench VALUES ($1, $2, $3)"
    let payload = SQLValue([UInt8](repeating: 7, count: 200))

    let commits = 3_000
    try measure("one-row statements, committed each", commits) {
        for id in 0..<commits { try connection.execute(insert, [SQLValue(id), 1, payload]) }
    }
    try measure("one-row transactions", commits) {
        for id in commits..<2 * commits {
            try connection.transaction { try connection.execute(insert, [SQLValue(id), 1, payload]) }
        }
    }
    let many = 200_000
    let rows = (0..<many).map { [SQLValue(1_000_000 + $0), SQLValue($0), payload] }
    try measure("executeMany, rows", many) { try connection.executeMany(insert, rows: rows) }
    let queries = 20_000
    try measure("point queries", queries) {
        for id in 0..<queries {
            _ = try connection.queryOne("SELECT x, b FROM bench WHERE id = $1", [SQLValue(1_000_000 + id)])
        }
    }
    var seen = 0
    try measure("forEach, rows", many + 2 * commits) {
        try connection.forEach("SELECT id, x, b FROM bench") { _ in seen += 1 }
    }
    try connection.script("DROP TABLE bench")
}

for text in CommandLine.arguments.dropFirst() { try run(DatabaseLocation(text)) }
