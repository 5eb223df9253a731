public import Settlement

/// What stands behind an issued document's lines: not hashed, as it comes from the hash.
public struct DocumentSeal: Hashable, Sendable {
    /// SHA-256 of the header's bytes, with its line's end; the header has the digest of all that follows.
    public var digest: [UInt8]
    public var signature: [UInt8]
    public var key: PublicSigningKey

    public init(digest: [UInt8], signature: [UInt8], key: PublicSigningKey) {
        self.digest = digest
        self.signature = signature
        self.key = key
    }

    public var json: CanonicalJSON {
        .members([
            "type": .text("seal"), "digest": .text(HexText.encode(digest)), "signature": .text(HexText.encode(signature)),
            "key": .text(HexText.encode(key.key)), "keyID": .text(key.id),
        ])
    }

    public init?(_ json: CanonicalJSON) {
        guard json["type"]?.text == "seal", let digest = json["digest"]?.text.flatMap(HexText.decode),
            let signature = json["signature"]?.text.flatMap(HexText.decode),
            let key = json["key"]?.text.flatMap({ PublicSigningKey(hex: $0) })
        else { return nil }
        guard json["keyID"]?.text == key.id else { return nil }
        self.init(digest: digest, signature: signature, key: key)
    }
}

/// What checking a document's file found.
public struct DocumentVerification: Hashable, Sendable {
    public var kind: String
    public var issue: DocumentIssue
    public var digest: [UInt8]
    public var keyID: String
    /// Empty if everything holds.
    public var flaws: [String]
    /// Of entries and lines.
    public var records: Int64
}

/// An issued document as a file: the header, a line for each entry and settlement line, the seal; canonical JSON, one a line.
public enum DocumentFile {
    /// Checks canonical form, digests, signature, and that balances and counts agree with the lines.
    ///
    /// - Parameters:
    ///   - key: the market's public key; nil: the one that the file names, which proves less
    ///   - previous: digest of the document at the position before, if it is at hand
    public static func verify(
        _ file: SpoolFile, key: PublicSigningKey?, previous: [UInt8]? = nil
    ) throws -> DocumentVerification {
        var reader = DocumentReader()
        try file.forEachLine { try reader.add($0) }
        return try reader.finish(key: key, previous: previous)
    }
}

private struct DocumentReader {
    private var header: CanonicalJSON?
    private var digest: [UInt8] = []
    private var body = Digest256()
    private var seal: DocumentSeal?
    private var flaws: [String] = []
    private var records: Int64 = 0
    private var lines: Int64 = 0
    private var entries: Int64 = 0
    private var moved: Int128 = 0

    mutating func add(_ line: ArraySlice<UInt8>) throws {
        let json: CanonicalJSON
        do { json = try CanonicalJSON(line) } catch { throw DocumentError("line \(records + 1): \(error)") }
        if header == nil {
            header = json
            digest = Digest256.of(Array(line) + [0x0a])
        } else if json["type"]?.text == "seal" {
            guard seal == nil, let read = DocumentSeal(json) else { throw DocumentError("a seal that cannot be read, or two of them") }
            seal = read
        } else {
            guard seal == nil else { throw DocumentError("lines behind the seal") }
            body.update(Array(line) + [0x0a])
            records += 1
            count(json)
        }
    }

    private mutating func count(_ json: CanonicalJSON) {
        switch json["type"]?.text {
        case "entry":
            entries += 1
            moved += Int128(json["amount"]?.integer ?? 0)
        case "line":
            lines += 1
            moved += Int128(json["net"]?.integer ?? 0)
        default: flaws.append("line \(records + 1) is neither an entry nor a settlement line")
        }
    }

    mutating func finish(key: PublicSigningKey?, previous: [UInt8]?) throws -> DocumentVerification {
        guard let header, header["format"]?.text == "hashspot-document-1", let kind = header["kind"]?.text else {
            throw DocumentError("this is not a document of Hashspot")
        }
        guard let issue = header["issue"].flatMap({ DocumentIssue($0) }) else { throw DocumentError("this is a draft: nothing is signed") }
        guard let seal else { throw DocumentError("the seal is missing: the file is not whole") }
        if header["body"]?.text != HexText.encode(body.value()) {
            flaws.append("the entries and lines are not those that the header was made of")
        }
        if seal.digest != digest { flaws.append("the header is not the one that was sealed") }
        if let key, key.key != seal.key.key { flaws.append("it is signed with key \(seal.key.id), not with \(key.id)") }
        if !(key ?? seal.key).isValid(seal.signature, digest: digest) { flaws.append("the signature is not valid") }
        if let previous, previous != issue.previous { flaws.append("it does not follow the document before it: the chain is broken") }
        if kind == DocumentKind.statement.code { checkBalances(header) }
        return DocumentVerification(
            kind: kind, issue: issue, digest: digest, keyID: seal.key.id, flaws: flaws, records: records)
    }

    private mutating func checkBalances(_ header: CanonicalJSON) {
        guard let opening = header["opening"].flatMap({ CustomerFunds($0) }), let closing = header["closing"].flatMap({ CustomerFunds($0) })
        else {
            flaws.append("the balances cannot be read")
            return
        }
        if opening.total + moved != closing.total { flaws.append("opening balance and movements are not the closing balance") }
        if header["lines"]?.integer != lines || header["entries"]?.integer != entries { flaws.append("lines or entries are missing") }
    }
}
