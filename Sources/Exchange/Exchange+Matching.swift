internal import DequeModule
internal import Ledger
internal import OrderBook
internal import Settlement
internal import Units

/// Matching by price, then time.
extension Exchange {
    /// What became of two orders that met.
    enum Meeting {
        /// They do not suit each other; both stay.
        case passed
        /// Something changed: a fill, or an order was closed or suspended.
        case changed
        /// A fill left one of them a remainder below its minimum, which may fill whole: those that it passed over
        /// before may suit it now.
        case loosened
    }

    /// Matches orders whose lots came back or whose terms changed: the best bid first, with the best ask.
    ///
    /// Bids that rested beside them take part: a returned ask goes to the best of all bids, not of the returned ones.
    mutating func match(_ returned: Returned) {
        guard state.status.phase == .open, !returned.isEmpty else { return }
        if let id = returned.single {
            match(id)
            return
        }
        var asks = Deque(returned.asks.compactMap { state.book[$0] }.sorted(by: OrderBook.Entry.tradesBefore))
        var bids = returned.bids
        var cursor = state.book.first(on: .bid)
        while let here = cursor {
            let bid = state.book[here]
            while let gone = asks.first, state.book[gone.id] == nil { asks.removeFirst() }
            guard let best = asks.first, bid.price >= best.price else { break }
            let following = state.book.next(after: here)
            let isLastOfLevel = following.map { state.book[$0].price != bid.price } ?? true
            if bids.remove(bid.id) != nil {
                // An iceberg's next part comes after the others of its price.
                if match(bid.id, stopsWhenRestamped: !isLastOfLevel) { bids.insert(bid.id) }
                cursor = following
            } else {
                let isLoosened = meet(bid, &asks, isLastOfLevel: isLastOfLevel)
                cursor = isLoosened ? state.book.first(on: .bid) : following
                if isLoosened { bids.insert(bid.id) }
            }
        }
        var waiting = Deque(bids.compactMap { state.book[$0] }.sorted(by: OrderBook.Entry.tradesBefore))
        while let bid = waiting.popFirst() {
            guard match(bid.id, stopsWhenRestamped: waiting.first?.price == bid.price), let left = state.book[bid.id] else {
                continue
            }
            Exchange.insert(left, &waiting)
        }
    }

    private static func insert(_ entry: OrderBook.Entry, _ queue: inout Deque<OrderBook.Entry>) {
        queue.insert(entry, at: queue.firstIndex { OrderBook.Entry.tradesBefore(entry, $0) } ?? queue.count)
    }

    /// A resting bid meets returned asks, best first.
    ///
    /// - Returns: whether better bids may suit an ask now that they passed over before, or the bid other asks
    private mutating func meet(
        _ bid: OrderBook.Entry, _ asks: inout Deque<OrderBook.Entry>, isLastOfLevel: Bool
    ) -> Bool {
        var place = 0
        while place < asks.count, let now = state.book[bid.id] {
            // An iceberg's next part comes after the others of its price.
            guard now.stamp == bid.stamp || isLastOfLevel else { return false }
            guard let ask = state.book[asks[place].id] else {
                asks.remove(at: place)
                continue
            }
            guard ask.price <= now.price else { return false }
            switch meet(bid: now.id, ask: ask.id) {
            case .passed: place += 1
            case .loosened: return true
            case .changed:
                guard let left = state.book[ask.id], left.stamp != ask.stamp else { continue }
                asks.remove(at: place)
                Exchange.insert(left, &asks)
            }
        }
        return false
    }

    /// Matches an order with the other side of the book.
    ///
    /// - Returns: whether it was stopped because the order lost its place to others of its price
    @discardableResult
    mutating func match(_ id: OrderID, stopsWhenRestamped: Bool = false) -> Bool {
        guard state.status.phase == .open, let stamp = state.book[id]?.stamp else { return false }
        // Those on top come first: a resting order whose remainder suits others now, then again whom it met.
        var walking = [id]
        while let taker = walking.popLast() {
            let stays = stopsWhenRestamped && taker == id
            if let loosened = walk(taker, whileStamped: stays ? stamp : nil) { walking += [taker, loosened] }
            if stopsWhenRestamped, let now = state.book[id], now.stamp != stamp { return true }
        }
        return false
    }

    /// Lets an order meet those of the other side, best first, until nothing more suits it.
    ///
    /// - Parameter stamp: ends when the order has another one; nil: goes on
    /// - Returns: a resting order that was loosened; then there is more to do
    private mutating func walk(_ id: OrderID, whileStamped stamp: Int64?) -> OrderID? {
        guard let entry = state.book[id] else { return nil }
        var taker = OrderBook.Taker(entry)
        while let found = state.book.next(for: &taker) {
            let (bid, ask) = entry.side == .bid ? (id, found.maker) : (found.maker, id)
            let meeting = meet(bid: bid, ask: ask)
            if meeting == .loosened, isLoose(found.maker) { return found.maker }
            guard let left = state.book[id], left.stamp == stamp ?? left.stamp else { return nil }
            switch meeting {
            case .passed: state.book.skip(found, &taker)
            case .changed: taker.lots = left.lots
            case .loosened: taker = OrderBook.Taker(left)
            }
        }
        return nil
    }

    /// Whether an order is a remainder below its minimum, which may fill whole.
    private func isLoose(_ id: OrderID) -> Bool { state.book[id].map { $0.lots < $0.minimumFill } ?? false }

    /// Fills two orders with each other if they suit. The one that came earlier is the resting one.
    private mutating func meet(bid bidID: OrderID, ask askID: OrderID) -> Meeting {
        guard let bidEntry = state.book[bidID], let askEntry = state.book[askID], let bid = state.orders[bidID],
            let ask = state.orders[askID]
        else { return .passed }
        let (resting, arriving) = bid.since < ask.since ? (bidEntry, askEntry) : (askEntry, bidEntry)
        guard let lots = OrderBook.Taker(arriving).fill(with: resting), let details = ask.ask,
            let presence = state.rigs.with(details.rig, { $0.presence }), let rules = state.rules, bid.price >= ask.price
        else { return .passed }
        guard state.unsuited(bid, ask, presence, at: time) == nil else { return .passed }
        guard bid.account != ask.account else {
            preventSelfTrade(bid, ask)
            return .changed
        }
        return fill(bid, ask, on: details.rig, lots, rules)
    }

    /// The mode is the incoming order's: the one that came later.
    private mutating func preventSelfTrade(_ bid: Order, _ ask: Order) {
        let (arriving, resting) = bid.since > ask.since ? (bid, ask) : (ask, bid)
        switch arriving.instructions.selfTrade {
        case .cancelIncoming: closeOpenPart(arriving)
        case .cancelResting: closeOpenPart(resting)
        case .cancelBoth:
            closeOpenPart(resting)
            closeOpenPart(arriving)
        }
    }

    /// Closes an order; what it has running goes on to its end.
    private mutating func closeOpenPart(_ order: Order) { emit(.orderClosed(order.id, .selfTrade)) }

    // MARK: - Before placing

    /// Whether an order would trade, or meet an order of its own account, if it were in the book.
    func wouldMatch(_ order: Order) -> Bool {
        guard let entry = order.bookEntry(state.rules?.smallestSlice) else { return false }
        var taker = OrderBook.Taker(entry)
        while let found = state.book.next(for: &taker) {
            if suits(order, found) { return true }
            state.book.skip(found, &taker)
        }
        return false
    }

    /// Whether all of an order could be filled now, for whole terms.
    func canFillWhole(_ order: Order, _ rules: MarketRules) -> Bool {
        guard let entry = order.bookEntry(rules.smallestSlice) else { return false }
        var holds: [OrderID: Satoshis] = [:]
        var spent: [AccountID: Satoshis] = [:]
        /// Whether a bid on the way would take less than it is offered, so that the rest of the plan cannot be relied on.
        var isAnyShort = false
        func pays(_ bid: Order, _ hold: Satoshis?) -> Bool {
            guard let hold else { return false }
            return state.affords(bid, hold: (holds[bid.id] ?? .zero) + hold)
                && (spent[bid.account] ?? .zero) + hold <= state.balance(.available(bid.account))
        }
        let fits = state.book.canFill(OrderBook.Taker(entry)) { found in
            guard suits(order, found) else { return false }
            guard !found.isSelfTrade else { return true }
            guard let maker = state.orders[found.maker] else { return false }
            let (bid, ask) = order.side == .bid ? (order, maker) : (maker, order)
            guard let term = state.longestTerm(bid, ask, at: time),
                let hold = Offer(rules, at: maker.price, found.lots).hold(for: term), pays(bid, hold)
            else {
                let fewest = min(found.lots, max(state.fewestLots(of: bid), state.fewestLots(of: ask)))
                if pays(bid, Offer(rules, at: maker.price, fewest).hold(for: rules.shortestTerm)) { isAnyShort = true }
                return false
            }
            holds[bid.id, default: .zero] += hold
            spent[bid.account, default: .zero] += hold
            return true
        }
        return fits && !isAnyShort
    }

    private func suits(_ order: Order, _ found: OrderBook.Match) -> Bool {
        guard let maker = state.orders[found.maker] else { return false }
        let (bid, ask) = order.side == .bid ? (order, maker) : (maker, order)
        guard let details = ask.ask, let presence = state.rigs.with(details.rig, { $0.presence }) else { return false }
        return state.unsuited(bid, ask, presence, at: time) == nil
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
