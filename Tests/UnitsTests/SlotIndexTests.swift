import TestSupport
import Testing
import Units

@Suite struct SlotIndexTests {
    /// Rows come and go; hashes may be equal, or differ in their lower half only.
    @Test(arguments: Seeds.list(6))
    func findsWhatIsThere(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let hashes = [
            { SlotIndex.hash($0) }, { SlotIndex.hash($0 % 7, after: SlotIndex.hash($0 / 7)) }, { UInt64(bitPattern: $0) },
            { UInt64(bitPattern: $0) << 32 }, { _ in UInt64.max },
        ] as [(Int64) -> UInt64]
        for hash in hashes {
            var index = SlotIndex()
            var keys: [Int64?] = []
            var copies: [(SlotIndex, [Int64?])] = []
            for step in 0..<600 {
                let key = random.int64(0...200)
                let found = index.slot(hash(key)) { keys[$0] == key }
                try #require(found == keys.firstIndex(of: key), "seed \(seed), step \(step)")
                if let slot = found {
                    if random.chance(50) {
                        index.remove(hash(key), slot: slot)
                        keys[slot] = nil
                    }
                } else {
                    index.insert(hash(key), slot: keys.count)
                    keys.append(key)
                }
                if random.chance(1) { copies.append((index, keys)) }
            }
            for (index, keys) in copies + [(index, keys)] {
                try #require(index.count == keys.count { $0 != nil })
                for key in 0...200 as ClosedRange<Int64> {
                    try #require(index.slot(hash(key)) { keys[$0] == key } == keys.firstIndex(of: key), "seed \(seed)")
                }
            }
        }
    }
}
