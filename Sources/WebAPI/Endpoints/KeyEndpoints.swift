internal import Crypto
internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import Units

/// The account's own API keys.
enum KeyEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/keys", [], list),
        .keyed(.post, "/v1/keys", [], create),
        .keyed(.get, "/v1/keys/{id}", [], get),
        .keyed(.delete, "/v1/keys/{id}", [], revoke),
        .keyed(.post, "/v1/keys/{id}/rotate", [], rotate),
    ]

    /// The longest time that a replaced secret stays good: a week.
    private static let mostOverlap: Int64 = 604_800

    private static func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let keys = try await call.keys { try await $0.keys(of: call.account, after: page.after, limit: page.limit + 1) }
        return try .json(Page(keys.map { ($0.id.rawValue, KeyModel($0)) }, limit: page.limit))
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(KeyModel(try await key(call)))
    }

    /// The key in the path.
    private static func key(_ call: Call) async throws -> AccessKey {
        let id = KeyID(try call.pathNumber())
        guard let key = try await call.keys({ try await $0.key(id, of: call.account) }) else { throw Problem(KeyError.unknown) }
        return key
    }

    // MARK: - New keys

    private static func create(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["label", "kind", "scopes", "networks", "expiresAt"])
        let label = try fields.text("label", bytes: 1...KeyLimits.labelBytes)
        let kind = try fields.choice("kind", kinds) ?? .bearer
        let grant = KeyGrant(
            scopes: try scopes(fields), networks: try networks(fields) ?? call.principal.grant.networks,
            expiresAt: try fields.optionalTime("expiresAt") ?? call.principal.grant.expiresAt)
        if let end = grant.expiresAt, end <= call.services.now() {
            throw fields.flaw("expiresAt", "fieldOutOfRange", "This is in the future.")
        }
        try check(grant, call)
        let made = try secret(kind, call)
        let request = try request(call)
        let key = try await call.keys {
            try await $0.create(
                NewAccessKey(
                    account: call.account, name: made.name, label: label, grant: grant, secret: made.kept, createdBy: call.principal.key),
                request: request, at: call.services.now())
        }
        return try .json(NewKeyModel(key, made.shown), status: .created, location: "/v1/keys/\(key.id)")
    }

    private static let kinds = Dictionary(uniqueKeysWithValues: KeyKind.allCases.map { ($0.rawValue, $0) })

    private static func scopes(_ fields: Fields) throws(Problem) -> Set<Scope> {
        var scopes: Set<Scope> = []
        for name in try fields.texts("scopes", count: 1...Scope.allCases.count) ?? [] {
            guard let scope = Scope(rawValue: name) else {
                let names = Scope.allCases.map(\.rawValue).joined(separator: ", ")
                throw fields.flaw("scopes", "fieldOutOfRange", "Scopes are \(names).")
            }
            scopes.insert(scope)
        }
        guard !scopes.isEmpty else { throw fields.flaw("scopes", "fieldMissing", "This field is required.") }
        return scopes
    }

    private static func networks(_ fields: Fields) throws(Problem) -> [IPNetwork]? {
        guard let texts = try fields.texts("networks", count: 0...KeyLimits.networks) else { return nil }
        var networks: [IPNetwork] = []
        for (index, text) in texts.enumerated() {
            guard let network = IPNetwork(text) else {
                throw fields.flaw(
                    "networks[\(index)]", "networkInvalid", "This is an address or a network as 192.0.2.0/24 or 2001:db8::/32.")
            }
            networks.append(network)
        }
        return networks
    }

    /// A key gives no more than the one that makes or renews it.
    private static func check(_ grant: KeyGrant, _ call: Call) throws(Problem) {
        guard let excess = call.principal.grant.excess(of: grant) else { return }
        let (field, what) =
            switch excess {
            case .scopes: ("scopes", "scopes that this key has not")
            case .expiry: ("expiresAt", "a longer life than this key")
            case .networks: ("networks", "networks that this key may not be used from")
            }
        throw Problem(.forbidden, "grantExceeded", "That key has \(what).", field: field)
    }

    // MARK: - Secrets

    /// A secret as it is shown once, and as it is kept.
    private struct Made {
        var name: String?
        var shown: String
        var kept: NewSecret
    }

    /// Of a request that can be repeated, one that the repetition finds again.
    private static func secret(_ kind: KeyKind, _ call: Call) throws(Problem) -> Made {
        switch kind {
        case .bearer:
            let shown = APIKey.make(random: try random("bearer", 32, call))
            return Made(name: nil, shown: shown, kept: .digest(APIKey.digest(shown)))
        case .signed:
            let shown = APIKey.makeSigningSecret(random: try random("signing", 32, call))
            return Made(name: APIKey.makeName(random: try random("name", 16, call)), shown: shown, kept: .signing(Array(shown.utf8)))
        }
    }

    private static func random(_ purpose: String, _ count: Int, _ call: Call) throws(Problem) -> [UInt8] {
        guard let idempotency = try call.idempotency() else { return call.services.randomBytes(count) }
        var hmac = HMAC<SHA256>(key: SymmetricKey(data: call.services.secret))
        hmac.update(data: Array("API key \(purpose)\n\(call.account)\n\(idempotency.key.key)\n".utf8))
        hmac.update(data: idempotency.digest)
        return Array(Array(hmac.finalize()).prefix(count))
    }

    private static func request(_ call: Call) throws(Problem) -> KeyRequest? {
        _ = try call.earlierAnswer()
        return try call.idempotency().map { KeyRequest(key: $0.key.key, digest: $0.digest) }
    }

    private static func rotate(_ call: Call) async throws -> Response {
        _ = try call.query()
        let overlap = call.body.isEmpty
            ? 0 : try call.fields(["overlapSeconds"]).optionalInteger("overlapSeconds", in: 0...mostOverlap) ?? 0
        let key = try await key(call)
        try check(key.grant, call)
        let made = try secret(key.kind, call)
        let request = try request(call)
        let now = call.services.now()
        let rotated = try await call.keys {
            try await $0.rotate(
                key.id, of: call.account, to: made.kept, previousUntil: now + .seconds(overlap), request: request, at: now)
        }
        call.gate.forget(key.id)
        return try .json(NewKeyModel(rotated, made.shown))
    }

    private static func revoke(_ call: Call) async throws -> Response {
        _ = try call.query()
        try call.noFields()
        let id = KeyID(try call.pathNumber())
        _ = try await call.keys { try await $0.revoke(id, of: call.account, at: call.services.now()) }
        call.gate.forget(id)
        return Response(status: .noContent)
    }
}

extension Call {
    /// Works on the keys; what goes wrong there is logged here and is not the caller's fault.
    func keys<T: Sendable>(_ body: (any KeyDirectory) async throws -> T) async throws(Problem) -> T {
        do { return try await body(services.keys) } catch let error as KeyError { throw Problem(error) } catch {
            logger.error("keys cannot be read or written", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The directory of accounts")
        }
    }
}

extension Problem {
    init(_ error: KeyError) {
        switch error {
        case .unknown: self = Problem.unknown("key", code: "keyUnknown")
        case .accountUnknown: self = Problem(.unprocessableContent, "accountUnknown", "There is no such account.", field: "account")
        case .revoked: self = Problem(.conflict, "keyRevoked", "The key was revoked.")
        case .tooMany:
            self = Problem(.conflict, "keysTooMany", "An account has at most \(KeyLimits.liveKeys) live keys: revoke one.")
        case .requestReused:
            self = Problem(
                .conflict, "idempotencyKeyReused", "The key was used with another request.", field: "Idempotency-Key")
        }
    }
}

/// A key without its secret.
struct KeyModel: Encodable {
    var id: Int64
    var kind: String
    /// What a signing client calls it.
    var key: String?
    var label: String
    var scopes: [String]
    var networks: [String]
    var status: String
    var createdAt: String
    var expiresAt: String?
    var revokedAt: String?
    var lastUsedAt: String?
    var rotatedAt: String
    /// Until when the secret before the newest is good.
    var previousSecretUntil: String?

    init(_ key: AccessKey) {
        id = key.id.rawValue
        kind = key.kind.rawValue
        self.key = key.name
        label = key.label
        scopes = key.grant.scopes.sorted().map(\.rawValue)
        networks = key.grant.networks.map(\.description)
        status = key.revokedAt == nil ? "live" : "revoked"
        createdAt = key.createdAt.description
        expiresAt = key.grant.expiresAt?.description
        revokedAt = key.revokedAt?.description
        lastUsedAt = key.lastUsedAt?.description
        rotatedAt = key.rotatedAt.description
        previousSecretUntil = key.previousUntil?.description
    }
}

/// A key with the secret that is shown this once.
private struct NewKeyModel: Encodable {
    var key: KeyModel
    var secret: String

    init(_ key: AccessKey, _ secret: String) {
        self.key = KeyModel(key)
        self.secret = secret
    }
}
