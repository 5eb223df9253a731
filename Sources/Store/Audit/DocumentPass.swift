internal import Crypto
internal import Database
internal import Foundation
internal import Settlement
internal import Units

/// Issued statements, invoices and notes: the chain, the seals, and the balances from one statement to the next and beside the ledger.
struct DocumentPass: AuditPass {
    let invariants = [
        AuditInvariant("document.chain", "documents are chained and numbered without a gap, each by the digest of the one before"),
        AuditInvariant("document.seal", "documents are what was digested and signed, and are kept under what was signed"),
        AuditInvariant(
            "statement.balance",
            "opening balance and movements are the closing balance, which the next statement opens with; both are the ledger's"),
    ]

    private var position: Int64 = 0
    private var previous = [UInt8](repeating: 0, count: 32)
    /// The last number of each kind.
    private var numbers: [Int64: Int64] = [:]

    /// One document a step: each is read whole, a piece at a time.
    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        guard try connection.hasTable("documents") else { return false }
        let row = try connection.queryOne(
            """
            SELECT \(Document.columns), k.public_key
            FROM documents d LEFT JOIN signing_keys k ON k.id = d.signing_key
            WHERE d.position > $1 ORDER BY d.position LIMIT 1
            """, [.integer(position)])
        guard let row else { return false }
        for code in ["document.chain", "document.seal"] { tally.looked(code) }
        tally.read()
        let document = try Document(row)
        checkPlace(document, &tally)
        try checkNumber(document, connection, &tally)
        let body = try DocumentBody(document.position, connection)
        for flaw in document.flaws(body) { tally.broken("document.seal", document.name, found: flaw) }
        if document.kind == 1 {
            try checkBalance(document, body, connection, &tally)
            try checkLedger(document, connection, &tally)
        }
        (position, previous) = (document.position, document.digest)
        return true
    }

    private func checkPlace(_ document: Document, _ tally: inout AuditTally) {
        if document.position != position + 1 {
            tally.broken("document.chain", document.name, expected: "position \(position + 1)", found: "position \(document.position)")
        }
        if document.previous != previous {
            tally.broken("document.chain", document.name, found: "it does not name the document before it")
        }
    }

    /// Numbers of a kind have no gap; versions of a number follow each other, and each names the one before.
    private mutating func checkNumber(_ document: Document, _ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        guard document.version > 1 else {
            let next = (numbers[document.kind] ?? 0) + 1
            if document.number != next {
                tally.broken("document.chain", document.name, expected: "number \(next)", found: "number \(document.number)")
            }
            numbers[document.kind] = document.number
            return
        }
        let before = try connection.queryOne(
            """
            SELECT version, digest FROM documents WHERE kind = $1 AND number = $2 AND position < $3 ORDER BY version DESC LIMIT 1
            """, [.integer(document.kind), .integer(document.number), .integer(document.position)])
        let next = try (before?.int64(0) ?? 0) + 1
        if document.version != next {
            tally.broken("document.chain", document.name, expected: "version \(next)", found: "version \(document.version)")
        } else if let digest = try before?.blob(1), document.issue?.supersedes?.digest != digest {
            tally.broken("document.chain", document.name, found: "it does not name the version before it")
        }
    }

    private func checkBalance(
        _ document: Document, _ body: DocumentBody, _ connection: any SQLConnection, _ tally: inout AuditTally
    ) throws {
        tally.looked("statement.balance")
        guard let opening = document.funds("opening"), let closing = document.funds("closing") else {
            tally.broken("statement.balance", document.name, found: "its balances cannot be read")
            return
        }
        tally.compare("statement.balance", document.name, expected: opening.total + body.moved, found: closing.total)
        let before = try connection.queryOne(
            """
            SELECT \(Document.columns), NULL FROM documents d
            WHERE d.kind = 1 AND d.account = $1 AND d.end_at = $2 AND d.position < $3 ORDER BY d.position DESC LIMIT 1
            """, [.integer(document.account), .integer(document.start), .integer(document.position)])
        guard let before = try before.map({ try Document($0) }), let closed = before.funds("closing"), closed != opening else { return }
        tally.broken(
            "statement.balance", "opening of \(document.name)", expected: "\(closed.total), as \(before.name) closes with",
            found: "\(opening.total)")
    }

    /// The newest version says what the ledger does. Older ones were superseded, perhaps because they did not.
    private func checkLedger(_ document: Document, _ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        let newer = try connection.count(
            "SELECT count(*) FROM documents WHERE kind = 1 AND number = $1 AND version > $2",
            [.integer(document.number), .integer(document.version)])
        guard newer == 0 else { return }
        let source = StatementSource(connection: connection)
        for (name, time) in [("opening", document.start), ("closing", document.end)] {
            let booked = try source.funds(AccountID(document.account), before: Timestamp(microseconds: time))
            guard let stated = document.funds(name), stated != booked else { continue }
            tally.broken(
                "statement.balance", "\(name) of \(document.name)", expected: "\(Document.words(booked)) in the ledger",
                found: Document.words(stated))
        }
    }
}

/// A document's row, and its header as it was signed.
private struct Document {
    static let columns = """
        d.position, d.kind, d.number, d.version, d.account, d.counterparty, d.period, d.start_at, d.end_at, d.issued_at, d.header,
        d.digest, d.previous, d.signature
        """

    var position, kind, number, version, account, counterparty: Int64
    var period: String
    var start, end, issuedAt: Int64
    var header, digest, previous, signature: [UInt8]
    /// nil when its key is not there.
    var key: [UInt8]?
    /// The header; nil when it cannot be read.
    private var signed: CanonicalJSON?
    /// The header's place among the documents; nil when it has none.
    var issue: DocumentIssue?

    init(_ row: SQLRow) throws {
        (position, kind, number) = (try row.int64(0), try row.int64(1), try row.int64(2))
        (version, account, counterparty) = (try row.int64(3), try row.int64(4), try row.int64(5))
        period = try row.text(6)
        (start, end, issuedAt) = (try row.int64(7), try row.int64(8), try row.int64(9))
        (header, digest) = (try row.blob(10), try row.blob(11))
        (previous, signature) = (try row.blob(12), try row.blob(13))
        key = try row.optionalBlob(14)
        signed = try? CanonicalJSON(header.dropLast())
        issue = signed?["issue"].flatMap { DocumentIssue($0) }
    }

    var name: String {
        let words = [1: "statement", 2: "invoice", 3: "note"]
        let word = words[Int(kind)] ?? "document"
        return "\(word) \(number) version \(version) (position \(position), account \(account))"
    }

    /// A balance of the header.
    func funds(_ name: String) -> CustomerFunds? { signed?[name].flatMap { CustomerFunds($0) } }

    static func words(_ funds: CustomerFunds) -> String {
        "\(funds.total) (available \(funds.available), held \(funds.held), leaving \(funds.leaving))"
    }

    func flaws(_ body: DocumentBody) -> [String] {
        var flaws: [String] = []
        if Array(SHA256.hash(data: header)) != digest { flaws.append("its header is not what was digested") }
        if signed?["body"]?.text != body.digest { flaws.append("its entries and lines are not what the header was made of") }
        // A signature is over a name of its purpose and the digest.
        let message = Array("hashspot-document-1\n".utf8) + digest
        let isValid = key.flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }?.isValidSignature(signature, for: message)
        if isValid != true { flaws.append(key == nil ? "its signing key is not there" : "its signature is not valid") }
        return flaws + rowFlaws()
    }

    /// Columns that are not as they were signed.
    private func rowFlaws() -> [String] {
        guard let signed, let issue else { return ["its header cannot be read"] }
        var names: [String] = []
        func check(_ name: String, _ isSame: Bool) {
            if !isSame { names.append(name) }
        }
        check("position", issue.position == position)
        check("previous digest", issue.previous == previous)
        check("number", issue.number == number)
        check("version", issue.version == version)
        check("time of issue", issue.issuedAt.microseconds == issuedAt)
        check("kind", signed["kind"]?.text == DocumentKind(rawValue: UInt8(clamping: kind))?.code)
        check("account", signed["account"]?.integer == account)
        // Only notes have one.
        check("counterparty", (signed["counterparty"]?.integer ?? 0) == counterparty)
        check("period", signed["period"]?.text == period)
        check("beginning", signed["from"]?.text == Timestamp(microseconds: start).description)
        check("end", signed["to"]?.text == Timestamp(microseconds: end).description)
        return names.map { "its \($0) is not the one that was signed" }
    }
}

/// A document's entries and lines, read a piece at a time.
private struct DocumentBody {
    /// SHA-256 in hex.
    let digest: String
    /// The sum of all movements.
    private(set) var moved: Int128 = 0

    init(_ position: Int64, _ connection: any SQLConnection) throws {
        var hash = SHA256(), rest: [UInt8] = [], moved: Int128 = 0
        try connection.forEach("SELECT content FROM document_parts WHERE position = $1 ORDER BY part", [.integer(position)]) { row in
            let bytes = try row.blob(0)
            hash.update(data: bytes)
            rest += bytes
            var start = 0
            while let end = rest[start...].firstIndex(of: 0x0a) {
                moved += DocumentBody.movement(rest[start..<end])
                start = end + 1
            }
            rest.removeFirst(start)
        }
        digest = hash.finalize().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        self.moved = moved
    }

    /// What an entry or a line moves.
    private static func movement(_ line: ArraySlice<UInt8>) -> Int128 {
        guard let members = (try? JSONSerialization.jsonObject(with: Data(line))) as? [String: Any] else { return 0 }
        let amount = members["type"] as? String == "entry" ? members["amount"] : members["net"]
        return Int128((amount as? NSNumber)?.int64Value ?? 0)
    }
}
