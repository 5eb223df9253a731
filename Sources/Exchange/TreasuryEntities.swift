public import Ledger
public import Units

public enum TransferKind: UInt8, Sendable, CaseIterable {
    /// Money that arrived in custody.
    case deposit = 1
    /// Money that a customer takes out.
    case withdrawal = 2
    /// Postings that people decided on, with a reason.
    case adjustment = 3
    /// The exact negation of an earlier entry's postings.
    case reversal = 4
}

/// Where a transfer is in its life.
public enum TransferStatus: UInt8, Sendable, CaseIterable {
    /// -> approved (withdrawals) | completed (all others) | rejected | cancelled
    case pending = 1
    /// A withdrawal that is to be paid out. -> completed | rejected
    case approved = 2
    case completed = 3
    case rejected = 4
    /// By the one who had asked for it.
    case cancelled = 5

    /// Whether nothing more comes of it.
    public var isFinal: Bool {
        switch self {
        case .pending, .approved: false
        case .completed, .rejected, .cancelled: true
        }
    }
}

/// Money that comes in, goes out, or is moved by people: one asks for it, another approves.
public struct Transfer: Hashable, Sendable {
    public var id: TransferID
    public var kind: TransferKind
    public var status: TransferStatus
    /// Whose money; nil for a deposit that nobody knows yet, for adjustments and for reversals.
    public var account: AccountID?
    /// 1 satoshi or more; of adjustments and reversals the sum of what is credited.
    public var amount: Satoshis
    /// The payment's own name: a deposit's from the beginning, a withdrawal's once it is paid.
    public var reference: String?
    /// Where a withdrawal goes.
    public var destination: String?
    /// Of adjustments and reversals; empty for others.
    public var postings: [Posting]
    /// The ledger entry that a reversal takes back.
    public var reverses: Int64?
    /// Why, of adjustments and reversals.
    public var reason: String?
    /// Why it was rejected.
    public var note: String?
    public var requestedBy: AccountID
    public var requestedAt: Timestamp
    /// Who approved, rejected or cancelled it.
    public var decidedBy: AccountID?
    public var decidedAt: Timestamp?
    /// Who says that a withdrawal was paid.
    public var completedBy: AccountID?
    public var completedAt: Timestamp?
    /// The last ledger entry that it led to.
    public var entry: Int64?

    public init(
        id: TransferID, kind: TransferKind, status: TransferStatus = .pending, account: AccountID? = nil, amount: Satoshis,
        reference: String? = nil, destination: String? = nil, postings: [Posting] = [], reverses: Int64? = nil,
        reason: String? = nil, note: String? = nil, requestedBy: AccountID, requestedAt: Timestamp,
        decidedBy: AccountID? = nil, decidedAt: Timestamp? = nil, completedBy: AccountID? = nil, completedAt: Timestamp? = nil,
        entry: Int64? = nil
    ) {
        self.id = id
        self.kind = kind
        self.status = status
        self.account = account
        self.amount = amount
        self.reference = reference
        self.destination = destination
        self.postings = postings
        self.reverses = reverses
        self.reason = reason
        self.note = note
        self.requestedBy = requestedBy
        self.requestedAt = requestedAt
        self.decidedBy = decidedBy
        self.decidedAt = decidedAt
        self.completedBy = completedBy
        self.completedAt = completedAt
        self.entry = entry
    }
}

/// What can be booked once only.
public struct PaymentKey: Hashable, Comparable, Sendable {
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// A payment that arrived, by its own name.
        case deposit = 1
        /// The payment of a withdrawal, by its own name.
        case payment = 2
        /// The reversal of a ledger entry, by its number.
        case reversal = 3
    }

    public var kind: Kind
    public var reference: String

    public init(_ kind: Kind, _ reference: String) {
        self.kind = kind
        self.reference = reference
    }

    public static func < (a: PaymentKey, b: PaymentKey) -> Bool {
        (a.kind.rawValue, a.reference) < (b.kind.rawValue, b.reference)
    }
}

/// Why an account may not trade and takes nothing out.
public struct Freeze: Hashable, Sendable {
    public var by: AccountID
    public var at: Timestamp
    public var reason: String

    public init(by: AccountID, at: Timestamp, reason: String) {
        self.by = by
        self.at = at
        self.reason = reason
    }
}

/// What the treasury counts.
public struct Treasury: Hashable, Sendable {
    /// The next transfer's number.
    public var transfer: Int64 = 1

    public init() {}
}

/// What people ask of the treasury. `by` is the account of who asks.
public enum TreasuryCommand: Hashable, Sendable {
    /// Money arrived in custody. `reference` is the payment's own name and unique; nil: it is not known whose it is.
    case recordDeposit(account: AccountID?, amount: Satoshis, reference: String, by: AccountID)
    case requestWithdrawal(account: AccountID, amount: Satoshis, destination: String, by: AccountID)
    case proposeAdjustment([Posting], reason: String, by: AccountID)
    /// `kind` and `postings` are the entry's, as its tables have them.
    case proposeReversal(entry: Int64, kind: EntryKind, [Posting], reason: String, by: AccountID)
    /// `account` for a deposit that had none.
    case approve(TransferID, account: AccountID?, by: AccountID)
    case reject(TransferID, reason: String, by: AccountID)
    /// By the one who asked for it, or whose money it is.
    case cancel(TransferID, by: AccountID)
    /// An approved withdrawal was paid. `reference` is the payment's own name and unique.
    case complete(TransferID, reference: String, by: AccountID)
    /// Stops an account from trading and taking money out, or lets it again.
    case freeze(AccountID, Bool, reason: String, by: AccountID)
}

public enum TreasuryEvent: Hashable, Sendable {
    /// A transfer as it is now.
    case transferChanged(Transfer)
    /// nil: it is no longer frozen.
    case freezeChanged(AccountID, Freeze?)
}

extension PaymentKey: EntityKey {}
