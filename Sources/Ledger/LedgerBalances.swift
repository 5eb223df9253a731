public import Units

/// The balances that a ledger's entries move, wherever they are kept.
public protocol LedgerBalances {
    /// Zero if nothing was ever posted to it.
    func balance(of account: LedgerAccount) -> Satoshis

    /// - Precondition: the sum does not overflow
    mutating func add(_ amount: Satoshis, to account: LedgerAccount)
}

extension LedgerBalances {
    /// Applies the postings, all or nothing. Allocates nothing for up to ``mostCompared`` postings.
    ///
    /// Postings on one account count together, but none of their sums on the way may overflow.
    ///
    /// - Throws: ``LedgerError``; balances are then as before.
    @inlinable
    public mutating func post(_ postings: [Posting]) throws(LedgerError) {
        try check(postings)
        for posting in postings { add(posting.amount, to: posting.account) }
    }

    /// Whether the postings could be applied now.
    @inlinable
    public func check(_ postings: [Posting]) throws(LedgerError) {
        guard !postings.isEmpty else { throw .empty }
        guard isBalanced(postings) else { throw .unbalanced }
        try postings.count <= mostCompared ? checkFew(postings) : checkMany(postings)
    }

    @inlinable
    func isBalanced(_ postings: [Posting]) -> Bool {
        var sum = Int128(0)
        for posting in postings { sum += Int128(posting.amount.rawValue) }
        return sum == 0
    }

    /// Compares all accounts with each other.
    @inlinable
    func checkFew(_ postings: [Posting]) throws(LedgerError) {
        var overdrawn: LedgerAccount?
        for first in postings.indices {
            let account = postings[first].account
            if (0..<first).contains(where: { postings[$0].account == account }) { continue }
            var sum = balance(of: account).rawValue
            for index in first..<postings.count where postings[index].account == account {
                let (next, overflow) = sum.addingReportingOverflow(postings[index].amount.rawValue)
                guard !overflow else { throw .overflow }
                sum = next
            }
            if sum < 0, account.mustNotBeNegative, overdrawn == nil { overdrawn = account }
        }
        // What overflows anywhere is refused for that first.
        if let overdrawn { throw .overdrawn(overdrawn) }
    }

    @inlinable
    func checkMany(_ postings: [Posting]) throws(LedgerError) {
        var sums: [LedgerAccount: Int64] = [:]
        for posting in postings {
            let old = sums[posting.account] ?? balance(of: posting.account).rawValue
            let (sum, overflow) = old.addingReportingOverflow(posting.amount.rawValue)
            guard !overflow else { throw .overflow }
            sums[posting.account] = sum
        }
        let overdrawn = postings.first { $0.account.mustNotBeNegative && sums[$0.account, default: 0] < 0 }
        if let overdrawn { throw .overdrawn(overdrawn.account) }
    }
}

/// Entries of so few postings are checked by comparing their accounts with each other.
@usableFromInline let mostCompared = 16
