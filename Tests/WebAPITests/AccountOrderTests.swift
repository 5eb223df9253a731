import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// All orders of an account at once.
@Suite struct AccountOrderTests {
    private func world() -> World {
        let world = World()
        for caller in [Caller.buyer, .otherBuyer] { world.deposit(1_000_000_000, to: caller) }
        world.target(of: .buyer)
        world.target(of: .otherBuyer)
        return world
    }

    private func bids(_ client: Client) async throws {
        for _ in 1...3 { _ = try await client.post("/v1/bids", as: .buyer, #"{"price":600,"lots":8,"poolTargetIDs":[1]}"#) }
        _ = try await client.post("/v1/bids", as: .otherBuyer, #"{"price":600,"lots":8,"poolTargetIDs":[2]}"#)
    }

    @Test func cancelsOwnOrdersOnly() async throws {
        try await world().run { (client) async throws in
            try await bids(client)
            let asks = try await client.delete("/v1/orders?side=ask", as: .buyer)
            #expect(asks.status == 200)
            #expect(asks["cancelled"].int == 0)
            #expect(try await client.delete("/v1/orders?side=bid", as: .buyer)["cancelled"].int == 3)
            #expect(try await client.delete("/v1/orders", as: .buyer)["cancelled"].int == 0)
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.isEmpty)
            #expect(try await client.get("/v1/bids", as: .otherBuyer)["items"].items.count == 1)
            #expect(try await client.delete("/v1/orders", as: .otherBuyer)["cancelled"].int == 1)
        }
    }

    @Test func repetitionsCancelNothingMore() async throws {
        try await world().run { (client) async throws in
            try await bids(client)
            #expect(try await client.delete("/v1/orders?side=bid", as: .buyer, key: "k")["cancelled"].int == 3)
            try await bids(client)
            #expect(try await client.delete("/v1/orders?side=bid", as: .buyer, key: "k")["cancelled"].int == 3)
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.count == 3)
            // Another side is another request.
            #expect(try await client.delete("/v1/orders?side=ask", as: .buyer, key: "k").code == "idempotencyKeyReused")
            #expect(try await client.delete("/v1/orders", as: .buyer, key: "k").code == "idempotencyKeyReused")
        }
    }

    @Test(arguments: [("?side=both", "side"), ("?side=", "side"), ("?side=bid&side=ask", "side"), ("?account=1", "account")])
    func badQueries(query: String, field: String) async throws {
        try await world().run { (client) async throws in
            try await bids(client)
            let reply = try await client.delete("/v1/orders" + query, as: .buyer)
            #expect(reply.status == 400)
            #expect(reply.field == field)
            #expect(try await client.send(.delete, "/v1/orders", as: .buyer, #"{"side":"bid"}"#).code == "fieldUnknown")
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.count == 3)
        }
    }

    @Test func silenceCancelsAll() async throws {
        let world = world()
        try await world.run { (client) async throws in
            try await bids(client)
            #expect(try await client.get("/v1/orders/cancel-after", as: .buyer)["cancelAt"] == .null)
            let set = try await client.put("/v1/orders/cancel-after", as: .buyer, #"{"seconds":30}"#)
            #expect(set.status == 200)
            #expect(set["cancelAt"].text == "2027-01-15T08:00:30.000000Z")
            world.market.advance(.seconds(20))
            #expect(try await client.put("/v1/orders/cancel-after", as: .buyer, #"{"seconds":30}"#)["cancelAt"].text == "2027-01-15T08:00:50.000000Z")
            world.market.advance(.seconds(29))
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.count == 3)
            #expect(try await client.get("/v1/orders/cancel-after", as: .otherBuyer)["cancelAt"] == .null)
            world.market.advance(.seconds(1))
            #expect(try await client.get("/v1/bids/1", as: .buyer)["reason"].text == "silence")
            #expect(try await client.get("/v1/bids", as: .otherBuyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/orders/cancel-after", as: .buyer)["cancelAt"] == .null)
        }
    }

    @Test func theTimerIsSwitchedOff() async throws {
        let world = world()
        try await world.run { (client) async throws in
            try await bids(client)
            _ = try await client.put("/v1/orders/cancel-after", as: .buyer, #"{"seconds":1}"#)
            #expect(try await client.put("/v1/orders/cancel-after", as: .buyer, #"{"seconds":null}"#)["cancelAt"] == .null)
            world.market.advance(.day)
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.count == 3)
        }
    }
}
