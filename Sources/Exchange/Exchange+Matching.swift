internal import DequeModule
internal import Ledger
internal import OrderBook
internal import Settlement
public import Units

/// Why a bid and an ask whose prices cross do not trade.
public enum PassedOver: String, Hashable, Sendable, CaseIterable {
    /// The rig, or the part of it that is sold at least, is larger than what the bid still wants.
    case rigTooLarge
    /// What the ask still offers is less than the bid's minimum fill.
    case belowMinimumFill
    /// Every verified pool of the bid gives an extranonce2 that the rig's does not fold into.
    case extranonceTooSmall
    /// No verified pool of the bid allows all version bits that the rig rolls.
    case versionMaskTooNarrow
    /// None of the bid's pools is verified.
    case noVerifiedPool
    /// The rig is not connected.
    case rigOffline
    /// One of the orders, or the ask's daily schedule, ends before the shortest term.
    case endsTooSoon
    /// The bid cannot pay for the least that could be sold to it for the shortest term.
    case unaffordable
}

/// Matching by price, then time.
extension Exchange {
    /// What became of two orders that met.
    private enum Meeting {
        /// They do not suit each other; both stay.
        case passed
        /// Something changed: a fill, or an order was closed or suspended.
        case changed
        /// A fill that took all that the bid can pay for.
        case exhausted
    }

    /// Matches orders whose lots came back or whose terms changed: the best bid first, with the best ask.
    ///
    /// Bids that rested beside them take part: a returned ask goes to the best of all bids, not of the returned ones.
    mutating func match(_ returned: Returned) {
        guard state.status.phase == .open, !returned.isEmpty else { return }
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
                match(bid.id, onePart: !isLastOfLevel)
                // An iceberg's next part is met again at the level's tail.
                if let left = state.book[bid.id], left.stamp != bid.stamp { bids.insert(bid.id) }
            } else {
                meet(bid, &asks, isLastOfLevel: isLastOfLevel)
            }
            cursor = following
        }
        var waiting = Deque(bids.compactMap { state.book[$0] }.sorted(by: OrderBook.Entry.tradesBefore))
        while let bid = waiting.popFirst() {
            match(bid.id, onePart: waiting.first?.price == bid.price)
            if let left = state.book[bid.id], left.stamp != bid.stamp { Exchange.insert(left, &waiting) }
        }
        matchRemainders()
    }

    /// A remainder below the minimum fill may fill whole: those that have become one meet the other side again, earliest first.
    mutating func matchRemainders() {
        while let first = remainders.compactMap({ state.book[$0] }).min(by: { $0.stamp < $1.stamp }) {
            remainders.remove(first.id)
            match(first.id)
        }
        remainders.removeAll()
    }

    private static func insert(_ entry: OrderBook.Entry, _ queue: inout Deque<OrderBook.Entry>) {
        queue.insert(entry, at: queue.firstIndex { OrderBook.Entry.tradesBefore(entry, $0) } ?? queue.count)
    }

    /// A resting bid meets returned asks, best first.
    private mutating func meet(_ bid: OrderBook.Entry, _ asks: inout Deque<OrderBook.Entry>, isLastOfLevel: Bool) {
        var place = 0
        while place < asks.count, let now = state.book[bid.id] {
            // An iceberg's next part comes after the others of its price.
            guard now.stamp == bid.stamp || isLastOfLevel else { return }
            guard let ask = state.book[asks[place].id] else {
                asks.remove(at: place)
                continue
            }
            guard ask.stamp == asks[place].stamp else {
                asks.remove(at: place)
                Exchange.insert(ask, &asks)
                continue
            }
            guard ask.price <= now.price else { return }
            let (maker, arriving) = now.stamp < ask.stamp ? (now, ask) : (ask, now)
            guard let lots = OrderBook.Taker(arriving).fill(with: maker) else {
                place += 1
                continue
            }
            switch meet(bid: now.id, ask: ask.id, lots) {
            case .passed: place += 1
            case .exhausted: return
            case .changed: break
            }
        }
    }

    /// Matches an order with the other side of the book.
    ///
    /// - Parameter onePart: when it is an iceberg that rests, only until its displayed part is sold
    mutating func match(_ id: OrderID, onePart: Bool = false) {
        guard state.status.phase == .open, let entry = state.book[id] else { return }
        var taker = OrderBook.Taker(entry)
        while let found = state.book.next(for: &taker) {
            let (bid, ask) = entry.side == .bid ? (id, found.maker) : (found.maker, id)
            switch meet(bid: bid, ask: ask, lots(id, found)) {
            case .passed: state.book.skip(found, &taker)
            case .changed: break
            case .exhausted:
                if entry.side == .bid { return }
                if state.book[found.maker] != nil { state.book.skip(found, &taker) }
            }
            guard let left = state.book[id], !onePart || left.stamp == entry.stamp else { return }
            taker.lots = left.lots
        }
    }

    /// How many lots an order trades with one that it found: the earlier of the two rests and shows only a part.
    private func lots(_ id: OrderID, _ found: OrderBook.Match) -> Lots {
        guard let entry = state.book[id], let other = state.book[found.maker], entry.stamp < other.stamp else { return found.lots }
        return OrderBook.Taker(other).fill(with: entry) ?? found.lots
    }

    /// Fills two orders with each other if they suit.
    ///
    /// - Parameter lots: the most, and allowed by both minimum fills
    private mutating func meet(bid bidID: OrderID, ask askID: OrderID, _ lots: Lots) -> Meeting {
        guard let bid = state.orders[bidID], let ask = state.orders[askID], let details = ask.ask,
            let rig = state.rigs[details.rig], let rules = state.rules, bid.price >= ask.price
        else { return .passed }
        guard state.unsuited(bid, ask, rig, at: time) == nil else { return .passed }
        guard bid.account != ask.account else {
            preventSelfTrade(bid, ask)
            return .changed
        }
        return fill(bid, ask, rig, lots, rules)
    }

    /// The mode is the incoming order's: the one with the later stamp.
    private mutating func preventSelfTrade(_ bid: Order, _ ask: Order) {
        let (arriving, resting) = bid.stamp > ask.stamp ? (bid, ask) : (ask, bid)
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
        guard order.open > .zero else { return false }
        var taker = OrderBook.Taker(state.bookEntry(of: order))
        while let found = state.book.next(for: &taker) {
            if suits(order, found) { return true }
            state.book.skip(found, &taker)
        }
        return false
    }

    /// Whether all of an order could be filled now, for whole terms.
    func canFillWhole(_ order: Order, _ rules: MarketRules) -> Bool {
        guard order.open > .zero else { return false }
        var holds: [OrderID: Satoshis] = [:]
        var spent: [AccountID: Satoshis] = [:]
        /// Whether a bid on the way would take less than it is offered, so that the rest of the plan cannot be relied on.
        var isAnyShort = false
        func pays(_ bid: Order, _ hold: Satoshis?) -> Bool {
            guard let hold else { return false }
            return affords(bid, hold: (holds[bid.id] ?? .zero) + hold)
                && (spent[bid.account] ?? .zero) + hold <= state.balance(.available(bid.account))
        }
        let fits = state.book.canFill(OrderBook.Taker(state.bookEntry(of: order))) { found in
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
        guard let details = ask.ask, let rig = state.rigs[details.rig] else { return false }
        return state.unsuited(bid, ask, rig, at: time) == nil
    }

    // MARK: - Fill

    private mutating func fill(_ bid: Order, _ ask: Order, _ rig: Rig, _ most: Lots, _ rules: MarketRules) -> Meeting {
        let price = bid.stamp < ask.stamp ? bid.price : ask.price
        guard let longest = state.longestTerm(bid, ask, at: time) else { return .passed }
        guard let (offer, term, hold) = affordable(bid, ask, most, price, longest, rules) else {
            // A smaller rig may still be paid for; a bid that can pay for none waits outside the book.
            guard !affords(bid, hold: leastHold(of: bid, rules)) else { return .passed }
            emit(.orderSuspended(bid.id, .insufficientFunds))
            return .changed
        }
        let id = DeliveryID(state.counters.delivery)
        if hold > .zero {
            post(.hold, reference: "delivery:\(id)", [
                Posting(.available(bid.account), -hold), Posting(.held(bid.account), hold),
            ])
        }
        emit(.deliveryOpened(Delivery(
            id: id, bid: bid.id, ask: ask.id, rig: rig.id, buyer: bid.account, seller: ask.account, lots: offer.lots,
            hashrate: offer.hashrate, terms: offer.terms, tariff: state.counters.tariff, openedAt: time,
            expiresAt: time + term, isShortened: term < longest, maxDifficulty: offer.difficulty, allowance: offer.allowance,
            hold: hold, held: hold)))
        for id in [bid.id, ask.id] {
            if let left = state.book[id], left.lots < left.minimumFill, left.lots + offer.lots >= left.minimumFill {
                remainders.insert(id)
            }
        }
        return offer.lots < most ? .exhausted : .changed
    }

    /// What a bid can pay for: all lots for the longest term; else fewer lots; else the fewest for a shorter term.
    private func affordable(
        _ bid: Order, _ ask: Order, _ most: Lots, _ price: Price, _ longest: Interval, _ rules: MarketRules
    ) -> (Offer, Interval, Satoshis)? {
        func payable(_ offer: Offer, _ term: Interval) -> Satoshis? {
            offer.hold(for: term).flatMap { affords(bid, hold: $0) ? $0 : nil }
        }
        let whole = Offer(rules, at: price, most)
        if let hold = payable(whole, longest) { return (whole, longest, hold) }
        let fewest = max(state.fewestLots(of: bid), state.fewestLots(of: ask))
        let least = fewest < most ? Offer(rules, at: price, fewest) : whole
        if fewest < most, payable(least, longest) != nil {
            let lots = Exchange.last(from: fewest.rawValue, below: most.rawValue) {
                payable(Offer(rules, at: price, Lots($0)), longest) != nil
            }
            let offer = Offer(rules, at: price, Lots(lots))
            return payable(offer, longest).map { (offer, longest, $0) }
        }
        guard payable(least, rules.shortestTerm) != nil else { return nil }
        let shortest = Int64(Rounding.up(Int128(rules.shortestTerm.microseconds), by: 1_000_000))
        let end = Int64(Rounding.up(Int128(longest.microseconds), by: 1_000_000))
        let seconds = Exchange.last(from: shortest, below: max(shortest + 1, end)) {
            payable(least, .seconds($0)) != nil
        }
        return payable(least, .seconds(seconds)).map { (least, .seconds(seconds), $0) }
    }

    /// The last number for which a condition holds that holds for `first` and up to some number. O(log)
    private static func last(from first: Int64, below end: Int64, where holds: (Int64) -> Bool) -> Int64 {
        var low = first, high = end
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if holds(middle) { low = middle } else { high = middle }
        }
        return low
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
        emit(.deliveryEnded(delivery.id, at: min(max(at, delivery.openedAt), delivery.expiresAt), cause))
        refreshOffer(of: delivery.ask)
        let atFault: OrderID? =
            switch cause {
            case .underDelivery, .rigAway, .askPaused: delivery.ask
            case .fundsSpent: delivery.bid
            case .term, .bidClosed, .askClosed, .poolsUnusable: nil
            }
        if let order = atFault.flatMap({ state.orders[$0] }), order.isAlive {
            emit(.orderStamped(order.id, stamp: nextStamp()))
        }
        for id in [delivery.bid, delivery.ask] {
            if let order = state.orders[id], order.open > .zero { returned.add(order) }
        }
    }

    /// Why a delivery is over whose time has come.
    func causeOfExpiry(of delivery: Delivery) -> EndCause {
        let end = delivery.expiresAt
        if let expiry = state.orders[delivery.bid]?.instructions.expiresAt, expiry <= end { return .bidClosed }
        if let ask = state.orders[delivery.ask] {
            if let expiry = ask.instructions.expiresAt, expiry <= end { return .askClosed }
            if let schedule = ask.ask?.schedule, !schedule.isOpen(at: end) { return .askPaused }
        }
        return delivery.isShortened ? .fundsSpent : .term
    }

    /// Brings an ask in line with its rig: what it offers, and whether it is in the book. What it delivers stays.
    mutating func refreshOffer(of id: OrderID) {
        guard let ask = state.orders[id], ask.isAlive, let details = ask.ask, let rig = state.rigs[details.rig],
            let rules = state.rules
        else { return }
        let offer = max(ask.delivering, offer(of: details, rig, rules))
        if offer != ask.lots { emit(.askOffered(id, offer)) }
        guard let ask = state.orders[id] else { return }
        let isPriced = state.peggedPrice(of: ask, state.references, rules) != nil
        if let reason = suspension(of: ask, rig, isPriced: isPriced) {
            // A rig that delivers is away for a while before anything changes.
            guard ask.delivering == .zero || reason != .rigOffline else { return }
            if ask.status != .suspended(reason) { emit(.orderSuspended(id, reason)) }
        } else if ask.status != .active {
            emit(.orderResumed(id, stamp: nextStamp()))
        }
    }

    /// Ends what an ask delivers outside its daily schedule, when that closed, and suspends or resumes it.
    mutating func followSchedule(of id: OrderID, since last: Timestamp, _ returned: inout Returned) {
        guard let ask = state.orders[id], ask.isAlive else { return }
        if let schedule = ask.ask?.schedule {
            let closing = schedule.isOpen(at: last) ? schedule.nextChange(after: last) : last
            guard let closing, closing <= time else { return }
            for running in state.deliveries(of: id) where running.isRunning && running.openedAt <= closing {
                end(running, .askPaused, at: closing, &returned)
            }
        }
        refreshOffer(of: id)
        if let order = state.orders[id], order.open > .zero { returned.add(order) }
    }

    /// An account has more funds to use: its bids that waited for money are back in the book, and those that passed
    /// over a rig for want of it meet the asks again.
    mutating func resumeFunded(_ account: AccountID, _ returned: inout Returned) {
        for bid in state.bids(of: account) {
            reviewFunds(of: bid)
            if let bid = state.orders[bid.id], bid.open > .zero { returned.add(bid) }
        }
    }

    mutating func reviewFunds(of bid: Order) {
        if bid.status == .suspended(.insufficientFunds) { revive(bid.id) }
        closeIfSpent(bid.id)
    }

    /// Puts a suspended bid back into the book if nothing keeps it out any more.
    mutating func revive(_ id: OrderID) {
        guard let bid = state.orders[id], let details = bid.bid, case .suspended(let reason) = bid.status,
            let rules = state.rules
        else { return }
        let obstacle: SuspensionReason? =
            if reason == .poolsUnusable, !details.targets.contains(where: { state.isVerified($0) }) {
                .poolsUnusable
            } else if state.peggedPrice(of: bid, state.references, rules) == nil {
                .noReference
            } else {
                affords(bid, hold: leastHold(of: bid, rules)) ? nil : .insufficientFunds
            }
        if let obstacle {
            if obstacle != reason { emit(.orderSuspended(id, obstacle)) }
        } else {
            emit(.orderResumed(id, stamp: nextStamp()))
        }
    }

    private mutating func closeIfSpent(_ id: OrderID) {
        guard let bid = state.orders[id], bid.isAlive, isSpent(bid) else { return }
        emit(.orderClosed(id, .budgetSpent))
    }

    /// Whether a bid's budget pays for nothing more, with nothing left to settle: then it is over.
    func isSpent(_ bid: Order) -> Bool {
        guard bid.unsettled == 0, let details = bid.bid, let budget = details.budget, let rules = state.rules else { return false }
        guard let least = leastHold(of: bid, rules) else { return true }
        return details.spent + least > budget
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

/// So many lots at a price, for a time that is still open.
private struct Offer {
    let lots: Lots
    let hashrate: Hashrate
    let terms: Terms
    let difficulty: ShareDifficulty
    /// Work billed above sold hashrate x time x 1.05 at most: 20 shares of the highest difficulty.
    let allowance: Work

    init(_ rules: MarketRules, at price: Price, _ lots: Lots) {
        self.lots = lots
        hashrate = rules.hashrate(lots)
        terms = rules.terms(at: price)
        difficulty = rules.highestDifficulty(hashrate)
        allowance = Work(units: difficulty.units * 20)
    }

    /// The most that a delivery of such a term can cost; nil when that is more than all the bitcoin there can be.
    func hold(for term: Interval) -> Satoshis? {
        Tariff.mostDebit(for: Tariff.workCap(hashrate, elapsed: term, allowance: allowance), terms: terms)
    }
}

extension MarketState {
    /// Why a bid passes over an ask whose price it crosses; nil when they trade.
    public func passedOver(_ bid: Order, _ ask: Order, _ rig: Rig, at time: Timestamp) -> PassedOver? {
        if let reason = unsuited(bid, ask, rig, at: time) { return reason }
        if fewestLots(of: ask) > bid.open { return .rigTooLarge }
        if fewestLots(of: bid) > ask.open { return .belowMinimumFill }
        return nil
    }

    /// The same, sizes apart.
    func unsuited(_ bid: Order, _ ask: Order, _ rig: Rig, at time: Timestamp) -> PassedOver? {
        guard case .online(_, _, let mask) = rig.presence else { return .rigOffline }
        guard let details = bid.bid else { return .noVerifiedPool }
        if let reason = unusable(details.targets, versionMask: mask) { return reason }
        return longestTerm(bid, ask, at: time) == nil ? .endsTooSoon : nil
    }

    /// The fewest lots that an order may be filled with now.
    func fewestLots(of order: Order) -> Lots {
        let minimum = order.instructions.minimumFill
        guard order.side == .ask, let rules else { return min(minimum, order.open) }
        return min(max(minimum, rules.smallestPart(of: order.lots)), order.open)
    }

    /// How long a delivery of two orders may run from now; nil when that is less than the shortest term.
    func longestTerm(_ bid: Order, _ ask: Order, at time: Timestamp) -> Interval? {
        guard let rules else { return nil }
        var term = rules.term
        if let expiry = bid.instructions.expiresAt { term = min(term, expiry - time) }
        if let expiry = ask.instructions.expiresAt { term = min(term, expiry - time) }
        if let schedule = ask.ask?.schedule {
            guard schedule.isOpen(at: time) else { return nil }
            if let closing = schedule.nextChange(after: time) { term = min(term, closing - time) }
        }
        return term >= rules.shortestTerm ? term : nil
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
