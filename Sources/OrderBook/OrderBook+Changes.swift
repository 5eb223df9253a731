public import Units

/// Changes one at a time, for whoever decides on fills by itself.
extension OrderBook {
    /// Puts an order in by price, then by stamp, behind those of an equal stamp. O(1) for the latest stamp at a price that is in
    /// the book, O(log levels) for a new price, plus the nearer of the orders ahead and behind for an older stamp.
    ///
    /// - Precondition: its id is not in the book; its lots, minimum fill and displayed lots are positive, its shown lots 0...lots
    public mutating func insert(_ entry: Entry) {
        let core = makeUnique()
        precondition(core.pointee.find(entry.id.rawValue) < 0, "order is in the book already")
        precondition(entry.minimumFill.rawValue > 0, "a fill has lots")
        precondition((entry.displayed?.rawValue ?? 1) > 0, "an iceberg displays lots")
        let parts = Parts(lots: entry.lots.rawValue, shown: entry.shown.rawValue)
        OrderBook.check(parts)
        core.pointee.insert(entry, parts, stamp: entry.stamp)
    }

    /// Changes an order's open lots and how many of them are displayed; its place stays. Expected O(1)
    ///
    /// - Precondition: the order is in the book, `lots` is positive, `shown` is 0...lots
    public mutating func update(_ id: OrderID, lots: Lots, shown: Lots) {
        let core = makeUnique()
        let slot = core.pointee.find(id.rawValue)
        precondition(slot >= 0, "order is not in the book")
        let parts = Parts(lots: lots.rawValue, shown: shown.rawValue)
        OrderBook.check(parts)
        core.pointee.update(slot, parts)
    }

    /// Changes an order's open lots; where nothing is hidden all are displayed, else no more than before. Its place stays.
    ///
    /// - Precondition: the order is in the book, `lots` is positive
    public mutating func setLots(_ id: OrderID, _ lots: Lots) {
        guard let entry = self[id] else { preconditionFailure("order is not in the book") }
        update(id, lots: lots, shown: entry.shown == entry.lots && entry.displayed == nil ? lots : min(entry.shown, lots))
    }

    /// Takes an order out; nil if it is not in the book. Expected O(1), O(log levels) when it was the last of its price
    @discardableResult
    public mutating func remove(_ id: OrderID) -> Entry? {
        let core = makeUnique()
        guard let position = core.pointee.ids.position(of: id.rawValue, in: core.pointee.slots) else { return nil }
        let slot = Int32(core.pointee.ids.slot(core.pointee.ids.entries[position]))
        let entry = core.pointee.entry(slot)
        core.pointee.remove(slot, entryAt: position)
        return entry
    }

    private static func check(_ parts: Parts) {
        precondition(parts.lots > 0, "an order in the book has open lots")
        precondition(parts.shown >= 0, "an order displays no negative lots")
        precondition(parts.shown <= parts.lots, "an order displays no more lots than it has")
    }
}
