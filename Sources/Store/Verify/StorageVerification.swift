internal import Exchange
internal import Market

/// One thing that does not hold, in words for an operator.
public struct StorageFinding: Hashable, Sendable, CustomStringConvertible {
    /// Stable name for programs, e.g. `journal.gap`, `table.rowMissing`, `state.differs`.
    public var code: String
    /// What it is about, e.g. `ledger_postings 3/0`.
    public var subject: String
    public var expected: String?
    public var found: String?
    public var description: String

    init(_ flaw: JournalFlaw) {
        code = flaw.code
        subject = "journal \(flaw.sequence)"
        (expected, found) = (flaw.expected, flaw.found)
        description = flaw.description
    }

    init(_ difference: StateDifference) {
        code = "state.differs"
        subject = difference.entity + (difference.field.map { ".\($0)" } ?? "")
        (expected, found) = (difference.expected, difference.found)
        description = "tables: \(difference)"
    }

    init(_ code: String, _ subject: String, expected: String? = nil, found: String? = nil, _ text: String) {
        (self.code, self.subject, self.expected, self.found) = (code, subject, expected, found)
        description = text
    }
}

/// The findings that are shown, and how many there are in all.
struct FindingList {
    static let mostShown = 100

    private(set) var shown: [StorageFinding] = []
    private(set) var count = 0

    mutating func add(_ finding: StorageFinding) {
        count += 1
        if shown.count < Self.mostShown { shown.append(finding) }
    }
}

/// SHA-256 over the rows of a table as the journal says them, in its order: equal journals have equal digests.
public struct TableDigest: Hashable, Sendable {
    public var table: String
    public var rows: Int64
    /// Hexadecimal.
    public var digest: String
}

/// What a verification found.
public struct StorageVerification: Sendable {
    /// The last command of the journal, and of the tables.
    public var journal: Int64 = 0
    public var tables: Int64 = 0
    public var rows: Int64 = 0
    public var commands: Int64 = 0
    public var events: Int64 = 0
    /// Commands that were decided again under the program's rules; the others were followed by their events.
    public var decided: Int64 = 0
    /// Of the state at the tables' position, made anew.
    public var stateHash: UInt64?
    /// At the tables' position; empty if the replay did not come so far.
    public var digests: [TableDigest] = []
    /// At most 100.
    public var findings: [StorageFinding] = []
    public var findingCount = 0

    public var holds: Bool { findingCount == 0 }
}

/// How far a replay has come.
public struct ReplayProgress: Sendable {
    /// Rows read so far.
    public var rows: Int64
    /// The last command, and the last one that there is.
    public var position: Int64
    public var end: Int64
}
