internal import OrderBook
internal import Settlement
internal import Units

/// Placing and cancelling orders.
extension Exchange {
    mutating func place(_ bid: PlaceBid, _ rules: MarketRules) throws(Rejection) -> Outcome {
        try checkOpen()
        try checkNotFrozen(bid.account)
        try check(bid.price, rules)
        guard (Lots(1)...rules.mostLots).contains(bid.lots) else { throw .lotsOutOfRange }
        try check(bid.instructions, lots: bid.lots, rules)
        try checkClientOrderID(bid.clientOrderID, of: bid.account)
        try check(bid.targets, of: bid.account)
        if let budget = bid.budget, budget <= .zero || budget > Satoshis.supply { throw .budgetOutOfRange }
        try checkValue(bid.lots, at: bid.price, rules)
        try checkRoom(for: bid.account, rules)
        var order = Order(
            id: OrderID(state.counters.order), account: bid.account, clientOrderID: bid.clientOrderID,
            price: bid.price, lots: bid.lots, stamp: nextStamp(), instructions: bid.instructions,
            details: .bid(BidDetails(targets: bid.targets, budget: bid.budget)), placedAt: time)
        if !state.follow(&order, state.references, rules) { order.status = .suspended(.noReference) }
        guard state.affords(order, hold: leastHold(of: order, rules)) else { throw .insufficientFunds }
        return .order(try enter(order, rules))
    }

    mutating func place(_ ask: PlaceAsk, _ rules: MarketRules) throws(Rejection) -> Outcome {
        try checkOpen()
        try checkNotFrozen(ask.account)
        try check(ask.price, rules)
        try checkTerms(of: ask, rules)
        try checkClientOrderID(ask.clientOrderID, of: ask.account)
        guard let rig = state.rigs[ask.rig], rig.owner == ask.account else { throw .rigUnknown }
        guard rig.ask == nil else { throw .rigAlreadyOffered }
        try checkRoom(for: ask.account, rules)
        return .order(try enter(order(for: ask, on: rig, rules), rules))
    }

    func checkTerms(of ask: PlaceAsk, _ rules: MarketRules) throws(Rejection) {
        if let most = ask.most, !(Lots(1)...rules.mostLots).contains(most) { throw .lotsOutOfRange }
        if let schedule = ask.schedule {
            guard schedule.isValid else { throw .scheduleInvalid }
            guard !ask.instructions.timeInForce.isImmediate else { throw .instructionsContradict }
        }
        try check(ask.instructions, lots: ask.most ?? rules.mostLots, rules)
    }

    /// An ask as it would be placed now.
    func order(for ask: PlaceAsk, on rig: Rig, farm: FarmID? = nil, _ rules: MarketRules) -> Order {
        let details = AskDetails(rig: rig.id, most: ask.most, schedule: ask.schedule, farm: farm)
        var order = Order(
            id: OrderID(state.counters.order), account: ask.account, clientOrderID: ask.clientOrderID,
            price: ask.price, lots: offer(of: details, by: OrderID(state.counters.order), rig, rules), stamp: nextStamp(),
            instructions: ask.instructions, details: .ask(details), placedAt: time)
        let isPriced = state.follow(&order, state.references, rules)
        if let reason = suspension(of: order, rig, isPriced: isPriced) { order.status = OrderStatus.suspended(reason) }
        return order
    }

    /// Places a checked order and matches it.
    mutating func enter(_ checked: Order, _ rules: MarketRules) throws(Rejection) -> OrderID {
        var order = checked
        order.settleShown()
        if order.instructions.isPostOnly, wouldMatch(order) { throw .wouldMatch }
        if order.instructions.timeInForce == .fillOrKill, !canFillWhole(order, rules) { throw .cannotFillWhole }
        emit(.orderPlaced(order))
        if order.side == .ask { armSchedule(of: order.id) }
        match(order.id)
        if order.instructions.timeInForce.isImmediate { closeRemainder(of: order.id) }
        return order.id
    }

    mutating func cancel(_ id: OrderID, by account: AccountID?) throws(Rejection) -> Outcome {
        try checkNotHalted()
        guard let order = state.orders[id], account == nil || order.account == account else { throw .orderUnknown }
        // An immediate order's deliveries can still be stopped.
        guard order.isAlive || order.delivering > .zero else { throw .orderClosed }
        var returned = Returned()
        close(order, .cancelled, at: time, &returned)
        match(returned)
        return .done
    }

    /// Closes an order and ends its deliveries, at a time that may have passed while nothing happened.
    mutating func close(_ order: Order, _ reason: CloseReason, at: Timestamp, _ returned: inout Returned) {
        if order.isAlive { emit(.orderClosed(order.id, reason)) }
        guard order.delivering > .zero else { return }
        for delivery in state.deliveries(of: order.id) where delivery.isRunning {
            end(delivery, order.side == .bid ? .bidClosed : .askClosed, at: at, &returned)
        }
    }

    /// Closes what an immediate order could not fill.
    private mutating func closeRemainder(of id: OrderID) {
        guard let order = state.orders[id], order.isAlive, order.instructions.timeInForce.isImmediate else { return }
        emit(.orderClosed(id, .immediateRemainder))
    }

    // MARK: - Many at once

    mutating func cancelAll(of account: AccountID, _ side: Side?) throws(Rejection) -> Outcome {
        try checkNotHalted()
        var returned = Returned()
        let count = closeAll(of: account, side, .cancelled, at: time, &returned)
        match(returned)
        return .cancelled(count)
    }

    @discardableResult
    mutating func closeAll(
        of account: AccountID, _ side: Side?, _ reason: CloseReason, at: Timestamp, _ returned: inout Returned
    ) -> Int64 {
        let all = state.orders(of: account).filter { side == nil || $0.side == side }
        for order in all { close(order, reason, at: at, &returned) }
        // Immediate orders are closed already; what they have running ends, too.
        let running = state.deliveries.values.filter { delivery in
            delivery.isRunning && (delivery.buyer == account && side != .ask || delivery.seller == account && side != .bid)
        }
        let immediate = Set(running.map { $0.buyer == account && side != .ask ? $0.bid : $0.ask })
        for id in immediate.sorted() {
            if let order = state.orders[id] { close(order, reason, at: at, &returned) }
        }
        return Int64(all.count + immediate.count)
    }

    mutating func cancelAllAfter(_ account: AccountID, _ silence: Interval?) throws(Rejection) -> Outcome {
        guard account.rawValue > 0 else { throw .silenceOutOfRange }
        guard let silence else {
            if state.silences[account] != nil { emit(.silenceSet(account, nil)) }
            return .done
        }
        guard (Interval.seconds(1)...Interval.day).contains(silence) else { throw .silenceOutOfRange }
        emit(.silenceSet(account, time + silence))
        return .done
    }

    /// Cancels the orders of an account whose time is up.
    mutating func hush(_ account: AccountID, at now: Timestamp, _ returned: inout Returned) {
        guard let deadline = state.silences[account] else { return }
        guard deadline <= now else {
            // It was heard of since.
            state.timers.schedule(.silence(account), at: deadline)
            return
        }
        emit(.silenceSet(account, nil))
        closeAll(of: account, nil, .silence, at: deadline, &returned)
    }

    // MARK: - Checks

    /// Whether orders may be placed and made larger.
    func checkOpen() throws(Rejection) {
        switch state.status.phase {
        case .open: return
        case .cancelOnly: throw .marketCancelOnly
        case .halted: throw .marketHalted
        }
    }

    func checkNotHalted() throws(Rejection) {
        if state.status.phase == .halted { throw .marketHalted }
    }

    func check(_ price: Price, _ rules: MarketRules) throws(Rejection) {
        guard (rules.lowestPrice...rules.highestPrice).contains(price) else { throw .priceOutsideBand }
        guard price.rawValue % rules.tick == 0 else { throw .priceOffTick }
    }

    func check(_ instructions: Instructions, lots: Lots, _ rules: MarketRules) throws(Rejection) {
        guard (Lots(1)...lots).contains(instructions.minimumFill) else { throw .minimumFillOutOfRange }
        if let displayed = instructions.displayed, !(instructions.minimumFill...lots).contains(displayed) {
            throw .displayedOutOfRange
        }
        guard (instructions.timeInForce == .goodTillDate) == (instructions.expiresAt != nil) else {
            throw .instructionsContradict
        }
        if let expiry = instructions.expiresAt {
            guard expiry >= time + rules.shortestTerm, expiry <= time + Exchange.longestPlan else { throw .expiryOutOfRange }
        }
        if let peg = instructions.peg {
            guard (-Peg.mostOffset...Peg.mostOffset).contains(peg.offset) else { throw .offsetOutOfRange }
        }
        let rests = instructions.isPostOnly || instructions.displayed != nil || instructions.peg != nil
        if rests, instructions.timeInForce.isImmediate { throw .instructionsContradict }
        // A price that moves by itself may move onto the other side.
        if instructions.isPostOnly, instructions.peg != nil { throw .instructionsContradict }
    }

    /// How far ahead expiries and rules may be planned.
    static let longestPlan = Interval.seconds(3653 * 86_400)

    private func checkClientOrderID(_ name: String?, of account: AccountID) throws(Rejection) {
        guard let name else { return }
        guard Exchange.isText(name, 1...64) else { throw .textTooLong }
        guard state.orderByClientID[account]?[name] == nil else { throw .duplicateClientOrderID }
    }

    func check(_ targets: [PoolTargetID], of account: AccountID) throws(Rejection) {
        guard (1...8).contains(targets.count) else { throw .targetCountOutOfRange }
        var isAnyVerified = false
        for (place, id) in targets.enumerated() {
            guard !targets[..<place].contains(id) else { throw .targetCountOutOfRange }
            guard let target = state.targets[id], target.owner == account else { throw .poolTargetUnknown }
            if case .verified = target.status { isAnyVerified = true }
        }
        guard isAnyVerified else { throw .poolTargetUnverified }
    }

    func checkValue(_ lots: Lots, at price: Price, _ rules: MarketRules) throws(Rejection) {
        let work = Tariff.work(rules.hashrate(lots), for: rules.term, algorithm: rules.algorithm)
        let terms = rules.terms(at: price)
        guard let value = Tariff.mostDebit(for: work, terms: terms, algorithm: rules.algorithm) else { throw .lotsOutOfRange }
        guard value >= rules.minimumOrderValue else { throw .orderValueTooSmall }
    }

    func checkRoom(for account: AccountID, _ rules: MarketRules) throws(Rejection) {
        guard state.orderCount(of: account) < Int(rules.mostOrders) else { throw .tooManyOrders }
    }

    // MARK: - What an ask offers

    /// What is left of a rig's measured hashrate beside what its earlier asks have sold, at most as many lots as asked.
    func offer(of ask: AskDetails, by id: OrderID, _ rig: Rig, _ rules: MarketRules) -> Lots {
        let free = rules.lots(in: rig.measured) - state.lots(soldOf: rig.id, besides: id)
        return max(.zero, ask.most.map { min($0, free) } ?? free)
    }

    /// Why an ask cannot be in the book now.
    func suspension(of ask: Order, _ rig: Rig, isPriced: Bool) -> SuspensionReason? {
        if state.cuts.contains(rig.id) { return .curtailed }
        if !rig.isOnline { return .rigOffline }
        if ask.lots == .zero { return state.lots(soldOf: rig.id, besides: ask.id) > .zero ? .rigBusy : .rigUnmeasured }
        if let schedule = ask.ask?.schedule, !schedule.isOpen(at: time) { return .outsideSchedule }
        return isPriced ? nil : .noReference
    }
}

extension MarketRules {
    func terms(at price: Price) -> Terms {
        Terms(price: price, priceUnit: priceUnit, sellerFee: sellerFee, buyerFee: buyerFee)
    }
}
