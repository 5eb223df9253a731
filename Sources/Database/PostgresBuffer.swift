/// Values on their way to libpq in Postgres' binary form, in memory that is used again.
final class PostgresBuffer {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    private(set) var count = 0

    /// What is kept when it is cleared, in bytes.
    private static let mostKept = 1 << 20

    deinit { memory.deallocate() }

    /// Valid until the next change.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    /// Where an offset lies; never nil. Valid until the next change.
    func address(_ offset: Int) -> UnsafePointer<CChar> {
        UnsafePointer(memory.baseAddress!.assumingMemoryBound(to: CChar.self) + offset)
    }

    func clear() {
        count = 0
        guard memory.count > Self.mostKept else { return }
        memory.deallocate()
        memory = .allocate(byteCount: 4096, alignment: 16)
    }

    func append(_ integer: some FixedWidthInteger) {
        reserve(integer.bitWidth / 8)
        memory.storeBytes(of: integer.bigEndian, toByteOffset: count, as: type(of: integer))
        count += integer.bitWidth / 8
    }

    func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + bytes.count]).copyMemory(from: bytes)
        count += bytes.count
    }

    /// Puts a number where `append` left room for it.
    func replace(at offset: Int, with integer: Int32) {
        precondition(offset + 4 <= count, "the number lies in the buffer")
        memory.storeBytes(of: integer.bigEndian, toByteOffset: offset, as: Int32.self)
    }

    func integer(at offset: Int) -> Int32 {
        precondition(offset + 4 <= count, "the number lies in the buffer")
        return Int32(bigEndian: UnsafeRawBufferPointer(memory).loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    private func reserve(_ more: Int) {
        guard count + more > memory.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(memory.count * 2, count + more), alignment: 16)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }
}

// MARK: - Fields

extension PostgresBuffer {
    /// A value with its length before it, as COPY, composite values and parameters want it; NULL's length is -1.
    /// Of types without a binary form of ours (`PostgresType.isBinary`) it is the text.
    func append(_ value: SQLValue, as type: PostgresType) throws(DatabaseError) {
        switch value {
        case .null: append(Int32(-1))
        case .integer(let integer): try append(integer, as: type)
        case .text(let text): try append(text, as: type)
        case .blob(let blob):
            guard case .bytea = type else { throw .programming("a blob where the table or statement has none") }
            try append(length: blob.count)
            blob.withUnsafeBytes { append($0) }
        }
    }

    private func append(_ integer: Int64, as type: PostgresType) throws(DatabaseError) {
        switch type {
        case .int8: append(field: integer)
        case .int4: append(field: try narrow(integer, Int32.self))
        case .int2: append(field: try narrow(integer, Int16.self))
        case .oid: append(field: try narrow(integer, UInt32.self))
        case .bool:
            guard integer == 0 || integer == 1 else { throw .programming("a truth value that is not 0 or 1") }
            append(field: UInt8(integer))
        case .text, .numeric, .jsonb, .other: try append(field: String(integer))
        case .bytea, .void: throw .programming("an integer for a blob")
        }
    }

    private func append(_ text: String, as type: PostgresType) throws(DatabaseError) {
        switch type {
        case .text, .numeric, .jsonb, .other: try append(field: text)
        case .bool, .int2, .int4, .int8, .oid: throw .programming("text for an integer")
        case .bytea, .void: throw .programming("text for a blob")
        }
    }

    private func append(field integer: some FixedWidthInteger) {
        append(Int32(integer.bitWidth / 8))
        append(integer)
    }

    private func append(field text: String) throws(DatabaseError) {
        try append(length: text.utf8.count)
        let start = count
        let isCopied: Void? = text.utf8.withContiguousStorageIfAvailable { append(UnsafeRawBufferPointer($0)) }
        if isCopied == nil { Array(text.utf8).withUnsafeBytes { append($0) } }
        guard !bytes[start...].contains(0) else { throw Misuse.nulInText }
    }

    /// Postgres' own bound for a value is 1 GiB.
    private func append(length: Int) throws(DatabaseError) {
        guard let length = Int32(exactly: length) else { throw .programming("a value of \(length) bytes") }
        append(length)
    }

    private func narrow<I: FixedWidthInteger>(_ integer: Int64, _: I.Type) throws(DatabaseError) -> I {
        guard let narrowed = I(exactly: integer) else {
            throw .programming("\(integer) where the table or statement has \(I.bitWidth) bits")
        }
        return narrowed
    }
}
