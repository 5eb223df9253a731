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
        var asks = Deque(returned.asks.compactMap { returnedAsk($0) }.sorted { $0.entry.tradesBefore($1.entry) })
        var bids = returned.bids
        var cursor = state.book.first(on: .bid)
        while let here = cursor {
            let bid = state.book[here]
            while let gone = asks.first, state.book[gone.entry.id] == nil { asks.removeFirst() }
            guard let best = asks.first?.entry, bid.price >= best.price else { break }
            let following = state.book.next(after: here).map { (cursor: $0, entry: state.book[$0]) }
            let isLastOfLevel = following.map { $0.entry.price != bid.price } ?? true
            if bids.remove(bid.id) != nil {
                // An iceberg's next part comes after the others of its price.
                if match(bid.id, stopsWhenRestamped: !isLastOfLevel) { bids.insert(bid.id) }
            } else if meet(bid, &asks, isLastOfLevel: isLastOfLevel) {
                bids.insert(bid.id)
                cursor = state.book.first(on: .bid)
                continue
            }
            // A loosened ask may have taken the one that follows, or its displayed part.
            guard let following, let now = state.book[following.entry.id], now.stamp == following.entry.stamp else {
                cursor = following == nil ? nil : state.book.first(on: .bid)
                continue
            }
            cursor = following.cursor
        }
        var waiting = Deque(bids.compactMap { state.book[$0] }.sorted { $0.tradesBefore($1) })
        while let bid = waiting.popFirst() {
            guard match(bid.id, stopsWhenRestamped: waiting.first?.price == bid.price), let left = state.book[bid.id] else {
                continue
            }
            waiting.insert(left, at: waiting.firstIndex { left.tradesBefore($0) } ?? waiting.count)
        }
    }

    /// A returned ask, with what does not change while orders are matched.
    private struct ReturnedAsk {
        var entry: OrderBook.Entry
        var versionMask: UInt32
    }

    /// nil when its rig is away, so that it suits nobody.
    private func returnedAsk(_ id: OrderID) -> ReturnedAsk? {
        guard let entry = state.book[id], case .ask(let ask)? = state.orders[id]?.details,
            case .online(_, _, let mask)? = state.rigs.with(ask.rig, { $0.presence })
        else { return nil }
        return ReturnedAsk(entry: entry, versionMask: mask)
    }

    /// A resting bid meets returned asks, best first.
    ///
    /// - Returns: whether better bids may suit an ask now that they passed over before, or the bid other asks
    private mutating func meet(_ bid: OrderBook.Entry, _ asks: inout Deque<ReturnedAsk>, isLastOfLevel: Bool) -> Bool {
        var place = 0
        var now = bid
        // What its pools cannot take they cannot take of any rig.
        var refusedMasks: [UInt32] = []
        while place < asks.count {
            let candidate = asks[place]
            guard candidate.entry.price <= now.price else { return false }
            if OrderBook.Taker(candidate.entry).fill(with: now) == nil || refusedMasks.contains(candidate.versionMask) {
                place += 1
                continue
            }
            guard refresh(place, of: &asks) else { continue }
            switch meet(bid: now.id, ask: candidate.entry.id) {
            case .passed:
                place += 1
                let targets = state.orders[bid.id]?.bid?.targets ?? []
                if state.usable(targets, versionMask: candidate.versionMask).isEmpty { refusedMasks.append(candidate.versionMask) }
            case .loosened:
                _ = refresh(place, of: &asks)
                return true
            case .changed: break
            }
            // An iceberg's next part comes after the others of its price.
            guard let left = state.book[bid.id], left.stamp == bid.stamp || isLastOfLevel else { return false }
            now = left
        }
        return false
    }

    /// Brings one of the asks to what the book has; false when another one is in its place then.
    private func refresh(_ place: Int, of asks: inout Deque<ReturnedAsk>) -> Bool {
        var ask = asks[place]
        guard let entry = state.book[ask.entry.id] else {
            asks.remove(at: place)
            return false
        }
        let keepsPlace = entry.stamp == ask.entry.stamp
        ask.entry = entry
        if keepsPlace {
            asks[place] = ask
        } else {
            // Its next part comes after the others of its price.
            asks.remove(at: place)
            Exchange.insert(ask, &asks)
        }
        return keepsPlace
    }

    private static func insert(_ ask: ReturnedAsk, _ queue: inout Deque<ReturnedAsk>) {
        queue.insert(ask, at: queue.firstIndex { ask.entry.tradesBefore($0.entry) } ?? queue.count)
    }

    /// Matches an order with the other side of the book.
    ///
    /// - Returns: whether it was stopped because the order lost its place to others of its price
    @discardableResult
    mutating func match(_ id: OrderID, stopsWhenRestamped: Bool = false) -> Bool {
        guard state.status.phase == .open, let stamp = state.book[id]?.stamp else { return false }
        // Those on top come first.
        var walking = [Walk(order: id)]
        var isStopped = false
        while let taker = walking.popLast() {
            let stays = stopsWhenRestamped && taker.order == id
            walking += walk(taker, whileStamped: stays ? stamp : nil)
            if stopsWhenRestamped, let now = state.book[id], now.stamp != stamp {
                isStopped = true
                walking.removeAll { $0.order == id }
            }
        }
        return isStopped
    }

    /// An order on its way through the other side.
    private struct Walk {
        var order: OrderID
        /// Whom it does not meet, nor those behind.
        var end: OrderID?
    }

    /// Lets an order meet those of the other side, best first, until nothing more suits it.
    ///
    /// - Parameter stamp: ends when the order has another one; nil: goes on
    /// - Returns: who is to walk next, the last one first: a resting order that was loosened, as far as those go that are ahead
    ///   of this one; then this one again, and then the other with those behind it
    private mutating func walk(_ walk: Walk, whileStamped stamp: Int64?) -> [Walk] {
        let id = walk.order
        guard let entry = state.book[id] else { return [] }
        var taker = OrderBook.Taker(entry)
        while let found = state.book.next(for: &taker), found.maker != walk.end {
            let (bid, ask) = entry.side == .bid ? (id, found.maker) : (found.maker, id)
            let meeting = meet(bid: bid, ask: ask)
            if meeting == .loosened, isLoose(found.maker) {
                return [Walk(order: found.maker), walk, Walk(order: found.maker, end: id)]
            }
            guard let left = state.book[id], left.stamp == stamp ?? left.stamp else { return [] }
            switch meeting {
            case .passed: state.book.skip(found, &taker)
            case .changed: taker.lots = left.lots
            case .loosened: taker = OrderBook.Taker(left)
            }
        }
        return []
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
        /// Whether the rest of the plan cannot be relied on: a bid on the way would take less than it is offered, or an order
        /// on the way is left with a remainder that others were waiting for.
        var isAnyShort = false
        var filled = Lots.zero
        var taken: [OrderID: Lots] = [:]
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
            filled += found.lots
            taken[found.maker, default: .zero] += found.lots
            if filled < entry.lots, leavesRemainder(found, taken[found.maker] ?? .zero, of: order.side) { isAnyShort = true }
            return true
        }
        return fits && !isAnyShort
    }

    /// Whether a fill leaves its maker with less than its minimum, and others beside the taker wait at such a price.
    private func leavesRemainder(_ found: OrderBook.Match, _ taken: Lots, of side: Side) -> Bool {
        guard let maker = state.book[found.maker], let other = state.book.best(side) else { return false }
        let left = maker.lots - taken
        guard left > .zero, left < maker.minimumFill, left + found.lots >= maker.minimumFill else { return false }
        return side == .bid ? other >= maker.price : other <= maker.price
    }

    private func suits(_ order: Order, _ found: OrderBook.Match) -> Bool {
        guard let maker = state.orders[found.maker] else { return false }
        let (bid, ask) = order.side == .bid ? (order, maker) : (maker, order)
        guard let details = ask.ask, let presence = state.rigs.with(details.rig, { $0.presence }) else { return false }
        return state.unsuited(bid, ask, presence, at: time) == nil
    }
}

extension OrderBook.Entry {
    /// Whether it trades before another order of its side: by price, then by stamp.
    fileprivate func tradesBefore(_ other: Self) -> Bool {
        guard price == other.price else {
            switch side {
            case .bid: return price > other.price
            case .ask: return price < other.price
            }
        }
        return stamp < other.stamp
    }
}
