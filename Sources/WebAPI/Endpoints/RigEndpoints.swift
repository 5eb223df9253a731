internal import Crypto
internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Units

/// Sellers' rigs.
enum RigEndpoints {
    static let all: [Endpoint] = [
        .keyed(.post, "/v1/rigs", [.seller], register),
        .keyed(.get, "/v1/rigs", [.seller], list),
        .keyed(.get, "/v1/rigs/{id}", [.seller], get),
        .keyed(.put, "/v1/rigs/{id}/farm", [.seller], assign),
    ]

    private static func register(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["name", "fallbackPoolTargetID", "password"])
        let name = try fields.text("name", bytes: 1...32)
        let fallback = PoolTargetID(try fields.integer("fallbackPoolTargetID", in: 1...Int64.max))
        let chosen = try fields.optionalText("password", bytes: 8...64)
        let password = try chosen ?? generatedPassword(call)
        let outcome: Outcome
        do {
            outcome = try await call.submit(.registerRig(
                owner: call.account, name: name, passwordDigest: Array(SHA256.hash(data: Array(password.utf8))),
                fallback: fallback))
        } catch { throw error.referring(to: "fallbackPoolTargetID") }
        guard case .rig(let id, let user) = outcome else { throw Problem.internalError }
        return try .json(
            RegistrationModel(
                id: id.rawValue, stratumURL: call.services.edge.stratumURL, user: user, password: password),
            status: .created, location: "/v1/rigs/\(id)")
    }

    /// A password that a repetition of the same request finds again, or a random one where none can come.
    private static func generatedPassword(_ call: Call) throws -> String {
        guard let idempotency = try call.idempotency() else { return Base64URL.encode(call.services.randomBytes(18)) }
        var hmac = HMAC<SHA256>(key: SymmetricKey(data: call.services.secret))
        hmac.update(data: Array("rig password\n\(call.account)\n\(idempotency.key.key)".utf8))
        return Base64URL.encode(Array(hmac.finalize()).prefix(18))
    }

    private static func list(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["farm"]))
        let page = try PageRequest(query)
        let farm = try query.integer("farm", in: 1...Int64.max).map { FarmID($0) }
        let scope = call.principal.scope(unless: .admin)
        let found = call.services.market.read { state in
            page.select(state.rigs.values, number: \.id.rawValue) {
                scope.covers($0.owner) && (farm == nil || $0.farm == farm)
            }.map { ($0, state.deliveries(on: $0.id).map(\.id), state.cuts[$0.id]) }
        }
        let live = await call.services.edge.rigs()
        return try .json(Page(
            found.map { rig, deliveries, cut in (rig.id.rawValue, RigModel(rig, deliveries, live[rig.id], cut)) }, limit: page.limit))
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try await answer(try rig(call).id, call)
    }

    /// The rig in the path.
    private static func rig(_ call: Call) throws(Problem) -> Rig {
        let id = RigID(try call.pathNumber())
        guard let rig = call.services.market.read({ $0.rigs[id] }),
            call.principal.scope(unless: .admin).covers(rig.owner)
        else { throw Problem(Rejection.rigUnknown) }
        return rig
    }

    private static func answer(_ id: RigID, _ call: Call) async throws -> Response {
        let found = call.services.market.read { state in
            state.rigs[id].map { ($0, state.deliveries(on: id).map(\.id), state.cuts[id]) }
        }
        guard let (rig, deliveries, cut) = found else { throw Problem(Rejection.rigUnknown) }
        return try .json(RigModel(rig, deliveries, await call.services.edge.rigs()[id], cut))
    }

    /// Puts the rig into a farm, or takes it out of any.
    private static func assign(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["farmID"])
        try fields.checkPresent("farmID")
        let farm = try fields.optionalInteger("farmID", in: 1...Int64.max).map { FarmID($0) }
        let rig = try rig(call)
        do { _ = try await call.submit(.assignRig(rig.id, owner: rig.owner, farm)) } catch {
            throw error.code == Rejection.farmUnknown.code ? error.referring(to: "farmID") : error
        }
        return try await answer(rig.id, call)
    }
}

private struct RegistrationModel: Encodable {
    var id: Int64
    var stratumURL: String
    var user: String
    /// Shown this once.
    var password: String
}

private struct RigModel: Encodable {
    struct Live: Encodable {
        var hashesPerSecond: Int64
        var pool: String?
        var userAgent: String?
        var connectedSince: String?
        var switches: Int64
        var figures: RigFiguresModel?
    }

    var id: Int64
    var account: Int64
    var name: String
    var user: String
    var fallbackPoolTargetID: Int64
    var status: String
    /// Absent while online, and for a rig that never was.
    var offlineSince: String?
    /// Long average by verified shares; 0 before it is known.
    var measuredHashesPerSecond: Int64
    /// The rig's live ask.
    var askID: Int64?
    /// Running ones, oldest first.
    var deliveryIDs: [Int64]
    var farmID: Int64?
    var live: Live?
    /// It may not hash now: its farm is curtailed.
    var isCurtailed: Bool
    /// When it may again, once that is known.
    var returnsAt: String?

    init(_ rig: Rig, _ deliveries: [DeliveryID], _ live: LiveRig?, _ cut: CutRig?) {
        isCurtailed = cut != nil
        returnsAt = cut?.returnsAt?.description
        id = rig.id.rawValue
        account = rig.owner.rawValue
        name = rig.user.split(separator: ".", maxSplits: 1).last.map { String($0) } ?? rig.user
        user = rig.user
        fallbackPoolTargetID = rig.fallback.rawValue
        switch rig.presence {
        case .online: status = "online"
        case .offline(let since):
            status = "offline"
            offlineSince = since.microseconds == 0 ? nil : since.description
        }
        measuredHashesPerSecond = rig.measured.hashesPerSecond
        askID = rig.ask?.rawValue
        deliveryIDs = deliveries.map(\.rawValue)
        farmID = rig.farm?.rawValue
        self.live = live.map {
            Live(
                hashesPerSecond: $0.hashrate.hashesPerSecond, pool: $0.pool, userAgent: $0.userAgent,
                connectedSince: $0.connectedSince?.description, switches: $0.switches,
                figures: $0.figures.map(RigFiguresModel.init))
        }
    }
}
