internal import BinaryCoding
internal import Ledger
public import Units

extension MarketState {
    mutating func evolve(_ event: TreasuryEvent) {
        switch event {
        case .transferChanged(let transfer): change(to: transfer)
        case .freezeChanged(let account, let freeze):
            if let freeze { freezes.set(account, freeze) } else { freezes.remove(account) }
        }
    }

    private mutating func change(to transfer: Transfer) {
        let isNew = !transfers.contains(transfer.id)
        if isNew { treasury.transfer = transfer.id.rawValue + 1 }
        transfers.set(transfer.id, transfer)
        if isNew { link(transfer) }
        note(transfer)
        guard transfer.status.isFinal else { return }
        transfers.remove(transfer.id)
        transfersByAccount.remove(transfer.id)
    }

    /// What it takes that can be had once only, or gives back.
    private mutating func note(_ transfer: Transfer) {
        switch (transfer.kind, transfer.status) {
        case (.deposit, .pending), (.reversal, .pending), (.withdrawal, .completed):
            if let key = transfer.paymentKey { payments.set(key, transfer.id) }
        case (.deposit, .rejected), (.deposit, .cancelled), (.reversal, .rejected), (.reversal, .cancelled):
            if let key = transfer.paymentKey { payments.remove(key) }
        case (.deposit, .approved), (.deposit, .completed), (.reversal, .approved), (.reversal, .completed), (.adjustment, _),
            (.withdrawal, .pending), (.withdrawal, .approved), (.withdrawal, .rejected), (.withdrawal, .cancelled):
            break
        }
    }

    /// What is derived from a transfer that just came or was loaded.
    mutating func link(_ transfer: Transfer) { transfersByAccount.insert(transfer.id, of: transfer.bucket) }

    public func isFrozen(_ account: AccountID) -> Bool { freezes.contains(account) }

    /// An account's transfers that are not at their end, by number.
    public func transfers(of account: AccountID) -> [Transfer] {
        transfersByAccount.members(of: account).compactMap { transfers[$0] }.sorted { $0.id < $1.id }
    }
}

extension Transfer {
    /// The account that it counts for; 0 for what belongs to nobody.
    var bucket: AccountID { account ?? AccountID(0) }

    /// What of it can be booked once only; nil when there is nothing (yet).
    var paymentKey: PaymentKey? {
        switch kind {
        case .deposit: reference.map { PaymentKey(.deposit, $0) }
        case .withdrawal: reference.map { PaymentKey(.payment, $0) }
        case .reversal: reverses.map { PaymentKey(.reversal, String($0)) }
        case .adjustment: nil
        }
    }
}
