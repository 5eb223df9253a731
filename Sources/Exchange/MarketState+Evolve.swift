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
            targetsByAccount.insert(target.id, of: target.owner)
            counters.target = target.id.rawValue + 1
        case .poolTargetChanged(let id, let status):
            targets.update(id) { $0.status = status }
        case .rigRegistered(let rig):
            rigs.set(rig.id, rig)
            rigByUser[rig.user] = rig.id
            rigsByAccount.insert(rig.id, of: rig.owner)
            linkLogin(of: rig)
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
        case .holdReleased(let id):
            let (held, bid) = deliveries.update(id) { delivery in
                defer { delivery.held = .zero }
                return (delivery.held, delivery.bid)
            }
            heldByBid.update(bid, default: .zero) { $0 -= held }
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
            farmsByAccount.insert(farm.id, of: farm.owner)
            counters.farm = farm.id.rawValue + 1
        case .rigAssigned(let id, let farm):
            rigsByFarm.remove(id)
            rigs.update(id) { $0.farm = farm }
            if let farm { rigsByFarm.insert(id, of: farm) }
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
        case .fleet(let event): evolve(event)
        case .blockFound(let block): add(block)
        case .blockJudged(let id, let verdict, let error):
            blocks.update(id) { ($0.verdict, $0.poolError) = (verdict, error) }
        case .books(let event): evolve(event)
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
            timers.removeAll {
                switch $0 {
                case .away, .hold: true
                case .term, .rules, .expiry, .silence, .schedule, .curtailment: false
                }
            }
            for delivery in deliveries.values where !delivery.isRunning { scheduleTimer(of: delivery, notBefore: from) }
            for rig in rigs.values { scheduleTimer(of: rig, notBefore: from) }
        }
        // What may be sold of a rig can be another part now.
        guard old?.smallestSlice != planned.rules.smallestSlice else { return }
        for order in orders.values where order.side == .ask && order.open > .zero { syncBook(order) }
    }

    // MARK: - Money

    private mutating func post(_ entry: LedgerEntry) {
        do { try balances.post(entry.postings) } catch {
            preconditionFailure("ledger entry \(entry.id) does not fit: \(error)")
        }
        counters.entry = entry.id + 1
        if entry.kind == .deposit, let credit = entry.postings.first(where: { $0.amount > .zero }),
            case .available(let account) = credit.account
        {
            deposits.set(DepositKey(account: account, reference: entry.reference), credit.amount)
        }
    }

    // MARK: - Orders

    private mutating func place(_ order: Order) {
        counters.order = order.id.rawValue + 1
        counters.stamp = max(counters.stamp, order.stamp + 1)
        orders.set(order.id, order)
        linkDerived(order)
        if case .ask(let ask) = order.details { rigs.update(ask.rig) { $0.ask = order.id } }
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
        let order = change(id) {
            $0.status = .closed(reason)
            return $0
        }
        if let name = order.clientOrderID { orderByClientID[order.account]?[name] = nil }
        if case .ask(let ask) = order.details { rigs.update(ask.rig) { $0.ask = nil } }
        unlinkDerived(order)
        if order.unsettled == 0 { forget(id) }
    }

    /// Changes an order and puts the book in line with it.
    @discardableResult
    private mutating func change<R>(_ id: OrderID, _ body: (inout Order) -> R) -> R {
        let smallestSlice = rules?.smallestSlice
        let (result, wanted, wasUnfunded, isUnfunded, account) = orders.update(id) { order in
            let wasUnfunded = order.status == .suspended(.insufficientFunds)
            let result = body(&order)
            order.settleShown()
            let isUnfunded = order.status == .suspended(.insufficientFunds)
            return (result, order.bookEntry(smallestSlice), wasUnfunded, isUnfunded, order.account)
        }
        if wasUnfunded != isUnfunded { isUnfunded ? unfundedBids.insert(id, of: account) : unfundedBids.remove(id) }
        syncBook(id, wanted)
        return result
    }

    private mutating func syncBook(_ order: Order) { syncBook(order.id, order.bookEntry(rules?.smallestSlice)) }

    /// - Parameter wanted: nil when the order is not to be in the book
    private mutating func syncBook(_ id: OrderID, _ wanted: OrderBook.Entry?) {
        guard let wanted else {
            book.remove(id)
            return
        }
        guard let old = book[id] else {
            book.insert(wanted)
            return
        }
        var moved = old
        (moved.lots, moved.shown) = (wanted.lots, wanted.shown)
        if moved == wanted {
            if old != wanted { book.update(id, lots: wanted.lots, shown: wanted.shown) }
        } else {
            book.remove(id)
            book.insert(wanted)
        }
    }

    private mutating func forget(_ id: OrderID) {
        guard let order = orders.remove(id) else { return }
        heldByBid.remove(id)
        if order.status == .suspended(.insufficientFunds) { unfundedBids.remove(id) }
        // The pair's totals are needed only as long as it can meet again.
        for key in order.side == .bid ? billingsByBid.members(of: id) : billingsByAsk.members(of: id) {
            billings.remove(key)
            billingsByBid.remove(key)
            billingsByAsk.remove(key)
        }
    }

    /// What is derived from an order that was just placed or loaded.
    mutating func linkDerived(_ order: Order) {
        guard order.isAlive else { return }
        syncBook(order)
        if let name = order.clientOrderID { orderByClientID[order.account, default: [:]][name] = order.id }
        ordersByAccount.insert(order.id, of: order.account)
        if order.status == .suspended(.insufficientFunds) { unfundedBids.insert(order.id, of: order.account) }
        if order.instructions.peg != nil { pegged.insert(order.id) }
        scheduleTimers(of: order)
    }

    private mutating func unlinkDerived(_ order: Order) {
        ordersByAccount.remove(order.id)
        if order.instructions.peg != nil { pegged.remove(order.id) }
        if case .ask(let ask) = order.details, ask.schedule != nil { scheduledAsks.remove(order.id) }
    }

    /// Its expiry; daily schedules are looked after by the exchange, which knows the time.
    private mutating func scheduleTimers(of order: Order) {
        if let expiry = order.instructions.expiresAt { timers.schedule(.expiry(order.id), at: expiry) }
        guard case .ask(let ask) = order.details else { return }
        if ask.schedule != nil {
            scheduledAsks.insert(order.id)
        } else if !scheduledAsks.isEmpty {
            scheduledAsks.remove(order.id)
        }
    }

    mutating func linkDerived(_ key: BillingKey) {
        billingsByBid.insert(key, of: key.bid)
        billingsByAsk.insert(key, of: key.ask)
    }

    // MARK: - Deliveries

    private mutating func open(_ delivery: Delivery) {
        counters.delivery = delivery.id.rawValue + 1
        deliveries.set(delivery.id, delivery)
        trades.append(Trade(delivery))
        scheduleTimer(of: delivery)
        deliveriesByRig.insert(delivery.id, of: delivery.rig)
        deliveriesByBid.insert(delivery.id, of: delivery.bid)
        deliveriesByAsk.insert(delivery.id, of: delivery.ask)
        let isBidResting = since(delivery.bid) < since(delivery.ask)
        deliver(delivery.lots, delivery.bid, isResting: isBidResting)
        deliver(delivery.lots, delivery.ask, isResting: !isBidResting)
        heldByBid.update(delivery.bid, default: .zero) { $0 += delivery.held }
        let key = delivery.billingKey
        if !billings.contains(key) { linkDerived(key) }
        let fresh = Billing(
            totals: BillingTotals(), sellerFee: delivery.terms.sellerFee, buyerFee: delivery.terms.buyerFee, unsettled: 0)
        billings.update(key, default: fresh) { $0.unsettled += 1 }
    }

    private func since(_ order: OrderID) -> Int64 { orders.with(order) { $0.since } ?? 0 }

    private mutating func deliver(_ lots: Lots, _ id: OrderID, isResting: Bool) {
        let stamp = counters.stamp
        let isRestamped = change(id) {
            $0.delivering += lots
            $0.unsettled += 1
            guard $0.hide(lots, isResting: isResting) else { return false }
            $0.stamp = stamp
            return true
        }
        if isRestamped { counters.stamp = stamp + 1 }
    }

    private mutating func end(_ id: DeliveryID, at: Timestamp, _ cause: EndCause) {
        let (bid, ask, lots) = deliveries.update(id) {
            $0.phase = .ended(at: at, cause: cause)
            return ($0.bid, $0.ask, $0.lots)
        }
        if let rules { timers.schedule(.hold(id), at: at + rules.holdLimit) }
        deliveriesByRig.remove(id)
        change(bid) { $0.delivering -= lots }
        change(ask) { $0.delivering -= lots }
    }

    private mutating func close(_ id: DeliveryID) {
        // Its last image holds nothing.
        let held = deliveries.update(id) { delivery in
            let held = delivery.held
            delivery.held = .zero
            return held
        }
        guard let delivery = deliveries.remove(id) else { preconditionFailure("closed delivery is not there") }
        heldByBid.update(delivery.bid, default: .zero) { $0 -= held }
        deliveriesByBid.remove(id)
        deliveriesByAsk.remove(id)
        billings.update(delivery.billingKey) { $0.unsettled -= 1 }
        for order in [delivery.bid, delivery.ask] {
            let isOver = orders.update(order) {
                $0.unsettled -= 1
                return !$0.isAlive && $0.unsettled == 0
            }
            if isOver { forget(order) }
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
        guard case .offline(let since) = rig.presence, deliveriesByRig.count(of: rig.id) > 0, let rules else { return }
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
    /// As the book has it; nil when it has no open lots.
    func bookEntry(_ smallestSlice: PartsPerMillion?) -> OrderBook.Entry? {
        let open = open
        guard open > .zero else { return nil }
        var minimum = instructions.minimumFill
        if case .ask = details, let smallestSlice { minimum = max(minimum, smallestSlice.smallestPart(of: lots)) }
        return OrderBook.Entry(
            id: id, owner: account, side: side, price: price, lots: open,
            shown: instructions.displayed == nil ? open : shown, displayed: instructions.displayed,
            minimumFill: minimum, stamp: stamp, selfTrade: instructions.selfTrade, isPegged: instructions.peg != nil)
    }

    /// What a bid cost.
    mutating func spend(_ amount: Satoshis) {
        guard case .bid(var bid) = details else { return }
        bid.spent += amount
        details = .bid(bid)
    }

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
    func terms(at terms: Terms) -> Terms {
        Terms(price: terms.price, priceUnit: terms.priceUnit, sellerFee: sellerFee, buyerFee: buyerFee)
    }
}
