internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Market
internal import NIOCore
internal import Settlement
internal import Units

/// Statements, invoices, settlement notes, and the parties, rates and keys behind them.
enum DocumentEndpoints {
    static let all: [Endpoint] =
        kinds.flatMap { path, kind -> [Endpoint] in
            [
                .keyed(.get, path, []) { try await list($0, kind) },
                .keyed(.post, path, [.finance]) { try await issue($0, kind) },
                .keyed(.get, path + "/{id}", []) { try await get($0, kind) },
            ]
        } + [
            .keyed(.get, "/v1/parties", [], parties),
            .keyed(.post, "/v1/parties", [.finance], recordParty),
            .keyed(.get, "/v1/rates", [], rates),
            .keyed(.post, "/v1/rates", [.finance], importRates),
            .keyed(.get, "/v1/signing-keys", [], signingKeys),
        ]

    private static let kinds: [(String, DocumentKind)] = [
        ("/v1/statements", .statement), ("/v1/invoices", .invoice), ("/v1/notes", .note),
    ]

    // MARK: - Documents

    private static func list(_ call: Call, _ kind: DocumentKind) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["account"]))
        let page = try PageRequest(query)
        var account = call.principal.scope(unless: .finance).account
        if let wanted = try query.integer("account", in: 1...Int64.max) {
            guard account == nil || account == AccountID(wanted) else {
                throw Problem(.forbidden, "roleMissing", "Other accounts' documents need a key with the role finance.", field: "account")
            }
            account = AccountID(wanted)
        }
        let scope = account
        let found = try await call.documents { try await $0.list(kind, account: scope, after: page.after, limit: page.limit + 1) }
        return try .json(Page(found.map { ($0.position, DocumentModel($0)) }, limit: page.limit))
    }

    private static func get(_ call: Call, _ kind: DocumentKind) async throws -> Response {
        let query = try call.query(["format", "version"])
        let number = try call.pathNumber()
        let version = try query.integer("version", in: 1...Int64.max)
        let form = try query.choice("format", Dictionary(uniqueKeysWithValues: DocumentForm.allCases.map { ($0.rawValue, $0) }))
        let scope = call.principal.scope(unless: .finance)
        let found = try await call.documents { try await $0.find(kind, number, version: version) }
        guard let document = found, scope.covers(document.account) || document.counterparty.map(scope.covers) ?? false else {
            throw Problem.unknown("document", code: "documentUnknown")
        }
        guard let form else { return try .json(DocumentModel(document)) }
        let content = try await call.documents { try await $0.content(document, form) }
        let headers: HTTPFields = [
            .contentType: form.contentType,
            .contentDisposition: "attachment; filename=\"\(kind.code)-\(document.number)-\(document.version).\(form.fileEnding)\"",
        ]
        return Response(status: .ok, headers: headers, body: ResponseBody { writer in
            while case let bytes = try content.read(), !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
            try await writer.finish(nil)
        })
    }

    private static func issue(_ call: Call, _ kind: DocumentKind) async throws -> Response {
        _ = try call.query()
        let isNote = kind == .note
        let fields = try call.fields(isNote ? ["account", "seller", "period", "reason"] : ["account", "period", "reason"])
        let account = AccountID(try fields.integer("account", in: 1...Int64.max))
        let seller = isNote ? AccountID(try fields.integer("seller", in: 1...Int64.max)) : nil
        guard let period = AccountingPeriod(try fields.text("period", bytes: 7...10)) else {
            throw fields.flaw("period", "fieldOutOfRange", "A period is a month or a day, as 2026-11 or 2026-11-30.")
        }
        let request = DocumentRequest(
            kind: kind, account: account, counterparty: seller, period: period, reason: try fields.optionalText("reason", bytes: 1...500))
        let document = try await call.documents { try await $0.issue(request, by: call.account) }
        return try .json(
            DocumentModel(document), status: .created, location: "\(kinds.first { $0.1 == kind }?.0 ?? "")/\(document.number)")
    }

    // MARK: - Parties

    private static func parties(_ call: Call) async throws -> Response {
        _ = try call.query()
        let scope = call.principal.scope(unless: .finance).account
        let found = try await call.documents { try await $0.parties(scope) }
        return try .json(Items(items: found.map(PartyModel.init)))
    }

    private static func recordParty(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["account", "effectiveAt", "name", "address", "country", "taxID", "currency"])
        let account = AccountID(try fields.integer("account", in: 0...Int64.max))
        guard case .array(let lines)? = fields.value("address") else {
            throw fields.flaw("address", "fieldMissing", "This must be an array of 1 to 6 lines.")
        }
        let texts = lines.compactMap { line in if case .string(let text) = line { text } else { nil } }
        let party = LegalParty(
            name: try fields.text("name", bytes: 1...200), address: texts,
            country: try fields.text("country", bytes: 2...2), taxID: try fields.optionalText("taxID", bytes: 0...64) ?? "",
            currency: try fields.optionalText("currency", bytes: 3...3))
        guard party.address.count == lines.count, party.flaw == nil else {
            let flaw = party.flaw ?? "the address is not lines of text"
            throw Problem(.unprocessableContent, "partyInvalid", "This is not a legal party: \(flaw).")
        }
        let effective = EffectiveParty(
            account: account, effectiveAt: try fields.optionalTime("effectiveAt") ?? Timestamp(microseconds: 0), party: party)
        try await call.documents { try await $0.record(effective, by: call.account) }
        return try .json(PartyModel(effective), status: .created)
    }

    // MARK: - Rates

    private static func rates(_ call: Call) async throws -> Response {
        let query = try call.query(["from", "limit"])
        let limit = Int(try query.integer("limit", in: 1...Int64(Limits.listLimit)) ?? Int64(Limits.defaultListLimit))
        let day = query.text("from").flatMap { AccountingPeriod($0) }
        guard query.text("from") == nil || day?.day != nil else {
            throw Problem(.badRequest, "parameterOutOfRange", "This must be a day, as 2026-11-30.", field: "from")
        }
        let found = try await call.documents { try await $0.rates(from: day, limit: limit) }
        return try .json(Items(items: found.map(RateModel.init)))
    }

    private static func importRates(_ call: Call) async throws -> Response {
        let query = try call.query(["reason"])
        let type = call.request.headers[.contentType]?.split(separator: ";").first.map { $0.lowercased() }
        guard type == "text/csv" else {
            throw Problem(.unsupportedMediaType, "contentTypeUnsupported", "Send `Content-Type: text/csv`.", field: "Content-Type")
        }
        let reason = query.text("reason")
        guard reason.map({ (1...500).contains($0.utf8.count) }) ?? true else {
            throw Problem(.badRequest, "parameterOutOfRange", "A reason has 1 to 500 bytes.", field: "reason")
        }
        let outcome = try await call.documents { try await $0.importRates(call.body, reason: reason, by: call.account) }
        guard outcome.flaws.isEmpty else {
            let first = outcome.flaws.prefix(10).map(\.description).joined(separator: "; ")
            throw Problem(.unprocessableContent, "ratesRefused", "Nothing was imported: \(first).")
        }
        return try .json(ImportModel(added: outcome.added, corrected: outcome.corrected, unchanged: outcome.unchanged))
    }

    private static func signingKeys(_ call: Call) async throws -> Response {
        _ = try call.query()
        let keys = try await call.documents { try await $0.signingKeys() }
        return try .json(Items(items: keys.map {
            SigningKeyModel(id: $0.id, algorithm: "Ed25519", publicKey: HexText.encode($0.key), firstUsedAt: $0.firstUsed.description)
        }))
    }
}

extension Call {
    /// Asks the desk; refusals become problems, what goes wrong with the tables is logged here.
    fileprivate func documents<T>(_ body: (any DocumentDesk) async throws -> T) async throws(Problem) -> T {
        guard let desk = services.documents else { throw Problem.unavailable("The documents") }
        do { return try await body(desk) } catch let refusal as DocumentRefusal {
            throw Problem(refusal)
        } catch {
            logger.error("documents cannot be had", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The documents")
        }
    }
}

extension Problem {
    fileprivate init(_ refusal: DocumentRefusal) {
        switch refusal {
        case .periodOpen: self.init(.conflict, "periodOpen", "\(refusal).", field: "period")
        case .alreadyIssued: self.init(.conflict, "documentIssued", "\(refusal).", field: "reason")
        case .nothingToSupersede: self.init(.conflict, "nothingToSupersede", "\(refusal).", field: "reason")
        case .partyMissing: self.init(.unprocessableContent, "partyMissing", "\(refusal).")
        case .nothingToBill: self.init(.unprocessableContent, "nothingToBill", "\(refusal).")
        case .flaw(.rateMissing): self.init(.unprocessableContent, "rateMissing", "\(refusal).")
        case .flaw: self.init(.conflict, "booksDiffer", "The books contradict each other: \(refusal).")
        case .marketUndefined: self.init(.conflict, "marketUndefined", "\(refusal).")
        case .accountUnknown: self.init(.unprocessableContent, "accountUnknown", "There is no such account.", field: "account")
        case .counterpartyWrong: self.init(.unprocessableContent, "fieldOutOfRange", "A note is about two accounts.", field: "seller")
        }
    }
}

private struct Items<Item: Encodable>: Encodable { var items: [Item] }

private struct DocumentModel: Encodable {
    var number: Int64
    var version: Int64
    var kind: String
    var account: Int64
    var counterparty: Int64?
    var period: String
    var from: String
    var to: String
    /// Among all issued documents.
    var position: Int64
    var digest: String
    var previousDigest: String
    var keyID: String
    var issuedAt: String
    var reason: String?

    init(_ document: DocumentSummary) {
        (number, version, kind) = (document.number, document.version, document.kind.code)
        (account, counterparty) = (document.account.rawValue, document.counterparty?.rawValue)
        (period, from, to) = (document.period, document.start.description, document.end.description)
        (position, digest) = (document.position, HexText.encode(document.digest))
        (previousDigest, keyID) = (HexText.encode(document.previous), document.keyID)
        (issuedAt, reason) = (document.issuedAt.description, document.reason)
    }
}

private struct PartyModel: Encodable {
    /// 0 is the market.
    var account: Int64
    var effectiveAt: String
    var name: String
    var address: [String]
    var country: String
    var taxID: String
    var currency: String?

    init(_ party: EffectiveParty) {
        (account, effectiveAt) = (party.account.rawValue, party.effectiveAt.description)
        (name, address, country) = (party.party.name, party.party.address, party.party.country)
        (taxID, currency) = (party.party.taxID, party.party.currency)
    }
}

private struct RateModel: Encodable {
    var date: String
    var currency: String
    /// An exact decimal.
    var rate: String

    init(_ rate: DailyRate) { (date, currency, self.rate) = (rate.date.description, rate.currency, rate.rate.description) }
}

private struct ImportModel: Encodable {
    var added: Int
    var corrected: Int
    var unchanged: Int
}

private struct SigningKeyModel: Encodable {
    var id: String
    var algorithm: String
    var publicKey: String
    var firstUsedAt: String
}
