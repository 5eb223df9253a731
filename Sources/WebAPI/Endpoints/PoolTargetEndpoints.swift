internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Units

/// Buyers' pools and sellers' fallback pools.
enum PoolTargetEndpoints {
    private static let roles: Set<Role> = [.buyer, .seller]

    static let all: [Endpoint] = [
        .keyed(.post, "/v1/pool-targets", roles, create),
        .keyed(.get, "/v1/pool-targets", roles, list),
        .keyed(.get, "/v1/pool-targets/{id}", roles, get),
        .keyed(.post, "/v1/pool-targets/{id}/verify", roles, verify),
    ]

    private static func create(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["name", "url", "user", "password"])
        let name = try fields.text("name", bytes: 1...256)
        let url = try fields.text("url", bytes: 1...256)
        if let flaw = call.services.verifier.flaw(inURL: url) {
            throw Problem(.unprocessableContent, "poolURLInvalid", flaw, field: "url")
        }
        let outcome = try await call.submit(.createPoolTarget(
            owner: call.account, name: name, url: url, user: try fields.text("user", bytes: 1...256),
            // Pools that know no passwords are sent `x` by custom.
            password: try fields.optionalText("password", bytes: 0...256) ?? "x"))
        guard case .poolTarget(let id) = outcome, let target = call.services.market.read({ $0.targets[id] }) else {
            throw Problem.internalError
        }
        return try .json(PoolTargetModel(target), status: .created, location: "/v1/pool-targets/\(id)")
    }

    private static func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let scope = call.principal.scope(unless: .admin)
        let found = call.services.market.read { state in
            page.select(state.targets.values, number: \.id.rawValue) { scope.covers($0.owner) }
        }
        return try .json(Page(found.map { ($0.id.rawValue, PoolTargetModel($0)) }, limit: page.limit))
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(PoolTargetModel(try target(call)))
    }

    private static func target(_ call: Call) throws -> PoolTarget {
        let id = PoolTargetID(try call.pathNumber())
        guard let target = call.services.market.read({ $0.targets[id] }),
            call.principal.scope(unless: .admin).covers(target.owner)
        else { throw Problem(Rejection.poolTargetUnknown) }
        return target
    }

    /// Tries the pool out and records what came of it. A repetition (same key) answers what is recorded.
    private static func verify(_ call: Call) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let target = try target(call)
        guard try call.earlierAnswer() == nil else { return try .json(VerificationModel(target, steps: [])) }
        let result = try await call.verifications.run(target.id, of: call.account) {
            await call.services.verifier.verify(url: target.url, user: target.user, password: target.password)
        }
        _ = try await call.submit(.recordVerification(target: target.id, status: status(result)))
        return try .json(VerificationModel(try self.target(call), steps: result.steps))
    }

    private static func status(_ result: VerificationResult) -> PoolStatus {
        if let capabilities = result.capabilities { return .verified(capabilities) }
        guard let failed = result.steps.first(where: { !$0.isOK }) else { return .failed(reason: "verification failed") }
        return .failed(reason: String("\(failed.name): \(failed.detail)".prefix(200)))
    }
}

private struct PoolTargetModel: Encodable {
    struct Capabilities: Encodable {
        var extranonce2Size: Int64
        /// Eight hexadecimal digits.
        var versionMask: String
        var difficulty: String
    }

    var id: Int64
    var account: Int64
    var name: String
    var url: String
    var user: String
    var status: String
    var reason: String?
    var capabilities: Capabilities?

    init(_ target: PoolTarget) {
        id = target.id.rawValue
        account = target.owner.rawValue
        name = target.name
        url = target.url
        user = target.user
        switch target.status {
        case .unverified: status = "unverified"
        case .verified(let pool):
            status = "verified"
            let digits = String(pool.versionMask, radix: 16)
            capabilities = Capabilities(
                extranonce2Size: pool.extranonce2Size,
                versionMask: String(repeating: "0", count: 8 - digits.count) + digits, difficulty: pool.difficulty)
        case .failed(let reason):
            status = "failed"
            self.reason = reason
        }
    }
}

private struct VerificationModel: Encodable {
    struct Step: Encodable {
        var name: String
        var ok: Bool
        var detail: String
    }

    var target: PoolTargetModel
    /// In the order they were taken; none when an earlier verification is answered again.
    var steps: [Step]

    init(_ target: PoolTarget, steps: [VerificationStep]) {
        self.target = PoolTargetModel(target)
        self.steps = steps.map { Step(name: $0.name, ok: $0.isOK, detail: $0.detail) }
    }
}
