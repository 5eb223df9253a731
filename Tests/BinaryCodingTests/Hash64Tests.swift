import BinaryCoding
import TestSupport
import Testing

@Suite struct Hash64Tests {
    /// Every bit of texts of all lengths counts, and zeros at their end too.
    @Test(arguments: Seeds.list(4))
    func everyBitCounts(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var seen: Set<UInt64> = []
        var texts = 0
        for length in 0...70 {
            let text = random.bytes(length)
            var variants = [text, [UInt8](repeating: 0, count: length)]
            for bit in 0..<length * 8 {
                var other = text
                other[bit / 8] ^= 1 << (bit % 8)
                variants.append(other)
            }
            for variant in Set(variants) {
                seen.insert(Hash64.of(variant))
                texts += 1
            }
        }
        try #require(seen.count == texts, "seed \(seed)")
    }

    /// Where a text lies in memory does not count.
    @Test func theAddressDoesNotCount() {
        let bytes = (0..<64).map { UInt8($0) }
        for length in 0...40 {
            let expected = Hash64.of(Array(bytes[..<length]))
            for offset in 0..<16 {
                let moved = [UInt8](repeating: 9, count: offset) + bytes[..<length] + [1, 2, 3]
                let hash = moved.withUnsafeBytes { Hash64.of(UnsafeRawBufferPointer(rebasing: $0[offset..<offset + length])) }
                #expect(hash == expected)
            }
        }
    }
}
