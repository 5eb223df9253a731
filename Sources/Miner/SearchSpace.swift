import Stratum

/// What one thread hashes of one job, in order: extranonce2 values from zero, within each the versions that may be rolled,
/// within each the thread's own nonces. The threads' parts have no header in common.
struct SearchSpace {
    /// One header but for its nonces.
    struct Row: Equatable {
        var extranonce2: [UInt8]
        /// nil without version rolling.
        var versionBits: UInt32?
        var firstNonce: UInt32
        var nonceCount: UInt64
    }

    private let mask: UInt32
    private let firstNonce: UInt32
    private let nonceCount: UInt64
    private var extranonce2: [UInt8]
    private var versionIndex: UInt32 = 0
    private var isExhausted = false

    /// With version rolling a row is 2^16 nonces a thread, as the version has room enough; without, 2^32 over all threads.
    ///
    /// - Precondition: thread is in 0 ..< threads, threads in 1...256
    init(thread: Int, threads: Int, extranonce2Size: Int, versionMask: UInt32) {
        precondition((1...256).contains(threads), "number of threads out of range")
        precondition((0..<threads).contains(thread), "thread out of range")
        mask = versionMask
        let share = versionMask == 0 ? (1 << 32) / UInt64(threads) : 1 << 16
        firstNonce = UInt32(UInt64(thread) * share)
        nonceCount = share
        extranonce2 = Array(repeating: 0, count: extranonce2Size)
    }

    /// The next row; nil when every extranonce2 was used.
    mutating func next() -> Row? {
        guard !isExhausted else { return nil }
        let row = Row(
            extranonce2: extranonce2, versionBits: mask == 0 ? nil : SearchSpace.spread(versionIndex, over: mask),
            firstNonce: firstNonce, nonceCount: nonceCount)
        advance()
        return row
    }

    private mutating func advance() {
        versionIndex &+= 1
        let versions = UInt64(1) << UInt64(mask.nonzeroBitCount)
        guard UInt64(versionIndex) >= versions || versionIndex == 0 else { return }
        versionIndex = 0
        for i in extranonce2.indices {
            extranonce2[i] &+= 1
            if extranonce2[i] != 0 { return }
        }
        isExhausted = true
    }

    /// The bits of `index`, from the lowest up, put where the mask has bits.
    static func spread(_ index: UInt32, over mask: UInt32) -> UInt32 {
        var index = index, mask = mask, bits: UInt32 = 0
        while mask != 0, index != 0 {
            let lowest = mask & (0 &- mask)
            if index & 1 == 1 { bits |= lowest }
            mask &= ~lowest
            index >>= 1
        }
        return bits
    }
}
