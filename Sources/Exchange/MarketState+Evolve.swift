internal import Ledger
internal import OrderBook
internal import Settlement
internal import Units

extension MarketState {
    /// Applies an event. Events come from ``Exchange/apply(_:at:)``, at once or by way of the journal.
    ///
    /// Traps when an event does not fit the state: a journal that does not belong to it.
    public mutating func evolve(_ event: Event) {
        switch event {
        case .marketDefined(let rules):
            self.rules = rules
        case .entryPosted(let entry):
            post(entry)
        case .poolTargetCreated(let target):
            targets.set(target.id, target)
            counters.target = target.id.rawValue + 1
        case .poolTargetChanged(let id, let status):
            targets.update(id) { $0.status = status }
        case .rigRegistered(let rig):
            rigs.set(rig.id, rig)
            rigByUser[rig.user] = rig.id
            counters.rig = rig.id.rawValue + 1
        case .rigOnline(let id, let edge, let session, let mask):
            rigs.update(id) {
                $0.presence = .online(edge: edge, session: session, versionMask: mask)
                $0.lastSession = session
            }
        case .rigOffline(let id, let at):
            rigs.update(id) { $0.presence = .offline(since: at) }
            if let rig = rigs[id] { scheduleTimer(of: rig) }
        case .rigMeasured(let id, let hashrate):
            rigs.update(id) { $0.measured = hashrate }
        case .orderPlaced(let order):
            place(order)
        case .askOffered(let id, let lots):
            change(id) { $0.lots = lots }
        case .orderSuspended(let id, let reason):
            change(id) { $0.status = .suspended(reason) }
        case .orderResumed(let id, let stamp):
            counters.stamp = max(counters.stamp, stamp + 1)
            change(id) {
                $0.status = .active
                $0.come(at: stamp)
            }
        case .orderStamped(let id, let stamp):
            counters.stamp = max(counters.stamp, stamp + 1)
            change(id) { $0.come(at: stamp) }
        case .orderClosed(let id, let reason):
            close(id, reason)
        case .deliveryOpened(let delivery):
            open(delivery)
        case .deliveryEnded(let id, let at, let cause):
            end(id, at: at, cause)
        case .lineSettled(let line):
            settle(line)
        case .deliveryClosed(let id):
            close(id)
        case .answerRecorded(let key, let answer):
            record(answer, for: key)
        case .orderAmended(let order):
            amend(order)
        case .ordersRepriced(let repricings):
            for repricing in repricings { reprice(repricing) }
        case .phaseChanged(let phase):
            status.phase = phase
        case .rulesScheduled(let planned):
            status.scheduled.removeAll { $0.effectiveAt == planned.effectiveAt }
            let place = status.scheduled.firstIndex { $0.effectiveAt > planned.effectiveAt }
            status.scheduled.insert(planned, at: place ?? status.scheduled.count)
            timers.schedule(.rules, at: planned.effectiveAt)
        case .rulesChanged(let planned):
            change(to: planned)
        case .indexPublished(let index):
            status.index = index
        case .farmCreated(let farm):
            farms.set(farm.id, farm)
            counters.farm = farm.id.rawValue + 1
        case .rigAssigned(let id, let farm):
            if let old = rigs[id]?.farm { rigsByFarm[old]?.remove(id) }
            rigs.update(id) { $0.farm = farm }
            if let farm { rigsByFarm[farm, default: []].insert(id) }
        case .farmOffered(let id, let offer):
            farms.update(id) { $0.offer = offer }
        case .silenceSet(let account, let deadline):
            if let deadline {
                // A later deadline is found when the timer of the earlier one fires.
                if (silences[account] ?? .distantFuture) > deadline { timers.schedule(.silence(account), at: deadline) }
                silences.set(account, deadline)
            } else {
                silences.remove(account)
            }
        }
    }

    // MARK: - Rules

    private mutating func change(to planned: ScheduledRules) {
        status.scheduled.removeAll { $0.effectiveAt <= planned.effectiveAt }
        let old = rules
        rules = planned.rules
        if old?.sellerFee != planned.rules.sellerFee || old?.buyerFee != planned.rules.buyerFee { counters.tariff += 1 }
        if old?.holdLimit != planned.rules.holdLimit || old?.awayLimit != planned.rules.awayLimit {
            let from = planned.effectiveAt
            for delivery in deliveries.values where !delivery.isRunning { scheduleTimer(of: delivery, notBefore: from) }
            for rig in rigs.values { scheduleTimer(of: rig, notBefore: from) }
        }
        // What may be sold of a rig can be another part now.
        guard old?.smallestSlice != planned.rules.smallestSlice else { return }
        for order in orders.values where order.side == .ask && order.open > .zero { syncBook(order) }
    }

    // MARK: - Money

    private mutating func post(_ entry: LedgerEntry) {
        do { try ledger.post(entry.postings) } catch {
            preconditionFailure("ledger entry \(entry.id) does not fit: \(error)")
        }
        counters.entry = entry.id + 1
        for posting in entry.postings { balances.set(posting.account, ledger[posting.account]) }
        if entry.kind == .deposit, let credit = entry.postings.first(where: { $0.amount > .zero }),
            case .available(let account) = credit.account
        {
            deposits.set(DepositKey(account: account, reference: entry.reference), credit.amount)
        }
    }

    private mutating func settle(_ line: SettlementLine) {
        guard let delivery = deliveries[line.delivery] else { preconditionFailure("settled delivery is not there") }
        deliveries.update(line.delivery) {
            $0.settledWork += line.work
            $0.charged += line.amounts.charge
            $0.held -= line.fromHold
        }
        heldByBid[delivery.bid, default: .zero] -= line.fromHold
        billings.update(delivery.billingKey) {
            let amounts = $0.totals.add(line.work, terms: $0.terms(of: delivery))
            precondition(amounts == line.amounts, "settlement line does not follow from the totals")
        }
        change(delivery.bid) { order in
            guard case .bid(var bid) = order.details else { return }
            bid.spent += line.amounts.debit - line.fromLoss
            order.details = .bid(bid)
        }
    }

    // MARK: - Orders

    private mutating func place(_ order: Order) {
        counters.order = order.id.rawValue + 1
        counters.stamp = max(counters.stamp, order.stamp + 1)
        orders.set(order.id, order)
        linkDerived(order)
        if let ask = order.ask { rigs.update(ask.rig) { $0.ask = order.id } }
    }

    private mutating func amend(_ order: Order) {
        counters.stamp = max(counters.stamp, order.stamp + 1)
        orders.set(order.id, order)
        syncBook(order)
        if order.instructions.peg != nil { pegged.insert(order.id) } else { pegged.remove(order.id) }
        scheduleTimers(of: order)
    }

    private mutating func reprice(_ repricing: Repricing) {
        counters.stamp = max(counters.stamp, repricing.stamp + 1)
        change(repricing.order) {
            $0.price = repricing.price
            $0.come(at: repricing.stamp)
        }
    }

    private mutating func close(_ id: OrderID, _ reason: CloseReason) {
        change(id) { $0.status = .closed(reason) }
        guard let order = orders[id] else { return }
        if let name = order.clientOrderID { orderByClientID[order.account]?[name] = nil }
        if let ask = order.ask { rigs.update(ask.rig) { $0.ask = nil } }
        unlinkDerived(order)
        forgetIfOver(id)
    }

    /// Changes an order and puts the book in line with it.
    private mutating func change(_ id: OrderID, _ body: (inout Order) -> Void) {
        guard let old = orders[id] else { preconditionFailure("order \(id) is not there") }
        orders.update(id) {
            body(&$0)
            $0.settleShown()
        }
        guard let new = orders[id] else { return }
        if old.open != new.open || old.stamp != new.stamp || old.price != new.price || old.lots != new.lots
            || old.shown != new.shown
        {
            syncBook(new)
        }
    }

    private mutating func syncBook(_ order: Order) {
        guard order.open > .zero else {
            book.remove(order.id)
            return
        }
        let new = bookEntry(of: order)
        guard let old = book[order.id] else {
            book.insert(new)
            return
        }
        var moved = old
        (moved.lots, moved.shown) = (new.lots, new.shown)
        if moved == new {
            book.update(order.id, lots: new.lots, shown: new.shown)
        } else {
            book.remove(order.id)
            book.insert(new)
        }
    }

    /// An order as the book has it, or would have it.
    func bookEntry(of order: Order) -> OrderBook.Entry {
        let open = order.open
        var minimum = order.instructions.minimumFill
        if order.side == .ask, let rules { minimum = max(minimum, rules.smallestPart(of: order.lots)) }
        return OrderBook.Entry(
            id: order.id, owner: order.account, side: order.side, price: order.price, lots: open,
            shown: order.instructions.displayed == nil ? open : order.shown, displayed: order.instructions.displayed,
            minimumFill: minimum, stamp: order.stamp, selfTrade: order.instructions.selfTrade,
            isPegged: order.instructions.peg != nil)
    }

    private mutating func forgetIfOver(_ id: OrderID) {
        guard let order = orders[id], !order.isAlive, order.unsettled == 0 else { return }
        orders.remove(id)
        deliveriesByOrder[id] = nil
        heldByBid[id] = nil
        // The pair's totals are needed only as long as it can meet again.
        for key in billingsByOrder.removeValue(forKey: id) ?? [] {
            billings.remove(key)
            billingsByOrder[key.bid]?.remove(key)
            billingsByOrder[key.ask]?.remove(key)
        }
    }

    /// What is derived from an order that was just placed or loaded.
    mutating func linkDerived(_ order: Order) {
        guard order.isAlive else { return }
        syncBook(order)
        if let name = order.clientOrderID { orderByClientID[order.account, default: [:]][name] = order.id }
        ordersByAccount[order.account, default: []].insert(order.id)
        if order.instructions.peg != nil { pegged.insert(order.id) }
        scheduleTimers(of: order)
    }

    private mutating func unlinkDerived(_ order: Order) {
        ordersByAccount[order.account]?.remove(order.id)
        if order.instructions.peg != nil { pegged.remove(order.id) }
        if order.ask?.schedule != nil { scheduledAsks.remove(order.id) }
    }

    /// Its expiry; daily schedules are looked after by the exchange, which knows the time.
    private mutating func scheduleTimers(of order: Order) {
        if let expiry = order.instructions.expiresAt { timers.schedule(.expiry(order.id), at: expiry) }
        if order.ask?.schedule != nil { scheduledAsks.insert(order.id) } else { scheduledAsks.remove(order.id) }
    }

    mutating func linkDerived(_ key: BillingKey) {
        billingsByOrder[key.bid, default: []].insert(key)
        billingsByOrder[key.ask, default: []].insert(key)
    }

    // MARK: - Deliveries

    private mutating func open(_ delivery: Delivery) {
        counters.delivery = delivery.id.rawValue + 1
        deliveries.set(delivery.id, delivery)
        trades.append(Trade(delivery))
        scheduleTimer(of: delivery)
        deliveriesByRig[delivery.rig, default: []].insert(delivery.id)
        let isBidResting = (orders[delivery.bid]?.since ?? 0) < (orders[delivery.ask]?.since ?? 0)
        deliver(delivery, delivery.bid, isResting: isBidResting)
        deliver(delivery, delivery.ask, isResting: !isBidResting)
        heldByBid[delivery.bid, default: .zero] += delivery.held
        let key = delivery.billingKey
        if billings[key] == nil {
            linkDerived(key)
            billings.set(key, Billing(
                totals: BillingTotals(), sellerFee: delivery.terms.sellerFee, buyerFee: delivery.terms.buyerFee,
                unsettled: 0))
        }
        billings.update(key) { $0.unsettled += 1 }
    }

    private mutating func deliver(_ delivery: Delivery, _ id: OrderID, isResting: Bool) {
        deliveriesByOrder[id, default: []].insert(delivery.id)
        let stamp = counters.stamp
        change(id) {
            $0.delivering += delivery.lots
            $0.unsettled += 1
            if $0.hide(delivery.lots, isResting: isResting) { $0.stamp = stamp }
        }
        if orders[id]?.stamp == stamp { counters.stamp = stamp + 1 }
    }

    private mutating func end(_ id: DeliveryID, at: Timestamp, _ cause: EndCause) {
        deliveries.update(id) { $0.phase = .ended(at: at, cause: cause) }
        guard let delivery = deliveries[id] else { return }
        scheduleTimer(of: delivery)
        deliveriesByRig[delivery.rig]?.remove(id)
        for order in [delivery.bid, delivery.ask] { change(order) { $0.delivering -= delivery.lots } }
    }

    private mutating func close(_ id: DeliveryID) {
        guard let delivery = deliveries[id] else { preconditionFailure("closed delivery is not there") }
        deliveries.update(id) { $0.held = .zero }
        deliveries.remove(id)
        heldByBid[delivery.bid, default: .zero] -= delivery.held
        billings.update(delivery.billingKey) { $0.unsettled -= 1 }
        for order in [delivery.bid, delivery.ask] {
            deliveriesByOrder[order]?.remove(id)
            change(order) { $0.unsettled -= 1 }
            forgetIfOver(order)
        }
    }

    mutating func scheduleTimer(of delivery: Delivery, notBefore earliest: Timestamp = Timestamp(microseconds: 0)) {
        switch delivery.phase {
        case .running: timers.schedule(.term(delivery.id), at: delivery.expiresAt)
        case .ended(let at, _):
            if let rules { timers.schedule(.hold(delivery.id), at: max(at + rules.holdLimit, earliest)) }
        }
    }

    mutating func scheduleTimer(of rig: Rig, notBefore earliest: Timestamp = Timestamp(microseconds: 0)) {
        guard case .offline(let since) = rig.presence, !(deliveriesByRig[rig.id] ?? []).isEmpty, let rules else { return }
        timers.schedule(.away(rig.id), at: max(since + rules.awayLimit, earliest))
    }

    // MARK: - Answers

    private mutating func record(_ answer: RecordedAnswer, for key: AnswerKey) {
        counters.answer = answer.number + 1
        answers.set(key, answer)
        answerNumbers.append(key)
        while answerNumbers.count > MarketState.mostAnswers, let oldest = answerNumbers.popFirst() {
            answers.remove(oldest)
        }
    }
}

extension Order {
    /// Of an iceberg's open lots at least the minimum fill is displayed; a new part comes up when less is left.
    mutating func settleShown() {
        guard let displayed = instructions.displayed, open > .zero else {
            shown = .zero
            return
        }
        shown = min(shown, min(open, displayed))
        if shown == .zero || shown < min(instructions.minimumFill, open) { shown = min(displayed, open) }
    }

    /// Takes its place behind all others.
    fileprivate mutating func come(at stamp: Int64) {
        self.stamp = stamp
        since = stamp
    }

    /// Takes filled lots out of an iceberg's displayed part.
    ///
    /// - Returns: whether a new part comes up, at the tail: an arriving order shows itself only after its fills
    fileprivate mutating func hide(_ filled: Lots, isResting: Bool) -> Bool {
        guard instructions.displayed != nil else { return false }
        shown = isResting ? max(.zero, shown - filled) : .zero
        return isResting && open > .zero && (shown == .zero || shown < min(instructions.minimumFill, open))
    }
}

extension Delivery {
    public var billingKey: BillingKey { BillingKey(bid: bid, ask: ask, rig: rig, tariff: tariff) }
}

extension Billing {
    /// A delivery's terms with the fees of its tariff.
    func terms(of delivery: Delivery) -> Terms {
        Terms(
            price: delivery.terms.price, priceUnit: delivery.terms.priceUnit, sellerFee: sellerFee, buyerFee: buyerFee)
    }
}
