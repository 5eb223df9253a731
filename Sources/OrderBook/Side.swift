/// Which side of the market an order is on.
@frozen
public enum Side: UInt8, Sendable, CaseIterable {
    /// Buys hashrate.
    case bid = 0
    /// Sells hashrate.
    case ask = 1

    @inlinable public var opposite: Side { self == .bid ? .ask : .bid }

    /// A price as a number that is higher the better it is on this side. Its own inverse.
    @inlinable func key(_ price: Int64) -> Int64 {
        switch self {
        case .bid: price
        case .ask: ~price
        }
    }
}
