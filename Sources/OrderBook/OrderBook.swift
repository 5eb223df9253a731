public import Units

/// One market's resting orders by price, then by stamp (time priority).
///
/// Whoever drives it decides: the exchange walks with ``next(for:)`` and makes each change itself, because its fills depend on
/// funds and rigs; ``submit(_:timeInForce:isPostOnly:_:)`` does all of it on price, lots and owners alone. The book may be
/// crossed: orders that passed over each other rest on both sides.
///
/// A value: copies are independent, the first change of a copy copies the memory. No operation allocates except where the
/// memory doubles.
@frozen
public struct OrderBook: Sendable {
    @usableFromInline var storage: Storage

    /// - Parameter capacity: orders to have memory for from the start
    public init(reservingCapacity capacity: Int = 0) { storage = Storage(BookCore(reservingCapacity: capacity)) }

    /// Owns the book's memory.
    ///
    /// Unchecked: only a book whose storage is uniquely referenced writes to it (``OrderBook/makeUnique()``), and a book is a value
    /// that one thread changes at a time.
    @usableFromInline
    final class Storage: @unchecked Sendable {
        @usableFromInline let core: UnsafeMutablePointer<BookCore>

        init(_ core: BookCore) {
            self.core = UnsafeMutablePointer.allocate(capacity: 1)
            self.core.initialize(to: core)
        }

        deinit {
            core.pointee.free()
            core.deallocate()
        }
    }

    /// For reading: `storage` stays alive while `body` runs.
    @inlinable @inline(__always)
    func withCore<T>(_ body: (borrowing BookCore) -> T) -> T {
        withExtendedLifetime(storage) { body(storage.core.pointee) }
    }

    @inlinable @inline(__always)
    mutating func makeUnique() -> UnsafeMutablePointer<BookCore> {
        if !isKnownUniquelyReferenced(&storage) { separate() }
        return storage.core
    }

    @usableFromInline @inline(never)
    mutating func separate() { storage = Storage(withCore { $0.copy() }) }
}

// MARK: - Reading

extension OrderBook {
    /// Orders in the book.
    public var count: Int { withCore { $0.count } }

    /// All memory that the book holds, in bytes.
    public var memoryBytes: Int { withCore { $0.bytes } }

    /// The best price on a side: highest bid or lowest ask. O(1)
    public func best(_ side: Side) -> Price? {
        withCore { core in
            let level = core.best(side)
            return level < 0 ? nil : Price(core.levels[Int(level)].price)
        }
    }

    /// The best price on a side with an order that is not pegged. O(better levels that have pegged orders only)
    public func bestFixed(_ side: Side) -> Price? {
        withCore { core in
            var level = core.best(side)
            while level >= 0, core.levels[Int(level)].fixed == 0 { level = core.levels[Int(level)].worse }
            return level < 0 ? nil : Price(core.levels[Int(level)].price)
        }
    }

    /// Expected O(1)
    public subscript(id: OrderID) -> Entry? {
        withCore { core in
            let slot = core.find(id.rawValue)
            return slot < 0 ? nil : core.entry(slot)
        }
    }

    /// The sum of a price level.
    @frozen
    public struct Depth: Hashable, Sendable {
        public var price: Price
        /// Displayed lots, at most `Int64.max`.
        public var lots: Lots
        public var orders: Int

        @inlinable public init(price: Price, lots: Lots, orders: Int) {
            self.price = price
            self.lots = lots
            self.orders = orders
        }
    }

    /// Up to `limit` levels of a side, best first. O(limit)
    public func depth(_ side: Side, limit: Int) -> [Depth] {
        withCore { core in
            var depth: [Depth] = []
            var number = core.best(side)
            while number >= 0, depth.count < limit {
                let level = core.levels[Int(number)]
                depth.append(Depth(price: Price(level.price), lots: Lots(Int64(clamping: level.shown)), orders: Int(level.orders)))
                number = level.worse
            }
            return depth
        }
    }

    /// What trades before an order.
    @frozen
    public struct QueuePosition: Hashable, Sendable {
        public var ordersAhead: Int
        /// Displayed lots at better prices and ahead in the level, at most `Int64.max`.
        public var lotsAhead: Int64

        @inlinable public init(ordersAhead: Int, lotsAhead: Int64) {
            self.ordersAhead = ordersAhead
            self.lotsAhead = lotsAhead
        }
    }

    /// An order's place in its side's queue; nil if it is not in the book. O(better levels), plus the nearer of the orders ahead
    /// of it and behind it in its level
    public func position(of id: OrderID) -> QueuePosition? {
        withCore { core in
            let slot = core.find(id.rawValue)
            guard slot >= 0 else { return nil }
            var (orders, lots) = core.aheadInLevel(slot)
            var better = core.levels[Int(core.slots[Int(slot)].level)].better
            while better >= 0 {
                orders += Int(core.levels[Int(better)].orders)
                lots += core.levels[Int(better)].shown
                better = core.levels[Int(better)].better
            }
            return QueuePosition(ordersAhead: orders, lotsAhead: Int64(clamping: lots))
        }
    }

    // MARK: - Walking

    /// A place in the book; valid until its order is removed or loses its place.
    @frozen
    public struct Cursor: Hashable, Sendable {
        @usableFromInline var slot: Int32

        @inlinable init(slot: Int32) { self.slot = slot }
    }

    /// The order that trades first on a side. O(1)
    public func first(on side: Side) -> Cursor? {
        withCore { core in
            let slot = core.first(side)
            return slot < 0 ? nil : Cursor(slot: slot)
        }
    }

    /// The order that trades after the one at `cursor`. O(1)
    public func next(after cursor: Cursor) -> Cursor? {
        withCore { core in
            let slot = core.next(cursor.slot)
            return slot < 0 ? nil : Cursor(slot: slot)
        }
    }

    public subscript(cursor: Cursor) -> Entry { withCore { $0.entry(cursor.slot) } }
}

extension BookCore {
    @usableFromInline
    func entry(_ slot: Int32) -> OrderBook.Entry {
        let order = slots[Int(slot)], level = levels[Int(order.level)], terms = termsOf(slot)
        return OrderBook.Entry(
            id: OrderID(order.id), owner: AccountID(order.owner), side: level.side, price: Price(level.price), lots: Lots(order.lots),
            shown: Lots(order.shown), displayed: terms.isIceberg ? Lots(terms.displayed) : nil,
            minimumFill: Lots(terms.minimumFill), stamp: order.stamp, selfTrade: order.flags.selfTrade, isPegged: order.flags.isPegged)
    }

    /// Orders and displayed lots ahead of an order in its level, counted from whichever end of the list comes first.
    fileprivate func aheadInLevel(_ slot: Int32) -> (orders: Int, lots: Int128) {
        let level = levels[Int(slots[Int(slot)].level)]
        var ahead = slots[Int(slot)].previous, behind = slots[Int(slot)].next
        var lotsAhead: Int128 = 0, lotsBehind: Int128 = 0, steps = 0
        while ahead >= 0, behind >= 0 {
            lotsAhead += Int128(slots[Int(ahead)].shown)
            lotsBehind += Int128(slots[Int(behind)].shown)
            ahead = slots[Int(ahead)].previous
            behind = slots[Int(behind)].next
            steps += 1
        }
        if ahead < 0 { return (steps, lotsAhead) }
        return (Int(level.orders) - steps - 1, level.shown - lotsBehind - Int128(slots[Int(slot)].shown))
    }
}
