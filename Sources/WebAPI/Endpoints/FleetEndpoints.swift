internal import Crypto
internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Units

/// Farms whose rigs come by themselves, and are sent away for a while.
enum FleetEndpoints {
    static let all: [Endpoint] = [
        .keyed(.put, "/v1/farms/{id}/login", [.seller], setLogin),
        .keyed(.put, "/v1/farms/{id}/curtailment", [.seller], curtail),
        .keyed(.delete, "/v1/farms/{id}/curtailment", [.seller], lift),
    ]

    // MARK: - Login

    private static func setLogin(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["name", "password", "rotatePassword", "fallbackPoolTargetID", "mostRigs"])
        let farm = try FarmEndpoints.farm(call)
        let isNew = call.services.market.read { $0.farmLogins[farm.id] } == nil
        let isRepeated = try call.earlierAnswer() != nil
        var change = FarmLoginChange(
            name: try fields.optionalText("name", bytes: 1...32),
            fallback: try fields.optionalInteger("fallbackPoolTargetID", in: 1...Int64.max).map { PoolTargetID($0) },
            mostRigs: try fields.optionalInteger("mostRigs", in: 1...FarmLogin.mostRigsEver))
        let chosen = try fields.optionalText("password", bytes: 8...64)
        let isRotated = try fields.flag("rotatePassword") ?? false
        // A repetition of the request that made the login shows the same password again.
        let password = try chosen ?? (isNew || isRotated || isRepeated ? FleetEndpoints.password(farm.id, call) : nil)
        change.passwordDigest = password.map { Array(SHA256.hash(data: Array($0.utf8))) }
        do { _ = try await call.submit(.fleet(.setLogin(farm.id, owner: farm.owner, change))) } catch {
            throw error.code == Rejection.poolTargetUnknown.code ? error.referring(to: "fallbackPoolTargetID") : error
        }
        guard let login = call.services.market.read({ $0.farmLogins[farm.id] }) else { throw Problem.internalError }
        // Only what really is the password is shown: a repetition of a request without one made none.
        let isShown = change.passwordDigest == login.passwordDigest
        return try .json(FarmLoginReply(
            farmID: farm.id.rawValue, stratumURL: call.services.edge.stratumURL, user: login.user,
            password: isShown ? password : nil))
    }

    /// One that a repetition of the same request finds again, or a random one where none can come.
    private static func password(_ farm: FarmID, _ call: Call) throws -> String {
        guard let idempotency = try call.idempotency() else { return Base64URL.encode(call.services.randomBytes(18)) }
        var hmac = HMAC<SHA256>(key: SymmetricKey(data: call.services.secret))
        hmac.update(data: Array("farm password\n\(farm)\n\(call.account)\n\(idempotency.key.key)".utf8))
        return Base64URL.encode(Array(hmac.finalize()).prefix(18))
    }

    // MARK: - Curtailment

    private static func curtail(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["capLots", "rampMinutes", "until"])
        let cap = Lots(try fields.integer("capLots", in: 0...1_000_000_000_000))
        let minutes = try fields.optionalInteger("rampMinutes", in: 0...1440) ?? 0
        let until = try fields.optionalTime("until")
        let farm = try FarmEndpoints.farm(call)
        _ = try await call.submit(.fleet(.curtail(
            farm.id, by: call.actor, cap: cap, ramp: .seconds(minutes * 60), until: until)))
        return try FarmEndpoints.answer(farm.id, call)
    }

    private static func lift(_ call: Call) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let farm = try FarmEndpoints.farm(call)
        _ = try await call.submit(.fleet(.liftCurtailment(farm.id, by: call.actor)))
        return try FarmEndpoints.answer(farm.id, call)
    }
}

private struct FarmLoginReply: Encodable {
    var farmID: Int64
    var stratumURL: String
    /// Miners authorize as this, a dot and their worker's name.
    var user: String
    /// When it is a new one; shown this once.
    var password: String?
}

/// A farm's login, without its password.
struct FarmLoginModel: Encodable {
    var user: String
    var fallbackPoolTargetID: Int64
    var mostRigs: Int64
    /// Rigs that came by it.
    var rigs: Int64

    init(_ login: FarmLogin, rigs: Int) {
        user = login.user
        fallbackPoolTargetID = login.fallback.rawValue
        mostRigs = login.mostRigs
        self.rigs = Int64(rigs)
    }
}

struct CurtailmentModel: Encodable {
    /// `holding` or `lifting`.
    var status: String
    var capLots: Int64
    var rampMinutes: Int64
    var since: String
    var until: String?
    var liftedAt: String?
    /// Rigs that may not hash now.
    var cutRigs: Int64

    init(_ curtailment: Curtailment, cutRigs: Int) {
        status = curtailment.isHolding ? "holding" : "lifting"
        capLots = curtailment.cap.rawValue
        rampMinutes = curtailment.ramp.microseconds / 60_000_000
        since = curtailment.since.description
        until = curtailment.until?.description
        liftedAt = curtailment.liftedAt?.description
        self.cutRigs = Int64(cutRigs)
    }
}
