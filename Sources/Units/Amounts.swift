/// An amount of money in satoshis (10^-8 BTC). Signed: postings and balances use both signs.
@frozen
public struct Satoshis: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
    public static let zero = Satoshis(0)

    @inlinable public static func < (a: Satoshis, b: Satoshis) -> Bool { a.rawValue < b.rawValue }
    /// Traps on overflow: amounts inside the market are bounded by ``Satoshis/supply``.
    @inlinable public static func + (a: Satoshis, b: Satoshis) -> Satoshis { Satoshis(a.rawValue + b.rawValue) }
    @inlinable public static func - (a: Satoshis, b: Satoshis) -> Satoshis { Satoshis(a.rawValue - b.rawValue) }
    @inlinable public static prefix func - (a: Satoshis) -> Satoshis { Satoshis(-a.rawValue) }
    @inlinable public static func += (a: inout Satoshis, b: Satoshis) { a = a + b }
    @inlinable public static func -= (a: inout Satoshis, b: Satoshis) { a = a - b }

    /// All the bitcoin there can be: 21 million, in satoshis. No single amount may be larger.
    public static let supply = Satoshis(2_100_000_000_000_000)

    public var description: String { "\(rawValue) sat" }
}

/// A price in satoshis per price unit per day. The market states its ``PriceUnit``.
@frozen
public struct Price: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public static func < (a: Price, b: Price) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}

/// A number of lots; a lot is the smallest tradable hashrate of a market.
@frozen
public struct Lots: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
    public static let zero = Lots(0)
    @inlinable public static func < (a: Lots, b: Lots) -> Bool { a.rawValue < b.rawValue }
    @inlinable public static func + (a: Lots, b: Lots) -> Lots { Lots(a.rawValue + b.rawValue) }
    @inlinable public static func - (a: Lots, b: Lots) -> Lots { Lots(a.rawValue - b.rawValue) }
    @inlinable public static func += (a: inout Lots, b: Lots) { a = a + b }
    @inlinable public static func -= (a: inout Lots, b: Lots) { a = a - b }
    public var description: String { "\(rawValue) lots" }
}

/// A hashrate in hashes per second.
@frozen
public struct Hashrate: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var hashesPerSecond: Int64

    @inlinable public init(hashesPerSecond: Int64) { self.hashesPerSecond = hashesPerSecond }
    @inlinable public static func < (a: Hashrate, b: Hashrate) -> Bool { a.hashesPerSecond < b.hashesPerSecond }
    public var description: String { "\(hashesPerSecond) H/s" }
}

/// Verified work in whole units of the market's ``Algorithm/hashesPerUnit`` expected hashes.
///
/// A share of difficulty d stands for d x 65,536 units on SHA256D.
@frozen
public struct Work: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var units: Int64

    @inlinable public init(units: Int64) { self.units = units }
    public static let zero = Work(units: 0)
    @inlinable public static func < (a: Work, b: Work) -> Bool { a.units < b.units }
    @inlinable public static func + (a: Work, b: Work) -> Work { Work(units: a.units + b.units) }
    @inlinable public static func - (a: Work, b: Work) -> Work { Work(units: a.units - b.units) }
    @inlinable public static func += (a: inout Work, b: Work) { a = a + b }
    @inlinable public static func -= (a: inout Work, b: Work) { a = a - b }
    public var description: String { "\(units) work units" }
}

/// A rate in parts per million, used for fees. Valid rates are 0...1,000,000.
@frozen
public struct PartsPerMillion: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public static func < (a: PartsPerMillion, b: PartsPerMillion) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue) ppm" }
}

/// Divisions name their rounding; all amounts here are non-negative.
public enum Rounding {
    /// floor(n / d) for n >= 0, d > 0.
    @inlinable public static func down(_ n: Int128, by d: Int128) -> Int128 {
        precondition(n >= 0, "dividend is negative")
        precondition(d > 0, "divisor is not positive")
        return n / d
    }

    /// ceil(n / d) for n >= 0, d > 0.
    @inlinable public static func up(_ n: Int128, by d: Int128) -> Int128 {
        precondition(n >= 0, "dividend is negative")
        precondition(d > 0, "divisor is not positive")
        return n == 0 ? 0 : (n - 1) / d + 1
    }
}
