public import Units

/// An account of the ledger. Balances are credits minus debits: what is owed to a customer is positive,
/// what the market has in custody is negative.
@frozen
public enum LedgerAccount: Hashable, Comparable, Sendable {
    /// A customer's funds that are free to use.
    case available(AccountID)
    /// A customer's funds set aside for running deliveries.
    case held(AccountID)
    /// Money held for customers outside (bank, wallet): the counterpart of deposits.
    case custody
    /// Fees earned.
    case fees
    /// Work delivered that nobody could be charged for.
    case loss
    /// Money that arrived and nobody has approved yet, and what is to be cleared up. May be below zero.
    case suspense
    /// A customer's funds on their way out: set aside for withdrawals that are not paid yet.
    case leaving(AccountID)

    /// Stable code for storage: kind and owner (0 for the market's own accounts).
    @inlinable
    public var code: (kind: UInt8, owner: Int64) {
        switch self {
        case .available(let account): (1, account.rawValue)
        case .held(let account): (2, account.rawValue)
        case .custody: (3, 0)
        case .fees: (4, 0)
        case .loss: (5, 0)
        case .suspense: (6, 0)
        case .leaving(let account): (7, account.rawValue)
        }
    }

    /// nil for an unknown kind, or an owner where none belongs (or the reverse).
    public init?(kind: UInt8, owner: Int64) {
        switch (kind, owner) {
        case (1, 1...): self = .available(AccountID(owner))
        case (2, 1...): self = .held(AccountID(owner))
        case (3, 0): self = .custody
        case (4, 0): self = .fees
        case (5, 0): self = .loss
        case (6, 0): self = .suspense
        case (7, 1...): self = .leaving(AccountID(owner))
        default: return nil
        }
    }

    public static func < (a: LedgerAccount, b: LedgerAccount) -> Bool { a.code < b.code }

    @inlinable
    public static func == (a: LedgerAccount, b: LedgerAccount) -> Bool { a.code == b.code }

    /// For a ``SlotIndex``: accounts are numbered by the market.
    @inlinable
    public var indexHash: UInt64 {
        let (kind, owner) = code
        return SlotIndex.hash(owner &<< 3 ^ Int64(kind))
    }

    /// Whether a balance below zero would mean that somebody spent what they do not have.
    @inlinable
    public var mustNotBeNegative: Bool {
        switch self {
        case .available, .held, .fees, .leaving: true
        case .custody, .loss, .suspense: false
        }
    }
}
