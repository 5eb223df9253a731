internal import Ledger
internal import OrderBook
internal import Settlement
public import Units

/// Why a bid and an ask whose prices cross do not trade.
public enum PassedOver: String, Hashable, Sendable, CaseIterable {
    /// The rig is larger than what the bid still wants; rigs are sold whole.
    case rigTooLarge
    /// Every verified pool of the bid gives an extranonce2 that the rig's does not fold into.
    case extranonceTooSmall
    /// No verified pool of the bid allows all version bits that the rig rolls.
    case versionMaskTooNarrow
    /// None of the bid's pools is verified.
    case noVerifiedPool
}

/// Matching by price, then time.
extension Exchange {
    /// Matches orders whose lots came back: the best bid first, with the best ask.
    ///
    /// Bids that rested beside them take part: a returned ask goes to the best of all bids, not of the returned ones.
    mutating func match(_ returned: Returned) {
        let asks = returned.asks.compactMap { state.book[$0] }.sorted(by: OrderBook.Entry.tradesBefore)
        var bids = returned.bids
        var start = 0
        var cursor = state.book.first(on: .bid)
        while let here = cursor {
            while start < asks.count, state.book[asks[start].id] == nil { start += 1 }
            let entry = state.book[here]
            guard start < asks.count, entry.price >= asks[start].price else { break }
            cursor = state.book.next(after: here)
            if bids.remove(entry.id) != nil {
                match(bid: entry.id)
            } else {
                for ask in asks[start...] where state.book[entry.id] != nil { meet(entry.id, ask.id) }
            }
        }
        for bid in bids.compactMap({ state.book[$0] }).sorted(by: OrderBook.Entry.tradesBefore) { match(bid: bid.id) }
    }

    mutating func match(bid id: OrderID) {
        var cursor = state.book.first(on: .ask)
        while let here = cursor, let bid = state.book[id] {
            let ask = state.book[here]
            guard ask.price <= bid.price else { return }
            cursor = state.book.next(after: here)
            meet(id, ask.id)
        }
    }

    mutating func match(ask id: OrderID) {
        var cursor = state.book.first(on: .bid)
        while let here = cursor, let ask = state.book[id] {
            let bid = state.book[here]
            guard bid.price >= ask.price else { return }
            cursor = state.book.next(after: here)
            meet(bid.id, id)
        }
    }

    private mutating func meet(_ bidID: OrderID, _ askID: OrderID) {
        guard let bid = state.orders[bidID], let ask = state.orders[askID], bid.open > .zero, ask.open > .zero,
            bid.price >= ask.price, let details = ask.ask, let rig = state.rigs[details.rig], let rules = state.rules
        else { return }
        guard state.passedOver(bid, ask, rig) == nil else { return }
        guard bid.account != ask.account else {
            preventSelfTrade(bid, ask)
            return
        }
        fill(bid, ask, rig, rules)
    }

    /// The mode is the incoming order's: the one with the later stamp.
    private mutating func preventSelfTrade(_ bid: Order, _ ask: Order) {
        let (arriving, resting) = bid.stamp > ask.stamp ? (bid, ask) : (ask, bid)
        switch arriving.selfTrade {
        case .cancelIncoming: closeOpenPart(arriving)
        case .cancelResting: closeOpenPart(resting)
        case .cancelBoth:
            closeOpenPart(resting)
            closeOpenPart(arriving)
        }
    }

    /// Closes an order; what it has running goes on to its end.
    private mutating func closeOpenPart(_ order: Order) { emit(.orderClosed(order.id, .selfTrade)) }

    // MARK: - Fill

    private mutating func fill(_ bid: Order, _ ask: Order, _ rig: Rig, _ rules: MarketRules) {
        let lots = ask.open
        let price = bid.stamp < ask.stamp ? bid.price : ask.price
        let terms = rules.terms(at: price)
        let hashrate = rules.hashrate(lots)
        let difficulty = rules.highestDifficulty(hashrate)
        let allowance = Work(units: difficulty.units * 20)
        guard let (term, hold) = affordableTerm(of: bid, hashrate, terms, allowance, rules) else {
            // A smaller rig may still be paid for; a bid that can pay for none waits outside the book.
            guard !affords(bid, hold: leastHold(of: bid, rules)) else { return }
            emit(.orderSuspended(bid.id, .insufficientFunds))
            return
        }
        let id = DeliveryID(state.counters.delivery)
        if hold > .zero {
            post(.hold, reference: "delivery:\(id)", [
                Posting(.available(bid.account), -hold), Posting(.held(bid.account), hold),
            ])
        }
        emit(.deliveryOpened(Delivery(
            id: id, bid: bid.id, ask: ask.id, rig: rig.id, buyer: bid.account, seller: ask.account, lots: lots,
            hashrate: hashrate, terms: terms, openedAt: time, expiresAt: time + term, maxDifficulty: difficulty,
            allowance: allowance, hold: hold, held: hold)))
    }

    /// The longest term that the bid can pay for, and its hold; nil below the shortest.
    private func affordableTerm(
        of bid: Order, _ hashrate: Hashrate, _ terms: Terms, _ allowance: Work, _ rules: MarketRules
    ) -> (Interval, Satoshis)? {
        func hold(_ seconds: Int64) -> Satoshis? {
            let work = Tariff.workCap(hashrate, elapsed: .seconds(seconds), allowance: allowance)
            guard let amount = Tariff.mostDebit(for: work, terms: terms), affords(bid, hold: amount) else {
                return nil
            }
            return amount
        }
        let shortest = Rounding.up(Int128(rules.shortestTerm.microseconds), by: 1_000_000)
        var low = Int64(shortest), high = rules.term.microseconds / 1_000_000
        if let amount = hold(high) { return (.seconds(high), amount) }
        guard hold(low) != nil else { return nil }
        while high - low > 1 {
            let middle = (low + high) / 2
            if hold(middle) != nil { low = middle } else { high = middle }
        }
        return hold(low).map { (.seconds(low), $0) }
    }

    /// What the shortest delivery of one lot holds at most.
    func leastHold(of bid: Order, _ rules: MarketRules) -> Satoshis? {
        let hashrate = rules.hashrate(Lots(1))
        let allowance = Work(units: rules.highestDifficulty(hashrate).units * 20)
        let work = Tariff.workCap(hashrate, elapsed: rules.shortestTerm, allowance: allowance)
        return Tariff.mostDebit(for: work, terms: rules.terms(at: bid.price))
    }

    /// Whether both the account's available funds and what is left of the bid's budget cover a hold.
    func affords(_ bid: Order, hold: Satoshis?) -> Bool {
        guard let hold, hold <= state.balance(.available(bid.account)) else { return false }
        guard let details = bid.bid, let budget = details.budget else { return true }
        return details.spent + state.held(by: bid.id) + hold <= budget
    }

    // MARK: - Ends

    /// Ends a running delivery; its lots go back to both orders that are alive.
    mutating func end(_ delivery: Delivery, _ cause: EndCause, at: Timestamp, _ returned: inout Returned) {
        emit(.deliveryEnded(delivery.id, at: max(at, delivery.openedAt), cause))
        refreshOffer(of: delivery.ask)
        if cause == .underDelivery || cause == .rigAway, let ask = state.orders[delivery.ask], ask.isAlive {
            emit(.orderStamped(ask.id, stamp: nextStamp()))
        }
        for id in [delivery.bid, delivery.ask] {
            if let order = state.orders[id], order.open > .zero { returned.add(order) }
        }
    }

    /// Brings an ask that is not delivering in line with its rig: what it offers, and whether it is in the book.
    mutating func refreshOffer(of id: OrderID) {
        guard let ask = state.orders[id], ask.isAlive, ask.delivering == .zero, let details = ask.ask,
            let rig = state.rigs[details.rig], let rules = state.rules
        else { return }
        let offer = offer(of: details, rig, rules)
        if offer != ask.lots { emit(.askOffered(id, offer)) }
        if let reason = suspension(of: rig, offer: offer) {
            if ask.status != .suspended(reason) { emit(.orderSuspended(id, reason)) }
        } else if ask.status != .active {
            emit(.orderResumed(id, stamp: nextStamp()))
        }
    }

    /// An account has more funds to use: its bids that waited for money are back in the book, and those that passed
    /// over a rig for want of it meet the asks again.
    mutating func resumeFunded(_ account: AccountID, _ returned: inout Returned) {
        guard let rules = state.rules else { return }
        for bid in state.bids(of: account) {
            if bid.status == .suspended(.insufficientFunds), affords(bid, hold: leastHold(of: bid, rules)) {
                emit(.orderResumed(bid.id, stamp: nextStamp()))
            }
            closeIfSpent(bid.id)
            if let bid = state.orders[bid.id], bid.open > .zero { returned.add(bid) }
        }
    }

    /// A bid whose budget pays for nothing more, with nothing left to settle, is over.
    private mutating func closeIfSpent(_ id: OrderID) {
        guard let bid = state.orders[id], bid.isAlive, bid.unsettled == 0, let details = bid.bid,
            let budget = details.budget, let rules = state.rules, let least = leastHold(of: bid, rules),
            details.spent + least > budget
        else { return }
        emit(.orderClosed(id, .budgetSpent))
    }
}

extension OrderBook.Entry {
    /// Whether an order of the same side trades first: by price, then by stamp.
    fileprivate static func tradesBefore(_ a: Self, _ b: Self) -> Bool {
        guard a.price == b.price else {
            switch a.side {
            case .bid: return a.price > b.price
            case .ask: return a.price < b.price
            }
        }
        return a.stamp < b.stamp
    }
}

extension MarketState {
    /// Why a bid passes over an ask whose price it crosses; nil when they trade.
    public func passedOver(_ bid: Order, _ ask: Order, _ rig: Rig) -> PassedOver? {
        guard case .online(_, _, let mask) = rig.presence, let details = bid.bid else { return .noVerifiedPool }
        if ask.open > bid.open { return .rigTooLarge }
        return unusable(details.targets, versionMask: mask)
    }

    /// The verified targets among `targets` that can take a rig with this mask, in their order.
    public func usable(_ targets: [PoolTargetID], versionMask: UInt32) -> [PoolTargetID] {
        targets.filter { unusable([$0], versionMask: versionMask) == nil }
    }

    private func unusable(_ ids: [PoolTargetID], versionMask: UInt32) -> PassedOver? {
        var worst: PassedOver = .noVerifiedPool
        for id in ids {
            guard case .verified(let pool)? = targets[id]?.status else { continue }
            if pool.extranonce2Size < PoolCapabilities.smallestExtranonce2 {
                worst = .extranonceTooSmall
            } else if versionMask & ~pool.versionMask != 0 {
                worst = .versionMaskTooNarrow
            } else {
                return nil
            }
        }
        return worst
    }
}
