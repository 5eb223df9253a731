public import Database
public import Exchange
public import Market
internal import Settlement
public import Units

/// Reports over the projected tables.
public struct ReportStore: MarketReports {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public func settlementLines(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ReportLine] {
        try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT l.number, l.at, l.run, d.id, d.bid, d.ask, d.rig, d.buyer, d.seller, d.price, d.lots,
                       d.opened_at, l.work, l.charge, l.buyer_fee, l.seller_fee, l.value_at, l.code, l.from_minute, l.to_minute
                FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
                WHERE l.number > $1 AND (CAST($2 AS BIGINT) = 0 OR d.buyer = $2 OR d.seller = $2)
                ORDER BY l.number LIMIT $3
                """, [.integer(cursor), .integer(account?.rawValue ?? 0), .integer(Int64(limit))])
            return try rows.map { row in
                guard let code = UInt8(exactly: try row.int64(17)).flatMap({ ChargeCode(rawValue: $0) }) else {
                    throw DatabaseError.decoding("charge code")
                }
                return ReportLine(
                    number: try row.int64(0), settledAt: Timestamp(microseconds: try row.int64(1)),
                    valueAt: Timestamp(microseconds: try row.int64(16)), code: code,
                    minutes: try row.int64(18)..<row.int64(19),
                    run: try row.int64(2), delivery: DeliveryID(try row.int64(3)), bid: OrderID(try row.int64(4)),
                    ask: OrderID(try row.int64(5)), rig: RigID(try row.int64(6)), buyer: AccountID(try row.int64(7)),
                    seller: AccountID(try row.int64(8)), price: Price(try row.int64(9)), lots: Lots(try row.int64(10)),
                    openedAt: Timestamp(microseconds: try row.int64(11)), work: Work(units: try row.int64(12)),
                    charge: Satoshis(try row.int64(13)), buyerFee: Satoshis(try row.int64(14)),
                    sellerFee: Satoshis(try row.int64(15)))
            }
        }
    }

    public func order(_ id: OrderID) async throws -> Order? {
        try await database.read { connection in
            let columns = TableColumns.order.joined(separator: ", ")
            let row = try connection.queryOne("SELECT \(columns) FROM orders WHERE id = $1", [.integer(id.rawValue)])
            return try row.map { try TableReader.order($0) }
        }
    }

    public func trades(before: DeliveryID, limit: Int) async throws -> [Trade] {
        try await database.read { connection in
            let rows = try connection.query(
                "SELECT id, opened_at, price, lots FROM deliveries WHERE id < $1 ORDER BY id DESC LIMIT $2",
                [.integer(before.rawValue), .integer(Int64(limit))])
            return try rows.map { row in
                Trade(
                    delivery: DeliveryID(try row.int64(0)), at: Timestamp(microseconds: try row.int64(1)),
                    price: Price(try row.int64(2)), lots: Lots(try row.int64(3)))
            }
        }
    }

    public func deliveries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DeliveryRow] {
        let columns = TableColumns.delivery.map { "d.\($0)" }.joined(separator: ", ")
        let sums = MeterStore.countColumns.map { "CAST(coalesce(sum(s.\($0)), 0) AS BIGINT)" }.joined(separator: ", ")
        let first = TableColumns.delivery.count
        return try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT \(columns), \(sums)
                FROM (
                    SELECT * FROM deliveries
                    WHERE id > $1 AND (CAST($2 AS BIGINT) = 0 OR buyer = $2 OR seller = $2) ORDER BY id LIMIT $3
                ) d LEFT JOIN meter_slots s ON s.delivery = d.id
                    -- No slot lies outside, by a day's margin for clocks: other days are not looked at.
                    AND s.minute BETWEEN d.opened_at / 60000000 - 1440 AND coalesce(d.ended_at, d.expires_at) / 60000000 + 1440
                GROUP BY \(columns) ORDER BY d.id
                """, [.integer(cursor), .integer(account?.rawValue ?? 0), .integer(Int64(limit))])
            return try rows.map { row in
                DeliveryRow(delivery: try TableReader.delivery(row), metered: try MeterStore.counts(row, from: first))
            }
        }
    }
}
