internal import Ledger
internal import Settlement
internal import Units

extension MarketState {
    mutating func evolve(_ event: BooksEvent) {
        switch event {
        case .reopened(let closed):
            books.reopenings += 1
            for delivery in closed { reopen(delivery) }
        case .periodClosed(let through, _):
            books.closedThrough = through
        }
    }

    mutating func settle(_ line: SettlementLine) {
        if let credit = line.credit { books.credits = credit }
        guard line.code.isBilled else { return }
        let (bid, key, terms) = deliveries.update(line.delivery) {
            $0.settledWork += line.work
            if line.code == .poolFault { $0.settledFault += line.work }
            $0.charged += line.amounts.charge
            $0.held -= line.fromHold
            $0.unpaid += line.fromLoss
            $0.unrecovered += line.sellerShort
            return ($0.bid, $0.billingKey, $0.terms)
        }
        heldByBid.update(bid, default: .zero) { $0 -= line.fromHold }
        let algorithm = algorithm
        billings.update(key) {
            let amounts = $0.totals.add(line.work, terms: $0.terms(at: terms), algorithm: algorithm)
            precondition(amounts == line.amounts, "settlement line does not follow from the totals")
        }
        // It has no part in the book's order.
        orders.update(bid) { $0.spend(line.amounts.debit - line.fromLoss) }
    }

    /// A closed delivery is here again, with what it needs to be billed and closed.
    private mutating func reopen(_ closed: ClosedDelivery) {
        let delivery = closed.delivery
        deliveries.set(delivery.id, delivery)
        deliveriesByBid.insert(delivery.id, of: delivery.bid)
        deliveriesByAsk.insert(delivery.id, of: delivery.ask)
        for order in [closed.bid, closed.ask] {
            if let order, !orders.contains(order.id) { orders.set(order.id, order) }
        }
        for order in [delivery.bid, delivery.ask] { orders.update(order) { $0.unsettled += 1 } }
        if !billings.contains(closed.key) {
            billings.set(closed.key, closed.billing)
            linkDerived(closed.key)
        }
        billings.update(closed.key) { $0.unsettled += 1 }
    }
}
