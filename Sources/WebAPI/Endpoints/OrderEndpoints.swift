internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import OrderBook
internal import Units

/// Bids and asks.
enum OrderEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/bids", [.buyer], placeBid),
        .keyed(.get, "/v1/bids", [.buyer]) { try await list($0, .bid) },
        .keyed(.get, "/v1/bids/{id}", [.buyer]) { try await get($0, .bid) },
        .keyed(.delete, "/v1/bids/{id}", [.buyer]) { try await cancel($0, .bid) },
        .keyed(.post, "/v1/asks", [.seller], placeAsk),
        .keyed(.get, "/v1/asks", [.seller]) { try await list($0, .ask) },
        .keyed(.get, "/v1/asks/{id}", [.seller]) { try await get($0, .ask) },
        .keyed(.delete, "/v1/asks/{id}", [.seller]) { try await cancel($0, .ask) },
    ]

    private static let selfTradeModes: [String: SelfTradePrevention] = Dictionary(
        uniqueKeysWithValues: SelfTradePrevention.allCases.map { ($0.code, $0) })

    // MARK: - Placing

    private static func placeBid(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields([
            "price", "lots", "poolTargetIDs", "timeInForce", "budget", "clientOrderID", "selfTradePrevention",
        ])
        let bid = PlaceBid(
            account: call.account, clientOrderID: try fields.optionalText("clientOrderID", bytes: 1...64),
            price: Price(try fields.integer("price", in: 1...Int64.max)),
            lots: Lots(try fields.integer("lots", in: 1...Int64.max)),
            targets: try fields.integers("poolTargetIDs", in: 1...Int64.max).map { PoolTargetID($0) },
            timeInForce: try fields.choice("timeInForce", ["GTC": .goodTillCancelled, "IOC": .immediateOrCancel])
                ?? .goodTillCancelled,
            budget: try fields.optionalInteger("budget", in: 1...Satoshis.supply.rawValue).map { Satoshis($0) },
            selfTrade: try fields.choice("selfTradePrevention", selfTradeModes) ?? .cancelIncoming)
        return try await placed(call, .placeBid(bid), referring: "poolTargetIDs") { id in
            OrderModel(
                id: id.rawValue, account: call.account, side: .bid, price: bid.price, lots: bid.lots,
                clientOrderID: bid.clientOrderID, selfTrade: bid.selfTrade, try call.rules())
        }
    }

    private static func placeAsk(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["price", "rigID", "lots", "clientOrderID", "selfTradePrevention"])
        let ask = PlaceAsk(
            account: call.account, clientOrderID: try fields.optionalText("clientOrderID", bytes: 1...64),
            price: Price(try fields.integer("price", in: 1...Int64.max)),
            rig: RigID(try fields.integer("rigID", in: 1...Int64.max)), most: try most(fields),
            selfTrade: try fields.choice("selfTradePrevention", selfTradeModes) ?? .cancelIncoming)
        return try await placed(call, .placeAsk(ask), referring: "rigID") { id in
            OrderModel(
                id: id.rawValue, account: call.account, side: .ask, price: ask.price, lots: ask.most ?? .zero,
                clientOrderID: ask.clientOrderID, selfTrade: ask.selfTrade, try call.rules())
        }
    }

    /// An ask's `lots`: an integer, or "all" (nil).
    private static func most(_ fields: Fields) throws(Problem) -> Lots? {
        guard case .string(let text)? = fields.value("lots") else {
            return Lots(try fields.integer("lots", in: 1...Int64.max))
        }
        guard text == "all" else {
            throw Problem(
                .unprocessableContent, "fieldOutOfRange", "This must be an integer or \"all\".", field: "lots")
        }
        return nil
    }

    /// - Parameter closed: what is known of an order that was over at once and is not in the tables yet.
    private static func placed(
        _ call: Call, _ command: Command, referring field: String, closed: (OrderID) throws -> OrderModel
    ) async throws -> Response {
        let outcome: Outcome
        do { outcome = try await call.submit(command) } catch { throw error.referring(to: field) }
        guard case .order(let id) = outcome else { throw Problem.internalError }
        let rules = try call.rules()
        let known: Order?
        // The order stands, whether or not the tables can be read.
        do { known = try await find(id, call) } catch { known = nil }
        let model = try known.map { OrderModel($0, passedOver(by: $0, call), rules) } ?? closed(id)
        return try .json(model, status: .created, location: "/v1/\(model.side)s/\(id)")
    }

    // MARK: - Looking

    /// An order: as committed while it is alive or unsettled, from the tables afterwards.
    private static func find(_ id: OrderID, _ call: Call) async throws(Problem) -> Order? {
        if let order = call.services.market.read({ $0.orders[id] }) { return order }
        return try await call.report { try await $0.order(id) }
    }

    private static func list(_ call: Call, _ side: Side) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let scope = call.principal.scope(unless: .admin)
        let rules = try call.rules()
        let found = call.services.market.read { state in
            page.select(state.orders.values, number: \.id.rawValue) { $0.side == side && scope.covers($0.account) }
        }
        return try .json(Page(found.map { ($0.id.rawValue, OrderModel($0, nil, rules)) }, limit: page.limit))
    }

    private static func get(_ call: Call, _ side: Side) async throws -> Response {
        _ = try call.query()
        let order = try await own(try call.pathNumber(), side, call)
        return try .json(OrderModel(order, passedOver(by: order, call), try call.rules()))
    }

    /// An order of the side that the caller may see.
    private static func own(_ number: Int64, _ side: Side, _ call: Call) async throws(Problem) -> Order {
        guard let order = try await find(OrderID(number), call), order.side == side,
            call.principal.scope(unless: .admin).covers(order.account)
        else { throw Problem(Rejection.orderUnknown) }
        return order
    }

    /// Asks that an open bid crosses and cannot take, best first, at most ``Limits/passedOver``.
    private static func passedOver(by bid: Order, _ call: Call) -> [OrderModel.PassedOver]? {
        guard bid.side == .bid, bid.open > .zero else { return nil }
        return call.services.market.read { state in
            var found: [OrderModel.PassedOver] = []
            var cursor = state.book.first(on: .ask)
            for _ in 0..<Limits.passedOverSteps {
                guard let here = cursor, found.count < Limits.passedOver else { break }
                let entry = state.book[here]
                guard entry.price <= bid.price else { break }
                cursor = state.book.next(after: here)
                guard let ask = state.orders[entry.id], ask.account != bid.account, let details = ask.ask,
                    let rig = state.rigs[details.rig], let reason = state.passedOver(bid, ask, rig)
                else { continue }
                found.append(.init(price: entry.price.rawValue, lots: entry.lots.rawValue, reason: reason.rawValue))
            }
            return found
        }
    }

    // MARK: - Cancelling

    private static func cancel(_ call: Call, _ side: Side) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let number = try call.pathNumber()
        if try call.earlierAnswer() == nil {
            let order = try await own(number, side, call)
            // In the tables alone: over and settled.
            guard call.services.market.read({ $0.orders[order.id] }) != nil else { throw Problem(Rejection.orderClosed) }
        }
        let by = call.principal.may(.admin) ? nil : call.account
        _ = try await call.submit(.cancelOrder(OrderID(number), by: by))
        return Response(status: .noContent)
    }
}

struct OrderModel: Encodable {
    /// An ask whose price the bid crosses, but whose rig it cannot take.
    struct PassedOver: Encodable {
        var price: Int64
        var lots: Int64
        var reason: String
    }

    /// An ask's `lots` as it was placed.
    enum Most: Encodable {
        case all
        case lots(Int64)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .all: try container.encode("all")
            case .lots(let number): try container.encode(number)
            }
        }
    }

    var id: Int64
    var account: Int64
    var side: String
    var clientOrderID: String?
    var price: Int64
    var priceUnit: String
    /// A bid's size; what an ask offers now.
    var lots: Int64
    var lotUnit: String
    var open: Int64
    var delivering: Int64
    var status: String
    /// Why it is suspended or closed.
    var reason: String?
    var selfTradePrevention: String
    /// Absent only for an order that was over at once and is not in the tables yet.
    var placedAt: String?

    // Of bids.
    var poolTargetIDs: [Int64]?
    var timeInForce: String?
    var budget: Int64?
    var spent: Int64?
    var passedOver: [PassedOver]?

    // Of asks.
    var rigID: Int64?
    var most: Most?
}

extension OrderModel {
    init(_ order: Order, _ passedOver: [PassedOver]?, _ rules: MarketRules) {
        self.init(
            id: order.id.rawValue, account: order.account, side: order.side, price: order.price, lots: order.lots,
            clientOrderID: order.clientOrderID, selfTrade: order.selfTrade, rules)
        open = order.open.rawValue
        delivering = order.delivering.rawValue
        placedAt = order.placedAt.description
        self.passedOver = passedOver
        switch order.status {
        case .active: status = "active"
        case .suspended(let why): (status, reason) = ("suspended", why.code)
        case .closed(let why): (status, reason) = ("closed", why.code)
        }
        switch order.details {
        case .bid(let bid): describe(bid)
        case .ask(let ask):
            rigID = ask.rig.rawValue
            most = ask.most.map { .lots($0.rawValue) } ?? .all
        }
    }

    private mutating func describe(_ bid: BidDetails) {
        poolTargetIDs = bid.targets.map(\.rawValue)
        timeInForce = bid.timeInForce.code
        budget = bid.budget?.rawValue
        spent = bid.spent.rawValue
    }

    /// A closed order of which nothing more is known.
    init(
        id: Int64, account: AccountID, side: Side, price: Price, lots: Lots, clientOrderID: String?,
        selfTrade: SelfTradePrevention, _ rules: MarketRules
    ) {
        self.id = id
        self.account = account.rawValue
        self.side = side == .bid ? "bid" : "ask"
        self.clientOrderID = clientOrderID
        self.price = price.rawValue
        priceUnit = UnitText.price(rules)
        self.lots = lots.rawValue
        lotUnit = UnitText.hashrate(rules.lot)
        open = 0
        delivering = 0
        status = "closed"
        selfTradePrevention = selfTrade.code
    }
}
