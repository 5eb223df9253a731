/// Levels come and go with their orders.
extension BookCore {
    /// The level of a price, new if there was none. O(1) where the hint is right, else O(log levels)
    @inlinable @inline(__always)
    mutating func level(_ side: Side, _ price: Int64) -> Int32 {
        let hint = hints[hintPlace(price)]
        if hint >= 0, isLevel(hint, side, side.key(price)) { return hint }
        return findOrAddLevel(side, price)
    }

    @inlinable @inline(__always)
    func isLevel(_ level: Int32, _ side: Side, _ key: Int64) -> Bool {
        levels[Int(level)].key == key && levels[Int(level)].side == side && levels[Int(level)].orders != 0
    }

    /// Neighbouring prices have neighbouring places; higher bits are folded in for coarse ticks.
    @inlinable @inline(__always)
    func hintPlace(_ price: Int64) -> Int {
        Int(truncatingIfNeeded: price ^ (price &>> Int64(truncatingIfNeeded: hintBits))) & (1 &<< hintBits &- 1)
    }

    /// The level of a price; ``none`` if there is none. O(log levels)
    func existingLevel(_ side: Side, _ key: Int64) -> Int32 { sides[Int(side.rawValue)].index.level(key) ?? Self.none }

    /// The best level that is worse than a key; ``none`` if there is none. O(log levels)
    func levelBelow(_ side: Side, _ key: Int64) -> Int32 { sides[Int(side.rawValue)].index.levelBelow(key) ?? Self.none }

    @usableFromInline @inline(never)
    mutating func findOrAddLevel(_ side: Side, _ price: Int64) -> Int32 {
        let existing = existingLevel(side, side.key(price))
        let level = existing >= 0 ? existing : addLevel(side, side.key(price))
        hints[hintPlace(price)] = level
        return level
    }

    private mutating func addLevel(_ side: Side, _ key: Int64) -> Int32 {
        let state = sides + Int(side.rawValue)
        let number = allocateLevel()
        var level = Level(key: key, side: side)
        level.worse = state.pointee.index.levelBelow(key) ?? Self.none
        level.better = level.worse < 0 ? worstLevel(side) : levels[Int(level.worse)].better
        levels[Int(number)] = level
        if level.worse >= 0 { levels[Int(level.worse)].better = number }
        if level.better >= 0 { levels[Int(level.better)].worse = number } else { state.pointee.best = number }
        state.pointee.index.insert(key, number)
        return number
    }

    private func worstLevel(_ side: Side) -> Int32 { sides[Int(side.rawValue)].index.worst ?? Self.none }

    @usableFromInline @inline(never)
    mutating func removeLevel(_ number: Int32) {
        let level = levels[Int(number)]
        let state = sides + Int(level.side.rawValue)
        if level.worse >= 0 { levels[Int(level.worse)].better = level.better }
        if level.better >= 0 { levels[Int(level.better)].worse = level.worse } else { state.pointee.best = level.worse }
        state.pointee.index.remove(level.key)
        levels[Int(number)].worse = freeLevel
        freeLevel = number
    }

    private mutating func allocateLevel() -> Int32 {
        if freeLevel >= 0 {
            let level = freeLevel
            freeLevel = levels[Int(level)].worse
            return level
        }
        if levelsUsed == levelCapacity { growLevels() }
        levelsUsed += 1
        return Int32(levelsUsed - 1)
    }

    private mutating func growLevels() {
        levelCapacity *= 2
        BookMemory.grow(&levels, count: levelsUsed, to: levelCapacity)
        guard Self.hintBits(levelCapacity) > hintBits else { return }
        hints.deallocate()
        hintBits = Self.hintBits(levelCapacity)
        hints = Self.emptyHints(hintBits)
    }

    /// Two hints a level, up to a quarter of a megabyte.
    static func hintBits(_ levels: Int) -> Int { min(16, (2 * levels - 1).bitWidth - (2 * levels - 1).leadingZeroBitCount) }

    static func emptyHints(_ bits: Int) -> UnsafeMutablePointer<Int32> {
        let hints = BookMemory.allocate(Int32.self, 1 << bits)
        hints.initialize(repeating: none, count: 1 << bits)
        return hints
    }
}
