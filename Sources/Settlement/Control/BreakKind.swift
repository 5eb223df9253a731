public import Units

/// What does not agree. The raw values are stored.
public enum BreakKind: UInt8, Sendable, CaseIterable {
    /// The statement has a movement that the ledger does not have.
    case missingInLedger = 1
    /// The ledger has a movement that no statement has.
    case missingInCustody = 2
    case amountDiffers = 3
    /// The ledger has a movement once more than the statements.
    case duplicateInLedger = 4
    /// Statements have a movement once more than the ledger.
    case duplicateInCustody = 5
    /// What statements say is in custody is not what the ledger says.
    case balanceDiffers = 6
    /// Less is in custody than is owed to customers.
    case liabilitiesNotCovered = 7
    /// A pool refused more than tolerated.
    case poolRejected = 20
    /// A pool left more unanswered than tolerated.
    case poolUnanswered = 21
    /// A pool says that it counted another number of shares than it accepted.
    case poolShareCount = 22
    /// A pool says that it counted other work than was metered.
    case poolWork = 23
    /// Slots and shares of a day count differently.
    case slotsDiffer = 24

    public var code: String { "\(self)" }

    /// What its amount counts.
    public var unit: String {
        switch self {
        case .missingInLedger, .missingInCustody, .amountDiffers, .duplicateInLedger, .duplicateInCustody, .balanceDiffers,
            .liabilitiesNotCovered:
            "satoshis"
        case .poolRejected, .poolUnanswered, .poolShareCount, .slotsDiffer: "shares"
        case .poolWork: "work"
        }
    }
}

/// Something that a reconciliation found.
public struct FoundBreak: Hashable, Sendable {
    public var kind: BreakKind
    /// Names it among those of its kind, the same at every run.
    public var key: String
    /// The time that it belongs to.
    public var at: Timestamp
    /// How far it is off; in ``BreakKind/unit``, signed: what is there outside minus what should be.
    public var amount: Int64
    /// In a sentence.
    public var cause: String

    public init(kind: BreakKind, key: String, at: Timestamp, amount: Int64, cause: String) {
        self.kind = kind
        self.key = key
        self.at = at
        self.amount = amount
        self.cause = cause
    }

    public struct Name: Hashable, Sendable {
        public var kind: BreakKind
        public var key: String

        public init(kind: BreakKind, key: String) {
            self.kind = kind
            self.key = key
        }
    }

    public var name: Name { Name(kind: kind, key: key) }
}

/// Where a break stands. The raw values are stored.
public enum BreakStatus: UInt8, Sendable, CaseIterable {
    case open = 1
    /// By a person, with a note.
    case resolved = 2
    /// A later run did not find it any more.
    case gone = 3

    public var code: String { "\(self)" }
}

/// What happened to a break. The raw values are stored.
public enum BreakEventKind: UInt8, Sendable, CaseIterable {
    case found = 1
    case amountChanged = 2
    case gone = 3
    case assigned = 4
    case resolved = 5
    case reopened = 6

    public var code: String { "\(self)" }
}

/// A break as its last event left it.
public struct BreakState: Hashable, Sendable {
    public var status: BreakStatus
    public var amount: Int64

    public init(status: BreakStatus, amount: Int64) {
        self.status = status
        self.amount = amount
    }

    /// What a run that found it, or not (nil), makes of a break that was known, or not (nil).
    ///
    /// A resolved one stays so for as long as its amount does.
    public static func event(known: BreakState?, found amount: Int64?) -> BreakEventKind? {
        switch (known?.status, amount) {
        case (nil, nil): nil
        case (nil, .some): .found
        case (.open, nil): .gone
        case (.open, .some(let amount)): amount == known?.amount ? nil : .amountChanged
        case (.resolved, nil), (.gone, nil): nil
        case (.resolved, .some(let amount)): amount == known?.amount ? nil : .reopened
        case (.gone, .some): .reopened
        }
    }
}
