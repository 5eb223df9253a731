import HTTPTypes
import Settlement
import Synchronization
import Testing
import Units
@testable import WebAPI

/// A desk in memory: its own rules are tested with the tables, here is what the API makes of them.
final class MemoryDesk: DocumentDesk {
    private final class Content: DocumentContent {
        let left: Mutex<[UInt8]>

        init(_ bytes: [UInt8]) { left = Mutex(bytes) }

        func read() throws -> [UInt8] {
            left.withLock { bytes in
                defer { bytes = [] }
                return bytes
            }
        }
    }

    private struct Inside {
        var documents: [DocumentSummary] = []
        var parties: [EffectiveParty] = []
        var rates: [DailyRate] = []
    }

    private let inside = Mutex(Inside())

    func list(_ kind: DocumentKind, account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DocumentSummary] {
        inside.withLock { inside in
            Array(inside.documents.filter {
                $0.kind == kind && $0.position > cursor && (account == nil || $0.account == account || $0.counterparty == account)
            }.prefix(limit))
        }
    }

    func find(_ kind: DocumentKind, _ number: Int64, version: Int64?) async throws -> DocumentSummary? {
        inside.withLock { $0.documents.last { $0.kind == kind && $0.number == number && (version == nil || $0.version == version) } }
    }

    func content(_ document: DocumentSummary, _ form: DocumentForm) async throws -> any DocumentContent {
        Content(Array((form == .json ? "{}" : "content").utf8))
    }

    func issue(_ request: DocumentRequest, by: AccountID) async throws -> DocumentSummary {
        try inside.withLock { inside in
            if request.period.year > 2026 { throw DocumentRefusal.periodOpen(closedThrough: Timestamp(microseconds: 0)) }
            if request.kind == .invoice { throw DocumentRefusal.partyMissing(request.account) }
            let position = Int64(inside.documents.count + 1)
            let document = DocumentSummary(
                position: position, kind: request.kind, number: position, version: 1, account: request.account,
                counterparty: request.counterparty, period: request.period.description, start: request.period.start,
                end: request.period.end, digest: [1], previous: [2], keyID: "k", issuedAt: Timestamp(microseconds: 5), issuedBy: by,
                reason: request.reason)
            inside.documents.append(document)
            return document
        }
    }

    func parties(_ account: AccountID?) async throws -> [EffectiveParty] {
        inside.withLock { $0.parties.filter { account == nil || $0.account == account || $0.account == EffectiveParty.market } }
    }

    func record(_ party: EffectiveParty, by: AccountID) async throws { inside.withLock { $0.parties.append(party) } }

    func rates(from day: AccountingPeriod?, limit: Int) async throws -> [DailyRate] { inside.withLock { $0.rates } }

    func importRates(_ file: [UInt8], reason: String?, by: AccountID) async throws -> RateImportOutcome {
        let (rates, flaws) = RateFile.read(file)
        if flaws.isEmpty { inside.withLock { $0.rates += rates.map(\.rate) } }
        return RateImportOutcome(added: rates.count, corrected: 0, unchanged: 0, flaws: flaws)
    }

    func signingKeys() async throws -> [ListedSigningKey] {
        [ListedSigningKey(id: "abc", key: [1, 2], firstUsed: Timestamp(microseconds: 0))]
    }
}

@Suite struct DocumentDeskTests {
    private func world() -> World {
        var world = World()
        world.documents = MemoryDesk()
        return world
    }

    @Test func customersSeeTheirOwn() async throws {
        try await world().run { (client) async throws in
            let (buyer, seller) = (Caller.buyer.account, Caller.seller.account)
            let first = try await client.post("/v1/statements", as: .finance, "{\"account\":\(buyer),\"period\":\"2026-11\"}")
            #expect(first.status == 201)
            #expect(first.headers[.location] == "/v1/statements/1")
            #expect(try await client.post(
                "/v1/notes", as: .finance, "{\"account\":\(buyer),\"seller\":\(seller),\"period\":\"2026-11-30\"}").status == 201)
            #expect(try await client.get("/v1/statements", as: .buyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/statements", as: .seller)["items"].items.count == 0)
            #expect(try await client.get("/v1/statements", as: .finance)["items"].items.count == 1)
            #expect(try await client.get("/v1/notes", as: .seller)["items"].items.count == 1)
            #expect(try await client.get("/v1/notes", as: .otherSeller)["items"].items.count == 0)
            #expect(try await client.get("/v1/statements?account=\(buyer)", as: .seller).status == 403)
            #expect(try await client.get("/v1/statements/1", as: .buyer).status == 200)
            let hidden = try await client.get("/v1/statements/1", as: .seller)
            #expect((hidden.status, hidden.code) == (404, "documentUnknown"))
            #expect(try await client.get("/v1/statements/1?format=pdf", as: .seller).status == 404)
            #expect(try await client.get("/v1/notes/2?format=csv", as: .seller).text == "content")
        }
    }

    @Test(arguments: DocumentForm.allCases) func comesInEveryForm(form: DocumentForm) async throws {
        try await world().run { (client) async throws in
            _ = try await client.post("/v1/statements", as: .finance, "{\"account\":1,\"period\":\"2026-11\"}")
            let reply = try await client.get("/v1/statements/1?format=\(form.rawValue)", as: .buyer)
            #expect(reply.status == 200)
            #expect(reply.headers[.contentType] == form.contentType)
            #expect(reply.headers[.contentDisposition]?.contains("statement-1-1.\(form.fileEnding)") == true)
            #expect(reply.text == (form == .json ? "{}" : "content"))
        }
    }

    @Test func refusalsHaveCodes() async throws {
        try await world().run { (client) async throws in
            func issue(_ path: String, _ body: String) async throws -> String? { try await client.post(path, as: .finance, body).code }
            #expect(try await issue("/v1/statements", "{\"account\":1,\"period\":\"2027-01\"}") == "periodOpen")
            #expect(try await issue("/v1/statements", "{\"account\":1,\"period\":\"2026-13\"}") == "fieldOutOfRange")
            #expect(try await issue("/v1/statements", "{\"account\":1,\"period\":\"2026-11\",\"seller\":2}") == "fieldUnknown")
            #expect(try await issue("/v1/notes", "{\"account\":1,\"period\":\"2026-11\"}") == "fieldMissing")
            #expect(try await issue("/v1/invoices", "{\"account\":1,\"period\":\"2026-11\"}") == "partyMissing")
            let party = "{\"account\":0,\"name\":\"M\",\"address\":[\"a\"],\"country\":\"DE\"}"
            #expect(try await client.post("/v1/parties", as: .finance, party).status == 201)
            #expect(try await issue("/v1/parties", party.replacing("DE", with: "de")) == "partyInvalid")
            #expect(try await issue("/v1/parties", party.replacing("[\"a\"]", with: "[1]")) == "partyInvalid")
            #expect(try await issue("/v1/parties", party.replacing("[\"a\"]", with: "7")) == "fieldMissing")
            #expect(try await client.get("/v1/parties", as: .buyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/signing-keys", as: .buyer)["items"].items.count == 1)
        }
    }

    @Test func ratesAreImportedAsAFile() async throws {
        try await world().run { (client) async throws in
            func send(_ file: String, _ type: String = "text/csv") async throws -> Client.Reply {
                try await client.send(.post, "/v1/rates", as: .finance, file, headers: [.contentType: type])
            }
            #expect(try await send("2026-11-30,EUR,1.50\n")["added"].int == 1)
            let wrong = try await send("2026-11-30,EUR,1\n2026-11-31,EUR,1\n")
            #expect((wrong.status, wrong.code) == (422, "ratesRefused"))
            #expect(wrong["detail"].text?.contains("line 2") == true)
            #expect(try await send("x", "application/json").code == "contentTypeUnsupported")
            #expect(try await client.get("/v1/rates", as: .buyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/rates?from=2026-11", as: .buyer).status == 400)
        }
    }

    @Test func withoutADeskItIsUnavailable() async throws {
        try await World().run { (client) async throws in
            #expect(try await client.get("/v1/statements", as: .buyer).status == 503)
        }
    }
}
