internal import CPostgres

/// A result of libpq, freed with its owner.
struct PostgresResult: ~Copyable {
    /// Nil when libpq had no memory or no connection.
    private let pointer: OpaquePointer?

    init(_ pointer: OpaquePointer?) { self.pointer = pointer }

    deinit { PQclear(pointer) }

    var status: ExecStatusType { PQresultStatus(pointer) }

    var isFailure: Bool {
        let status = status
        return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_SINGLE_TUPLE
            && status != PGRES_EMPTY_QUERY && status != PGRES_PIPELINE_SYNC
    }

    /// The command's name and count, such as `INSERT 0 1`.
    var tag: String { PQcmdStatus(pointer).map { String(cString: $0) } ?? "" }

    /// Rows inserted, updated or deleted; none for other statements.
    var affected: Int {
        // SELECT counts its rows too.
        guard let status = PQcmdStatus(pointer), Self.isChange(UInt8(bitPattern: status.pointee)),
            let count = PQcmdTuples(pointer)
        else { return 0 }
        return Int(String(cString: count)) ?? 0
    }

    /// INSERT, UPDATE, DELETE, MERGE by their first letter (MOVE cannot come: there are no cursors).
    private static func isChange(_ letter: UInt8) -> Bool {
        letter == UInt8(ascii: "I") || letter == UInt8(ascii: "U") || letter == UInt8(ascii: "D")
            || letter == UInt8(ascii: "M")
    }

    /// The five characters of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    var sqlState: String? { field(UInt8(ascii: "C")) }

    /// Whether the statement must be prepared anew: "cached plan must not change result type", or its
    /// name is gone.
    var isStaleStatement: Bool { sqlState == "0A000" || sqlState == "26000" }

    /// Whether a row sent as a whole is not of the table's row type (any more): the catalogue must be read anew.
    var isOfOtherShape: Bool { ["42804", "42704", "0A000", "26000", "XX000", "42P01"].contains(sqlState) }

    /// For the log: the primary message, the detail, the constraint.
    var message: String {
        let parts = [field(UInt8(ascii: "M")), field(UInt8(ascii: "D")), field(UInt8(ascii: "n"))]
        return ([sqlState] + parts).compactMap(\.self).joined(separator: "; ")
    }

    var parameterTypes: [Oid] { (0..<PQnparams(pointer)).map { PQparamtype(pointer, $0) } }

    var columnTypes: [Oid] { (0..<PQnfields(pointer)).map { PQftype(pointer, $0) } }

    func rows() throws(DatabaseError) -> [SQLRow] {
        let columns = PQnfields(pointer)
        let types = (0..<columns).map { PostgresType(oid: PQftype(pointer, $0)) }
        let count = PQntuples(pointer)
        var rows: [SQLRow] = []
        rows.reserveCapacity(Int(count))
        for row in 0..<count {
            var values: [SQLValue] = []
            values.reserveCapacity(Int(columns))
            for column in 0..<columns { values.append(try value(row, column, types[Int(column)])) }
            rows.append(SQLRow(values))
        }
        return rows
    }

    private func value(_ row: Int32, _ column: Int32, _ type: PostgresType) throws(DatabaseError) -> SQLValue {
        guard PQgetisnull(pointer, row, column) == 0 else { return .null }
        let start = UnsafeRawPointer(PQgetvalue(pointer, row, column))
        let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(pointer, row, column)))
        guard let value = type.decode(bytes) else {
            throw .decoding("column \(column) is of Postgres' type \(PQftype(pointer, column)): cast it to TEXT")
        }
        return value
    }

    private func field(_ code: UInt8) -> String? {
        PQresultErrorField(pointer, Int32(code)).map { String(cString: $0) }
    }
}
