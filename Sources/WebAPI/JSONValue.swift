/// A JSON text as it was written: numbers keep their digits, objects their order.
enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Hashable, Sendable {
        var name: String
        var value: JSONValue
    }

    /// What it is, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// Where and why a text is not JSON.
struct JSONSyntaxError: Error, Hashable, Sendable {
    /// Bytes before the flaw.
    var offset: Int
    var reason: String
    var isTooDeep = false
}

/// Reads RFC 8259 texts: strictly, whole, to a bounded depth, without duplicate names.
struct JSONReader {
    private let bytes: [UInt8]
    private let depthLimit: Int
    private var offset = 0

    static func read(_ bytes: [UInt8], depthLimit: Int) throws(JSONSyntaxError) -> JSONValue {
        if let flaw = UTF8Check.firstFlaw(in: bytes) {
            throw JSONSyntaxError(offset: flaw, reason: "the text is not UTF-8")
        }
        var reader = JSONReader(bytes: bytes, depthLimit: depthLimit)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.offset == bytes.count else { throw reader.flaw("something follows the value") }
        return value
    }

    private init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private func flaw(_ reason: String) -> JSONSyntaxError { JSONSyntaxError(offset: offset, reason: reason) }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { offset += 1 }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        offset += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        skipSpace()
        guard let byte = next else { throw flaw("the text ends where a value is expected") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw flaw("a value is expected")
        }
    }

    private func checkDepth(_ depth: Int) throws(JSONSyntaxError) {
        guard depth <= depthLimit else {
            throw JSONSyntaxError(offset: offset, reason: "nested deeper than \(depthLimit)", isTooDeep: true)
        }
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try checkDepth(depth)
        offset += 1
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipSpace()
        if skip(UInt8(ascii: "}")) { return .object([]) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw flaw("a member's name is expected") }
            let start = offset
            let name = try string()
            guard names.insert(name).inserted else {
                throw JSONSyntaxError(offset: start, reason: "a name occurs twice in an object")
            }
            skipSpace()
            guard skip(UInt8(ascii: ":")) else { throw flaw("a colon is expected") }
            members.append(JSONValue.Member(name: name, value: try value(depth: depth)))
            skipSpace()
        } while skip(UInt8(ascii: ","))
        guard skip(UInt8(ascii: "}")) else { throw flaw("a comma or } is expected") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try checkDepth(depth)
        offset += 1
        var items: [JSONValue] = []
        skipSpace()
        if skip(UInt8(ascii: "]")) { return .array([]) }
        repeat {
            items.append(try value(depth: depth))
            skipSpace()
        } while skip(UInt8(ascii: ","))
        guard skip(UInt8(ascii: "]")) else { throw flaw("a comma or ] is expected") }
        return .array(items)
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONSyntaxError) -> JSONValue {
        for byte in "\(word)".utf8 {
            guard skip(byte) else { throw flaw("a value is expected") }
        }
        return value
    }

    // MARK: - Numbers

    private mutating func number() throws(JSONSyntaxError) -> String {
        let start = offset
        _ = skip(UInt8(ascii: "-"))
        if !skip(UInt8(ascii: "0")) { try digits() }
        if skip(UInt8(ascii: ".")) { try digits() }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            if !skip(UInt8(ascii: "+")) { _ = skip(UInt8(ascii: "-")) }
            try digits()
        }
        if let byte = next, isDigit(byte) { throw flaw("a number does not start with 0") }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONSyntaxError) {
        guard let first = next, isDigit(first) else { throw flaw("a digit is expected") }
        while let byte = next, isDigit(byte) { offset += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    // MARK: - Strings

    private mutating func string() throws(JSONSyntaxError) -> String {
        offset += 1
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                offset += 1
                try escape(into: &text)
            case 0..<0x20:
                throw flaw("a control character in a string must be escaped")
            default:
                text.append(byte)
                offset += 1
            }
        }
        throw flaw("the text ends within a string")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = next else { throw flaw("the text ends within a string") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            text.append(contentsOf: String(try escapedScalar()).utf8)
            return
        default: throw flaw("no such escape")
        }
        offset += 1
    }

    private mutating func escapedScalar() throws(JSONSyntaxError) -> Character {
        let start = offset
        var code = UInt32(try codeUnit())
        if (0xd800..<0xdc00).contains(code), skip(UInt8(ascii: "\\")), next == UInt8(ascii: "u") {
            let low = UInt32(try codeUnit())
            if (0xdc00..<0xe000).contains(low) { code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00) }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONSyntaxError(offset: start, reason: "half of a surrogate pair")
        }
        return Character(scalar)
    }

    /// Four hexadecimal digits after the `u` at the offset.
    private mutating func codeUnit() throws(JSONSyntaxError) -> UInt16 {
        offset += 1
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw flaw("four hexadecimal digits are expected")
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }
}

enum UTF8Check {
    /// The offset of the first byte that is not UTF-8; nil when all is well.
    static func firstFlaw(in bytes: [UInt8]) -> Int? {
        if String(validating: bytes, as: UTF8.self) != nil { return nil }
        var parser = Unicode.UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var offset = 0
        while true {
            switch parser.parseScalar(from: &rest) {
            case .valid(let scalar): offset += scalar.count
            case .error: return offset
            case .emptyInput: return nil
            }
        }
    }
}
