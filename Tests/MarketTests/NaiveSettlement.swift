import Database
import MarketTestSupport
import Testing

/// What should have been billed, in plain SQL over the raw shares: none of the product's code.
///
/// Sums of the tests' small numbers keep within 64 bits; integers divide by rounding down on both engines.
enum NaiveSettlement {
    /// A delivery's work by class.
    private static let deliveries = """
        WITH minutes AS (
            SELECT delivery, received_at / 60000000 AS minute,
                   CAST(sum(CASE WHEN verdict = 1 AND billable = 1 THEN difficulty ELSE 0 END) AS BIGINT) AS billable,
                   CAST(sum(CASE WHEN forwarded = 1 THEN 1 ELSE 0 END) AS BIGINT) AS forwarded,
                   CAST(sum(CASE WHEN pool_reply IN (2, 3) THEN 1 ELSE 0 END) AS BIGINT) AS failed
            FROM shares WHERE delivery > 0 GROUP BY delivery, received_at / 60000000
        ), faults AS (
            SELECT delivery, minute, billable, CASE WHEN forwarded > 0 THEN billable * failed / forwarded ELSE 0 END AS fault,
                   CASE WHEN failed > 0 AND 100 * failed >= 5 * forwarded THEN 1 ELSE 0 END AS is_incident
            FROM minutes
        ), islands AS (
            SELECT delivery, fault, minute - row_number() OVER (PARTITION BY delivery ORDER BY minute) AS island
            FROM faults WHERE is_incident = 1
        ), incidents AS (
            SELECT i.delivery, sum(i.fault) - min(d.hashrate * 30 / 65536) AS beyond
            FROM islands i JOIN deliveries d ON d.id = i.delivery GROUP BY i.delivery, i.island
        ), excess AS (
            SELECT delivery, sum(CASE WHEN beyond > 0 THEN beyond ELSE 0 END) AS excess FROM incidents GROUP BY delivery
        ), verified AS (
            SELECT delivery, sum(billable) AS billable, sum(fault) AS fault FROM faults GROUP BY delivery
        ), due AS (
            SELECT d.id, d.bid, d.ask, d.rig, d.tariff, d.price, d.price_unit, d.seller_fee_ppm, d.buyer_fee_ppm,
                   coalesce(e.excess, 0) AS excess, coalesce(v.fault, 0) - coalesce(e.excess, 0) AS fault,
                   coalesce(v.billable, 0) - coalesce(e.excess, 0) AS due,
                   d.hashrate * (d.ended_at - d.opened_at) * 105 / 6553600000000 + d.allowance AS cap
            FROM deliveries d LEFT JOIN verified v ON v.delivery = d.id LEFT JOIN excess e ON e.delivery = d.id
        ), billed AS (
            SELECT due.*, CAST(CASE WHEN due < cap THEN due ELSE cap END AS BIGINT) AS work FROM due
        )
        """

    /// By delivery: billed sound work, billed work during faults, over-delivery, fault work beyond its limits.
    static func work(_ storage: Storage) throws -> [SQLRow] {
        try storage.query(
            """
            \(deliveries)
            SELECT id, CAST(work - CASE WHEN fault < work THEN fault ELSE work END AS BIGINT),
                   CAST(CASE WHEN fault < work THEN fault ELSE work END AS BIGINT), CAST(due - work AS BIGINT), CAST(excess AS BIGINT)
            FROM billed ORDER BY id
            """)
    }

    /// By bid, ask, rig and tariff: charge, seller fee, buyer fee.
    static func money(_ storage: Storage) throws -> [SQLRow] {
        try storage.query(
            """
            \(deliveries),
            charges AS (
                SELECT bid, ask, rig, tariff, CAST(sum(price * work) AS BIGINT) * 65536 / (min(price_unit) * 86400) AS charge,
                       min(seller_fee_ppm) AS seller_ppm, min(buyer_fee_ppm) AS buyer_ppm
                FROM billed GROUP BY bid, ask, rig, tariff
            )
            SELECT bid, ask, rig, tariff, charge, charge * seller_ppm / 1000000, charge * buyer_ppm / 1000000
            FROM charges ORDER BY bid, ask, rig, tariff
            """)
    }

    // MARK: - What was billed

    static func billedWork(_ storage: Storage) throws -> [SQLRow] {
        try storage.query(
            """
            SELECT d.id,
                   CAST(coalesce(sum(CASE WHEN l.code IN (1, 2) THEN l.work ELSE 0 END), 0) AS BIGINT),
                   CAST(coalesce(sum(CASE WHEN l.code = 3 THEN l.work ELSE 0 END), 0) AS BIGINT),
                   CAST(coalesce(sum(CASE WHEN l.code = 4 THEN l.work ELSE 0 END), 0) AS BIGINT),
                   CAST(coalesce(sum(CASE WHEN l.code = 5 THEN l.work ELSE 0 END), 0) AS BIGINT)
            FROM deliveries d LEFT JOIN settlement_lines l ON l.delivery = d.id GROUP BY d.id ORDER BY d.id
            """)
    }

    static func billedMoney(_ storage: Storage) throws -> [SQLRow] {
        try storage.query(
            """
            SELECT d.bid, d.ask, d.rig, d.tariff, CAST(coalesce(sum(l.charge), 0) AS BIGINT),
                   CAST(coalesce(sum(l.seller_fee), 0) AS BIGINT), CAST(coalesce(sum(l.buyer_fee), 0) AS BIGINT)
            FROM deliveries d LEFT JOIN settlement_lines l ON l.delivery = d.id
            GROUP BY d.bid, d.ask, d.rig, d.tariff ORDER BY d.bid, d.ask, d.rig, d.tariff
            """)
    }
}
