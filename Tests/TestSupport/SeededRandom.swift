#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Reproducible randomness (splitmix64).
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// A seed of its own, or `HASHSPOT_SEED`; printed with the test's name, so that it can be run again.
    public init(of test: String) {
        state = Seeds.given ?? UInt64.random(in: 0 ... .max)
        print("\(test): HASHSPOT_SEED=\(state)")
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    public mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    public mutating func int64(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &self) }

    /// Whether something that happens `percent` times in a hundred happens now.
    public mutating func chance(_ percent: Int) -> Bool { int(1...100) <= percent }

    public mutating func pick<T>(_ choices: [T]) -> T { choices[int(0...choices.count - 1)] }

    public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    /// An integer at or near the ends and the middle of what 64 bits hold.
    public mutating func hostileInt64() -> Int64 {
        pick([.min, .min + 1, -1, 0, 1, 2, .max / 2, .max - 1, .max, 1 << 32, 1 << 52, 2_100_000_000_000_000])
    }
}

/// Seeds for random tests: `HASHSPOT_SEED` alone if it is set, else some that never change and one that is new.
public enum Seeds {
    static var given: UInt64? { getenv("HASHSPOT_SEED").flatMap { UInt64(String(cString: $0)) } }

    public static func list(_ count: Int) -> [UInt64] {
        if let given { return [given] }
        let fresh = UInt64.random(in: fixed.upperBound...UInt64(UInt32.max))
        print("fresh seed: HASHSPOT_SEED=\(fresh)")
        return (1..<UInt64(max(2, count))).map { $0 } + [fresh]
    }

    /// Whether a test may ask that something happens at all with this seed: it did when the test was written. What a new
    /// seed makes may be dull, but never wrong.
    public static func isFixed(_ seed: UInt64) -> Bool { given == nil && fixed.contains(seed) }

    private static let fixed: Range<UInt64> = 1..<1000
}
