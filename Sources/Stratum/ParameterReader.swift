public import Units

/// Reads an array's elements one after the other, each checked against what it has to be.
struct ParameterReader {
    private var json: JSON
    private(set) var isAtEnd: Bool
    private var isFirst = true

    /// - Parameter range: a value that was skipped, so its syntax is known to be right
    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(WireError) {
        json = JSON(bytes, range)
        isAtEnd = false
        guard json.take(UInt8(ascii: "[")) else { throw .wrongType }
        if json.take(UInt8(ascii: "]")) { isAtEnd = true }
    }

    init(empty bytes: UnsafeRawBufferPointer) {
        json = JSON(bytes, 0..<0)
        isAtEnd = true
    }

    /// The next element's range.
    mutating func next() throws(WireError) -> Range<Int> {
        guard !isAtEnd else { throw .missingParameter }
        let value = try json.skipValue()
        if !json.take(UInt8(ascii: ",")) { isAtEnd = true }
        return value
    }

    /// The next element if it is a string: the inside of its quotes.
    private mutating func nextString() throws(WireError) -> Range<Int> {
        let value = try next()
        guard let text = inside(value) else { throw .wrongType }
        return text
    }

    private func inside(_ value: Range<Int>) -> Range<Int>? {
        guard value.count >= 2, json.bytes[value.lowerBound] == UInt8(ascii: "\"") else { return nil }
        return (value.lowerBound + 1)..<(value.upperBound - 1)
    }

    private func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: json.bytes[range])
    }

    /// - Parameter limit: in bytes, as written and as read: repaired UTF-8 is longer
    mutating func string(limit: Int) throws(WireError) -> String {
        let range = try nextString()
        guard range.count <= limit else { throw .tooLong }
        let text = json.text(range)
        guard text.utf8.count <= limit else { throw .tooLong }
        return text
    }

    /// A string; null, another kind of value or nothing at all is nil. Longer strings are cut.
    mutating func lenientString(limit: Int) throws(WireError) -> String? {
        guard !isAtEnd else { return nil }
        guard let range = inside(try next()) else { return nil }
        return json.text(range).cut(toBytes: limit)
    }

    mutating func hexBytes(limit: Int, _ field: WireError.Field) throws(WireError) -> [UInt8] {
        let range = try nextString()
        guard range.count <= 2 * max(0, limit), let bytes = Hex.bytes(slice(range)) else { throw .invalid(field) }
        return bytes
    }

    /// 32 bytes in the order written.
    mutating func hash(_ field: WireError.Field) throws(WireError) -> Hash256 {
        guard let hash = Hash256(bytes: try hexBytes(limit: Hash256.byteCount, field)) else { throw .invalid(field) }
        return hash
    }

    mutating func hashes(limit: Int, _ field: WireError.Field) throws(WireError) -> [Hash256] {
        var list = try ParameterReader(json.bytes, try next())
        var hashes: [Hash256] = []
        while !list.isAtEnd {
            guard hashes.count < limit else { throw .invalid(field) }
            hashes.append(try list.hash(field))
        }
        return hashes
    }

    /// A 32-bit number in hex: 8 digits, or up to 8 when it may be unpadded.
    mutating func word(_ field: WireError.Field, padded: Bool = true) throws(WireError) -> UInt32 {
        try word(inside: try nextString(), field, padded: padded)
    }

    /// As ``word(_:padded:)``, with up to 8 digits; null is nil.
    mutating func optionalWord(_ field: WireError.Field) throws(WireError) -> UInt32? {
        let value = try next()
        if json.matches(value, "null") { return nil }
        guard let range = inside(value) else { throw .wrongType }
        return try word(inside: range, field, padded: false)
    }

    private func word(inside range: Range<Int>, _ field: WireError.Field, padded: Bool) throws(WireError) -> UInt32 {
        guard !padded || range.count == 8, let word = Hex.word(slice(range)) else { throw .invalid(field) }
        return word
    }

    /// true, false, or what some pools write instead: 1, 0.
    mutating func bool() throws(WireError) -> Bool {
        let value = try next()
        if json.matches(value, "true") || json.matches(value, "1") { return true }
        guard json.matches(value, "false") || json.matches(value, "0") else { throw .wrongType }
        return false
    }

    /// A small number, bare or quoted.
    mutating func integer(in range: ClosedRange<Int>, _ field: WireError.Field) throws(WireError) -> Int {
        let value = try next()
        guard let text = Int(json.text(inside(value) ?? value)), range.contains(text) else { throw .invalid(field) }
        return text
    }

    /// A difficulty, bare or quoted.
    mutating func difficulty() throws(WireError) -> DecimalDifficulty {
        let value = try next()
        guard let difficulty = DecimalDifficulty(literal: slice(inside(value) ?? value)) else {
            throw .invalid(.difficulty)
        }
        return difficulty
    }

    /// A target of 64 hex digits, most significant first.
    mutating func target() throws(WireError) -> Target {
        let bytes = try hexBytes(limit: 32, .target)
        guard let hash = Hash256(bytes: bytes.reversed()), hash.number != .zero else { throw .invalid(.target) }
        return hash.number
    }

    /// The next element as an array of its own.
    mutating func list() throws(WireError) -> ParameterReader { try ParameterReader(json.bytes, try next()) }

    /// The next element's members, if it is an object: calls `body` with each key and value.
    mutating func object(_ body: (JSON, Range<Int>, Range<Int>) throws(WireError) -> Void) throws(WireError) {
        var inner = JSON(json.bytes, try next())
        guard inner.take(UInt8(ascii: "{")) else { throw .wrongType }
        if inner.take(UInt8(ascii: "}")) { return }
        repeat {
            let key = try inner.skipKey()
            let value = try inner.skipValue()
            try body(inner, key, value)
        } while inner.take(UInt8(ascii: ","))
    }
}

extension DecimalDifficulty {
    /// Reads a JSON number, exactly where 18 decimal places and 64 bits hold it; further decimal places are cut off, so
    /// that the difficulty read is never above the one stated. nil when it is not a number, not above zero, or too large.
    public init?(literal: some Collection<UInt8>) {
        var digits: [UInt8] = []
        var exponent = 0
        var seenPoint = false, seenDigit = false
        var rest = literal[...]
        while let c = rest.first, c == UInt8(ascii: ".") || (0x30...0x39).contains(c) {
            rest = rest.dropFirst()
            if c == UInt8(ascii: ".") {
                guard !seenPoint else { return nil }
                seenPoint = true
                continue
            }
            seenDigit = true
            if seenPoint { exponent -= 1 }
            if !digits.isEmpty || c != 0x30 { digits.append(c - 0x30) }
            guard digits.count <= 400 else { return nil }
        }
        guard seenDigit, let power = Self.exponent(rest) else { return nil }
        self.init(digits: digits, exponent: exponent + power)
    }

    /// The value of `e-3`; 0 for nothing; nil for anything else or beyond ±400.
    private static func exponent(_ text: some Collection<UInt8>) -> Int? {
        guard let mark = text.first else { return 0 }
        guard mark | 0x20 == UInt8(ascii: "e") else { return nil }
        var digits = text.dropFirst()
        let sign = digits.first
        if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { digits = digits.dropFirst() }
        guard !digits.isEmpty else { return nil }
        var value = 0
        for c in digits {
            guard (0x30...0x39).contains(c) else { return nil }
            value = value * 10 + Int(c - 0x30)
            guard value <= 400 else { return nil }
        }
        return sign == UInt8(ascii: "-") ? -value : value
    }

    /// digits x 10^exponent.
    private init?(digits: [UInt8], exponent: Int) {
        var digits = digits, exponent = exponent
        while exponent < 0, digits.last == 0 || exponent < -18 {
            guard !digits.isEmpty else { return nil }
            digits.removeLast()
            exponent += 1
        }
        guard digits.count + max(0, exponent) <= 20 else {
            // More than 64 bits: give up decimal places, never the whole part.
            guard exponent < 0, digits.count + exponent <= 19 else { return nil }
            self.init(digits: digits.dropLast(), exponent: exponent + 1)
            return
        }
        var mantissa: UInt64 = 0
        for digit in digits + Array(repeating: 0, count: max(0, exponent)) {
            let (product, over) = mantissa.multipliedReportingOverflow(by: 10)
            let (sum, over2) = product.addingReportingOverflow(UInt64(digit))
            if over || over2 {
                guard exponent < 0 else { return nil }
                self.init(digits: digits.dropLast(), exponent: exponent + 1)
                return
            }
            mantissa = sum
        }
        self.init(mantissa: mantissa, scale: max(0, -exponent))
    }
}

/// Reads the three shapes in which pools state errors.
struct ErrorReader {
    private let json: JSON
    private let range: Range<Int>

    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        json = JSON(bytes, range)
        self.range = range
    }

    func read() -> StratumError {
        if let error = try? readList() { return error }
        if let error = try? readObject() { return error }
        return .other(json.text(range).cut(toBytes: 200))
    }

    private func readList() throws(WireError) -> StratumError {
        var list = try ParameterReader(json.bytes, range)
        let code = try list.integer(in: -1_000_000...1_000_000, .id)
        return StratumError(code: code, text: try list.lenientString(limit: 200) ?? "")
    }

    private func readObject() throws(WireError) -> StratumError {
        var error = StratumError.other("")
        var inner = json
        guard inner.take(UInt8(ascii: "{")) else { throw .wrongType }
        if inner.take(UInt8(ascii: "}")) { return error }
        repeat {
            let key = try inner.skipKey()
            let value = try inner.skipValue()
            if inner.matches(key, "code") { error.code = Int(inner.text(value)) ?? 20 }
            if inner.matches(key, "message"), value.count >= 2 {
                error.text = inner.text((value.lowerBound + 1)..<(value.upperBound - 1)).cut(toBytes: 200)
            }
        } while inner.take(UInt8(ascii: ","))
        return error
    }
}

extension String {
    /// The text itself, or as many of its first characters as these bytes hold.
    func cut(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: limit)
        while String.UnicodeScalarView.Index(end, within: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(unicodeScalars[..<end])
    }
}
