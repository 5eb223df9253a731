/// A scanner over one line of JSON (RFC 8259) that never reads outside it, allocates nothing and builds no tree.
///
/// Every read goes through ``byte``, which is nil at the end. Numbers, strings and whole values come back as ranges.
struct JSON {
    /// Values nested deeper are refused.
    static let maximalDepth = 16

    let bytes: UnsafeRawBufferPointer
    var at: Int
    let end: Int

    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(bytes, 0..<bytes.count)
    }

    /// - Parameter range: within `bytes`; a value that was skipped before
    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = min(range.upperBound, bytes.count)
    }

    /// The byte at the cursor; nil at the end.
    var byte: UInt8? { at < end ? bytes[at] : nil }

    mutating func skipWhitespace() {
        while let c = byte, c == 0x20 || c == 0x09 || c == 0x0d || c == 0x0a { at += 1 }
    }

    /// The next byte that is not whitespace, without taking it.
    mutating func peek() -> UInt8? {
        skipWhitespace()
        return byte
    }

    /// Takes `expected` after whitespace, if it is next.
    mutating func take(_ expected: UInt8) -> Bool {
        guard peek() == expected else { return false }
        at += 1
        return true
    }

    mutating func expect(_ expected: UInt8) throws(WireError) {
        guard take(expected) else { throw .notJSON }
    }

    /// Passes one whole value, checking its syntax, and returns where it lies.
    mutating func skipValue(depth: Int = 0) throws(WireError) -> Range<Int> {
        guard depth < JSON.maximalDepth else { throw .tooDeep }
        let first = peek()
        let start = at
        switch first {
        case UInt8(ascii: "\""): _ = try skipString()
        case UInt8(ascii: "["): try skipArray(depth: depth)
        case UInt8(ascii: "{"): try skipObject(depth: depth)
        case UInt8(ascii: "t"): try skipWord("true")
        case UInt8(ascii: "f"): try skipWord("false")
        case UInt8(ascii: "n"): try skipWord("null")
        default: try skipNumber()
        }
        return start..<at
    }

    private mutating func skipArray(depth: Int) throws(WireError) {
        at += 1
        if take(UInt8(ascii: "]")) { return }
        repeat { _ = try skipValue(depth: depth + 1) } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
    }

    private mutating func skipObject(depth: Int) throws(WireError) {
        at += 1
        if take(UInt8(ascii: "}")) { return }
        repeat {
            _ = try skipKey()
            _ = try skipValue(depth: depth + 1)
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    /// Passes `"key" :` and returns the key's range, without the quotes.
    mutating func skipKey() throws(WireError) -> Range<Int> {
        guard peek() == UInt8(ascii: "\"") else { throw .notJSON }
        let key = try skipString()
        try expect(UInt8(ascii: ":"))
        return key
    }

    /// Passes a string; the cursor is at its opening quote. Returns what is between the quotes.
    mutating func skipString() throws(WireError) -> Range<Int> {
        at += 1
        let start = at
        while let c = byte {
            at += 1
            if c == UInt8(ascii: "\"") { return start..<(at - 1) }
            guard c >= 0x20 else { throw .notJSON }
            if c == UInt8(ascii: "\\") { try skipEscape() }
        }
        throw .notJSON
    }

    private mutating func skipEscape() throws(WireError) {
        guard let c = byte else { throw .notJSON }
        at += 1
        switch c {
        case UInt8(ascii: "u"):
            for _ in 0..<4 {
                guard let digit = byte, Hex.value(digit) != nil else { throw .notJSON }
                at += 1
            }
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return
        default: throw .notJSON
        }
    }

    private mutating func skipWord(_ word: StaticString) throws(WireError) {
        for i in 0..<word.utf8CodeUnitCount {
            guard byte == word.utf8Start[i] else { throw .notJSON }
            at += 1
        }
    }

    private mutating func skipNumber() throws(WireError) {
        if byte == UInt8(ascii: "-") { at += 1 }
        // No digit follows a leading zero: ids go back as they came, and 04 is no JSON.
        if byte == UInt8(ascii: "0") { at += 1 } else { try skipDigits() }
        if byte == UInt8(ascii: ".") {
            at += 1
            try skipDigits()
        }
        guard byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") else { return }
        at += 1
        if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
        try skipDigits()
    }

    private mutating func skipDigits() throws(WireError) {
        let start = at
        while let c = byte, (0x30...0x39).contains(c) { at += 1 }
        guard at > start else { throw .notJSON }
    }

    /// True when the bytes of `range` are exactly `text`.
    func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount, range.upperBound <= bytes.count else { return false }
        for i in 0..<range.count where bytes[range.lowerBound + i] != text.utf8Start[i] { return false }
        return true
    }

    /// The text of a skipped string (its range is without quotes), with escapes resolved and bad UTF-8 repaired.
    func text(_ range: Range<Int>) -> String {
        let slice = UnsafeRawBufferPointer(rebasing: bytes[range])
        guard slice.contains(UInt8(ascii: "\\")) else { return String(decoding: slice, as: UTF8.self) }
        return String(decoding: JSON.unescape(slice), as: UTF16.self)
    }

    /// UTF-16 of a checked string: escapes above the basic plane are written as surrogate pairs.
    private static func unescape(_ slice: UnsafeRawBufferPointer) -> [UInt16] {
        var units: [UInt16] = []
        units.reserveCapacity(slice.count)
        var i = 0
        while i < slice.count {
            let run = slice[i...].prefix { $0 != UInt8(ascii: "\\") }
            units.append(contentsOf: String(decoding: run, as: UTF8.self).utf16)
            i += run.count
            guard i + 1 < slice.count else { break }
            let (unit, length) = escape(slice, at: i + 1)
            units.append(unit)
            i += 1 + length
        }
        return units
    }

    /// The unit an escape stands for and its length after the backslash.
    private static func escape(_ slice: UnsafeRawBufferPointer, at i: Int) -> (UInt16, Int) {
        switch slice[i] {
        case UInt8(ascii: "b"): return (0x08, 1)
        case UInt8(ascii: "f"): return (0x0c, 1)
        case UInt8(ascii: "n"): return (0x0a, 1)
        case UInt8(ascii: "r"): return (0x0d, 1)
        case UInt8(ascii: "t"): return (0x09, 1)
        case UInt8(ascii: "u"):
            let digits = slice[(i + 1)...].prefix(4)
            return (digits.reduce(0) { $0 << 4 | UInt16(Hex.value($1) ?? 0) }, 1 + digits.count)
        case let other: return (UInt16(other), 1)
        }
    }
}

/// Hexadecimal digits.
enum Hex {
    /// A digit's value, 0...15; either case.
    static func value(_ c: UInt8) -> UInt8? {
        switch c {
        case 0x30...0x39: c - 0x30
        case 0x41...0x46: c - 0x41 + 10
        case 0x61...0x66: c - 0x61 + 10
        default: nil
        }
    }

    /// nil on an odd number of digits or anything else than digits.
    static func bytes(_ digits: UnsafeRawBufferPointer) -> [UInt8]? {
        guard digits.count.isMultiple(of: 2) else { return nil }
        var valid = true
        let result = [UInt8](unsafeUninitializedCapacity: digits.count / 2) { buffer, count in
            for i in 0..<digits.count / 2 {
                guard let high = value(digits[2 * i]), let low = value(digits[2 * i + 1]) else {
                    valid = false
                    return
                }
                buffer[i] = high << 4 | low
                count = i + 1
            }
        }
        return valid ? result : nil
    }

    /// A 32-bit number of 1...8 digits, most significant first.
    static func word(_ digits: UnsafeRawBufferPointer) -> UInt32? {
        guard (1...8).contains(digits.count) else { return nil }
        var word: UInt32 = 0
        for c in digits {
            guard let v = value(c) else { return nil }
            word = word << 4 | UInt32(v)
        }
        return word
    }

    static func append(_ byte: UInt8, to out: inout [UInt8]) {
        out.append(digit(byte >> 4))
        out.append(digit(byte & 15))
    }

    static func append(word: UInt32, to out: inout [UInt8]) {
        for shift in [24, 16, 8, 0] { append(UInt8(truncatingIfNeeded: word >> UInt32(shift)), to: &out) }
    }

    private static func digit(_ v: UInt8) -> UInt8 { v < 10 ? 0x30 + v : 0x61 + v - 10 }
}
