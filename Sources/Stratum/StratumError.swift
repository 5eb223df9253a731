/// An error of the protocol: `[code, text, null]` on the wire. 20...25 are usual; pools use others too.
public struct StratumError: Hashable, Sendable, Error, CustomStringConvertible {
    public var code: Int
    public var text: String

    public init(code: Int, text: String) {
        self.code = code
        self.text = text
    }

    public static func other(_ text: String) -> StratumError { StratumError(code: 20, text: text) }
    public static let jobNotFound = StratumError(code: 21, text: "Job not found")
    public static let stale = StratumError(code: 21, text: "Stale share")
    public static let duplicate = StratumError(code: 22, text: "Duplicate share")
    public static let lowDifficulty = StratumError(code: 23, text: "Low difficulty share")
    public static let unauthorized = StratumError(code: 24, text: "Unauthorized worker")
    public static let notSubscribed = StratumError(code: 25, text: "Not subscribed")

    public var description: String { "\(code) \(text)" }
}

/// Why a line is refused. Its text is safe to show to whoever sent it.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Longer than the limit for lines.
    case lineTooLong
    /// Not one JSON object.
    case notJSON
    /// Nested deeper than ``JSON/maximalDepth``.
    case tooDeep
    /// A message with neither a method nor a result.
    case notAMessage
    /// Fewer parameters than the method needs.
    case missingParameter
    /// A parameter, member or element of another kind than expected.
    case wrongType
    /// A string above its limit.
    case tooLong
    /// A value that is not what it has to be.
    case invalid(Field)

    /// The parts of messages that have rules of their own.
    public enum Field: String, Hashable, Sendable {
        case id, method, jobID = "job id", previousBlock = "previous block", coinbase, branches = "merkle branches"
        case version, nbits, ntime, nonce, extranonce1, extranonce2, extranonce2Size = "extranonce2 size"
        case versionBits = "version bits", versionMask = "version mask", difficulty, target
    }

    public var description: String {
        switch self {
        case .lineTooLong: "Line too long"
        case .notJSON: "Not a JSON object"
        case .tooDeep: "Nested too deeply"
        case .notAMessage: "Neither a request nor an answer"
        case .missingParameter: "Missing parameter"
        case .wrongType: "Parameter of the wrong type"
        case .tooLong: "Parameter too long"
        case .invalid(let field): "Invalid \(field.rawValue)"
        }
    }
}
