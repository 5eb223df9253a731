internal import Database
internal import Exchange
internal import Settlement
internal import Units

/// Every line of every (bid, ask, rig, tariff), in order, calculated again by the design's formula ("Amounts").
///
/// The database sorts (on disk, when there is much) and returns rows one by one: first the bid, then the stored totals of each of its keys,
/// then their lines.
struct FormulaPass: AuditPass {
    let invariants = [
        AuditInvariant("line.formula", "every line's charge and fees follow from the cumulative formula"),
        AuditInvariant("billing.totals", "a tariff's totals are the sums of its lines"),
        AuditInvariant("billing.fees", "fees follow from a tariff's charges"),
        AuditInvariant("order.spent", "a bid's spending is the sum of its lines"),
    ]

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        guard let algorithm = try connection.marketRules()?.algorithm else { return false }
        let first = try firstLine(connection, tally.since)
        tally.expected = try connection.count("SELECT count(*) FROM settlement_lines")
        var recalculation = Recalculation(algorithm: algorithm, first: first)
        try connection.forEach(FormulaPass.sql(isPart: first > 0), first > 0 ? [.integer(first)] : []) { row in
            try recalculation.add(row, &tally)
        }
        recalculation.finish(&tally)
        return false
    }

    private func firstLine(_ connection: any SQLConnection, _ since: Timestamp?) throws -> Int64 {
        guard let since else { return 0 }
        return try connection.firstNumber(
            "SELECT number, at FROM settlement_lines WHERE number >= $1 ORDER BY number LIMIT 1", reaching: since.microseconds,
            through: try connection.count("SELECT max(number) FROM settlement_lines") + 1)
    }

    /// - Parameter isPart: only bids with lines from $1 on
    private static func sql(isPart: Bool) -> String {
        let bids = "(SELECT w.bid FROM settlement_lines n JOIN deliveries w ON w.id = n.delivery WHERE n.number >= $1)"
        func filter(_ column: String) -> String { isPart ? " AND \(column) IN \(bids)" : "" }
        return """
            SELECT o.id AS bid, 0 AS ask, 0 AS rig, 0 AS tariff, 0 AS number, 0 AS what, o.spent AS charge, 0 AS seller_fee,
                   0 AS buyer_fee, 0 AS work, 0 AS code, 0 AS price, 0 AS price_unit, 0 AS seller_ppm, 0 AS buyer_ppm, 0 AS from_loss,
                   0 AS delivery, CAST(NULL AS TEXT) AS weighted
            FROM orders o WHERE o.side = 0\(filter("o.id"))
            UNION ALL
            SELECT b.bid, b.ask, b.rig, b.tariff, 0, 1, b.charge, b.seller_fee, b.buyer_fee, 0, 0, 0, 0, b.seller_fee_ppm,
                   b.buyer_fee_ppm, 0, 0, b.weighted_work
            FROM billings b WHERE 1 = 1\(filter("b.bid"))
            UNION ALL
            SELECT d.bid, d.ask, d.rig, d.tariff, l.number, 2, l.charge, l.seller_fee, l.buyer_fee, l.work, l.code, d.price,
                   d.price_unit, d.seller_fee_ppm, d.buyer_fee_ppm, l.from_loss, l.delivery, CAST(NULL AS TEXT)
            FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE 1 = 1\(filter("d.bid"))
            ORDER BY bid, ask, rig, tariff, number, what
            """
    }
}

/// Cumulative totals as the rows go by.
private struct Recalculation {
    private struct Key: Hashable, CustomStringConvertible {
        var bid, ask, rig, tariff: Int64
        var description: String { "bid \(bid), ask \(ask), rig \(rig), tariff \(tariff)" }
    }

    private struct Totals {
        var weighted, charge, sellerFee, buyerFee: Int128
        static let zero = Totals(weighted: 0, charge: 0, sellerFee: 0, buyerFee: 0)
    }

    let algorithm: Algorithm
    /// Lines before this one are not looked at, but for the sums.
    let first: Int64
    private var bid: (id: Int64, spent: Int128, lines: Int128)?
    private var key: Key?
    /// nil: there is no row.
    private var stored: Totals?
    private var ppm: (seller: Int64, buyer: Int64) = (0, 0)
    /// Of the formula.
    private var expected = Totals.zero
    /// Of the lines.
    private var summed = Totals.zero

    init(algorithm: Algorithm, first: Int64) {
        self.algorithm = algorithm
        self.first = first
    }

    mutating func add(_ row: SQLRow, _ tally: inout AuditTally) throws {
        switch try row.int64(5) {
        case 0:
            finish(&tally)
            bid = (try row.int64(0), Int128(try row.int64(6)), 0)
            return
        case 1: try beginKey(row, &tally)
        default: try add(line: row, &tally)
        }
    }

    /// The stored totals, which come before the lines.
    private mutating func beginKey(_ row: SQLRow, _ tally: inout AuditTally) throws {
        open(try Recalculation.key(row), &tally)
        let weighted = Int128(try row.text(17))
        if weighted == nil { tally.broken("billing.totals", subject, found: "its weighted work is no number") }
        stored = Totals(
            weighted: weighted ?? 0, charge: Int128(try row.int64(6)), sellerFee: Int128(try row.int64(7)),
            buyerFee: Int128(try row.int64(8)))
        ppm = (try row.int64(13), try row.int64(14))
    }

    private mutating func add(line row: SQLRow, _ tally: inout AuditTally) throws {
        tally.read()
        let key = try Recalculation.key(row)
        if key != self.key { open(key, &tally) }
        guard (1...3).contains(try row.int64(10)) else { return }
        let charge = Int128(try row.int64(6)), buyerFee = Int128(try row.int64(8))
        bid?.lines += charge + buyerFee - Int128(try row.int64(15))
        try checkFormula(row, &tally)
        summed.charge += charge
        summed.sellerFee += Int128(try row.int64(7))
        summed.buyerFee += buyerFee
    }

    private mutating func checkFormula(_ row: SQLRow, _ tally: inout AuditTally) throws {
        let number = try row.int64(4)
        let (weighted, overflow) = expected.weighted.addingReportingOverflow(Int128(try row.int64(11)) * Int128(try row.int64(9)))
        guard !overflow, let charge = AuditTariff.charge(weighted, priceUnit: try row.int64(12), algorithm) else {
            tally.broken("line.formula", "line \(number) of delivery \(try row.int64(16))", found: "work that no price fits")
            return
        }
        let next = Totals(
            weighted: weighted, charge: charge, sellerFee: AuditTariff.fee(charge, try row.int64(13)),
            buyerFee: AuditTariff.fee(charge, try row.int64(14)))
        defer { expected = next }
        summed.weighted = weighted
        guard number >= first else { return }
        tally.looked("line.formula")
        let parts = [
            ("charge", next.charge - expected.charge, try row.int64(6)),
            ("seller's fee", next.sellerFee - expected.sellerFee, try row.int64(7)),
            ("buyer's fee", next.buyerFee - expected.buyerFee, try row.int64(8)),
        ]
        for (name, expected, found) in parts where expected != Int128(found) {
            tally.broken(
                "line.formula", "\(name) of line \(number) of delivery \(try row.int64(16))", expected: "\(expected)", found: "\(found)")
        }
    }

    private var subject: String { key.map { "\($0)" } ?? "" }

    private mutating func open(_ key: Key, _ tally: inout AuditTally) {
        closeKey(&tally)
        if bid?.id != key.bid {
            closeBid(&tally)
            tally.broken("order.spent", "bid \(key.bid)", found: "it was billed and is not there")
            bid = nil
        }
        self.key = key
    }

    private mutating func closeKey(_ tally: inout AuditTally) {
        defer { (key, stored, expected, summed) = (nil, nil, .zero, .zero) }
        guard key != nil else { return }
        tally.looked("billing.totals")
        tally.looked("billing.fees")
        guard let stored else {
            tally.broken("billing.totals", subject, found: "it has lines and no totals")
            return
        }
        tally.compare("billing.totals", "weighted work of \(subject)", expected: summed.weighted, found: stored.weighted)
        tally.compare("billing.totals", "charge of \(subject)", expected: summed.charge, found: stored.charge)
        tally.compare("billing.totals", "seller's fee of \(subject)", expected: summed.sellerFee, found: stored.sellerFee)
        tally.compare("billing.totals", "buyer's fee of \(subject)", expected: summed.buyerFee, found: stored.buyerFee)
        let fees = (seller: AuditTariff.fee(stored.charge, ppm.seller), buyer: AuditTariff.fee(stored.charge, ppm.buyer))
        tally.compare("billing.fees", "seller's fee of \(subject)", expected: fees.seller, found: stored.sellerFee)
        tally.compare("billing.fees", "buyer's fee of \(subject)", expected: fees.buyer, found: stored.buyerFee)
    }

    private mutating func closeBid(_ tally: inout AuditTally) {
        defer { bid = nil }
        guard let bid else { return }
        tally.looked("order.spent")
        tally.compare("order.spent", "bid \(bid.id)", expected: bid.lines, found: bid.spent)
    }

    mutating func finish(_ tally: inout AuditTally) {
        closeKey(&tally)
        closeBid(&tally)
    }

    private static func key(_ row: SQLRow) throws -> Key {
        Key(bid: try row.int64(0), ask: try row.int64(1), rig: try row.int64(2), tariff: try row.int64(3))
    }
}

/// ``Tariff``, for numbers that may be anything: nil instead of a trap.
enum AuditTariff {
    static func charge(_ weighted: Int128, priceUnit: Int64, _ algorithm: Algorithm) -> Int128? {
        guard weighted >= 0, priceUnit > 0 else { return nil }
        // So that Tariff's product fits, and its quotient is an amount.
        let (product, overflow) = weighted.multipliedReportingOverflow(by: Int128(algorithm.hashesPerUnit / 128))
        guard !overflow, product / (Int128(priceUnit) * 675) <= Int128(Int64.max) else { return nil }
        return Int128(
            Tariff.charge(weightedWork: weighted, priceUnit: Hashrate(hashesPerSecond: priceUnit), algorithm: algorithm).rawValue)
    }

    /// floor(amount x ppm / 10^6)
    static func fee(_ amount: Int128, _ ppm: Int64) -> Int128 {
        let product = amount * Int128(ppm)
        let quotient = product / 1_000_000
        return product < 0 && product % 1_000_000 != 0 ? quotient - 1 : quotient
    }
}
