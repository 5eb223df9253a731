@testable import Exchange
import Market
import MarketTestSupport
import Routing
import Synchronization
import TestSupport
import Testing
import Units

@Suite("Timers and routes")
struct TimeAndRouteTests {
    @Test(arguments: Engine.allCases)
    func termsEndByThemselves(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let first = try await market.openDelivery()
                market.clock.now = market.clock.now + .seconds(21)
                try await eventually("the term ends") { market.writer.read { $0.deliveries[first]?.isRunning } == false }
                // The pair meets again.
                let second = market.writer.read { $0.deliveries(on: RigID(1)).first?.id }
                #expect(second != nil && second != first)
                try await market.submit(.cancelOrder(OrderID(2), by: nil))
                market.clock.now = market.clock.now + .seconds(241)
                try await eventually("the holds are given back") { market.writer.read { $0.deliveries.values.allSatisfy { $0.held == .zero } } }
                // The committed state keeps no deadlines that are over.
                #expect(market.writer.read { $0.timers.next } == nil || market.writer.read { $0.timers.next!.at } >= market.clock.now)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func deadlinesOfALoadedStateFireToo(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let clock = ManualClock()
            var delivery: DeliveryID?
            try await TestMarket.with(storage, clock: clock) { delivery = try await $0.openDelivery() }
            clock.now = clock.now + .seconds(21)
            try await TestMarket.with(storage, clock: clock) { market in
                let id = try #require(delivery)
                try await eventually("the term ends") { market.writer.read { $0.deliveries[id]?.isRunning } == false }
            }
        }
    }

    /// Pegged orders are looked at every second; as long as nothing moves, nothing is written, and the writer sleeps.
    @Test(arguments: Engine.allCases)
    func peggedOrdersFollowWithoutEmptyRows(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                _ = try await market.openDelivery()
                try await market.submit(.publishIndex(IndexPrice(price: Price(500_000), at: market.clock.now)))
                let placed = try await market.submit(.placeBid(PlaceBid(
                    account: AccountID(1), price: Price(700_000), lots: Lots(1), targets: [PoolTargetID(1)],
                    instructions: Instructions(peg: Peg(reference: .index, offset: 10)))))
                guard case .order(let id) = placed else {
                    Issue.record("refused: \(placed)")
                    return
                }
                #expect(market.writer.read { $0.orders[id]?.price } == Price(500_010))
                let (appends, looks) = (market.faults.now.appends, market.clock.looks)
                for _ in 1...3 {
                    market.clock.now = market.clock.now + .seconds(1)
                    try await Task.sleep(for: .milliseconds(700))
                }
                #expect(market.faults.now.appends == appends)
                #expect(market.clock.looks - looks < 100, "the writer spins")

                try await market.submit(.publishIndex(IndexPrice(price: Price(600_000), at: market.clock.now)))
                #expect(market.writer.read { $0.orders[id]?.price } == Price(500_010))
                market.clock.now = market.clock.now + .seconds(1)
                try await eventually("the new price") { market.writer.read { $0.orders[id]?.price } == Price(600_010) }
                #expect(market.faults.now.appends == appends + 2)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func routesComeAfterTheirCommitWithRisingPositions(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let seen = Shared<[RouteUpdate]>([])
                let early = Shared(0)
                market.writer.onRoutes { updates in
                    seen.withLock { $0 += updates }
                    // The journal has it already.
                    let last = (try? storage.positions().journal) ?? 0
                    if updates.contains(where: { $0.position > last }) { early.withLock { $0 += 1 } }
                }
                let delivery = try await market.openDelivery()
                let opened = try #require(seen.withLock { $0.last })
                #expect(opened.rig == RigID(1))
                #expect(opened.routes.map(\.delivery) == [delivery])
                #expect(opened.routes.map(\.targets) == [[PoolTargetID(1)]])
                #expect(opened.position == (try storage.positions().journal))
                for _ in 1...3 {
                    market.clock.now = market.clock.now + .seconds(21)
                    let count = seen.withLock { $0.count }
                    try await eventually("the next term") { seen.withLock { $0.count } > count }
                }
                try await market.submit(.cancelOrder(OrderID(2), by: nil))
                #expect(seen.withLock { $0.last?.routes } == [])
                let positions = seen.withLock { $0.map(\.position) }
                #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 })
                #expect(early.withLock { $0 } == 0)
                let all = market.writer.allRoutes()
                #expect(all.map(\.rig) == [RigID(1)])
                #expect(all.map(\.routes) == [[]])
                #expect(all.map(\.position) == [try storage.positions().journal])
            }
        }
    }

    /// All that run on the rig, and what is left of it for the seller.
    @Test func aPartlySoldRigHasARouteForEachBuyer() async throws {
        var rules = History.rules
        rules.smallestSlice = PartsPerMillion(50_000)
        try await Engine.sqlite.withStorage { storage in
            try await TestMarket.with(storage, rules: rules) { market in
                let seen = Shared<[RouteUpdate]>([])
                market.writer.onRoutes { updates in seen.withLock { $0 += updates } }
                try await market.deposit("more", account: 1, 100_000_000)
                let first = try await market.openDelivery()
                func last() -> RouteUpdate? { seen.withLock { $0.last } }
                #expect(last()?.unsold.hashesPerSecond == 0, "all its lots are sold")
                try await market.submit(.rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: 1_000_000)))
                #expect(last()?.routes.map(\.delivery) == [first])
                #expect(last()?.unsold.hashesPerSecond == 700_000)
                try await market.submit(.placeBid(PlaceBid(
                    account: AccountID(1), price: Price(2_000_000), lots: Lots(5), targets: [PoolTargetID(1)])))
                let both = try #require(last())
                #expect(both.routes.map(\.hashrate.hashesPerSecond) == [300_000, 500_000])
                #expect(both.routes.map(\.allowance) == market.writer.read { $0.deliveries(on: RigID(1)).map(\.allowance) })
                #expect(both.unsold.hashesPerSecond == 200_000)
                #expect(market.writer.allRoutes() == [both])
                try await market.submit(.rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: 899_999)))
                #expect(last()?.unsold.hashesPerSecond == 0, "less than a lot is left")
                try await market.submit(.cancelOrder(both.routes[0].bid, by: nil))
                #expect(last()?.routes.map(\.delivery) == [both.routes[1].delivery])
                #expect(last()?.unsold.hashesPerSecond == 399_999)
            }
        }
    }

    /// A delivery that ends and is settled to the end in one batch leaves its rig unsold all the same.
    @Test(arguments: Engine.allCases)
    func anEndIsToldAlsoWhenTheDeliveryIsGone(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let clock = ManualClock()
            try await TestMarket.with(storage, clock: clock) { market in
                _ = try await market.openDelivery()
                try await market.submit(.rigOffline(RigID(1), session: 1))
            }
            clock.now = clock.now + .seconds(1000)
            let market = try await TestMarket(storage, clock: ManualClock())
            let seen = Shared<[RouteUpdate]>([])
            market.writer.onRoutes { updates in seen.withLock { $0 += updates } }
            market.clock.now = clock.now
            try await eventually("the delivery is over, and its hold is back") {
                market.writer.read { $0.deliveries.values.allSatisfy { !$0.isRunning && $0.held == .zero } }
            }
            #expect(seen.withLock { $0.last?.rig } == RigID(1))
            #expect(seen.withLock { $0.last?.routes } == [])
            await market.stop()
        }
    }
}
