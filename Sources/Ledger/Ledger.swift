public import Units

/// An account of the ledger. Balances are credits minus debits: what is owed to a customer is positive,
/// what the market has in custody is negative.
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

    /// Stable code for storage: kind and owner (0 for the market's own accounts).
    public var code: (kind: UInt8, owner: Int64) {
        switch self {
        case .available(let account): (1, account.rawValue)
        case .held(let account): (2, account.rawValue)
        case .custody: (3, 0)
        case .fees: (4, 0)
        case .loss: (5, 0)
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
        default: return nil
        }
    }

    public static func < (a: LedgerAccount, b: LedgerAccount) -> Bool { a.code < b.code }

    /// Whether a balance below zero would mean that somebody spent what they do not have.
    public var mustNotBeNegative: Bool {
        switch self {
        case .available, .held, .fees: true
        case .custody, .loss: false
        }
    }
}

/// A signed amount on a ledger account.
public struct Posting: Hashable, Sendable {
    public var account: LedgerAccount
    public var amount: Satoshis

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
}

/// Postings that sum to zero and take effect together.
public struct LedgerEntry: Hashable, Sendable {
    /// 1, 2, 3 ... without gaps.
    public var id: Int64
    public var kind: EntryKind
    public var at: Timestamp
    /// What it refers to, e.g. `deposit:wire-17`, `delivery:4`, `run:12/0`.
    public var reference: String
    public var postings: [Posting]

    public init(id: Int64, kind: EntryKind, at: Timestamp, reference: String, postings: [Posting]) {
        self.id = id
        self.kind = kind
        self.at = at
        self.reference = reference
        self.postings = postings
    }
}

/// Why an entry was refused; nothing was changed.
public enum LedgerError: Error, Hashable, Sendable {
    case unbalanced
    case empty
    case overdrawn(LedgerAccount)
    case overflow
}

/// Double entry over balances: every entry sums to zero, customers' accounts never go below zero.
public struct Ledger: Sendable {
    public private(set) var balances: [LedgerAccount: Satoshis] = [:]

    public init() {}

    /// Restores balances that were stored; they must sum to zero, and customers' must not be below it.
    public init(balances: [LedgerAccount: Satoshis]) throws(LedgerError) {
        guard Ledger.total(balances.values) == 0 else { throw .unbalanced }
        for (account, balance) in balances where account.mustNotBeNegative && balance < .zero {
            throw .overdrawn(account)
        }
        self.balances = balances
    }

    public subscript(account: LedgerAccount) -> Satoshis { balances[account] ?? .zero }

    /// Zero, always; computed for audits.
    public var total: Int128 { Ledger.total(balances.values) }

    /// Applies the postings, all or nothing.
    ///
    /// - Throws: ``LedgerError``; balances are then as before.
    public mutating func post(_ postings: [Posting]) throws(LedgerError) {
        guard !postings.isEmpty else { throw .empty }
        guard Ledger.total(postings.map(\.amount)) == 0 else { throw .unbalanced }
        var changed: [LedgerAccount: Satoshis] = [:]
        for posting in postings {
            let old = changed[posting.account] ?? self[posting.account]
            let (sum, overflow) = old.rawValue.addingReportingOverflow(posting.amount.rawValue)
            guard !overflow else { throw .overflow }
            changed[posting.account] = Satoshis(sum)
        }
        for (account, balance) in changed where account.mustNotBeNegative && balance < .zero {
            throw .overdrawn(account)
        }
        for (account, balance) in changed { balances[account] = balance }
    }

    private static func total(_ amounts: some Sequence<Satoshis>) -> Int128 {
        amounts.reduce(Int128(0)) { $0 + Int128($1.rawValue) }
    }
}
