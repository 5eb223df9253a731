/// Appends values to a byte buffer in the compact form that journal rows, spool records and batches share.
///
/// Integers are LEB128 varints, signed ones zigzag-coded; byte strings are length-prefixed.
///
/// It owns its buffer alone, so that a write is a comparison and a store.
@frozen
public struct BinaryWriter: ~Copyable, @unchecked Sendable {
    // Sendable: the memory has one owner.
    @usableFromInline var start: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    /// Bytes written.
    @usableFromInline var length = 0
    @usableFromInline let isForHashing: Bool

    @inlinable public init() { self.init(reservingCapacity: 0) }

    /// - Parameter isForHashing: integers are written in eight bytes each; nothing reads that form
    public init(reservingCapacity capacity: Int, isForHashing: Bool = false) {
        self.isForHashing = isForHashing
        self.capacity = max(capacity, 64)
        start = .allocate(byteCount: self.capacity, alignment: 8)
    }

    deinit { start.deallocate() }

    /// What is written. O(n): it is a copy.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// What is written, in place.
    @inlinable
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        body(UnsafeRawBufferPointer(start: start, count: length))
    }

    /// Empties the buffer and keeps its storage.
    @inlinable public mutating func removeAll() { length = 0 }

    @inlinable
    public mutating func write(_ byte: UInt8) {
        append(atMost: 1) {
            $0.storeBytes(of: byte, as: UInt8.self)
            return 1
        }
    }

    @inlinable
    public mutating func writeUnsigned(_ value: UInt64) {
        if capacity &- length < Varint.mostBytes { grow(by: Varint.mostBytes) }
        if isForHashing {
            (start + length).storeBytes(of: value.littleEndian, as: UInt64.self)
            length &+= 8
        } else {
            length &+= Varint.store(value, at: start + length)
        }
    }

    @inlinable
    public mutating func write(_ value: Int64) {
        writeUnsigned(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
    }

    public mutating func write(_ value: Int128) {
        write(Int64(truncatingIfNeeded: value >> 64))
        writeUnsigned(UInt64(truncatingIfNeeded: value))
    }

    @inlinable
    public mutating func write(_ value: Bool) { write(value ? 1 : 0 as UInt8) }

    public mutating func write(_ value: [UInt8]) {
        writeUnsigned(UInt64(value.count))
        writeRaw(value)
    }

    public mutating func write(_ value: ArraySlice<UInt8>) {
        writeUnsigned(UInt64(value.count))
        value.withUnsafeBytes { append($0) }
    }

    public mutating func write(_ value: String) {
        var value = value
        value.withUTF8 {
            writeUnsigned(UInt64($0.count))
            append(UnsafeRawBufferPointer($0))
        }
    }

    /// Bytes as they are, without a length.
    public mutating func writeRaw(_ value: [UInt8]) { value.withUnsafeBytes { append($0) } }

    /// Bytes as they are, without a length.
    public mutating func writeRaw(_ bytes: UnsafeRawBufferPointer) { append(bytes) }

    public mutating func writeFixed(_ value: UInt32) {
        append(atMost: 4) {
            $0.storeBytes(of: value.littleEndian, as: UInt32.self)
            return 4
        }
    }

    /// nil as 0, a value as 1 and then itself.
    @inlinable
    public mutating func write<T>(_ value: T?, _ body: (inout BinaryWriter, T) -> Void) {
        write(value != nil)
        if let value { body(&self, value) }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        append(atMost: bytes.count) {
            if let from = bytes.baseAddress { $0.copyMemory(from: from, byteCount: bytes.count) }
            return bytes.count
        }
    }

    /// Makes room for `most` bytes and lets `body` store some of them there; it returns how many.
    @inlinable
    mutating func append(atMost most: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
        if capacity &- length < most { grow(by: most) }
        length &+= body(start + length)
    }

    @usableFromInline
    @inline(never)
    mutating func grow(by most: Int) {
        capacity = max(capacity * 2, length + most)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        larger.copyMemory(from: start, byteCount: length)
        start.deallocate()
        start = larger
    }
}

/// LEB128.
@usableFromInline
enum Varint {
    /// The longest form of 64 bits.
    @usableFromInline static let mostBytes = 10

    /// Stores the shortest form and returns its length; may overwrite all ``mostBytes``.
    @inlinable
    static func store(_ value: UInt64, at address: UnsafeMutableRawPointer) -> Int {
        if value < 0x80 {
            address.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
            return 1
        }
        guard value >> 56 == 0 else { return storeLong(value, at: address) }
        // Spreads eight groups of seven bits over eight bytes, halves first.
        var x = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) &<< 4
        x = x & 0x0000_3fff_0000_3fff | (x & 0x0fff_c000_0fff_c000) &<< 2
        x = x & 0x007f_007f_007f_007f | (x & 0x3f80_3f80_3f80_3f80) &<< 1
        let length = (70 &- value.leadingZeroBitCount) / 7
        // All bytes but the last say that there is more.
        let more = 0x0080_8080_8080_8080 & ((1 as UInt64) &<< UInt64(truncatingIfNeeded: 8 &* (length &- 1)) &- 1)
        address.storeBytes(of: (x | more).littleEndian, as: UInt64.self)
        return length
    }

    @usableFromInline
    @inline(never)
    static func storeLong(_ value: UInt64, at address: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var length = 0
        while rest >= 0x80 {
            address.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: length, as: UInt8.self)
            rest >>= 7
            length += 1
        }
        address.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: length, as: UInt8.self)
        return length + 1
    }
}
