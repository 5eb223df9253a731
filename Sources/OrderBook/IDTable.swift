/// Order id to slot number: open addressing with linear probing and backward-shift deletion, at most half full.
///
/// An entry is 8 bytes: 32 bits of the id's hash, and the slot's number plus one; 0 is empty. The hash is multiplicative over
/// blocks of 8 ids, so that ids allotted one after the other share a cache line.
@frozen @usableFromInline
struct IDTable {
    @usableFromInline var entries: UnsafeMutablePointer<UInt64>
    @usableFromInline var mask: Int
    /// 32 less the number of bits that select a line of 8 entries.
    @usableFromInline var shift: UInt32

    /// - Parameter bits: log2 of the number of entries, at least 4
    init(bits: Int) {
        let capacity = 1 << bits
        entries = BookMemory.allocate(UInt64.self, capacity)
        entries.initialize(repeating: 0, count: capacity)
        mask = capacity - 1
        shift = UInt32(32 - (bits - 3))
    }

    var bytes: Int { (mask + 1) * MemoryLayout<UInt64>.stride }
    var bits: Int { (mask + 1).trailingZeroBitCount }

    func copy() -> IDTable {
        var copy = self
        copy.entries = BookMemory.copy(entries, count: mask + 1, capacity: mask + 1)
        return copy
    }

    func free() { entries.deallocate() }

    @inlinable @inline(__always)
    static func hash(_ id: Int64) -> UInt32 {
        let number = UInt64(bitPattern: id)
        let product = (number >> 3) &* 0x9e37_79b9_7f4a_7c15
        return UInt32(truncatingIfNeeded: product >> 32) & ~7 | UInt32(truncatingIfNeeded: number & 7)
    }

    @inlinable @inline(__always)
    func home(_ hash: UInt32) -> Int { Int(hash &>> shift) &<< 3 | Int(hash & 7) }

    /// Where the entry of `id` is; nil if there is none. Expected O(1)
    @inlinable @inline(__always)
    func position(of id: Int64, in slots: UnsafeMutablePointer<Slot>) -> Int? {
        let hash = IDTable.hash(id)
        var position = home(hash)
        while true {
            let entry = entries[position]
            if entry == 0 { return nil }
            if UInt32(truncatingIfNeeded: entry &>> 32) == hash, slots[slot(entry)].id == id { return position }
            position = (position &+ 1) & mask
        }
    }

    @inlinable @inline(__always)
    func slot(_ entry: UInt64) -> Int { Int(UInt32(truncatingIfNeeded: entry)) &- 1 }

    /// - Precondition: the id has no entry, and the table has room
    @inlinable @inline(__always)
    func insert(_ id: Int64, slot: Int32) { insert(UInt64(IDTable.hash(id)) &<< 32 | UInt64(UInt32(bitPattern: slot) &+ 1)) }

    @inlinable @inline(__always)
    func insert(_ entry: UInt64) {
        var position = home(UInt32(truncatingIfNeeded: entry &>> 32))
        while entries[position] != 0 { position = (position &+ 1) & mask }
        entries[position] = entry
    }

    /// Empties a position; entries behind it move up, so that nothing marks the deleted one. Expected O(1)
    @inlinable
    func remove(at position: Int) {
        var hole = position, next = position
        while true {
            next = (next &+ 1) & mask
            let entry = entries[next]
            if entry == 0 { break }
            let home = home(UInt32(truncatingIfNeeded: entry &>> 32))
            if (next &- home) & mask >= (next &- hole) & mask {
                entries[hole] = entry
                hole = next
            }
        }
        entries[hole] = 0
    }

    /// Doubles the table. O(entries)
    @usableFromInline
    mutating func grow() {
        let old = self
        self = IDTable(bits: old.bits + 1)
        for position in 0...old.mask where old.entries[position] != 0 { insert(old.entries[position]) }
        old.free()
    }
}
