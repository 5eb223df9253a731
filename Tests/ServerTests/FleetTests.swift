import Exchange
import Foundation
import Logging
import Market
import Miner
import MiningPool
import Server
import Stratum
import TestSupport
import Testing
import Units

/// A farm whose miners come by its login, find blocks, are sent away and let back in; all parts real.
@Suite(.serialized) struct FleetTests {
    /// A pool for which every share is a block.
    private func blockPool() async throws -> (pool: MiningPool, url: String) {
        var configuration = MiningPoolConfiguration()
        configuration.difficulty = DecimalDifficulty(ShareDifficulty(units: 32))
        configuration.nbits = 0x207f_ffff
        configuration.reportInterval = nil
        var logger = Logger(label: "pool")
        logger.logLevel = .error
        let pool = MiningPool(configuration, logger: logger)
        return (pool, "stratum+tcp://127.0.0.1:\(try await pool.start().stratum)")
    }

    @Test(arguments: Engine.allCases)
    func aFarmComesIsCutAndComesBack(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        // Shares are blocks here: few are enough.
        market.configuration.rules.shareInterval = .seconds(1)
        try await market.start()
        let (pool, url) = try await blockPool()
        let seller = try await market.customer("seller", .seller)
        let made = try await market.api.call("POST", "/v1/pool-targets", seller, ["name": "home", "url": url, "user": "home"])
        let target = try #require(made.int("id"), "\(made)")
        let farm = try await market.api.call("POST", "/v1/farms", seller, ["name": "barn"])
        #expect(farm.status == 201)
        let login = try await market.api.call(
            "PUT", "/v1/farms/1/login", seller, ["name": "barn", "fallbackPoolTargetID": target, "mostRigs": 3])
        let user = try #require(login.text("user"), "\(login)"), password = try #require(login.text("password"))
        #expect(try await market.api.call("PUT", "/v1/farms/1/offer", seller, ["price": 1_000_000, "lots": "all"]).status == 200)

        let miners = try (1...4).map {
            try makeMiner(port: market.configuration.stratumPort, user: "\(user).w\($0)", password: password)
        }
        let mining = miners.map { miner in Task { try await miner.run() } }
        func rigs() async throws -> [[String: Any]] { try await market.api.call("GET", "/v1/rigs", seller).items }
        func online() async throws -> Int { try await rigs().count { $0["status"] as? String == "online" } }
        try await eventually("three are rigs of the farm, the fourth is one too many") {
            let all = try await rigs()
            return all.count == 3 && all.allSatisfy { $0["status"] as? String == "online" && $0["farmID"] as? Int == 1 }
        }
        #expect(try await market.api.call("GET", "/v1/asks", seller).items.count == 3)

        try await eventually("a block is there with the pool's word") {
            try await market.api.call("GET", "/v1/blocks", seller).items.contains { $0["verdict"] as? String == "accepted" }
        }
        let block = try #require(try await market.api.call("GET", "/v1/blocks?limit=1", seller).items.first)
        #expect((block["header"] as? String)?.count == 160)
        #expect(block["owner"] as? Int == Int(seller.account))

        #expect(try await market.api.call("PUT", "/v1/farms/1/curtailment", seller, ["capLots": 0]).status == 200)
        try await eventually("all are away") { try await online() == 0 }
        #expect(try await rigs().allSatisfy { $0["isCurtailed"] as? Bool == true })
        #expect(try await market.api.call("DELETE", "/v1/farms/1/curtailment", seller).status == 200)
        try await eventually("all are back") { try await online() == 3 }

        let rotated = try await market.api.call("PUT", "/v1/farms/1/login", seller, ["rotatePassword": true])
        #expect(rotated.text("password") != password)
        try await eventually("the old password is nobody's") { try await online() == 0 }
        for task in mining { task.cancel() }
        for task in mining { _ = await task.result }
        await market.stop()
        #expect(try await market.brokenInvariants() == [])
        try await market.start()
        #expect(try await rigs().count == 3)
        #expect(try await market.api.call("GET", "/v1/farms/1", seller).body["login"] != nil)
        #expect(try await market.api.call("GET", "/v1/blocks?limit=1", seller).items.first?["hash"] as? String == block["hash"] as? String)
        await market.end()
        _ = try await pool.stop()
    }
}
