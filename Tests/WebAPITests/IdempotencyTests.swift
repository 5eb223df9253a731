import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

@Suite struct IdempotencyTests {
    private func world() -> World {
        let world = World()
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        _ = world.rig("r", fallback: world.target(of: .seller))
        return world
    }

    @Test(arguments: InputTests.writes) func repetitionsGiveTheFirstAnswer(write: InputTests.Write) async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            func send(_ body: String) async throws -> Client.Reply {
                try await client.send(write.method, write.path, as: write.caller, body, key: "key-1")
            }
            let first = try await send(write.body())
            #expect(first.status == write.status)
            let after = world.market.read(\.hash)
            let second = try await send(write.body())
            #expect(second.status == write.status)
            #expect(second.text == first.text)
            #expect(world.market.read(\.hash) == after)
            let other = try await send(write.body() + " ")
            #expect(other.status == 409)
            #expect(other.code == "idempotencyKeyReused")
            #expect(other.field == "Idempotency-Key")
        }
    }

    @Test func refusalsAreRepeatedToo() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let body = #"{"price":7,"lots":1,"poolTargetIDs":[99]}"#
            for _ in 1...2 {
                #expect(try await client.post("/v1/bids", as: .buyer, body, key: "k").code == "poolTargetUnknown")
            }
        }
    }

    @Test func keysBelongToAccounts() async throws {
        let world = world()
        world.target(of: .otherBuyer)
        try await world.run { (client) async throws in
            let mine = try await client.post("/v1/pool-targets", as: .buyer, #"{"name":"n","url":"stratum+tcp://a.example:1","user":"u"}"#, key: "k")
            let theirs = try await client.post("/v1/pool-targets", as: .otherBuyer, #"{"name":"n","url":"stratum+tcp://a.example:1","user":"u"}"#, key: "k")
            #expect(mine["id"].int != theirs["id"].int)
        }
    }

    @Test func aRigsPasswordIsMadeUpOnce() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let body = #"{"name":"rig-2","fallbackPoolTargetID":2}"#
            let first = try await client.post("/v1/rigs", as: .seller, body, key: "k")
            let second = try await client.post("/v1/rigs", as: .seller, body, key: "k")
            let password = try #require(first["password"].text)
            #expect(second["password"].text == password)
            let id = try #require(first["id"].int)
            #expect(world.market.read { $0.rigs[RigID(id)]?.passwordDigest } == APIKey.digest(password))
            let third = try await client.post("/v1/rigs", as: .seller, #"{"name":"rig-3","fallbackPoolTargetID":2}"#, key: "other")
            #expect(third["password"].text != password)
            let fourth = try await client.post("/v1/rigs", as: .seller, #"{"name":"rig-4","fallbackPoolTargetID":2}"#)
            #expect(fourth["password"].text != password)
        }
    }

    @Test func cancellingTwiceIsCancellingOnce() async throws {
        let world = world()
        try await world.run { (client) async throws in
            for _ in 1...2 {
                _ = try await client.post("/v1/bids", as: .buyer, #"{"price":7,"lots":1,"poolTargetIDs":[1]}"#)
            }
            #expect(try await client.delete("/v1/bids/1", as: .buyer, key: "k").status == 204)
            #expect(try await client.delete("/v1/bids/1", as: .buyer, key: "k").status == 204)
            #expect(try await client.delete("/v1/bids/1", as: .buyer, key: "l").code == "orderClosed")
            #expect(try await client.delete("/v1/bids/2", as: .buyer, key: "k").code == "idempotencyKeyReused")
            #expect(try await client.get("/v1/bids/2", as: .buyer)["status"].text == "active")
        }
    }

    @Test func aRepeatedVerificationDoesNotTryAgain() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let first = try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer, key: "k")
            #expect(first["steps"].items.count == 3)
            let second = try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer, key: "k")
            #expect(second["target"] == first["target"])
            #expect(second["steps"].items.isEmpty)
            #expect(world.verifier.runs == 1)
        }
    }

    @Test(arguments: ["", "a b", "é", String(repeating: "k", count: 65), "a\tb"]) func badKeys(key: String) async throws {
        try await world().run { (client) async throws in
            let reply = try await client.post("/v1/bids", as: .buyer, #"{"price":7,"lots":1,"poolTargetIDs":[1]}"#, key: key)
            #expect(reply.status == 400)
            #expect(reply.code == "idempotencyKeyInvalid")
        }
    }
}
