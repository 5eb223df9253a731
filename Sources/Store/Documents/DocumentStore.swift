public import Database
public import Documents
public import Settlement
public import Units

/// Issued documents, and what belongs to them: legal parties, rates, keys.
public struct DocumentStore: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    static let partSize = 262_144

    // MARK: - Reading

    private static let columns = """
        position, kind, number, version, account, counterparty, period, start_at, end_at, digest, previous, signing_key, issued_at,
        issued_by, reason
        """

    static func summary(_ row: SQLRow) throws -> DocumentSummary {
        guard let kind = DocumentKind(rawValue: UInt8(clamping: try row.int64(1))) else {
            throw DatabaseError.decoding("an unknown kind of document")
        }
        let counterparty = try row.int64(5)
        return DocumentSummary(
            position: try row.int64(0), kind: kind, number: try row.int64(2), version: try row.int64(3),
            account: AccountID(try row.int64(4)), counterparty: counterparty == 0 ? nil : AccountID(counterparty),
            period: try row.text(6), start: Timestamp(microseconds: try row.int64(7)), end: Timestamp(microseconds: try row.int64(8)),
            digest: try row.blob(9), previous: try row.blob(10), keyID: try row.text(11),
            issuedAt: Timestamp(microseconds: try row.int64(12)), issuedBy: try row.optionalInt64(13).map { AccountID($0) },
            reason: try row.optionalText(14))
    }

    /// Documents by position, after a cursor; of some kinds; of one account (of notes, either side) or of all.
    public func list(
        _ kinds: Set<DocumentKind>, account: AccountID?, after cursor: Int64, limit: Int
    ) async throws -> [DocumentSummary] {
        try await database.read { connection in
            let list = kinds.map { "\($0.rawValue)" }.sorted().joined(separator: ", ")
            return try connection.query(
                """
                SELECT \(DocumentStore.columns) FROM documents
                WHERE position > $1 AND kind IN (\(list.isEmpty ? "0" : list))
                    AND (CAST($2 AS BIGINT) = 0 OR account = $2 OR counterparty = $2)
                ORDER BY position LIMIT $3
                """, [.integer(cursor), .integer(account?.rawValue ?? 0), .integer(Int64(limit))]
            ).map { try DocumentStore.summary($0) }
        }
    }

    /// A document's version; nil: the newest one. nil if there is none.
    public func find(_ kind: DocumentKind, _ number: Int64, version: Int64? = nil) async throws -> DocumentSummary? {
        try await database.read { connection in
            try connection.queryOne(
                """
                SELECT \(DocumentStore.columns) FROM documents
                WHERE kind = $1 AND number = $2 AND (CAST($3 AS BIGINT) = 0 OR version = $3) ORDER BY version DESC LIMIT 1
                """, [.integer(Int64(kind.rawValue)), .integer(number), .integer(version ?? 0)]
            ).map { try DocumentStore.summary($0) }
        }
    }

    /// The digest of the document at a position; 32 zeros in front of the first, nil where there is none.
    public func digest(at position: Int64) async throws -> [UInt8]? {
        if position == 0 { return Array(repeating: 0, count: 32) }
        return try await database.read { connection in
            try connection.queryOne("SELECT digest FROM documents WHERE position = $1", [.integer(position)]).map { try $0.blob(0) }
        }
    }

    /// An issued document as a file, at its beginning: header, lines, seal.
    public func file(_ position: Int64) async throws -> SpoolFile {
        try await database.read { connection in
            guard let row = try connection.queryOne(
                """
                SELECT d.header, d.digest, d.signature, k.public_key FROM documents d JOIN signing_keys k ON k.id = d.signing_key
                WHERE d.position = $1
                """, [.integer(position)])
            else { throw DocumentError("there is no document at position \(position)") }
            let file = try SpoolFile()
            try file.write(try row.blob(0))
            let sql = "SELECT content FROM document_parts WHERE position = $1 ORDER BY part"
            try connection.forEach(sql, [.integer(position)]) { try file.write(try $0.blob(0)) }
            let seal = DocumentSeal(
                digest: try row.blob(1), signature: try row.blob(2), key: PublicSigningKey(key: try row.blob(3)))
            try file.write(seal.json.bytes + [0x0a])
            try file.rewind()
            return file
        }
    }

    /// A statement of any range as it would be now, without number and signature: header and lines, at the beginning.
    public func draft(_ account: AccountID, _ range: Range<Timestamp>, period: AccountingPeriod? = nil) async throws -> SpoolFile {
        try await database.read { connection in
            try StatementSource(connection: connection).statement(account, range, period: period).draft()
        }
    }

    /// The first instant that books are not closed for, as far as the tables have come.
    public func closedThrough() async throws -> Timestamp {
        try await database.read { try StatementSource(connection: $0).closedThrough() }
    }

    // MARK: - Issuing

    /// Issues a document: gives it the next number, or the next version of its number, and the next place in the chain.
    ///
    /// - Parameters:
    ///   - closedThrough: the first instant that books are not closed for
    ///   - by: nil on the command line
    /// - Throws: ``DocumentRefusal``, or the database's errors
    public func issue(
        _ request: DocumentRequest, closedThrough: Timestamp, key: SigningKey, by: AccountID?, at: Timestamp
    ) async throws -> DocumentSummary {
        guard request.period.end <= closedThrough else { throw DocumentRefusal.periodOpen(closedThrough: closedThrough) }
        guard (request.kind == .note) == (request.counterparty != nil), request.counterparty != request.account else {
            throw DocumentRefusal.counterpartyWrong
        }
        let prepared = try await database.read { connection in
            let source = StatementSource(connection: connection)
            // Refused before the work.
            _ = try DocumentStore.place(of: request, connection, at: at)
            switch request.kind {
            case .statement:
                return try source.statement(request.account, request.period.start..<request.period.end, period: request.period)
            case .invoice, .note:
                return try source.bill(request.account, seller: request.counterparty, period: request.period)
            }
        }
        var tries = 5
        while true {
            do {
                return try await database.write { connection in
                    try DocumentStore.add(prepared, request, key: key, by: by, at: at, connection)
                }
            } catch DatabaseError.constraintViolation where tries > 0 {
                // Somebody else issued at the same time.
                tries -= 1
            }
        }
    }

    private static func place(
        of request: DocumentRequest, _ connection: any SQLConnection, at: Timestamp
    ) throws -> DocumentIssue {
        let kind = SQLValue.integer(Int64(request.kind.rawValue))
        let last = try connection.queryOne("SELECT position, digest, issued_at FROM documents ORDER BY position DESC LIMIT 1")
        var issue = DocumentIssue(
            number: 0, version: 1, position: try (last?.int64(0) ?? 0) + 1,
            previous: try last?.blob(1) ?? Array(repeating: 0, count: 32),
            issuedAt: Timestamp(microseconds: max(at.microseconds, try last?.int64(2) ?? 0)))
        let old = try connection.queryOne(
            """
            SELECT number, version, digest FROM documents WHERE kind = $1 AND account = $2 AND counterparty = $3 AND period = $4
            ORDER BY version DESC LIMIT 1
            """,
            [kind, .integer(request.account.rawValue), .integer(request.counterparty?.rawValue ?? 0), .text(request.period.description)])
        guard let old else {
            guard request.reason == nil else { throw DocumentRefusal.nothingToSupersede }
            let number = try connection.queryOne("SELECT coalesce(max(number), 0) FROM documents WHERE kind = $1", [kind])
            issue.number = try (number?.int64(0) ?? 0) + 1
            return issue
        }
        guard let reason = request.reason else {
            throw DocumentRefusal.alreadyIssued(number: try old.int64(0), version: try old.int64(1))
        }
        issue.number = try old.int64(0)
        issue.version = try old.int64(1) + 1
        issue.supersedes = DocumentIssue.Superseded(version: try old.int64(1), digest: try old.blob(2), reason: reason)
        return issue
    }

    private static func add(
        _ prepared: PreparedDocument, _ request: DocumentRequest, key: SigningKey, by: AccountID?, at: Timestamp,
        _ connection: any SQLConnection
    ) throws -> DocumentSummary {
        let issue = try place(of: request, connection, at: at)
        try checkOpening(prepared, request, connection)
        let header = try prepared.header(issue)
        let digest = Digest256.of(header)
        try register(key.publicKey, at: issue.issuedAt, connection)
        try prepared.body.rewind()
        let counterparty = request.counterparty?.rawValue ?? 0
        try connection.execute(
            """
            INSERT INTO documents (position, kind, number, version, account, counterparty, period, start_at, end_at, header, body_bytes,
                digest, previous, signature, signing_key, issued_at, issued_by, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
            """,
            [
                .integer(issue.position), .integer(Int64(request.kind.rawValue)), .integer(issue.number), .integer(issue.version),
                .integer(request.account.rawValue), .integer(counterparty), .text(request.period.description),
                .integer(request.period.start.microseconds), .integer(request.period.end.microseconds), .blob(header),
                .integer(prepared.body.size), .blob(digest), .blob(issue.previous), .blob(try key.sign(digest)),
                .text(key.publicKey.id), .integer(issue.issuedAt.microseconds), by.map { .integer($0.rawValue) } ?? .null,
                request.reason.map { .text($0) } ?? .null,
            ])
        var part: Int64 = 0
        while case let bytes = try prepared.body.read(partSize), !bytes.isEmpty {
            try connection.execute(
                "INSERT INTO document_parts (position, part, content) VALUES ($1, $2, $3)",
                [.integer(issue.position), .integer(part), .blob(bytes)])
            part += 1
        }
        return DocumentSummary(
            position: issue.position, kind: request.kind, number: issue.number, version: issue.version, account: request.account,
            counterparty: request.counterparty, period: request.period.description, start: request.period.start,
            end: request.period.end, digest: digest, previous: issue.previous, keyID: key.publicKey.id, issuedAt: issue.issuedAt,
            issuedBy: by, reason: request.reason)
    }

    /// The opening balance is what the statement before closed with.
    private static func checkOpening(
        _ prepared: PreparedDocument, _ request: DocumentRequest, _ connection: any SQLConnection
    ) throws {
        guard case .statement(_, let frame) = prepared.content else { return }
        let before = try connection.queryOne(
            "SELECT header FROM documents WHERE kind = 1 AND account = $1 AND end_at = $2 ORDER BY position DESC LIMIT 1",
            [.integer(request.account.rawValue), .integer(frame.start.microseconds)])
        guard let before else { return }
        guard let header = try? CanonicalJSON(try before.blob(0).dropLast()), let closing = header["closing"].flatMap({ CustomerFunds($0) })
        else { throw DatabaseError.decoding("a statement's header that cannot be read") }
        guard closing == frame.opening else {
            throw DocumentRefusal.flaw(.differs(
                "the opening balance against the statement before", expected: closing.total, found: frame.opening.total))
        }
    }

    // MARK: - Keys

    /// The key in a file. It is made there only if this market never had one, or if a new one is asked for.
    ///
    /// - Parameter isNew: make a key; the file must not be there
    /// - Throws: `DocumentError`, also when the file is missing and the market has signed with a key before
    public func signingKey(file: String, isNew: Bool = false) async throws -> SigningKey {
        if isNew { return try SigningKey(making: file) }
        if SigningKey.isThere(file) { return try SigningKey(file: file) }
        let hasNone = try await keys().isEmpty
        return try hasNone ? SigningKey(making: file) : SigningKey(file: file)
    }

    private static func register(_ key: PublicSigningKey, at: Timestamp, _ connection: any SQLConnection) throws {
        try connection.execute(
            "INSERT INTO signing_keys (id, public_key, first_used) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
            [.text(key.id), .blob(key.key), .integer(at.microseconds)])
    }

    /// All keys that documents were ever signed with, oldest first.
    public func keys() async throws -> [(key: PublicSigningKey, firstUsed: Timestamp)] {
        try await database.read { connection in
            try connection.query("SELECT public_key, first_used FROM signing_keys ORDER BY first_used, id").map {
                (PublicSigningKey(key: try $0.blob(0)), Timestamp(microseconds: try $0.int64(1)))
            }
        }
    }
}
