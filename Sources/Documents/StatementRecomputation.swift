internal import Settlement

/// `hashspot recompute`, on files.
public enum StatementRecomputation {
    /// A statement that was made again: its file, at the end.
    public struct Made {
        public var file: SpoolFile
        public var digest: [UInt8]
        public var records: Int64
    }

    /// Makes the statement of an extract, in memory for totals and bills only.
    ///
    /// - Throws: `ExtractError`, `DocumentError`
    public static func run(extract: SpoolFile) throws -> Made {
        var recomputation = Recomputation()
        let body = try SpoolFile()
        var digest = Digest256()
        var records: Int64 = 0
        try extract.forEachLine { line in
            let bytes = try recomputation.add(line)
            guard !bytes.isEmpty else { return }
            digest.update(bytes)
            try body.write(bytes)
            records += 1
        }
        let header = try recomputation.header(body: digest.value())
        let file = try SpoolFile()
        try file.write(header)
        try body.rewind()
        while case let bytes = try body.read(), !bytes.isEmpty { try file.write(bytes) }
        return Made(file: file, digest: Digest256.of(header), records: records)
    }

    /// The first difference between a statement that was made again and the issued one; nil if every byte is the same. The issued one's
    /// seal is left out.
    public static func difference(_ made: SpoolFile, _ issued: SpoolFile) throws -> String? {
        let mine = LineReader(made)
        let theirs = LineReader(issued)
        var number = 0
        var headers: (CanonicalJSON, CanonicalJSON)?
        while true {
            number += 1
            let (a, b) = (try mine.next(), try theirs.next().flatMap { isSeal($0) ? nil : $0 })
            guard let a, let b else {
                if a == nil, b == nil { break }
                return a == nil ? "line \(number) is too many" : "line \(number) is missing"
            }
            if a == b { continue }
            let (left, right) = (try CanonicalJSON(a[...]), try CanonicalJSON(b[...]))
            // A header differs wherever a line does: what is behind it says more.
            if number == 1 { headers = (left, right) } else { return "line \(number): \(describe(left, right))" }
        }
        return headers.map { "the header: \(describe($0, $1))" }
    }

    private static func isSeal(_ line: [UInt8]) -> Bool { (try? CanonicalJSON(line[...]))?["type"]?.text == "seal" }

    private static func describe(_ mine: CanonicalJSON, _ theirs: CanonicalJSON) -> String {
        guard case .object(let left) = mine, case .object(let right) = theirs else { return "not the same" }
        let number = mine["number"]?.integer.map { " of number \($0)" } ?? ""
        for (a, b) in zip(left, right) where a != b {
            guard a.name == b.name else { return "it has \(b.name) instead of \(a.name)" }
            return "\(a.name)\(number) is \(text(b.value)), recomputed \(text(a.value))"
        }
        return "it has \(right.count) fields, recomputed \(left.count)"
    }

    private static func text(_ json: CanonicalJSON) -> String { String(String(decoding: json.bytes, as: UTF8.self).prefix(400)) }
}

/// Lines of a file, on demand.
private final class LineReader {
    private let file: SpoolFile
    private var rest: [UInt8] = []
    private var start = 0

    init(_ file: SpoolFile) { self.file = file }

    func next() throws -> [UInt8]? {
        while true {
            if let end = rest[start...].firstIndex(of: 0x0a) {
                defer { start = end + 1 }
                return Array(rest[start..<end])
            }
            let more = try file.read()
            if more.isEmpty {
                defer { start = rest.count }
                return start < rest.count ? Array(rest[start...]) : nil
            }
            rest.removeFirst(start)
            start = 0
            rest += more
        }
    }
}
