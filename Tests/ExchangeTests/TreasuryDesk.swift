import Exchange
import Ledger
import Units

/// The treasury's part of the ``Auditor``: what people booked, and whether they were allowed to.
struct TreasuryDesk {
    private var sums: [LedgerAccount: Int64] = [:]
    private var corrections: [LedgerAccount: Int64] = [:]
    private var entries: [Int64: LedgerEntry] = [:]
    private var reversed: Set<Int64> = []
    private var references: [String: TransferID] = [:]
    private var payments: Set<String> = []

    /// What entries that people asked for have moved, all together.
    func booked(_ account: LedgerAccount) -> Int64 { sums[account] ?? 0 }

    /// - Returns: what is wrong
    mutating func see(_ entry: LedgerEntry) -> [String] {
        entries[entry.id] = entry
        guard entry.reference.hasPrefix("transfer:") else { return [] }
        let isCorrection = entry.kind == .adjustment || entry.kind == .reversal
        for posting in entry.postings {
            sums[posting.account, default: 0] += posting.amount.rawValue
            if isCorrection { corrections[posting.account, default: 0] += posting.amount.rawValue }
        }
        return entry.by == nil ? ["entry \(entry.id) names nobody"] : []
    }

    mutating func see(_ event: TreasuryEvent, _ before: MarketState) -> [String] {
        guard case .transferChanged(let transfer) = event else { return [] }
        let old = before.transfers[transfer.id]
        var wrong: [String] = []
        func check(_ isFine: Bool, _ text: String) { if !isFine { wrong.append("transfer \(transfer.id) \(text)") } }
        switch transfer.status {
        case .pending:
            check(old == nil, "is pending again")
            if transfer.kind == .withdrawal, let account = transfer.account {
                check(!before.isFrozen(account), "takes money out of a frozen account")
            }
            if transfer.kind == .deposit, let name = transfer.reference {
                check(references.updateValue(transfer.id, forKey: name) == nil, "is recorded twice")
            }
        case .approved:
            check(old?.status == .pending && transfer.kind == .withdrawal, "was approved out of order")
            check(isByOthers(transfer), "was approved by its own")
            check(transfer.account.map { !before.isFrozen($0) } ?? false, "was approved for a frozen account")
        case .completed:
            check(old?.status == (transfer.kind == .withdrawal ? .approved : .pending), "was completed out of order")
            check(isByOthers(transfer), "was decided by its own")
            if transfer.kind == .withdrawal {
                check(payments.insert(transfer.reference ?? "").inserted, "was paid twice")
                check(transfer.completedBy != transfer.account, "was paid by its own")
            }
            if let number = transfer.reverses { check(isReversal(transfer, of: number), "reverses something else") }
        case .rejected, .cancelled:
            check(old?.status.isFinal == false, "ended twice")
            if transfer.kind == .deposit, let name = transfer.reference { references[name] = nil }
        }
        return wrong
    }

    private func isByOthers(_ transfer: Transfer) -> Bool {
        guard let by = transfer.decidedBy else { return false }
        return by != transfer.requestedBy && by != transfer.account
            && !transfer.postings.contains { $0.account == .available(by) }
    }

    private mutating func isReversal(_ transfer: Transfer, of number: Int64) -> Bool {
        guard let entry = entries[number], let own = transfer.entry.flatMap({ entries[$0] }), reversed.insert(number).inserted else {
            return false
        }
        return own.kind == .reversal && entry.kind.isReversible
            && Set(own.postings) == Set(entry.postings.map { Posting($0.account, -$0.amount) })
    }

    /// What must hold between commands.
    func complaints(_ state: MarketState) -> [String] {
        var wrong: [String] = []
        var leaving: [AccountID: Int64] = [:], waiting: Int64 = 0
        for transfer in state.transfers.values {
            if transfer.kind == .withdrawal, let account = transfer.account { leaving[account, default: 0] += transfer.amount.rawValue }
            if transfer.kind == .deposit { waiting += transfer.amount.rawValue }
        }
        for account in state.balances.keys {
            guard case .leaving(let owner) = account, state.balance(account).rawValue != leaving[owner] ?? 0 else { continue }
            wrong.append("account \(owner) has \(state.balance(account)) leaving, transfers \(leaving[owner] ?? 0)")
        }
        let cleared = corrections[.suspense] ?? 0
        if state.balance(.suspense).rawValue != waiting + cleared {
            wrong.append("suspense is \(state.balance(.suspense)), deposits wait with \(waiting), corrections \(cleared)")
        }
        for order in state.orders.values where order.isAlive && state.isFrozen(order.account) {
            wrong.append("order \(order.id) lives on a frozen account")
        }
        for delivery in state.deliveries.values where delivery.isRunning {
            if state.isFrozen(delivery.buyer) || state.isFrozen(delivery.seller) { wrong.append("delivery \(delivery.id) runs on, frozen") }
        }
        return wrong
    }
}
