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
            if byte < 0x80 {
                // There is one form of every number, the shortest: digests name contents.
                guard byte != 0 || shift == 0 else { throw .malformedInteger }
                return value
            }
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
