import Exchange
import Foundation
import Market
import Miner
import MiningPool
import Server
import Store
import TestSupport
import Testing

/// A seller with a rig on offer, a buyer with funds and a verified pool, and a running miner.
final class Trade {
    let market: TestMarket
    let buyerPool: MiningPool
    let sellerPool: MiningPool
    let buyer: Customer
    let seller: Customer
    let target: Int64
    let rig: Int64
    let miner: Miner
    private let mining: Task<Void, any Error>

    /// - Parameter market: started
    init(_ market: TestMarket) async throws {
        self.market = market
        let home = try await startPool(seed: 1)
        let away = try await startPool(seed: 2, extranonce2Size: 6)
        (sellerPool, buyerPool) = (home.pool, away.pool)
        seller = try await market.customer("seller", .seller)
        buyer = try await market.customer("buyer", .buyer)
        let finance = try await market.customer("finance", .finance)
        let api = market.api
        let deposit = try await api.call("POST", "/v1/deposits", finance, [
            "account": buyer.account, "amount": 1_000_000_000, "reference": "wire-1",
        ])
        try #require(deposit.status == 201, "\(deposit)")
        let fallback = try await Trade.target(api, seller, home.url, "seller.home")
        target = try await Trade.target(api, buyer, away.url, "buyer.away")
        let registered = try await api.call("POST", "/v1/rigs", seller, ["name": "rig", "fallbackPoolTargetID": fallback])
        rig = try #require(registered.int("id"), "\(registered)")
        let ask = try await api.call("POST", "/v1/asks", seller, ["price": 1_000_000, "rigID": rig, "lots": "all"])
        try #require(ask.status == 201, "\(ask)")
        let miner = try makeMiner(
            port: market.configuration.stratumPort, user: registered.text("user") ?? "",
            password: registered.text("password") ?? "")
        self.miner = miner
        mining = Task { try await miner.run() }
        try await eventually("the ask is in the book") {
            try await api.call("GET", "/v1/asks", self.seller).items.first?["status"] as? String == "active"
        }
    }

    private static func target(_ api: API, _ owner: Customer, _ url: String, _ user: String) async throws -> Int64 {
        let made = try await api.call("POST", "/v1/pool-targets", owner, ["name": user, "url": url, "user": user])
        let id = try #require(made.int("id"), "\(made)")
        let report = try await api.call("POST", "/v1/pool-targets/\(id)/verify", owner)
        try #require((report.body["target"] as? [String: Any])?["status"] as? String == "verified", "\(report)")
        return id
    }

    func bid() async throws -> Int64 {
        let bid = try await market.api.call("POST", "/v1/bids", buyer, [
            "price": 1_500_000, "lots": 1000, "poolTargetIDs": [target],
        ])
        return try #require(bid.int("id"), "\(bid)")
    }

    func deliveries() async throws -> [[String: Any]] {
        try await market.api.call("GET", "/v1/deliveries", buyer).items
    }

    func stopMining() async {
        mining.cancel()
        _ = await mining.result
    }

    func end() async throws {
        await stopMining()
        await market.end()
        _ = try await buyerPool.stop()
        _ = try await sellerPool.stop()
    }

    /// Waits until everything that was forwarded is answered and recorded; then both sides must have the same count.
    func countsAgree() async throws {
        try await eventually("both pools count what the market counts") {
            let counts = try await market.poolCounts()
            let own = [try await sellerPool.snapshot(), try await buyerPool.snapshot()]
            return counts.count == 2 && zip(counts, own).allSatisfy { count, pool in
                count.unanswered == 0 && count.accepted == Int64(pool.accepted)
                    && count.rejected == Int64(pool.rejected) && count.forwarded == count.accepted + count.rejected
            }
        }
    }
}

func number(_ item: [String: Any]?, _ name: String) -> Int64 { (item?[name] as? NSNumber)?.int64Value ?? 0 }

@Suite(.serialized) struct WholeWayTests {
    @Test(arguments: Engine.allCases)
    func aRigIsSoldDeliveredAndBilled(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        try await market.start()
        let trade = try await Trade(market)
        let bid = try await trade.bid()
        try await eventually("the buyer's pool counts shares of the rig") {
            try await trade.buyerPool.snapshot().accepted >= 20
        }
        #expect(trade.miner.statistics.connects == 1, "the rig must not notice")
        let cancelled = try await market.api.call("DELETE", "/v1/bids/\(bid)", trade.buyer)
        #expect(cancelled.status == 204)
        try await eventually("the delivery is settled to the end") {
            let delivery = try await trade.deliveries().first
            return delivery?["status"] as? String == "ended" && number(delivery, "held") == 0
                && number(delivery, "settledWork") == number(delivery, "billableWork")
        }
        let home = try await trade.sellerPool.snapshot().accepted
        try await eventually("the rig works at home again") { try await trade.sellerPool.snapshot().accepted > home + 5 }
        #expect(trade.miner.statistics.connects == 1, "the rig must not notice")
        await trade.stopMining()
        try await trade.countsAgree()

        let delivery = try await trade.deliveries().first
        #expect(number(delivery, "settledWork") > 0)
        #expect(number(delivery, "settledWork") <= number(delivery, "validWork"))
        let balance = try await market.api.call("GET", "/v1/balances", trade.buyer)
        let earned = try await market.api.call("GET", "/v1/balances", trade.seller)
        #expect(balance.int("held") == 0)
        // Charge by the design's formula, fees of 1 % each: work x 65536 x price / (u x 86400).
        let charge = number(delivery, "settledWork") * 65_536 * 1_000_000 / (1_000_000 * 86_400)
        #expect(number(delivery, "charged") == charge)
        #expect(1_000_000_000 - (balance.int("available") ?? 0) == charge + charge / 100)
        #expect(earned.int("available") == charge - charge / 100)
        await market.stop()
        #expect(try await market.brokenInvariants() == [])
        try await trade.end()
    }

    @Test(arguments: Engine.allCases)
    func deliveriesSurviveARestart(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        try await market.start()
        let trade = try await Trade(market)
        _ = try await trade.bid()
        try await eventually("the rig delivers") { try await trade.buyerPool.snapshot().accepted >= 10 }
        let before = try await trade.deliveries()
        await market.stop()
        try await market.start()
        let counted = try await trade.buyerPool.snapshot().accepted
        try await eventually("the rig came back and delivers") {
            try await trade.buyerPool.snapshot().accepted >= counted + 10
        }
        let after = try await trade.deliveries()
        #expect(after.count == 1)
        #expect(number(after.first, "id") == number(before.first, "id"))
        #expect(after.first?["status"] as? String == "running")
        #expect(trade.miner.statistics.connects == 2)
        await trade.stopMining()
        try await trade.countsAgree()
        await market.stop()
        #expect(try await market.brokenInvariants() == [])
        try await trade.end()
    }

    /// kill -9 while the rig hashes, three times: what the rig was told is there, and the books are right.
    @Test(arguments: Engine.allCases)
    func aKilledServerLosesNothingThatWasAcknowledged(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        market.configuration.rules = .demo
        try await market.startProcess()
        let trade = try await Trade(market)
        _ = try await trade.bid()
        for _ in 1...3 {
            let counted = try await trade.buyerPool.snapshot().accepted
            try await eventually("the rig delivers") { try await trade.buyerPool.snapshot().accepted >= counted + 10 }
            market.killProcess()
            try await market.startProcess()
        }
        let told = trade.miner.statistics.accepted
        try await eventually("the rig is back") { trade.miner.statistics.accepted > told }
        await trade.stopMining()
        let acknowledged = Int64(trade.miner.statistics.accepted)
        market.stopProcess()
        let verified = try await market.poolCounts().reduce(0) { $0 + $1.validShares }
        #expect(verified >= acknowledged)
        #expect(try await market.brokenInvariants() == [])
        try await trade.end()
    }
}
