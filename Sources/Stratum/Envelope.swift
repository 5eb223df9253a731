/// A message's id, to be echoed as it came. Ids need not be unique and may be numbers, strings or null.
public enum MessageID: Hashable, Sendable {
    case null
    /// An integer in its shortest form.
    case number(Int64)
    /// Any other literal as it was written, quotes and escapes included; at most 128 bytes.
    case literal([UInt8])

    static let maximalBytes = 128
}

/// The members of one message, found in any order; values are ranges of the line, already checked for syntax.
struct Envelope {
    var json: JSON
    var id: MessageID?
    var method: Range<Int>?
    var parameters: Range<Int>?
    var result: Range<Int>?
    var error: Range<Int>?

    /// - Parameter line: one line, with or without its end
    init(_ line: UnsafeRawBufferPointer, limit: Int) throws(WireError) {
        guard line.count <= limit else { throw .lineTooLong }
        json = JSON(line)
        guard json.take(UInt8(ascii: "{")) else { throw .notJSON }
        if !json.take(UInt8(ascii: "}")) {
            repeat { try readMember() } while json.take(UInt8(ascii: ","))
            try json.expect(UInt8(ascii: "}"))
        }
        guard json.peek() == nil else { throw .notJSON }
    }

    private mutating func readMember() throws(WireError) {
        let key = try json.skipKey()
        // The message itself is the first level.
        let value = try json.skipValue(depth: 1)
        if json.matches(key, "id") {
            id = try readID(value)
        } else if json.matches(key, "method") {
            guard let text = stringRange(value) else {
                guard json.matches(value, "null") else { throw .invalid(.method) }
                return
            }
            method = text
        } else if json.matches(key, "params") {
            parameters = value
        } else if json.matches(key, "result") {
            result = value
        } else if json.matches(key, "error") {
            error = value
        }
    }

    private func readID(_ range: Range<Int>) throws(WireError) -> MessageID {
        guard range.count <= MessageID.maximalBytes else { throw .tooLong }
        let literal = UnsafeRawBufferPointer(rebasing: json.bytes[range])
        switch literal.first {
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "t"), UInt8(ascii: "f"): throw .invalid(.id)
        default: break
        }
        if let number = Envelope.shortInteger(literal) { return .number(number) }
        // It goes back as it came, and what goes out is UTF-8.
        guard String(validating: literal, as: UTF8.self) != nil else { throw .invalid(.id) }
        return .literal(Array(literal))
    }

    /// An integer of up to 18 digits that is written as we would write it.
    private static func shortInteger(_ literal: UnsafeRawBufferPointer) -> Int64? {
        guard (1...18).contains(literal.count), literal.count == 1 || literal[0] != 0x30 else { return nil }
        var value: Int64 = 0
        for c in literal {
            guard (0x30...0x39).contains(c) else { return nil }
            value = value * 10 + Int64(c - 0x30)
        }
        return value
    }

    /// The inside of a string value; nil for other values.
    func stringRange(_ value: Range<Int>) -> Range<Int>? {
        guard value.count >= 2, json.bytes[value.lowerBound] == UInt8(ascii: "\"") else { return nil }
        return (value.lowerBound + 1)..<(value.upperBound - 1)
    }

    /// True when the method is this one.
    func isMethod(_ name: StaticString) -> Bool { method.map { json.matches($0, name) } ?? false }

    /// A reader of the parameters; messages without any have an empty list.
    func parameterReader() throws(WireError) -> ParameterReader {
        guard let parameters, !json.matches(parameters, "null") else { return ParameterReader(empty: json.bytes) }
        return try ParameterReader(json.bytes, parameters)
    }

    /// True when there is a result and it is not null, false or absent, and no error is stated.
    var isSuccess: Bool {
        guard let result, !hasError else { return false }
        return !json.matches(result, "null") && !json.matches(result, "false")
    }

    var hasError: Bool {
        guard let error else { return false }
        return !json.matches(error, "null") && !json.matches(error, "[]") && !json.matches(error, "false")
    }

    /// The error as stated: `[code, text, ...]`, `{"code":..., "message":...}` or a plain text.
    func statedError() -> StratumError {
        guard let error, hasError else { return .other("Refused") }
        return ErrorReader(json.bytes, error).read()
    }
}
