public import Units

/// A price weighted by the work that was delivered at it: exact, of any number of deliveries in any order.
public struct VolumeWeightedPrice: Hashable, Sendable {
    /// Sum of price x work.
    public private(set) var numerator: Int128
    public private(set) var work: Int128
    public private(set) var lowest: Price?
    public private(set) var highest: Price?

    public init() {
        numerator = 0
        work = 0
    }

    /// As stored.
    public init(numerator: Int128, work: Int128, lowest: Price, highest: Price) {
        self.numerator = numerator
        self.work = work
        self.lowest = lowest
        self.highest = highest
    }

    /// Rounded down: between ``lowest`` and ``highest``. nil without work.
    public var value: Price? {
        guard work > 0 else { return nil }
        return Price(Int64(Rounding.down(numerator, by: work)))
    }

    /// Work of zero changes nothing.
    ///
    /// - Precondition: price and work are not negative
    public mutating func add(_ work: Work, at price: Price) {
        precondition(work >= .zero, "work is negative")
        precondition(price.rawValue >= 0, "the price is negative")
        guard work > .zero else { return }
        numerator += Int128(price.rawValue) * Int128(work.units)
        self.work += Int128(work.units)
        extend(price, price)
    }

    public mutating func add(_ other: VolumeWeightedPrice) {
        guard let low = other.lowest, let high = other.highest else { return }
        numerator += other.numerator
        work += other.work
        extend(low, high)
    }

    private mutating func extend(_ low: Price, _ high: Price) {
        lowest = lowest.map { min($0, low) } ?? low
        highest = highest.map { max($0, high) } ?? high
    }
}
