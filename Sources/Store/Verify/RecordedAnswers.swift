internal import BinaryCoding
internal import Database
internal import Exchange
internal import Units

/// The table of answers, compared with what the journal says.
///
/// Its rows are found by account and key: a key may be used again when its answer has been forgotten, which replaces the row.
struct RecordedAnswers {
    private static let batchSize = 100
    private static let table = "answers"

    private let connection: any SQLConnection
    private var waiting: [SQLRow] = []
    private var digest = RowDigest()
    /// Rows that a later answer of the same key has replaced.
    private var replaced: Int64 = 0
    private var expected: Int64 = 0

    init(_ connection: any SQLConnection) { self.connection = connection }

    mutating func expect(_ key: AnswerKey, _ answer: RecordedAnswer, _ findings: inout FindingList) throws {
        let row = SQLRow([
            .integer(key.account.rawValue), .text(key.key), .integer(answer.number), .blob(answer.digest),
            .blob(RecordedAnswers.bytes(answer.outcome)),
        ])
        digest.add(row)
        expected += 1
        waiting.append(row)
        if waiting.count == Self.batchSize { try flush(&findings) }
    }

    /// - Parameter bound: the number of the first answer that is not in the tables
    mutating func end(before bound: Int64, _ findings: inout FindingList) throws {
        try flush(&findings)
        let found = try connection.queryOne("SELECT count(*) FROM answers WHERE number < $1", [.integer(bound)])?.int64(0) ?? 0
        guard found > expected - replaced else { return }
        findings.add(StorageFinding(
            "table.rowUnexpected", Self.table, expected: "\(expected - replaced)", found: "\(found)",
            "answers: \(found) rows, the journal has \(expected - replaced)"))
    }

    func tableDigest() -> TableDigest { digest.of(Self.table) }

    private mutating func flush(_ findings: inout FindingList) throws {
        guard !waiting.isEmpty else { return }
        let places = waiting.indices.map { "(CAST($\($0 * 2 + 1) AS BIGINT), CAST($\($0 * 2 + 2) AS TEXT))" }.joined(separator: ", ")
        let rows = try connection.query(
            "SELECT account, key, number, digest, outcome FROM answers WHERE (account, key) IN (VALUES \(places))",
            waiting.flatMap { [$0[0], $0[1]] })
        let found = Dictionary(rows.map { ([$0[0], $0[1]], $0) }) { $1 }
        for row in waiting { try compare(row, found[[row[0], row[1]]], &findings) }
        waiting.removeAll(keepingCapacity: true)
    }

    private mutating func compare(_ row: SQLRow, _ found: SQLRow?, _ findings: inout FindingList) throws {
        guard found != row else { return }
        let name = "answers \(try row.int64(0))/\(try row.text(1))"
        guard let found else {
            findings.add(StorageFinding(
                "table.rowMissing", name, expected: "number \(try row.int64(2))", "\(name) is missing"))
            return
        }
        if let number = try? found.int64(2), number > (try row.int64(2)) {
            replaced += 1
            return
        }
        let columns = ["account", "key", "number", "digest", "outcome"]
        let places = columns.indices.filter { row[$0] != found[$0] }.map { columns[$0] }.joined(separator: ", ")
        findings.add(StorageFinding(
            "table.rowDiffers", name, expected: "\(row)", found: "\(found)", "\(name): differs in \(places)"))
    }

    private static func bytes(_ outcome: Outcome) -> [UInt8] {
        var writer = BinaryWriter()
        outcome.encode(into: &writer)
        return writer.bytes
    }
}
