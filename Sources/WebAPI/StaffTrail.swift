internal import Crypto
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import Synchronization
internal import Units

/// Puts what staff do over the API into the audit trail: every write, before it is executed and after, and what they read, before it
/// is sent. What cannot be noted is not done.
struct StaffTrail: Sendable {
    private let services: APIServices
    private let recent = RecentReads()

    init(services: APIServices) { self.services = services }

    func answer(
        _ call: Call, _ endpoint: Endpoint, requestID: String, _ handle: (Call) async throws -> Response
    ) async throws -> Response {
        guard call.principal.isStaff else { return try await handle(call) }
        let act = StaffTrail.act(call, endpoint, requestID)
        return endpoint.method == .get ? try await read(act, call, handle) : try await write(act, call, handle)
    }

    // MARK: - Writes

    private func write(_ act: AuditAct, _ call: Call, _ handle: (Call) async throws -> Response) async throws -> Response {
        let number: Int64
        do { number = try await services.control.begin(act, at: services.now()) } catch { throw unavailable(error, call.logger) }
        do {
            let response = try await handle(call)
            await end(number, AuditOutcome(status: Int64(response.status.code)), call.logger)
            return response
        } catch {
            await end(number, StaffTrail.outcome(of: error), call.logger)
            throw error
        }
    }

    /// The act is done: without its outcome the trail says that nobody knows it.
    private func end(_ number: Int64, _ outcome: AuditOutcome, _ logger: Logger) async {
        do { try await services.control.end(number, outcome, at: services.now()) } catch {
            logger.error("the outcome of an act cannot be put into the audit trail", metadata: [
                "number": "\(number)", "status": "\(outcome.status)", "error": "\(error)",
            ])
        }
    }

    // MARK: - Reads

    private func read(_ act: AuditAct, _ call: Call, _ handle: (Call) async throws -> Response) async throws -> Response {
        do {
            let response = try await handle(call)
            let isExport = !(response.headers[.contentType] ?? "").hasPrefix("application/json")
            try await note(act, AuditOutcome(status: Int64(response.status.code)), isExport: isExport, call.logger)
            return response
        } catch let problem as Problem {
            try await note(act, StaffTrail.outcome(of: problem), isExport: false, call.logger)
            throw problem
        }
    }

    /// Whoever looks at the same again and again is noted once a minute; exports always.
    private func note(_ act: AuditAct, _ outcome: AuditOutcome, isExport: Bool, _ logger: Logger) async throws(Problem) {
        let now = services.now()
        guard isExport || recent.isNew(act, outcome, at: now) else { return }
        do { try await services.control.read(act, outcome, at: now) } catch {
            recent.forget(act, outcome)
            throw unavailable(error, logger)
        }
    }

    // MARK: - What is noted

    private func unavailable(_ error: any Error, _ logger: Logger) -> Problem {
        logger.error("the audit trail cannot be written", metadata: ["error": "\(error)"])
        return Problem.unavailable("The audit trail")
    }

    private static func outcome(of error: any Error) -> AuditOutcome {
        guard let problem = error as? Problem else { return AuditOutcome(status: 500, code: "internalError") }
        return AuditOutcome(status: Int64(problem.status.code), code: problem.code)
    }

    private static func act(_ call: Call, _ endpoint: Endpoint, _ requestID: String) -> AuditAct {
        let form = RequestForm(call.request, call.body)
        return AuditAct(
            actor: call.account, actorName: call.principal.name, action: "\(endpoint.method.rawValue) \(endpoint.path)",
            subject: RequestForm.cut(call.request.uri.path, to: 200), request: form.text, digest: form.digest,
            requestID: RequestForm.cut(requestID, to: 100))
    }
}

extension Principal {
    /// Whether they hold a role that others' things are open to.
    var isStaff: Bool { roles.contains(.finance) || roles.contains(.admin) }
}

/// A request without its secrets: short enough to be kept, and the digest of all of it.
struct RequestForm {
    static let mostBytes = 1000
    /// Members whose names contain one of these are not shown.
    private static let secrets = ["password", "passphrase", "secret", "token", "apikey", "privatekey"]

    let text: String
    let digest: [UInt8]

    init(_ request: Request, _ body: [UInt8]) {
        let query = request.uri.query.map { "?\($0)" } ?? ""
        let line = "\(request.method.rawValue) \(request.uri.path)\(query)\n"
        var content = body
        var shown = ""
        if let value = try? JSONReader.read(body, depthLimit: Limits.jsonDepth) {
            let (safe, hadSecrets) = RequestForm.withoutSecrets(value)
            shown = safe.compact
            if hadSecrets { content = Array(shown.utf8) }
        } else if !body.isEmpty {
            let type = request.headers[.contentType].map { RequestForm.cut($0, to: 60) } ?? "unnamed content"
            shown = "\(body.count) bytes of \(type)"
        }
        text = RequestForm.cut(query + shown, to: RequestForm.mostBytes)
        digest = Array(SHA256.hash(data: Array(line.utf8) + content))
    }

    private static func withoutSecrets(_ value: JSONValue) -> (JSONValue, Bool) {
        switch value {
        case .null, .bool, .number, .string: return (value, false)
        case .array(let items):
            let safe = items.map(withoutSecrets)
            return (.array(safe.map(\.0)), safe.contains { $0.1 })
        case .object(let members):
            let safe = members.map { member -> (JSONValue.Member, Bool) in
                let name = member.name.lowercased()
                if secrets.contains(where: name.contains) { return (.init(name: member.name, value: .string("(not shown)")), true) }
                let (value, hadSecrets) = withoutSecrets(member.value)
                return (.init(name: member.name, value: value), hadSecrets)
            }
            return (.object(safe.map(\.0)), safe.contains { $0.1 })
        }
    }

    /// At most so many bytes, of whole characters; no NUL, which databases do not take.
    static func cut(_ text: String, to bytes: Int) -> String {
        let text = text.contains("\0") ? String(text.filter { $0 != "\0" }) : text
        guard text.utf8.count > bytes else { return text }
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > bytes - 3 { break }
            result.unicodeScalars.append(scalar)
        }
        return result + "…"
    }
}

extension JSONValue {
    /// Without spaces; control characters are spaces.
    var compact: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let digits): digits
        case .string(let text): JSONValue.quoted(text)
        case .array(let items): "[" + items.map(\.compact).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { JSONValue.quoted($0.name) + ":" + $0.value.compact }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { result.append("\\") }
            result.unicodeScalars.append(scalar.value < 0x20 ? " " : scalar)
        }
        return result + "\""
    }
}

/// Who looked at what within the last minute; at most ``most``, then all are forgotten, and noted again.
private final class RecentReads: Sendable {
    private struct Look: Hashable {
        var actor: AccountID
        var digest: [UInt8]
        var status: Int64
    }

    private static let memory = Interval.seconds(60)
    private static let most = 10_000

    private let looks = Mutex<[Look: Timestamp]>([:])

    func isNew(_ act: AuditAct, _ outcome: AuditOutcome, at now: Timestamp) -> Bool {
        looks.withLock { looks in
            let look = Look(actor: act.actor, digest: act.digest, status: outcome.status)
            if let last = looks[look], now < last + RecentReads.memory { return false }
            if looks.count >= RecentReads.most { looks = looks.filter { now < $0.value + RecentReads.memory } }
            if looks.count >= RecentReads.most { looks.removeAll(keepingCapacity: true) }
            looks[look] = now
            return true
        }
    }

    func forget(_ act: AuditAct, _ outcome: AuditOutcome) {
        looks.withLock { $0[Look(actor: act.actor, digest: act.digest, status: outcome.status)] = nil }
    }
}
