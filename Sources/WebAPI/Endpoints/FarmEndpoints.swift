internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import OrderBook
internal import Units

/// Groups of rigs that are offered as a whole.
enum FarmEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/farms", [.seller], create),
        .keyed(.get, "/v1/farms", [.seller], list),
        .keyed(.get, "/v1/farms/{id}", [.seller], get),
        .keyed(.put, "/v1/farms/{id}/offer", [.seller], offer),
        .keyed(.delete, "/v1/farms/{id}/offer", [.seller], withdraw),
    ]

    private static func create(_ call: Call) async throws -> Response {
        _ = try call.query()
        let name = try call.fields(["name"]).text("name", bytes: 1...64)
        guard case .farm(let id) = try await call.submit(.createFarm(owner: call.account, name: name)),
            let farm = call.services.market.read({ $0.farms[id] })
        else { throw Problem.internalError }
        return try .json(FarmModel(farm, nil, nil), status: .created, location: "/v1/farms/\(id)")
    }

    private static func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let scope = call.principal.scope(unless: .admin)
        let found = call.services.market.read { state in
            page.select(state.farms.values, number: \.id.rawValue) { scope.covers($0.owner) }
                .map { ($0.id.rawValue, FarmModel($0, in: state)) }
        }
        return try .json(Page(found, limit: page.limit))
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try answer(try farm(call).id, call)
    }

    static func answer(_ id: FarmID, _ call: Call) throws -> Response {
        guard let model = call.services.market.read({ state in state.farms[id].map { FarmModel($0, in: state) } }) else {
            throw Problem(Rejection.farmUnknown)
        }
        return try .json(model)
    }

    /// The farm in the path.
    static func farm(_ call: Call) throws(Problem) -> Farm {
        let id = FarmID(try call.pathNumber())
        guard let farm = call.services.market.read({ $0.farms[id] }),
            call.principal.scope(unless: .admin).covers(farm.owner)
        else { throw Problem(Rejection.farmUnknown) }
        return farm
    }

    private static func offer(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(Fields.instructions.union(["price", "lots", "schedule"]))
        let offer = FarmOffer(
            price: try fields.price("price"), most: try fields.most(), instructions: try fields.instructions(),
            schedule: try fields.schedule())
        let farm = try farm(call)
        _ = try await call.submit(.offerFarm(farm.id, owner: farm.owner, offer))
        return try answer(farm.id, call)
    }

    private static func withdraw(_ call: Call) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let farm = try farm(call)
        guard case .cancelled(let count) = try await call.submit(.withdrawFarm(farm.id, owner: call.actor)) else {
            throw Problem.internalError
        }
        return try .json(CancelledModel(cancelled: count))
    }
}

private struct FarmModel: Encodable {
    struct Offer: Encodable {
        private struct Facts: Encodable {
            var price: Int64
            var lots: MostModel
            var schedule: [WindowModel]?
        }

        private let facts: Facts
        private let instructions: InstructionsModel

        init(_ offer: FarmOffer) {
            facts = Facts(
                price: offer.price.rawValue, lots: MostModel(offer.most), schedule: WindowModel.all(offer.schedule))
            instructions = InstructionsModel(offer.instructions)
        }

        func encode(to encoder: any Encoder) throws {
            try facts.encode(to: encoder)
            try instructions.encode(to: encoder)
        }
    }

    var id: Int64
    var account: Int64
    var name: String
    /// Absent while the farm is not offered as a whole.
    var offer: Offer?
    /// Absent while it has none of its own.
    var login: FarmLoginModel?
    /// Absent while all its rigs may hash.
    var curtailment: CurtailmentModel?

    init(_ farm: Farm, in state: MarketState) {
        self.init(
            farm, state.farmLogins[farm.id].map { FarmLoginModel($0, rigs: state.loginCount(of: farm.id)) },
            state.curtailments[farm.id].map { CurtailmentModel($0, cutRigs: state.cutCount(of: farm.id)) })
    }

    init(_ farm: Farm, _ login: FarmLoginModel?, _ curtailment: CurtailmentModel?) {
        self.login = login
        self.curtailment = curtailment
        id = farm.id.rawValue
        account = farm.owner.rawValue
        name = farm.name
        offer = farm.offer.map(Offer.init)
    }
}
