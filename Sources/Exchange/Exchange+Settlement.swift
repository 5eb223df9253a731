internal import Ledger
internal import Settlement
internal import Units

/// Billing verified work and giving holds back.
extension Exchange {
    static let mostTotals = 1000

    /// Bills what is new in the totals: lines one by one, money in one entry per chunk.
    mutating func settle(run: Int64, chunk: Int64, _ totals: [DeliveryTotal]) throws(Rejection) -> Outcome {
        guard totals.count <= Exchange.mostTotals else { throw .tooManyTotals }
        var sheet = SettlementSheet()
        var finished: [DeliveryID] = []
        var seen: Set<DeliveryID> = []
        for total in totals {
            guard let delivery = state.deliveries[total.delivery] else { continue }
            bill(delivery, upTo: total.billableWork, run: run, chunk: chunk, &sheet)
            if total.isFinal, !delivery.isRunning, seen.insert(delivery.id).inserted {
                finished.append(delivery.id)
            }
        }
        for id in finished {
            guard let delivery = state.deliveries[id] else { continue }
            sheet.move(delivery.held, from: .held(delivery.buyer), to: .available(delivery.buyer))
        }
        let postings = sheet.postings
        if !postings.isEmpty { post(.settlement, reference: "run:\(run)/\(chunk)", postings) }
        var funded = Set(postings.compactMap { $0.amount > .zero ? $0.account.customer : nil })
        for id in finished {
            guard let (buyer, bid) = state.deliveries.with(id, { ($0.buyer, $0.bid) }) else { continue }
            funded.insert(buyer)
            emit(.deliveryClosed(id))
            closeIfSpent(bid)
        }
        var returned = Returned()
        resume(funded, &returned)
        match(returned)
        return .done
    }

    private mutating func bill(
        _ delivery: Delivery, upTo total: Work, run: Int64, chunk: Int64, _ sheet: inout SettlementSheet
    ) {
        let capped = min(total, delivery.workCap(at: time, algorithm: state.algorithm))
        guard capped > delivery.settledWork, let billing = state.billings[delivery.billingKey] else { return }
        let work = capped - delivery.settledWork
        var totals = billing.totals
        let amounts = totals.add(work, terms: billing.terms(at: delivery.terms), algorithm: state.algorithm)
        // The hold pays first, then available funds, then the market.
        let fromHold = min(amounts.debit, delivery.held)
        let free = state.balance(.available(delivery.buyer)) + sheet.change(of: .available(delivery.buyer))
        let fromAvailable = min(amounts.debit - fromHold, max(free, .zero), leftOfBudget(of: delivery.bid))
        let fromLoss = amounts.debit - fromHold - fromAvailable
        sheet.add(.held(delivery.buyer), -fromHold)
        sheet.add(.available(delivery.buyer), -fromAvailable)
        sheet.add(.loss, -fromLoss)
        sheet.add(.available(delivery.seller), amounts.proceeds)
        sheet.add(.fees, amounts.sellerFee + amounts.buyerFee)
        emit(.lineSettled(SettlementLine(
            delivery: delivery.id, run: run, chunk: chunk, at: time, work: work, amounts: amounts,
            fromHold: fromHold, fromAvailable: fromAvailable, fromLoss: fromLoss)))
    }

    /// What a bid may still cost beside what is held for it.
    private func leftOfBudget(of id: OrderID) -> Satoshis {
        guard let bid = state.orders[id]?.bid, let budget = bid.budget else { return Satoshis.supply }
        return max(.zero, budget - bid.spent - state.held(by: id))
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

/// A chunk's postings, summed per account.
private struct SettlementSheet {
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
