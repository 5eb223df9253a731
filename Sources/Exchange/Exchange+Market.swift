internal import OrderBook
internal import Units

/// What the market's staff decide.
extension Exchange {
    mutating func setPhase(_ phase: MarketPhase) -> Outcome {
        guard phase != state.status.phase else { return .done }
        emit(.phaseChanged(phase))
        // Everything that changed meanwhile meets now, at the prices of now.
        if phase == .open, let rules = state.rules {
            if !state.pegged.isEmpty { _ = reprice(rules) }
            matchAll()
            completeOffers(rules)
        }
        return .done
    }

    /// Rigs that joined offered farms meanwhile are offered.
    private mutating func completeOffers(_ rules: MarketRules) {
        for farm in state.farms.values.filter({ $0.offer != nil }).sorted(by: { $0.id < $1.id }) {
            let unsold = state.rigs(of: farm.id).filter { $0.ask == nil }.map(\.id)
            guard let offer = farm.offer, !offer.isOver(at: time) else { continue }
            place(offer, of: farm.id, farm.owner, on: unsold, rules)
        }
    }

    /// Everything that may suit each other by now meets.
    private mutating func matchAll() {
        guard state.status.phase == .open else { return }
        var returned = Returned()
        for order in state.orders.values where order.open > .zero { returned.add(order) }
        match(returned)
    }

    mutating func scheduleRules(_ rules: MarketRules, effectiveAt: Timestamp) throws(Rejection) -> Outcome {
        guard rules.flaw == nil, state.rules?.hasSameUnits(as: rules) == true else { throw .rulesInvalid }
        guard effectiveAt > time, effectiveAt <= time + Exchange.longestPlan else { throw .effectiveTimeOutOfRange }
        let others = state.status.scheduled.filter { $0.effectiveAt != effectiveAt }
        guard others.count < MarketStatus.mostScheduled else { throw .effectiveTimeOutOfRange }
        emit(.rulesScheduled(ScheduledRules(rules: rules, effectiveAt: effectiveAt)))
        return .done
    }

    /// Planned rules whose time has come are in force before anything else of that time.
    mutating func adoptDueRules() {
        while let due = state.status.scheduled.first, due.effectiveAt <= time { emit(.rulesChanged(due)) }
    }

    /// Other limits, fees and parts may let orders trade that could not before; they meet with what ends at that time.
    mutating func reviewOrders(_ returned: inout Returned) {
        let references = state.pegged.isEmpty ? nil : state.references
        for order in state.orders.values.filter(\.isAlive).sorted(by: { $0.id < $1.id }) {
            switch order.side {
            case .bid:
                revive(order.id, references)
                closeIfSpent(order.id)
            case .ask: refreshOffer(of: order.id, references)
            }
            if let order = state.orders[order.id], order.open > .zero { returned.add(order) }
        }
    }

    mutating func publish(_ index: IndexPrice, _ rules: MarketRules) throws(Rejection) -> Outcome {
        guard index.price > Price(0), index.price.rawValue <= Peg.mostOffset else { throw .priceOutsideBand }
        guard index.at <= time, index.at >= time - .day else { throw .effectiveTimeOutOfRange }
        if let last = state.status.index, index.at <= last.at { return .done }
        emit(.indexPublished(index))
        return .done
    }
}

/// Groups of rigs.
extension Exchange {
    mutating func createFarm(_ owner: AccountID, _ name: String) throws(Rejection) -> Outcome {
        guard owner.rawValue > 0, Exchange.isText(name, 1...64) else { throw .textTooLong }
        guard state.farmsByAccount.count(of: owner) < Exchange.mostFarms else { throw .tooManyFarms }
        let id = FarmID(state.counters.farm)
        emit(.farmCreated(Farm(id: id, owner: owner, name: name)))
        return .farm(id)
    }

    mutating func assign(
        _ id: RigID, _ owner: AccountID, to farm: FarmID?, _ rules: MarketRules
    ) throws(Rejection) -> Outcome {
        guard let rig = state.rigs[id], rig.owner == owner else { throw .rigUnknown }
        if let farm, state.farms[farm]?.owner != owner { throw .farmUnknown }
        guard rig.farm != farm else { return .done }
        try checkNotHalted()
        var returned = Returned()
        emit(.rigAssigned(id, farm))
        followMove(of: id, to: farm, &returned)
        if let ask = rig.ask.flatMap({ state.orders[$0] }), ask.ask?.farm != nil { close(ask, .leftFarm, at: time, &returned) }
        match(returned)
        if let farm, let offer = state.farms[farm]?.offer {
            if offer.isOver(at: time) {
                emit(.farmOffered(farm, nil))
            } else {
                place(offer, of: farm, owner, on: [id], rules)
            }
        }
        return .done
    }

    mutating func offer(
        _ id: FarmID, _ owner: AccountID, _ offer: FarmOffer, _ rules: MarketRules
    ) throws(Rejection) -> Outcome {
        try checkOpen()
        guard let farm = state.farms[id], farm.owner == owner else { throw .farmUnknown }
        try checkNotFrozen(owner)
        try check(offer.price, rules)
        guard !offer.instructions.timeInForce.isImmediate else { throw .instructionsContradict }
        try checkTerms(of: PlaceAsk(offer, owner, RigID(0)), rules)
        let rigs = state.rigs(of: id)
        let unsold = rigs.filter { $0.ask == nil }
        guard state.orderCount(of: owner) + unsold.count <= Int(rules.mostOrders) else { throw .tooManyOrders }
        if farm.offer != offer { emit(.farmOffered(id, offer)) }
        var returned = Returned()
        for ask in rigs.compactMap({ $0.ask.flatMap { state.orders[$0] } }) where ask.ask?.farm == id {
            adopt(offer, ask, rules, &returned)
        }
        match(returned)
        place(offer, of: id, owner, on: unsold.map(\.id), rules)
        return .farm(id)
    }

    mutating func withdraw(_ id: FarmID, by owner: AccountID?) throws(Rejection) -> Outcome {
        try checkNotHalted()
        guard let farm = state.farms[id], owner == nil || farm.owner == owner else { throw .farmUnknown }
        guard farm.offer != nil else { throw .farmNotOffered }
        emit(.farmOffered(id, nil))
        var returned = Returned()
        var count: Int64 = 0
        for ask in state.rigs(of: id).compactMap({ $0.ask.flatMap { state.orders[$0] } }) where ask.ask?.farm == id {
            close(ask, .cancelled, at: time, &returned)
            count += 1
        }
        match(returned)
        return .cancelled(count)
    }

    mutating func place(
        _ offer: FarmOffer, of farm: FarmID, _ owner: AccountID, on rigs: [RigID], _ rules: MarketRules
    ) {
        guard state.status.phase == .open, !offer.isOver(at: time + rules.shortestTerm) else { return }
        for id in rigs {
            guard let rig = state.rigs[id], rig.ask == nil, state.orderCount(of: owner) < Int(rules.mostOrders) else {
                continue
            }
            let ask = order(for: PlaceAsk(offer, owner, id), on: rig, farm: farm, rules)
            // A post-only offer that would match on one rig is still good for the others.
            do { _ = try enter(ask, rules) } catch { continue }
        }
    }

    /// Changes one rig's ask to the farm's new offer; a post-only one that would match at once keeps its former terms.
    private mutating func adopt(_ offer: FarmOffer, _ old: Order, _ rules: MarketRules, _ returned: inout Returned) {
        guard let details = old.ask, let rig = state.rigs[details.rig], !old.isOf(offer) else { return }
        var new = order(for: PlaceAsk(offer, old.account, rig.id), on: rig, farm: details.farm, rules)
        new.lots = max(new.lots, old.delivering)
        (new.id, new.delivering, new.unsettled, new.placedAt) = (old.id, old.delivering, old.unsettled, old.placedAt)
        (new.status, new.shown, new.stamp, new.since) = (old.status, old.shown, old.stamp, old.since)
        if old.losesPriority(becoming: new) { (new.stamp, new.since) = (nextStamp(), nextStamp()) }
        new.settleShown()
        if new.instructions.isPostOnly, new.stamp != old.stamp, wouldMatch(new) { return }
        emit(.orderAmended(new))
        followSchedule(of: new.id, at: time, &returned)
        armSchedule(of: new.id)
    }
}

extension FarmOffer {
    func isOver(at time: Timestamp) -> Bool { instructions.expiresAt.map { $0 <= time } ?? false }
}

extension Order {
    fileprivate func isOf(_ offer: FarmOffer) -> Bool {
        limit == offer.price && instructions == offer.instructions && ask?.most == offer.most && ask?.schedule == offer.schedule
    }
}

extension PlaceAsk {
    fileprivate init(_ offer: FarmOffer, _ owner: AccountID, _ rig: RigID) {
        self.init(
            account: owner, price: offer.price, rig: rig, most: offer.most, instructions: offer.instructions,
            schedule: offer.schedule)
    }
}
