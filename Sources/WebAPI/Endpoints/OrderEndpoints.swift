internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import OrderBook
internal import Units

/// Bids and asks, one by one.
enum OrderEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/bids", [.buyer], placeBid),
        .keyed(.get, "/v1/bids", [.buyer]) { try await list($0, .bid) },
        .keyed(.get, "/v1/bids/{id}", [.buyer]) { try await get($0, .bid) },
        .keyed(.patch, "/v1/bids/{id}", [.buyer]) { try await amend($0, .bid) },
        .keyed(.delete, "/v1/bids/{id}", [.buyer]) { try await cancel($0, .bid) },
        .keyed(.post, "/v1/asks", [.seller], placeAsk),
        .keyed(.get, "/v1/asks", [.seller]) { try await list($0, .ask) },
        .keyed(.get, "/v1/asks/{id}", [.seller]) { try await get($0, .ask) },
        .keyed(.patch, "/v1/asks/{id}", [.seller]) { try await amend($0, .ask) },
        .keyed(.delete, "/v1/asks/{id}", [.seller]) { try await cancel($0, .ask) },
    ]

    // MARK: - Placing

    private static func placeBid(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(
            Fields.instructions.union(["price", "lots", "poolTargetIDs", "budget", "clientOrderID"]))
        let bid = PlaceBid(
            account: call.account, clientOrderID: try fields.optionalText("clientOrderID", bytes: 1...64),
            price: try fields.price("price"), lots: Lots(try fields.integer("lots", in: 1...Int64.max)),
            targets: try fields.targets(), budget: try fields.optionalBudget(), instructions: try fields.instructions())
        return try await placed(call, .placeBid(bid), referring: "poolTargetIDs") { id in
            Order(
                id: id, account: bid.account, clientOrderID: bid.clientOrderID, price: bid.price, lots: bid.lots, stamp: 0,
                instructions: bid.instructions, status: .closed(.immediateRemainder),
                details: .bid(BidDetails(targets: bid.targets, budget: bid.budget)), placedAt: call.services.now())
        }
    }

    private static func placeAsk(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(Fields.instructions.union(["price", "rigID", "lots", "clientOrderID", "schedule"]))
        let ask = PlaceAsk(
            account: call.account, clientOrderID: try fields.optionalText("clientOrderID", bytes: 1...64),
            price: try fields.price("price"), rig: RigID(try fields.integer("rigID", in: 1...Int64.max)),
            most: try fields.most(), instructions: try fields.instructions(), schedule: try fields.schedule())
        return try await placed(call, .placeAsk(ask), referring: "rigID") { id in
            Order(
                id: id, account: ask.account, clientOrderID: ask.clientOrderID, price: ask.price, lots: ask.most ?? .zero,
                stamp: 0, instructions: ask.instructions, status: .closed(.immediateRemainder),
                details: .ask(AskDetails(rig: ask.rig, most: ask.most, schedule: ask.schedule)),
                placedAt: call.services.now())
        }
    }

    /// - Parameter closed: what is known of an order that was over at once and is not in the tables yet.
    private static func placed(
        _ call: Call, _ command: Command, referring field: String, closed: (OrderID) -> Order
    ) async throws -> Response {
        let outcome: Outcome
        do { outcome = try await call.submit(command) } catch { throw error.referring(to: field) }
        guard case .order(let id) = outcome else { throw Problem.internalError }
        let rules = try call.rules()
        let known: Order?
        // The order stands, whether or not the tables can be read.
        do { known = try await found(id, call) } catch { known = nil }
        let model = known.map { OrderModel($0, rules, standing(of: $0, call)) } ?? OrderModel(overAtOnce: closed(id), rules)
        return try .json(model, status: .created, location: "/v1/\(model.side)s/\(id)")
    }

    // MARK: - Looking

    /// An order: as committed while it is alive or unsettled, from the tables afterwards.
    private static func find(_ id: OrderID, _ call: Call) async throws(Problem) -> Order? {
        let order = try await found(id, call)
        let (isLive, isKnown) = call.services.market.read { ($0.orders[id] != nil, id.rawValue < $0.counters.order) }
        if isLive || !isKnown { return order }
        if let order, !order.isAlive, order.unsettled == 0 { return order }
        // Over a moment ago: the tables are still to hear of it.
        guard await call.services.market.isProjected() else { throw Problem.unavailable("The order") }
        return try await call.report { try await $0.order(id) }
    }

    /// The same, where the tables may not know yet that it is over, or nothing at all.
    private static func found(_ id: OrderID, _ call: Call) async throws(Problem) -> Order? {
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
        return try .json(Page(found.map { ($0.id.rawValue, OrderModel($0, rules)) }, limit: page.limit))
    }

    private static func get(_ call: Call, _ side: Side) async throws -> Response {
        _ = try call.query()
        return try answer(try await own(try call.pathNumber(), side, call), call)
    }

    private static func answer(_ order: Order, _ call: Call) throws -> Response {
        try .json(OrderModel(order, try call.rules(), standing(of: order, call)))
    }

    /// An order of the side that the caller may see.
    private static func own(_ number: Int64, _ side: Side, _ call: Call) async throws(Problem) -> Order {
        guard let order = try await find(OrderID(number), call), order.side == side,
            call.principal.scope(unless: .admin).covers(order.account)
        else { throw Problem(Rejection.orderUnknown) }
        return order
    }

    /// The same, refused when it can be changed no more; nil when the request is repeated (same key).
    private static func changeable(_ number: Int64, _ side: Side, _ call: Call) async throws(Problem) -> Order? {
        guard try call.earlierAnswer() == nil else { return nil }
        let order = try await own(number, side, call)
        // In the tables alone: over and settled.
        guard call.services.market.read({ $0.orders[order.id] }) != nil else { throw Problem(Rejection.orderClosed) }
        return order
    }

    private static func standing(of order: Order, _ call: Call) -> OrderModel.Standing {
        guard order.open > .zero else { return OrderModel.Standing() }
        let now = call.services.now()
        return call.services.market.read { state in
            OrderModel.Standing(
                queue: state.queuePosition(of: order.id).map {
                    OrderModel.QueueModel(ordersAhead: Int64($0.ordersAhead), lotsAhead: $0.lotsAhead)
                },
                passedOver: order.side == .bid ? passedOver(by: order, in: state, at: now) : nil)
        }
    }

    /// Asks that an open bid crosses and cannot take, best first, at most ``Limits/passedOver``.
    private static func passedOver(
        by bid: Order, in state: MarketState, at now: Timestamp
    ) -> [OrderModel.PassedOverModel] {
        var found: [OrderModel.PassedOverModel] = []
        var cursor = state.book.first(on: .ask)
        for _ in 0..<Limits.passedOverSteps {
            guard let here = cursor, found.count < Limits.passedOver else { break }
            let entry = state.book[here]
            guard entry.price <= bid.price else { break }
            cursor = state.book.next(after: here)
            guard let ask = state.orders[entry.id], ask.account != bid.account, let details = ask.ask,
                let rig = state.rigs[details.rig], let reason = state.passedOver(bid, ask, rig, at: now)
            else { continue }
            found.append(.init(price: entry.price.rawValue, lots: entry.shown.rawValue, reason: reason.code))
        }
        return found
    }

    // MARK: - Changing

    /// Changes what the body names. A repetition (same key) answers the order as it is now.
    private static func amend(_ call: Call, _ side: Side) async throws -> Response {
        _ = try call.query()
        let amendment =
            switch side {
            case .bid: try call.fields(Fields.amendmentsOfBids).amendmentOfBid()
            case .ask: try call.fields(Fields.amendmentsOfAsks).amendmentOfAsk()
            }
        let id = OrderID(try call.pathNumber())
        let before = try await changeable(id.rawValue, side, call)
        do { _ = try await call.submit(.amendOrder(id, by: call.actor, amendment)) } catch {
            throw error.code == Rejection.poolTargetUnknown.code ? error.referring(to: "poolTargetIDs") : error
        }
        guard let order = try await find(id, call) ?? before else { throw Problem(Rejection.orderUnknown) }
        return try answer(order, call)
    }

    private static func cancel(_ call: Call, _ side: Side) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let id = OrderID(try call.pathNumber())
        _ = try await changeable(id.rawValue, side, call)
        _ = try await call.submit(.cancelOrder(id, by: call.actor))
        return Response(status: .noContent)
    }
}
