internal import Exchange
internal import HTTPTypes
internal import Units

/// A JSON object's members, read one by one with their ranges. Whatever is wrong is named.
struct Fields {
    private let members: [String: JSONValue]
    /// What stands before the members' names in messages: `peg.`, or nothing.
    private let path: String

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
        try self.init(members, known: known, path: "")
    }

    private init(_ members: [JSONValue.Member], known: Set<String>, path: String) throws(Problem) {
        for member in members where !known.contains(member.name) {
            throw Problem(
                .unprocessableContent, "fieldUnknown",
                "There is no such field here. Known: \(known.sorted().joined(separator: ", ")).",
                field: path + member.name.prefix(64))
        }
        self.members = Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
        self.path = path
    }

    /// nil when it is absent or null.
    func value(_ name: String) -> JSONValue? {
        guard let value = members[name], value != .null else { return nil }
        return value
    }

    private func required<T>(_ name: String, _ value: T?) throws(Problem) -> T {
        guard let value else { throw flaw(name, "fieldMissing", "This field is required.") }
        return value
    }

    /// A refusal of one of the members.
    func flaw(_ name: String, _ code: String, _ detail: String) -> Problem {
        Problem(.unprocessableContent, code, detail, field: path + name)
    }

    private func wrongType(_ name: String, _ expected: String, _ value: JSONValue) -> Problem {
        flaw(name, "fieldWrongType", "This must be \(expected), not \(value.kind).")
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
            throw flaw(name, "fieldNotInteger", "This must be an integer, written without fraction or exponent.")
        }
        guard let number = Int64(digits), range.contains(number) else {
            throw flaw(name, "fieldOutOfRange", "This must be \(range.lowerBound) to \(range.upperBound).")
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
            throw flaw(
                name, "fieldWrongLength", "This must have \(bytes.lowerBound) to \(bytes.upperBound) bytes of UTF-8.")
        }
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw flaw(name, "fieldHasControlCharacters", "This must have no control characters.")
        }
        return text
    }

    /// An array of so many strings of at most 64 bytes, without control characters; nil when it is absent or null.
    func texts(_ name: String, count: ClosedRange<Int>) throws(Problem) -> [String]? {
        guard let value = value(name) else { return nil }
        guard case .array(let items) = value else { throw wrongType(name, "an array of strings", value) }
        guard count.contains(items.count) else {
            throw flaw(name, "fieldWrongLength", "This must have \(count.lowerBound) to \(count.upperBound) items.")
        }
        var texts: [String] = []
        for (index, item) in items.enumerated() {
            guard case .string(let text) = item else { throw wrongType("\(name)[\(index)]", "a string", item) }
            guard text.utf8.count <= 64, text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
                throw flaw("\(name)[\(index)]", "fieldWrongLength", "This must have at most 64 bytes and no control characters.")
            }
            texts.append(text)
        }
        return texts
    }

    func choice<T>(_ name: String, _ choices: [String: T]) throws(Problem) -> T? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
        guard let choice = choices[text] else {
            throw flaw(name, "fieldOutOfRange", "This must be one of \(choices.keys.sorted().joined(separator: ", ")).")
        }
        return choice
    }

    // MARK: - Flags and times

    func flag(_ name: String) throws(Problem) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw wrongType(name, "a boolean", value) }
        return flag
    }

    /// A time as RFC 3339 writes it, in UTC.
    func time(_ name: String) throws(Problem) -> Timestamp {
        try required(name, optionalTime(name))
    }

    func optionalTime(_ name: String) throws(Problem) -> Timestamp? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
        guard let time = Timestamp(rfc3339: text) else {
            throw flaw(name, "fieldNotTime", "This must be a time in UTC as RFC 3339 has it, such as 2026-01-31T12:00:00Z.")
        }
        return time
    }

    /// A time of day, `00:00` to `24:00`, in minutes.
    func minuteOfDay(_ name: String) throws(Problem) -> Int64 {
        let value = try required(name, value(name))
        guard case .string(let text) = value else { throw wrongType(name, "a string", value) }
        guard let minute = TimeOfDay.minute(text) else {
            throw flaw(name, "fieldNotTimeOfDay", "This must be a time of day in UTC from 00:00 to 24:00, such as 06:30.")
        }
        return minute
    }

    // MARK: - Objects

    /// The members of an object in this one, no others than `known`.
    func object(_ name: String, _ known: Set<String>) throws(Problem) -> Fields? {
        guard let value = value(name) else { return nil }
        return try object(value, name, known)
    }

    func objects(_ name: String, _ known: Set<String>) throws(Problem) -> [Fields]? {
        guard let value = value(name) else { return nil }
        guard case .array(let items) = value else { throw wrongType(name, "an array of objects", value) }
        var objects: [Fields] = []
        for (index, item) in items.enumerated() { objects.append(try object(item, "\(name)[\(index)]", known)) }
        return objects
    }

    private func object(_ value: JSONValue, _ name: String, _ known: Set<String>) throws(Problem) -> Fields {
        guard case .object(let members) = value else { throw wrongType(name, "an object", value) }
        return try Fields(members, known: known, path: "\(path)\(name).")
    }

    // MARK: - Absent or null

    /// Refuses null for fields that must have a value if they are there.
    func checkNotNull(_ names: Set<String>) throws(Problem) {
        for name in names.sorted() where members[name] == .null { throw wrongType(name, "a value", .null) }
    }

    /// Refuses the absence of a field that may be null.
    func checkPresent(_ name: String) throws(Problem) { _ = try required(name, members[name]) }

    /// What to do with a field that may be cleared: keep it when it is absent, clear it when it is null.
    func change<T>(_ name: String, _ value: T?) -> Change<T> {
        if let value { return .set(value) }
        return members[name] == nil ? .keep : .clear
    }
}
