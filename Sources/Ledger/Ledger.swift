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
    private var rows: ContiguousArray<(account: LedgerAccount, balance: Satoshis)> = []
    private var index = SlotIndex()

    public init() {}

    /// Restores balances that were stored; they must sum to zero, and customers' must not be below it.
    public init(balances: [LedgerAccount: Satoshis]) throws(LedgerError) {
        guard balances.values.reduce(Int128(0), { $0 + Int128($1.rawValue) }) == 0 else { throw .unbalanced }
        for (account, balance) in balances where account.mustNotBeNegative && balance < .zero {
            throw .overdrawn(account)
        }
        for (account, balance) in balances { add(balance, to: account) }
    }

    /// The balances of all accounts that were posted to. O(n).
    public var balances: [LedgerAccount: Satoshis] {
        Dictionary(uniqueKeysWithValues: rows.lazy.map { ($0.account, $0.balance) })
    }

    public subscript(account: LedgerAccount) -> Satoshis { balance(of: account) }

    /// Zero, always; computed for audits.
    public var total: Int128 { rows.reduce(0) { $0 + Int128($1.balance.rawValue) } }

    public func balance(of account: LedgerAccount) -> Satoshis { slot(of: account).map { rows[$0].balance } ?? .zero }

    public mutating func add(_ amount: Satoshis, to account: LedgerAccount) {
        if let slot = slot(of: account) {
            rows[slot].balance += amount
        } else {
            index.insert(account.indexHash, slot: rows.count)
            rows.append((account, amount))
        }
    }

    private func slot(of account: LedgerAccount) -> Int? {
        index.slot(account.indexHash) { rows[$0].account == account }
    }
}
