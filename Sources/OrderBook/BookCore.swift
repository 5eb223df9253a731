/// The book in memory: slots for orders, levels, the table of ids. Trivial: ``OrderBook/Storage`` owns what it points to.
///
/// Slots and levels are known by number, -1 is ``none``. Nothing here allocates except where a table doubles.
@frozen @usableFromInline
struct BookCore {
    @inlinable static var none: Int32 { -1 }

    @usableFromInline var slots: UnsafeMutablePointer<Slot>
    /// Beside the slots; counts where the slot's flags say so.
    @usableFromInline var terms: UnsafeMutablePointer<SlotTerms>
    @usableFromInline var slotCapacity: Int
    /// Slots from here on were never used.
    @usableFromInline var slotsUsed = 0
    @usableFromInline var freeSlot = BookCore.none
    /// Orders in the book.
    @usableFromInline var count = 0

    @usableFromInline var ids: IDTable

    @usableFromInline var levels: UnsafeMutablePointer<Level>
    @usableFromInline var levelCapacity: Int
    @usableFromInline var levelsUsed = 0
    @usableFromInline var freeLevel = BookCore.none

    /// Price to level: what was last found at the price's place. Not to be believed before it is compared.
    @usableFromInline var hints: UnsafeMutablePointer<Int32>
    @usableFromInline var hintBits: Int

    /// Two, by the side's raw value.
    @usableFromInline var sides: UnsafeMutablePointer<SideState>
    /// The highest stamp so far.
    @usableFromInline var lastStamp: Int64 = 0

    @usableFromInline
    struct SideState {
        @usableFromInline var best: Int32
        @usableFromInline var index: LevelIndex
        /// The slot that last went between others of its level; not to be believed before its generation is compared.
        var inside = BookCore.none
        var insideGeneration: UInt32 = 0

        init(best: Int32, index: LevelIndex) {
            self.best = best
            self.index = index
        }
    }

    static let firstLevels = 32

    @usableFromInline
    init(reservingCapacity capacity: Int) {
        slotCapacity = min(max(16, capacity), 1 << 30)
        slots = BookMemory.allocate(Slot.self, slotCapacity)
        terms = BookMemory.allocate(SlotTerms.self, slotCapacity)
        ids = IDTable(bits: (2 * slotCapacity - 1).bitWidth - (2 * slotCapacity - 1).leadingZeroBitCount)
        levelCapacity = Self.firstLevels
        levels = BookMemory.allocate(Level.self, levelCapacity)
        hintBits = Self.hintBits(levelCapacity)
        hints = Self.emptyHints(hintBits)
        sides = UnsafeMutablePointer.allocate(capacity: 2)
        for side in 0..<2 { (sides + side).initialize(to: SideState(best: Self.none, index: LevelIndex())) }
    }

    /// Memory of its own with the same contents. O(capacity)
    @usableFromInline
    func copy() -> BookCore {
        var copy = self
        copy.slots = BookMemory.copy(slots, count: slotsUsed, capacity: slotCapacity)
        copy.terms = BookMemory.copy(terms, count: slotsUsed, capacity: slotCapacity)
        copy.ids = ids.copy()
        copy.levels = BookMemory.copy(levels, count: levelsUsed, capacity: levelCapacity)
        copy.hints = BookMemory.copy(hints, count: 1 << hintBits, capacity: 1 << hintBits)
        copy.sides = UnsafeMutablePointer.allocate(capacity: 2)
        for side in 0..<2 {
            (copy.sides + side).initialize(to: SideState(best: sides[side].best, index: sides[side].index.copy()))
        }
        return copy
    }

    @usableFromInline
    func free() {
        slots.deallocate()
        terms.deallocate()
        ids.free()
        levels.deallocate()
        hints.deallocate()
        for side in 0..<2 { sides[side].index.free() }
        sides.deallocate()
    }

    /// All memory held, in bytes.
    var bytes: Int {
        slotCapacity * (MemoryLayout<Slot>.stride + MemoryLayout<SlotTerms>.stride) + ids.bytes
            + levelCapacity * MemoryLayout<Level>.stride + (1 << hintBits) * MemoryLayout<Int32>.stride
            + sides[0].index.bytes + sides[1].index.bytes + 2 * MemoryLayout<SideState>.stride
    }

    // MARK: - Reading

    /// The slot of an order; ``none`` if it is not in the book. Expected O(1)
    @inlinable @inline(__always)
    func find(_ id: Int64) -> Int32 {
        guard let position = ids.position(of: id, in: slots) else { return Self.none }
        return Int32(truncatingIfNeeded: ids.slot(ids.entries[position]))
    }

    @inlinable @inline(__always)
    func best(_ side: Side) -> Int32 { sides[Int(side.rawValue)].best }

    /// The slot that trades first on a side.
    @inlinable @inline(__always)
    func first(_ side: Side) -> Int32 {
        let level = best(side)
        return level < 0 ? Self.none : levels[Int(level)].head
    }

    /// The slot that trades after another one of the same side. O(1)
    @inlinable @inline(__always)
    func next(_ slot: Int32) -> Int32 {
        let next = slots[Int(slot)].next
        if next >= 0 { return next }
        let worse = levels[Int(slots[Int(slot)].level)].worse
        return worse < 0 ? Self.none : levels[Int(worse)].head
    }

    @inlinable @inline(__always)
    func termsOf(_ slot: Int32) -> SlotTerms { slots[Int(slot)].flags.hasTerms ? terms[Int(slot)] : .plain }

    @inlinable @inline(__always)
    func parts(_ slot: Int32) -> Parts { Parts(lots: slots[Int(slot)].lots, shown: slots[Int(slot)].shown) }

    @inlinable
    func stampAfterAll() -> Int64 { lastStamp == .max ? .max : lastStamp &+ 1 }
}
