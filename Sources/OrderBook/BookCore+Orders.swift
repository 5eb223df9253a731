public import Units

/// Orders come, change and go.
extension BookCore {
    /// Puts an order in by price and stamp, behind those of an equal stamp. O(1) for the latest stamp at a price that is in the
    /// book, O(log levels) for a new price, plus the nearer of the orders ahead and behind for an older stamp.
    ///
    /// - Precondition: its id is not in the book
    @inlinable
    mutating func insert(_ entry: OrderBook.Entry, _ parts: Parts, stamp: Int64) {
        if freeSlot < 0 && slotsUsed == slotCapacity { growSlots() }
        let number = allocate(), slot = slots + Int(number)
        let level = level(entry.side, entry.price.rawValue)
        let hasTerms = entry.minimumFill.rawValue != 1 || entry.displayed != nil
        if hasTerms { terms[Int(number)] = SlotTerms(entry) }
        slot.pointee.id = entry.id.rawValue
        slot.pointee.owner = entry.owner.rawValue
        slot.pointee.lots = parts.lots
        slot.pointee.shown = parts.shown
        slot.pointee.stamp = stamp
        slot.pointee.level = level
        slot.pointee.flags = Slot.Flags(entry.selfTrade, isPegged: entry.isPegged, hasTerms: hasTerms)
        slot.pointee.generation &+= 1
        ids.insert(entry.id.rawValue, slot: number)
        count &+= 1
        lastStamp = max(lastStamp, stamp)
        levels[Int(level)].shown &+= Int128(parts.shown)
        levels[Int(level)].orders &+= 1
        levels[Int(level)].fixed &+= entry.isPegged ? 0 : 1
        link(number, level)
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
            linkInside(slot, level)
        }
    }

    /// Orders that return at one time come by stamp: each is near the one before.
    @usableFromInline @inline(never)
    func linkInside(_ slot: Int32, _ level: Int32) {
        let side = sides + Int(levels[Int(level)].side.rawValue)
        let near = side.pointee.inside
        let isNear = near >= 0 && near < slotsUsed && slots[Int(near)].generation == side.pointee.insideGeneration
            && slots[Int(near)].level == level
        let place = lastNotAfter(slots[Int(slot)].stamp, levels[Int(level)], near: isNear ? near : Self.none)
        link(slot, level, behind: place)
        side.pointee.inside = slot
        side.pointee.insideGeneration = slots[Int(slot)].generation
    }

    /// The same as ``lastNotAfter(_:_:_:)``, looking from an order of the level too. O(the nearest of the three)
    private func lastNotAfter(_ stamp: Int64, _ level: Level, near: Int32) -> Int32 {
        var ahead = level.head, behind = level.tail, near = near
        while ahead >= 0, behind >= 0 {
            if slots[Int(ahead)].stamp > stamp { return slots[Int(ahead)].previous }
            if slots[Int(behind)].stamp <= stamp { return behind }
            if near >= 0 {
                let next = slots[Int(near)].next
                if slots[Int(near)].stamp > stamp {
                    near = slots[Int(near)].previous
                } else if next < 0 || slots[Int(next)].stamp > stamp {
                    return near
                } else {
                    near = next
                }
            }
            ahead = slots[Int(ahead)].next
            behind = slots[Int(behind)].previous
        }
        return Self.none
    }

    /// The last order of a level whose stamp is not later; ``none`` if there is none. O(the nearer of the orders ahead and behind)
    @usableFromInline
    static func lastNotAfter(_ stamp: Int64, _ level: Level, _ slots: UnsafeMutablePointer<Slot>) -> Int32 {
        var ahead = level.head, behind = level.tail
        while ahead >= 0, behind >= 0 {
            if slots[Int(ahead)].stamp > stamp { return slots[Int(ahead)].previous }
            if slots[Int(behind)].stamp <= stamp { return behind }
            ahead = slots[Int(ahead)].next
            behind = slots[Int(behind)].previous
        }
        return none
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
