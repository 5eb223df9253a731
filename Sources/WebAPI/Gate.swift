internal import Crypto
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import Synchronization
internal import Units

/// A request as far as it matters for letting it in.
struct Knock: Sendable {
    var headers: HTTPFields
    var method: HTTPRequest.Method
    /// As sent, percent signs included.
    var path: String
    var query: String
    /// The other end of the connection; nil when unknown.
    var peer: IPAddress?
    /// The endpoint's path, and the roles of which it needs one.
    var endpoint: String
    var roles: Set<Role>
    /// Whether the endpoint only reads.
    var isRead: Bool
}

extension Knock {
    init(_ request: Request, _ context: APIContext, _ endpoint: Endpoint, _ roles: Set<Role>) {
        self.init(
            headers: request.headers, method: request.method, path: request.uri.path, query: request.uri.query ?? "",
            peer: context.peer, endpoint: endpoint.path, roles: roles, isRead: endpoint.method == .get)
    }
}

/// Lets requests through to their endpoints: key and proof of it, expiry, network, scope, role.
///
/// A signed request's body is read before its signature can be checked, a bearer key's request is refused before. What a signed
/// key may not is told only to who has its secret.
final class Gate: Sendable {
    private let authenticator: Authenticator
    private let settings: AccessSettings
    private let now: @Sendable () -> Timestamp
    private let nonces: Mutex<NonceMemory>

    init(_ services: APIServices, nonceCapacity: Int = Limits.nonces) {
        authenticator = Authenticator(directory: services.keys, now: services.now)
        settings = services.access
        now = services.now
        nonces = Mutex(NonceMemory(
            window: services.access.window, capacity: nonceCapacity, start: services.access.start ?? services.now()))
    }

    func admit(
        _ knock: Knock, logger: Logger, body: () async throws -> [UInt8]
    ) async throws -> (Principal, [UInt8]) {
        let claim = try Claim(knock.headers)
        if case .signed(let signature) = claim { try checkTime(signature) }
        let known = try await authenticator.known(claim, logger: logger)
        let principal: Principal
        let bytes: [UInt8]
        switch claim {
        case .bearer:
            try checkSecret(known.credential)
            principal = try admit(known.credential, knock)
            bytes = try await body()
        case .signed(let signature):
            bytes = try await body()
            try check(signature, known, knock, bytes)
            principal = try admit(known.credential, knock)
        }
        await authenticator.noteUse(known.credential.key, logger: logger)
        return (principal, bytes)
    }

    /// A key was changed: what is known of it is forgotten.
    func forget(_ id: KeyID) { authenticator.forget(id) }

    // MARK: - What the key gives

    private func admit(_ credential: Credential, _ knock: Knock) throws(Problem) -> Principal {
        let key = credential.key
        guard key.revokedAt == nil else { throw Gate.ended("keyRevoked", "This API key was revoked.", key) }
        if let end = key.grant.expiresAt, end <= now() { throw Gate.ended("keyExpired", "This API key expired on \(end).", key) }
        let client = settings.proxies.client(peer: knock.peer, forwarded: knock.headers[values: .xForwardedFor])
        guard key.grant.allows(client) else {
            let address = client.map { "the address \($0)" } ?? "an address that is not known"
            throw Problem(.forbidden, "networkForbidden", "This API key may not be used from \(address).", field: Gate.field(key))
        }
        let decision = AccessDecision.decide(
            path: knock.endpoint, isRead: knock.isRead, needed: knock.roles, roles: credential.roles, scopes: key.grant.scopes)
        switch decision {
        case .allowed(let carried):
            var principal = Principal(account: key.account, name: credential.accountName, roles: carried)
            principal.key = key.id
            principal.grant = key.grant
            return principal
        case .scopeMissing(let scopes):
            let names = scopes.sorted().map(\.rawValue).joined(separator: " or ")
            throw Problem(.forbidden, "scopeMissing", "This needs a key with the scope \(names).", field: Gate.field(key))
        case .roleMissing(let roles):
            let names = roles.map(\.rawValue).sorted().joined(separator: " or ")
            throw Problem(.forbidden, "roleMissing", "This needs a key with the role \(names).", field: Gate.field(key))
        }
    }

    private func checkSecret(_ credential: Credential) throws(Problem) {
        guard let end = credential.bearerUntil, end <= now() else { return }
        throw Gate.ended("secretReplaced", "This API key has a newer secret; this one ended on \(end).", credential.key)
    }

    private static func ended(_ code: String, _ detail: String, _ key: AccessKey) -> Problem {
        Problem(.unauthorized, code, detail, field: field(key)).with(.wwwAuthenticate, "Bearer error=\"invalid_token\"")
    }

    /// The header that the key came in.
    private static func field(_ key: AccessKey) -> String {
        switch key.kind {
        case .bearer: "Authorization"
        case .signed: HTTPField.Name.xAuth.rawName
        }
    }

    // MARK: - Signatures

    private func checkTime(_ signature: Claim.Signature) throws(Problem) {
        let time = now()
        guard nonces.withLock({ $0.isWithinWindow(signature.timestamp, now: time) }) else {
            throw wrongTime("The request's time is more than \(settings.window.most.microseconds / 1_000_000) seconds off.", time)
        }
    }

    private func wrongTime(_ detail: String, _ time: Timestamp) -> Problem {
        let milliseconds = time.microseconds / 1000
        return Claim.flaw("signatureTime", .xTime, "\(detail) The server's time is \(milliseconds) (\(time)).")
            .with(.xServerTime, "\(milliseconds)")
    }

    /// The signature first: only who has the secret uses up nonces.
    private func check(_ signature: Claim.Signature, _ known: Authenticator.Known, _ knock: Knock, _ body: [UInt8]) throws(Problem) {
        let text = SignedText(
            key: signature.key, time: signature.time, nonce: signature.nonce, organization: signature.organization,
            method: knock.method.rawValue, path: knock.path, query: knock.query, body: body)
        let time = now()
        guard let secret = known.secrets.first(where: { text.isSigned(signature.code, by: $0.key) }) else {
            throw wrong(signature, text, known)
        }
        if let end = secret.until, end <= time {
            throw Gate.ended("secretReplaced", "This API key has a newer secret; this one ended on \(end).", known.credential.key)
        }
        let account = known.credential.key.account
        guard signature.organization.isEmpty || signature.organization == "\(account)" else {
            throw Problem(
                .forbidden, "organizationWrong", "This is the number of the key's account, \(account), or empty.",
                field: HTTPField.Name.xOrganization.rawName)
        }
        try take(signature, of: known.credential.key.id, time)
    }

    private func take(_ signature: Claim.Signature, of key: KeyID, _ time: Timestamp) throws(Problem) {
        let digest = SHA256.hash(data: Array(signature.nonce.utf8)).prefix(16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        switch nonces.withLock({ $0.take(digest, of: key, time: signature.timestamp, now: time) }) {
        case .fresh: return
        case .reused: throw Claim.flaw("nonceReused", .xNonce, "This nonce was used before: each request has one of its own.")
        case .outsideWindow: throw wrongTime("The request's time went out of the window.", time)
        case .forgotten:
            throw wrongTime(
                "The request is older than what the server remembers, so it may be a repetition: sign it anew.", time)
        }
    }

    private func wrong(_ signature: Claim.Signature, _ text: SignedText, _ known: Authenticator.Known) -> Problem {
        let mistake = known.secrets.lazy.compactMap { SigningMistake.explaining(signature.code, of: text, by: $0.key) }.first
        let seen = "Signed here: \(text.method), a path of \(text.path.utf8.count) bytes, a query of \(text.query.utf8.count), "
            + "a body of \(text.body.count), \(text.bytes.count) in all with SHA-256 \(Hex.encode(SHA256.hash(data: text.bytes)))."
        return Claim.flaw("signatureWrong", .xAuth, "The HMAC-SHA256 does not fit. \(mistake.map { $0.advice + " " } ?? "")\(seen)")
    }
}
