public import Units

extension OrderBook {
    /// A resting order as the book knows it.
    @frozen
    public struct Entry: Hashable, Sendable {
        public var id: OrderID
        public var owner: AccountID
        public var side: Side
        public var price: Price
        /// Open lots, at least 1.
        public var lots: Lots
        /// Of them displayed now, 0...lots; equals ``lots`` where nothing is hidden.
        public var shown: Lots
        /// An iceberg's lots to display at a time; nil: all.
        public var displayed: Lots?
        /// At least 1. A fill must have this many lots, or all that are left; ``lots`` or more means all or nothing.
        public var minimumFill: Lots
        /// Time priority: lower comes first.
        public var stamp: Int64
        public var selfTrade: SelfTradePrevention
        /// Its price follows other prices: it does not count for ``OrderBook/bestFixed(_:)``.
        public var isPegged: Bool

        @inlinable public init(
            id: OrderID, owner: AccountID, side: Side, price: Price, lots: Lots, shown: Lots? = nil, displayed: Lots? = nil,
            minimumFill: Lots = Lots(1), stamp: Int64, selfTrade: SelfTradePrevention = .cancelIncoming, isPegged: Bool = false
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

        /// Takes a fill out: displayed lots first, then hidden ones. True when lots are left of which too few are displayed
        /// for a further fill: then the displayed part is refreshed, and the order goes to the tail of its level with a new
        /// stamp, which is the caller's to give.
        ///
        /// - Precondition: `fill` is 1...lots
        public mutating func take(_ fill: Lots) -> Bool {
            precondition(fill.rawValue > 0, "a fill has lots")
            precondition(fill <= lots, "a fill has no more lots than the order")
            let after = Parts.after(
                fill.rawValue, of: Parts(lots: lots.rawValue, shown: shown.rawValue),
                displayed: displayed?.rawValue ?? .max, minimumFill: minimumFill.rawValue)
            lots = Lots(after.parts.lots)
            shown = Lots(after.parts.shown)
            return after.isRefreshed
        }
    }
}

/// An order's open lots, and how many of them are displayed.
@frozen @usableFromInline
struct Parts {
    @usableFromInline var lots: Int64
    @usableFromInline var shown: Int64

    @inlinable init(lots: Int64, shown: Int64) {
        self.lots = lots
        self.shown = shown
    }

    /// The iceberg rule: what a fill leaves, and whether the displayed part was refreshed.
    @inlinable @inline(__always)
    static func after(
        _ fill: Int64, of parts: Parts, displayed: Int64, minimumFill: Int64
    ) -> (parts: Parts, isRefreshed: Bool) {
        let left = parts.lots &- fill
        let shown = max(0, parts.shown &- fill)
        if shown >= min(minimumFill, left) { return (Parts(lots: left, shown: shown), false) }
        return (Parts(lots: left, shown: min(displayed, left)), true)
    }

    /// The lots of a fill between a taker and a maker; 0 where their minimum fills cannot both be met.
    @inlinable @inline(__always)
    static func fill(taker: Int64, minimum: Int64, maker: Parts, makerMinimum: Int64) -> Int64 {
        let visible = min(taker, maker.shown)
        let needed = max(min(minimum, taker), min(makerMinimum, maker.lots))
        if visible >= needed { return visible }
        return needed <= min(taker, maker.lots) ? needed : 0
    }
}
