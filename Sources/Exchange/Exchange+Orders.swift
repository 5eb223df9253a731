internal import OrderBook
internal import Settlement
internal import Units

/// Placing and cancelling orders.
extension Exchange {
    mutating func place(_ bid: PlaceBid, _ rules: MarketRules) throws(Rejection) -> Outcome {
        try check(bid.price, rules)
        guard (Lots(1)...rules.mostLots).contains(bid.lots) else { throw .lotsOutOfRange }
        try checkClientOrderID(bid.clientOrderID, of: bid.account)
        try check(bid.targets, of: bid.account)
        if let budget = bid.budget, budget <= .zero || budget > Satoshis.supply { throw .budgetOutOfRange }
        try checkValue(bid, rules)
        let order = Order(
            id: OrderID(state.counters.order), account: bid.account, clientOrderID: bid.clientOrderID,
            price: bid.price, lots: bid.lots, stamp: nextStamp(), selfTrade: bid.selfTrade, status: .active,
            details: .bid(BidDetails(targets: bid.targets, timeInForce: bid.timeInForce, budget: bid.budget)),
            placedAt: time)
        guard affords(order, hold: leastHold(of: order, rules)) else { throw .insufficientFunds }
        emit(.orderPlaced(order))
        match(bid: order.id)
        closeRemainder(of: order.id)
        return .order(order.id)
    }

    mutating func place(_ ask: PlaceAsk, _ rules: MarketRules) throws(Rejection) -> Outcome {
        try check(ask.price, rules)
        if let most = ask.most, !(Lots(1)...rules.mostLots).contains(most) { throw .lotsOutOfRange }
        try checkClientOrderID(ask.clientOrderID, of: ask.account)
        guard let rig = state.rigs[ask.rig], rig.owner == ask.account else { throw .rigUnknown }
        guard rig.ask == nil else { throw .rigAlreadyOffered }
        let details = AskDetails(rig: rig.id, most: ask.most)
        let offer = offer(of: details, rig, rules)
        let order = Order(
            id: OrderID(state.counters.order), account: ask.account, clientOrderID: ask.clientOrderID,
            price: ask.price, lots: offer, stamp: nextStamp(), selfTrade: ask.selfTrade,
            status: suspension(of: rig, offer: offer).map { .suspended($0) } ?? .active, details: .ask(details),
            placedAt: time)
        emit(.orderPlaced(order))
        match(ask: order.id)
        return .order(order.id)
    }

    mutating func cancel(_ id: OrderID, by account: AccountID?) throws(Rejection) -> Outcome {
        guard let order = state.orders[id], account == nil || order.account == account else { throw .orderUnknown }
        guard order.isAlive else {
            // An immediate-or-cancel bid's deliveries can still be stopped.
            guard order.delivering > .zero else { throw .orderClosed }
            endDeliveries(of: order)
            return .done
        }
        close(order, .cancelled)
        return .done
    }

    /// Closes an order, ends its deliveries and lets the other sides match again.
    mutating func close(_ order: Order, _ reason: CloseReason) {
        emit(.orderClosed(order.id, reason))
        endDeliveries(of: order)
    }

    private mutating func endDeliveries(of order: Order) {
        var returned = Returned()
        for delivery in state.deliveries(of: order.id) where delivery.isRunning {
            end(delivery, order.side == .bid ? .bidClosed : .askClosed, at: time, &returned)
        }
        match(returned)
    }

    /// Closes what an immediate-or-cancel bid could not fill.
    mutating func closeRemainder(of id: OrderID) {
        guard let order = state.orders[id], order.isAlive, order.bid?.timeInForce == .immediateOrCancel else { return }
        emit(.orderClosed(id, .immediateRemainder))
    }

    // MARK: - Checks

    private func check(_ price: Price, _ rules: MarketRules) throws(Rejection) {
        guard (rules.lowestPrice...rules.highestPrice).contains(price) else { throw .priceOutsideBand }
        guard price.rawValue % rules.tick == 0 else { throw .priceOffTick }
    }

    private func checkClientOrderID(_ name: String?, of account: AccountID) throws(Rejection) {
        guard let name else { return }
        guard Exchange.isText(name, 1...64) else { throw .textTooLong }
        guard state.orderByClientID[account]?[name] == nil else { throw .duplicateClientOrderID }
    }

    private func check(_ targets: [PoolTargetID], of account: AccountID) throws(Rejection) {
        guard (1...8).contains(targets.count), Set(targets).count == targets.count else {
            throw .targetCountOutOfRange
        }
        var isAnyVerified = false
        for id in targets {
            guard let target = state.targets[id], target.owner == account else { throw .poolTargetUnknown }
            if case .verified = target.status { isAnyVerified = true }
        }
        guard isAnyVerified else { throw .poolTargetUnverified }
    }

    private func checkValue(_ bid: PlaceBid, _ rules: MarketRules) throws(Rejection) {
        let work = Tariff.work(rules.hashrate(bid.lots), for: rules.term)
        let terms = rules.terms(at: bid.price)
        guard let value = Tariff.mostDebit(for: work, terms: terms) else { throw .lotsOutOfRange }
        guard value >= rules.minimumOrderValue else { throw .orderValueTooSmall }
    }

    // MARK: - What an ask offers

    func offer(of ask: AskDetails, _ rig: Rig, _ rules: MarketRules) -> Lots {
        let measured = rules.lots(in: rig.measured)
        return ask.most.map { min($0, measured) } ?? measured
    }

    func suspension(of rig: Rig, offer: Lots) -> SuspensionReason? {
        if !rig.isOnline { return .rigOffline }
        return offer == .zero ? .rigUnmeasured : nil
    }
}

extension MarketRules {
    func terms(at price: Price) -> Terms {
        Terms(price: price, priceUnit: priceUnit, sellerFee: sellerFee, buyerFee: buyerFee)
    }
}
