internal import OrderBook
internal import Units

/// Changing live orders.
extension Exchange {
    mutating func amend(
        _ id: OrderID, by account: AccountID?, _ amendment: Amendment, _ rules: MarketRules
    ) throws(Rejection) -> Outcome {
        try checkNotHalted()
        guard let old = state.orders[id], account == nil || old.account == account else { throw .orderUnknown }
        guard old.isAlive else { throw .orderClosed }
        try checkNotFrozen(old.account)
        let new = try amended(old, amendment, rules)
        if old.losesPriority(becoming: new) { try checkOpen() }
        if new.instructions.isPostOnly, new.stamp != old.stamp, wouldMatch(new) { throw .wouldMatch }
        var returned = Returned()
        carryOut(new, &returned)
        match(returned)
        return .done
    }

    /// The order as it would be, all checked.
    private func amended(_ old: Order, _ amendment: Amendment, _ rules: MarketRules) throws(Rejection) -> Order {
        var new = old
        if let price = amendment.price {
            try check(price, rules)
            (new.limit, new.price) = (price, price)
        }
        switch old.details {
        case .bid(let bid): try amend(&new, bid, amendment, rules)
        case .ask(let ask): try amend(&new, ask, amendment, rules)
        }
        try amendInstructions(of: &new, amendment, rules)
        let isPriceAmended = amendment.price != nil || amendment.offset != nil
        if isPriceAmended, new.instructions.peg != nil, !state.follow(&new, state.references, rules) {
            // The last price stays until the reference is back, but never beyond the new limit.
            new.price = new.side == .bid ? min(old.price, new.limit) : max(old.price, new.limit)
        }
        guard new != old else { throw .nothingToAmend }
        if isSpent(new), !isSpent(old) { throw .insufficientFunds }
        if old.losesPriority(becoming: new) { (new.stamp, new.since) = (nextStamp(), nextStamp()) }
        if new.instructions.displayed != old.instructions.displayed { new.shown = .zero }
        new.settleShown()
        return new
    }

    private func amend(
        _ new: inout Order, _ old: BidDetails, _ amendment: Amendment, _ rules: MarketRules
    ) throws(Rejection) {
        guard amendment.most == .keep, amendment.schedule == .keep else { throw .amendmentNotApplicable }
        var bid = old
        if let targets = amendment.targets {
            try check(targets, of: new.account)
            bid.targets = targets
        }
        bid.budget = amendment.budget.applied(to: old.budget)
        if let budget = bid.budget, bid.budget != old.budget {
            guard budget > .zero, budget <= Satoshis.supply, budget >= old.spent + state.held(by: new.id) else {
                throw .budgetOutOfRange
            }
        }
        if let lots = amendment.lots {
            guard (Lots(1)...rules.mostLots).contains(lots) else { throw .lotsOutOfRange }
            guard lots >= new.delivering else { throw .lotsBelowDelivering }
            new.lots = lots
        }
        if amendment.lots != nil || amendment.price != nil {
            try checkValue(new.lots, at: new.limit, rules)
        }
        new.details = .bid(bid)
    }

    private func amend(
        _ new: inout Order, _ old: AskDetails, _ amendment: Amendment, _ rules: MarketRules
    ) throws(Rejection) {
        guard amendment.lots == nil, amendment.targets == nil, amendment.budget == .keep else {
            throw .amendmentNotApplicable
        }
        var ask = old
        ask.most = amendment.most.applied(to: old.most)
        if let most = ask.most, most != old.most {
            guard (Lots(1)...rules.mostLots).contains(most) else { throw .lotsOutOfRange }
            guard most >= new.delivering else { throw .lotsBelowDelivering }
        }
        ask.schedule = amendment.schedule.applied(to: old.schedule)
        if let schedule = ask.schedule, !schedule.isValid { throw .scheduleInvalid }
        new.details = .ask(ask)
        guard let rig = state.rigs[ask.rig], ask.most != old.most else { return }
        new.lots = max(new.delivering, offer(of: ask, by: new.id, rig, rules))
    }

    private func amendInstructions(
        of new: inout Order, _ amendment: Amendment, _ rules: MarketRules
    ) throws(Rejection) {
        var instructions = new.instructions
        if let minimum = amendment.minimumFill { instructions.minimumFill = minimum }
        instructions.displayed = amendment.displayed.applied(to: instructions.displayed)
        switch amendment.expiresAt {
        case .keep: break
        case .clear: (instructions.timeInForce, instructions.expiresAt) = (.goodTillCancelled, nil)
        case .set(let expiry): (instructions.timeInForce, instructions.expiresAt) = (.goodTillDate, expiry)
        }
        if let offset = amendment.offset {
            guard instructions.peg != nil else { throw .amendmentNotApplicable }
            instructions.peg?.offset = offset
        }
        let lots = new.ask.map { $0.most ?? rules.mostLots } ?? new.lots
        if instructions != new.instructions || lots < instructions.displayed ?? instructions.minimumFill {
            // An expiry that was fine when it was given may be near by now.
            var checked = instructions
            if amendment.expiresAt == .keep { (checked.timeInForce, checked.expiresAt) = (.goodTillCancelled, nil) }
            try check(checked, lots: lots, rules)
        }
        new.instructions = instructions
    }

    /// Puts an amended order in its old one's place, with all that follows for its deliveries.
    private mutating func carryOut(_ new: Order, _ returned: inout Returned) {
        emit(.orderAmended(new))
        switch new.details {
        case .bid(let bid):
            for running in state.deliveries(of: new.id) where running.isRunning {
                guard let rig = state.rigs[running.rig], case .online(_, _, let mask) = rig.presence else { continue }
                if state.usable(bid.targets, versionMask: mask).isEmpty { end(running, .poolsUnusable, at: time, &returned) }
            }
            revive(new.id)
            closeIfSpent(new.id)
        case .ask:
            // A narrower schedule may have closed on what is running.
            followSchedule(of: new.id, at: time, &returned)
            armSchedule(of: new.id)
        }
        if let order = state.orders[new.id], order.open > .zero { returned.add(order) }
    }
}

extension Order {
    /// Whether an amendment costs time priority: a higher price, more lots, more displayed lots, and any other price of
    /// an ask, which by a lower one comes towards the bids anew.
    func losesPriority(becoming new: Order) -> Bool {
        let isPriceWorse = side == .ask ? new.price != price : new.price > price
        let isMoreShown =
            switch (instructions.displayed, new.instructions.displayed) {
            case (nil, _): false
            case (_?, nil): true
            case (let old?, let new?): new > old
            }
        return isPriceWorse || new.lots > lots || isMoreShown
    }
}

extension MarketState {
    func isVerified(_ target: PoolTargetID) -> Bool {
        guard case .verified? = targets[target]?.status else { return false }
        return true
    }
}
