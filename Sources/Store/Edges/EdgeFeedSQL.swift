internal import Database
internal import Routing
internal import Units

/// The rows of the feed, in the database and in an edge's copy of it.
enum EdgeFeedSQL {
    static let rigColumns = ["rig", "serial", "stratum_user", "password_digest", "fallback"]
    static let poolColumns = ["target", "serial", "url", "pool_user", "pool_password"]
    static let routeColumns = [
        "rig", "serial", "position", "delivery", "bid", "targets", "valid_until", "max_work", "max_difficulty", "hashrate",
    ]

    static func values(_ row: EdgeRigRow, serial: Int64) -> [SQLValue] {
        [
            .integer(row.rig.rawValue), .integer(serial), .text(row.user), .blob(row.passwordDigest),
            .integer(row.fallback.rawValue),
        ]
    }

    static func values(_ row: EdgePoolRow, serial: Int64) -> [SQLValue] {
        [.integer(row.target.rawValue), .integer(serial), .text(row.url), .text(row.user), .text(row.password)]
    }

    static func values(_ update: RouteUpdate, serial: Int64) -> [SQLValue] {
        let route = update.route
        return [
            .integer(update.rig.rawValue), .integer(serial), .integer(update.position), SQLValue(route?.delivery.rawValue),
            SQLValue(route?.bid.rawValue), SQLValue(route.map { $0.targets.map(\.description).joined(separator: ",") }),
            SQLValue(route?.validUntil.microseconds), SQLValue(route?.maxWork.units), SQLValue(route?.maxDifficulty.units),
            SQLValue(route?.hashrate.hashesPerSecond),
        ]
    }

    /// Everything beyond a serial.
    static func changes(after serial: Int64, _ connection: any SQLConnection) throws -> EdgeChanges {
        var changes = EdgeChanges()
        try connection.forEach(
            "SELECT rig, stratum_user, password_digest, fallback FROM edge_rigs WHERE serial > $1", [.integer(serial)]
        ) { row in
            changes.rigs.append(EdgeRigRow(
                rig: RigID(try row.int64(0)), user: try row.text(1), passwordDigest: try row.blob(2),
                fallback: PoolTargetID(try row.int64(3))))
        }
        try connection.forEach(
            "SELECT target, url, pool_user, pool_password FROM edge_pools WHERE serial > $1", [.integer(serial)]
        ) { row in
            changes.pools.append(EdgePoolRow(
                target: PoolTargetID(try row.int64(0)), url: try row.text(1), user: try row.text(2),
                password: try row.text(3)))
        }
        try connection.forEach(
            """
            SELECT rig, position, delivery, bid, targets, valid_until, max_work, max_difficulty, hashrate FROM edge_routes
            WHERE serial > $1
            """, [.integer(serial)]
        ) { row in changes.routes.append(try route(row)) }
        return changes
    }

    private static func route(_ row: SQLRow) throws -> RouteUpdate {
        var update = RouteUpdate(rig: RigID(try row.int64(0)), position: try row.int64(1), route: nil)
        guard let delivery = try row.optionalInt64(2) else { return update }
        let targets = try row.text(4).split(separator: ",").map { name throws(DatabaseError) in
            guard let number = Int64(name) else { throw .decoding("a route's targets") }
            return PoolTargetID(number)
        }
        update.route = Route(
            delivery: DeliveryID(delivery), bid: OrderID(try row.int64(3)), targets: targets,
            validUntil: Timestamp(microseconds: try row.int64(5)), maxWork: Work(units: try row.int64(6)),
            maxDifficulty: ShareDifficulty(units: try row.int64(7)), hashrate: Hashrate(hashesPerSecond: try row.int64(8)))
        return update
    }

    /// Changes a row only if it says something else.
    static func upsert(
        _ table: String, _ columns: [String], key: String, unlike compared: [String], where condition: String = ""
    ) -> String {
        let changed = columns.filter { $0 != key }
        let mine = compared.map { "\(table).\($0)" }.joined(separator: ", ")
        let new = compared.map { "excluded.\($0)" }.joined(separator: ", ")
        return """
            INSERT INTO \(table) (\(columns.joined(separator: ", ")))
            VALUES (\(columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")))
            ON CONFLICT (\(key)) DO UPDATE SET \(changed.map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
            WHERE \(condition)(\(mine)) IS DISTINCT FROM (\(new))
            """
    }
}
