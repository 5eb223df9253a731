internal import Exchange
internal import Market
internal import Units

/// A market's rules.
struct RulesModel: Encodable {
    var symbol: String
    var lotHashesPerSecond: Int64
    var lotUnit: String
    var tick: Int64
    var priceUnitHashesPerSecond: Int64
    var priceUnit: String
    var lowestPrice: Int64
    var highestPrice: Int64
    var mostLots: Int64
    var minimumOrderValue: Int64
    var termSeconds: Int64
    var shortestTermSeconds: Int64
    var sellerFeePPM: Int64
    var buyerFeePPM: Int64
    var minimumDifficulty: String
    /// Expected hashes behind a unit in which work is counted.
    var workUnitHashes: Int64
    var smallestSlicePPM: Int64
    var mostOrders: Int64
    var awayLimitSeconds: Int64
    var holdLimitSeconds: Int64

    init(_ rules: MarketRules) {
        symbol = rules.symbol
        lotHashesPerSecond = rules.lot.hashesPerSecond
        lotUnit = UnitText.hashrate(rules.lot)
        tick = rules.tick
        priceUnitHashesPerSecond = rules.priceUnit.hashesPerSecond
        priceUnit = UnitText.price(rules)
        lowestPrice = rules.lowestPrice.rawValue
        highestPrice = rules.highestPrice.rawValue
        mostLots = rules.mostLots.rawValue
        minimumOrderValue = rules.minimumOrderValue.rawValue
        termSeconds = rules.term.microseconds / 1_000_000
        shortestTermSeconds = rules.shortestTerm.microseconds / 1_000_000
        sellerFeePPM = rules.sellerFee.rawValue
        buyerFeePPM = rules.buyerFee.rawValue
        minimumDifficulty = rules.algorithm.decimal(rules.minimumDifficulty).description
        workUnitHashes = rules.algorithm.hashesPerUnit
        smallestSlicePPM = rules.smallestSlice.rawValue
        mostOrders = rules.mostOrders
        awayLimitSeconds = rules.awayLimit.microseconds / 1_000_000
        holdLimitSeconds = rules.holdLimit.microseconds / 1_000_000
    }
}

/// A market: its rules, those that are planned, and where it stands.
struct MarketModel: Encodable {
    struct IndexModel: Encodable {
        var price: Int64
        var at: String
    }

    struct PlannedRules: Encodable {
        var effectiveAt: String
        var rules: RulesModel
    }

    private struct Standing: Encodable {
        var phase: String
        /// Absent before the first is published.
        var index: IndexModel?
        /// By time.
        var plannedRules: [PlannedRules]
    }

    private let rules: RulesModel
    private let standing: Standing

    init(_ rules: MarketRules, _ status: MarketStatus) {
        self.rules = RulesModel(rules)
        standing = Standing(
            phase: status.phase.code,
            index: status.index.map { IndexModel(price: $0.price.rawValue, at: $0.at.description) },
            plannedRules: status.scheduled.map {
                PlannedRules(effectiveAt: $0.effectiveAt.description, rules: RulesModel($0.rules))
            })
    }

    func encode(to encoder: any Encoder) throws {
        try rules.encode(to: encoder)
        try standing.encode(to: encoder)
    }
}

extension APIServices {
    /// The market as it is now.
    func marketModel() throws(Problem) -> MarketModel {
        let (rules, status) = market.read { ($0.rules, $0.status) }
        guard let rules else { throw Problem(Rejection.marketUndefined) }
        return MarketModel(rules, status)
    }
}
