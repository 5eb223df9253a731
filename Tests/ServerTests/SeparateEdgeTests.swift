import Foundation
import Market
import Miner
import MiningPool
@testable import Server
import StratumProxy
import Synchronization
import TestSupport
import Testing
import Units

/// A clock that can be set.
final class SettableClock: WallClock {
    private let ahead = Mutex(Interval.zero)

    func set(ahead: Interval) { self.ahead.withLock { $0 = ahead } }

    func now() -> Timestamp { SystemClock().now() + ahead.withLock { $0 } }
}

/// A server without an edge, and an edge beside it, in this process.
final class Apart {
    let market: TestMarket
    let clock = SettableClock()
    let edge: SeparateEdge

    init(ahead: Interval = .zero, _ change: (inout ServerConfiguration) -> Void = { _ in }) async throws {
        clock.set(ahead: ahead)
        market = try await TestMarket(.postgres)
        market.configuration.hasEdge = false
        change(&market.configuration)
        try await market.start()
        var configuration = SeparateEdgeConfiguration(
            name: "apart", dataFolder: market.folder.file("edge"), database: market.configuration.tablesLocation)
        configuration.stratumPort = 0
        configuration.allowsPrivatePools = true
        configuration.clock = clock
        edge = try await SeparateEdge.start(configuration, logger: market.logger)
        market.configuration.stratumPort = edge.stratumPort
    }
}

@Suite(.serialized) struct SeparateEdgeTests {
    /// Returns after some more shares at the buyer's pool.
    private func delivers(_ trade: Trade, _ what: String) async throws {
        let counted = try await trade.buyerPool.snapshot().accepted
        try await eventually(what) { try await trade.buyerPool.snapshot().accepted >= counted + 5 }
    }

    @Test func aClockThatIsOffSellsNothing() async throws {
        let apart = try await Apart()
        let trade = try await Trade(apart.market)
        let admin = try await apart.market.customer("admin", .admin)
        func edge() async throws -> [String: Any] {
            let items = try await apart.market.api.call("GET", "/v1/edges", admin).items
            return try #require(items.first)
        }
        _ = try await trade.bid()
        try await delivers(trade, "the rig delivers")
        let first = try #require(try await trade.deliveries().first)
        // It may have come before the edge knew of it.
        let connects = trade.miner.statistics.connects
        #expect(try await edge()["name"] as? String == "apart")
        try await eventually("it is said to sell") { try await edge()["isSelling"] as? Bool == true }

        apart.clock.set(ahead: .seconds(3))
        try await eventually("the API says so") { try await edge()["isSelling"] as? Bool == false }
        let ahead = number(try await edge(), "clockAheadMicroseconds")
        #expect(ahead > 2_000_000 && ahead < 4_000_000)
        let home = try await trade.sellerPool.snapshot().accepted
        try await eventually("the rig works at home") { try await trade.sellerPool.snapshot().accepted > home + 5 }
        try await eventually("the exchange counts it as away") {
            try await apart.market.api.call("GET", "/v1/rigs/\(trade.rig)", trade.seller).text("status") == "offline"
        }

        apart.clock.set(ahead: .milliseconds(1500))
        let later = try await trade.sellerPool.snapshot().accepted
        try await eventually("it still works at home") { try await trade.sellerPool.snapshot().accepted > later + 5 }
        #expect(try await edge()["isSelling"] as? Bool == false)

        apart.clock.set(ahead: .zero)
        try await delivers(trade, "the rig delivers again")
        try await eventually("the exchange knows") {
            try await apart.market.api.call("GET", "/v1/rigs/\(trade.rig)", trade.seller).text("status") == "online"
        }
        let deliveries = try await trade.deliveries()
        #expect(deliveries.map { number($0, "id") } == [number(first, "id")], "it was not away for long")
        #expect(trade.miner.statistics.connects == connects, "the rig must not notice")
        await trade.stopMining()
        await apart.edge.stop()
        await apart.market.stop()
        #expect(try await apart.market.brokenInvariants() == [])
        try await trade.end()
    }

    /// An edge that starts with such a clock sells nothing until it is right; its rigs work at home.
    @Test func aClockThatIsOffAtTheStartSellsNothing() async throws {
        let apart = try await Apart(ahead: .seconds(-100))
        let home = try await startPool(seed: 1)
        let seller = try await apart.market.customer("seller", .seller)
        let target = try await apart.market.api.call(
            "POST", "/v1/pool-targets", seller, ["name": "home", "url": home.url, "user": "seller.home"])
        let registered = try await apart.market.api.call(
            "POST", "/v1/rigs", seller, ["name": "rig", "fallbackPoolTargetID": target.int("id") ?? 0])
        let miner = try makeMiner(
            port: apart.edge.stratumPort, user: registered.text("user") ?? "", password: registered.text("password") ?? "")
        let mining = Task { try await miner.run() }
        func status() async throws -> String? {
            try await apart.market.api.call("GET", "/v1/rigs/\(registered.int("id") ?? 0)", seller).text("status")
        }
        try await eventually("the rig works at home") { try await home.pool.snapshot().accepted > 5 }
        #expect(try await status() == "offline")
        apart.clock.set(ahead: .zero)
        try await eventually("the rig can be sold") { try await status() == "online" }
        mining.cancel()
        _ = await mining.result
        await apart.edge.stop()
        await apart.market.end()
        _ = try await home.pool.stop()
    }

    /// An edge that gives no sign of life: its rigs count as away, while it goes on serving them; when it is heard of again
    /// they are back.
    @Test func aSilentEdgesRigsAreAway() async throws {
        let apart = try await Apart { $0.longestEdgeSilence = .milliseconds(1500) }
        let trade = try await Trade(apart.market)
        _ = try await trade.bid()
        try await delivers(trade, "the rig delivers")
        apart.edge.work.cancel()
        await apart.edge.work.value
        func status() async throws -> String? {
            try await apart.market.api.call("GET", "/v1/rigs/\(trade.rig)", trade.seller).text("status")
        }
        try await eventually("the rig counts as away") { try await status() == "offline" }
        try await delivers(trade, "the rig goes on")
        let silent = apart.edge
        let contact = Task { await silent.contact.run() }
        try await eventually("the rig is back") { try await status() == "online" }
        try await delivers(trade, "the rig goes on")
        let running = try await trade.deliveries()
        #expect(running.count == 1 && running.first?["status"] as? String == "running")
        // Everything is billed, to the end.
        let cancelled = try await apart.market.api.call("DELETE", "/v1/bids/\(number(running.first, "bidID"))", trade.buyer)
        #expect(cancelled.status == 204, "\(cancelled)")
        try await eventually("the delivery is settled to the end") {
            let delivery = try await trade.deliveries().first
            return delivery?["status"] as? String == "ended" && number(delivery, "held") == 0
                && number(delivery, "settledWork") == number(delivery, "billableWork")
        }
        #expect(number(try await trade.deliveries().first, "settledWork") > 0)
        contact.cancel()
        await contact.value
        await trade.stopMining()
        await apart.edge.stop()
        try await trade.countsAgree()
        await apart.market.stop()
        #expect(try await apart.market.brokenInvariants() == [])
        try await trade.end()
    }

    @Test func withoutPostgresAServerHasItsEdge() async throws {
        let market = try await TestMarket(.sqlite)
        market.configuration.hasEdge = false
        let error = await #expect(throws: ServerStartError.self) { try await market.start() }
        #expect(error?.description.contains("needs Postgres") == true)
        await market.end()
    }

    @Test func figuresAreReadAsTheyWereWritten() throws {
        var figures = EdgeFigures(figures: [])
        for rig in 1...3 {
            figures.figures.append(EdgeFigures.Figure(
                rig: RigID(Int64(rig)), delivery: rig == 1 ? DeliveryID(9) : nil, live: LiveRig(
                    hashrate: Hashrate(hashesPerSecond: .max), pool: rig == 2 ? nil : "p", userAgent: rig == 3 ? "é" : nil,
                    connectedSince: rig == 2 ? Timestamp(microseconds: 5) : nil, switches: Int64(rig))))
        }
        #expect(try EdgeFigures(decoding: figures.encoded()) == figures)
        let cut = Array(figures.encoded().dropLast())
        #expect((try? EdgeFigures(decoding: cut)) == nil)
    }
}
