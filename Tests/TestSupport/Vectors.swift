import Foundation

/// Real data shared by the tests: `../shared/vectors` beside the package, or below `HASHSPOT_SHARED`.
public enum Vectors {
    public static func text(_ name: String) throws -> String {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let shared = ProcessInfo.processInfo.environment["HASHSPOT_SHARED"].map { URL(filePath: $0) }
            ?? package.deletingLastPathComponent().appending(path: "shared")
        return try String(contentsOf: shared.appending(path: "vectors/\(name)"), encoding: .utf8)
    }
}

/// Bytes of a hex text; nil when it is not one.
public func unhex(_ text: some StringProtocol) -> [UInt8]? {
    let digits = text.compactMap(\.hexDigitValue)
    guard digits.count == text.count, digits.count.isMultiple(of: 2) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// A small seeded generator (SplitMix64), so that a failing test can be run again with the seed it printed.
public struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    public init(_ name: String) {
        let given = ProcessInfo.processInfo.environment["HASHSPOT_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: 0 ... .max)
        print("\(name): HASHSPOT_SEED=\(state)")
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}
