internal import Ledger
internal import Settlement
internal import Units

/// Billing verified work and giving holds back.
extension Exchange {
    static let mostTotals = SettlementChunk.mostTotals

    /// Bills what is new in the totals, as before there were charge codes: lines one by one, money in one entry per chunk.
    mutating func settle(run: Int64, chunk: Int64, _ totals: [DeliveryTotal]) throws(Rejection) -> Outcome {
        guard totals.count <= Exchange.mostTotals else { throw .tooManyTotals }
        var page = SettlementPage(run: run, chunk: chunk, valueAt: time)
        for total in totals {
            guard let delivery = state.deliveries[total.delivery] else { continue }
            let capped = min(total.billableWork, delivery.workCap(at: time, algorithm: state.algorithm))
            if capped > delivery.settledWork {
                let piece = WorkPiece(
                    code: .delivery, fromMinute: time.minute, toMinute: time.minute + 1, work: capped - delivery.settledWork)
                bill(piece, of: delivery.id, &page)
            }
            if total.isFinal, !delivery.isRunning { page.finish(delivery.id) }
        }
        conclude(page)
        return .done
    }

    /// Prices a piece of a delivery's work and moves its money: a line, and its part of the page's entry.
    mutating func bill(_ piece: WorkPiece, of id: DeliveryID, _ page: inout SettlementPage) {
        guard let delivery = state.deliveries[id], let billing = state.billings[delivery.billingKey] else { return }
        var totals = billing.totals
        let amounts = totals.add(piece.work, terms: billing.terms(at: delivery.terms), algorithm: state.algorithm)
        let debit = split(debit: amounts.debit, of: delivery, page.sheet)
        let short = shortfall(proceeds: amounts.proceeds, of: delivery, page.sheet)
        page.sheet.add(.held(delivery.buyer), -debit.fromHold)
        page.sheet.add(.available(delivery.buyer), -debit.fromAvailable)
        page.sheet.add(.loss, -debit.fromLoss - short)
        page.sheet.add(.available(delivery.seller), amounts.proceeds + short)
        addFees(amounts.sellerFee + amounts.buyerFee, &page.sheet)
        if debit.fromAvailable < .zero { page.refunded.insert(delivery.buyer) }
        emit(.lineSettled(SettlementLine(
            delivery: id, run: page.run, chunk: page.chunk, at: time, valueAt: page.valueAt, code: piece.code,
            fromMinute: piece.fromMinute, toMinute: piece.toMinute, work: piece.work, amounts: amounts, fromHold: debit.fromHold,
            fromAvailable: debit.fromAvailable, fromLoss: debit.fromLoss, sellerShort: short)))
    }

    /// The hold pays first, then available funds, then the market. What is given back goes the other way: first what the
    /// market paid, the rest to the buyer's available funds.
    private func split(
        debit: Satoshis, of delivery: Delivery, _ sheet: SettlementSheet
    ) -> (fromHold: Satoshis, fromAvailable: Satoshis, fromLoss: Satoshis) {
        guard debit >= .zero else {
            let fromLoss = -min(-debit, delivery.unpaid)
            return (.zero, debit - fromLoss, fromLoss)
        }
        let fromHold = min(debit, delivery.held)
        let fromAvailable = min(debit - fromHold, free(delivery.buyer, sheet), leftOfBudget(of: delivery.bid))
        return (fromHold, fromAvailable, debit - fromHold - fromAvailable)
    }

    /// Of proceeds taken back, what the seller has not available. Out of later proceeds the market gets it back: below zero.
    private func shortfall(proceeds: Satoshis, of delivery: Delivery, _ sheet: SettlementSheet) -> Satoshis {
        guard proceeds < .zero else { return -min(proceeds, delivery.unrecovered) }
        return -proceeds - min(-proceeds, free(delivery.seller, sheet))
    }

    /// Fees that are given back and are not there any more are the market's loss.
    private func addFees(_ fees: Satoshis, _ sheet: inout SettlementSheet) {
        let lack = max(.zero, -fees - state.balance(.fees) - sheet.change(of: .fees))
        sheet.add(.fees, fees + lack)
        sheet.add(.loss, -lack)
    }

    /// An account's available funds, with what the sheet moves.
    func free(_ account: AccountID, _ sheet: SettlementSheet) -> Satoshis {
        max(.zero, state.balance(.available(account)) + sheet.change(of: .available(account)))
    }

    /// What a bid may still cost beside what is held for it.
    private func leftOfBudget(of id: OrderID) -> Satoshis {
        guard let bid = state.orders[id]?.bid, let budget = bid.budget else { return Satoshis.supply }
        return max(.zero, budget - bid.spent - state.held(by: id))
    }

    /// Books a page's money, closes what is finished and lets those match who have more funds.
    mutating func conclude(_ page: SettlementPage) {
        var page = page
        for id in page.finished {
            guard let delivery = state.deliveries[id] else { continue }
            page.sheet.move(delivery.held, from: .held(delivery.buyer), to: .available(delivery.buyer))
        }
        let postings = page.sheet.postings
        if !postings.isEmpty {
            post(.settlement, valueAt: page.valueAt, reference: "run:\(page.run)/\(page.chunk)", postings)
        }
        var funded = page.refunded.union(postings.compactMap { $0.amount > .zero ? $0.account.customer : nil })
        for id in page.finished {
            guard let (buyer, bid) = state.deliveries.with(id, { ($0.buyer, $0.bid) }) else { continue }
            funded.insert(buyer)
            emit(.deliveryClosed(id))
            closeIfSpent(bid)
        }
        var returned = Returned()
        resume(funded, &returned)
        match(returned)
    }

    /// Gives back what is left of a hold whose delivery nobody settled to the end in time. Work that arrives later is
    /// charged to what is available then.
    mutating func release(_ delivery: Delivery) {
        post(.release, reference: delivery.id.reference, [
            Posting(.held(delivery.buyer), -delivery.held), Posting(.available(delivery.buyer), delivery.held),
        ])
        emit(.holdReleased(delivery.id))
    }
}

extension LedgerAccount {
    /// The customer whose free funds these are.
    fileprivate var customer: AccountID? {
        switch self {
        case .available(let account): account
        case .held, .custody, .fees, .loss, .suspense, .leaving: nil
        }
    }
}

/// A part of a delivery's work that is billed, or taken back, in one line.
struct WorkPiece: Hashable {
    var code: ChargeCode
    /// Minutes since 1970, the end excluded.
    var fromMinute: Int64
    var toMinute: Int64
    /// Not zero.
    var work: Work
}

/// One command's lines of a run: what they move, and the deliveries that end with them.
struct SettlementPage {
    let run: Int64
    let chunk: Int64
    let valueAt: Timestamp
    var sheet = SettlementSheet()
    /// Buyers who got something back: their bids' budgets reach further, whatever else they paid.
    var refunded: Set<AccountID> = []
    private(set) var finished: [DeliveryID] = []
    private var isFinished: Set<DeliveryID> = []

    init(run: Int64, chunk: Int64, valueAt: Timestamp) {
        self.run = run
        self.chunk = chunk
        self.valueAt = valueAt
    }

    mutating func finish(_ id: DeliveryID) {
        if isFinished.insert(id).inserted { finished.append(id) }
    }
}

/// Postings, summed per account.
struct SettlementSheet {
    private var changes = KeyedValues<LedgerAccount, Satoshis>()

    func change(of account: LedgerAccount) -> Satoshis { changes[account] ?? .zero }

    mutating func add(_ account: LedgerAccount, _ amount: Satoshis) {
        if amount != .zero { changes.update(account, default: .zero) { $0 += amount } }
    }

    mutating func move(_ amount: Satoshis, from: LedgerAccount, to: LedgerAccount) {
        add(from, -amount)
        add(to, amount)
    }

    /// By account; without those that do not change.
    var postings: [Posting] {
        changes.all.filter { $0.value != .zero }.sorted { $0.key < $1.key }.map { Posting($0.key, $0.value) }
    }
}

extension DeliveryID {
    /// As ledger entries name a delivery.
    var reference: String { "delivery:" + String(rawValue) }
}
