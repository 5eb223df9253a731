internal import CPostgres

/// The types this interface carries, by their fixed ids in `pg_type.dat`.
enum PostgresType {
    case bool, int2, int4, int8, oid
    case bytea
    /// Text whose binary form is its bytes.
    case text
    case jsonb
    case numeric
    case void
    /// Parameters travel as text; results cannot be read.
    case other

    init(oid: Oid) {
        switch oid {
        case 16: self = .bool
        case 21: self = .int2
        case 23: self = .int4
        case 20: self = .int8
        case 26: self = .oid
        case 17: self = .bytea
        case 18, 19, 25, 114, 705, 1042, 1043: self = .text
        case 3802: self = .jsonb
        case 1700: self = .numeric
        case 2278: self = .void
        default: self = .other
        }
    }

    /// Whether values are written in binary; others as text, which the server reads.
    var isBinary: Bool {
        switch self {
        case .bool, .int2, .int4, .int8, .oid, .bytea, .text: true
        case .jsonb, .numeric, .void, .other: false
        }
    }

    /// Nil for a type that cannot be read, or bytes that are not of the type.
    func decode(_ bytes: UnsafeRawBufferPointer) -> SQLValue? {
        switch self {
        case .bool: bytes.count == 1 ? .integer(bytes[0] == 0 ? 0 : 1) : nil
        case .int2: Self.integer(bytes, Int16.self)
        case .int4: Self.integer(bytes, Int32.self)
        case .int8: Self.integer(bytes, Int64.self)
        case .oid: Self.integer(bytes, UInt32.self)
        case .bytea: .blob([UInt8](bytes))
        case .text: .text(String(decoding: bytes, as: UTF8.self))
        // A version number precedes the text.
        case .jsonb: bytes.first == 1 ? .text(String(decoding: bytes.dropFirst(), as: UTF8.self)) : nil
        case .numeric: PostgresNumeric(bytes).map { .text($0.description) }
        case .void: .null
        case .other: nil
        }
    }

    private static func integer<I: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _: I.Type) -> SQLValue? {
        guard bytes.count == MemoryLayout<I>.size else { return nil }
        return .integer(Int64(I(bigEndian: bytes.loadUnaligned(as: I.self))))
    }
}

/// NUMERIC's binary form: digits to the base of 10,000, a weight, a sign and the decimals to show.
struct PostgresNumeric: CustomStringConvertible {
    private let digits: [Int]
    /// The power of 10,000 of the first digit.
    private let weight: Int
    private let sign: UInt16
    private let scale: Int

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 8, bytes.count.isMultiple(of: 2) else { return nil }
        let words = stride(from: 0, to: bytes.count, by: 2).map {
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt16.self))
        }
        guard words.count == 4 + Int(words[0]) else { return nil }
        weight = Int(Int16(bitPattern: words[1]))
        sign = words[2]
        scale = Int(words[3])
        digits = words[4...].map(Int.init)
    }

    var description: String {
        switch sign {
        case 0x0000: return magnitude
        case 0x4000: return "-" + magnitude
        case 0xd000: return "Infinity"
        case 0xf000: return "-Infinity"
        default: return "NaN"
        }
    }

    private var magnitude: String {
        var text = weight < 0 ? "0" : String(digit(0))
        for index in stride(from: 1, through: weight, by: 1) { text += padded(digit(index)) }
        guard scale > 0 else { return text }
        var fraction = ""
        var index = weight + 1
        while fraction.utf8.count < scale {
            fraction += padded(digit(index))
            index += 1
        }
        return "\(text).\(fraction.prefix(scale))"
    }

    private func digit(_ index: Int) -> Int { digits.indices.contains(index) ? digits[index] : 0 }

    private func padded(_ digit: Int) -> String {
        let text = String(digit)
        return String(repeating: "0", count: 4 - text.utf8.count) + text
    }
}
