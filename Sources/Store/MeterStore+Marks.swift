internal import Database
public import Market
public import Units

extension MeterStore {
    public func watermark() async throws -> Timestamp {
        try await database.read { try MeterStore.watermark($0) }
    }

    /// The slowest of the edges that may have work of unsettled deliveries sets the mark; where that is not known, of all edges.
    static func watermark(_ connection: any SQLConnection) throws -> Timestamp {
        let marks = try marks(connection)
        let concerned = try concerned(connection).compactMap { marks[$0] ?? Timestamp(microseconds: 0) }
        return concerned.min() ?? marks.values.min() ?? Timestamp(microseconds: 0)
    }

    public func reportMarks(of rigs: Set<RigID>) async throws -> ReportMarks {
        try await database.read { connection in
            var marks = ReportMarks(edges: try MeterStore.marks(connection))
            guard connection.dialect == .postgres, !rigs.isEmpty else { return marks }
            let list = rigs.map(\.description).joined(separator: ",")
            let rows = try connection.query(
                "SELECT rig, edge, left_at FROM edge_places WHERE rig = ANY (CAST(CAST($1 AS TEXT) AS BIGINT[]))",
                [.text("{\(list)}")])
            for row in rows {
                marks.places[RigID(try row.int64(0)), default: []].append(ReportMarks.Place(
                    edge: EdgeID(try row.int64(1)), leftAt: try row.optionalInt64(2).map { Timestamp(microseconds: $0) }))
            }
            return marks
        }
    }

    /// Until when each edge's reports are complete. One that has shipped nothing yet is until its spool was made.
    private static func marks(_ connection: any SQLConnection) throws -> [EdgeID: Timestamp] {
        var marks: [EdgeID: Timestamp] = [:]
        for row in try connection.query("SELECT edge, max(created_at) FROM edge_epochs GROUP BY edge") {
            marks[EdgeID(try row.int64(0))] = Timestamp(microseconds: try row.int64(1))
        }
        // From one edge to the next in the index: there are many batches and few edges.
        let shipped = try connection.query(
            """
            WITH RECURSIVE known AS (
                SELECT min(edge) AS edge FROM batches
                UNION ALL
                SELECT (SELECT min(b.edge) FROM batches b WHERE b.edge > known.edge) FROM known WHERE known.edge IS NOT NULL
            )
            SELECT edge, (SELECT max(b.complete_until) FROM batches b WHERE b.edge = known.edge) FROM known
            WHERE edge IS NOT NULL
            """)
        for row in shipped { marks[EdgeID(try row.int64(0))] = Timestamp(microseconds: try row.int64(1)) }
        return marks
    }

    /// Edges that had rigs of unsettled deliveries.
    private static func concerned(_ connection: any SQLConnection) throws -> [EdgeID] {
        guard connection.dialect == .postgres else { return [] }
        return try connection.query(
            """
            SELECT DISTINCT p.edge FROM deliveries d JOIN edge_places p ON p.rig = d.rig
            WHERE d.live = 1 AND (p.left_at IS NULL OR p.left_at >= d.opened_at - $1)
            """, [.integer(ReportMarks.margin.microseconds)]
        ).map { EdgeID(try $0.int64(0)) }
    }
}
