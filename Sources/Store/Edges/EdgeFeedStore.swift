public import Database
internal import Routing
internal import Units

/// What edges are told, in Postgres: published by the server that writes, followed by edges.
public struct EdgeFeedStore: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    // MARK: - Publishing

    /// Becomes the publisher: whoever was it before publishes no more.
    public func take() async throws -> Int64 {
        try await database.write { connection in
            let row = try connection.queryOne(
                "UPDATE edge_feed SET publisher = publisher + 1, published_at = clock_timestamp() WHERE id = 1 RETURNING publisher")
            guard let row else { throw DatabaseError.decoding("edge_feed is empty") }
            return try row.int64(0)
        }
    }

    /// Publishes changes in one transaction; false if another server is the publisher.
    ///
    /// - Parameter position: of the journal, that the changes bring edges to
    public func publish(_ changes: EdgeChanges, position: Int64, publisher: Int64) async throws -> Bool {
        try await database.write { connection in
            guard let serial = try raise(position, nil, publisher, connection) else { return false }
            try write(changes, serial, connection)
            return true
        }
    }

    /// Publishes everything: what is missing in `all` is unsold. What edges know already is not sent to them again.
    public func publishAll(_ all: EdgeChanges, position: Int64, rules: EdgeRules, publisher: Int64) async throws -> Bool {
        try await database.write { connection in
            guard let serial = try raise(position, rules, publisher, connection) else { return false }
            try write(all, serial, connection)
            let sold = all.routes.filter { !$0.routes.isEmpty }.map(\.rig.description).joined(separator: ",")
            try connection.execute(
                """
                UPDATE edge_routes SET serial = $1, position = $2, routes = '', unsold = 0
                WHERE routes <> '' AND rig <> ALL (CAST(CAST($3 AS TEXT) AS BIGINT[]))
                """, [.integer(serial), .integer(position), .text("{\(sold)}")])
            return true
        }
    }

    /// The publisher lives; false if another server is the publisher.
    public func signOfLife(publisher: Int64) async throws -> Bool {
        try await database.write { connection in
            try connection.execute(
                "UPDATE edge_feed SET published_at = clock_timestamp() WHERE id = 1 AND publisher = $1", [.integer(publisher)]) == 1
        }
    }

    private func raise(
        _ position: Int64, _ rules: EdgeRules?, _ publisher: Int64, _ connection: any SQLConnection
    ) throws -> Int64? {
        try connection.queryOne(
            """
            UPDATE edge_feed SET serial = serial + 1, position = greatest(position, $2), published_at = clock_timestamp(),
                minimum_difficulty = coalesce($3, minimum_difficulty), start_difficulty = coalesce($4, start_difficulty),
                share_interval = coalesce($5, share_interval), algorithm = coalesce($6, algorithm), term = coalesce($7, term)
            WHERE id = 1 AND publisher = $1 RETURNING serial
            """,
            [.integer(publisher), .integer(position)] + EdgeFeedSQL.values(rules))?.int64(0)
    }

    private func write(_ changes: EdgeChanges, _ serial: Int64, _ connection: any SQLConnection) throws {
        try connection.executeMany(EdgeFeedStore.upsertPool, rows: changes.pools.map { EdgeFeedSQL.values($0, serial: serial) })
        try connection.executeMany(EdgeFeedStore.upsertRig, rows: changes.rigs.map { EdgeFeedSQL.values($0, serial: serial) })
        try connection.executeMany(EdgeFeedStore.upsertFarm, rows: changes.farms.map { EdgeFeedSQL.values($0, serial: serial) })
        let sold = changes.routes.filter { !$0.routes.isEmpty }
        try connection.executeMany(EdgeFeedStore.upsertRoute, rows: sold.map { EdgeFeedSQL.values($0, serial: serial) })
        // A rig that was never sold has no row, and needs none.
        let unsold = changes.routes.filter(\.routes.isEmpty)
        try connection.executeMany(
            """
            UPDATE edge_routes SET serial = $2, position = $3, routes = '', unsold = 0
            WHERE rig = $1 AND routes <> '' AND position < $3
            """, rows: unsold.map { [.integer($0.rig.rawValue), .integer(serial), .integer($0.position)] })
    }

    private static let upsertRig = EdgeFeedSQL.upsert(
        "edge_rigs", EdgeFeedSQL.rigColumns, key: "rig", unlike: ["stratum_user", "password_digest", "fallback", "owner", "is_curtailed"])
    private static let upsertFarm = EdgeFeedSQL.upsert(
        "edge_farms", EdgeFeedSQL.farmColumns, key: "farm", unlike: ["stratum_user", "password_digest"])
    private static let upsertPool = EdgeFeedSQL.upsert(
        "edge_pools", EdgeFeedSQL.poolColumns, key: "target", unlike: ["url", "pool_user", "pool_password"])
    private static let upsertRoute = EdgeFeedSQL.upsert(
        "edge_routes", EdgeFeedSQL.routeColumns, key: "rig",
        unlike: ["routes", "unsold"],
        where: "edge_routes.position < excluded.position AND ")

    // MARK: - Following

    /// Looks for what is new since a mark, in one snapshot.
    public func look(since known: EdgeFeedMark) async throws -> EdgeFeedLook {
        try await database.read { connection in
            let row = try connection.queryOne(
                """
                SELECT serial, position, CAST(extract(epoch FROM clock_timestamp() - published_at) * 1000000 AS BIGINT),
                    \(EdgeFeedSQL.ruleColumns.joined(separator: ", "))
                FROM edge_feed WHERE id = 1
                """)
            guard let row else { throw DatabaseError.decoding("edge_feed is empty") }
            let mark = EdgeFeedMark(serial: try row.int64(0), position: try row.int64(1))
            var look = EdgeFeedLook(
                mark: mark, rules: try EdgeFeedSQL.rules(row, at: 3), changes: EdgeChanges(),
                silence: Interval(microseconds: max(0, try row.int64(2))))
            if mark.serial > known.serial { look.changes = try EdgeFeedSQL.changes(after: known.serial, connection) }
            return look
        }
    }
}
