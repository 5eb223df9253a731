internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import Settlement
internal import Units

/// Exports for book-keeping.
enum ReportEndpoints {
    static let all: [Endpoint] = [.keyed(.get, "/v1/reports/settlement", [], settlement)]

    /// The settlement lines, page by page as the reader takes them, and a row of totals.
    ///
    /// A report without the last row is not whole: reading went wrong on the way.
    private static func settlement(_ call: Call) async throws -> Response {
        let query = try call.query(["format"])
        guard query.text("format") ?? "csv" == "csv" else {
            throw Problem(.badRequest, "parameterOutOfRange", "The format is csv.", field: "format")
        }
        let account = call.principal.scope(unless: .finance).account
        let rules = try call.rules()
        // The first page is read before the answer starts, so that unreadable tables are a 503.
        let first = try await call.report {
            try await $0.settlementLines(account: account, after: 0, limit: Limits.reportPage)
        }
        let headers: HTTPFields = [
            .contentType: "text/csv; charset=utf-8; header=present",
            .contentDisposition: "attachment; filename=\"settlement.csv\"",
        ]
        return Response(status: .ok, headers: headers, body: ResponseBody { writer in
            var report = SettlementCSV(rules)
            var page = first
            try await writer.write(ByteBuffer(string: report.header))
            while let last = page.last {
                try await writer.write(ByteBuffer(string: report.rows(page)))
                page = try await call.report {
                    try await $0.settlementLines(account: account, after: last.number, limit: Limits.reportPage)
                }
            }
            try await writer.write(ByteBuffer(string: report.totals))
            try await writer.finish(nil)
        })
    }
}

/// The settlement report's rows and running totals.
struct SettlementCSV {
    private let rules: MarketRules
    private var lines: Int64 = 0
    private var work = Int128(0)
    private var charge = Int128(0)
    private var buyerFee = Int128(0)
    private var sellerFee = Int128(0)

    init(_ rules: MarketRules) { self.rules = rules }

    /// `price_unit_hps` and `lot_hps` are the hashes per second that a price and a lot stand for.
    static func columns(_ algorithm: Algorithm) -> [String] {
        [
            "line", "settled_at_utc", "run", "delivery", "bid", "ask", "rig", "buyer_account", "seller_account",
            "opened_at_utc", "price_sat_per_unit_day", "price_unit_hps", "lots", "lot_hps",
            "work_units_\(algorithm.hashesPerUnit)_hashes", "charge_sat", "buyer_fee_sat", "buyer_debit_sat",
            "seller_fee_sat", "seller_proceeds_sat", "charge_code", "interval_from_utc", "interval_to_utc", "value_at_utc",
        ]
    }

    var header: String { CSV.row(SettlementCSV.columns(rules.algorithm)) }

    mutating func rows(_ page: [ReportLine]) -> String {
        var text = ""
        for line in page { text += row(line) }
        return text
    }

    private mutating func row(_ line: ReportLine) -> String {
        lines += 1
        if line.code.isBilled { work += Int128(line.work.units) }
        charge += Int128(line.charge.rawValue)
        buyerFee += Int128(line.buyerFee.rawValue)
        sellerFee += Int128(line.sellerFee.rawValue)
        return CSV.row([
            "\(line.number)", line.settledAt.description, "\(line.run)", "\(line.delivery)", "\(line.bid)",
            "\(line.ask)", "\(line.rig)", "\(line.buyer)", "\(line.seller)", line.openedAt.description,
            "\(line.price)", "\(rules.priceUnit.hashesPerSecond)", "\(line.lots.rawValue)",
            "\(rules.lot.hashesPerSecond)",
        ] + amounts(
            Int128(line.work.units), Int128(line.charge.rawValue), Int128(line.buyerFee.rawValue),
            Int128(line.sellerFee.rawValue))
            + [line.code.code] + [line.minutes.lowerBound, line.minutes.upperBound].map {
                Timestamp(microseconds: $0 * 60_000_000).description
            } + [line.valueAt.description])
    }

    /// The closing row: `total`, the number of lines in the run's column, and the sums; of work, that which is billed.
    var totals: String {
        CSV.row(
            ["total", "", "\(lines) lines"] + Array(repeating: "", count: 11)
                + amounts(work, charge, buyerFee, sellerFee) + Array(repeating: "", count: 4))
    }

    private func amounts(_ work: Int128, _ charge: Int128, _ buyerFee: Int128, _ sellerFee: Int128) -> [String] {
        [work, charge, buyerFee, charge + buyerFee, sellerFee, charge - sellerFee].map { "\($0)" }
    }
}
