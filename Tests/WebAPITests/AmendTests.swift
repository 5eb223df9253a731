import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// Changing live orders.
@Suite struct AmendTests {
    private func world() -> World {
        let world = World()
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        world.target(of: .buyer, url: "stratum+tcp://other.example:1")
        _ = world.rig("r", fallback: world.target(of: .seller))
        return world
    }

    @Test func whatIsAbsentStaysAndNullClears() async throws {
        try await world().run { (client) async throws in
            let placed = try await client.post(
                "/v1/bids", as: .buyer,
                #"""
                {"price":700,"lots":8,"poolTargetIDs":[1],"budget":100000,"expiresAt":"2027-01-15T09:00:00Z","minimumFill":2,
                "displayedLots":3,"clientOrderID":"mine"}
                """#)
            let fewer = try await client.patch("/v1/bids/1", as: .buyer, #"{"lots":6,"poolTargetIDs":[2,1]}"#)
            #expect(fewer.status == 200)
            #expect(fewer["lots"].int == 6)
            #expect(fewer["poolTargetIDs"].items.map(\.int) == [2, 1])
            for same in ["price", "limit", "budget", "expiresAt", "minimumFill", "displayedLots", "clientOrderID", "placedAt"] {
                #expect(fewer[same] == placed[same], "\(same)")
            }
            let cleared = try await client.patch("/v1/bids/1", as: .buyer, #"{"budget":null,"expiresAt":null,"displayedLots":null}"#)
            #expect(cleared.status == 200)
            for gone in ["budget", "expiresAt", "displayedLots"] { #expect(cleared[gone] == .null, "\(gone)") }
            #expect(cleared["timeInForce"].text == "GTC")
            #expect(cleared["shownLots"].int == 6)
            let set = try await client.patch(
                "/v1/bids/1", as: .buyer,
                #"{"price":650,"budget":90000,"expiresAt":"2027-01-15T10:00:00+00:00","displayedLots":4,"minimumFill":3}"#)
            #expect(set["price"].int == 650)
            #expect(set["budget"].int == 90_000)
            #expect(set["timeInForce"].text == "GTD")
            #expect(set["expiresAt"].text == "2027-01-15T10:00:00.000000Z")
            #expect(set["displayedLots"].int == 4)
            #expect(set["minimumFill"].int == 3)
            #expect(try await client.get("/v1/bids/1", as: .buyer).text == set.text)
        }
    }

    @Test func asksAreChangedTheirWay() async throws {
        try await world().run { (client) async throws in
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":700,"rigID":1,"lots":2,"schedule":[{"from":"09:00","to":"10:00"}]}"#)
            let all = try await client.patch("/v1/asks/1", as: .seller, #"{"lots":"all","schedule":null}"#)
            #expect(all["most"].text == "all")
            #expect(all["open"].int == 5)
            #expect(all["status"].text == "active")
            #expect(all["schedule"] == .null)
            let some = try await client.patch("/v1/asks/1", as: .seller, #"{"lots":3,"schedule":[{"from":"07:00","to":"09:00"}]}"#)
            #expect(some["most"].int == 3)
            #expect(some["schedule"].items.first?["to"].text == "09:00")
            let clear = try await client.patch("/v1/asks/1", as: .seller, #"{"lots":null}"#)
            #expect(clear.code == "fieldWrongType")
        }
    }

    @Test func pegsFollowTheirNewOffset() async throws {
        try await World.furnished().run { (client) async throws in
            _ = try await client.put("/v1/market/index", as: .admin, #"{"price":500}"#)
            let bid = try await client.patch("/v1/bids/1", as: .buyer, #"{"peg":{"offset":-20}}"#)
            #expect(bid["price"].int == 480)
            #expect(bid["limit"].int == 600)
            #expect(bid["peg", "offset"].int == -20)
            #expect(bid["peg", "reference"].text == "index")
            let cap = try await client.patch("/v1/bids/1", as: .buyer, #"{"price":450}"#)
            #expect(cap["price"].int == 450)
        }
    }

    @Test func aChangeCanMatch() async throws {
        try await world().run { (client) async throws in
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":700,"rigID":1,"lots":"all"}"#)
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":600,"lots":8,"poolTargetIDs":[1]}"#)
            let bid = try await client.patch("/v1/bids/2", as: .buyer, #"{"price":700}"#)
            #expect(bid["delivering"].int == 5)
            let small = try await client.patch("/v1/bids/2", as: .buyer, #"{"lots":4}"#)
            #expect(small.status == 409)
            #expect(small.code == "lotsBelowDelivering")
        }
    }

    @Test func closedAndUnknownOrders() async throws {
        let world = world()
        try await world.run { (client) async throws in
            #expect(try await client.patch("/v1/bids/1", as: .buyer, #"{"price":600}"#).code == "orderUnknown")
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":600,"lots":8,"poolTargetIDs":[1]}"#)
            #expect(try await client.patch("/v1/asks/1", as: .admin, #"{"price":500}"#).code == "orderUnknown")
            let target = try await client.patch("/v1/bids/1", as: .buyer, #"{"poolTargetIDs":[3]}"#)
            #expect(target.status == 422)
            #expect(target.code == "poolTargetUnknown")
            #expect(target.field == "poolTargetIDs")
            #expect(try await client.patch("/v1/bids/1", as: .admin, #"{"price":500}"#)["price"].int == 500)
            _ = try await client.delete("/v1/bids/1", as: .buyer)
            #expect(try await client.patch("/v1/bids/1", as: .buyer, #"{"price":400}"#).code == "orderClosed")
        }
    }

    @Test func aRepeatedAmendmentAnswersTheOrderAsItIs() async throws {
        try await world().run { (client) async throws in
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":600,"lots":8,"poolTargetIDs":[1]}"#)
            #expect(try await client.patch("/v1/bids/1", as: .buyer, #"{"price":500}"#, key: "k")["price"].int == 500)
            _ = try await client.patch("/v1/bids/1", as: .buyer, #"{"price":400}"#)
            #expect(try await client.patch("/v1/bids/1", as: .buyer, #"{"price":500}"#, key: "k")["price"].int == 400)
            _ = try await client.delete("/v1/bids/1", as: .buyer)
            let over = try await client.patch("/v1/bids/1", as: .buyer, #"{"price":500}"#, key: "k")
            #expect(over.status == 200)
            #expect(over["status"].text == "closed")
        }
    }
}
