/// One side's levels in order, to find the place of a new price: sorted keys in blocks of at most 128, and the blocks in order.
///
/// Finding is two binary searches. Inserting moves at most a block, and when a block splits the list of blocks: with a million
/// prices some 12,000 entries once in 64 insertions.
@usableFromInline
struct LevelIndex {
    static let blockSize = 128

    /// Block b's keys start at `b * blockSize`, worst first.
    private var keys: UnsafeMutablePointer<Int64>
    private var levels: UnsafeMutablePointer<Int32>
    private var blockCapacity: Int
    private var blocksUsed = 0
    /// Numbers of blocks that are free again: the first `freeCount`.
    private var freeBlocks: UnsafeMutablePointer<Int32>
    private var freeCount = 0

    /// Blocks in order, worst first.
    private var order: UnsafeMutablePointer<BlockEntry>
    private var count = 0

    private struct BlockEntry: BitwiseCopyable {
        /// No key of the block is lower, and none of the blocks before is as high.
        var lowest: Int64
        var block: Int32
        var count: Int32
    }

    /// A place in the index: an entry of ``order`` and a position in its block.
    private struct Place {
        var entry: Int
        var position: Int
    }

    init(blockCapacity: Int = 1) {
        self.blockCapacity = blockCapacity
        keys = BookMemory.allocate(Int64.self, blockCapacity * Self.blockSize)
        levels = BookMemory.allocate(Int32.self, blockCapacity * Self.blockSize)
        freeBlocks = BookMemory.allocate(Int32.self, blockCapacity)
        order = BookMemory.allocate(BlockEntry.self, blockCapacity)
    }

    var bytes: Int {
        blockCapacity * (Self.blockSize * (MemoryLayout<Int64>.stride + MemoryLayout<Int32>.stride)
            + MemoryLayout<Int32>.stride + MemoryLayout<BlockEntry>.stride)
    }

    func copy() -> LevelIndex {
        var copy = self
        copy.keys = BookMemory.copy(keys, count: blocksUsed * Self.blockSize, capacity: blockCapacity * Self.blockSize)
        copy.levels = BookMemory.copy(levels, count: blocksUsed * Self.blockSize, capacity: blockCapacity * Self.blockSize)
        copy.freeBlocks = BookMemory.copy(freeBlocks, count: freeCount, capacity: blockCapacity)
        copy.order = BookMemory.copy(order, count: count, capacity: blockCapacity)
        return copy
    }

    func free() {
        keys.deallocate()
        levels.deallocate()
        freeBlocks.deallocate()
        order.deallocate()
    }

    // MARK: - Finding

    /// The level of a key; nil if there is none. O(log levels)
    func level(_ key: Int64) -> Int32? {
        guard let place = place(key) else { return nil }
        return holds(key, place) ? levels[base(place.entry) + place.position] : nil
    }

    /// The best of the levels worse than a key; nil if there is none. O(log levels)
    func levelBelow(_ key: Int64) -> Int32? {
        guard let place = place(key) else { return nil }
        if place.position > 0 { return levels[base(place.entry) + place.position - 1] }
        return place.entry > 0 ? levels[base(place.entry - 1) + Int(order[place.entry - 1].count) - 1] : nil
    }

    /// The worst level; nil if there is none. O(1)
    var worst: Int32? { count == 0 ? nil : levels[base(0)] }

    /// Where the first key that is not lower is, or would be; nil in an empty index.
    private func place(_ key: Int64) -> Place? {
        if count == 0 { return nil }
        var low = 0, length = count
        while length > 1 {
            let half = length &>> 1
            low = order[low &+ half].lowest <= key ? low &+ half : low
            length = length &- half
        }
        return Place(entry: low, position: position(key, keys + base(low), Int(order[low].count)))
    }

    /// The number of keys that are lower.
    private func position(_ key: Int64, _ keys: UnsafeMutablePointer<Int64>, _ count: Int) -> Int {
        var low = 0, length = count
        while length > 0 {
            let half = length &>> 1
            let isLower = keys[low &+ half] < key
            low = isLower ? low &+ half &+ 1 : low
            length = isLower ? length &- half &- 1 : half
        }
        return low
    }

    private func base(_ entry: Int) -> Int { Int(order[entry].block) * Self.blockSize }

    private func holds(_ key: Int64, _ place: Place) -> Bool {
        place.position < Int(order[place.entry].count) && keys[base(place.entry) + place.position] == key
    }

    // MARK: - Changing

    /// - Precondition: the key is not in the index
    mutating func insert(_ key: Int64, _ level: Int32) {
        guard var place = place(key) else {
            insertBlock(at: 0, lowest: key)
            put(key, level, Place(entry: 0, position: 0))
            return
        }
        if Int(order[place.entry].count) == Self.blockSize { place = split(place) }
        put(key, level, place)
    }

    /// - Precondition: the key is in the index
    mutating func remove(_ key: Int64) {
        guard let place = place(key), holds(key, place) else { preconditionFailure("a level that is in use has an index entry") }
        let first = base(place.entry) + place.position
        let moved = Int(order[place.entry].count) - place.position - 1
        (keys + first).update(from: keys + first + 1, count: moved)
        (levels + first).update(from: levels + first + 1, count: moved)
        order[place.entry].count -= 1
        if order[place.entry].count == 0 { removeBlock(at: place.entry) } else { mergeIfSmall(place.entry) }
    }

    private func put(_ key: Int64, _ level: Int32, _ place: Place) {
        let first = base(place.entry) + place.position
        let moved = Int(order[place.entry].count) - place.position
        (keys + first + 1).update(from: keys + first, count: moved)
        (levels + first + 1).update(from: levels + first, count: moved)
        keys[first] = key
        levels[first] = level
        order[place.entry].count += 1
        order[place.entry].lowest = min(order[place.entry].lowest, key)
    }

    /// Moves the better half of a full block to a new one; returns where the place is now.
    private mutating func split(_ place: Place) -> Place {
        let half = Self.blockSize / 2
        insertBlock(at: place.entry + 1, lowest: keys[base(place.entry) + half])
        let from = base(place.entry), to = base(place.entry + 1)
        (keys + to).update(from: keys + from + half, count: half)
        (levels + to).update(from: levels + from + half, count: half)
        order[place.entry].count = Int32(half)
        order[place.entry + 1].count = Int32(half)
        return place.position <= half ? place : Place(entry: place.entry + 1, position: place.position - half)
    }

    /// A block of less than a quarter joins a neighbour, where both together fill at most half a block.
    private mutating func mergeIfSmall(_ entry: Int) {
        guard Int(order[entry].count) < Self.blockSize / 4 else { return }
        if !mergeWithBetter(entry - 1) { _ = mergeWithBetter(entry) }
    }

    private mutating func mergeWithBetter(_ entry: Int) -> Bool {
        guard entry >= 0, entry + 1 < count else { return false }
        let kept = Int(order[entry].count), moved = Int(order[entry + 1].count)
        guard kept + moved <= Self.blockSize / 2 else { return false }
        (keys + base(entry) + kept).update(from: keys + base(entry + 1), count: moved)
        (levels + base(entry) + kept).update(from: levels + base(entry + 1), count: moved)
        order[entry].count += Int32(moved)
        removeBlock(at: entry + 1)
        return true
    }

    private mutating func insertBlock(at entry: Int, lowest: Int64) {
        let block: Int32
        if freeCount > 0 {
            freeCount -= 1
            block = freeBlocks[freeCount]
        } else {
            if blocksUsed == blockCapacity { grow() }
            block = Int32(blocksUsed)
            blocksUsed += 1
        }
        (order + entry + 1).update(from: order + entry, count: count - entry)
        order[entry] = BlockEntry(lowest: lowest, block: block, count: 0)
        count += 1
    }

    private mutating func removeBlock(at entry: Int) {
        freeBlocks[freeCount] = order[entry].block
        freeCount += 1
        (order + entry).update(from: order + entry + 1, count: count - entry - 1)
        count -= 1
    }

    private mutating func grow() {
        let capacity = blockCapacity * 2
        BookMemory.grow(&keys, count: blocksUsed * Self.blockSize, to: capacity * Self.blockSize)
        BookMemory.grow(&levels, count: blocksUsed * Self.blockSize, to: capacity * Self.blockSize)
        BookMemory.grow(&freeBlocks, count: freeCount, to: capacity)
        BookMemory.grow(&order, count: count, to: capacity)
        blockCapacity = capacity
    }
}
