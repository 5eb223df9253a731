internal import Crypto
internal import Database
internal import Foundation
internal import Units

/// Issued statements, invoices and notes: the chain, the seals, and the balances from one statement to the next.
struct DocumentPass: AuditPass {
    let invariants = [
        AuditInvariant("document.chain", "documents are chained without a gap, each by the digest of the one before"),
        AuditInvariant("document.seal", "documents are what was digested and signed"),
        AuditInvariant("statement.balance", "opening balance and movements are the closing balance, which the next statement opens with"),
    ]

    private var position: Int64 = 0
    private var previous = [UInt8](repeating: 0, count: 32)

    /// One document a step: each is read whole, a piece at a time.
    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        guard try connection.hasTable("documents") else { return false }
        let row = try connection.queryOne(
            """
            SELECT d.position, d.kind, d.number, d.version, d.account, d.start_at, d.header, d.digest, d.previous, d.signature, k.public_key
            FROM documents d LEFT JOIN signing_keys k ON k.id = d.signing_key
            WHERE d.position > $1 ORDER BY d.position LIMIT 1
            """, [.integer(position)])
        guard let row else { return false }
        for code in ["document.chain", "document.seal"] { tally.looked(code) }
        tally.read()
        let document = try Document(row)
        if document.position != position + 1 {
            tally.broken("document.chain", document.name, expected: "position \(position + 1)", found: "position \(document.position)")
        }
        if document.previous != previous {
            tally.broken("document.chain", document.name, found: "it does not name the document before it")
        }
        let body = try DocumentBody(document.position, connection)
        for flaw in document.flaws(body) { tally.broken("document.seal", document.name, found: flaw) }
        if document.kind == 1 { try checkBalance(document, body, connection, &tally) }
        (position, previous) = (document.position, document.digest)
        return true
    }

    private func checkBalance(
        _ document: Document, _ body: DocumentBody, _ connection: any SQLConnection, _ tally: inout AuditTally
    ) throws {
        tally.looked("statement.balance")
        guard let opening = document.funds("opening"), let closing = document.funds("closing") else {
            tally.broken("statement.balance", document.name, found: "its balances cannot be read")
            return
        }
        tally.compare("statement.balance", document.name, expected: Document.total(opening) + body.moved, found: Document.total(closing))
        let before = try connection.queryOne(
            """
            SELECT position, kind, number, version, account, start_at, header, digest, previous, signature, NULL FROM documents
            WHERE kind = 1 AND account = $1 AND end_at = $2 AND position < $3 ORDER BY position DESC LIMIT 1
            """, [.integer(document.account), .integer(document.start), .integer(document.position)])
        guard let before = try before.map({ try Document($0) }), let closed = before.funds("closing"), closed != opening else { return }
        tally.broken(
            "statement.balance", "opening of \(document.name)", expected: "\(Document.total(closed)), as \(before.name) closes with",
            found: "\(Document.total(opening))")
    }
}

private struct Document {
    var position, kind, number, version, account, start: Int64
    var header, digest, previous, signature: [UInt8]
    /// nil when its key is not there.
    var key: [UInt8]?
    private var members: [String: Any]

    init(_ row: SQLRow) throws {
        (position, kind, number) = (try row.int64(0), try row.int64(1), try row.int64(2))
        (version, account, start) = (try row.int64(3), try row.int64(4), try row.int64(5))
        (header, digest) = (try row.blob(6), try row.blob(7))
        (previous, signature) = (try row.blob(8), try row.blob(9))
        key = try row.optionalBlob(10)
        members = (try? JSONSerialization.jsonObject(with: Data(header))) as? [String: Any] ?? [:]
    }

    var name: String {
        let words = [1: "statement", 2: "invoice", 3: "note"]
        let word = words[Int(kind)] ?? "document"
        return "\(word) \(number) version \(version) (position \(position), account \(account))"
    }

    /// A balance's parts.
    func funds(_ name: String) -> [String: Int64]? {
        (members[name] as? [String: Any])?.compactMapValues { ($0 as? NSNumber)?.int64Value }
    }

    static func total(_ funds: [String: Int64]) -> Int128 { funds.values.reduce(0) { $0 + Int128($1) } }

    func flaws(_ body: DocumentBody) -> [String] {
        var flaws: [String] = []
        if Array(SHA256.hash(data: header)) != digest { flaws.append("its header is not what was digested") }
        if members["body"] as? String != body.digest { flaws.append("its entries and lines are not what the header was made of") }
        // A signature is over a name of its purpose and the digest.
        let message = Array("hashspot-document-1\n".utf8) + digest
        let isValid = key.flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }?.isValidSignature(signature, for: message)
        if isValid != true { flaws.append(key == nil ? "its signing key is not there" : "its signature is not valid") }
        return flaws
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
