public import Database
public import Units

/// What an edge tells about itself with each sign of life.
public struct EdgeBeat: Sendable {
    public var version: String
    public var url: String
    public var rigs: Int64
    /// nil before it is known.
    public var clockAhead: Interval?
    public var isSelling: Bool
    /// Sealed batches that wait in its spool.
    public var backlog: Int64

    public init(version: String, url: String, rigs: Int64, clockAhead: Interval?, isSelling: Bool, backlog: Int64) {
        self.version = version
        self.url = url
        self.rigs = rigs
        self.clockAhead = clockAhead
        self.isSelling = isSelling
        self.backlog = backlog
    }
}

/// What the database answers to a sign of life.
public struct EdgeBeatAnswer: Sendable {
    public var now: Timestamp
    /// Rises when the edge's rigs were counted as away.
    public var resync: Int64
}

/// An edge as the database knows it.
public struct EdgeRow: Hashable, Sendable {
    public var edge: EdgeID
    public var name: String
    public var version: String
    public var url: String
    public var rigs: Int64
    /// Since its last sign of life, by the database's clock; nil if there was none.
    public var silence: Interval?
    /// How many signs of life there were.
    public var beats: Int64
    public var clockAhead: Interval?
    public var isSelling: Bool
    public var backlog: Int64
    public var figuresAt: Timestamp?
}

/// What came of asking for a name.
public enum EdgeClaim: Hashable, Sendable {
    case granted(EdgeID)
    /// Another process has it; how long ago it gave its last sign of life.
    case taken(silence: Interval)
}

/// The edges of a market in Postgres.
public struct EdgeRegister: Sendable {
    /// A name is free for others after so much silence of its holder.
    public static let lease = Interval.seconds(10)

    private let database: Database
    private let lease: Interval

    /// - Parameter lease: how long a name is its holder's without a sign of life
    public init(_ database: Database, lease: Interval = EdgeRegister.lease) {
        self.database = database
        self.lease = lease
    }

    /// Asks for a name, which is given a number when it is new.
    ///
    /// - Parameter holder: a secret of the caller's, by which it is known again
    public func claim(_ name: String, holder: [UInt8]) async throws -> EdgeClaim {
        try await database.write { [leaseSQL] connection in
            // One claim of a new name after the other.
            try connection.execute("LOCK TABLE edges IN SHARE ROW EXCLUSIVE MODE")
            try connection.execute(
                """
                INSERT INTO edges (edge, name)
                SELECT 1 + greatest((SELECT max(edge) FROM edges), (SELECT max(edge) FROM edge_epochs)), CAST($1 AS TEXT)
                WHERE NOT EXISTS (SELECT FROM edges WHERE name = $1)
                """, [.text(name)])
            let granted = try connection.queryOne(
                """
                UPDATE edges SET holder = $2, held_until = clock_timestamp() + \(leaseSQL)
                WHERE name = $1 AND edge > 1 AND (holder IS NULL OR holder = $2 OR held_until < clock_timestamp()) RETURNING edge
                """, [.text(name), .blob(holder)])
            if let granted { return .granted(EdgeID(try granted.int64(0))) }
            let known = try connection.queryOne(
                "SELECT CAST(extract(epoch FROM clock_timestamp() - seen_at) * 1000000 AS BIGINT) FROM edges WHERE name = $1",
                [.text(name)])
            return .taken(silence: Interval(microseconds: max(0, try known?.int64(0) ?? 0)))
        }
    }

    /// A sign of life; nil if another process has the name now.
    ///
    /// - Parameter sending: called when the question goes off, `received` when the answer is there
    public func beat(
        _ edge: EdgeID, holder: [UInt8], _ beat: EdgeBeat, sending: @escaping @Sendable () -> Void,
        received: @escaping @Sendable () -> Void
    ) async throws -> EdgeBeatAnswer? {
        try await database.write { [leaseSQL] connection in
            sending()
            let row = try connection.queryOne(
                """
                UPDATE edges SET seen_at = clock_timestamp(), held_until = clock_timestamp() + \(leaseSQL),
                    beats = beats + 1, version = $3, url = $4, rigs = $5, clock_ahead = $6, is_selling = $7, backlog = $8
                WHERE edge = $1 AND holder = $2
                RETURNING CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT), resync
                """,
                [
                    .integer(edge.rawValue), .blob(holder), .text(beat.version), .text(beat.url), .integer(beat.rigs),
                    SQLValue(beat.clockAhead?.microseconds), SQLValue(beat.isSelling), .integer(beat.backlog),
                ])
            received()
            guard let row else { return nil }
            return EdgeBeatAnswer(now: Timestamp(microseconds: try row.int64(0)), resync: try row.int64(1))
        }
    }

    /// What the database's clock says.
    ///
    /// - Parameter sending: called when the question goes off, `received` when the answer is there
    public func time(
        sending: @escaping @Sendable () -> Void, received: @escaping @Sendable () -> Void
    ) async throws -> Timestamp {
        try await database.read { connection in
            sending()
            let row = try connection.queryOne("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
            received()
            return Timestamp(microseconds: try row?.int64(0) ?? 0)
        }
    }

    /// The process ends: its name is free.
    public func resign(_ edge: EdgeID, holder: [UInt8]) async throws {
        _ = try await database.write { connection in
            try connection.execute(
                "UPDATE edges SET held_until = 'epoch', rigs = 0 WHERE edge = $1 AND holder = $2",
                [.integer(edge.rawValue), .blob(holder)])
        }
    }

    /// The edges that ever served.
    public func edges() async throws -> [EdgeRow] {
        try await database.read { connection in
            try connection.query(
                """
                SELECT edge, name, version, url, rigs,
                    CASE WHEN beats > 0 THEN CAST(extract(epoch FROM clock_timestamp() - seen_at) * 1000000 AS BIGINT) END,
                    beats, clock_ahead, is_selling, backlog, figures_at
                FROM edges WHERE beats > 0 ORDER BY edge
                """
            ).map { row in
                EdgeRow(
                    edge: EdgeID(try row.int64(0)), name: try row.text(1), version: try row.text(2), url: try row.text(3),
                    rigs: try row.int64(4), silence: try row.optionalInt64(5).map { Interval(microseconds: max(0, $0)) },
                    beats: try row.int64(6), clockAhead: try row.optionalInt64(7).map { Interval(microseconds: $0) },
                    isSelling: try row.bool(8), backlog: try row.int64(9),
                    figuresAt: try row.optionalInt64(10).map { Timestamp(microseconds: $0) })
            }
        }
    }

    /// Its rigs are counted as away: when it comes back it is to report them again.
    public func askAgain(_ edge: EdgeID) async throws {
        _ = try await database.write { connection in
            try connection.execute("UPDATE edges SET resync = resync + 1 WHERE edge = $1", [.integer(edge.rawValue)])
        }
    }

    // MARK: - Live figures

    public func keepFigures(_ body: [UInt8], of edge: EdgeID, at: Timestamp) async throws {
        _ = try await database.write { connection in
            try connection.execute(
                """
                INSERT INTO edge_figures (edge, at, body) VALUES ($1, $2, $3)
                ON CONFLICT (edge) DO UPDATE SET at = excluded.at, body = excluded.body
                """, [.integer(edge.rawValue), .integer(at.microseconds), .blob(body)])
            try connection.execute(
                "UPDATE edges SET figures_at = $2 WHERE edge = $1", [.integer(edge.rawValue), .integer(at.microseconds)])
        }
    }

    public func figures(of edge: EdgeID) async throws -> (at: Timestamp, body: [UInt8])? {
        try await database.read { connection in
            try connection.queryOne("SELECT at, body FROM edge_figures WHERE edge = $1", [.integer(edge.rawValue)]).map {
                (Timestamp(microseconds: try $0.int64(0)), try $0.blob(1))
            }
        }
    }

    private var leaseSQL: String { "\(lease.microseconds) * INTERVAL '1 microsecond'" }
}
