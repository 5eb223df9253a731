internal import Crypto
internal import Database

/// A table that rows are only ever added to, compared row by row with what the journal says, in the order of its key, a page
/// at a time.
struct AddedRows {
    private static let pageSize: Int64 = 1000

    let table: String
    private let columns: [String]
    /// How many of the columns, from the first on, are the key: integers.
    private let keyCount: Int
    private let connection: any SQLConnection
    private var page: ArraySlice<SQLRow> = []
    private var isAtEnd = false
    /// The key that was read or expected last.
    private var key: [Int64]
    private var digest = RowDigest()

    init(_ table: String, _ columns: [String], keyCount: Int, _ connection: any SQLConnection) {
        self.table = table
        self.columns = columns
        self.keyCount = keyCount
        self.connection = connection
        // Also where a column of the key is a 32-bit one.
        key = Array(repeating: Int64(Int32.min), count: keyCount)
    }

    /// The next row that the journal says.
    mutating func expect(_ row: SQLRow, _ findings: inout FindingList) throws {
        digest.add(row)
        let wanted = try key(of: row)
        while let found = try peek() {
            let foundKey = try key(of: found)
            if wanted.lexicographicallyPrecedes(foundKey) { break }
            page.removeFirst()
            if foundKey == wanted {
                if found != row { findings.add(RowText(columns).finding(name(wanted), row, found)) }
                return
            }
            findings.add(RowText(columns).unexpected(name(foundKey), found))
        }
        findings.add(RowText(columns).finding(name(wanted), row, nil))
    }

    /// Rows up to a key that the journal does not say.
    mutating func end(before bound: Int64, _ findings: inout FindingList) throws {
        while let found = try peek() {
            let foundKey = try key(of: found)
            guard foundKey[0] < bound else { return }
            page.removeFirst()
            findings.add(RowText(columns).unexpected(name(foundKey), found))
        }
    }

    func tableDigest() -> TableDigest { digest.of(table) }

    private mutating func peek() throws -> SQLRow? {
        if let first = page.first { return first }
        guard !isAtEnd else { return nil }
        let names = columns.prefix(keyCount).joined(separator: ", ")
        let places = (1...keyCount).map { "$\($0)" }.joined(separator: ", ")
        let rows = try connection.query(
            """
            SELECT \(columns.joined(separator: ", ")) FROM \(table)
            WHERE (\(names)) > (\(places)) ORDER BY \(names) LIMIT \(Self.pageSize)
            """, key.map { .integer($0) })
        isAtEnd = rows.count < Self.pageSize
        if let last = rows.last { key = try key(of: last) }
        page = rows[...]
        return page.first
    }

    private func key(of row: SQLRow) throws -> [Int64] { try (0..<keyCount).map { try row.int64($0) } }

    private func name(_ key: [Int64]) -> String { "\(table) \(key.map { "\($0)" }.joined(separator: "/"))" }
}

/// Rows of a table in words for an operator.
struct RowText {
    private let columns: [String]

    init(_ columns: [String]) { self.columns = columns }

    /// What is wrong with a row.
    func finding(_ name: String, _ expected: SQLRow, _ found: SQLRow?) -> StorageFinding {
        guard let found else {
            let text = all(expected)
            return StorageFinding("table.rowMissing", name, expected: text, "\(name) is missing: expected \(text)")
        }
        let places = columns.indices.filter { expected[$0] != found[$0] }
        let (wanted, there) = (text(expected, places), text(found, places))
        return StorageFinding(
            "table.rowDiffers", name, expected: wanted, found: there, "\(name): expected \(wanted), found \(there)")
    }

    func unexpected(_ name: String, _ row: SQLRow) -> StorageFinding {
        StorageFinding("table.rowUnexpected", name, found: all(row), "\(name) is not in the journal: \(all(row))")
    }

    private func all(_ row: SQLRow) -> String { text(row, Array(columns.indices)) }

    private func text(_ row: SQLRow, _ places: [Int]) -> String {
        places.map { "\(columns[$0]) \(row[$0].shown)" }.joined(separator: ", ")
    }
}

/// SHA-256 over rows, each value with its kind and length.
struct RowDigest {
    private var hash = SHA256()
    private var rows: Int64 = 0

    mutating func add(_ row: SQLRow) {
        rows += 1
        for index in 0..<row.count {
            switch row[index] {
            case .null: add(0, [])
            case .integer(let value): withUnsafeBytes(of: value.littleEndian) { add(1, $0) }
            case .text(let text): add(2, Array(text.utf8))
            case .blob(let bytes): add(3, bytes)
            }
        }
    }

    private mutating func add(_ kind: UInt8, _ bytes: some Collection<UInt8>) {
        withUnsafeBytes(of: Int64(bytes.count).littleEndian) { hash.update(data: [kind] + $0) }
        hash.update(data: Array(bytes))
    }

    func of(_ table: String) -> TableDigest {
        TableDigest(table: table, rows: rows, digest: Hex.text(hash.finalize()))
    }
}

enum Hex {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension SQLValue {
    /// For an operator.
    fileprivate var shown: String {
        switch self {
        case .null: "NULL"
        case .integer(let value): "\(value)"
        case .text(let text): "'\(text)'"
        case .blob(let bytes): "\(Hex.text(bytes))"
        }
    }
}
