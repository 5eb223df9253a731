import Stratum
import Units

/// Makes jobs whose coinbase is a well-formed transaction, and whose branches are random, from a seed.
struct JobFactory {
    private var random: SplitMix
    private let nbits: UInt32
    /// Bytes that extranonce1 and extranonce2 will take in the coinbase's script.
    private let extranonceSize: Int
    private var number: UInt32 = 0
    private var height: UInt32 = 900_000
    private var previousBlock: Hash256

    init(seed: UInt64, nbits: UInt32, extranonceSize: Int) {
        random = SplitMix(state: seed)
        self.nbits = nbits
        self.extranonceSize = extranonceSize
        previousBlock = random.hash()
    }

    /// - Parameters:
    ///   - newBlock: there is another previous block, and all earlier jobs are stale
    ///   - clock: seconds since 1970
    mutating func next(newBlock: Bool, clock: UInt32) -> Job {
        number &+= 1
        if newBlock {
            height &+= 1
            previousBlock = random.hash()
        }
        let branches = (0..<Int(random.next() % 13)).map { _ in random.hash() }
        return Job(
            id: String(number, radix: 16), previousBlock: previousBlock, coinb1: coinbaseHead(clock: clock),
            coinb2: coinbaseTail(), branches: branches, version: 0x2000_0000, nbits: nbits, ntime: clock,
            cleanJobs: newBlock)
    }

    private static let tag = Array("/hashspot/".utf8)

    /// Version, one input that spends nothing, and its script up to the extranonces: the height (BIP 34) and the clock.
    private func coinbaseHead(clock: UInt32) -> [UInt8] {
        let script: [UInt8] = [3] + JobFactory.bytes(height).prefix(3) + [4] + JobFactory.bytes(clock)
        let length = script.count + 1 + extranonceSize + JobFactory.tag.count
        let input = [UInt8](repeating: 0, count: 32) + [UInt8](repeating: 0xff, count: 4)
        return [1, 0, 0, 0, 1] + input + [UInt8(length)] + script + [UInt8(extranonceSize)]
    }

    /// The script's end, the sequence, one output to a random key hash, the lock time.
    private mutating func coinbaseTail() -> [UInt8] {
        let reward: [UInt8] = JobFactory.bytes(312_500_000) + [0, 0, 0, 0]
        let keyHash = random.hash().bytes.prefix(20)
        return JobFactory.tag + [0xff, 0xff, 0xff, 0xff, 1] + reward + [22, 0, 20] + keyHash + [0, 0, 0, 0]
    }

    private static func bytes(_ word: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
    }
}

/// SplitMix64: small, seeded, good enough for test data.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func hash() -> Hash256 { Hash256(l0: next(), l1: next(), l2: next(), l3: next()) }
}
