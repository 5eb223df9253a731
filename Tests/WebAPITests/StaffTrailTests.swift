import Exchange
import HTTPTypes
import Market
import Testing
import Units
@testable import WebAPI

/// What staff do is noted before it is done.
@Suite struct StaffTrailTests {
    @Test func writesAreNotedWithTheirOutcome() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let body = #"{"account":1,"amount":5,"reference":"wire"}"#
            #expect(try await client.post("/v1/deposits", as: .finance, body).status == 201)
            #expect(try await client.post("/v1/deposits", as: .finance, body).status == 409)
            #expect(try await client.post("/v1/deposits", as: .finance, #"{"account":1}"#).code == "fieldMissing")
            #expect(try await client.post("/v1/deposits", as: .buyer, body).code == "roleMissing")
            let records = world.trail.records
            #expect(records.map(\.act.action) == Array(repeating: "POST /v1/deposits", count: 3))
            #expect(records.map(\.outcome?.status) == [201, 409, 422])
            #expect(records[2].outcome?.code == "fieldMissing")
            #expect(records[0].act.actor.rawValue == Caller.finance.account)
            #expect(records[0].act.actorName == "finance")
            #expect(records[0].act.request == body)
            #expect(records[0].act.digest == records[1].act.digest)
            #expect(records[0].act.digest != records[2].act.digest)
            #expect(records.allSatisfy { !$0.act.requestID.isEmpty && !$0.isRead })
        }
    }

    @Test func whatCannotBeNotedIsNotDone() async throws {
        let world = World()
        world.trail.setBroken(true)
        try await world.run { (client) async throws in
            let before = world.market.read(\.hash)
            for caller in [Caller.finance, .admin] {
                let reply = try await client.post("/v1/deposits", as: caller, #"{"account":1,"amount":5,"reference":"wire"}"#)
                #expect(reply.status == 503)
                #expect(!reply.text.contains("Broken"))
            }
            #expect(world.market.read(\.hash) == before)
            #expect(try await client.get("/v1/ledger/balances", as: .finance).status == 503)
            #expect(try await client.get("/v1/reports/settlement", as: .finance).status == 503)
            // Customers do not depend on it.
            #expect(try await client.get("/v1/balances", as: .buyer).status == 200)
            world.trail.setBroken(false)
            #expect(try await client.get("/v1/ledger/balances", as: .finance).status == 200)
        }
    }

    @Test func readsAreNotedOnceAMinuteAndExportsAlways() async throws {
        let world = World()
        try await world.run { (client) async throws in
            for _ in 1...3 { _ = try await client.get("/v1/balances?account=1", as: .finance) }
            _ = try await client.get("/v1/balances?account=2", as: .finance)
            for _ in 1...2 { _ = try await client.get("/v1/reports/settlement", as: .finance) }
            for _ in 1...2 { _ = try await client.get("/v1/deliveries/999", as: .finance) }
            _ = try await client.get("/v1/balances", as: .buyer)
            #expect(world.trail.records.map(\.act.subject) == [
                "/v1/balances", "/v1/balances", "/v1/reports/settlement", "/v1/reports/settlement", "/v1/deliveries/999",
            ])
            #expect(world.trail.records.map(\.act.request) == ["?account=1", "?account=2", "", "", ""])
            #expect(world.trail.records.map(\.outcome?.status) == [200, 200, 200, 200, 404])
            #expect(world.trail.records.allSatisfy { $0.isRead })
            world.market.pass(.seconds(60))
            _ = try await client.get("/v1/balances?account=1", as: .finance)
            #expect(world.trail.records.count == 6)
        }
    }

    @Test func secretsAreNotShown() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            func write(_ password: String) async throws -> AuditAct {
                let body = #"{"name":"x","url":"stratum+tcp://pool.example:3333","user":"u","password":"\#(password)"}"#
                _ = try await client.post("/v1/pool-targets", as: .admin, body)
                return try #require(world.trail.records.last).act
            }
            let (first, second) = (try await write("hush-one"), try await write("hush-two"))
            #expect(first.request.contains("\"user\":\"u\""))
            #expect(!first.request.contains("hush"))
            // Nor could it be guessed from the digest.
            #expect(first.digest == second.digest)
        }
    }

    @Test func formsAreShortAndOfWholeCharacters() {
        #expect(RequestForm.cut("äöü", to: 6) == "äöü")
        #expect(RequestForm.cut("äöüß", to: 7) == "äö…")
        #expect(RequestForm.cut("a\0b", to: 9) == "ab")
        for count in 3...40 { #expect(RequestForm.cut(String(repeating: "😀", count: 20), to: count).utf8.count <= count) }
    }

    @Test func theTrailIsRead() async throws {
        let world = World()
        try await world.run { (client) async throws in
            for number in 1...3 {
                _ = try await client.post("/v1/deposits", as: .finance, #"{"account":1,"amount":5,"reference":"\#(number),=x"}"#)
            }
            let page = try await client.get("/v1/audit-trail?limit=2", as: .admin)
            #expect(page["items"].items.map { $0["id"].int } == [1, 2])
            #expect(page["items"].items[0]["status"].int == 201)
            #expect(page["nextCursor"].text == "2")
            // The look at the first page is the fourth act.
            let rest = try await client.get("/v1/audit-trail?limit=2&cursor=2", as: .finance)
            #expect(rest["items"].items.map { $0["id"].int } == [3, 4])
            let csv = try await client.get("/v1/audit-trail?format=csv&limit=2", as: .finance).text
            // With the reads of the pages; the table's own is noted while it is read.
            #expect(csv.split(separator: "\r\n").count == 1 + 5)
            for caller in [Caller.buyer, .seller, .roleless] {
                #expect(try await client.get("/v1/audit-trail", as: caller).code == "roleMissing")
            }
            for query in ["?from=yesterday", "?actor=-1", "?format=xml", "?limit=0", "?who=1"] {
                #expect(try await client.get("/v1/audit-trail" + query, as: .finance).status == 400, "\(query)")
            }
        }
    }
}
