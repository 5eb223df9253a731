public import Exchange
public import Ledger
public import Units

/// Which of an entry's two times says whether it counts.
public enum LedgerBasis: UInt8, Sendable, CaseIterable {
    /// The time that it counts for: says its period.
    case value = 1
    /// When it was booked.
    case booked = 2
}

/// A ledger account with its balance: credits minus debits.
public struct LedgerBalance: Hashable, Sendable {
    public var account: LedgerAccount
    public var balance: Satoshis

    public init(_ account: LedgerAccount, _ balance: Satoshis) {
        self.account = account
        self.balance = balance
    }
}

/// An entry with its place in the hash chain.
public struct ChainedEntry: Hashable, Sendable {
    /// With all its postings, or with those only that the reader may see.
    public var entry: LedgerEntry
    /// nil while it waits to be chained.
    public var hash: [UInt8]?

    public init(_ entry: LedgerEntry, hash: [UInt8]?) {
        self.entry = entry
        self.hash = hash
    }
}

/// Which transfers are asked for; nil is any.
public struct TransferFilter: Hashable, Sendable {
    public var account: AccountID?
    public var kind: TransferKind?
    public var status: TransferStatus?

    public init(account: AccountID? = nil, kind: TransferKind? = nil, status: TransferStatus? = nil) {
        self.account = account
        self.kind = kind
        self.status = status
    }
}

/// What a range of the ledger's entries comes to, by the postings that are listed.
public struct LedgerTotals: Hashable, Sendable {
    public var entries: Int64
    public var postings: Int64
    /// Of the amounts.
    public var sum: Int128

    public init(entries: Int64 = 0, postings: Int64 = 0, sum: Int128 = 0) {
        self.entries = entries
        self.postings = postings
        self.sum = sum
    }
}

/// What is read of the ledger and of transfers from the projected tables.
public protocol TreasuryReports: Sendable {
    /// Transfers by number, after `cursor`, at most `limit`.
    func transfers(_ filter: TransferFilter, after cursor: Int64, limit: Int) async throws -> [Transfer]
    /// A transfer's last image.
    func transfer(_ id: TransferID) async throws -> Transfer?
    /// An entry with all its postings.
    func ledgerEntry(_ number: Int64) async throws -> LedgerEntry?
    /// Entries by number, after `cursor`, at most `limit`: all with all postings, or those that move a customer's funds with
    /// that customer's postings only.
    func ledgerEntries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ChainedEntry]
    /// The highest entry's number; zero: there is none.
    func newestLedgerEntry() async throws -> Int64
    /// What ``ledgerEntries(account:after:limit:)`` lists after `cursor` up to `end`, in all.
    func ledgerTotals(account: AccountID?, after cursor: Int64, through end: Int64) async throws -> LedgerTotals
    /// Every account that was ever posted to, by kind and owner; nil: as of now.
    func trialBalance(asOf: Timestamp?, _ basis: LedgerBasis) async throws -> [LedgerBalance]
    /// The balances of some accounts, in the order that they are named.
    func balances(of accounts: [LedgerAccount], asOf: Timestamp, _ basis: LedgerBasis) async throws -> [Satoshis]
}
