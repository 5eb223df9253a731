internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import OrderBook
internal import Units

/// The book, trades and what they add up to: for anybody, rendered once per publication.
enum MarketDataEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/book", book),
        .keyed(.get, "/v1/book/own", [], ownPlaces),
        .open(.get, "/v1/trades", trades),
        .open(.get, "/v1/candles", candles),
        .open(.get, "/v1/ticker", ticker),
    ]

    private static func book(_ call: OpenCall) throws -> Response {
        var levels = Limits.defaultBookLevels
        if call.request.uri.query != nil {
            let query = try Query(call.request, known: ["levels"])
            levels = Int(try query.integer("levels", in: 1...Int64(Limits.bookLevels)) ?? Int64(levels))
        }
        let page = call.services.streams.read { $0.rules == nil ? nil : $0.book(levels: levels) }
        return try answer(page, call)
    }

    private static func ticker(_ call: OpenCall) throws -> Response {
        _ = try Query(call.request, known: [])
        let time = call.services.now()
        let page = call.services.streams.read { $0.rules == nil ? nil : $0.ticker(at: time) }
        return try answer(page, call)
    }

    /// A page, or 304 to who has it.
    private static func answer(_ page: RenderedPage?, _ call: OpenCall) throws -> Response {
        guard let page else { throw Problem(Rejection.marketUndefined) }
        var headers: HTTPFields = [.cacheControl: "public, no-cache", .eTag: page.tag]
        if let known = call.request.headers[.ifNoneMatch], names(known, page.tag) {
            return Response(status: .notModified, headers: headers)
        }
        headers[.contentType] = "application/json"
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: page.body))
    }

    /// Whether If-None-Match names a tag; weak ones match, too (RFC 9110, section 13.1.2).
    private static func names(_ header: String, _ tag: String) -> Bool {
        if header == tag || header == "*" { return true }
        return header.split(separator: ",").contains { part in
            let part = part.drop { $0 == " " || $0 == "\t" }
            let end = part.lastIndex { $0 != " " && $0 != "\t" }.map { part.index(after: $0) } ?? part.endIndex
            let trimmed = part[..<end]
            return trimmed == tag || trimmed == "W/\(tag)"
        }
    }

    private static func trades(_ call: OpenCall) async throws -> Response {
        let query = try Query(call.request, known: ["limit", "cursor"])
        let limit = Int(try query.integer("limit", in: 1...Int64(Limits.trades)) ?? Int64(Limits.defaultTrades))
        let before = try query.integer("cursor", in: 1...Int64.max) ?? Int64.max
        let rules = try call.services.rules()
        // One more, to know whether there are more.
        var (found, isCut) = call.services.streams.read { $0.tape.trades(before: before, limit: limit + 1) }
        if isCut {
            // The tables may lack the newest ones, not those that are no longer held here.
            let rest = found.last?.delivery ?? DeliveryID(before)
            do { found += try await call.services.reports.trades(before: rest, limit: limit + 1 - found.count) } catch {
                throw Problem.unavailable("The trades")
            }
        }
        return try .json(TradesModel(rules, found, limit: limit))
    }

    private static func candles(_ call: OpenCall) throws -> Response {
        let query = try Query(call.request, known: ["interval", "limit", "before"])
        let interval = try query.choice("interval", CandleInterval.byCode) ?? .oneMinute
        let limit = Int(try query.integer("limit", in: 1...Int64(CandleSeries.most)) ?? Int64(Limits.defaultTrades))
        var before = Timestamp.distantFuture
        if let text = query.text("before") {
            guard let time = Timestamp(rfc3339: text) else {
                throw Problem(
                    .badRequest, "parameterOutOfRange", "This must be a time as RFC 3339 has it, in UTC.", field: "before")
            }
            before = time
        }
        _ = try call.services.rules()
        let body = call.services.streams.read { $0.candles(interval, before: before, limit: limit) }
        return Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "public, no-cache"],
            body: ResponseBody(byteBuffer: body))
    }

    /// Where the account's orders stand.
    private static func ownPlaces(_ call: Call) async throws -> Response {
        _ = try call.query()
        let rules = try call.rules()
        let account = call.account
        let (places, position) = call.services.market.committed { state, position in
            (
                state.orders(of: account).prefix(Limits.ownPlaces).compactMap { order in
                    state.queuePosition(of: order.id).map { PlaceModel(order, $0) }
                }, position
            )
        }
        return try .json(PlacesModel(
            symbol: rules.symbol, priceUnit: UnitText.price(rules), lotUnit: UnitText.hashrate(rules.lot),
            epoch: call.services.streams.epoch, position: position, items: places.sorted { $0.id < $1.id }))
    }
}

private struct PlacesModel: Encodable {
    var symbol: String
    var priceUnit: String
    var lotUnit: String
    var epoch: Int64
    /// The last command in it: books with a lower sequence are older.
    var position: Int64
    var items: [PlaceModel]
}

private struct PlaceModel: Encodable {
    var id: Int64
    var side: String
    var price: Int64
    /// Open ones.
    var lots: Int64
    var shownLots: Int64
    var ordersAhead: Int64
    /// Displayed ones.
    var lotsAhead: Int64

    init(_ order: Order, _ place: OrderBook.QueuePosition) {
        id = order.id.rawValue
        side = order.side.code
        price = order.price.rawValue
        lots = order.open.rawValue
        shownLots = order.instructions.displayed == nil ? order.open.rawValue : order.shown.rawValue
        ordersAhead = Int64(place.ordersAhead)
        lotsAhead = place.lotsAhead
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
    /// Of the older ones; absent with the oldest.
    var nextCursor: String?

    /// Cuts `trades`, one more than the limit at most.
    init(_ rules: MarketRules, _ trades: [Trade], limit: Int) {
        symbol = rules.symbol
        priceUnit = UnitText.price(rules)
        lotUnit = UnitText.hashrate(rules.lot)
        items = trades.prefix(limit).map {
            Item(id: $0.delivery.rawValue, at: $0.at.description, price: $0.price.rawValue, lots: $0.lots.rawValue)
        }
        nextCursor = trades.count > limit ? items.last.map { String($0.id) } : nil
    }
}
