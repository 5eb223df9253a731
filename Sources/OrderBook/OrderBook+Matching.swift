public import Units

/// Finding who trades with whom.
extension OrderBook {
    /// An order that looks for others to trade with, and how far it has come. It need not be in the book itself.
    @frozen
    public struct Taker: Sendable {
        public var id: OrderID
        public var owner: AccountID
        public var side: Side
        public var limit: Price
        /// Lots that it still wants: the caller lowers them with every fill, and never raises them.
        public var lots: Lots
        /// At least 1.
        public var minimumFill: Lots
        public var selfTrade: SelfTradePrevention

        /// The last order that the caller skipped.
        @usableFromInline var skipped = Anchor()
        /// The last order that was passed over, by the caller or for a minimum fill; not ahead of ``skipped``.
        @usableFromInline var passed = Anchor()
        /// Whether the lots are below the minimum fill: then orders that were too small before may do.
        @usableFromInline var isBelowMinimum = false

        @inlinable public init(
            id: OrderID, owner: AccountID, side: Side, limit: Price, lots: Lots, minimumFill: Lots = Lots(1),
            selfTrade: SelfTradePrevention = .cancelIncoming
        ) {
            self.id = id
            self.owner = owner
            self.side = side
            self.limit = limit
            self.lots = lots
            self.minimumFill = minimumFill
            self.selfTrade = selfTrade
        }

        @inlinable public init(_ entry: Entry) {
            self.init(
                id: entry.id, owner: entry.owner, side: entry.side, limit: entry.price, lots: entry.lots,
                minimumFill: entry.minimumFill, selfTrade: entry.selfTrade)
        }

        /// How many lots it trades with a resting order if their prices cross; nil if a minimum fill cannot be met.
        @inlinable public func fill(with maker: Entry) -> Lots? {
            let fill = Parts.fill(
                taker: lots.rawValue, minimum: minimumFill.rawValue,
                maker: Parts(lots: maker.lots.rawValue, shown: maker.shown.rawValue), makerMinimum: maker.minimumFill.rawValue)
            return fill > 0 ? Lots(fill) : nil
        }
    }

    /// An order of the book, found again by slot while it keeps its place, and by price and stamp afterwards.
    @frozen @usableFromInline
    struct Anchor: Sendable {
        /// ``BookCore/none``: no order.
        @usableFromInline var slot = BookCore.none
        @usableFromInline var generation: UInt32 = 0
        @usableFromInline var key: Int64 = 0
        @usableFromInline var stamp: Int64 = 0

        @inlinable init() {}
    }

    /// A resting order that a taker could trade with.
    @frozen
    public struct Match: Hashable, Sendable {
        public var maker: OrderID
        /// The maker's.
        public var price: Price
        public var lots: Lots
        /// Both orders are of one owner: they must not trade.
        public var isSelfTrade: Bool

        @inlinable public init(maker: OrderID, price: Price, lots: Lots, isSelfTrade: Bool) {
            self.maker = maker
            self.price = price
            self.lots = lots
            self.isSelfTrade = isSelfTrade
        }
    }

    /// The next resting order that the taker could trade with, and how much, by price, then by stamp; nil when there is none left.
    ///
    /// The matched order may be taken from, removed, or put back at its level's tail before the next call. Orders are passed over
    /// whose minimum fill or the taker's cannot be met; once the taker's lots are below its own minimum those count again that
    /// come after the last skipped one. O(1) plus the orders newly passed over
    public func next(for taker: inout Taker) -> Match? {
        withCore { core in
            let candidate = core.candidate(for: &taker)
            guard candidate.slot >= 0 else { return nil }
            return core.match(candidate, taker)
        }
    }

    /// Passes over the order of the last match, which keeps its place: it and all that come before it are behind the taker.
    public func skip(_ match: Match, _ taker: inout Taker) {
        withCore { core in
            let slot = core.find(match.maker.rawValue)
            guard slot >= 0 else { return }
            taker.skipped = core.anchor(slot)
            taker.passed = taker.skipped
        }
    }
}

extension BookCore {
    /// A slot, and the lots of a fill; ``none`` and 0 where there is none.
    @frozen @usableFromInline
    struct Candidate {
        @usableFromInline var slot: Int32
        @usableFromInline var fill: Int64

        @inlinable init(slot: Int32, fill: Int64) {
            self.slot = slot
            self.fill = fill
        }
    }

    @inlinable @inline(__always)
    func candidate(for taker: inout OrderBook.Taker) -> Candidate {
        let side = taker.side.opposite
        let threshold = side.key(taker.limit.rawValue)
        let lots = taker.lots.rawValue
        var slot = Self.none
        if taker.minimumFill.rawValue == 1 && taker.passed.slot < 0 {
            slot = first(side)
        } else {
            slot = startOfWalk(&taker)
        }
        while slot >= 0, lots > 0, levels[Int(slots[Int(slot)].level)].key >= threshold {
            let fill = Parts.fill(
                taker: lots, minimum: taker.minimumFill.rawValue, maker: parts(slot), makerMinimum: termsOf(slot).minimumFill)
            if fill > 0 { return Candidate(slot: slot, fill: fill) }
            taker.passed = anchor(slot)
            slot = next(slot)
        }
        return Candidate(slot: Self.none, fill: 0)
    }

    @usableFromInline @inline(never)
    func startOfWalk(_ taker: inout OrderBook.Taker) -> Int32 {
        if taker.lots < taker.minimumFill, !taker.isBelowMinimum {
            taker.isBelowMinimum = true
            taker.passed = taker.skipped
        }
        let anchor = taker.passed
        let side = taker.side.opposite
        if anchor.slot < 0 { return first(side) }
        if anchor.slot < slotsUsed, slots[Int(anchor.slot)].generation == anchor.generation { return next(anchor.slot) }
        return firstAfter(anchor, side)
    }

    /// The first order behind the place that an order had which has left it. O(log levels + orders of the level)
    private func firstAfter(_ anchor: OrderBook.Anchor, _ side: Side) -> Int32 {
        let level = existingLevel(side, anchor.key)
        if level >= 0 {
            let ahead = Self.lastNotAfter(anchor.stamp, levels[Int(level)], slots)
            let next = ahead < 0 ? levels[Int(level)].head : slots[Int(ahead)].next
            if next >= 0 { return next }
        }
        let worse = levelBelow(side, anchor.key)
        return worse < 0 ? Self.none : levels[Int(worse)].head
    }

    @usableFromInline
    func anchor(_ slot: Int32) -> OrderBook.Anchor {
        var anchor = OrderBook.Anchor()
        anchor.slot = slot
        anchor.generation = slots[Int(slot)].generation
        anchor.key = levels[Int(slots[Int(slot)].level)].key
        anchor.stamp = slots[Int(slot)].stamp
        return anchor
    }

    @inlinable @inline(__always)
    func match(_ candidate: Candidate, _ taker: OrderBook.Taker) -> OrderBook.Match {
        let maker = slots[Int(candidate.slot)]
        return OrderBook.Match(
            maker: OrderID(maker.id), price: Price(levels[Int(maker.level)].price), lots: Lots(candidate.fill),
            isSelfTrade: maker.owner == taker.owner.rawValue)
    }
}
