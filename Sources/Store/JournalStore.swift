public import Database
public import Market
internal import Units

/// The journal in SQL: one blocking connection, confined to the writer's thread.
public final class JournalStore: JournalPort {
    private let connection: any SQLConnection

    public init(_ connection: any SQLConnection) { self.connection = connection }

    public func takeOver() throws(JournalError) -> WriterPosition {
        try wrap {
            try connection.transaction {
                try connection.execute("UPDATE writer SET epoch = epoch + 1 WHERE id = 1", [])
                return try readPosition()
            }
        }
    }

    public func position() throws(JournalError) -> WriterPosition { try wrap { try readPosition() } }

    public func append(_ row: JournalRow, after previous: Int64) throws(JournalError) {
        let added: Int = try wrap {
            switch connection.dialect {
            case .sqlite: try connection.transaction { try appendInSteps(row, after: previous) }
            case .postgres: try appendAtOnce(row, after: previous)
            }
        }
        guard added == 1 else { throw .deposed }
    }

    private func appendInSteps(_ row: JournalRow, after previous: Int64) throws -> Int {
        let moved = try connection.execute(
            "UPDATE writer SET last = $1 WHERE id = 1 AND epoch = $2 AND last = $3",
            [.integer(row.last), .integer(row.epoch), .integer(previous)])
        guard moved == 1 else { return moved }
        return try connection.execute(
            """
            INSERT INTO journal (last, first, epoch, rules_version, at, state_hash, body)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """, JournalStore.values(row))
    }

    /// One statement, which is a transaction: one round trip.
    private func appendAtOnce(_ row: JournalRow, after previous: Int64) throws -> Int {
        try connection.execute(
            """
            WITH moved AS (
                UPDATE writer SET last = $1 WHERE id = 1 AND epoch = $3 AND last = $8
                RETURNING id
            )
            INSERT INTO journal (last, first, epoch, rules_version, at, state_hash, body)
            SELECT $1, $2, $3, $4, $5, $6, $7 FROM moved
            """, JournalStore.values(row) + [.integer(previous)])
    }

    private static func values(_ row: JournalRow) -> [SQLValue] {
        [
            .integer(row.last), .integer(row.first), .integer(row.epoch), .integer(row.rulesVersion),
            .integer(row.at.microseconds), .integer(Int64(bitPattern: row.stateHash)), .blob(row.body),
        ]
    }

    public func replay(after position: Int64, _ body: (JournalRow) throws -> Void) throws {
        try connection.forEach(
            """
            SELECT first, last, epoch, rules_version, at, state_hash, body
            FROM journal WHERE last > $1 ORDER BY last
            """, [.integer(position)]
        ) { row in
            try body(JournalRow(
                first: try row.int64(0), last: try row.int64(1), epoch: try row.int64(2),
                rulesVersion: try row.int64(3), at: Timestamp(microseconds: try row.int64(4)),
                stateHash: UInt64(bitPattern: try row.int64(5)), body: try row.blob(6)))
        }
    }

    public func close() { connection.close() }

    private func readPosition() throws -> WriterPosition {
        // On Postgres a commit whose connection was lost may still be under way: the row's lock waits for its end.
        let lock =
            switch connection.dialect {
            case .sqlite: ""
            case .postgres: " FOR UPDATE"
            }
        guard let row = try connection.queryOne("SELECT epoch, last FROM writer WHERE id = 1\(lock)", []) else {
            throw DatabaseError.decoding("the writer row is missing")
        }
        return WriterPosition(epoch: try row.int64(0), last: try row.int64(1))
    }

    private func wrap<T>(_ body: () throws -> T) throws(JournalError) -> T {
        do { return try body() } catch let error as DatabaseError {
            throw .failed("\(error) \(error.detail)")
        } catch {
            throw .failed("\(error)")
        }
    }
}
