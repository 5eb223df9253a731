public import Units

/// Which side of the market an order is on.
public enum Side: UInt8, Sendable, CaseIterable {
    /// Buys hashrate.
    case bid = 0
    /// Sells hashrate.
    case ask = 1

    @inlinable public var opposite: Side { self == .bid ? .ask : .bid }
}

/// One market's resting orders by price, then by stamp (time priority).
///
/// The book only orders what it is given and does not decide who trades with whom: the exchange walks it from
/// the best order on with ``first(on:)`` and ``next(after:)``. It may be crossed: a bid whose pools cannot take a
/// rig, or a rig too large for what a bid still wants, leaves both resting.
///
/// Orders live in preallocated slots linked by index; levels are sorted with the best price last.
public struct OrderBook: Sendable {
    /// A resting order as the book knows it.
    public struct Entry: Hashable, Sendable {
        public var id: OrderID
        public var owner: AccountID
        public var side: Side
        public var price: Price
        /// Open lots, at least 1.
        public var lots: Lots
        public var shown: Lots
        public var displayed: Lots?
        public var minimumFill: Lots
        /// Time priority: lower comes first.
        public var stamp: Int64
        public var selfTrade: SelfTradePrevention
        public var isPegged: Bool

        public init(
            id: OrderID, owner: AccountID, side: Side, price: Price, lots: Lots, shown: Lots? = nil,
            displayed: Lots? = nil, minimumFill: Lots = Lots(1), stamp: Int64,
            selfTrade: SelfTradePrevention = .cancelIncoming, isPegged: Bool = false
        ) {
            self.id = id
            self.owner = owner
            self.side = side
            self.price = price
            self.lots = lots
            self.shown = shown ?? lots
            self.displayed = displayed
            self.minimumFill = minimumFill
            self.stamp = stamp
            self.selfTrade = selfTrade
            self.isPegged = isPegged
        }
    }

    /// The sum of a price level.
    public struct Depth: Hashable, Sendable {
        public var price: Price
        public var lots: Lots
        public var orders: Int

        public init(price: Price, lots: Lots, orders: Int) {
            self.price = price
            self.lots = lots
            self.orders = orders
        }
    }

    /// A place in the book; valid until its order is removed.
    public struct Cursor: Hashable, Sendable {
        fileprivate var slot: Int32
    }

    private struct Slot {
        var entry: Entry
        var previous: Int32
        var next: Int32
    }

    private struct Level {
        var price: Price
        var head: Int32
        var tail: Int32
        var lots: Lots
        var orders: Int
    }

    private static let none: Int32 = -1

    private var slots: ContiguousArray<Slot> = []
    private var free: ContiguousArray<Int32> = []
    private var bids: ContiguousArray<Level> = []
    private var asks: ContiguousArray<Level> = []
    private var index: [OrderID: Int32] = [:]

    public init(reservingCapacity capacity: Int = 0) {
        slots.reserveCapacity(capacity)
        index.reserveCapacity(capacity)
    }

    public var count: Int { index.count }

    /// The best price on a side: highest bid or lowest ask. O(1)
    public func best(_ side: Side) -> Price? { levels(side).last?.price }

    /// Up to `limit` levels of a side, best first. O(limit)
    public func depth(_ side: Side, limit: Int) -> [Depth] {
        levels(side).suffix(max(0, limit)).reversed().map { Depth(price: $0.price, lots: $0.lots, orders: $0.orders) }
    }

    /// O(1)
    public subscript(id: OrderID) -> Entry? { index[id].map { slots[Int($0)].entry } }

    /// The order that trades first on a side. O(1)
    public func first(on side: Side) -> Cursor? { levels(side).last.map { Cursor(slot: $0.head) } }

    public subscript(cursor: Cursor) -> Entry { slots[Int(cursor.slot)].entry }

    /// The order that trades after the one at `cursor`. O(1) within a level, O(log levels) between levels
    public func next(after cursor: Cursor) -> Cursor? {
        let slot = slots[Int(cursor.slot)]
        if slot.next != OrderBook.none { return Cursor(slot: slot.next) }
        let position = find(slot.entry.price, slot.entry.side).position
        return position == 0 ? nil : Cursor(slot: levels(slot.entry.side)[position - 1].head)
    }

    /// Puts an order in by price and stamp. O(log levels), plus the later-stamped orders of its level.
    ///
    /// - Precondition: its id is not in the book and its lots are positive
    public mutating func insert(_ entry: Entry) {
        precondition(index[entry.id] == nil, "order is in the book already")
        precondition(entry.lots > .zero, "an order in the book has open lots")
        let slot = allocate(entry)
        index[entry.id] = slot
        let (position, exists) = find(entry.price, entry.side)
        if exists {
            link(slot, at: position)
        } else {
            let level = Level(price: entry.price, head: slot, tail: slot, lots: entry.lots, orders: 1)
            withLevels(entry.side) { $0.insert(level, at: position) }
        }
    }

    /// Changes an order's open lots; its place stays. O(log levels)
    ///
    /// - Precondition: the order is in the book, `lots` is positive
    public mutating func setLots(_ id: OrderID, _ lots: Lots) {
        guard let slot = index[id] else { preconditionFailure("order is not in the book") }
        precondition(lots > .zero, "an order in the book has open lots")
        let entry = slots[Int(slot)].entry
        let position = find(entry.price, entry.side).position
        withLevels(entry.side) { $0[position].lots += lots - entry.lots }
        slots[Int(slot)].entry.lots = lots
        slots[Int(slot)].entry.shown = min(lots, max(entry.shown, entry.displayed ?? lots))
    }

    /// Takes an order out; nil if it is not in the book. O(log levels), O(levels) when its level empties
    @discardableResult
    public mutating func remove(_ id: OrderID) -> Entry? {
        guard let slot = index.removeValue(forKey: id) else { return nil }
        let entry = slots[Int(slot)].entry
        unlink(slot)
        free.append(slot)
        return entry
    }

    public mutating func update(_ id: OrderID, lots: Lots, shown: Lots) {
        setLots(id, lots)
        if let slot = index[id] { slots[Int(slot)].entry.shown = shown }
    }

    public func bestFixed(_ side: Side) -> Price? {
        var cursor = first(on: side)
        while let here = cursor {
            if !self[here].isPegged { return self[here].price }
            cursor = next(after: here)
        }
        return nil
    }

    public struct QueuePosition: Hashable, Sendable {
        public var ordersAhead: Int
        public var lotsAhead: Int64
    }

    public func position(of id: OrderID) -> QueuePosition? {
        guard let entry = self[id] else { return nil }
        var result = QueuePosition(ordersAhead: 0, lotsAhead: 0)
        var cursor = first(on: entry.side)
        while let here = cursor, self[here].id != id {
            result.ordersAhead += 1
            result.lotsAhead += self[here].shown.rawValue
            cursor = next(after: here)
        }
        return result
    }

    public struct Taker: Sendable {
        public var id: OrderID
        public var owner: AccountID
        public var side: Side
        public var limit: Price
        public var lots: Lots
        public var minimumFill: Lots
        public var selfTrade: SelfTradePrevention
        fileprivate var skipped: Set<OrderID> = []

        public init(_ entry: Entry) {
            id = entry.id
            owner = entry.owner
            side = entry.side
            limit = entry.price
            lots = entry.lots
            minimumFill = entry.minimumFill
            selfTrade = entry.selfTrade
        }

        public func fill(with maker: Entry) -> Lots? {
            let needed = max(min(minimumFill, lots), min(maker.minimumFill, maker.lots))
            let fill = max(needed, min(lots, maker.shown))
            return fill > .zero && fill <= min(lots, maker.lots) ? fill : nil
        }
    }

    public struct Match: Hashable, Sendable {
        public var maker: OrderID
        public var price: Price
        public var lots: Lots
        public var isSelfTrade: Bool
    }

    public func next(for taker: inout Taker) -> Match? {
        var cursor = first(on: taker.side.opposite)
        while let here = cursor {
            let maker = self[here]
            guard taker.side == .bid ? maker.price <= taker.limit : maker.price >= taker.limit else { return nil }
            if !taker.skipped.contains(maker.id), let lots = taker.fill(with: maker) {
                return Match(maker: maker.id, price: maker.price, lots: lots, isSelfTrade: maker.owner == taker.owner)
            }
            cursor = next(after: here)
        }
        return nil
    }

    public func skip(_ match: Match, _ taker: inout Taker) { taker.skipped.insert(match.maker) }

    public func canFill(_ taker: Taker, admits: (Match) -> Bool) -> Bool {
        var book = self, taker = taker, stamp = Int64.max / 2
        while taker.lots > .zero, let match = book.next(for: &taker) {
            guard var maker = book[match.maker] else { return false }
            if match.isSelfTrade {
                if taker.selfTrade != .cancelResting { return false }
                book.remove(maker.id)
                continue
            }
            guard admits(match) else { book.skip(match, &taker); continue }
            taker.lots -= match.lots
            book.remove(maker.id)
            maker.lots -= match.lots
            maker.shown = max(.zero, maker.shown - match.lots)
            guard maker.lots > .zero else { continue }
            if maker.shown < min(maker.minimumFill, maker.lots) || maker.shown == .zero {
                maker.shown = min(maker.displayed ?? maker.lots, maker.lots)
                maker.stamp = stamp
                stamp += 1
            }
            book.insert(maker)
        }
        return taker.lots == .zero
    }

    // MARK: - Storage

    private func levels(_ side: Side) -> ContiguousArray<Level> {
        switch side {
        case .bid: bids
        case .ask: asks
        }
    }

    private mutating func withLevels<T>(_ side: Side, _ body: (inout ContiguousArray<Level>) -> T) -> T {
        switch side {
        case .bid: body(&bids)
        case .ask: body(&asks)
        }
    }

    private mutating func allocate(_ entry: Entry) -> Int32 {
        let slot = Slot(entry: entry, previous: OrderBook.none, next: OrderBook.none)
        if let reused = free.popLast() {
            slots[Int(reused)] = slot
            return reused
        }
        slots.append(slot)
        return Int32(slots.count - 1)
    }

    /// Where the level of `price` is, or would be: levels are sorted worst first.
    private func find(_ price: Price, _ side: Side) -> (position: Int, exists: Bool) {
        let all = levels(side)
        var low = 0, high = all.count
        while low < high {
            let middle = (low + high) / 2
            let isWorse = side == .bid ? all[middle].price < price : all[middle].price > price
            if isWorse { low = middle + 1 } else { high = middle }
        }
        return (low, low < all.count && all[low].price == price)
    }

    /// Links a slot into its level behind the last order with an earlier stamp.
    private mutating func link(_ slot: Int32, at position: Int) {
        let entry = slots[Int(slot)].entry
        var level = levels(entry.side)[position]
        var before = level.tail
        while before != OrderBook.none, slots[Int(before)].entry.stamp > entry.stamp {
            before = slots[Int(before)].previous
        }
        let after = before == OrderBook.none ? level.head : slots[Int(before)].next
        slots[Int(slot)].previous = before
        slots[Int(slot)].next = after
        if before == OrderBook.none { level.head = slot } else { slots[Int(before)].next = slot }
        if after == OrderBook.none { level.tail = slot } else { slots[Int(after)].previous = slot }
        level.lots += entry.lots
        level.orders += 1
        withLevels(entry.side) { $0[position] = level }
    }

    private mutating func unlink(_ slot: Int32) {
        let removed = slots[Int(slot)]
        let position = find(removed.entry.price, removed.entry.side).position
        var level = levels(removed.entry.side)[position]
        if removed.previous == OrderBook.none { level.head = removed.next } else {
            slots[Int(removed.previous)].next = removed.next
        }
        if removed.next == OrderBook.none { level.tail = removed.previous } else {
            slots[Int(removed.next)].previous = removed.previous
        }
        level.lots -= removed.entry.lots
        level.orders -= 1
        withLevels(removed.entry.side) {
            if level.orders == 0 { $0.remove(at: position) } else { $0[position] = level }
        }
    }
}
