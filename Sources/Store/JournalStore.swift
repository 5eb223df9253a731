public import Database
public import Market
internal import Units

/// The journal in SQL: one blocking connection, confined to the writer's thread.
public final class JournalStore: JournalPort {
    private let connection: any SQLConnection

    public init(_ connection: any SQLConnection) { self.connection = connection }

    /// Always on SQLite, whose folder has a lock. On Postgres the writer's session has an advisory lock, which ends with the
    /// session, and the writer's row tells when it was last seen, which a frozen one is not.
    public func mayTakeOver(hasWaited: Bool) throws(JournalError) -> Bool {
        guard connection.dialect == .postgres else { return true }
        return try wrap {
            let row = try connection.queryOne(
                """
                SELECT pg_try_advisory_lock($1), floor(extract(epoch FROM clock_timestamp() - seen_at))::bigint
                FROM writer WHERE id = 1
                """, [.integer(JournalStore.lockKey)])
            guard let row else { throw DatabaseError.decoding("the writer row is missing") }
            let silence = try row.int64(1)
            if try row.bool(0) {
                if !hasWaited || silence >= JournalStore.secondsToComeBack { return true }
                _ = try connection.query("SELECT pg_advisory_unlock($1)", [.integer(JournalStore.lockKey)])
                return false
            }
            guard silence >= JournalStore.secondsOfSilence else { return false }
            try endSilentSessions()
            return try connection.queryOne("SELECT pg_try_advisory_lock($1)", [.integer(JournalStore.lockKey)])?.bool(0) ?? false
        }
    }

    /// Ends the sessions of a writer that gives no sign of life: the one with the lock, and those within a transaction on
    /// the tables' position, for which whoever takes over would wait.
    private func endSilentSessions() throws {
        _ = try connection.query(
            """
            SELECT pg_terminate_backend(pid, 5000)
            FROM pg_locks
            WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND pid <> pg_backend_pid() AND granted
                AND (
                    \(JournalStore.isWritersLock)
                    OR locktype = 'relation' AND relation IN ('projector'::regclass, 'writer'::regclass)
                        AND mode IN ('RowShareLock', 'RowExclusiveLock')
                )
            """, [.integer(JournalStore.lockKey)])
    }

    /// A row of `pg_locks` is the advisory lock with the key $1.
    private static let isWritersLock = """
        locktype = 'advisory' AND objsubid = 1
            AND classid::bigint = $1::bigint >> 32 AND objid::bigint = $1::bigint & 4294967295
        """
    /// "hashjour" in ASCII.
    private static let lockKey: Int64 = 0x6861_7368_6a6f_7572
    /// After so long without a sign a writer that still has its sessions is frozen. It gives one at least every 2 s.
    private static let secondsOfSilence: Int64 = 10
    /// So long one that lost its sessions may take to have new ones.
    private static let secondsToComeBack: Int64 = 5

    public func takeOver() throws(JournalError) -> WriterPosition {
        try wrap {
            try connection.transaction {
                switch connection.dialect {
                case .sqlite: try connection.execute("UPDATE writer SET epoch = epoch + 1 WHERE id = 1")
                case .postgres:
                    try connection.execute("UPDATE writer SET epoch = epoch + 1, seen_at = clock_timestamp() WHERE id = 1")
                }
                return try readPosition()
            }
        }
    }

    public func signOfLife(_ epoch: Int64) throws(JournalError) -> WriterPosition {
        guard connection.dialect == .postgres else { return try position() }
        return try wrap {
            try connection.execute(
                "UPDATE writer SET seen_at = clock_timestamp() WHERE id = 1 AND epoch = $1", [.integer(epoch)])
            // The lock was lost if the session was.
            _ = try connection.query(
                """
                SELECT pg_try_advisory_lock($1) WHERE NOT EXISTS (
                    SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND \(JournalStore.isWritersLock))
                """, [.integer(JournalStore.lockKey)])
            return try readPosition()
        }
    }

    public func resign(_ epoch: Int64) {
        guard connection.dialect == .postgres else { return }
        _ = try? connection.execute("UPDATE writer SET seen_at = 'epoch' WHERE id = 1 AND epoch = $1", [.integer(epoch)])
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
                UPDATE writer SET last = $1, seen_at = clock_timestamp() WHERE id = 1 AND epoch = $3 AND last = $8
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
