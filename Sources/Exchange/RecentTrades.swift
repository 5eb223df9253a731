internal import DequeModule
internal import Settlement
public import Units

/// A fill, as the market publishes it.
public struct Trade: Hashable, Sendable {
    public var delivery: DeliveryID
    public var at: Timestamp
    public var price: Price
    public var lots: Lots

    public init(delivery: DeliveryID, at: Timestamp, price: Price, lots: Lots) {
        self.delivery = delivery
        self.at = at
        self.price = price
        self.lots = lots
    }

    public init(_ delivery: Delivery) {
        self.delivery = delivery.id
        at = delivery.openedAt
        price = delivery.terms.price
        lots = delivery.lots
    }
}

/// The last fills of a market, at most ``most``.
public struct RecentTrades: Sendable {
    public static let most = 1000

    private var trades = Deque<Trade>()

    /// Up to `limit`, newest first.
    public func last(_ limit: Int) -> [Trade] { trades.suffix(max(0, limit)).reversed() }

    mutating func append(_ trade: Trade) {
        if trades.count == RecentTrades.most { trades.removeFirst() }
        trades.append(trade)
    }
}
