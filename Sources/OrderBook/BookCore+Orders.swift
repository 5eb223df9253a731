public import Units

/// Orders come, change and go.
extension BookCore {
    /// What a new order's slot and terms hold.
    @frozen @usableFromInline
    struct Arrival {
        @usableFromInline var id: Int64
        @usableFromInline var owner: Int64
        @usableFromInline var side: Side
        @usableFromInline var price: Int64
        @usableFromInline var parts: Parts
        @usableFromInline var terms: SlotTerms
        @usableFromInline var stamp: Int64
        @usableFromInline var selfTrade: SelfTradePrevention
        @usableFromInline var isPegged: Bool

        @inlinable init(_ entry: OrderBook.Entry, parts: Parts, stamp: Int64) {
            id = entry.id.rawValue
            owner = entry.owner.rawValue
            side = entry.side
            price = entry.price.rawValue
            self.parts = parts
            terms = SlotTerms(
                minimumFill: entry.minimumFill.rawValue, displayed: entry.displayed?.rawValue ?? .max,
                isIceberg: entry.displayed != nil)
            self.stamp = stamp
            selfTrade = entry.selfTrade
            isPegged = entry.isPegged
        }
    }

    /// Puts an order in by price and stamp, behind those of an equal stamp. O(1) for the latest stamp at a price that is in the
    /// book, O(log levels) for a new price, plus the nearer of the orders ahead and behind for an older stamp.
    ///
    /// - Precondition: its id is not in the book
    @inlinable
    mutating func insert(_ order: Arrival) {
        if freeSlot < 0 && slotsUsed == slotCapacity { growSlots() }
        let level = level(order.side, order.price)
        let slot = allocate()
        let hasTerms = order.terms.minimumFill != 1 || order.terms.isIceberg
        slots[Int(slot)] = Slot(
            id: order.id, owner: order.owner, lots: order.parts.lots, shown: order.parts.shown, stamp: order.stamp, level: level,
            flags: Slot.Flags(order.selfTrade, isPegged: order.isPegged, hasTerms: hasTerms),
            generation: slots[Int(slot)].generation &+ 1)
        if hasTerms { terms[Int(slot)] = order.terms }
        ids.insert(order.id, slot: slot)
        count &+= 1
        lastStamp = max(lastStamp, order.stamp)
        levels[Int(level)].shown &+= Int128(order.parts.shown)
        levels[Int(level)].orders &+= 1
        levels[Int(level)].fixed &+= slots[Int(slot)].flags.fixed
        link(slot, level)
    }

    /// Changes an order's lots; its place stays. O(1)
    @inlinable @inline(__always)
    func update(_ slot: Int32, _ parts: Parts) {
        let level = Int(slots[Int(slot)].level)
        levels[level].shown &+= Int128(parts.shown &- slots[Int(slot)].shown)
        slots[Int(slot)].lots = parts.lots
        slots[Int(slot)].shown = parts.shown
    }

    /// Takes an order out. O(1), O(log levels) when it was the last of its price
    @inlinable
    mutating func remove(_ slot: Int32) {
        guard let position = ids.position(of: slots[Int(slot)].id, in: slots) else {
            preconditionFailure("an order in a slot is in the table of ids")
        }
        remove(slot, entryAt: position)
    }

    @inlinable @inline(__always)
    mutating func remove(_ slot: Int32, entryAt position: Int) {
        let level = slots[Int(slot)].level
        ids.remove(at: position)
        unlink(slot, level)
        levels[Int(level)].shown &-= Int128(slots[Int(slot)].shown)
        levels[Int(level)].orders &-= 1
        levels[Int(level)].fixed &-= slots[Int(slot)].flags.fixed
        slots[Int(slot)].generation &+= 1
        slots[Int(slot)].next = freeSlot
        freeSlot = slot
        count &-= 1
        if levels[Int(level)].orders == 0 { removeLevel(level) }
    }

    /// Takes a fill out of a resting order, which is removed when nothing is left, and goes to the tail of its level with a new
    /// stamp when its displayed part is refreshed.
    @inlinable @inline(__always)
    mutating func take(_ fill: Int64, from slot: Int32) {
        if fill == slots[Int(slot)].lots { return remove(slot) }
        let terms = termsOf(slot)
        let after = Parts.after(fill, of: parts(slot), displayed: terms.displayed, minimumFill: terms.minimumFill)
        update(slot, after.parts)
        if after.isRefreshed { moveToTail(slot) }
    }

    @inlinable
    mutating func moveToTail(_ slot: Int32) {
        let level = slots[Int(slot)].level
        lastStamp = stampAfterAll()
        slots[Int(slot)].stamp = lastStamp
        slots[Int(slot)].generation &+= 2
        if slots[Int(slot)].next < 0 { return }
        unlink(slot, level)
        link(slot, level)
    }

    // MARK: - Slots

    @inlinable @inline(__always)
    mutating func allocate() -> Int32 {
        if freeSlot >= 0 {
            let slot = freeSlot
            freeSlot = slots[Int(slot)].next
            return slot
        }
        let slot = slotsUsed
        slotsUsed &+= 1
        slots[slot].generation = 0
        return Int32(truncatingIfNeeded: slot)
    }

    @usableFromInline
    mutating func growSlots() {
        precondition(slotCapacity < 1 << 30, "a book holds up to 2^30 orders")
        let capacity = slotCapacity * 2
        BookMemory.grow(&slots, count: slotsUsed, to: capacity)
        BookMemory.grow(&terms, count: slotsUsed, to: capacity)
        slotCapacity = capacity
        while ids.mask + 1 < 2 * capacity { ids.grow() }
    }

    // MARK: - A level's list

    @inlinable @inline(__always)
    func link(_ slot: Int32, _ level: Int32) {
        let tail = levels[Int(level)].tail
        if tail < 0 || slots[Int(tail)].stamp <= slots[Int(slot)].stamp {
            link(slot, level, behind: tail)
        } else {
            link(slot, level, behind: lastNotAfter(slots[Int(slot)].stamp, level))
        }
    }

    /// The last order of a level whose stamp is not later; ``none`` if there is none. O(the nearer of the orders ahead and behind)
    @usableFromInline
    func lastNotAfter(_ stamp: Int64, _ level: Int32) -> Int32 {
        var ahead = levels[Int(level)].head, behind = levels[Int(level)].tail
        while ahead >= 0, behind >= 0 {
            if slots[Int(ahead)].stamp > stamp { return slots[Int(ahead)].previous }
            if slots[Int(behind)].stamp <= stamp { return behind }
            ahead = slots[Int(ahead)].next
            behind = slots[Int(behind)].previous
        }
        return Self.none
    }

    @inlinable @inline(__always)
    func link(_ slot: Int32, _ level: Int32, behind previous: Int32) {
        let next = previous < 0 ? levels[Int(level)].head : slots[Int(previous)].next
        slots[Int(slot)].previous = previous
        slots[Int(slot)].next = next
        if previous < 0 { levels[Int(level)].head = slot } else { slots[Int(previous)].next = slot }
        if next < 0 { levels[Int(level)].tail = slot } else { slots[Int(next)].previous = slot }
    }

    @inlinable @inline(__always)
    func unlink(_ slot: Int32, _ level: Int32) {
        let previous = slots[Int(slot)].previous, next = slots[Int(slot)].next
        if previous < 0 { levels[Int(level)].head = next } else { slots[Int(previous)].next = next }
        if next < 0 { levels[Int(level)].tail = previous } else { slots[Int(next)].previous = previous }
    }
}
