public import Exchange
public import Units

/// Rows of what left the state, as tables keep them.
public struct ClosedRows {
    public private(set) var deliveries: [DeliveryID: Delivery] = [:]
    public private(set) var orders: [OrderID: Order] = [:]
    public private(set) var billings: [BillingKey: Billing] = [:]

    public init() {}

    public mutating func take(_ changes: StateChanges) {
        Self.take(changes.deliveries, into: &deliveries)
        Self.take(changes.orders, into: &orders)
        Self.take(changes.billings, into: &billings)
    }

    private static func take<Key, Entity>(_ changes: [Key: EntityChange<Entity>], into rows: inout [Key: Entity]) {
        for (key, change) in changes {
            switch change {
            case .live: rows[key] = nil
            case .gone(let row): rows[key] = row
            }
        }
    }

    /// A closed delivery with what the state does not have of its orders and totals; nil if it is not closed.
    public func closed(_ id: DeliveryID, _ state: MarketState) -> ClosedDelivery? {
        guard let delivery = deliveries[id], let billing = state.billings[delivery.billingKey] ?? billings[delivery.billingKey] else {
            return nil
        }
        return ClosedDelivery(
            delivery: delivery, key: delivery.billingKey, billing: billing, bid: orders[delivery.bid], ask: orders[delivery.ask])
    }
}
