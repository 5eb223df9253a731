public import Units

/// Why a journal row is not what the program wrote, or would write.
public enum JournalFlaw: Error, Hashable, Sendable {
    /// Rows between two sequences are missing, or come twice.
    case gap(after: Int64, next: Int64)
    case epochFell(first: Int64, from: Int64, to: Int64)
    case timeFell(first: Int64, from: Timestamp, to: Timestamp)
    /// Made by a later version of the rules than this program has.
    case newerRules(first: Int64, version: Int64)
    case undecodable(first: Int64, detail: String)
    case commandCount(first: Int64, expected: Int64, found: Int)
    /// The rules make other events of a command. `event` counts from 0; nil where there is none.
    case decidedOtherwise(sequence: Int64, command: String, event: Int, expected: String?, found: String?)
    /// The state after the row hashes to another number than the row says.
    case stateHash(last: Int64, expected: UInt64, found: UInt64)
    case endsEarly(at: Int64, expected: Int64)

    /// Stable name for programs.
    public var code: String {
        switch self {
        case .gap: "journal.gap"
        case .epochFell: "journal.epochFell"
        case .timeFell: "journal.timeFell"
        case .newerRules: "journal.newerRules"
        case .undecodable: "journal.undecodable"
        case .commandCount: "journal.commandCount"
        case .decidedOtherwise: "journal.decidedOtherwise"
        case .stateHash: "journal.stateHash"
        case .endsEarly: "journal.endsEarly"
        }
    }

    /// The command, or the first or last one of the row.
    public var sequence: Int64 {
        switch self {
        case .gap(_, let next): next
        case .epochFell(let first, _, _), .timeFell(let first, _, _), .newerRules(let first, _), .undecodable(let first, _),
            .commandCount(let first, _, _): first
        case .decidedOtherwise(let sequence, _, _, _, _): sequence
        case .stateHash(let last, _, _): last
        case .endsEarly(let end, _): end
        }
    }

    public var expected: String? {
        switch self {
        case .gap(let after, _): "\(after + 1)"
        case .epochFell(_, let from, _): "\(from)"
        case .timeFell(_, let from, _): "\(from)"
        case .newerRules: "\(JournalBody.rulesVersion)"
        case .undecodable: nil
        case .commandCount(_, let expected, _): "\(expected)"
        case .decidedOtherwise(_, _, _, let expected, _): expected
        case .stateHash(_, let expected, _): "\(expected)"
        case .endsEarly(_, let expected): "\(expected)"
        }
    }

    public var found: String? {
        switch self {
        case .gap(_, let next): "\(next)"
        case .epochFell(_, _, let to): "\(to)"
        case .timeFell(_, _, let to): "\(to)"
        case .newerRules(_, let version): "\(version)"
        case .undecodable(_, let detail): detail
        case .commandCount(_, _, let found): "\(found)"
        case .decidedOtherwise(_, _, _, _, let found): found
        case .stateHash(_, _, let found): "\(found)"
        case .endsEarly(let end, _): "\(end)"
        }
    }
}

extension JournalFlaw: CustomStringConvertible {
    public var description: String {
        switch self {
        case .gap(let after, let next): "journal: after command \(after) comes \(next): rows are missing or doubled"
        case .epochFell(let first, let from, let to): "journal row \(first): its epoch falls from \(from) to \(to)"
        case .timeFell(let first, let from, let to): "journal row \(first): its time runs back from \(from) to \(to)"
        case .newerRules(let first, let version):
            "journal row \(first): made under version \(version) of the rules, this program has \(JournalBody.rulesVersion)"
        case .undecodable(let first, let detail): "journal row \(first) cannot be read: \(detail)"
        case .commandCount(let first, let expected, let found):
            "journal row \(first): \(expected) commands by its sequences, \(found) in it"
        case .decidedOtherwise(let sequence, let command, let event, let expected, let found):
            "journal: command \(sequence) (\(command)), event \(event): expected \(expected ?? "none"), found \(found ?? "none")"
        case .stateHash(let last, let expected, let found):
            "journal: the state after command \(last) hashes to \(expected), the row says \(found)"
        case .endsEarly(let end, let expected): "the journal ends at \(end), its writer was at \(expected)"
        }
    }
}
