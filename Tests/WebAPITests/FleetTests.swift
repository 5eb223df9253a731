import Crypto
import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// Farms' logins, curtailment, blocks and refused shares over the API.
@Suite struct FleetTests {
    /// A seller with farm 1, rigs 1 and 2 of 5 lots in it, and pool 2; a buyer with pool 1.
    private func world() -> World {
        let world = World()
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        let fallback = world.target(of: .seller)
        let seller = AccountID(Caller.seller.account)
        world.market.apply(CommandEnvelope(.createFarm(owner: seller, name: "barn")))
        for name in ["a", "b"] {
            let rig = world.rig(name, fallback: fallback)
            world.market.apply(CommandEnvelope(.assignRig(RigID(rig), owner: seller, FarmID(1))))
        }
        return world
    }

    private func digest(_ password: String?) -> [UInt8] { Array(SHA256.hash(data: Array((password ?? "").utf8))) }

    @Test func aLoginIsMadeChangedAndRotated() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let path = "/v1/farms/1/login"
            let made = try await client.put(path, as: .seller, #"{"name":"barn","fallbackPoolTargetID":2}"#, key: "k1")
            #expect(made.status == 200)
            #expect(made["user"].text == "a2.barn")
            #expect(made["stratumURL"].text == "stratum+tcp://market.example:3333")
            let login = { world.market.read { $0.farmLogins[FarmID(1)] } }
            #expect(login()?.passwordDigest == digest(made["password"].text))
            #expect(login()?.mostRigs == 5000)
            // The same request shows the same password again.
            let again = try await client.put(path, as: .seller, #"{"name":"barn","fallbackPoolTargetID":2}"#, key: "k1")
            #expect(again.text == made.text)

            let changed = try await client.put(path, as: .seller, #"{"mostRigs":7}"#)
            #expect(changed["password"] == .null)
            #expect(login()?.mostRigs == 7)
            #expect(login()?.passwordDigest == digest(made["password"].text))
            let rotated = try await client.put(path, as: .seller, #"{"rotatePassword":true}"#)
            #expect(rotated["password"].text != made["password"].text)
            #expect(login()?.passwordDigest == digest(rotated["password"].text))
            let chosen = try await client.put(path, as: .seller, #"{"password":"correct horse"}"#)
            #expect(chosen["password"].text == "correct horse")
            #expect(login()?.passwordDigest == digest("correct horse"))

            world.market.apply(CommandEnvelope(.fleet(.registerWorker(FarmID(1), worker: "w"))))
            let farm = try await client.get("/v1/farms/1", as: .seller)
            #expect(farm["login", "user"].text == "a2.barn")
            #expect(farm["login", "rigs"].int == 1)
            #expect(farm["login", "mostRigs"].int == 7)
            #expect(farm["login", "password"] == .null)
            #expect(try await client.get("/v1/rigs/3", as: .seller)["user"].text == "a2.barn.w")
        }
    }

    @Test func aLoginIsRefused() async throws {
        try await world().run { (client) async throws in
            let path = "/v1/farms/1/login"
            #expect(try await client.put(path, as: .seller, #"{"name":"barn"}"#).code == "farmLoginIncomplete")
            let foreign = try await client.put(path, as: .seller, #"{"name":"barn","fallbackPoolTargetID":1}"#)
            #expect(foreign.status == 422)
            #expect(foreign.field == "fallbackPoolTargetID")
            #expect(try await client.put(path, as: .otherSeller, #"{"name":"barn","fallbackPoolTargetID":2}"#).status == 404)
            #expect(try await client.put(path, as: .seller, #"{"name":"barn","fallbackPoolTargetID":2}"#).status == 200)
            let renamed = try await client.put(path, as: .seller, #"{"name":"shed"}"#)
            #expect(renamed.status == 409)
            #expect(renamed.field == "name")
        }
    }

    @Test func aFarmIsCurtailedAndComesBack() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let path = "/v1/farms/1/curtailment"
            #expect(try await client.put("/v1/farms/1/offer", as: .seller, #"{"price":900,"lots":"all"}"#).status == 200)
            let curtailed = try await client.put(path, as: .seller, #"{"capLots":6,"rampMinutes":1}"#)
            #expect(curtailed.status == 200)
            #expect(curtailed["curtailment", "status"].text == "holding")
            #expect(curtailed["curtailment", "capLots"].int == 6)
            #expect(curtailed["curtailment", "cutRigs"].int == 1)
            let cut = try await client.get("/v1/rigs/2", as: .seller)
            #expect(cut["isCurtailed"] == .bool(true))
            #expect(cut["returnsAt"] == .null)
            #expect(try await client.get("/v1/asks/2", as: .seller)["reason"].text == "curtailed")
            #expect(try await client.get("/v1/rigs/1", as: .seller)["isCurtailed"] == .bool(false))

            let lifted = try await client.delete(path, as: .seller)
            #expect(lifted["curtailment", "status"].text == "lifting")
            #expect(try await client.get("/v1/rigs/2", as: .seller)["returnsAt"].text != nil)
            world.market.advance(.seconds(61))
            #expect(try await client.get("/v1/farms/1", as: .seller)["curtailment"] == .null)
            #expect(try await client.delete(path, as: .seller).code == "farmNotCurtailed")
            #expect(try await client.put(path, as: .otherSeller, #"{"capLots":0}"#).status == 404)
            #expect(try await client.put(path, as: .admin, #"{"capLots":0}"#)["curtailment", "cutRigs"].int == 2)
        }
    }

    @Test func aCurtailmentsDeliveriesEndByTheirSeller() async throws {
        let world = world()
        try await world.run { (client) async throws in
            _ = try await client.put("/v1/farms/1/offer", as: .seller, #"{"price":900,"lots":"all"}"#)
            #expect(try await client.post("/v1/bids", as: .buyer, #"{"price":1000,"lots":5,"poolTargetIDs":[1]}"#).status == 201)
            _ = try await client.put("/v1/farms/1/curtailment", as: .seller, #"{"capLots":0}"#)
            #expect(try await client.get("/v1/deliveries/1", as: .buyer)["endCause"].text == "curtailed")
        }
    }

    @Test func blocksAreShownToBothSides() async throws {
        let world = world()
        let report = BlockReport(
            edge: EdgeID(1), receivedAt: world.market.time, rig: RigID(1), delivery: DeliveryID(4), target: PoolTargetID(1),
            hash: Array(0..<32), header: Array(repeating: 0xab, count: 80), poolJob: "6b", isForwarded: true)
        world.market.apply(CommandEnvelope(.blockFound(report)))
        world.market.apply(CommandEnvelope(.blockJudged(report.hash, .rejected, poolError: 23)))
        try await world.run { (client) async throws in
            for caller in [Caller.buyer, .seller, .admin] {
                let blocks = try await client.get("/v1/blocks", as: caller)["items"].items
                #expect(blocks.count == 1)
                #expect(blocks.first?["hash"].text == "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100")
                #expect(blocks.first?["header"].text == String(repeating: "ab", count: 80))
                #expect(blocks.first?["verdict"].text == "rejected")
                #expect(blocks.first?["poolError"].int == 23)
                #expect(blocks.first?["owner"].int == Caller.buyer.account)
            }
            #expect(try await client.get("/v1/blocks", as: .otherBuyer)["items"].items.isEmpty)
            #expect(try await client.get("/v1/blocks?delivery=4", as: .buyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/blocks?delivery=5", as: .buyer)["items"].items.isEmpty)
            #expect(try await client.get("/v1/blocks?delivery=x", as: .buyer).status == 400)
        }
    }

    @Test func figuresAndRejectsByFirmware() async throws {
        try await world().run { (client) async throws in
            let figures = try await client.get("/v1/rigs/1", as: .seller)["live"]["figures"]
            #expect(figures["hashesPerSecond60Minutes"].int == 60)
            #expect(figures["hashesPerSecond24Hours"].int == 24)
            #expect(figures["onlineSeconds24Hours"].int == 3600)
            #expect(figures["bestShareWork"].int == 77)
            #expect(figures["shares"]["stale"].int == 3)
            #expect(figures["rejects"]["unknownJob"].int == 1)
            let rejects = try await client.get("/v1/rigs/rejects", as: .seller)
            #expect(rejects["items"].items.map { $0["userAgent"].text } == ["cgminer/4.12"])
            #expect(rejects["items"].items.first?["rejected"].int == 4)
            #expect(rejects["items"].items.first?["reasons"]["stale"].int == 3)
            #expect(try await client.get("/v1/rigs/rejects?farm=1", as: .seller)["items"].items.count == 1)
            #expect(try await client.get("/v1/rigs/rejects?farm=2", as: .seller)["items"].items.isEmpty)
            #expect(try await client.get("/v1/rigs/rejects", as: .otherSeller)["items"].items.isEmpty)
        }
    }
}
