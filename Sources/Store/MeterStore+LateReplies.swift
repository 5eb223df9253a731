internal import Database
internal import Metering
internal import Units

/// Pools' answers to shares of other batches.
///
/// An answer names its share and when that was received, so only that day is searched. One whose share is not there yet
/// waits for it in `waiting_replies`.
struct LateReplies {
    private let connection: any SQLConnection

    init(_ connection: any SQLConnection) { self.connection = connection }

    func write(_ replies: [MeterRows.ShareName: PoolReplyRecord]) throws {
        guard !replies.isEmpty else { return }
        let sorted = replies.sorted { ($0.key.edge, $0.key.epoch, $0.key.number) < ($1.key.edge, $1.key.epoch, $1.key.number) }
        switch connection.dialect {
        case .sqlite: for (share, reply) in sorted { try write(reply, to: share) }
        case .postgres: try writeTogether(sorted)
        }
    }

    private func write(_ reply: PoolReplyRecord, to share: MeterRows.ShareName) throws {
        let place: [SQLValue] = [
            .integer(Int64(reply.reply.rawValue)), .integer(reply.errorCode), .integer(share.edge), .integer(share.epoch),
            .integer(share.number), .integer(reply.shareReceivedAt.microseconds),
        ]
        let found = try connection.execute(
            """
            UPDATE shares SET pool_reply = $1, pool_error = $2
            WHERE edge = $3 AND epoch = $4 AND number = $5 AND received_at = $6
            """, place)
        guard found == 0 else { return }
        try connection.execute(
            """
            INSERT INTO waiting_replies (pool_reply, pool_error, edge, epoch, number, received_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (edge, epoch, number) DO NOTHING
            """, place)
    }

    /// One statement for all, and a second one if some found no share. Arrays travel as text.
    private func writeTogether(_ replies: [(key: MeterRows.ShareName, value: PoolReplyRecord)]) throws {
        func array(_ number: (MeterRows.ShareName, PoolReplyRecord) -> Int64) -> SQLValue {
            .text("{" + replies.map { String(number($0.key, $0.value)) }.joined(separator: ",") + "}")
        }
        let times = replies.map(\.value.shareReceivedAt.microseconds)
        let parameters: [SQLValue] = [
            array { share, _ in share.edge }, array { share, _ in share.epoch }, array { share, _ in share.number },
            array { $1.shareReceivedAt.microseconds }, array { Int64($1.reply.rawValue) }, array { $1.errorCode },
            .integer(times.min() ?? 0), .integer(times.max() ?? 0),
        ]
        let found = try connection.execute(
            """
            UPDATE shares s SET pool_reply = r.pool_reply, pool_error = r.pool_error FROM \(LateReplies.rows)
            WHERE \(LateReplies.match)
            """, parameters)
        guard found < replies.count else { return }
        try connection.execute(
            """
            INSERT INTO waiting_replies (edge, epoch, number, received_at, pool_reply, pool_error)
            SELECT r.edge, r.epoch, r.number, r.received_at, r.pool_reply, r.pool_error FROM \(LateReplies.rows)
            WHERE NOT EXISTS (SELECT FROM shares s WHERE \(LateReplies.match))
            ON CONFLICT (edge, epoch, number) DO NOTHING
            """, parameters)
    }

    private static let rows = """
        unnest(
            CAST(CAST($1 AS TEXT) AS BIGINT[]), CAST(CAST($2 AS TEXT) AS BIGINT[]), CAST(CAST($3 AS TEXT) AS BIGINT[]),
            CAST(CAST($4 AS TEXT) AS BIGINT[]), CAST(CAST($5 AS TEXT) AS INTEGER[]), CAST(CAST($6 AS TEXT) AS BIGINT[])
        ) AS r (edge, epoch, number, received_at, pool_reply, pool_error)
        """

    private static let match = """
        s.edge = r.edge AND s.epoch = r.epoch AND s.number = r.number AND s.received_at = r.received_at
        AND s.received_at BETWEEN $7 AND $8
        """

    /// Gives shares the answers that came before them.
    func settleWaiting() throws {
        guard try connection.queryOne("SELECT 1 FROM waiting_replies LIMIT 1") != nil else { return }
        try connection.execute(
            """
            UPDATE shares SET pool_reply = w.pool_reply, pool_error = w.pool_error FROM waiting_replies w
            WHERE shares.edge = w.edge AND shares.epoch = w.epoch AND shares.number = w.number
              AND shares.received_at = w.received_at
            """)
        try connection.execute(
            """
            DELETE FROM waiting_replies WHERE EXISTS (
                SELECT 1 FROM shares s
                WHERE s.edge = waiting_replies.edge AND s.epoch = waiting_replies.epoch AND s.number = waiting_replies.number
                  AND s.received_at = waiting_replies.received_at AND s.pool_reply IS NOT NULL)
            """)
    }
}
