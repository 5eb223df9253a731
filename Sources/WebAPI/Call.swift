internal import Crypto
internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import NIOCore
internal import Units

/// A request that anybody may make.
struct OpenCall: Sendable {
    var services: APIServices
    var request: Request
    var logger: Logger
    /// The peer's IP address, where it has one.
    var address: String?
}

/// A request of somebody known and entitled, with its body read.
struct Call: Sendable {
    var services: APIServices
    var verifications: VerificationGate
    var request: Request
    var parameters: Parameters
    var principal: Principal
    var body: [UInt8]
    /// Is told when keys change.
    var gate: Gate
    var logger: Logger

    var account: AccountID { principal.account }

    /// Whose order or farm a command may touch: nil, anybody's, for admins.
    var actor: AccountID? { principal.may(.admin) ? nil : account }

    /// The number in the path; a path with anything else there is the path of nothing.
    func pathNumber() throws(Problem) -> Int64 {
        guard let text = parameters.get("id"), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(text), number > 0
        else { throw Problem.unknownPath }
        return number
    }

    func query(_ known: Set<String> = []) throws(Problem) -> Query { try Query(request, known: known) }

    /// The body's members: JSON by its content type, no unknown ones.
    func fields(_ known: Set<String>) throws(Problem) -> Fields {
        let type = request.headers[.contentType]?.split(separator: ";").first.map {
            $0.lowercased().filter { $0 != " " && $0 != "\t" }
        }
        guard type == "application/json" else {
            throw Problem(
                .unsupportedMediaType, "contentTypeUnsupported", "Send `Content-Type: application/json`.",
                field: "Content-Type")
        }
        return try Fields(body, known: known)
    }

    /// For requests that say everything in their path: no body, or an empty object.
    func noFields() throws(Problem) {
        if !body.isEmpty { _ = try fields([]) }
    }

    // MARK: - Idempotency

    /// The request's `Idempotency-Key` with the digest that tells a repetition from another request.
    func idempotency() throws(Problem) -> CommandEnvelope.Idempotency? {
        let values = request.headers[values: .idempotencyKey]
        guard let key = values.first else { return nil }
        guard values.count == 1, (1...64).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else {
            throw Problem(
                .badRequest, "idempotencyKeyInvalid", "A key has 1 to 64 visible ASCII characters.",
                field: "Idempotency-Key")
        }
        var hash = SHA256()
        let query = request.uri.query.map { "?\($0)" } ?? ""
        hash.update(data: Array("\(request.method.rawValue) \(request.uri.path)\(query)\n".utf8))
        hash.update(data: body)
        return CommandEnvelope.Idempotency(
            key: AnswerKey(account: account, key: key), digest: Array(hash.finalize()))
    }

    /// What a repeatable request was answered before; nil when it is new.
    ///
    /// - Throws: when the key was used with another request.
    func earlierAnswer() throws(Problem) -> Outcome? {
        guard let idempotency = try idempotency() else { return nil }
        guard let known = services.market.read({ $0.answers[idempotency.key] }) else { return nil }
        guard known.digest == idempotency.digest else { throw Problem(Rejection.idempotencyKeyReused) }
        return known.outcome
    }

    // MARK: - The market

    /// Sends a command and waits for its commit; a refusal is thrown.
    func submit(_ command: Command) async throws(Problem) -> Outcome {
        let envelope = CommandEnvelope(command, idempotency: try idempotency())
        let outcome: Outcome
        do { outcome = try await services.market.submit(envelope) } catch { throw Problem(error) }
        if case .rejected(let rejection) = outcome { throw Problem(rejection) }
        return outcome
    }

    /// Reads the tables; what goes wrong there is logged here and is not the caller's fault.
    func report<T>(_ body: (any MarketReports) async throws -> T) async throws(Problem) -> T {
        do { return try await body(services.reports) } catch {
            logger.error("reports cannot be read", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The reports")
        }
    }

    /// The market's rules; there is no trade without them.
    func rules() throws(Problem) -> MarketRules { try services.rules() }

    /// An account that a member of staff named.
    func existing(_ account: AccountID) async throws(Problem) -> AccountID {
        let exists: Bool
        do { exists = try await services.directory.exists(account) } catch {
            logger.error("accounts cannot be looked up", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The directory of accounts")
        }
        guard exists else {
            throw Problem(.unprocessableContent, "accountUnknown", "There is no such account.", field: "account")
        }
        return account
    }
}

extension APIServices {
    func rules() throws(Problem) -> MarketRules {
        guard let rules = market.read({ $0.rules }) else { throw Problem(Rejection.marketUndefined) }
        return rules
    }
}

extension HTTPField.Name {
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}

/// Whose things are meant.
enum AccountScope: Hashable, Sendable {
    case own(AccountID)
    case all

    func covers(_ account: AccountID) -> Bool {
        switch self {
        case .own(let mine): mine == account
        case .all: true
        }
    }

    /// As the reports' ports have it: nil for all.
    var account: AccountID? {
        switch self {
        case .own(let mine): mine
        case .all: nil
        }
    }
}
