public import Exchange
public import Metering
public import Units

/// One batch of commands with what they did: a row of the journal.
public struct JournalRow: Sendable {
    /// Sequence of the first and the last command; without gaps over all rows.
    public var first: Int64
    public var last: Int64
    public var epoch: Int64
    public var rulesVersion: Int64
    public var at: Timestamp
    public var stateHash: UInt64
    public var body: [UInt8]

    public init(
        first: Int64, last: Int64, epoch: Int64, rulesVersion: Int64, at: Timestamp, stateHash: UInt64, body: [UInt8]
    ) {
        self.first = first
        self.last = last
        self.epoch = epoch
        self.rulesVersion = rulesVersion
        self.at = at
        self.stateHash = stateHash
        self.body = body
    }
}

/// Who may write, and how far the journal has come.
public struct WriterPosition: Hashable, Sendable {
    public var epoch: Int64
    public var last: Int64

    public init(epoch: Int64, last: Int64) {
        self.epoch = epoch
        self.last = last
    }
}

/// Why a batch was not committed.
public enum JournalError: Error, Sendable, CustomStringConvertible {
    /// Another process has raised the epoch or moved the position: this one must end.
    case deposed
    /// The commit failed or its outcome is not known; ``JournalPort/position()`` tells.
    case failed(String)

    public var description: String {
        switch self {
        case .deposed: "another server has taken over this database"
        case .failed(let detail): "the journal could not be written: \(detail)"
        }
    }
}

/// The journal, used by the writer's own thread: calls block.
public protocol JournalPort: AnyObject {
    /// Whether nobody writes, or whoever did gives no sign of life any more.
    ///
    /// - Parameter hasWaited: the caller has found another writer before, and leaves it time to come back
    func mayTakeOver(hasWaited: Bool) throws(JournalError) -> Bool
    /// Makes the caller the writer; everybody before is deposed.
    func takeOver() throws(JournalError) -> WriterPosition
    func position() throws(JournalError) -> WriterPosition
    /// Like ``position()``; and those who stand by see that the writer of this epoch lives.
    func signOfLife(_ epoch: Int64) throws(JournalError) -> WriterPosition
    /// The writer of this epoch ends: another one need not wait.
    func resign(_ epoch: Int64)
    /// Commits a row if nobody else wrote since `previous`.
    func append(_ row: JournalRow, after previous: Int64) throws(JournalError)
    /// Rows after a position, in order, one by one.
    func replay(after position: Int64, _ body: (JournalRow) throws -> Void) throws
    func close()
}

/// Rows that are only ever added, as events brought them, with the sequence of their command.
public struct Appended: Sendable {
    public var entries: [EventAt] = []

    /// An event that adds a row, with its command's sequence and, for a line, its place among that command's lines
    /// (at most 1,000).
    public struct EventAt: Sendable {
        public var sequence: Int64
        public var place: Int
        public var event: Event

        public init(sequence: Int64, place: Int, event: Event) {
            self.sequence = sequence
            self.place = place
            self.event = event
        }
    }

    public init() {}
}

/// What the projector writes in one transaction.
public struct Projection: Sendable {
    /// The tables' position before and after.
    public var previous: Int64
    public var last: Int64
    public var at: Timestamp
    public var rulesVersion: Int64
    public var stateHash: UInt64
    public var changes: StateChanges
    public var appended: Appended

    public init(
        previous: Int64, last: Int64, at: Timestamp, rulesVersion: Int64, stateHash: UInt64, changes: StateChanges,
        appended: Appended
    ) {
        self.previous = previous
        self.last = last
        self.at = at
        self.rulesVersion = rulesVersion
        self.stateHash = stateHash
        self.changes = changes
        self.appended = appended
    }
}

/// The tables as the projector left them.
public struct StoredTables: Sendable {
    public var last: Int64
    public var at: Timestamp
    /// Under which the state was hashed (``JournalBody/rulesVersion``).
    public var rulesVersion: Int64
    public var stateHash: UInt64
    public var state: StoredState

    public init(last: Int64, at: Timestamp, rulesVersion: Int64, stateHash: UInt64, state: StoredState) {
        self.last = last
        self.at = at
        self.rulesVersion = rulesVersion
        self.stateHash = stateHash
        self.state = state
    }
}

public protocol TablesPort: Sendable {
    func load() async throws -> StoredTables
    /// - Throws: if the tables are not at `previous`: somebody else projects.
    func project(_ projection: Projection) async throws
}

/// Metered work, in the database.
public protocol MeterPort: Sendable {
    /// Applies a sealed batch exactly once; applying it again changes nothing.
    func apply(_ batch: SealedBatch, digest: [UInt8]) async throws
    /// A new epoch for an edge whose spool is being created.
    func allotEpoch(edge: EdgeID, at: Timestamp) async throws -> Int64
}
