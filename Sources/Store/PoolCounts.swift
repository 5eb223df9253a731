internal import Database

/// What went to a pool target and what came back, from the shares themselves.
public struct PoolCount: Hashable, Sendable {
    public var target: Int64
    public var owner: Int64
    public var name: String
    public var url: String
    public var poolUser: String
    public var validShares: Int64
    public var validWork: Int64
    public var forwarded: Int64
    public var accepted: Int64
    public var rejected: Int64
    /// Forwarded, and no answer known.
    public var unanswered: Int64
}

extension ReportStore {
    /// Per pool target, what was metered and forwarded, and how the pool answered.
    public func poolCounts() async throws -> [PoolCount] {
        try await database.read { connection in
            let rows = try connection.query(
                """
                SELECT t.id, t.owner, t.name, t.url, t.pool_user,
                       CAST(coalesce(sum(CASE WHEN s.verdict = 1 THEN 1 ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.verdict = 1 THEN s.difficulty ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(s.forwarded), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.pool_reply = 1 THEN 1 ELSE 0 END), 0) AS BIGINT),
                       CAST(coalesce(sum(CASE WHEN s.pool_reply = 2 THEN 1 ELSE 0 END), 0) AS BIGINT)
                FROM pool_targets t
                LEFT JOIN jobs j ON j.target = t.id
                LEFT JOIN shares s ON s.edge = j.edge AND s.epoch = j.epoch AND s.job = j.number
                GROUP BY t.id, t.owner, t.name, t.url, t.pool_user
                ORDER BY t.id
                """, [])
            return try rows.map { row in
                let (forwarded, accepted, rejected) = (try row.int64(7), try row.int64(8), try row.int64(9))
                return PoolCount(
                    target: try row.int64(0), owner: try row.int64(1), name: try row.text(2), url: try row.text(3),
                    poolUser: try row.text(4), validShares: try row.int64(5), validWork: try row.int64(6),
                    forwarded: forwarded, accepted: accepted, rejected: rejected,
                    unanswered: forwarded - accepted - rejected)
            }
        }
    }
}
