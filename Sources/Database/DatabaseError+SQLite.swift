internal import GRDBSQLite

extension DatabaseError {
    /// The connection's last error.
    static func sqlite(_ handle: OpaquePointer) -> DatabaseError {
        sqlite(code: sqlite3_extended_errcode(handle), detail: String(cString: sqlite3_errmsg(handle)))
    }

    /// By SQLite's extended result code, <https://www.sqlite.org/rescode.html>.
    static func sqlite(code: Int32, detail: String) -> DatabaseError {
        switch code & 0xff {
        case SQLITE_CONSTRAINT: .constraintViolation(constraintKind(code), detail: detail)
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT: .busy(detail: detail)
        case SQLITE_READONLY: .readOnly(detail: detail)
        case SQLITE_FULL: .diskFull(detail: detail)
        case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt(detail: detail)
        case SQLITE_CANTOPEN, SQLITE_IOERR, SQLITE_NOMEM, SQLITE_PERM, SQLITE_PROTOCOL, SQLITE_NOLFS:
            .unavailable(detail: detail)
        default: .programming("\(detail) (SQLite \(code))")
        }
    }

    private static func constraintKind(_ code: Int32) -> ConstraintKind {
        switch code >> 8 {
        case 1: .check
        case 3: .foreignKey
        case 5: .notNull
        case 6, 8, 10: .unique  // primary key, unique, rowid
        case 7: .raised
        default: .other
        }
    }
}
