internal import HTTPTypes

/// A JSON object's members, read one by one with their ranges. Whatever is wrong is named.
struct Fields {
    private let members: [String: JSONValue]

    /// Takes a body that is an object with no other members than `known`.
    init(_ body: [UInt8], known: Set<String>) throws(Problem) {
        let value: JSONValue
        do { value = try JSONReader.read(body, depthLimit: Limits.jsonDepth) } catch {
            throw Problem(
                .badRequest, error.isTooDeep ? "jsonTooDeep" : "jsonMalformed",
                "The body is not acceptable JSON: \(error.reason), at byte \(error.offset).", position: error.offset)
        }
        guard case .object(let members) = value else {
            throw Problem(.unprocessableContent, "bodyNotObject", "The body must be an object, not \(value.kind).")
        }
        for member in members where !known.contains(member.name) {
            let name = String(member.name.prefix(64))
            throw Problem(
                .unprocessableContent, "fieldUnknown",
                "There is no such field here. Known: \(known.sorted().joined(separator: ", ")).", field: name)
        }
        self.members = Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// nil when it is absent or null.
    func value(_ name: String) -> JSONValue? {
        guard let value = members[name], value != .null else { return nil }
        return value
    }

    private func required<T>(_ name: String, _ value: T?) throws(Problem) -> T {
        guard let value else { throw Problem(.unprocessableContent, "fieldMissing", "This field is required.", field: name) }
        return value
    }

    private func wrongType(_ name: String, _ expected: String, _ value: JSONValue) -> Problem {
        Problem(
            .unprocessableContent, "fieldWrongType", "This must be \(expected), not \(value.kind).", field: name)
    }

    // MARK: - Numbers

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64 {
        try required(name, optionalInteger(name, in: range))
    }

    func optionalInteger(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let value = value(name) else { return nil }
        return try integer(value, name, in: range)
    }

    private func integer(_ value: JSONValue, _ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64 {
        guard case .number(let digits) = value else { throw wrongType(name, "an integer", value) }
        guard digits.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || (0x30...0x39).contains($0) }) else {
            throw Problem(
                .unprocessableContent, "fieldNotInteger",
                "This must be an integer, written without fraction or exponent.", field: name)
        }
        guard let number = Int64(digits), range.contains(number) else {
            throw Problem(
                .unprocessableContent, "fieldOutOfRange",
                "This must be \(range.lowerBound) to \(range.upperBound).", field: name)
        }
        return number
    }

    func integers(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> [Int64] {
        let value = try required(name, value(name))
        guard case .array(let items) = value else { throw wrongType(name, "an array of integers", value) }
        var numbers: [Int64] = []
        for (index, item) in items.enumerated() { numbers.append(try integer(item, "\(name)[\(index)]", in: range)) }
        return numbers
    }

    // MARK: - Text

    /// Text without control characters, of so many UTF-8 bytes.
    func text(_ name: String, bytes: ClosedRange<Int>) throws(Problem) -> String {
        try required(name, optionalText(name, bytes: bytes))
    }

    func optionalText(_ name: String, bytes: ClosedRange<Int>) throws(Problem) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
        guard bytes.contains(text.utf8.count) else {
            throw Problem(
                .unprocessableContent, "fieldWrongLength",
                "This must have \(bytes.lowerBound) to \(bytes.upperBound) bytes of UTF-8.", field: name)
        }
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw Problem(
                .unprocessableContent, "fieldHasControlCharacters", "This must have no control characters.", field: name)
        }
        return text
    }

    func choice<T>(_ name: String, _ choices: [String: T]) throws(Problem) -> T? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
        guard let choice = choices[text] else {
            throw Problem(
                .unprocessableContent, "fieldOutOfRange",
                "This must be one of \(choices.keys.sorted().joined(separator: ", ")).", field: name)
        }
        return choice
    }
}
