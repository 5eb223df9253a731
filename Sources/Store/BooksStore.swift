public import Database
public import Exchange
internal import Settlement
public import Units

/// Closed deliveries as ``BooksCommand/trueUp(_:_:reopenings:)`` wants them, read in one transaction.
public struct ClosedDeliveries: Sendable {
    /// ``Books/reopenings`` as of the rows.
    public var reopenings: Int64
    /// By number.
    public var deliveries: [ClosedDelivery]
}

/// What corrections need of the tables.
public struct BooksStore: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public func books() async throws -> Books {
        try await database.read { try TableReader($0).books() }
    }

    /// Of some deliveries those that are closed, with their totals and with those of their orders that are over; at most
    /// ``SettlementChunk/mostTotals`` of them.
    public func closedDeliveries(_ ids: [DeliveryID]) async throws -> ClosedDeliveries {
        try await database.read { connection in
            let deliveries = try Self.rows(
                connection, "deliveries", TableColumns.delivery, ids.prefix(SettlementChunk.mostTotals).map(\.rawValue),
                TableReader.delivery)
            let orders = try Self.rows(
                connection, "orders", TableColumns.order, deliveries.flatMap { [$0.bid.rawValue, $0.ask.rawValue] }, TableReader.order)
            let orderByID = Dictionary(orders.map { ($0.id, $0) }) { $1 }
            let billings = try Self.billings(connection, deliveries)
            return ClosedDeliveries(
                reopenings: try TableReader(connection).books().reopenings,
                deliveries: try deliveries.map { delivery in
                    guard let billing = billings[delivery.billingKey] else {
                        throw DatabaseError.decoding("a delivery without totals")
                    }
                    return ClosedDelivery(
                        delivery: delivery, key: delivery.billingKey, billing: billing, bid: orderByID[delivery.bid],
                        ask: orderByID[delivery.ask])
                })
        }
    }

    /// Rows that the exchange no longer holds.
    private static func rows<T>(
        _ connection: any SQLConnection, _ table: String, _ columns: [String], _ ids: [Int64], _ body: (SQLRow) throws -> T
    ) throws -> [T] {
        let numbers = Array(Set(ids)).sorted()
        guard !numbers.isEmpty else { return [] }
        let places = numbers.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return try connection.query(
            "SELECT \(columns.joined(separator: ", ")) FROM \(table) WHERE id IN (\(places)) AND live = 0 ORDER BY id",
            numbers.map { .integer($0) }
        ).map(body)
    }

    private static func billings(_ connection: any SQLConnection, _ deliveries: [Delivery]) throws -> [BillingKey: Billing] {
        var result: [BillingKey: Billing] = [:]
        for bid in Set(deliveries.map(\.bid)).sorted() {
            let columns = TableColumns.billing.joined(separator: ", ")
            let rows = try connection.query("SELECT \(columns) FROM billings WHERE bid = $1", [.integer(bid.rawValue)])
            for row in rows {
                let (key, billing) = try TableReader.billing(row)
                result[key] = billing
            }
        }
        return result
    }
}
