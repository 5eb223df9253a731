public import Database
public import Metering
internal import Units

/// A batch came again under its number with other content.
public struct BatchConflict: Error, Hashable, CustomStringConvertible {
    public let description: String
}

/// A sealed batch with the digest of the bytes in which it left the edge.
public struct DigestedBatch: Sendable {
    public var batch: SealedBatch
    public var digest: [UInt8]

    public init(_ batch: SealedBatch, digest: [UInt8]) {
        self.batch = batch
        self.digest = digest
    }

    /// What orders batches: edge, epoch, sequence.
    var number: (Int64, Int64, Int64) { (batch.edge.rawValue, batch.epoch, batch.sequence) }
}

/// What became of a batch.
public enum BatchOutcome: Hashable, Sendable {
    case applied
    /// It had been applied before: nothing changed.
    case repeated
    /// Its number belongs to another content: nothing changed, and it will never be applied.
    case conflicting(BatchConflict)
    /// Its rows were refused: nothing of it was kept.
    case failed(DatabaseError)

    var isApplied: Bool { self == .applied }
}

extension DatabaseError {
    /// Whether the rows of one batch may be at fault, rather than the database or its connection.
    var isOfOneBatch: Bool {
        switch self {
        case .constraintViolation, .programming, .decoding: true
        case .serializationFailure, .busy, .connectionLost, .commitOutcomeUnknown, .unavailable, .readOnly, .forbidden, .diskFull,
            .corrupt, .invalidLocation, .closed:
            false
        }
    }
}
