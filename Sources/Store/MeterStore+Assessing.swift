internal import Database
internal import Exchange
public import Market
public import Settlement
public import Units

/// What settlement reads of slots, lines and deliveries: few queries for many deliveries.
extension MeterStore: SettlementPort {
    /// Numbers as the one parameter of a condition.
    struct NumberList {
        let dialect: SQLDialect
        let numbers: [Int64]

        init(_ deliveries: [DeliveryID], _ connection: any SQLConnection) {
            dialect = connection.dialect
            numbers = deliveries.map(\.rawValue)
        }

        /// - Parameter place: of the parameter
        func condition(_ column: String, _ place: Int) -> String {
            switch dialect {
            case .sqlite: "\(column) IN (SELECT value FROM json_each($\(place)))"
            case .postgres: "\(column) = ANY (CAST(CAST($\(place) AS TEXT) AS BIGINT[]))"
            }
        }

        var parameter: SQLValue {
            let list = numbers.map(String.init).joined(separator: ",")
            return switch dialect {
            case .sqlite: .text("[\(list)]")
            case .postgres: .text("{\(list)}")
            }
        }
    }

    public func sums(of deliveries: [DeliveryID], before: Int64, cut: Int64) async throws -> [DeliveryID: MeteredSums] {
        guard let first = deliveries.min() else { return [:] }
        return try await database.read { connection in
            let list = NumberList(deliveries, connection)
            // As `SlotWork.fault` and `SlotWork.isIncident`, in steps that cannot overflow.
            let rows = try connection.query(
                """
                SELECT delivery, CAST(sum(billable) AS BIGINT),
                       CAST(sum(CASE WHEN failed > 0 THEN billable / forwarded * failed + billable % forwarded * failed / forwarded
                                ELSE 0 END) AS BIGINT),
                       CAST(sum(CASE WHEN failed > 0 AND failed * 20 >= forwarded THEN 1 ELSE 0 END) AS BIGINT),
                       CAST(sum(CASE WHEN minute < $4 THEN billable ELSE 0 END) AS BIGINT), max(minute)
                FROM (
                    SELECT delivery, minute, billable_work AS billable, forwarded_shares AS forwarded,
                           CASE WHEN pool_rejected + pool_unanswered < forwarded_shares THEN pool_rejected + pool_unanswered
                                ELSE forwarded_shares END AS failed
                    FROM meter_slots WHERE \(list.condition("delivery", 1)) AND minute >= $2 AND minute < $3
                ) slots
                GROUP BY delivery
                """,
                [
                    list.parameter, .integer(try MeterStore.firstMinute(of: first, connection)), .integer(cut), .integer(before),
                ])
            var sums: [DeliveryID: MeteredSums] = [:]
            for row in rows {
                sums[DeliveryID(try row.int64(0))] = MeteredSums(
                    sums: SlotSums(
                        billable: Work(units: try row.int64(1)), fault: Work(units: try row.int64(2)), incidents: try row.int64(3)),
                    before: Work(units: try row.int64(4)), lastMinute: try row.int64(5))
            }
            return sums
        }
    }

    public func slots(of deliveries: [DeliveryID]) async throws -> [DeliveryID: [SlotWork]] {
        guard let first = deliveries.min() else { return [:] }
        return try await database.read { connection in
            let list = NumberList(deliveries, connection)
            var slots: [DeliveryID: [SlotWork]] = [:]
            let rows = try connection.query(
                """
                SELECT delivery, minute, billable_work, forwarded_shares, pool_rejected, pool_unanswered
                FROM meter_slots WHERE \(list.condition("delivery", 1)) AND minute >= $2 ORDER BY delivery, minute, rig
                """, [list.parameter, .integer(try MeterStore.firstMinute(of: first, connection))])
            for row in rows {
                slots[DeliveryID(try row.int64(0)), default: []].append(SlotWork(
                    minute: try row.int64(1), billable: Work(units: try row.int64(2)), forwarded: try row.int64(3),
                    rejected: try row.int64(4), unanswered: try row.int64(5)))
            }
            return slots
        }
    }

    public func settledLines(of deliveries: [DeliveryID]) async throws -> [DeliveryID: SettledLines] {
        guard !deliveries.isEmpty else { return [:] }
        return try await database.read { connection in
            let list = NumberList(deliveries, connection)
            var lines: [DeliveryID: SettledLines] = [:]
            let rows = try connection.query(
                """
                SELECT delivery, CASE WHEN code <= 3 THEN 1 ELSE code END, from_minute, to_minute, CAST(sum(work) AS BIGINT)
                FROM settlement_lines WHERE \(list.condition("delivery", 1)) AND code <= 5 GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4, 2
                """, [list.parameter])
            for row in rows {
                let work = Work(units: try row.int64(4))
                let delivery = DeliveryID(try row.int64(0))
                switch try row.int64(1) {
                case 4: lines[delivery, default: SettledLines()].overDelivery += work
                case 5: lines[delivery, default: SettledLines()].faultExcess += work
                default:
                    lines[delivery, default: SettledLines()].intervals.append(
                        IntervalWork(from: try row.int64(2), to: try row.int64(3), work: work))
                }
            }
            return lines
        }
    }
}

// MARK: - Closed deliveries

extension MeterStore {
    public func ended(in times: Range<Timestamp>, after cursor: DeliveryID?, limit: Int) async throws -> [DeliveryID] {
        try await database.read { connection in
            // Terms are a day at most.
            let earliest = times.lowerBound - .day
            let from = try max((cursor?.rawValue ?? 0) + 1, MeterStore.firstOpened(since: earliest, connection))
            let to = try MeterStore.firstOpened(since: times.upperBound, connection)
            let rows = try connection.query(
                "SELECT id FROM deliveries WHERE id >= $1 AND id < $2 AND ended_at >= $3 AND ended_at < $4 ORDER BY id LIMIT $5",
                [
                    .integer(from), .integer(to), .integer(times.lowerBound.microseconds),
                    .integer(times.upperBound.microseconds), .integer(Int64(limit)),
                ])
            return try rows.map { DeliveryID(try $0.int64(0)) }
        }
    }

    /// The number of the first delivery that was opened at some time or later. Numbers go with time: halving finds it.
    private static func firstOpened(since time: Timestamp, _ connection: any SQLConnection) throws -> Int64 {
        var low = try connection.queryOne("SELECT coalesce(min(id), 1) FROM deliveries")?.int64(0) ?? 1
        var high = try (connection.queryOne("SELECT coalesce(max(id), 0) FROM deliveries")?.int64(0) ?? 0) + 1
        while low < high {
            let middle = low + (high - low) / 2
            let row = try connection.queryOne(
                "SELECT id, opened_at FROM deliveries WHERE id >= $1 ORDER BY id LIMIT 1", [.integer(middle)])
            guard let row else {
                high = middle
                continue
            }
            if try row.int64(1) < time.microseconds { low = try row.int64(0) + 1 } else { high = middle }
        }
        return low
    }

    public func closed(_ deliveries: [DeliveryID]) async throws -> ClosedPage {
        guard !deliveries.isEmpty else { return ClosedPage(reopenings: 0, deliveries: [], unknown: 0) }
        // One transaction: rows and counter belong together.
        return try await database.read { connection in
            let list = NumberList(deliveries, connection)
            let rows = try connection.query(
                """
                SELECT \(TableColumns.delivery.joined(separator: ", ")) FROM deliveries
                WHERE \(list.condition("id", 1)) AND live = 0 ORDER BY id
                """, [list.parameter])
            let found = try rows.map { try TableReader.delivery($0) }
            let known = try found.filter { try MeterStore.hasItsSlots($0, connection) }
            let billings = try MeterStore.billings(of: list, connection)
            let orders = try MeterStore.closedOrders(of: list, connection)
            let closed = known.compactMap { delivery -> ClosedDelivery? in
                guard let billing = billings[delivery.billingKey] else { return nil }
                return ClosedDelivery(
                    delivery: delivery, key: delivery.billingKey, billing: billing, bid: orders[delivery.bid], ask: orders[delivery.ask])
            }
            return ClosedPage(
                reopenings: try TableReader(connection).books().reopenings, deliveries: closed, unknown: found.count - known.count)
        }
    }

    private static func billings(
        of list: NumberList, _ connection: any SQLConnection
    ) throws -> [BillingKey: Billing] {
        let columns = TableColumns.billing.map { "b.\($0)" }.joined(separator: ", ")
        let rows = try connection.query(
            """
            SELECT DISTINCT \(columns) FROM deliveries d
            JOIN billings b ON b.bid = d.bid AND b.ask = d.ask AND b.rig = d.rig AND b.tariff = d.tariff
            WHERE \(list.condition("d.id", 1))
            """, [list.parameter])
        return Dictionary(try rows.map { try TableReader.billing($0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Those that are not in the exchange's state any more.
    private static func closedOrders(of list: NumberList, _ connection: any SQLConnection) throws -> [OrderID: Order] {
        let rows = try connection.query(
            """
            SELECT \(TableColumns.order.joined(separator: ", ")) FROM orders
            WHERE live = 0 AND id IN (
                SELECT bid FROM deliveries WHERE \(list.condition("id", 1))
                UNION SELECT ask FROM deliveries WHERE \(list.condition("id", 1)))
            """, [list.parameter])
        return Dictionary(try rows.map { try TableReader.order($0) }.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Retention has not let go of any of its minutes.
    private static func hasItsSlots(_ delivery: Delivery, _ connection: any SQLConnection) throws -> Bool {
        let row = try connection.queryOne("SELECT kept_from FROM retention WHERE name = 'meter_slots'")
        guard let row else { return true }
        let keptFrom = Timestamp(microseconds: try row.int64(0))
        return delivery.openedAt - ReportMarks.margin >= keptFrom
    }
}
