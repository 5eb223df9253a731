internal import CPostgres

/// A statement prepared under a name, and the parameter types that the server inferred.
struct PostgresStatement {
    let name: String
    let types: [Oid]
}

/// A row of parameters as libpq wants them: pointers, lengths, and 1 for binary.
struct PostgresParameters {
    private var bytes: [UInt8] = []
    /// Where each value starts in `bytes`; nil for NULL.
    private var offsets: [Int?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    var count: Int32 { Int32(offsets.count) }

    init(_ values: [SQLValue], types: [Oid]) throws(DatabaseError) {
        guard values.count == types.count else {
            throw Misuse.parameterCount(expected: types.count, found: values.count)
        }
        offsets.reserveCapacity(values.count)
        lengths.reserveCapacity(values.count)
        formats.reserveCapacity(values.count)
        for (value, oid) in zip(values, types) { try append(value, PostgresType(oid: oid), oid) }
    }

    func withPointers<T>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> T
    ) -> T {
        bytes.withUnsafeBytes { buffer in
            // A buffer without bytes may have no address, but an empty value must not look like NULL.
            let start = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            return withUnsafePointer(to: CChar(0)) { empty in
                body(offsets.map { $0.map { (start ?? empty) + $0 } }, lengths, formats)
            }
        }
    }

    private mutating func append(_ value: SQLValue, _ type: PostgresType, _ oid: Oid) throws(DatabaseError) {
        switch value {
        case .null:
            offsets.append(nil)
            lengths.append(0)
            formats.append(1)
        case .integer(let integer): try append(integer, type)
        case .text(let text): try append(text, type)
        case .blob(let blob):
            guard case .bytea = type else { throw .programming("a blob for a parameter of Postgres' type \(oid)") }
            append(blob, format: 1)
        }
    }

    private mutating func append(_ integer: Int64, _ type: PostgresType) throws(DatabaseError) {
        switch type {
        case .int8: append(integer)
        case .int4: append(try narrow(integer, Int32.self))
        case .int2: append(try narrow(integer, Int16.self))
        case .oid: append(try narrow(integer, UInt32.self))
        case .bool:
            guard integer == 0 || integer == 1 else { throw .programming("a truth value that is not 0 or 1") }
            append([UInt8(integer)], format: 1)
        case .text: append(String(integer).utf8, format: 1)
        case .numeric, .jsonb, .other: append(Array(String(integer).utf8) + [0], format: 0)
        case .bytea, .void: throw .programming("an integer for a blob")
        }
    }

    private mutating func append(_ text: String, _ type: PostgresType) throws(DatabaseError) {
        guard !text.utf8.contains(0) else { throw Misuse.nulInText }
        switch type {
        case .text: append(text.utf8, format: 1)
        case .numeric, .jsonb, .other: append(Array(text.utf8) + [0], format: 0)
        case .bool, .int2, .int4, .int8, .oid: throw .programming("text for an integer")
        case .bytea, .void: throw .programming("text for a blob")
        }
    }

    private func narrow<I: FixedWidthInteger>(_ integer: Int64, _: I.Type) throws(DatabaseError) -> I {
        guard let narrowed = I(exactly: integer) else {
            throw .programming("\(integer) for a parameter of \(I.bitWidth) bits: cast it to BIGINT")
        }
        return narrowed
    }

    private mutating func append<I: FixedWidthInteger>(_ integer: I) {
        withUnsafeBytes(of: integer.bigEndian) { append($0, format: 1) }
    }

    private mutating func append(_ value: some Collection<UInt8>, format: Int32) {
        offsets.append(bytes.count)
        bytes.append(contentsOf: value)
        lengths.append(Int32(clamping: value.count))
        formats.append(format)
    }
}

/// NUL-terminated strings, and a nil after the last.
final class CStringArray {
    private let storage: [UnsafeMutablePointer<CChar>]
    let pointers: [UnsafePointer<CChar>?]

    init(_ strings: [String]) {
        storage = strings.map { string in
            let bytes = string.utf8CString
            let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
            _ = copy.initialize(from: bytes)
            return copy.baseAddress!
        }
        pointers = storage.map { UnsafePointer($0) } + [nil]
    }

    deinit { for pointer in storage { pointer.deallocate() } }
}
