import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// What the market's staff decide.
@Suite struct StaffTests {
    @Test func phases() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":500,"lots":4,"poolTargetIDs":[1]}"#)
            #expect(try await client.get("/v1/market")["phase"].text == "open")
            #expect(try await client.put("/v1/market/phase", as: .admin, #"{"phase":"cancelOnly"}"#)["phase"].text == "cancelOnly")
            #expect(try await client.patch("/v1/bids/3", as: .buyer, #"{"lots":3}"#).status == 200)
            #expect(try await client.patch("/v1/bids/3", as: .buyer, #"{"lots":4}"#).code == "marketCancelOnly")
            #expect(try await client.put("/v1/market/phase", as: .admin, #"{"phase":"halted"}"#)["phase"].text == "halted")
            #expect(try await client.delete("/v1/bids/3", as: .buyer).code == "marketHalted")
            #expect(try await client.put("/v1/market/phase", as: .admin, #"{"phase":"open"}"#).status == 200)
            #expect(try await client.delete("/v1/bids/3", as: .buyer).status == 204)
            #expect(try await client.put("/v1/market/phase", as: .admin, #"{"phase":"closed"}"#).field == "phase")
            #expect(try await client.put("/v1/market/phase", as: .seller, #"{"phase":"halted"}"#).code == "roleMissing")
        }
    }

    @Test func edgesAreListed() async throws {
        try await World().run { (client) async throws in
            let edges = try await client.get("/v1/edges", as: .admin)["items"].items
            #expect(edges.map { $0["name"].text } == ["embedded", "berlin-1"])
            #expect(edges.map { $0["isSelling"].bool } == [true, false])
            #expect(edges.map { $0["clockAheadMicroseconds"].int } == [nil, -2_500_000])
            #expect(edges.map { $0["rigs"].int } == [1, 12])
            #expect(try await client.get("/v1/edges", as: .finance).code == "roleMissing")
        }
    }

    @Test func plannedRulesTakeEffect() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let planned = try await client.post(
                "/v1/market/rules", as: .admin, #"{"effectiveAt":"2027-01-15T09:00:00Z","sellerFeePPM":5000,"mostOrders":250}"#)
            #expect(planned.status == 201)
            #expect(planned.headers[.location] == "/v1/market")
            #expect(planned["sellerFeePPM"].int == 10_000)
            #expect(planned["plannedRules"].items.map { $0["effectiveAt"].text } == ["2027-01-15T09:00:00.000000Z"])
            #expect(planned["plannedRules"].items[0]["rules"]["sellerFeePPM"].int == 5000)
            #expect(planned["plannedRules"].items[0]["rules"]["termSeconds"].int == 60)
            world.market.advance(.seconds(3600))
            let market = try await client.get("/v1/market")
            #expect(market["sellerFeePPM"].int == 5000)
            #expect(market["mostOrders"].int == 250)
            #expect(market["plannedRules"].items.isEmpty)
        }
    }

    @Test func laterRulesBuildOnEarlierOnes() async throws {
        try await World().run { (client) async throws in
            for body in [
                #"{"effectiveAt":"2027-01-15T09:00:00Z","sellerFeePPM":5000}"#, #"{"effectiveAt":"2027-01-15T10:00:00Z","tick":10}"#,
                #"{"effectiveAt":"2027-01-15T09:00:00Z","buyerFeePPM":6000}"#,
            ] { #expect(try await client.post("/v1/market/rules", as: .admin, body).status == 201) }
            let planned = try await client.get("/v1/market")["plannedRules"].items.map { $0["rules"] }
            #expect(planned.map { $0["sellerFeePPM"].int } == [10_000, 5000])
            #expect(planned.map { $0["buyerFeePPM"].int } == [6000, 10_000])
            #expect(planned.map { $0["tick"].int } == [1, 10])
        }
    }

    @Test func rulesThatContradictAreExplained() async throws {
        try await World().run { (client) async throws in
            let reply = try await client.post(
                "/v1/market/rules", as: .admin, #"{"effectiveAt":"2027-01-15T09:00:00Z","lowestPrice":11,"highestPrice":10}"#)
            #expect(reply.status == 422)
            #expect(reply.code == "rulesInvalid")
            #expect(reply["detail"].text?.contains("price band is empty") == true)
            #expect(try await client.post("/v1/market/rules", as: .admin, #"{"effectiveAt":"tomorrow"}"#).code == "fieldNotTime")
            #expect(try await client.post("/v1/market/rules", as: .admin, #"{"effectiveAt":"2027-01-15T09:00:00Z","symbol":"X"}"#).code == "fieldUnknown")
            #expect(try await client.post("/v1/market/rules", as: .finance, "{}").code == "roleMissing")
        }
    }

    @Test func theIndexMovesForward() async throws {
        let world = World()
        try await world.run { (client) async throws in
            #expect(try await client.get("/v1/market")["index"] == .null)
            let first = try await client.put("/v1/market/index", as: .admin, #"{"price":700,"at":"2027-01-15T07:59:00Z"}"#)
            #expect(first["index", "price"].int == 700)
            #expect(first["index", "at"].text == "2027-01-15T07:59:00.000000Z")
            let older = try await client.put("/v1/market/index", as: .admin, #"{"price":500,"at":"2027-01-15T07:58:00Z"}"#)
            #expect(older.status == 200)
            #expect(older["index", "price"].int == 700)
            let now = try await client.put("/v1/market/index", as: .admin, #"{"price":800}"#)
            #expect(now["index", "at"].text == "2027-01-15T08:00:00.000000Z")
            let future = try await client.put("/v1/market/index", as: .admin, #"{"price":500,"at":"2027-01-15T08:00:01Z"}"#)
            #expect(future.status == 422)
            #expect(future.field == "at")
            #expect(try await client.put("/v1/market/index", as: .seller, #"{"price":500}"#).status == 403)
        }
    }

    @Test func withoutRulesThereIsNothingToDecide() async throws {
        try await World(nil).run { (client) async throws in
            #expect(try await client.put("/v1/market/phase", as: .admin, #"{"phase":"halted"}"#).code == "marketUndefined")
            #expect(try await client.post("/v1/market/rules", as: .admin, #"{"effectiveAt":"2027-01-15T09:00:00Z"}"#).status == 503)
            #expect(try await client.put("/v1/market/index", as: .admin, #"{"price":500}"#).status == 503)
        }
    }
}
