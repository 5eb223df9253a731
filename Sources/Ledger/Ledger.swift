public import Units

/// Why an entry was refused; nothing was changed.
public enum LedgerError: Error, Hashable, Sendable {
    case unbalanced
    case empty
    case overdrawn(LedgerAccount)
    case overflow
}

/// Double entry over balances: every entry sums to zero, customers' accounts never go below zero.
public struct Ledger: LedgerBalances, Sendable {
    /// The balances of all accounts that were posted to.
    public private(set) var balances: [LedgerAccount: Satoshis] = [:]

    public init() {}

    /// Restores balances that were stored; they must sum to zero, and customers' must not be below it.
    public init(balances: [LedgerAccount: Satoshis]) throws(LedgerError) {
        self.balances = balances
        guard total == 0 else { throw .unbalanced }
        for (account, balance) in balances where account.mustNotBeNegative && balance < .zero {
            throw .overdrawn(account)
        }
    }

    public subscript(account: LedgerAccount) -> Satoshis { balance(of: account) }

    /// Zero, always; computed for audits.
    public var total: Int128 { balances.values.reduce(0) { $0 + Int128($1.rawValue) } }

    public func balance(of account: LedgerAccount) -> Satoshis { balances[account] ?? .zero }

    public mutating func add(_ amount: Satoshis, to account: LedgerAccount) { balances[account, default: .zero] += amount }
}
