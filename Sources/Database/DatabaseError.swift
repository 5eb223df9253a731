/// Which kind of constraint refused a row.
public enum ConstraintKind: String, Sendable, Hashable {
    /// A unique index or a primary key.
    case unique
    case foreignKey
    case check
    case notNull
    case exclusion
    /// A trigger's own refusal (`RAISE`).
    case raised
    case other
}

/// What a database refused or could not do. `description` is safe to show to a stranger; `detail`
/// names tables, values and hosts and belongs in the log.
public enum DatabaseError: Error, Sendable, Hashable {
    case constraintViolation(ConstraintKind, detail: String)
    /// Two transactions could not both be had (also a deadlock): run it again from its beginning.
    case serializationFailure(detail: String)
    /// A lock, a time limit or a full queue.
    case busy(detail: String)
    /// The connection went away; nothing of the transaction was kept. The next use connects anew.
    case connectionLost(detail: String)
    /// The connection went away during COMMIT: the transaction is either kept or not. Read before trying again.
    case commitOutcomeUnknown(detail: String)
    /// No connection could be made, or the file could not be opened, read or written.
    case unavailable(detail: String)
    /// A transaction for reading, a standby, or a file that may not be written.
    case readOnly(detail: String)
    /// The user lacks a right.
    case forbidden(detail: String)
    case diskFull(detail: String)
    case corrupt(detail: String)
    /// SQL or a use of this interface that can never work.
    case programming(String)
    /// A value of another type than asked for.
    case decoding(String)
    /// A database location that cannot be understood.
    case invalidLocation(String)
    /// Used after `close`.
    case closed

    /// Whether the same transaction, tried again from its beginning, may succeed, without the risk of
    /// having it twice.
    public var isTransient: Bool {
        switch self {
        case .serializationFailure, .busy, .connectionLost, .unavailable: true
        case .constraintViolation, .commitOutcomeUnknown, .readOnly, .forbidden, .diskFull, .corrupt, .programming,
            .decoding, .invalidLocation, .closed:
            false
        }
    }

    /// For the log only.
    public var detail: String {
        switch self {
        case .constraintViolation(let kind, let detail): "\(kind.rawValue): \(detail)"
        case .serializationFailure(let detail), .busy(let detail), .connectionLost(let detail),
            .commitOutcomeUnknown(let detail), .unavailable(let detail), .readOnly(let detail),
            .forbidden(let detail), .diskFull(let detail), .corrupt(let detail), .programming(let detail), .decoding(let detail),
            .invalidLocation(let detail):
            detail
        case .closed: "the database was closed"
        }
    }
}

extension DatabaseError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .constraintViolation(let kind, _): "The database refused the change (\(kind.rawValue))."
        case .serializationFailure: "The change collided with another one."
        case .busy: "The database is busy."
        case .connectionLost: "The connection to the database was lost."
        case .commitOutcomeUnknown: "The connection to the database was lost while committing."
        case .unavailable: "The database is unavailable."
        case .readOnly: "The database accepts no changes."
        case .forbidden: "The database refused access."
        case .diskFull: "The database's disk is full."
        case .corrupt: "The database is damaged."
        case .programming: "The database did not understand the request."
        case .decoding: "The database holds a value of an unexpected type."
        case .invalidLocation: "The database's location is invalid."
        case .closed: "The database is closed."
        }
    }
}
