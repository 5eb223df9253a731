internal import GRDB

extension DatabaseError {
    /// Runs `body`, and says what GRDB throws in our own words.
    static func translatingSQLite<T>(_ body: () throws -> T) throws(DatabaseError) -> T {
        do {
            return try body()
        } catch {
            throw .sqlite(error)
        }
    }

    static func sqlite(_ error: any Error) -> DatabaseError {
        switch error {
        case let error as DatabaseError: error
        case let error as GRDB.DatabaseError:
            sqlite(error.extendedResultCode, detail: error.message ?? "no message")
        default: .unavailable(detail: "\(error)")
        }
    }

    /// What SQLite's own functions answered.
    static func sqlite(code: Int32, detail: String) -> DatabaseError { sqlite(ResultCode(rawValue: code), detail: detail) }

    /// By SQLite's extended result code, <https://www.sqlite.org/rescode.html>.
    private static func sqlite(_ code: ResultCode, detail: String) -> DatabaseError {
        switch code.primaryResultCode {
        case .SQLITE_CONSTRAINT: .constraintViolation(constraintKind(code), detail: detail)
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_INTERRUPT: .busy(detail: detail)
        case .SQLITE_READONLY: .readOnly(detail: detail)
        case .SQLITE_FULL: .diskFull(detail: detail)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: .corrupt(detail: detail)
        case .SQLITE_CANTOPEN, .SQLITE_IOERR, .SQLITE_NOMEM, .SQLITE_PERM, .SQLITE_PROTOCOL, .SQLITE_NOLFS:
            .unavailable(detail: detail)
        default: .programming("\(detail) (SQLite \(code.rawValue))")
        }
    }

    private static func constraintKind(_ code: ResultCode) -> ConstraintKind {
        switch code {
        case .SQLITE_CONSTRAINT_CHECK: .check
        case .SQLITE_CONSTRAINT_FOREIGNKEY: .foreignKey
        case .SQLITE_CONSTRAINT_NOTNULL: .notNull
        case .SQLITE_CONSTRAINT_PRIMARYKEY, .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_ROWID: .unique
        case .SQLITE_CONSTRAINT_TRIGGER: .raised
        default: .other
        }
    }
}
