/// What is wrong with a line of a file; lines count from 1.
public struct ImportFlaw: Error, Hashable, Sendable, CustomStringConvertible {
    public var line: Int
    public var reason: String

    public init(line: Int, reason: String) {
        self.line = line
        self.reason = reason
    }

    public var description: String { "line \(line): \(reason)" }
}

/// All that is wrong with a file (at most ``most``); nothing of it is taken.
public struct ImportFlaws: Error, Hashable, Sendable, CustomStringConvertible {
    public static let most = 20
    public var flaws: [ImportFlaw]

    public init(_ flaws: [ImportFlaw]) { self.flaws = Array(flaws.prefix(ImportFlaws.most)) }

    public var description: String { flaws.map(\.description).joined(separator: "; ") }
}

/// A file of comma-separated values (RFC 4180) with a header, as UTF-8.
public struct ImportTable: Hashable, Sendable {
    public struct Row: Hashable, Sendable {
        /// Of its beginning, from 1.
        public var line: Int
        public var fields: [String]
    }

    public static let mostRows = 1_000_000
    public static let mostFieldBytes = 4096

    public private(set) var rows: [Row] = []

    /// Reads a file whose first line is exactly `columns`; lines end with LF or CRLF, empty ones do not count.
    public init(_ bytes: [UInt8], columns: [String]) throws(ImportFlaws) {
        var reader = Reader(bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes[...])
        var all: [Row] = []
        while let row = try reader.next() {
            guard all.count <= ImportTable.mostRows else { throw ImportFlaws([ImportFlaw(line: row.line, reason: "too many lines")]) }
            if row.fields != [""] { all.append(row) }
        }
        let names = columns.joined(separator: ",")
        guard let header = all.first else { throw ImportFlaws([ImportFlaw(line: 1, reason: "the file is empty")]) }
        guard header.fields == columns else {
            throw ImportFlaws([ImportFlaw(line: header.line, reason: "the first line must be \(names)")])
        }
        let misshapen = all.filter { $0.fields.count != columns.count }
        guard misshapen.isEmpty else {
            throw ImportFlaws(misshapen.prefix(ImportFlaws.most).map {
                ImportFlaw(line: $0.line, reason: "\(columns.count) fields expected, found \($0.fields.count)")
            })
        }
        rows = Array(all.dropFirst())
        guard !rows.isEmpty else { throw ImportFlaws([ImportFlaw(line: header.line, reason: "there is nothing after the first line")]) }
    }

    private struct Reader {
        private let bytes: ArraySlice<UInt8>
        private var place: Int
        private var line = 1

        init(_ bytes: ArraySlice<UInt8>) {
            self.bytes = bytes
            place = bytes.startIndex
        }

        private var byte: UInt8? { place < bytes.endIndex ? bytes[place] : nil }

        mutating func next() throws(ImportFlaws) -> Row? {
            guard byte != nil else { return nil }
            var row = Row(line: line, fields: [])
            while true {
                row.fields.append(try field())
                switch byte {
                case UInt8(ascii: ","): place += 1
                case UInt8(ascii: "\n"):
                    place += 1
                    line += 1
                    return row
                case UInt8(ascii: "\r"):
                    place += 1
                    guard byte == UInt8(ascii: "\n") else { throw flaw("a carriage return without a line feed") }
                    place += 1
                    line += 1
                    return row
                case nil: return row
                default: throw flaw("a comma is expected after a quoted field")
                }
            }
        }

        private mutating func field() throws(ImportFlaws) -> String {
            let isQuoted = byte == UInt8(ascii: "\"")
            let content = isQuoted ? try quoted() : plain()
            guard content.count <= ImportTable.mostFieldBytes else { throw flaw("a field is too long") }
            guard let text = String(validating: content, as: UTF8.self) else { throw flaw("the text is not UTF-8") }
            return text
        }

        private mutating func plain() -> [UInt8] {
            let start = place
            while let byte, byte != UInt8(ascii: ","), byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") { place += 1 }
            return Array(bytes[start..<place])
        }

        private mutating func quoted() throws(ImportFlaws) -> [UInt8] {
            let beginning = line
            var content: [UInt8] = []
            place += 1
            while let byte {
                place += 1
                if byte == UInt8(ascii: "\n") { line += 1 }
                guard byte == UInt8(ascii: "\"") else {
                    content.append(byte)
                    continue
                }
                guard self.byte == byte else { return content }
                content.append(byte)
                place += 1
            }
            throw ImportFlaws([ImportFlaw(line: beginning, reason: "a quoted field does not end")])
        }

        private func flaw(_ reason: String) -> ImportFlaws { ImportFlaws([ImportFlaw(line: line, reason: reason)]) }
    }
}
