public import Units

/// A signed amount on a ledger account.
@frozen
public struct Posting: Hashable, Sendable {
    public var account: LedgerAccount
    public var amount: Satoshis

    @inlinable
    public init(_ account: LedgerAccount, _ amount: Satoshis) {
        self.account = account
        self.amount = amount
    }
}

/// Why an entry was made.
public enum EntryKind: UInt8, Sendable, CaseIterable {
    case deposit = 1
    /// Funds set aside when a delivery opens.
    case hold = 2
    /// Work billed: charges, fees and proceeds of a settlement chunk, and the holds that it frees.
    case settlement = 3
    /// A hold given back.
    case release = 4
    /// A dispute's outcome.
    case credit = 13
}

/// Postings that sum to zero and take effect together.
public struct LedgerEntry: Hashable, Sendable {
    /// 1, 2, 3 ... without gaps.
    public var id: Int64
    public var kind: EntryKind
    /// When it was booked.
    public var at: Timestamp
    /// The time that it counts for: says its period.
    public var valueAt: Timestamp
    /// What it refers to, e.g. `deposit:wire-17`, `delivery:4`, `run:12/0`.
    public var reference: String
    public var postings: [Posting]
    /// The person who asked for it; nil: the market itself.
    public var by: AccountID?
    public var reason: String?

    /// - Parameter valueAt: nil: as booked
    public init(
        id: Int64, kind: EntryKind, at: Timestamp, valueAt: Timestamp? = nil, reference: String, postings: [Posting],
        by: AccountID? = nil, reason: String? = nil
    ) {
        self.id = id
        self.kind = kind
        self.at = at
        self.valueAt = valueAt ?? at
        self.reference = reference
        self.postings = postings
        self.by = by
        self.reason = reason
    }
}
