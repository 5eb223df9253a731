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
                $0.stamp = stamp
            }
        case .orderStamped(let id, let stamp):
            counters.stamp = max(counters.stamp, stamp + 1)
            change(id) { $0.stamp = stamp }
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
        }
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

    private mutating func close(_ id: OrderID, _ reason: CloseReason) {
        change(id) { $0.status = .closed(reason) }
        guard let order = orders[id] else { return }
        if let name = order.clientOrderID { orderByClientID[order.account]?[name] = nil }
        if let ask = order.ask { rigs.update(ask.rig) { $0.ask = nil } }
        if order.side == .bid { bidsByAccount[order.account]?.remove(id) }
        forgetIfOver(id)
    }

    /// Changes an order and puts the book in line with it.
    private mutating func change(_ id: OrderID, _ body: (inout Order) -> Void) {
        guard let old = orders[id] else { preconditionFailure("order \(id) is not there") }
        orders.update(id, body)
        guard let new = orders[id] else { return }
        if old.open != new.open || old.stamp != new.stamp || old.status != new.status { syncBook(new) }
    }

    private mutating func syncBook(_ order: Order) {
        let open = order.open
        guard let entry = book[order.id] else {
            if open > .zero { book.insert(order.bookEntry) }
            return
        }
        if open <= .zero {
            book.remove(order.id)
        } else if entry.stamp != order.stamp {
            book.remove(order.id)
            book.insert(order.bookEntry)
        } else if entry.lots != open {
            book.setLots(order.id, open)
        }
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
        if order.side == .bid { bidsByAccount[order.account, default: []].insert(order.id) }
    }

    mutating func linkDerived(_ key: BillingKey) {
        billingsByOrder[key.bid, default: []].insert(key)
        billingsByOrder[key.ask, default: []].insert(key)
    }

    // MARK: - Deliveries

    private mutating func open(_ delivery: Delivery) {
        counters.delivery = delivery.id.rawValue + 1
        deliveries.set(delivery.id, delivery)
        scheduleTimer(of: delivery)
        rigs.update(delivery.rig) { $0.delivery = delivery.id }
        for order in [delivery.bid, delivery.ask] {
            deliveriesByOrder[order, default: []].insert(delivery.id)
            change(order) {
                $0.delivering += delivery.lots
                $0.unsettled += 1
            }
        }
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

    private mutating func end(_ id: DeliveryID, at: Timestamp, _ cause: EndCause) {
        deliveries.update(id) { $0.phase = .ended(at: at, cause: cause) }
        guard let delivery = deliveries[id] else { return }
        scheduleTimer(of: delivery)
        rigs.update(delivery.rig) { $0.delivery = nil }
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

    mutating func scheduleTimer(of delivery: Delivery) {
        switch delivery.phase {
        case .running: timers.schedule(.term(delivery.id), at: delivery.expiresAt)
        case .ended(let at, _):
            if let rules { timers.schedule(.hold(delivery.id), at: at + rules.holdLimit) }
        }
    }

    mutating func scheduleTimer(of rig: Rig) {
        guard case .offline(let since) = rig.presence, rig.delivery != nil, let rules else { return }
        timers.schedule(.away(rig.id), at: since + rules.awayLimit)
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
    var bookEntry: OrderBook.Entry {
        OrderBook.Entry(id: id, owner: account, side: side, price: price, lots: open, stamp: stamp)
    }
}

extension Delivery {
    public var billingKey: BillingKey { BillingKey(bid: bid, ask: ask, rig: rig) }
}

extension Billing {
    /// A delivery's terms with the fees that the pair's first fill fixed, so that cumulative fees never fall.
    func terms(of delivery: Delivery) -> Terms {
        Terms(
            price: delivery.terms.price, priceUnit: delivery.terms.priceUnit, sellerFee: sellerFee, buyerFee: buyerFee)
    }
}
