internal import OrderBook
internal import Units

/// Ends of deliveries, and orders that leave the book and come back.
extension Exchange {
    /// Ends a running delivery; its lots go back to both orders that are alive.
    mutating func end(_ delivery: Delivery, _ cause: EndCause, at: Timestamp, _ returned: inout Returned) {
        emit(.deliveryEnded(delivery.id, at: min(max(at, delivery.openedAt), delivery.expiresAt), cause))
        refreshOffer(of: delivery.ask)
        if let later = state.rigs[delivery.rig]?.ask, later != delivery.ask {
            // What an earlier ask of the rig had sold can be sold again.
            refreshOffer(of: later)
            if state.isOpen(later) { returned.add(later, .ask) }
        }
        let atFault: OrderID? =
            switch cause {
            case .underDelivery, .rigAway, .askPaused, .curtailed: delivery.ask
            case .fundsSpent: delivery.bid
            case .term, .bidClosed, .askClosed, .poolsUnusable: nil
            }
        if let id = atFault, state.orders.with(id, { $0.isAlive }) == true { emit(.orderStamped(id, stamp: nextStamp())) }
        if state.isOpen(delivery.bid) { returned.add(delivery.bid, .bid) }
        if state.isOpen(delivery.ask) { returned.add(delivery.ask, .ask) }
    }

    /// Why a delivery is over whose time has come.
    func causeOfExpiry(of delivery: Delivery) -> EndCause {
        let end = delivery.expiresAt
        if let expiry = state.orders[delivery.bid]?.instructions.expiresAt, expiry <= end { return .bidClosed }
        if let ask = state.orders[delivery.ask] {
            if let expiry = ask.instructions.expiresAt, expiry <= end { return .askClosed }
            if let schedule = ask.ask?.schedule, !schedule.isOpen(at: end) { return .askPaused }
        }
        return delivery.isShortened ? .fundsSpent : .term
    }

    /// Brings an ask in line with its rig: what it offers, and whether it is in the book. What it delivers stays.
    ///
    /// - Parameter references: those of now, where many orders are looked at
    mutating func refreshOffer(of id: OrderID, _ references: ReferencePrices? = nil) {
        guard let ask = state.orders[id], ask.isAlive, case .ask(let details) = ask.details,
            let rig = state.rigs[details.rig], let rules = state.rules
        else { return }
        let offer = max(ask.delivering, offer(of: details, by: id, rig, rules))
        if offer != ask.lots { emit(.askOffered(id, offer)) }
        guard let ask = offer == ask.lots ? ask : state.orders[id] else { return }
        let isPriced = state.peggedPrice(of: ask, references ?? state.references, rules) != nil
        if let reason = suspension(of: ask, rig, isPriced: isPriced) {
            // A rig that is sold out is away for a while before anything changes.
            let mayWait = ask.delivering == ask.lots && ask.status != .suspended(.curtailed)
            guard !mayWait || reason != .rigOffline else { return }
            if ask.status != .suspended(reason) { emit(.orderSuspended(id, reason)) }
        } else if ask.status != .active {
            emit(.orderResumed(id, stamp: nextStamp()))
        }
    }

    /// Ends what an ask delivers outside its daily schedule, and suspends or resumes it.
    mutating func followSchedule(of id: OrderID, at: Timestamp, _ returned: inout Returned) {
        guard let ask = state.orders[id], ask.isAlive else { return }
        if let schedule = ask.ask?.schedule, !schedule.isOpen(at: time) {
            for running in state.deliveries(of: id) where running.isRunning { end(running, .askPaused, at: at, &returned) }
        }
        refreshOffer(of: id)
        if let order = state.orders[id], order.open > .zero { returned.add(order) }
    }

    /// Looks at an ask's daily schedule again when it opens or closes next.
    mutating func armSchedule(of id: OrderID) {
        guard let order = state.orders[id], order.isAlive, case .ask(let ask) = order.details,
            let change = ask.schedule?.nextChange(after: time)
        else { return }
        scheduleChanges[id] = change
        state.timers.schedule(.schedule(id), at: change)
    }

    /// Accounts have more funds to use: their bids that waited for money are back in the book, and those that passed
    /// over a rig for want of it meet the asks again. O(bids that waited, and those whose prices cross asks)
    mutating func resume(_ accounts: Set<AccountID>, _ returned: inout Returned) {
        let references = state.pegged.isEmpty ? nil : state.references
        let waiting = accounts.flatMap { state.unfundedBids.members(of: $0) }.compactMap { state.orders[$0] }
        for bid in waiting.sorted(by: { ($0.account, $0.stamp) < ($1.account, $1.stamp) }) { revive(bid.id, references) }
        var cursor = state.book.first(on: .bid)
        while let here = cursor, let ask = state.book.best(.ask) {
            let bid = state.book[here]
            guard bid.price >= ask else { return }
            if accounts.contains(bid.owner) { returned.add(bid) }
            cursor = state.book.next(after: here)
        }
    }

    /// Puts a suspended bid back into the book if nothing keeps it out any more.
    mutating func revive(_ id: OrderID, _ references: ReferencePrices? = nil) {
        guard let bid = state.orders[id], let details = bid.bid, case .suspended(let reason) = bid.status,
            let rules = state.rules
        else { return }
        let obstacle: SuspensionReason? =
            if reason == .poolsUnusable, !details.targets.contains(where: { state.isVerified($0) }) {
                .poolsUnusable
            } else if state.peggedPrice(of: bid, references ?? state.references, rules) == nil {
                .noReference
            } else {
                state.affords(bid, hold: leastHold(of: bid, rules)) ? nil : .insufficientFunds
            }
        if let obstacle {
            if obstacle != reason { emit(.orderSuspended(id, obstacle)) }
        } else {
            emit(.orderResumed(id, stamp: nextStamp()))
        }
    }

    mutating func closeIfSpent(_ id: OrderID) {
        guard let bid = state.orders[id], bid.isAlive, isSpent(bid) else { return }
        emit(.orderClosed(id, .budgetSpent))
    }

    /// Whether a bid's budget pays for nothing more, with nothing left to settle: then it is over.
    func isSpent(_ bid: Order) -> Bool {
        guard bid.unsettled == 0, let details = bid.bid, let budget = details.budget, let rules = state.rules,
            let least = leastHold(of: bid, rules)
        else { return false }
        return details.spent + least > budget
    }
}
