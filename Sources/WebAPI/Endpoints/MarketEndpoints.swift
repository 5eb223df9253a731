internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import OrderBook
internal import Units

/// What anybody may know: the rules, the book, and whether all is well.
enum MarketEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/market", market),
        .open(.get, "/v1/book", book),
        .open(.get, "/v1/health", health),
        .open(.get, "/openapi.yaml", document),
    ]

    private static func market(_ call: OpenCall) throws -> Response {
        _ = try Query(call.request, known: [])
        return try .json(MarketModel(try call.services.rules()))
    }

    private static func book(_ call: OpenCall) throws -> Response {
        let query = try Query(call.request, known: ["levels"])
        let levels = Int(
            try query.integer("levels", in: 1...Int64(Limits.bookLevels)) ?? Int64(Limits.defaultBookLevels))
        let rules = try call.services.rules()
        let (bids, asks) = call.services.market.read {
            ($0.book.depth(.bid, limit: levels), $0.book.depth(.ask, limit: levels))
        }
        return try .json(BookModel(rules, bids: bids, asks: asks))
    }

    private static func health(_ call: OpenCall) throws -> Response {
        let market = call.services.market
        let isOpen = market.read { $0.rules != nil }
        let status = !isOpen ? "marketUndefined" : market.isHealthy ? "ok" : "databaseUnavailable"
        return try .json(HealthModel(status: status), status: status == "ok" ? .ok : .serviceUnavailable)
    }

    private static func document(_ call: OpenCall) throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/yaml"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_yaml)))
    }
}

private struct HealthModel: Encodable {
    var status: String
}

private struct MarketModel: Encodable {
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
        minimumDifficulty = rules.minimumDifficulty.decimal
    }
}

private struct BookModel: Encodable {
    struct Level: Encodable {
        var price: Int64
        var lots: Int64
        var orders: Int

        init(_ depth: OrderBook.Depth) {
            price = depth.price.rawValue
            lots = depth.lots.rawValue
            orders = depth.orders
        }
    }

    var symbol: String
    var priceUnit: String
    var lotUnit: String
    /// Absent while the side is empty.
    var bestBid: Int64?
    var bestAsk: Int64?
    var bids: [Level]
    var asks: [Level]

    init(_ rules: MarketRules, bids: [OrderBook.Depth], asks: [OrderBook.Depth]) {
        symbol = rules.symbol
        priceUnit = UnitText.price(rules)
        lotUnit = UnitText.hashrate(rules.lot)
        bestBid = bids.first?.price.rawValue
        bestAsk = asks.first?.price.rawValue
        self.bids = bids.map(Level.init)
        self.asks = asks.map(Level.init)
    }
}
