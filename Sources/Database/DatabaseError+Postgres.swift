extension DatabaseError {
    /// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    static func postgres(sqlState: String, detail: String) -> DatabaseError {
        switch sqlState {
        case "23505": .constraintViolation(.unique, detail: detail)
        case "23503", "23001": .constraintViolation(.foreignKey, detail: detail)
        case "23514", "44000": .constraintViolation(.check, detail: detail)
        case "23502": .constraintViolation(.notNull, detail: detail)
        case "23P01": .constraintViolation(.exclusion, detail: detail)
        case "P0001": .constraintViolation(.raised, detail: detail)
        // Whether the statement, which may be COMMIT, was done is not known.
        case "08007", "40003": .commitOutcomeUnknown(detail: detail)
        // A lock not had in time, a thing in use, cancelled (statement_timeout too).
        case "55P03", "55006", "57014": .busy(detail: detail)
        case "25006": .readOnly(detail: detail)
        case "42501": .forbidden(detail: detail)
        case "53100": .diskFull(detail: detail)
        // The session's end: by an administrator, a crash, the database's removal, time limits.
        case "57P01", "57P02", "57P04", "57P05", "25P03", "25P04": .connectionLost(detail: detail)
        // Starting, stopping or recovering; a database that is not there (yet).
        case "57P03", "3D000": .unavailable(detail: detail)
        case "XX001", "XX002": .corrupt(detail: detail)
        default: postgres(class: sqlState.prefix(2), detail: detail)
        }
    }

    private static func postgres(class sqlClass: Substring, detail: String) -> DatabaseError {
        switch sqlClass {
        case "08": .connectionLost(detail: detail)
        case "23": .constraintViolation(.other, detail: detail)
        // Rolled back for another's sake: serialization, deadlock, a snapshot too old.
        case "40", "72": .serializationFailure(detail: detail)
        // Login refused; no memory, connections or other resources; the system (I/O); the server's configuration.
        case "28", "53", "58", "F0": .unavailable(detail: detail)
        default: .programming(detail)
        }
    }
}
