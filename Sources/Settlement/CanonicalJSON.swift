/// JSON that can be written in one way only, so that its bytes can be hashed and signed.
///
/// UTF-8; no white space; an object's members sorted by the bytes of their names, each name once; numbers are integers of 64 bits, larger
/// ones and decimals are strings; strings escape `"`, `\` and control characters (as `\u00` and two lower-case hex digits), nothing else.
public indirect enum CanonicalJSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case text(String)
    case array([CanonicalJSON])
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: CanonicalJSON
    }

    /// An object of these members, sorted.
    ///
    /// - Precondition: no name comes twice
    public static func members(_ members: KeyValuePairs<String, CanonicalJSON>) -> CanonicalJSON {
        let sorted = members.map { Member(name: $0.key, value: $0.value) }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        precondition(zip(sorted, sorted.dropFirst()).allSatisfy { $0.name != $1.name }, "a member's name comes twice")
        return .object(sorted)
    }

    public static func optional(_ text: String?) -> CanonicalJSON { text.map { .text($0) } ?? .null }

    public static func optional(_ number: Int64?) -> CanonicalJSON { number.map { .integer($0) } ?? .null }

    /// A number that may need more than 64 bits.
    public static func wide(_ number: Int128) -> CanonicalJSON { .text(String(number)) }

    // MARK: - Reading

    public subscript(_ name: String) -> CanonicalJSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    public var text: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }

    public var integer: Int64? {
        guard case .integer(let number) = self else { return nil }
        return number
    }

    public var wide: Int128? { text.flatMap { Int128($0) } }

    public var items: [CanonicalJSON] {
        guard case .array(let items) = self else { return [] }
        return items
    }

    // MARK: - Writing

    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    public func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let flag): bytes += (flag ? "true" : "false").utf8
        case .integer(let number): bytes += String(number).utf8
        case .text(let text): CanonicalJSON.write(text, to: &bytes)
        case .array(let items):
            bytes.append(UInt8(ascii: "["))
            for (place, item) in items.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                item.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (place, member) in members.enumerated() {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                CanonicalJSON.write(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static let hex = Array("0123456789abcdef".utf8)

    private static func write(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                bytes += "\\u00".utf8
                bytes.append(hex[Int(byte >> 4)])
                bytes.append(hex[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// Why bytes are not canonical JSON.
public struct CanonicalJSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where, from 0 on.
    public var offset: Int
    public var description: String { "not canonical JSON at byte \(offset)" }
}

extension CanonicalJSON {
    /// Reads what ``bytes`` writes, and nothing else.
    ///
    /// - Parameter depth: how many arrays and objects may enclose each other
    public init(_ bytes: ArraySlice<UInt8>, depth: Int = 8) throws(CanonicalJSONError) {
        var reader = CanonicalReader(bytes: bytes, at: bytes.startIndex)
        self = try reader.value(depth: depth)
        guard reader.at == bytes.endIndex else { throw reader.flaw }
        // Whatever reads, but would be written otherwise, has another digest: it is not the same document.
        guard self.bytes.elementsEqual(bytes) else { throw CanonicalJSONError(offset: 0) }
    }
}

private struct CanonicalReader {
    var bytes: ArraySlice<UInt8>
    var at: Int

    var flaw: CanonicalJSONError { CanonicalJSONError(offset: at - bytes.startIndex) }

    private var next: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

    mutating func value(depth: Int) throws(CanonicalJSONError) -> CanonicalJSON {
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .array(try items(depth: depth))
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        default: return .integer(try number())
        }
    }

    private mutating func word(_ word: String, _ value: CanonicalJSON) throws(CanonicalJSONError) -> CanonicalJSON {
        guard bytes[at...].starts(with: word.utf8) else { throw flaw }
        at += word.utf8.count
        return value
    }

    private mutating func number() throws(CanonicalJSONError) -> Int64 {
        let start = at
        while let byte = next, byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte) { at += 1 }
        guard let number = Int64(String(decoding: bytes[start..<at], as: UTF8.self)) else { throw flaw }
        return number
    }

    private mutating func take(_ character: UInt8) -> Bool {
        guard next == character else { return false }
        at += 1
        return true
    }

    private mutating func items(depth: Int) throws(CanonicalJSONError) -> [CanonicalJSON] {
        guard depth > 0 else { throw flaw }
        at += 1
        var items: [CanonicalJSON] = []
        if take(UInt8(ascii: "]")) { return items }
        repeat { items.append(try value(depth: depth - 1)) } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw flaw }
        return items
    }

    private mutating func members(depth: Int) throws(CanonicalJSONError) -> [CanonicalJSON.Member] {
        guard depth > 0 else { throw flaw }
        at += 1
        var members: [CanonicalJSON.Member] = []
        if take(UInt8(ascii: "}")) { return members }
        repeat {
            guard next == UInt8(ascii: "\"") else { throw flaw }
            let name = try text()
            if let last = members.last, !last.name.utf8.lexicographicallyPrecedes(name.utf8) { throw flaw }
            guard take(UInt8(ascii: ":")) else { throw flaw }
            members.append(CanonicalJSON.Member(name: name, value: try value(depth: depth - 1)))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw flaw }
        return members
    }

    private mutating func text() throws(CanonicalJSONError) -> String {
        at += 1
        var content: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw flaw }
                return text
            case UInt8(ascii: "\\"): content.append(try escaped())
            default: content.append(byte)
            }
        }
        throw flaw
    }

    private mutating func escaped() throws(CanonicalJSONError) -> UInt8 {
        guard let byte = next else { throw flaw }
        at += 1
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return byte }
        guard byte == UInt8(ascii: "u"), bytes.endIndex - at >= 4,
            let code = UInt8(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16), code < 0x20
        else { throw flaw }
        at += 4
        return code
    }
}
