public import Ledger
internal import OrderBook
internal import Units

/// Money in and out by two people, corrections, and frozen accounts.
extension Exchange {
    /// Transfers of one account that are not at their end; those that belong to nobody count together.
    static let mostTransfers = 100
    static let mostUnassignedTransfers = 1000
    /// Of an adjustment.
    static let mostPostings = 16

    mutating func decide(_ command: TreasuryCommand) throws(Rejection) -> Outcome {
        switch command {
        case .recordDeposit(let account, let amount, let reference, let by):
            return try recordDeposit(account, amount, reference, by)
        case .requestWithdrawal(let account, let amount, let destination, let by):
            return try requestWithdrawal(account, amount, to: destination, by)
        case .proposeAdjustment(let postings, let reason, let by): return try proposeAdjustment(postings, reason, by)
        case .proposeReversal(let entry, let kind, let postings, let reason, let by):
            return try proposeReversal(of: entry, kind, postings, reason, by)
        case .approve(let id, let account, let by): return try approve(id, account, by)
        case .reject(let id, let reason, let by): return try reject(id, reason, by)
        case .cancel(let id, let by): return try cancel(id, by)
        case .complete(let id, let reference, let by): return try complete(id, reference, by)
        case .freeze(let account, true, let reason, let by): return try freeze(account, reason, by)
        case .freeze(let account, false, let reason, let by): return try thaw(account, reason, by)
        }
    }

    // MARK: - Requests

    private mutating func recordDeposit(
        _ account: AccountID?, _ amount: Satoshis, _ reference: String, _ by: AccountID
    ) throws(Rejection) -> Outcome {
        try checkArrival(of: amount)
        guard by.rawValue > 0, account.map({ $0.rawValue > 0 }) ?? true, Exchange.isText(reference, 1...128) else {
            throw .textTooLong
        }
        guard !state.payments.contains(PaymentKey(.deposit, reference)) else { throw .duplicateReference }
        if let account { try checkNotBooked(reference, on: account) }
        try checkRoomForTransfer(of: account)
        let entry = book(.depositRecorded, nextTransfer, by, reference, [
            Posting(.suspense, amount), Posting(.custody, -amount),
        ])
        return request(Transfer(
            id: nextTransfer, kind: .deposit, account: account, amount: amount, reference: reference, requestedBy: by,
            requestedAt: time, entry: entry))
    }

    private mutating func requestWithdrawal(
        _ account: AccountID, _ amount: Satoshis, to destination: String, _ by: AccountID
    ) throws(Rejection) -> Outcome {
        guard amount > .zero, amount <= Satoshis.supply else { throw .amountOutOfRange }
        guard account.rawValue > 0, by.rawValue > 0, Exchange.isText(destination, 1...Exchange.mostTextBytes) else {
            throw .textTooLong
        }
        try checkNotFrozen(account)
        guard state.balance(.available(account)) >= amount else { throw .insufficientFunds }
        try checkRoomForTransfer(of: account)
        let entry = book(.withdrawalRequested, nextTransfer, by, destination, [
            Posting(.available(account), -amount), Posting(.leaving(account), amount),
        ])
        return request(Transfer(
            id: nextTransfer, kind: .withdrawal, account: account, amount: amount, destination: destination, requestedBy: by,
            requestedAt: time, entry: entry))
    }

    private mutating func proposeAdjustment(
        _ postings: [Posting], _ reason: String, _ by: AccountID
    ) throws(Rejection) -> Outcome {
        try checkReason(reason, by)
        guard postings.count <= Exchange.mostPostings else { throw .postingsInvalid }
        let amount = try checkForm(of: postings)
        try checkRoomForTransfer(of: nil)
        return request(Transfer(
            id: nextTransfer, kind: .adjustment, amount: amount, postings: postings, reason: reason, requestedBy: by,
            requestedAt: time))
    }

    private mutating func proposeReversal(
        of entry: Int64, _ kind: EntryKind, _ postings: [Posting], _ reason: String, _ by: AccountID
    ) throws(Rejection) -> Outcome {
        try checkReason(reason, by)
        guard (1..<state.counters.entry).contains(entry), kind.isReversible, postings.count <= Exchange.mostPostings else {
            throw .entryNotReversible
        }
        guard !state.payments.contains(PaymentKey(.reversal, String(entry))) else { throw .entryAlreadyReversed }
        let negation = postings.map { Posting($0.account, -$0.amount) }
        let amount = try checkForm(of: negation)
        try checkRoomForTransfer(of: nil)
        return request(Transfer(
            id: nextTransfer, kind: .reversal, amount: amount, postings: negation, reverses: entry, reason: reason,
            requestedBy: by, requestedAt: time))
    }

    // MARK: - Decisions

    private mutating func approve(_ id: TransferID, _ account: AccountID?, _ by: AccountID) throws(Rejection) -> Outcome {
        var transfer = try pending(id)
        guard by.rawValue > 0, transfer.requestedBy != by, !transfer.concerns(by) else { throw .ownTransfer }
        (transfer.decidedBy, transfer.decidedAt) = (by, time)
        switch transfer.kind {
        case .deposit: return try approveDeposit(transfer, account, by)
        case .withdrawal:
            guard account == nil || account == transfer.account else { throw .transferAccountInvalid }
            try checkNotFrozen(transfer.bucket)
            transfer.status = .approved
            emit(.treasury(.transferChanged(transfer)))
            return .transfer(id)
        case .adjustment, .reversal:
            guard account == nil else { throw .transferAccountInvalid }
            try checkFits(transfer.postings)
            let kind: EntryKind = transfer.kind == .adjustment ? .adjustment : .reversal
            transfer.entry = book(kind, id, by, transfer.reason, transfer.postings)
            finish(transfer, funding: transfer.postings.compactMap { $0.amount > .zero ? $0.account.owner : nil })
            return .transfer(id)
        }
    }

    private mutating func approveDeposit(
        _ pending: Transfer, _ account: AccountID?, _ by: AccountID
    ) throws(Rejection) -> Outcome {
        var transfer = pending
        guard let owner = transfer.account ?? account, owner.rawValue > 0, account == nil || account == owner else {
            throw .transferAccountInvalid
        }
        guard owner != by else { throw .ownTransfer }
        if transfer.account == nil, let reference = transfer.reference { try checkNotBooked(reference, on: owner) }
        transfer.account = owner
        transfer.entry = book(.depositApproved, transfer.id, by, transfer.reference, [
            Posting(.available(owner), transfer.amount), Posting(.suspense, -transfer.amount),
        ])
        finish(transfer, funding: [owner])
        return .transfer(transfer.id)
    }

    private mutating func reject(_ id: TransferID, _ reason: String, _ by: AccountID) throws(Rejection) -> Outcome {
        guard var transfer = state.transfers[id] else { throw unknown(id) }
        // What another has approved may be paid by now: it does not come back by a word of whom it is for.
        let isConcerned = transfer.requestedBy == by || transfer.account == by
        guard transfer.status != .approved || !isConcerned else { throw .ownTransfer }
        try checkReason(reason, by)
        (transfer.status, transfer.note) = (.rejected, reason)
        return undo(transfer, by)
    }

    private mutating func cancel(_ id: TransferID, _ by: AccountID) throws(Rejection) -> Outcome {
        guard let known = state.transfers[id] else { throw unknown(id) }
        guard known.requestedBy == by || known.kind == .withdrawal && known.account == by else { throw .transferUnknown }
        var transfer = try pending(id)
        transfer.status = .cancelled
        return undo(transfer, by)
    }

    /// Books back what was set aside.
    private mutating func undo(_ ended: Transfer, _ by: AccountID) -> Outcome {
        var transfer = ended
        var funded: [AccountID] = []
        switch transfer.kind {
        case .deposit:
            transfer.entry = book(.depositReturned, transfer.id, by, transfer.note ?? transfer.reference, [
                Posting(.custody, transfer.amount), Posting(.suspense, -transfer.amount),
            ])
        case .withdrawal:
            let owner = transfer.bucket
            transfer.entry = book(.withdrawalReturned, transfer.id, by, transfer.note ?? transfer.destination, [
                Posting(.available(owner), transfer.amount), Posting(.leaving(owner), -transfer.amount),
            ])
            funded = [owner]
        case .adjustment, .reversal: break
        }
        (transfer.decidedBy, transfer.decidedAt) = (by, time)
        emit(.treasury(.transferChanged(transfer)))
        fund(funded)
        return .transfer(transfer.id)
    }

    private mutating func complete(_ id: TransferID, _ reference: String, _ by: AccountID) throws(Rejection) -> Outcome {
        guard var transfer = state.transfers[id] else { throw unknown(id) }
        guard transfer.kind == .withdrawal, transfer.status == .approved, let owner = transfer.account else {
            throw .transferNotApproved
        }
        guard by.rawValue > 0, owner != by else { throw .ownTransfer }
        guard Exchange.isText(reference, 1...128) else { throw .textTooLong }
        guard !state.payments.contains(PaymentKey(.payment, reference)) else { throw .duplicateReference }
        transfer.reference = reference
        (transfer.status, transfer.completedBy, transfer.completedAt) = (.completed, by, time)
        transfer.entry = book(.withdrawalPaid, id, by, reference, [
            Posting(.custody, transfer.amount), Posting(.leaving(owner), -transfer.amount),
        ])
        emit(.treasury(.transferChanged(transfer)))
        return .transfer(id)
    }

    // MARK: - Frozen accounts

    /// Cancels an account's orders, whatever phase the market is in: their deliveries end with them.
    private mutating func freeze(_ account: AccountID, _ reason: String, _ by: AccountID) throws(Rejection) -> Outcome {
        guard account.rawValue > 0 else { throw .transferAccountInvalid }
        try checkReason(reason, by)
        guard !state.isFrozen(account) else { return .done }
        emit(.treasury(.freezeChanged(account, Freeze(by: by, at: time, reason: reason))))
        for farm in state.farmsByAccount.members(of: account) where state.farms[farm]?.offer != nil {
            emit(.farmOffered(farm, nil))
        }
        var returned = Returned()
        closeAll(of: account, nil, .accountFrozen, at: time, &returned)
        match(returned)
        return .done
    }

    private mutating func thaw(_ account: AccountID, _ reason: String, _ by: AccountID) throws(Rejection) -> Outcome {
        try checkReason(reason, by)
        guard account != by else { throw .ownTransfer }
        guard state.isFrozen(account) else { return .done }
        emit(.treasury(.freezeChanged(account, nil)))
        return .done
    }

    func checkNotFrozen(_ account: AccountID) throws(Rejection) {
        if state.isFrozen(account) { throw .accountFrozen }
    }

    // MARK: - Parts

    private var nextTransfer: TransferID { TransferID(state.treasury.transfer) }

    private mutating func request(_ transfer: Transfer) -> Outcome {
        emit(.treasury(.transferChanged(transfer)))
        return .transfer(transfer.id)
    }

    private mutating func finish(_ ended: Transfer, funding accounts: [AccountID]) {
        var transfer = ended
        transfer.status = .completed
        emit(.treasury(.transferChanged(transfer)))
        fund(accounts)
    }

    /// Bids that waited for money meet the asks again.
    private mutating func fund(_ accounts: [AccountID]) {
        guard !accounts.isEmpty else { return }
        var returned = Returned()
        resume(Set(accounts), &returned)
        match(returned)
    }

    private mutating func book(
        _ kind: EntryKind, _ transfer: TransferID, _ by: AccountID, _ reason: String?, _ postings: [Posting]
    ) -> Int64 {
        post(kind, by: by, reason: reason, reference: "transfer:" + String(transfer.rawValue), postings)
    }

    private func pending(_ id: TransferID) throws(Rejection) -> Transfer {
        guard let transfer = state.transfers[id] else { throw unknown(id) }
        guard transfer.status == .pending else { throw .transferNotPending }
        return transfer
    }

    /// Why a transfer is not there: it came to its end, or never was.
    private func unknown(_ id: TransferID) -> Rejection {
        (1..<state.treasury.transfer).contains(id.rawValue) ? .transferNotPending : .transferUnknown
    }

    func checkArrival(of amount: Satoshis) throws(Rejection) {
        guard amount > .zero, amount <= Satoshis.supply,
            -state.balance(.custody).rawValue <= Satoshis.supply.rawValue - amount.rawValue
        else { throw .amountOutOfRange }
    }

    /// Whether a deposit of this name was credited by one person.
    private func checkNotBooked(_ reference: String, on account: AccountID) throws(Rejection) {
        guard !state.deposits.contains(DepositKey(account: account, reference: reference)) else { throw .duplicateReference }
    }

    private func checkReason(_ reason: String, _ by: AccountID) throws(Rejection) {
        guard by.rawValue > 0, Exchange.isText(reason, 1...Exchange.mostTextBytes) else { throw .textTooLong }
    }

    private func checkRoomForTransfer(of account: AccountID?) throws(Rejection) {
        let most = account == nil ? Exchange.mostUnassignedTransfers : Exchange.mostTransfers
        guard state.transfersByAccount.count(of: account ?? AccountID(0)) < most else { throw .tooManyTransfers }
    }

    /// That postings could ever be booked: different accounts that people may post to, amounts in range, a sum of zero.
    ///
    /// - Returns: the sum of what they credit
    private func checkForm(of postings: [Posting]) throws(Rejection) -> Satoshis {
        guard postings.count >= 2, Set(postings.map(\.account)).count == postings.count else { throw .postingsInvalid }
        var sum = Int128(0), credited = Int128(0)
        for posting in postings {
            let amount = posting.amount.rawValue
            guard posting.account.isForAdjustments, amount != 0, (-Satoshis.supply.rawValue...Satoshis.supply.rawValue).contains(amount)
            else { throw .postingsInvalid }
            sum += Int128(amount)
            credited += Int128(max(0, amount))
        }
        guard sum == 0 else { throw .postingsInvalid }
        guard credited <= Int128(Satoshis.supply.rawValue) else { throw .amountOutOfRange }
        return Satoshis(Int64(credited))
    }

    /// That postings leave nobody with less than nothing, now.
    private func checkFits(_ postings: [Posting]) throws(Rejection) {
        do { try state.balances.check(postings) } catch {
            switch error {
            case .overdrawn: throw .insufficientFunds
            case .overflow: throw .amountOutOfRange
            case .unbalanced, .empty: throw .postingsInvalid
            }
        }
        let supply = Satoshis.supply.rawValue
        for posting in postings {
            let balance = state.balance(posting.account) + posting.amount
            guard (-supply...supply).contains(balance.rawValue) else { throw .amountOutOfRange }
        }
    }
}

extension EntryKind {
    /// Whether people may take such an entry back. Holds and settlements are corrected by settlement, deposits and withdrawals
    /// that are on their way by rejecting them.
    public var isReversible: Bool {
        switch self {
        case .deposit, .depositApproved, .adjustment, .reversal: true
        case .hold, .settlement, .release, .depositRecorded, .depositReturned, .withdrawalRequested, .withdrawalPaid,
            .withdrawalReturned, .credit:
            false
        }
    }
}

extension LedgerAccount {
    /// Whether people may post to it: what is held and leaving has its reason elsewhere.
    var isForAdjustments: Bool {
        switch self {
        case .available, .custody, .fees, .loss, .suspense: true
        case .held, .leaving: false
        }
    }

    /// The customer whose free funds these are.
    fileprivate var owner: AccountID? {
        switch self {
        case .available(let account): account
        case .held, .custody, .fees, .loss, .suspense, .leaving: nil
        }
    }
}

extension Transfer {
    /// Whether it moves this account's money.
    func concerns(_ account: AccountID) -> Bool {
        self.account == account || postings.contains { $0.account == .available(account) }
    }
}
