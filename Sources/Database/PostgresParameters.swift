internal import CPostgres

/// A statement prepared under a name, and the parameter types that the server inferred.
struct PostgresStatement {
    let name: String
    let types: [PostgresType]
    /// For libpq: 1 for a parameter in binary, 0 for one in text.
    let formats: [Int32]

    var count: Int32 { Int32(types.count) }

    init(name: String, types: [Oid]) {
        self.name = name
        self.types = types.map { PostgresType(oid: $0) }
        formats = self.types.map { $0.isBinary ? 1 : 0 }
    }
}

/// A row of parameters as libpq wants them, in memory that is used again for the next row: libpq copies it when it sends.
final class PostgresParameters {
    private let buffer = PostgresBuffer()
    /// Where each value starts in the buffer; -1 for NULL.
    private var offsets: [Int] = []
    private var lengths: [Int32] = []
    private var pointers: [UnsafePointer<CChar>?] = []

    /// Takes the values of the next row.
    func encode(_ values: UnsafeBufferPointer<SQLValue>, for statement: PostgresStatement) throws(DatabaseError) {
        guard values.count == statement.types.count else {
            throw Misuse.parameterCount(expected: statement.types.count, found: values.count)
        }
        clear()
        for (value, type) in zip(values, statement.types) {
            let start = buffer.count
            try buffer.append(value, as: type)
            let length = buffer.integer(at: start)
            offsets.append(length < 0 ? -1 : start + 4)
            lengths.append(max(length, 0))
            // A value in text ends with NUL.
            if !type.isBinary { buffer.append(0 as UInt8) }
        }
    }

    /// Lends the values and their lengths.
    func withPointers<T>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?) -> T
    ) -> T {
        pointers.removeAll(keepingCapacity: true)
        for offset in offsets { pointers.append(offset < 0 ? nil : buffer.address(offset)) }
        return body(pointers, lengths)
    }

    private func clear() {
        buffer.clear()
        offsets.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
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
