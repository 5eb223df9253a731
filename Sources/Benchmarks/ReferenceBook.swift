public import OrderBook
public import Units

/// The book's rules as plainly as they can be written: two sorted arrays, searched from the front. The real book is compared
/// with it, and shares none of its code.
public struct ReferenceBook: Sendable {
    public typealias Entry = OrderBook.Entry

    /// Best price first, then the lowest stamp.
    private var bids: [Entry] = []
    private var asks: [Entry] = []
    private var lastStamp: Int64 = 0

    public init() {}

    public func orders(_ side: Side) -> [Entry] { side == .bid ? bids : asks }

    public var count: Int { bids.count + asks.count }

    public subscript(id: OrderID) -> Entry? { bids.first { $0.id == id } ?? asks.first { $0.id == id } }

    public func best(_ side: Side) -> Price? { orders(side).first?.price }

    public func bestFixed(_ side: Side) -> Price? { orders(side).first { !$0.isPegged }?.price }

    public func depth(_ side: Side) -> [OrderBook.Depth] {
        var depth: [OrderBook.Depth] = []
        for price in Set(orders(side).map(\.price)).sorted(by: { Self.isBetter($0, $1, side) }) {
            let level = orders(side).filter { $0.price == price }
            depth.append(OrderBook.Depth(price: price, lots: Lots(Self.sum(level)), orders: level.count))
        }
        return depth
    }

    public func position(of id: OrderID) -> OrderBook.QueuePosition? {
        guard let entry = self[id] else { return nil }
        let ahead = orders(entry.side).prefix { $0.id != id }
        return OrderBook.QueuePosition(ordersAhead: ahead.count, lotsAhead: Self.sum(Array(ahead)))
    }

    private static func sum(_ orders: [Entry]) -> Int64 {
        Int64(clamping: orders.reduce(Int128(0)) { $0 + Int128($1.shown.rawValue) })
    }

    static func isBetter(_ a: Price, _ b: Price, _ side: Side) -> Bool { side == .bid ? a > b : a < b }

    // MARK: - Changes one at a time

    public mutating func insert(_ entry: Entry) {
        let place = orders(entry.side).firstIndex {
            Self.isBetter(entry.price, $0.price, entry.side) || $0.price == entry.price && entry.stamp < $0.stamp
        }
        change(entry.side) { $0.insert(entry, at: place ?? $0.count) }
        lastStamp = max(lastStamp, entry.stamp)
    }

    @discardableResult
    public mutating func remove(_ id: OrderID) -> Entry? {
        guard let entry = self[id] else { return nil }
        change(entry.side) { orders in orders.removeAll { $0.id == id } }
        return entry
    }

    public mutating func update(_ id: OrderID, lots: Lots, shown: Lots) {
        guard let side = self[id]?.side else { return }
        change(side) { orders in
            for index in orders.indices where orders[index].id == id {
                orders[index].lots = lots
                orders[index].shown = shown
            }
        }
    }

    private mutating func change(_ side: Side, _ body: (inout [Entry]) -> Void) {
        switch side {
        case .bid: body(&bids)
        case .ask: body(&asks)
        }
    }

    // MARK: - Matching

    /// The first order that an incoming one could trade with among those behind `skipped`.
    public func next(for taker: Entry, behind skipped: Entry? = nil) -> OrderBook.Match? {
        for maker in orders(taker.side.opposite) {
            if Self.isBetter(taker.price, maker.price, maker.side) { return nil }
            if let skipped, !isBehind(maker, skipped) { continue }
            guard let lots = Self.fill(taker, maker) else { continue }
            return OrderBook.Match(
                maker: maker.id, price: maker.price, lots: Lots(lots), isSelfTrade: maker.owner == taker.owner)
        }
        return nil
    }

    private func isBehind(_ order: Entry, _ other: Entry) -> Bool {
        if order.price != other.price { return Self.isBetter(other.price, order.price, order.side) }
        return order.stamp > other.stamp
    }

    /// What is displayed, or with hidden lots what both orders' minimum fills demand; nil where that is more than there is.
    private static func fill(_ taker: Entry, _ maker: Entry) -> Int64? {
        let demanded = [taker, maker].map { min($0.minimumFill.rawValue, $0.lots.rawValue) }.max() ?? 1
        if demanded > min(taker.lots.rawValue, maker.lots.rawValue) { return nil }
        return max(demanded, min(taker.lots.rawValue, maker.shown.rawValue))
    }

    /// Takes a fill out of a resting order.
    public mutating func take(_ lots: Lots, from id: OrderID) {
        guard var maker = remove(id), maker.lots > lots else { return }
        maker.lots -= lots
        maker.shown = Lots(max(0, maker.shown.rawValue - lots.rawValue))
        if maker.shown < maker.minimumFill, maker.shown < maker.lots {
            maker.shown = min(maker.displayed ?? maker.lots, maker.lots)
            maker.stamp = stampAfterAll
        }
        insert(maker)
    }

    private var stampAfterAll: Int64 { lastStamp == .max ? .max : lastStamp + 1 }

    // MARK: - As a market of its own

    public mutating func submit(
        _ entry: Entry, timeInForce: TimeInForce, isPostOnly: Bool, _ listener: inout some BookListener
    ) -> Submitted {
        if let refusal = Self.refusal(entry) { return .refused(refusal) }
        if self[entry.id] != nil { return .refused(.idInUse) }
        if let result = hindrance(entry, timeInForce, isPostOnly) { return result }
        return match(entry, timeInForce, &listener)
    }

    public mutating func replace(
        _ id: OrderID, with entry: Entry, timeInForce: TimeInForce, isPostOnly: Bool, _ listener: inout some BookListener
    ) -> Submitted {
        guard let old = self[id] else { return .refused(.unknownOrder) }
        if let refusal = Self.refusal(entry) { return .refused(refusal) }
        if entry.id != id, self[entry.id] != nil { return .refused(.idInUse) }
        if entry.side != old.side { return .refused(.otherSide) }
        if let result = hindrance(entry, timeInForce, isPostOnly) { return result }
        remove(id)
        return match(entry, timeInForce, &listener)
    }

    public mutating func reduce(_ id: OrderID, to lots: Lots) -> BookRefusal? {
        guard let entry = self[id] else { return .unknownOrder }
        guard lots >= Lots(1), lots <= entry.lots else { return .lotsOutOfRange }
        update(id, lots: lots, shown: min(entry.shown, lots))
        return nil
    }

    public mutating func reduce(_ id: OrderID, by lots: Lots) -> BookRefusal? {
        guard let entry = self[id] else { return .unknownOrder }
        guard lots >= Lots(1), lots < entry.lots else { return .lotsOutOfRange }
        return reduce(id, to: entry.lots - lots)
    }

    public mutating func cancel(_ id: OrderID) -> Bool { remove(id) != nil }

    private static func refusal(_ entry: Entry) -> BookRefusal? {
        if entry.id < OrderID(1) { return .idOutOfRange }
        if entry.lots < Lots(1) { return .lotsOutOfRange }
        if entry.minimumFill < Lots(1) { return .minimumFillOutOfRange }
        guard let displayed = entry.displayed else { return nil }
        if displayed < entry.minimumFill, displayed < entry.lots { return .displayedOutOfRange }
        let parts = (Int128(entry.lots.rawValue) + Int128(displayed.rawValue) - 1) / Int128(displayed.rawValue)
        return parts > Int128(OrderBook.mostParts) ? .displayedOutOfRange : nil
    }

    private func hindrance(_ entry: Entry, _ timeInForce: TimeInForce, _ isPostOnly: Bool) -> Submitted? {
        if isPostOnly, next(for: entry) != nil { return .wouldMatch }
        if timeInForce == .fillOrKill {
            var copy = self, nobody = DeafListener()
            if copy.match(entry, .immediateOrCancel, &nobody) != .filled { return .cannotFill }
        }
        return nil
    }

    private mutating func match(_ entry: Entry, _ timeInForce: TimeInForce, _ listener: inout some BookListener) -> Submitted {
        var taker = entry
        while let match = next(for: taker) {
            if match.isSelfTrade {
                if taker.selfTrade != .cancelIncoming, let maker = remove(match.maker) {
                    listener.cancelled(maker.id, lots: maker.lots)
                }
                if taker.selfTrade == .cancelResting { continue }
                listener.cancelled(taker.id, lots: taker.lots)
                return .cancelled(taker.lots)
            }
            listener.filled(maker: match.maker, taker: taker.id, price: match.price, lots: match.lots)
            take(match.lots, from: match.maker)
            taker.lots -= match.lots
            if taker.lots == Lots(0) { return .filled }
        }
        if timeInForce == .immediateOrCancel || timeInForce == .fillOrKill { return .dropped(taker.lots) }
        taker.shown = min(taker.displayed ?? taker.lots, taker.lots)
        taker.stamp = stampAfterAll
        insert(taker)
        return .rested(taker.lots)
    }
}

private struct DeafListener: BookListener {
    mutating func filled(maker: OrderID, taker: OrderID, price: Price, lots: Lots) {}
    mutating func cancelled(_ id: OrderID, lots: Lots) {}
}
