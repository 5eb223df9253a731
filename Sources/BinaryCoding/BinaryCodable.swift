/// A value with a compact binary form. Forms are versioned by whoever stores them.
public protocol BinaryCodable {
    func encode(into writer: inout BinaryWriter)
    init(from reader: inout BinaryReader) throws(BinaryCodingError)
}

extension Int64: BinaryCodable {
    @inlinable
    public func encode(into writer: inout BinaryWriter) { writer.write(self) }
    @inlinable
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self = try reader.readInt64() }
}

extension String: BinaryCodable {
    @inlinable
    public func encode(into writer: inout BinaryWriter) { writer.write(self) }
    @inlinable
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) { self = try reader.readString() }
}

extension Optional: BinaryCodable where Wrapped: BinaryCodable {
    @inlinable
    public func encode(into writer: inout BinaryWriter) {
        writer.write(self != nil)
        if let self { self.encode(into: &writer) }
    }

    @inlinable
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        self = try reader.readBool() ? try Wrapped(from: &reader) : nil
    }
}

extension Array: BinaryCodable where Element: BinaryCodable {
    @inlinable
    public func encode(into writer: inout BinaryWriter) {
        writer.writeUnsigned(UInt64(count))
        for element in self { element.encode(into: &writer) }
    }

    @inlinable
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        let count = try reader.readCount()
        self = []
        // An element in memory can be far larger than its shortest form: storage grows with what is really there.
        reserveCapacity(Swift.min(count, 64))
        for _ in 0..<count { append(try Element(from: &reader)) }
    }
}

extension BinaryCodable where Self: RawRepresentable, RawValue == UInt8 {
    @inlinable
    public func encode(into writer: inout BinaryWriter) { writer.write(rawValue) }

    @inlinable
    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        let tag = try reader.readByte()
        guard let value = Self(rawValue: tag) else { throw .unknownTag(tag) }
        self = value
    }
}
