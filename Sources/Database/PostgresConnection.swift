internal import CPostgres

/// A Postgres session over libpq, blocking. Values travel in binary; parameter types are the ones that
/// the server inferred when the statement was prepared. A lost session is replaced at the next use
/// outside of a transaction (see ``ConnectionBackoff`` for when that fails); nothing is repeated silently.
final class PostgresConnection: SQLConnection {
    private let url: String
    private(set) var session: OpaquePointer?
    /// For replacing a lost session.
    private var backoff = ConnectionBackoff()
    private var statements = StatementCache<PostgresStatement>()
    private var statementsPrepared = 0
    /// Of tables that rows went to in bulk, by table and columns.
    var layouts = StatementCache<PostgresLayout>()
    var state = ConnectionState()
    private let parameters = PostgresParameters()
    /// For rows in bulk.
    let buffer = PostgresBuffer()

    /// Statements sent between two synchronisations of a pipeline.
    private static let pipelineLength = 512

    var dialect: SQLDialect { .postgres }
    var isInTransaction: Bool { state.isInTransaction }

    init(url: String) throws(DatabaseError) {
        self.url = url
        session = try Self.connect(url)
    }

    deinit {
        // The socket is all that is left when an owner forgets to close.
        if let session { PQfinish(session) }
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> [SQLRow] {
        try state.checkStatement()
        return try guarding { session throws(DatabaseError) in
            let result = try run(sql, parameters, session)
            return try result.rows()
        }
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(DatabaseError) -> Int {
        try state.checkStatement()
        return try guarding { session throws(DatabaseError) in
            try run(sql, parameters, session).affected
        }
    }

    @discardableResult
    func executeMany(_ sql: String, rows: SQLRows) throws(DatabaseError) -> Int {
        try state.checkStatement()
        guard !rows.isEmpty else { return 0 }
        return try atomically { () throws(DatabaseError) in
            try guarding { session throws(DatabaseError) in
                let statement = try prepared(sql, session)
                var affected = 0
                for start in stride(from: 0, to: rows.count, by: Self.pipelineLength) {
                    let chunk = start..<min(start + Self.pipelineLength, rows.count)
                    affected += try pipeline(statement, rows, chunk, session)
                }
                return affected
            }
        }
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (SQLRow) throws -> Void) throws {
        try state.checkStatement()
        state.isStreaming = true
        defer { state.isStreaming = false }
        var refusal: (any Error)?
        try guarding { session throws(DatabaseError) in
            try stream(sql, parameters, session) { row in
                do { try body(row) } catch { refusal = error }
                return refusal == nil
            }
        }
        if let refusal { throw refusal }
    }

    func script(_ sql: String) throws(DatabaseError) {
        try state.checkStatement()
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        // It may change tables.
        _ = layouts.removeAll()
        try guarding { session throws(DatabaseError) in try check(PQexec(session, sql), session) }
    }

    func begin(_ mode: TransactionMode) throws(DatabaseError) {
        try state.checkBegin()
        let sql =
            switch mode {
            case .write: "BEGIN"
            case .read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            }
        try guarding { session throws(DatabaseError) in try check(PQexec(session, sql), session) }
        state.began(mode)
    }

    func commit() throws(DatabaseError) {
        try state.checkCommit()
        let mayHaveWritten = state.mode == .write
        do {
            try guarding { session throws(DatabaseError) in
                let result = try check(PQexec(session, "COMMIT"), session)
                // A failed transaction answers COMMIT with ROLLBACK, without an error.
                guard result.tag == "COMMIT" else { throw Misuse.doomed }
            }
        } catch .connectionLost(let detail) where mayHaveWritten {
            throw .commitOutcomeUnknown(detail: detail)
        }
        state.ended()
    }

    func rollback() {
        guard state.isInTransaction else { return }
        state.ended()
        guard let session else { return }
        let result = PostgresResult(PQexec(session, "ROLLBACK"))
        if result.status != PGRES_COMMAND_OK { drop() }
    }

    func close() {
        guard !state.isClosed else { return }
        rollback()
        state.closed()
        drop()
    }
}

// MARK: - The session

extension PostgresConnection {
    private static func connect(_ url: String) throws(DatabaseError) -> OpaquePointer {
        let parameters = PostgresSettings.parameters(url)
        let keywords = CStringArray(parameters.map(\.0))
        let values = CStringArray(parameters.map(\.1))
        guard let session = PQconnectdbParams(keywords.pointers, values.pointers, 1) else {
            throw .unavailable(detail: "out of memory")
        }
        guard PQstatus(session) == CONNECTION_OK else {
            let detail = message(of: session)
            PQfinish(session)
            throw .unavailable(detail: detail)
        }
        // Notices would go to standard error.
        PQsetNoticeProcessor(session, { _, _ in }, nil)
        return session
    }

    /// Lends the session to `body`, connecting if it was lost. What `body` throws dooms the transaction.
    func guarding<T>(
        _ body: (OpaquePointer) throws(DatabaseError) -> T
    ) throws(DatabaseError) -> T {
        do {
            return try body(try liveSession())
        } catch {
            state.failed()
            if let session, PQstatus(session) == CONNECTION_BAD { drop() }
            throw error
        }
    }

    private func liveSession() throws(DatabaseError) -> OpaquePointer {
        if let session { return session }
        guard !state.isInTransaction else { throw .connectionLost(detail: "lost earlier in the transaction") }
        let session = try backoff.attempt { () throws(DatabaseError) in try Self.connect(url) }
        self.session = session
        return session
    }

    private func drop() {
        if let session { PQfinish(session) }
        session = nil
        _ = statements.removeAll()
        _ = layouts.removeAll()
    }

    private static func message(of session: OpaquePointer) -> String {
        let text = PQerrorMessage(session).map { String(cString: $0) } ?? ""
        return text.isEmpty ? "no message" : text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    @discardableResult
    private func check(_ pointer: OpaquePointer?, _ session: OpaquePointer) throws(DatabaseError) -> PostgresResult {
        let result = PostgresResult(pointer)
        guard result.isFailure else { return result }
        throw error(result, session)
    }

    func error(_ result: borrowing PostgresResult, _ session: OpaquePointer) -> DatabaseError {
        guard PQstatus(session) == CONNECTION_OK else {
            return .connectionLost(detail: Self.message(of: session))
        }
        guard let state = result.sqlState else { return .unavailable(detail: Self.message(of: session)) }
        let error = DatabaseError.postgres(sqlState: state, detail: result.message)
        if isLastOfSession(error) { drop() }
        return error
    }

    /// The server said that it is going, which libpq will notice at the next use only; or that it accepts no changes
    /// outside of a transaction for reading: it has become a standby, and the URL may name another that does.
    private func isLastOfSession(_ error: DatabaseError) -> Bool {
        switch error {
        case .connectionLost, .commitOutcomeUnknown: true
        case .readOnly: !self.state.isReading
        case .constraintViolation, .serializationFailure, .busy, .unavailable, .forbidden, .diskFull, .corrupt, .programming,
            .decoding, .invalidLocation, .closed:
            false
        }
    }
}

// MARK: - Statements

extension PostgresConnection {
    func run(
        _ sql: String,
        _ values: [SQLValue],
        _ session: OpaquePointer
    ) throws(DatabaseError) -> PostgresResult {
        let statement = try prepared(sql, session)
        try encode(values, statement)
        let pointer = parameters.withPointers { pointers, lengths in
            PQexecPrepared(session, statement.name, statement.count, pointers, lengths, statement.formats, 1)
        }
        let result = PostgresResult(pointer)
        guard result.isFailure else { return result }
        if result.isStaleStatement { forget(sql, session) }
        throw error(result, session)
    }

    private func encode(_ values: [SQLValue], _ statement: PostgresStatement) throws(DatabaseError) {
        try values.withUnsafeBufferPointer { values throws(DatabaseError) in
            try parameters.encode(values, for: statement)
        }
    }

    func prepared(_ sql: String, _ session: OpaquePointer) throws(DatabaseError) -> PostgresStatement {
        if let statement = statements.statement(for: sql) { return statement }
        guard !sql.utf8.contains(0) else { throw Misuse.nulInText }
        if let evicted = statements.evictIfFull() { try deallocate(evicted, session) }
        statementsPrepared += 1
        let name = "s\(statementsPrepared)"
        try check(PQprepare(session, name, sql, 0, nil), session)
        let description = try check(PQdescribePrepared(session, name), session)
        let statement = PostgresStatement(name: name, types: description.parameterTypes)
        statements.insert(statement, for: sql)
        return statement
    }

    private func deallocate(_ statement: PostgresStatement, _ session: OpaquePointer) throws(DatabaseError) {
        try check(PQexec(session, "DEALLOCATE \(statement.name)"), session)
    }

    /// A table's shape may have changed since the statement was prepared: the next use prepares it
    /// again. In a failed transaction DEALLOCATE fails, and the server keeps the unused name.
    func forget(_ sql: String, _ session: OpaquePointer) {
        guard let statement = statements.remove(sql) else { return }
        _ = PostgresResult(PQexec(session, "DEALLOCATE \(statement.name)"))
    }

    /// Sends the chunk as a whole, then reads the answers. libpq reads while it cannot write, so that
    /// neither side waits for the other.
    private func pipeline(
        _ statement: PostgresStatement,
        _ rows: SQLRows,
        _ chunk: Range<Int>,
        _ session: OpaquePointer
    ) throws(DatabaseError) -> Int {
        guard PQenterPipelineMode(session) == 1 else { throw lost(session) }
        var refusal: DatabaseError?
        do {
            try rows.forEachRow(chunk) { row throws(DatabaseError) in try send(statement, row, session) }
        } catch {
            // A value that cannot be sent; what was sent before it is answered first.
            guard self.session != nil else { throw error }
            refusal = error
        }
        guard PQpipelineSync(session) == 1 else { throw lost(session) }
        let outcome = try pipelineResults(session)
        guard PQexitPipelineMode(session) == 1 else { throw lost(session) }
        if let failure = refusal ?? outcome.failure { throw failure }
        return outcome.affected
    }

    private func send(
        _ statement: PostgresStatement, _ row: UnsafeBufferPointer<SQLValue>, _ session: OpaquePointer
    ) throws(DatabaseError) {
        try parameters.encode(row, for: statement)
        let sent = parameters.withPointers { pointers, lengths in
            PQsendQueryPrepared(session, statement.name, statement.count, pointers, lengths, statement.formats, 1)
        }
        guard sent == 1 else { throw lost(session) }
    }

    /// Reads to the pipeline's synchronisation point. After a failure the server skips the rest.
    private func pipelineResults(
        _ session: OpaquePointer
    ) throws(DatabaseError) -> (affected: Int, failure: DatabaseError?) {
        var affected = 0
        var failure: DatabaseError?
        var wasEnd = false
        while true {
            guard let pointer = PQgetResult(session) else {
                // One nil ends each statement's results; two in a row mean that no more will come.
                guard !wasEnd else { throw failure ?? lost(session) }
                wasEnd = true
                continue
            }
            wasEnd = false
            let result = PostgresResult(pointer)
            if result.status == PGRES_PIPELINE_SYNC { return (affected, failure) }
            if result.status == PGRES_PIPELINE_ABORTED { continue }
            if result.isFailure {
                failure = failure ?? self.error(result, session)
                guard self.session != nil else { throw failure ?? .connectionLost(detail: "the server ended it") }
            } else {
                affected += result.affected
            }
        }
    }

    /// Gives up a session whose protocol state is unknown.
    func lost(_ session: OpaquePointer) -> DatabaseError {
        let detail = Self.message(of: session)
        drop()
        return .connectionLost(detail: detail)
    }

    /// Passes each row to `body` until it says no, and reads the results to their end.
    private func stream(
        _ sql: String,
        _ values: [SQLValue],
        _ session: OpaquePointer,
        _ body: (SQLRow) -> Bool
    ) throws(DatabaseError) {
        let statement = try prepared(sql, session)
        try encode(values, statement)
        let sent = parameters.withPointers { pointers, lengths in
            PQsendQueryPrepared(session, statement.name, statement.count, pointers, lengths, statement.formats, 1)
        }
        guard sent == 1, PQsetSingleRowMode(session) == 1 else { throw lost(session) }
        var failure: DatabaseError?
        var isWanted = true
        while let pointer = PQgetResult(session) {
            let result = PostgresResult(pointer)
            if result.isFailure {
                failure = failure ?? error(result, session)
                guard self.session != nil else { break }
            } else if isWanted, failure == nil {
                do { for row in try result.rows() { isWanted = body(row) } } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }
}
