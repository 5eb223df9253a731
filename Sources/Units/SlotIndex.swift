/// Finds the slots of rows that are named by keys: an open-addressing index over the keys' hashes.
///
/// It knows hashes and slots only; whoever owns the rows compares the keys. A search reads one or two neighbouring
/// words and then the row; nothing is allocated per entry. Copies share their storage until one of them changes.
@frozen
public struct SlotIndex: Sendable {
    /// A power of two of entries: the upper half of the hash above the slot plus one; 0 where there is none.
    @usableFromInline var entries: ContiguousArray<UInt64>
    /// Right shift that makes a hash the position its search starts at.
    @usableFromInline var shift: UInt64
    public private(set) var count: Int

    @inlinable public init() { self.init(bits: 3) }

    @usableFromInline init(bits: Int) {
        entries = ContiguousArray(repeating: 0, count: 1 << bits)
        shift = UInt64(64 - bits)
        count = 0
    }

    /// The most rows: there are then 2^32 entries, and half a hash is enough to place them.
    public static let mostSlots = 1 << 31

    /// The slot of the row with this hash that `isIt` confirms. O(1) for hashes whose upper bits are spread.
    @inlinable
    public func slot(_ hash: UInt64, where isIt: (Int) -> Bool) -> Int? {
        let mask = entries.count &- 1
        var position = Int(truncatingIfNeeded: hash &>> shift)
        while true {
            let entry = entries[position]
            if entry == 0 { return nil }
            if entry &>> 32 == hash &>> 32 {
                let slot = Int(truncatingIfNeeded: entry & 0xffff_ffff) &- 1
                if isIt(slot) { return slot }
            }
            position = (position &+ 1) & mask
        }
    }

    /// Enters a row. O(1) amortised.
    ///
    /// - Precondition: its key is not there yet, and `slot` is in 0..<``mostSlots``
    public mutating func insert(_ hash: UInt64, slot: Int) {
        precondition(slot >= 0 && slot < SlotIndex.mostSlots, "too many rows")
        count += 1
        // At most two thirds are in use.
        if count * 3 > entries.count * 2 { grow() }
        place(hash & 0xffff_ffff_0000_0000 | UInt64(slot + 1))
    }

    /// Forgets a row. O(1).
    ///
    /// - Precondition: it was entered with this hash and slot
    public mutating func remove(_ hash: UInt64, slot: Int) {
        let mask = entries.count - 1
        let gone = hash & 0xffff_ffff_0000_0000 | UInt64(slot + 1)
        var hole = home(gone)
        while entries[hole] != gone {
            precondition(entries[hole] != 0, "no such row")
            hole = (hole + 1) & mask
        }
        count -= 1
        // Closes the gap: what follows moves up unless that would put it before its home.
        var next = (hole + 1) & mask
        while entries[next] != 0 {
            if (next - home(entries[next])) & mask >= (next - hole) & mask {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        entries[hole] = 0
    }

    /// Where a search for the row starts.
    private func home(_ entry: UInt64) -> Int { Int(truncatingIfNeeded: entry >> shift) }

    private mutating func place(_ entry: UInt64) {
        let mask = entries.count - 1
        var position = home(entry)
        while entries[position] != 0 { position = (position + 1) & mask }
        entries[position] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = ContiguousArray(repeating: 0, count: old.count * 2)
        shift -= 1
        for entry in old where entry != 0 { place(entry) }
    }
}

extension SlotIndex {
    /// Spreads a number over 64 bits so that sequential ones are far apart (Fibonacci hashing). Not seeded: for
    /// numbers that the market gives, not for what strangers choose.
    @inlinable
    public static func hash(_ number: Int64) -> UInt64 { UInt64(bitPattern: number) &* 0x9e37_79b9_7f4a_7c15 }

    /// The hash of a number after others.
    @inlinable
    public static func hash(_ number: Int64, after hash: UInt64) -> UInt64 {
        (hash ^ (hash &>> 32) ^ UInt64(bitPattern: number)) &* 0xbf58_476d_1ce4_e5b9
    }
}
