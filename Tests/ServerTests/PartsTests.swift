import Exchange
import Foundation
import Market
import Miner
import MiningPool
import Server
import TestSupport
import Testing
import Units

@Suite(.serialized) struct PartsTests {
    /// From the API to both buyers' pools: one rig, cut in two.
    @Test func aRigIsSoldToTwoBuyersAtOnce() async throws {
        let market = try await TestMarket(.sqlite)
        market.configuration.rules.smallestSlice = PartsPerMillion(50_000)
        market.configuration.rules.term = .seconds(20)
        try await market.start()
        let api = market.api
        let home = try await startPool(seed: 1)
        let aways = [try await startPool(seed: 2), try await startPool(seed: 3)]
        let seller = try await market.customer("seller", .seller)
        let finance = try await market.customer("finance", .finance)
        func target(_ owner: Customer, _ url: String, _ user: String) async throws -> Int64 {
            let made = try await api.call("POST", "/v1/pool-targets", owner, ["name": user, "url": url, "user": user])
            let id = try #require(made.int("id"), "\(made)")
            _ = try await api.call("POST", "/v1/pool-targets/\(id)/verify", owner)
            return id
        }
        let fallback = try await target(seller, home.url, "home")
        let rig = try await api.call("POST", "/v1/rigs", seller, ["name": "rig", "fallbackPoolTargetID": fallback])
        let miner = try makeMiner(
            port: market.configuration.stratumPort, user: rig.text("user") ?? "", password: rig.text("password") ?? "")
        let mining = Task { try await miner.run() }
        let ask = try await api.call("POST", "/v1/asks", seller, ["price": 1_000_000, "rigID": rig.int("id") ?? 0, "lots": "all"])
        try #require(ask.status == 201, "\(ask)")
        try await eventually("the ask is in the book") {
            try await api.call("GET", "/v1/asks", seller).items.first?["status"] as? String == "active"
        }
        var buyers: [Customer] = []
        for (number, away) in aways.enumerated() {
            let buyer = try await market.customer("buyer \(number)", .buyer)
            buyers.append(buyer)
            let deposit = try await api.call("POST", "/v1/deposits", finance, [
                "account": buyer.account, "amount": 1_000_000_000, "reference": "wire-\(number)",
            ])
            try #require(deposit.status == 201, "\(deposit)")
            let pool = try await target(buyer, away.url, "away.\(number)")
            let bid = try await api.call("POST", "/v1/bids", buyer, [
                "price": 1_500_000, "lots": 5, "poolTargetIDs": [pool],
            ])
            try #require(bid.status == 201, "\(bid)")
        }
        for away in aways {
            try await eventually("each buyer's pool counts shares", within: 60) { try await away.pool.snapshot().accepted >= 20 }
        }
        for buyer in buyers {
            let delivery = try await api.call("GET", "/v1/deliveries", buyer).items.first
            #expect((delivery?["lots"] as? NSNumber)?.int64Value == 5)
        }
        let counted = try await home.pool.snapshot().accepted
        try await eventually("what is unsold goes home", within: 60) { try await home.pool.snapshot().accepted > counted + 5 }
        #expect(miner.statistics.connects == 1, "the rig must not notice")
        mining.cancel()
        _ = await mining.result
        await market.stop()
        #expect(try await market.brokenInvariants() == [])
        await market.end()
        for pool in [home] + aways { _ = try await pool.pool.stop() }
    }
}
