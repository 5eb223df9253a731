import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// Groups of rigs that are offered as a whole.
@Suite struct FarmTests {
    /// A seller with rigs 1 to 3, of 5 lots each.
    private func world() -> World {
        let world = World()
        let fallback = world.target(of: .seller)
        for name in ["a", "b", "c"] { _ = world.rig(name, fallback: fallback) }
        return world
    }

    @Test func wholeWay() async throws {
        try await world().run { (client) async throws in
            try await gather(client)
            try await offer(client)
            try await change(client)
            try await withdraw(client)
        }
    }

    private func gather(_ client: Client) async throws {
        let farm = try await client.post("/v1/farms", as: .seller, #"{"name":"barn"}"#)
        #expect(farm.status == 201)
        #expect(farm.headers[.location] == "/v1/farms/1")
        #expect(farm["name"].text == "barn")
        #expect(farm["offer"] == .null)
        #expect(try await client.get("/v1/farms/1", as: .seller).text == farm.text)
        for rig in 1...2 {
            let moved = try await client.put("/v1/rigs/\(rig)/farm", as: .seller, #"{"farmID":1}"#)
            #expect(moved.status == 200)
            #expect(moved["farmID"].int == 1)
        }
        #expect(try await client.get("/v1/rigs?farm=1", as: .seller)["items"].items.map { $0["id"].int } == [1, 2])
        #expect(try await client.get("/v1/rigs?farm=1&limit=1", as: .seller)["nextCursor"].text == "1")
        #expect(try await client.get("/v1/rigs?farm=2", as: .seller)["items"].items.isEmpty)
        #expect(try await client.get("/v1/farms", as: .seller)["items"].items.map { $0["id"].int } == [1])
    }

    private func offer(_ client: Client) async throws {
        let offered = try await client.put(
            "/v1/farms/1/offer", as: .seller,
            #"{"price":900,"lots":4,"minimumFill":2,"displayedLots":3,"schedule":[{"from":"07:00","to":"22:00"}],"expiresAt":"2027-01-16T08:00:00Z"}"#)
        #expect(offered.status == 200)
        #expect(offered["offer", "price"].int == 900)
        #expect(offered["offer", "lots"].int == 4)
        #expect(offered["offer", "minimumFill"].int == 2)
        #expect(offered["offer", "timeInForce"].text == "GTD")
        #expect(offered["offer", "schedule"].items.first?["to"].text == "22:00")
        let asks = try await client.get("/v1/asks", as: .seller)["items"].items
        #expect(asks.map { $0["rigID"].int } == [1, 2])
        #expect(asks.allSatisfy { $0["farmID"].int == 1 && $0["open"].int == 4 && $0["shownLots"].int == 3 })
        // One that joins later is offered too.
        #expect(try await client.put("/v1/rigs/3/farm", as: .seller, #"{"farmID":1}"#)["askID"].int == 3)
    }

    private func change(_ client: Client) async throws {
        #expect(try await client.put("/v1/farms/1/offer", as: .seller, #"{"price":800,"lots":"all"}"#)["offer", "lots"].text == "all")
        let asks = try await client.get("/v1/asks", as: .seller)["items"].items
        #expect(asks.map { $0["price"].int } == [800, 800, 800])
        #expect(asks.map { $0["open"].int } == [5, 5, 5])
        let left = try await client.put("/v1/rigs/3/farm", as: .seller, #"{"farmID":null}"#)
        #expect(left["farmID"] == .null)
        #expect(left["askID"] == .null)
        #expect(try await client.get("/v1/asks/3", as: .seller)["reason"].text == "leftFarm")
    }

    private func withdraw(_ client: Client) async throws {
        let withdrawn = try await client.delete("/v1/farms/1/offer", as: .seller, key: "k")
        #expect(withdrawn.status == 200)
        #expect(withdrawn["cancelled"].int == 2)
        #expect(try await client.delete("/v1/farms/1/offer", as: .seller, key: "k")["cancelled"].int == 2)
        #expect(try await client.get("/v1/farms/1", as: .seller)["offer"] == .null)
        #expect(try await client.get("/v1/asks", as: .seller)["items"].items.isEmpty)
        #expect(try await client.delete("/v1/farms/1/offer", as: .seller).code == "farmNotOffered")
    }

    @Test func othersFarmsAndRigsAreNotThere() async throws {
        let world = world()
        _ = world.rig("d", of: .otherSeller, fallback: world.target(of: .otherSeller))
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/farms", as: .seller, #"{"name":"barn"}"#)
            let offer = #"{"price":900,"lots":"all"}"#
            #expect(try await client.get("/v1/farms/1", as: .otherSeller).code == "farmUnknown")
            #expect(try await client.put("/v1/farms/1/offer", as: .otherSeller, offer).status == 404)
            #expect(try await client.delete("/v1/farms/1/offer", as: .otherSeller).status == 404)
            #expect(try await client.get("/v1/farms", as: .otherSeller)["items"].items.isEmpty)
            #expect(try await client.get("/v1/rigs?farm=1", as: .otherSeller)["items"].items.isEmpty)
            #expect(try await client.put("/v1/rigs/1/farm", as: .otherSeller, #"{"farmID":null}"#).code == "rigUnknown")
            let foreign = try await client.put("/v1/rigs/4/farm", as: .otherSeller, #"{"farmID":1}"#)
            #expect(foreign.status == 422)
            #expect(foreign.code == "farmUnknown")
            #expect(foreign.field == "farmID")
            // Admins act for the owner.
            #expect(try await client.put("/v1/rigs/4/farm", as: .admin, #"{"farmID":1}"#).field == "farmID")
            #expect(try await client.put("/v1/rigs/1/farm", as: .admin, #"{"farmID":1}"#).status == 200)
            #expect(try await client.put("/v1/farms/1/offer", as: .admin, offer)["offer", "price"].int == 900)
            #expect(try await client.get("/v1/asks/1", as: .seller)["account"].int == Caller.seller.account)
            #expect(try await client.delete("/v1/farms/1/offer", as: .admin)["cancelled"].int == 1)
        }
    }
}
