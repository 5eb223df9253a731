extension DatabaseError {
    /// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    static func postgres(sqlState: String, detail: String) -> DatabaseError {
        switch sqlState {
        case "23505": .constraintViolation(.unique, detail: detail)
        case "23503", "23001": .constraintViolation(.foreignKey, detail: detail)
        case "23514": .constraintViolation(.check, detail: detail)
        case "23502": .constraintViolation(.notNull, detail: detail)
        case "23P01": .constraintViolation(.exclusion, detail: detail)
        case "P0001": .constraintViolation(.raised, detail: detail)
        case "40001", "40P01": .serializationFailure(detail: detail)
        case "55P03", "57014": .busy(detail: detail)
        case "25006": .readOnly(detail: detail)
        case "53100": .diskFull(detail: detail)
        case "57P01", "57P02", "57P05", "25P03": .connectionLost(detail: detail)
        case "57P03", "3D000": .unavailable(detail: detail)
        case "XX001", "XX002": .corrupt(detail: detail)
        default: postgres(class: sqlState.prefix(2), detail: detail)
        }
    }

    private static func postgres(class sqlClass: Substring, detail: String) -> DatabaseError {
        switch sqlClass {
        case "08": .connectionLost(detail: detail)
        case "23": .constraintViolation(.other, detail: detail)
        case "28", "53", "58": .unavailable(detail: detail)
        default: .programming(detail)
        }
    }
}
