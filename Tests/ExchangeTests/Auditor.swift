import Exchange
import Ledger
import OrderBook
import Settlement
import Units

/// Watches a market's events and state and says what breaks the rules (design, section 4).
///
/// It shares no arithmetic and no matching with the exchange: it looks at all pairs, with plain sums.
struct Auditor {
    private(set) var complaints: [String] = []
    /// The state before the event that comes next.
    var state = MarketState()
    private var beforeHold: MarketState?
    private var deposits: [AccountID: Int64] = [:]
    var moved: [AccountID: Int64] = [:]
    var spent: [OrderID: Int64] = [:]
    var fees: Int64 = 0
    var loss: Int64 = 0
    private var desk = TreasuryDesk()
    var weighted: [BillingKey: (n: Int128, charge: Int64, seller: Int64, buyer: Int64)] = [:]
    private var lastEntry: Int64 = 0
    var credits: Int64 = 0
    var reopenings: Int64 = 0
    /// By delivery, whether it is in the state or not: sums of its lines.
    var billed: [DeliveryID: Billed] = [:]
    var billedBefore: [DeliveryID: Billed] = [:]
    /// The lines of the present command, and how far its deliveries that closed had come.
    var pieces: [DeliveryID: [Piece]] = [:]
    var phases: [DeliveryID: Delivery] = [:]
    var command = Command.advance
    private var tariff: Int64 = 1
    /// Orders that came, or came anew, by this command.
    private var arrived: Set<OrderID> = []
    private(set) var fills = 0
    var lines = 0

    init() { state.trackChanges() }

    mutating func takeChanges() -> StateChanges {
        state.settleHashes()
        return state.takeChanges()
    }

    mutating func check(_ isFine: Bool, _ complaint: @autoclosure () -> String) {
        if !isFine { complaints.append(complaint()) }
    }

    // MARK: - Events

    mutating func see(_ event: Event, at time: Timestamp) {
        switch event {
        case .entryPosted(let entry): see(entry, at: time)
        case .deliveryOpened(let delivery): see(opened: delivery, at: time)
        case .lineSettled(let line): see(line, at: time)
        case .deliveryClosed(let id): see(closed: id)
        case .books(.reopened(let deliveries)): see(deliveries)
        case .books(.periodClosed(let through, _)):
            let isOpen = state.deliveries.values.contains { $0.openedAt < through }
            check(through > state.books.closedThrough && through <= time && !isOpen, "books closed through \(through)")
        case .orderPlaced(let order): see(placed: order)
        case .orderAmended(let order): see(amended: order)
        case .ordersRepriced(let repricings): see(repricings)
        case .orderClosed(let id, .immediateRemainder):
            if let order = state.orders[id], order.instructions.timeInForce == .fillOrKill {
                check(order.delivering == order.lots, "order \(id) was not filled whole")
            }
        case .rulesChanged(let planned):
            check(planned.effectiveAt <= time, "rules of \(planned.effectiveAt) came early")
            if planned.rules.sellerFee != state.rules?.sellerFee || planned.rules.buyerFee != state.rules?.buyerFee {
                tariff += 1
            }
        case .treasury(let event): complaints += desk.see(event, state)
        default: break
        }
        state.evolve(event)
    }

    /// The next command's events come.
    mutating func beginCommand(_ command: Command) {
        arrived = []
        self.command = command
        (billedBefore, pieces, phases) = (billed, [:], [:])
    }

    private mutating func see(placed order: Order) {
        arrived.insert(order.id)
        check(state.status.phase == .open, "order \(order.id) placed while the market is not open")
        let mine = state.orders.values.filter { $0.account == order.account && $0.isAlive }
        check(mine.count < Int(state.rules?.mostOrders ?? 0), "account \(order.account) has too many orders")
        let isTaken = order.clientOrderID != nil && mine.contains { $0.clientOrderID == order.clientOrderID }
        check(!isTaken, "client order id of \(order.id) is taken")
    }

    /// Priority is kept exactly where the rules say so.
    private mutating func see(amended new: Order) {
        guard let old = state.orders[new.id] else { return check(false, "amended order is not there") }
        let isPriceWorse = old.side == .bid ? new.price > old.price : new.price != old.price
        let showsMore = (old.instructions.displayed?.rawValue ?? .max) < (new.instructions.displayed?.rawValue ?? .max)
        let isKept = new.stamp == old.stamp && new.since == old.since
        check(isKept != (isPriceWorse || showsMore || new.lots > old.lots), "order \(new.id) kept its stamp: \(isKept)")
        if !isKept, old.status == .active { arrived.insert(new.id) }
        check(new.delivering == old.delivering && new.unsettled == old.unsettled, "order \(new.id) changed its past")
    }

    /// By order, at prices that follow from fixed-price orders alone, with new stamps.
    private mutating func see(_ repricings: [Repricing]) {
        guard let rules = state.rules else { return }
        var expected: [Repricing] = []
        for order in state.orders.values.sorted(by: { $0.id < $1.id }) where order.isAlive {
            guard order.instructions.peg != nil, let price = Auditor.pegged(order, state, rules), price != order.price else {
                continue
            }
            expected.append(Repricing(
                order: order.id, price: price, stamp: state.counters.stamp + Int64(expected.count)))
        }
        let orders = repricings.compactMap { state.orders[$0.order] }
        let status = state.status
        check(repricings == expected, "repriced \(repricings), not \(expected): \(orders), \(status), tick \(rules.tick)")
    }

    private mutating func see(_ entry: LedgerEntry, at time: Timestamp) {
        check(entry.at == time && entry.valueAt >= state.books.closedThrough && entry.valueAt <= time, "entry \(entry.id) is dated wrong")
        check(entry.kind == .settlement || entry.valueAt == time, "entry \(entry.id) is of another time")
        check(entry.kind.isAskedFor == (entry.by != nil), "entry \(entry.id) was asked for by nobody, or by somebody")
        check(entry.kind != .credit || entry.reason != nil, "credit \(entry.id) has no reason")
        let sum = entry.postings.reduce(Int128(0)) { $0 + Int128($1.amount.rawValue) }
        check(sum == 0, "entry \(entry.id) sums to \(sum)")
        check(entry.id == lastEntry + 1, "entry \(entry.id) is out of sequence")
        check(Set(entry.postings.map(\.account)).count == entry.postings.count, "entry \(entry.id) repeats an account")
        lastEntry = entry.id
        if entry.kind == .hold { beforeHold = state }
        complaints += desk.see(entry)
        guard entry.kind == .deposit else { return }
        for posting in entry.postings {
            if case .available(let account) = posting.account { deposits[account, default: 0] += posting.amount.rawValue }
        }
    }

    private mutating func see(opened delivery: Delivery, at time: Timestamp) {
        fills += 1
        let name = "delivery \(delivery.id)"
        let before = beforeHold ?? state
        beforeHold = nil
        guard let rules = before.rules, let bid = before.orders[delivery.bid], let ask = before.orders[delivery.ask],
            let rig = before.rigs[delivery.rig], let details = ask.ask
        else { return check(false, "\(name) of unknown orders") }
        check(before.status.phase == .open, "\(name) while the market is not open")
        check(bid.account != ask.account, "\(name) is a self-trade")
        check(delivery.buyer == bid.account && delivery.seller == ask.account, "\(name) has other parties")
        check(details.rig == rig.id && rig.owner == ask.account, "\(name) sells another rig")
        check(delivery.terms.price <= bid.price && delivery.terms.price >= ask.price, "\(name) trades through a price")
        check(bid.price <= bid.limit && ask.price >= ask.limit, "\(name) trades through a limit")
        let arriving = bid.since < ask.since ? ask : bid
        check(delivery.terms.price == (bid.since < ask.since ? bid : ask).price, "\(name) is not at the earlier price")
        check(!(arriving.instructions.isPostOnly && arrived.contains(arriving.id)), "\(name) of a post-only order: \(bid), \(ask)")
        check(bid.status == .active && ask.status == .active, "\(name) of orders that are not active")
        check(Auditor.takes(before, bid, rig), "\(name) on pools that cannot take the rig")
        check(delivery.openedAt == time, "\(name) opened at another time")
        check(delivery.tariff == tariff, "\(name) has tariff \(delivery.tariff)")
        check(
            delivery.terms.sellerFee == rules.sellerFee && delivery.terms.buyerFee == rules.buyerFee,
            "\(name) has other fees")
        checkSize(name, before, bid, ask, delivery, rules, time)
        checkPriority(name, before, bid, ask, rules, time)
    }

    /// As many lots as fit and can be paid for; only the fewest for a shorter term.
    private mutating func checkSize(
        _ name: String, _ before: MarketState, _ bid: Order, _ ask: Order, _ delivery: Delivery, _ rules: MarketRules,
        _ time: Timestamp
    ) {
        let (arriving, resting) = bid.since < ask.since ? (ask, bid) : (bid, ask)
        let fewest = Auditor.fewest(bid, ask, rules)
        let most = max(fewest, min(Auditor.open(arriving), Auditor.shown(resting)))
        let lots = delivery.lots.rawValue, funds = Int128(Auditor.funds(before, bid)), price = delivery.terms.price
        check((fewest...max(fewest, most)).contains(lots), "\(name) has \(lots) lots, not \(fewest) to \(most)")
        check(lots <= min(Auditor.open(bid), Auditor.open(ask)), "\(name) overfills an order")
        if let rig = before.rigs[delivery.rig] {
            let sold = before.deliveries.values.filter { $0.rig == rig.id && $0.isRunning }.reduce(lots) { $0 + $1.lots.rawValue }
            check(sold <= rules.lots(in: rig.measured).rawValue, "\(name) sells \(rig.id) over: \(sold)")
        }
        let term = delivery.expiresAt.microseconds - time.microseconds
        guard let longest = Auditor.longest(bid, ask, rules, time) else { return check(false, "\(name) ends too soon") }
        check((rules.shortestTerm.microseconds...longest).contains(term), "\(name) has term \(term)")
        check(delivery.isShortened == (term < longest), "\(name) is shortened or not")
        check(
            Int128(delivery.hold.rawValue) == Auditor.hold(lots, price, Interval(microseconds: term), rules),
            "\(name) holds another amount")
        check(Int128(delivery.hold.rawValue) <= funds, "\(name) is not paid for")
        if lots < most, term == longest {
            let more = Auditor.hold(lots + 1, price, Interval(microseconds: longest), rules)
            check(more > funds, "\(name) could have more lots")
        }
        if term < longest {
            check(lots == fewest, "\(name) is shorter with more lots than needed")
            let longer = Interval(microseconds: min(longest, term + 1_000_000))
            check(Auditor.hold(lots, price, longer, rules) > funds, "\(name) could run longer")
        }
    }

    /// Nobody with a better price, or the same and an earlier stamp, who could trade here was passed by.
    private mutating func checkPriority(
        _ name: String, _ before: MarketState, _ bid: Order, _ ask: Order, _ rules: MarketRules,
        _ time: Timestamp
    ) {
        for other in before.orders.values where other.id != bid.id && other.id != ask.id {
            switch other.side {
            case .bid:
                let isBetter = (other.price, -other.stamp) > (bid.price, -bid.stamp)
                check(!(isBetter && Auditor.canTrade(before, other, ask, rules, time)), "\(name) passed by bid \(other): \(bid), \(ask)")
            case .ask:
                let isBetter = (other.price, other.stamp) < (ask.price, ask.stamp)
                check(!(isBetter && Auditor.canTrade(before, bid, other, rules, time)), "\(name) passed by ask \(other): \(bid), \(ask)")
            }
        }
    }

    // MARK: - State

    /// What must hold between commands.
    mutating func inspect(_ actual: MarketState, at time: Timestamp) {
        check(actual.hash == state.hash, "events do not lead to the state")
        guard let rules = actual.rules else { return }
        inspectMoney(actual)
        inspectOrders(actual, rules, time)
        inspectDeliveries(actual, rules, time)
        inspectBook(actual, rules, time)
    }

    private mutating func inspectMoney(_ s: MarketState) {
        check(s.books.credits == credits && s.books.reopenings == reopenings, "the books count otherwise: \(s.books)")
        check(s.ledgerTotal == 0, "the ledger sums to \(s.ledgerTotal)")
        complaints += desk.complaints(s)
        check(s.balance(.fees).rawValue == fees + desk.booked(.fees), "fees are \(s.balance(.fees))")
        check(s.balance(.loss).rawValue == loss + desk.booked(.loss), "loss is \(s.balance(.loss))")
        check(s.balance(.custody).rawValue == desk.booked(.custody) - deposits.values.reduce(0, +), "custody is \(s.balance(.custody))")
        var held: [AccountID: Int64] = [:]
        for delivery in s.deliveries.values { held[delivery.buyer, default: 0] += delivery.held.rawValue }
        for account in Set(deposits.keys).union(moved.keys).union(held.keys) {
            let free = s.balance(.available(account)).rawValue, set = s.balance(.held(account)).rawValue
            check(free >= 0, "account \(account) has \(free)")
            check(set == held[account] ?? 0, "account \(account) holds \(set), deliveries \(held[account] ?? 0)")
            check(free + set == (deposits[account] ?? 0) + (moved[account] ?? 0) + desk.booked(.available(account)), "account \(account) lost money")
        }
    }

    private mutating func inspectOrders(_ s: MarketState, _ rules: MarketRules, _ time: Timestamp) {
        for order in s.orders.values {
            let name = "order \(order.id)"
            let mine = s.deliveries.values.filter { $0.bid == order.id || $0.ask == order.id }
            let running = mine.filter(\.isRunning).reduce(Int64(0)) { $0 + $1.lots.rawValue }
            check(order.delivering.rawValue == running, "\(name) delivers \(order.delivering), not \(running)")
            check(order.unsettled == Int64(mine.count), "\(name) has \(mine.count) deliveries to settle")
            check(order.isAlive || !mine.isEmpty, "\(name) is not forgotten")
            check(order.lots >= order.delivering, "\(name) delivers more than its lots")
            check(s.deliveries(of: order.id).map(\.id) == mine.map(\.id).sorted(), "\(name) has other deliveries")
            if let bid = order.bid {
                let held = mine.reduce(Int64(0)) { $0 + $1.held.rawValue }
                let isExact = bid.spent.rawValue == spent[order.id] ?? 0
                check(isExact, "\(name) has spent \(bid.spent)")
                check(s.held(by: order.id).rawValue == held, "\(name) holds another sum")
                if let budget = bid.budget {
                    check(bid.spent.rawValue + held <= budget.rawValue, "\(name) is over its budget")
                }
                let least = Auditor.least(order, rules)
                if order.status == .suspended(.insufficientFunds) {
                    check(least > Auditor.funds(s, order), "\(name) could go on")
                }
                if order.isAlive, mine.isEmpty, let budget = bid.budget {
                    check(Int128(bid.spent.rawValue) + least <= Int128(budget.rawValue), "\(name) is spent, but alive")
                }
            }
            if let ask = order.ask, order.isAlive {
                check(s.rigs[ask.rig]?.ask == order.id, "\(name) is not its rig's ask")
                let isOnline = s.rigs[ask.rig]?.isOnline == true
                check(isOnline || order.open == .zero, "\(name) offers a rig that is away")
                check(order.status != .suspended(.rigOffline) || !isOnline, "\(name) waits for a rig that is there")
            }
        }
        for key in s.billings.keys {
            check(s.orders[key.bid] != nil && s.orders[key.ask] != nil, "totals of \(key) are not forgotten")
        }
    }

    private mutating func inspectDeliveries(_ s: MarketState, _ rules: MarketRules, _ time: Timestamp) {
        var sold: [RigID: Int64] = [:]
        for delivery in s.deliveries.values {
            switch delivery.phase {
            case .running:
                sold[delivery.rig, default: 0] += delivery.lots.rawValue
                check(s.deliveries(on: delivery.rig).contains(delivery), "rig \(delivery.rig) does not know its delivery")
                check(delivery.expiresAt > time, "delivery \(delivery.id) is overdue")
                check(s.orders[delivery.bid] != nil && s.orders[delivery.ask] != nil, "delivery of forgotten orders")
                if let ask = s.orders[delivery.ask], let schedule = ask.ask?.schedule, ask.isAlive {
                    check(Auditor.isOpen(schedule, time), "delivery \(delivery.id) runs outside its ask's schedule")
                }
            case .ended(let at, _):
                let isDue = at.microseconds + rules.holdLimit.microseconds <= time.microseconds
                check(!isDue || delivery.held == .zero, "hold is overdue")
                check(at >= delivery.openedAt && at <= delivery.expiresAt, "delivery \(delivery.id) ended outside itself")
            }
            check(delivery.held >= .zero && delivery.held <= delivery.hold, "delivery \(delivery.id) holds too much")
            check(Billed(delivery) == billed[delivery.id] ?? Billed(), "delivery \(delivery.id) is not the sum of its lines")
        }
        for rig in s.rigs.values {
            let running = s.deliveries(on: rig.id)
            check(running.allSatisfy(\.isRunning), "rig \(rig.id) thinks it delivers")
            if let ask = rig.ask.flatMap({ s.orders[$0] }) {
                let mine = running.filter { $0.ask == ask.id }.reduce(Int64(0)) { $0 + $1.lots.rawValue }
                check(mine <= ask.lots.rawValue, "rig \(rig.id) delivers \(mine) of \(ask.lots)")
            }
            if case .offline(let since) = rig.presence, !running.isEmpty {
                check(time.microseconds < since.microseconds + rules.awayLimit.microseconds, "rig \(rig.id) is long away")
            }
        }
        inspectFleets(s, rules, time)
        for account in s.silences.keys { check((s.silences[account] ?? time) > time, "account \(account) is long silent") }
        check(s.status.scheduled.allSatisfy { $0.effectiveAt > time }, "planned rules are overdue")
    }

    /// No rig that was cut is sold or offered, the others of its farm stay below the cap, and nobody waits longer than planned.
    private mutating func inspectFleets(_ s: MarketState, _ rules: MarketRules, _ time: Timestamp) {
        for rig in s.cuts.keys {
            guard let cut = s.cuts[rig] else { continue }
            check(s.rigs[rig]?.farm == cut.farm, "rig \(rig) was cut with another farm")
            check(s.curtailments[cut.farm] != nil, "rig \(rig) is cut for nothing")
            check(cut.returnsAt != nil || s.curtailments[cut.farm]?.isHolding == true, "rig \(rig) never comes back")
            check((cut.returnsAt ?? .distantFuture) > time, "rig \(rig) should be back")
            check(s.deliveries(on: rig).isEmpty, "rig \(rig) is cut and sold")
            if let ask = s.rigs[rig]?.ask { check(s.orders[ask]?.status == .suspended(.curtailed), "rig \(rig) is cut and offered") }
        }
        for order in s.orders.values where order.status == .suspended(.curtailed) {
            check(order.ask.map { s.cuts.contains($0.rig) } ?? false, "order \(order.id) waits for a rig that was not cut")
        }
        for curtailment in s.curtailments.values {
            guard curtailment.isHolding else {
                check(s.cuts.values.contains { $0.farm == curtailment.farm }, "farm \(curtailment.farm) is lifted and whole")
                continue
            }
            check((curtailment.until ?? .distantFuture) > time, "farm \(curtailment.farm) is curtailed too long")
            var sum: Int128 = 0
            for rig in s.rigs.values where rig.farm == curtailment.farm && !s.cuts.contains(rig.id) {
                let sold = s.deliveries(on: rig.id).reduce(Int64(0)) { $0 + $1.hashrate.hashesPerSecond }
                check(max(sold, rig.measured.hashesPerSecond) > 0, "rig \(rig.id) hashes who knows what")
                sum += Int128(max(sold, rig.measured.hashesPerSecond))
            }
            let cap = Int128(curtailment.cap.rawValue) * Int128(rules.lot.hashesPerSecond)
            check(sum <= cap, "farm \(curtailment.farm) hashes \(sum) of \(cap)")
        }
        for login in s.farmLogins.values {
            let rigs = s.rigs.values.filter { $0.user.hasPrefix(login.user + ".") }
            check(rigs.count == s.loginCount(of: login.farm), "farm \(login.farm) does not know its rigs")
            check(rigs.allSatisfy { $0.passwordDigest == login.passwordDigest && $0.fallback == login.fallback }, "other passwords")
        }
    }

    private mutating func inspectBook(_ s: MarketState, _ rules: MarketRules, _ time: Timestamp) {
        var entries = 0
        for side in Side.allCases {
            var cursor = s.book.first(on: side), last: OrderBook.Entry?
            while let here = cursor {
                let entry = s.book[here]
                entries += 1
                let order = s.orders[entry.id]
                check(order?.status == .active, "order \(entry.id) is in the book, but not active")
                check(order.map { $0.lots.rawValue - $0.delivering.rawValue } == entry.lots.rawValue, "book has other lots")
                check(order?.price == entry.price && order?.stamp == entry.stamp, "book has another price or stamp")
                if let last {
                    let isInOrder = side == .bid
                        ? (last.price, -last.stamp) > (entry.price, -entry.stamp)
                        : (last.price, last.stamp) < (entry.price, entry.stamp)
                    check(isInOrder, "order \(entry.id) is out of order")
                }
                last = entry
                cursor = s.book.next(after: here)
            }
        }
        let open = s.orders.values.filter { $0.status == .active && $0.lots > $0.delivering }
        for order in open {
            check(order.instructions.expiresAt ?? .distantFuture > time, "order \(order.id) is past its date")
            if let schedule = order.ask?.schedule {
                check(Auditor.isOpen(schedule, time), "order \(order.id) is open outside its schedule")
            }
            checkShown(order, s.book[order.id])
        }
        guard s.status.phase == .open else { return }
        check(entries == open.count && s.book.count == entries, "book has \(entries) orders, not \(open.count)")
        for bid in open where bid.side == .bid {
            for ask in open where ask.side == .ask {
                check(!Auditor.canTrade(s, bid, ask, rules, time, orSelf: true), "\(bid.id) and \(ask.id) are left unmatched")
            }
        }
    }

    private mutating func checkShown(_ order: Order, _ entry: OrderBook.Entry?) {
        let open = Auditor.open(order), shown = order.shown.rawValue
        check(entry?.shown.rawValue == Auditor.shown(order), "order \(order.id) shows \(order.shown), the book another")
        guard let displayed = order.instructions.displayed else {
            return check(shown == 0, "order \(order.id) is no iceberg")
        }
        let least = min(max(1, order.instructions.minimumFill.rawValue), open)
        check(shown >= least && shown <= min(open, displayed.rawValue), "order \(order.id) shows \(shown) of \(open)")
    }

    // MARK: - Plain arithmetic

    static func open(_ order: Order) -> Int64 { order.lots.rawValue - order.delivering.rawValue }

    static func shown(_ order: Order) -> Int64 {
        order.instructions.displayed == nil ? open(order) : order.shown.rawValue
    }

    /// The fewest lots of a fill.
    static func fewest(_ bid: Order, _ ask: Order, _ rules: MarketRules) -> Int64 {
        let slices = Int128(ask.lots.rawValue) * Int128(rules.smallestSlice.rawValue)
        let part = Int64(slices / 1_000_000 + (slices % 1_000_000 == 0 ? 0 : 1))
        return max(
            min(bid.instructions.minimumFill.rawValue, open(bid)),
            min(max(ask.instructions.minimumFill.rawValue, part), open(ask)))
    }

    /// In microseconds; nil when it is less than the shortest term.
    static func longest(_ bid: Order, _ ask: Order, _ rules: MarketRules, _ time: Timestamp) -> Int64? {
        var ends = [time.microseconds + rules.term.microseconds]
        for order in [bid, ask] { if let expiry = order.instructions.expiresAt { ends.append(expiry.microseconds) } }
        if let schedule = ask.ask?.schedule {
            let minute = time.microseconds / 60_000_000
            for later in 1...1440 where !isOpen(schedule, Timestamp(microseconds: (minute + Int64(later)) * 60_000_000)) {
                ends.append((minute + Int64(later)) * 60_000_000)
                break
            }
        }
        let term = (ends.min() ?? 0) - time.microseconds
        return term < rules.shortestTerm.microseconds ? nil : term
    }

    static func isOpen(_ schedule: DailySchedule, _ time: Timestamp) -> Bool {
        let minute = time.microseconds / 60_000_000 % 1440
        return schedule.windows.contains { window in
            if window.from < window.to { return window.from <= minute && minute < window.to }
            return window.from <= minute || minute < window.to
        }
    }

    /// What a pegged order's price is to be; nil without its reference.
    static func pegged(_ order: Order, _ s: MarketState, _ rules: MarketRules) -> Price? {
        guard let peg = order.instructions.peg else { return nil }
        func fixed(_ side: Side) -> [Int64] {
            s.orders.values.filter { $0.side == side && $0.instructions.peg == nil && $0.status == .active && open($0) > 0 }
                .map(\.price.rawValue)
        }
        let reference: Int64? =
            switch peg.reference {
            case .bestBid: fixed(.bid).max()
            case .bestAsk: fixed(.ask).min()
            case .index: s.status.index?.price.rawValue
            }
        guard let reference else { return nil }
        let limit = Int128(order.limit.rawValue), tick = Int128(rules.tick)
        let low = (Int128(rules.lowestPrice.rawValue) + tick - 1) / tick * tick
        let high = Int128(rules.highestPrice.rawValue) / tick * tick
        var price = max(0, Int128(reference) + Int128(peg.offset))
        switch order.side {
        case .bid:
            price = min(price, high, limit) / tick * tick
            price = min(max(price, low), limit)
        case .ask:
            price = (max(price, low, limit) + tick - 1) / tick * tick
            price = max(min(price, high), limit)
        }
        return Price(Int64(price))
    }

    static func canTrade(
        _ s: MarketState, _ bid: Order, _ ask: Order, _ rules: MarketRules, _ time: Timestamp, orSelf: Bool = false
    ) -> Bool {
        guard bid.status == .active, ask.status == .active, bid.price >= ask.price, let details = ask.ask,
            let rig = s.rigs[details.rig]
        else { return false }
        let fewest = fewest(bid, ask, rules)
        guard open(bid) > 0, open(ask) > 0, fewest <= min(open(bid), open(ask)), takes(s, bid, rig),
            longest(bid, ask, rules, time) != nil
        else { return false }
        if bid.account == ask.account { return orSelf }
        let price = (bid.since < ask.since ? bid : ask).price
        return hold(fewest, price, rules.shortestTerm, rules) <= Int128(funds(s, bid))
    }

    static func takes(_ s: MarketState, _ bid: Order, _ rig: Rig) -> Bool {
        guard case .online(_, _, let mask) = rig.presence, let details = bid.bid else { return false }
        return details.targets.contains { id in
            guard case .verified(let pool)? = s.targets[id]?.status else { return false }
            return pool.extranonce2Size >= 6 && pool.versionMask | mask == pool.versionMask
        }
    }

    /// What a bid can still set aside.
    static func funds(_ s: MarketState, _ bid: Order) -> Int64 {
        let free = s.balance(.available(bid.account)).rawValue
        guard let details = bid.bid, let budget = details.budget else { return free }
        let held = s.deliveries.values.filter { $0.bid == bid.id }.reduce(Int64(0)) { $0 + $1.held.rawValue }
        return min(free, budget.rawValue - details.spent.rawValue - held)
    }

    static func least(_ bid: Order, _ rules: MarketRules) -> Int128 { hold(1, bid.price, rules.shortestTerm, rules) }

    static func hold(_ lots: Int64, _ price: Price, _ term: Interval, _ rules: MarketRules) -> Int128 {
        let hashrate = Hashrate(hashesPerSecond: lots * rules.lot.hashesPerSecond)
        let inTwoShares = Int128(hashrate.hashesPerSecond) * Int128(rules.shareInterval.microseconds) * 2
            / (hashes(rules) * 1_000_000)
        let allowance = Work(units: Int64(max(Int128(rules.minimumDifficulty.units), inTwoShares)) * 20)
        return debit(
            cap(hashrate, term.microseconds, allowance, hashes(rules)),
            Terms(price: price, priceUnit: rules.priceUnit, sellerFee: rules.sellerFee, buyerFee: rules.buyerFee),
            hashes(rules))
    }

    static func cap(_ hashrate: Hashrate, _ microseconds: Int64, _ allowance: Work, _ unit: Int128) -> Int64 {
        let hashes = Int128(hashrate.hashesPerSecond) * Int128(microseconds) * 105
        return Int64(clamping: hashes / (unit * 100 * 1_000_000) + Int128(allowance.units))
    }

    /// Behind a unit of work.
    static func hashes(_ rules: MarketRules?) -> Int128 { rules?.symbol == "SCRYPT" ? 256 : 65_536 }

    /// ceil(charge) + ceil(fee)
    static func debit(_ work: Int64, _ terms: Terms, _ hashes: Int128) -> Int128 {
        let n = Int128(terms.price.rawValue) * Int128(work)
        let whole = Int128(charge(n, terms.priceUnit, hashes))
        let charge = whole + (isWhole(n, terms.priceUnit, hashes) ? 0 : 1)
        let fee = charge * Int128(terms.buyerFee.rawValue)
        return charge + fee / 1_000_000 + (fee % 1_000_000 == 0 ? 0 : 1)
    }

    /// floor(n x hashes / (u x 86400)) in 256 bits, saturated.
    static func charge(_ n: Int128, _ unit: Hashrate, _ hashes: Int128) -> Int64 {
        let divisor = UInt128(unit.hashesPerSecond) * 86_400
        let product = UInt128(n).multipliedFullWidth(by: UInt128(hashes))
        guard product.high < divisor else { return .max }
        return Int64(clamping: divisor.dividingFullWidth((product.high, product.low)).quotient)
    }

    private static func isWhole(_ n: Int128, _ unit: Hashrate, _ hashes: Int128) -> Bool {
        let divisor = UInt128(unit.hashesPerSecond) * 86_400
        let product = UInt128(n).multipliedFullWidth(by: UInt128(hashes))
        guard product.high < divisor else { return true }
        return divisor.dividingFullWidth((product.high, product.low)).remainder == 0
    }
}

extension EntryKind {
    /// Whether a person asked for such an entry, rather than the market's rules or a deposit's import.
    var isAskedFor: Bool {
        switch self {
        case .deposit, .hold, .settlement, .release: false
        case .depositRecorded, .depositApproved, .depositReturned, .withdrawalRequested, .withdrawalPaid, .withdrawalReturned,
            .adjustment, .reversal, .credit:
            true
        }
    }
}
