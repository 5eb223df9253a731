public import Units

/// The book as a market of its own: orders in, fills out. It gives the stamps.
extension OrderBook {
    /// In how many parts an iceberg may show itself, which bounds the fills of one order.
    public static let mostParts: Int64 = 10_000

    /// Matches an order with those that rest, best price first, then the earliest stamp, and lets what is left rest.
    ///
    /// The entry's stamp and shown lots do not count: the book gives its own. An order that meets its owner's is handled by its own
    /// mode, and a post-only one is refused there too. O(fills + orders passed over), plus that of ``insert(_:)``
    @inlinable
    public mutating func submit(
        _ entry: Entry, timeInForce: TimeInForce, isPostOnly: Bool, _ listener: inout some BookListener
    ) -> Submitted {
        let core = makeUnique()
        if let refusal = OrderBook.check(entry) { return .refused(refusal) }
        if core.pointee.find(entry.id.rawValue) >= 0 { return .refused(.idInUse) }
        if isPostOnly || timeInForce == .fillOrKill, let result = hindrance(entry, isPostOnly: isPostOnly, timeInForce) {
            return result
        }
        return core.pointee.match(entry, isImmediate: timeInForce.isImmediate, &listener)
    }

    /// Puts another order in place of a resting one, as if the one were removed and the other submitted: its priority is new. Where
    /// the other is not taken, the one stays. The new id may be the old one.
    @inlinable
    public mutating func replace(
        _ id: OrderID, with entry: Entry, timeInForce: TimeInForce = .goodTillCancelled, isPostOnly: Bool = false,
        _ listener: inout some BookListener
    ) -> Submitted {
        let core = makeUnique()
        guard let position = core.pointee.ids.position(of: id.rawValue, in: core.pointee.slots) else { return .refused(.unknownOrder) }
        if let refusal = OrderBook.check(entry) { return .refused(refusal) }
        if entry.id != id, core.pointee.find(entry.id.rawValue) >= 0 { return .refused(.idInUse) }
        let slot = core.pointee.ids.slot(core.pointee.ids.entries[position])
        guard core.pointee.levels[Int(core.pointee.slots[slot].level)].side == entry.side else { return .refused(.otherSide) }
        if isPostOnly || timeInForce == .fillOrKill, let result = hindrance(entry, isPostOnly: isPostOnly, timeInForce) {
            return result
        }
        core.pointee.remove(Int32(truncatingIfNeeded: slot), entryAt: position)
        return core.pointee.match(entry, isImmediate: timeInForce.isImmediate, &listener)
    }

    /// Lowers an order's open lots to 1 or more; its place stays. Nil when done. Expected O(1)
    @inlinable
    public mutating func reduce(_ id: OrderID, to lots: Lots) -> BookRefusal? {
        let core = makeUnique()
        let slot = core.pointee.find(id.rawValue)
        if slot < 0 { return .unknownOrder }
        return core.pointee.reduce(slot, to: lots.rawValue)
    }

    /// Lowers an order's open lots by 1 or more, so that at least one is left; its place stays. Nil when done. Expected O(1)
    @inlinable
    public mutating func reduce(_ id: OrderID, by lots: Lots) -> BookRefusal? {
        let core = makeUnique()
        let slot = core.pointee.find(id.rawValue)
        if slot < 0 { return .unknownOrder }
        let open = core.pointee.slots[Int(slot)].lots
        if lots.rawValue < 1 || lots.rawValue >= open { return .lotsOutOfRange }
        return core.pointee.reduce(slot, to: open &- lots.rawValue)
    }

    /// Takes an order out as ``remove(_:)`` does, telling only whether it was there. Expected O(1)
    @inlinable
    public mutating func cancel(_ id: OrderID) -> Bool {
        let core = makeUnique()
        guard let position = core.pointee.ids.position(of: id.rawValue, in: core.pointee.slots) else { return false }
        core.pointee.remove(Int32(truncatingIfNeeded: core.pointee.ids.slot(core.pointee.ids.entries[position])), entryAt: position)
        return true
    }

    @inlinable @inline(__always)
    static func check(_ entry: Entry) -> BookRefusal? {
        if entry.id.rawValue < 1 { return .idOutOfRange }
        if entry.lots.rawValue < 1 { return .lotsOutOfRange }
        if entry.minimumFill.rawValue < 1 { return .minimumFillOutOfRange }
        if let displayed = entry.displayed?.rawValue {
            if displayed < min(entry.minimumFill.rawValue, entry.lots.rawValue) { return .displayedOutOfRange }
            if (entry.lots.rawValue &- 1) / displayed >= mostParts { return .displayedOutOfRange }
        }
        return nil
    }

    /// Why a post-only or a fill-or-kill order is not taken.
    @usableFromInline
    func hindrance(_ entry: Entry, isPostOnly: Bool, _ timeInForce: TimeInForce) -> Submitted? {
        var taker = Taker(entry)
        if isPostOnly, next(for: &taker) != nil { return .wouldMatch }
        if timeInForce == .fillOrKill, !canFill(taker, admits: { _ in true }) { return .cannotFill }
        return nil
    }
}

extension BookCore {
    @inlinable @inline(__always)
    func reduce(_ slot: Int32, to lots: Int64) -> BookRefusal? {
        if lots < 1 || lots > slots[Int(slot)].lots { return .lotsOutOfRange }
        update(slot, Parts(lots: lots, shown: min(slots[Int(slot)].shown, lots)))
        return nil
    }

    /// Matches an order that is taken, and lets what is left rest.
    @inlinable @inline(__always)
    mutating func match(_ entry: OrderBook.Entry, isImmediate: Bool, _ listener: inout some BookListener) -> Submitted {
        let side = entry.side.opposite, threshold = side.key(entry.price.rawValue)
        var left = entry.lots.rawValue
        while true {
            let level = best(side)
            if level < 0 || levels[Int(level)].key < threshold { break }
            let slot = levels[Int(level)].head, maker = slots[Int(slot)]
            if maker.flags.hasTerms || maker.shown != maker.lots || maker.owner == entry.owner.rawValue
                || entry.minimumFill.rawValue != 1
            {
                if let result = matchByAllRules(entry, &left, &listener) { return result }
                break
            }
            let fill = min(left, maker.lots)
            listener.filled(
                maker: OrderID(maker.id), taker: entry.id, price: Price(side.key(levels[Int(level)].key)), lots: Lots(fill))
            if fill == maker.lots { remove(slot) } else { update(slot, Parts(lots: maker.lots &- fill, shown: maker.lots &- fill)) }
            left &-= fill
            if left == 0 { return .filled }
        }
        if isImmediate { return .dropped(Lots(left)) }
        insert(entry, Parts(lots: left, shown: min(entry.displayed?.rawValue ?? .max, left)), stamp: stampAfterAll())
        return .rested(Lots(left))
    }

    /// The same for orders with icebergs, minimum fills and self-trades among them. Nil when lots are left that nobody takes.
    @inlinable @inline(never)
    mutating func matchByAllRules(
        _ entry: OrderBook.Entry, _ left: inout Int64, _ listener: inout some BookListener
    ) -> Submitted? {
        var taker = OrderBook.Taker(entry)
        taker.lots = Lots(left)
        defer { left = taker.lots.rawValue }
        while true {
            let candidate = candidate(for: &taker)
            if candidate.slot < 0 { return nil }
            let maker = slots[Int(candidate.slot)]
            if maker.owner == taker.owner.rawValue {
                if preventSelfTrade(candidate.slot, taker.selfTrade, &listener) { continue }
                listener.cancelled(taker.id, lots: taker.lots)
                return .cancelled(taker.lots)
            }
            listener.filled(
                maker: OrderID(maker.id), taker: taker.id, price: Price(levels[Int(maker.level)].price), lots: Lots(candidate.fill))
            take(candidate.fill, from: candidate.slot)
            taker.lots = Lots(taker.lots.rawValue &- candidate.fill)
            if taker.lots.rawValue == 0 { return .filled }
        }
    }

    /// Cancels the resting order where the incoming one's mode says so; returns whether the incoming order goes on.
    @inlinable @inline(never)
    mutating func preventSelfTrade(
        _ slot: Int32, _ mode: SelfTradePrevention, _ listener: inout some BookListener
    ) -> Bool {
        if mode == .cancelIncoming { return false }
        let maker = slots[Int(slot)]
        remove(slot)
        listener.cancelled(OrderID(maker.id), lots: Lots(maker.lots))
        return mode == .cancelResting
    }
}
