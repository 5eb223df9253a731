/// Appends values to a byte buffer in the compact form that journal rows, spool records and batches share.
///
/// Integers are LEB128 varints, signed ones zigzag-coded; byte strings are length-prefixed.
public struct BinaryWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public init(reservingCapacity capacity: Int) { bytes.reserveCapacity(capacity) }

    /// Empties the buffer and keeps its storage.
    public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    public mutating func write(_ byte: UInt8) { bytes.append(byte) }

    public mutating func writeUnsigned(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    public mutating func write(_ value: Int64) {
        writeUnsigned(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    public mutating func write(_ value: Int128) {
        write(Int64(truncatingIfNeeded: value >> 64))
        writeUnsigned(UInt64(truncatingIfNeeded: value))
    }

    public mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }

    public mutating func write(_ value: [UInt8]) {
        writeUnsigned(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func write(_ value: ArraySlice<UInt8>) {
        writeUnsigned(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func write(_ value: String) {
        let utf8 = value.utf8
        writeUnsigned(UInt64(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// Bytes as they are, without a length.
    public mutating func writeRaw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    public mutating func writeFixed(_ value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// nil as 0, a value as 1 and then itself.
    public mutating func write<T>(_ value: T?, _ body: (inout BinaryWriter, T) -> Void) {
        write(value != nil)
        if let value { body(&self, value) }
    }
}

/// What a ``BinaryReader`` found wrong with its input.
public enum BinaryCodingError: Error, Equatable, Sendable {
    case truncated
    case malformedInteger
    case malformedText
    case unknownTag(UInt8)
    case unknownVersion(UInt8)
    case outOfRange
    case trailingBytes(Int)
    /// The bytes are not those that were written.
    case checksum
}

/// Reads what ``BinaryWriter`` wrote; checks every length against what is there, so hostile bytes cost nothing.
public struct BinaryReader: Sendable {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int
    /// Version of the form that the bytes are in: forms that have changed look at it.
    public let version: UInt8

    public init(_ bytes: [UInt8], version: UInt8 = .max) {
        self.bytes = bytes
        self.version = version
        position = 0
        end = bytes.count
    }

    public var remaining: Int { end - position }

    public mutating func readByte() throws(BinaryCodingError) -> UInt8 {
        guard position < end else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    public mutating func readUnsigned() throws(BinaryCodingError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try readByte()
            guard shift < 63 || byte <= 1 else { throw .malformedInteger }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
            guard shift <= 63 else { throw .malformedInteger }
        }
    }

    public mutating func readInt64() throws(BinaryCodingError) -> Int64 {
        let raw = try readUnsigned()
        return Int64(bitPattern: (raw >> 1) ^ (0 &- (raw & 1)))
    }

    public mutating func readInt128() throws(BinaryCodingError) -> Int128 {
        let high = try readInt64()
        let low = try readUnsigned()
        return Int128(high) << 64 | Int128(low)
    }

    public mutating func readBool() throws(BinaryCodingError) -> Bool {
        switch try readByte() {
        case 0: return false
        case 1: return true
        case let other: throw .unknownTag(other)
        }
    }

    /// A count of things that take at least one byte each; refuses more than can be there.
    public mutating func readCount() throws(BinaryCodingError) -> Int {
        let count = try readUnsigned()
        guard count <= UInt64(remaining) else { throw .truncated }
        return Int(count)
    }

    public mutating func readBytes() throws(BinaryCodingError) -> [UInt8] {
        try readRaw(count: try readCount())
    }

    public mutating func readRaw(count: Int) throws(BinaryCodingError) -> [UInt8] {
        guard count >= 0, count <= remaining else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    public mutating func readString() throws(BinaryCodingError) -> String {
        guard let text = String(validating: try readBytes(), as: UTF8.self) else { throw .malformedText }
        return text
    }

    public mutating func readFixed() throws(BinaryCodingError) -> UInt32 {
        var value: UInt32 = 0
        for shift in stride(from: UInt32(0), to: 32, by: 8) { value |= UInt32(try readByte()) << shift }
        return value
    }

    public mutating func readOptional<T>(
        _ body: (inout BinaryReader) throws(BinaryCodingError) -> T
    ) throws(BinaryCodingError) -> T? {
        try readBool() ? try body(&self) : nil
    }

    /// Call at the end of a value that must fill its bytes exactly.
    public func finish() throws(BinaryCodingError) {
        guard position == end else { throw .trailingBytes(end - position) }
    }
}
