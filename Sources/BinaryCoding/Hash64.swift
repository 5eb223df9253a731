/// The 64-bit hash that a market's state is compared by, and that journal rows end with. Not cryptographic: it finds
/// errors, not forgeries.
public enum Hash64 {
    public static func of(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes(of) }

    /// Two words at a time are multiplied into the hash; the halves of the product are folded onto each other.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = fold(UInt64(bytes.count) ^ 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9)
        var start = 0
        while start &+ 16 <= bytes.count {
            hash = fold(hash ^ word(bytes, start), word(bytes, start &+ 8) ^ 0x94d0_49bb_1331_11eb)
            start &+= 16
        }
        hash = fold(hash ^ partialWord(bytes, start), partialWord(bytes, start &+ 8) ^ 0x94d0_49bb_1331_11eb)
        // Mixes once more, so that a sum of hashes mixes well.
        return fold(hash ^ 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3)
    }

    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (high, low) = a.multipliedFullWidth(by: b)
        return high ^ low
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
    }

    /// The bytes from `start` on, at most eight, as if zeros followed.
    private static func partialWord(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> UInt64 {
        let rest = bytes.count &- start
        if rest >= 8 { return word(bytes, start) }
        if rest <= 0 { return 0 }
        if bytes.count >= 8 {
            // Ends with the last byte; what stands before `start` is shifted out.
            return word(bytes, bytes.count &- 8) &>> UInt64(truncatingIfNeeded: 8 &* (8 &- rest))
        }
        return bytes[start...].reversed().reduce(0) { $0 &<< 8 | UInt64($1) }
    }
}
