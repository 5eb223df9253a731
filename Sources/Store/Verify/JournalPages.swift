internal import Database
internal import Market
internal import Units

/// The journal, read a page at a time: no statement stays open for long beside a running server, and memory is bounded.
struct JournalPages {
    private static let mostRows: Int64 = 256
    private static let mostBytes = 16 << 20

    private struct PageIsFull: Error {}

    /// A row whose columns do not have what belongs into them.
    struct Unreadable: Error {
        /// The last row before it.
        var after: Int64
        var error: DatabaseError
    }

    let connection: any SQLConnection

    func position() throws -> WriterPosition {
        guard let row = try connection.queryOne("SELECT epoch, last FROM writer WHERE id = 1") else {
            throw DatabaseError.decoding("the writer row is missing")
        }
        return WriterPosition(epoch: try row.int64(0), last: try row.int64(1))
    }

    /// The next rows after a position, up to another; none at the end.
    func next(after position: Int64, through end: Int64) throws -> [JournalRow] {
        var rows: [JournalRow] = []
        var bytes = 0
        do {
            try connection.forEach(
                """
                SELECT first, last, epoch, rules_version, at, state_hash, body
                FROM journal WHERE last > $1 AND last <= $2 ORDER BY last LIMIT $3
                """, [.integer(position), .integer(end), .integer(Self.mostRows)]
            ) { columns in
                let row: JournalRow
                do { row = try Self.row(columns) } catch let error as DatabaseError {
                    throw Unreadable(after: rows.last?.last ?? position, error: error)
                }
                rows.append(row)
                bytes += row.body.count
                if bytes > Self.mostBytes { throw PageIsFull() }
            }
        } catch is PageIsFull {} catch let error as Unreadable {
            // First what can be read before it.
            guard rows.isEmpty else { return rows }
            throw error
        }
        return rows
    }

    private static func row(_ row: SQLRow) throws -> JournalRow {
        JournalRow(
            first: try row.int64(0), last: try row.int64(1), epoch: try row.int64(2), rulesVersion: try row.int64(3),
            at: Timestamp(microseconds: try row.int64(4)), stateHash: UInt64(bitPattern: try row.int64(5)),
            body: try row.blob(6))
    }
}
