internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import OrderBook
internal import Units

/// What anybody may know: the rules, the book, the last trades, and whether all is well.
enum MarketEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/market", market),
        .open(.get, "/v1/book", book),
        .open(.get, "/v1/trades", trades),
        .open(.get, "/v1/health", health),
        .open(.get, "/openapi.yaml", document),
    ]

    private static func market(_ call: OpenCall) throws -> Response {
        _ = try Query(call.request, known: [])
        return try .json(call.services.marketModel())
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

    private static func trades(_ call: OpenCall) throws -> Response {
        let query = try Query(call.request, known: ["limit"])
        let limit = Int(try query.integer("limit", in: 1...Int64(Limits.trades)) ?? Int64(Limits.defaultTrades))
        let rules = try call.services.rules()
        return try .json(TradesModel(rules, call.services.market.read { $0.trades.last(limit) }))
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

private struct TradesModel: Encodable {
    struct Item: Encodable {
        /// The number of the delivery that it opened.
        var id: Int64
        var at: String
        var price: Int64
        var lots: Int64
    }

    var symbol: String
    var priceUnit: String
    var lotUnit: String
    /// Newest first.
    var items: [Item]

    init(_ rules: MarketRules, _ trades: [Trade]) {
        symbol = rules.symbol
        priceUnit = UnitText.price(rules)
        lotUnit = UnitText.hashrate(rules.lot)
        items = trades.map {
            Item(id: $0.delivery.rawValue, at: $0.at.description, price: $0.price.rawValue, lots: $0.lots.rawValue)
        }
    }
}
