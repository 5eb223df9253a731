internal import Database
internal import Routing
internal import Units

/// The rows of the feed, in the database and in an edge's copy of it.
enum EdgeFeedSQL {
    static let rigColumns = ["rig", "serial", "stratum_user", "password_digest", "fallback", "owner", "is_curtailed"]
    static let farmColumns = ["farm", "serial", "stratum_user", "password_digest"]
    static let poolColumns = ["target", "serial", "url", "pool_user", "pool_password"]
    static let routeColumns = ["rig", "serial", "position", "routes", "unsold"]
    /// The columns of the market's rules, as ``rules(_:at:)`` reads them.
    static let ruleColumns = ["minimum_difficulty", "start_difficulty", "share_interval", "algorithm", "term"]

    static func values(_ row: EdgeRigRow, serial: Int64) -> [SQLValue] {
        [
            .integer(row.rig.rawValue), .integer(serial), .text(row.user), .blob(row.passwordDigest),
            .integer(row.fallback.rawValue), SQLValue(row.owner?.rawValue), .integer(row.isCurtailed ? 1 : 0),
        ]
    }

    static func values(_ row: EdgeFarmRow, serial: Int64) -> [SQLValue] {
        [.integer(row.farm.rawValue), .integer(serial), .text(row.user), .blob(row.passwordDigest)]
    }

    static func values(_ rules: EdgeRules?) -> [SQLValue] {
        [
            SQLValue(rules?.minimumDifficulty.units), SQLValue(rules?.startDifficulty.units),
            SQLValue(rules?.shareInterval.microseconds), SQLValue(rules?.algorithm.rawValue), SQLValue(rules?.term.microseconds),
        ]
    }

    /// The rules from the columns at `first` and after it; nil where there are none.
    static func rules(_ row: SQLRow, at first: Int) throws -> EdgeRules? {
        guard let minimum = try row.optionalInt64(first) else { return nil }
        guard let algorithm = Algorithm(rawValue: try row.text(first + 3)) else { throw DatabaseError.decoding("an algorithm") }
        return EdgeRules(
            minimumDifficulty: ShareDifficulty(units: minimum), startDifficulty: ShareDifficulty(units: try row.int64(first + 1)),
            shareInterval: Interval(microseconds: try row.int64(first + 2)), algorithm: algorithm,
            term: Interval(microseconds: try row.int64(first + 4)))
    }

    static func values(_ row: EdgePoolRow, serial: Int64) -> [SQLValue] {
        [.integer(row.target.rawValue), .integer(serial), .text(row.url), .text(row.user), .text(row.password)]
    }

    static func values(_ update: RouteUpdate, serial: Int64) -> [SQLValue] {
        [
            .integer(update.rig.rawValue), .integer(serial), .integer(update.position),
            .text(update.routes.map(text).joined(separator: ";")), .integer(update.unsold.hashesPerSecond),
        ]
    }

    /// delivery,bid,target/target,until,work,difficulty,hashrate,allowance
    private static func text(_ route: Route) -> String {
        let targets = route.targets.map(\.description).joined(separator: "/")
        let numbers = [
            route.validUntil.microseconds, route.maxWork.units, route.maxDifficulty.units, route.hashrate.hashesPerSecond,
            route.allowance.units,
        ]
        return (["\(route.delivery.rawValue)", "\(route.bid.rawValue)", targets] + numbers.map(String.init)).joined(separator: ",")
    }

    /// Everything beyond a serial.
    static func changes(after serial: Int64, _ connection: any SQLConnection) throws -> EdgeChanges {
        var changes = EdgeChanges()
        try connection.forEach(
            "SELECT rig, stratum_user, password_digest, fallback, owner, is_curtailed FROM edge_rigs WHERE serial > $1",
            [.integer(serial)]
        ) { row in
            changes.rigs.append(EdgeRigRow(
                rig: RigID(try row.int64(0)), user: try row.text(1), passwordDigest: try row.blob(2),
                fallback: PoolTargetID(try row.int64(3)), owner: try row.optionalInt64(4).map { AccountID($0) },
                isCurtailed: try row.int64(5) != 0))
        }
        try connection.forEach(
            "SELECT farm, stratum_user, password_digest FROM edge_farms WHERE serial > $1", [.integer(serial)]
        ) { row in
            changes.farms.append(EdgeFarmRow(
                farm: FarmID(try row.int64(0)), user: try row.text(1), passwordDigest: try row.blob(2)))
        }
        try connection.forEach(
            "SELECT target, url, pool_user, pool_password FROM edge_pools WHERE serial > $1", [.integer(serial)]
        ) { row in
            changes.pools.append(EdgePoolRow(
                target: PoolTargetID(try row.int64(0)), url: try row.text(1), user: try row.text(2),
                password: try row.text(3)))
        }
        try connection.forEach(
            "SELECT rig, position, routes, unsold FROM edge_routes WHERE serial > $1", [.integer(serial)]
        ) { row in
            changes.routes.append(RouteUpdate(
                rig: RigID(try row.int64(0)), position: try row.int64(1), routes: try routes(try row.text(2)),
                unsold: Hashrate(hashesPerSecond: try row.int64(3))))
        }
        return changes
    }

    private static func routes(_ text: String) throws -> [Route] {
        try text.split(separator: ";").map { part in
            let fields = part.split(separator: ",", omittingEmptySubsequences: false)
            let numbers = fields.indices.filter { $0 != 2 }.compactMap { Int64(fields[$0]) }
            let targets = fields.count == 8 ? fields[2].split(separator: "/").compactMap { Int64($0) } : []
            guard numbers.count == 7, !targets.isEmpty, numbers[4] >= 1 else { throw DatabaseError.decoding("a route") }
            return Route(
                delivery: DeliveryID(numbers[0]), bid: OrderID(numbers[1]), targets: targets.map { PoolTargetID($0) },
                validUntil: Timestamp(microseconds: numbers[2]), maxWork: Work(units: numbers[3]),
                maxDifficulty: ShareDifficulty(units: numbers[4]), hashrate: Hashrate(hashesPerSecond: numbers[5]),
                allowance: Work(units: numbers[6]))
        }
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
