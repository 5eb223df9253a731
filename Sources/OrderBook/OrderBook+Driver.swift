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
        var taker = Taker(entry)
        if isPostOnly || timeInForce == .fillOrKill, let result = hindrance(taker, isPostOnly: isPostOnly, timeInForce) { return result }
        return core.pointee.match(entry, &taker, isImmediate: timeInForce.isImmediate, &listener)
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
        var taker = Taker(entry)
        if isPostOnly || timeInForce == .fillOrKill, let result = hindrance(taker, isPostOnly: isPostOnly, timeInForce) { return result }
        core.pointee.remove(Int32(truncatingIfNeeded: slot), entryAt: position)
        return core.pointee.match(entry, &taker, isImmediate: timeInForce.isImmediate, &listener)
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
    func hindrance(_ taker: Taker, isPostOnly: Bool, _ timeInForce: TimeInForce) -> Submitted? {
        var taker = taker
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

    @inlinable @inline(__always)
    mutating func match(
        _ entry: OrderBook.Entry, _ taker: inout OrderBook.Taker, isImmediate: Bool, _ listener: inout some BookListener
    ) -> Submitted {
        while true {
            let candidate = candidate(for: &taker)
            if candidate.slot < 0 { break }
            let maker = slots[Int(candidate.slot)]
            if maker.owner == taker.owner.rawValue {
                if preventSelfTrade(candidate.slot, taker, &listener) { continue }
                listener.cancelled(taker.id, lots: taker.lots)
                return .cancelled(taker.lots)
            }
            listener.filled(
                maker: OrderID(maker.id), taker: taker.id, price: Price(levels[Int(maker.level)].price), lots: Lots(candidate.fill))
            take(candidate.fill, from: candidate.slot)
            taker.lots = Lots(taker.lots.rawValue &- candidate.fill)
            if taker.lots.rawValue == 0 { return .filled }
        }
        if isImmediate { return .dropped(taker.lots) }
        let parts = Parts(lots: taker.lots.rawValue, shown: min(entry.displayed?.rawValue ?? .max, taker.lots.rawValue))
        insert(Arrival(entry, parts: parts, stamp: stampAfterAll()))
        return .rested(taker.lots)
    }

    /// Cancels the resting order where the incoming one's mode says so; returns whether the incoming order goes on.
    @inlinable @inline(never)
    mutating func preventSelfTrade(
        _ slot: Int32, _ taker: OrderBook.Taker, _ listener: inout some BookListener
    ) -> Bool {
        if taker.selfTrade == .cancelIncoming { return false }
        let maker = slots[Int(slot)]
        remove(slot)
        listener.cancelled(OrderID(maker.id), lots: Lots(maker.lots))
        return taker.selfTrade == .cancelResting
    }
}
