internal import BinaryCoding
public import Database
public import Exchange
public import Units

/// What an edge reports.
public struct EdgeReport: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The edge started anew: its rigs' sessions before this one are over.
        case started(session: Int64)
        case rigOnline(RigID, session: Int64, versionMask: UInt32)
        case rigOffline(RigID, session: Int64)
        case rigMeasured(RigID, session: Int64, Hashrate)
        case poolsUnusable(DeliveryID, reason: String)
        case underDelivered(DeliveryID, Hashrate)
        /// A miner came as a worker of a farm that is no rig yet; `request` is named in a refusal.
        case workerCame(FarmID, worker: String, request: Int64)
        case blockFound(BlockReport)
        case blockJudged(hash: [UInt8], BlockVerdict, poolError: Int64)
    }

    public var at: Timestamp
    public var kind: Kind

    public init(at: Timestamp, kind: Kind) {
        self.at = at
        self.kind = kind
    }
}

/// A report as it waits for the server.
public struct WaitingReport: Hashable, Sendable {
    public var id: Int64
    public var edge: EdgeID
    /// nil: this version cannot read it.
    public var report: EdgeReport?
}

/// An edge's worker cannot become a rig.
public struct WorkerRefusal: Hashable, Sendable {
    public var edge: EdgeID
    /// Of the report that asked.
    public var request: Int64
    /// For the miner.
    public var reason: String

    public init(edge: EdgeID, request: Int64, reason: String) {
        self.edge = edge
        self.request = request
        self.reason = reason
    }
}

/// Edges' reports in Postgres, and where rigs have been.
public struct EdgeReportStore: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    // MARK: - The edge's side

    /// All or none; they are taken in this order.
    public func add(_ reports: [EdgeReport], of edge: EdgeID) async throws {
        guard !reports.isEmpty else { return }
        _ = try await database.write { connection in
            try connection.executeMany(
                """
                INSERT INTO edge_reports (edge, at, kind, subject, session, value, reason, body)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                rows: reports.map { EdgeReportStore.values($0, edge) })
        }
    }

    private static func values(_ report: EdgeReport, _ edge: EdgeID) -> [SQLValue] {
        func row(
            _ kind: Int64, _ subject: Int64, _ session: Int64 = 0, _ value: Int64 = 0, _ reason: String = "", body: [UInt8]? = nil
        ) -> [SQLValue] {
            [
                .integer(edge.rawValue), .integer(report.at.microseconds), .integer(kind), .integer(subject), .integer(session),
                .integer(value), .text(storable(reason)), body.map { .blob($0) } ?? .null,
            ]
        }
        return switch report.kind {
        case .started(let session): row(1, 0, session)
        case .rigOnline(let rig, let session, let mask): row(2, rig.rawValue, session, Int64(mask))
        case .rigOffline(let rig, let session): row(3, rig.rawValue, session)
        case .rigMeasured(let rig, let session, let hashrate): row(4, rig.rawValue, session, hashrate.hashesPerSecond)
        case .poolsUnusable(let delivery, let reason):
            row(5, delivery.rawValue, 0, 0, reason)
        case .underDelivered(let delivery, let hashrate): row(6, delivery.rawValue, 0, hashrate.hashesPerSecond)
        case .workerCame(let farm, let worker, let request): row(7, farm.rawValue, request, 0, worker)
        case .blockFound(let block): row(8, block.rig.rawValue, body: encoded(block))
        case .blockJudged(let hash, let verdict, let error): row(9, 0, Int64(verdict.rawValue), error, body: hash)
        }
    }

    private static func encoded(_ block: BlockReport) -> [UInt8] {
        var writer = BinaryWriter(reservingCapacity: 512)
        block.encode(into: &writer)
        return writer.bytes
    }

    /// Postgres has no texts with zeros.
    private static func storable(_ text: String) -> String {
        String(text.unicodeScalars.filter { $0.value != 0 }.prefix(500).map(Character.init))
    }

    /// Takes the refusals for an edge away.
    public func takeRefusals(of edge: EdgeID) async throws -> [WorkerRefusal] {
        try await database.write { connection in
            try connection.query("DELETE FROM edge_refusals WHERE edge = $1 RETURNING request, reason", [.integer(edge.rawValue)]).map {
                WorkerRefusal(edge: edge, request: try $0.int64(0), reason: try $0.text(1))
            }
        }
    }

    // MARK: - The server's side

    /// Those that have waited for longest, in order.
    public func waiting(most: Int) async throws -> [WaitingReport] {
        try await database.read { connection in
            try connection.query(
                "SELECT id, edge, at, kind, subject, session, value, reason, body FROM edge_reports ORDER BY id LIMIT $1",
                [.integer(Int64(most))]
            ).map { row in
                WaitingReport(
                    id: try row.int64(0), edge: EdgeID(try row.int64(1)),
                    report: try EdgeReportStore.kind(row).map { EdgeReport(at: Timestamp(microseconds: try row.int64(2)), kind: $0) })
            }
        }
    }

    private static func kind(_ row: SQLRow) throws -> EdgeReport.Kind? {
        let (subject, session, value) = (try row.int64(4), try row.int64(5), try row.int64(6))
        switch try row.int64(3) {
        case 1: return .started(session: session)
        case 2: return .rigOnline(RigID(subject), session: session, versionMask: UInt32(clamping: value))
        case 3: return .rigOffline(RigID(subject), session: session)
        case 4: return .rigMeasured(RigID(subject), session: session, Hashrate(hashesPerSecond: value))
        case 5: return .poolsUnusable(DeliveryID(subject), reason: try row.text(7))
        case 6: return .underDelivered(DeliveryID(subject), Hashrate(hashesPerSecond: value))
        case 7: return .workerCame(FarmID(subject), worker: try row.text(7), request: session)
        case 8: return block(try row.blob(8)).map { .blockFound($0) }
        case 9:
            let verdict = UInt8(exactly: session).flatMap { BlockVerdict(rawValue: $0) }
            let hash = try row.blob(8)
            return verdict.map { .blockJudged(hash: hash, $0, poolError: value) }
        default: return nil
        }
    }

    private static func block(_ bytes: [UInt8]) -> BlockReport? {
        var reader = BinaryReader(bytes)
        do throws(BinaryCodingError) {
            let block = try BlockReport(from: &reader)
            try reader.finish()
            return block
        } catch { return nil }
    }

    /// They are committed; who asked in vain is told so.
    public func remove(_ reports: ArraySlice<WaitingReport>, refusing refusals: [WorkerRefusal] = []) async throws {
        guard !reports.isEmpty else { return }
        let ids = reports.map { String($0.id) }.joined(separator: ",")
        try await database.write { connection in
            _ = try connection.execute(
                "DELETE FROM edge_reports WHERE id = ANY (CAST(CAST($1 AS TEXT) AS BIGINT[]))", [.text("{\(ids)}")])
            guard !refusals.isEmpty else { return }
            // Who asked has long given up.
            try connection.execute("DELETE FROM edge_refusals WHERE at < clock_timestamp() - INTERVAL '1 minute'")
            try connection.executeMany(
                "INSERT INTO edge_refusals (edge, request, reason) VALUES ($1, $2, $3)",
                rows: refusals.map { [.integer($0.edge.rawValue), .integer($0.request), .text($0.reason)] })
        }
    }

    /// Notes where rigs are, before anything is sold there.
    public func note(_ places: [(rig: RigID, edge: EdgeID, at: Timestamp)]) async throws {
        guard !places.isEmpty else { return }
        let left = places.map { [SQLValue($0.rig.rawValue), SQLValue($0.edge.rawValue), SQLValue($0.at.microseconds)] }
        let found = places.map { [SQLValue($0.rig.rawValue), SQLValue($0.edge.rawValue)] }
        _ = try await database.write { connection in
            try connection.executeMany(
                "UPDATE edge_places SET left_at = $3 WHERE rig = $1 AND edge <> $2 AND left_at IS NULL", rows: left)
            try connection.executeMany(
                """
                INSERT INTO edge_places (rig, edge) VALUES ($1, $2)
                ON CONFLICT (rig, edge) DO UPDATE SET left_at = NULL WHERE edge_places.left_at IS NOT NULL
                """, rows: found)
        }
    }
}
