internal import Database
internal import Metering
public import Units

extension MeterStore {
    public func billableWork(from: DeliveryID, through: DeliveryID) async throws -> [DeliveryID: Work] {
        try await database.read { connection in
            let since = try MeterStore.firstMinute(of: from, connection)
            let rows = try connection.query(
                """
                SELECT delivery, CAST(sum(billable_work) AS BIGINT) FROM meter_slots
                WHERE delivery BETWEEN $1 AND $2 AND minute >= $3 GROUP BY delivery
                """, [.integer(from.rawValue), .integer(through.rawValue), .integer(since)])
            var work: [DeliveryID: Work] = [:]
            for row in rows { work[DeliveryID(try row.int64(0))] = Work(units: try row.int64(1)) }
            return work
        }
    }

    /// No slot of this delivery or a later one is earlier, by a day's margin for clocks: older days need not be looked at.
    static func firstMinute(of delivery: DeliveryID, _ connection: any SQLConnection) throws -> Int64 {
        let row = try connection.queryOne("SELECT opened_at FROM deliveries WHERE id = $1", [.integer(delivery.rawValue)])
        return try row.map { Timestamp(microseconds: try $0.int64(0)).minute - 1440 } ?? .min
    }

    public func allotEpoch(edge: EdgeID, at: Timestamp) async throws -> Int64 {
        try await database.write { connection in
            guard let row = try connection.queryOne(
                """
                INSERT INTO edge_epochs (edge, epoch, created_at)
                SELECT CAST($1 AS BIGINT), coalesce(max(epoch), 0) + 1, CAST($2 AS BIGINT)
                FROM edge_epochs WHERE edge = $1
                RETURNING epoch
                """, [.integer(edge.rawValue), .integer(at.microseconds)])
            else { throw DatabaseError.decoding("no epoch came back") }
            return try row.int64(0)
        }
    }

    /// Billable work metered per delivery, to restore what routes were credited before a restart.
    public func credits(of deliveries: [DeliveryID]) async throws -> [DeliveryID: Work] {
        guard let first = deliveries.min(), let last = deliveries.max() else { return [:] }
        let known = Set(deliveries)
        return try await billableWork(from: first, through: last).filter { known.contains($0.key) }
    }

    /// The same for some deliveries of many, on Postgres.
    public func credits(ofFew deliveries: Set<DeliveryID>) async throws -> [DeliveryID: Work] {
        guard let first = deliveries.min() else { return [:] }
        let list = deliveries.map(\.description).joined(separator: ",")
        return try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT delivery, CAST(sum(billable_work) AS BIGINT) FROM meter_slots
                WHERE delivery = ANY (CAST(CAST($1 AS TEXT) AS BIGINT[])) AND minute >= $2 GROUP BY delivery
                """, [.text("{\(list)}"), .integer(try MeterStore.firstMinute(of: first, connection))])
            var work: [DeliveryID: Work] = [:]
            for row in rows { work[DeliveryID(try row.int64(0))] = Work(units: try row.int64(1)) }
            return work
        }
    }
}
