import Metering
import Miner
import MiningPool
import Routing
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Rigs that are sold in parts", .serialized)
struct SlicingTests {
    private static let rate: Int64 = 1_000_000

    private func makeSetup() async throws -> Setup {
        let setup = try Setup {
            $0.slices = SliceTimes(length: .milliseconds(500), least: .milliseconds(250))
            $0.shareInterval = .milliseconds(100)
        }
        for id in Int64(1)...3 { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        return setup
    }

    private func makeMiner(_ setup: Setup) throws -> Miner {
        var configuration = MinerConfiguration(pool: try PoolAddress(parsing: "127.0.0.1:\(setup.port)"), user: "farm.1")
        configuration.rollsVersion = true
        configuration.maximalHashrate = SlicingTests.rate
        configuration.reportInterval = nil
        return Miner(configuration, logger: quiet)
    }

    private func metered(_ setup: Setup, _ delivery: Int64?) -> Int64 {
        setup.sink.shares.reduce(0) { sum, share in
            sum + (share.verdict == .valid && share.delivery?.rawValue == delivery ? share.difficulty.units : 0)
        }
    }

    @Test("two buyers get their parts of the metered work, and each pool its own shares")
    func twoBuyers() async throws {
        let setup = try await makeSetup()
        let miner = try makeMiner(setup)
        setup.sell(1, parts: [(11, 2, SlicingTests.rate * 6 / 10), (12, 3, SlicingTests.rate * 4 / 10)])
        let running = Task { try await miner.run() }
        try await eventually("work", within: 60) { metered(setup, 11) + metered(setup, 12) > 100 }
        let rig = try #require(try await setup.rig("farm.1"))
        #expect(rig.slices.map(\.delivery) == [DeliveryID(11), DeliveryID(12)])
        #expect(rig.slices.map(\.share) == [PartsPerMillion(600_000), PartsPerMillion(400_000)])
        #expect(rig.switches >= 4)
        running.cancel()
        try await running.value
        try await setup.quiescent()
        await setup.edge.stop()
        let (first, second) = (metered(setup, 11), metered(setup, 12))
        let all = Double(first + second)
        let slice = Double(SlicingTests.rate) / Double(Algorithm.sha256d.hashesPerUnit) * 0.5
        #expect(abs(Double(first) - all * 0.6) <= all * 0.01 + 2 * slice, "\(first) of \(all)")
        #expect(metered(setup, nil) <= Int64(2 * slice), "only until its buyers' pools were open")
        #expect(Set(setup.sink.shares.map(\.hash)).count == setup.sink.shares.count)
        for (delivery, pool) in [(11, 2), (12, 3)] as [(Int64, Int64)] {
            let accepted = try await setup.pools[pool]?.snapshot().accepted ?? 0
            #expect(setup.sink.total(delivery).poolAccepted == Int64(accepted))
            #expect(accepted > 0)
        }
        try await setup.stop()
    }

    @Test("the unsold rest goes to the fallback pool, and a buyer whose pool is away keeps nobody waiting")
    func restAndOutage() async throws {
        let setup = try await makeSetup()
        let miner = try makeMiner(setup)
        let running = Task { try await miner.run() }
        let tenth = SlicingTests.rate / 10
        setup.sell(1, parts: [(11, 2, 3 * tenth), (12, 3, 4 * tenth)], unsold: 3 * tenth)
        try await eventually("all are served", within: 60) {
            metered(setup, 11) > 10 && metered(setup, 12) > 10 && metered(setup, nil) > 10
        }
        try await setup.pools[3]?.stop()
        try await eventually("report", within: 60) {
            setup.reports.reports.contains { if case .unusable(DeliveryID(12), _) = $0 { true } else { false } }
        }
        let (sold, rest) = (metered(setup, 11), metered(setup, nil))
        try await eventually("the others go on", within: 60) { metered(setup, 11) > sold + 20 && metered(setup, nil) > rest + 20 }
        running.cancel()
        try await running.value
        #expect(miner.statistics.connects == 1)
        try await setup.stop()
    }

    @Test("two deliveries on one pool connection take turns, and each keeps the shares of its own jobs")
    func onePool() async throws {
        let setup = try await makeSetup()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, parts: [(11, 2, SlicingTests.rate / 2), (12, 2, SlicingTests.rate / 2)])
        let first = try await rig.job(after: 1)
        #expect(try await rig.deliver(first, count: 2) == [nil, nil])
        let second = try await rig.job(after: 2)
        #expect(second.job.cleanJobs)
        #expect(try await rig.deliver(first, skipping: 2) == [nil])
        #expect(try await rig.deliver(second) == [nil])
        try await setup.quiescent()
        try await eventually("records") { setup.sink.shares.count == 4 }
        #expect(metered(setup, 11) == 3)
        #expect(metered(setup, 12) == 1)
        try await setup.stop()
    }

    @Test("buyers whose deliveries are renewed together keep their slices without a switch")
    func renewal() async throws {
        let setup = try Setup()
        for id in Int64(1)...3 { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, parts: [(11, 2, SlicingTests.rate * 6 / 10), (12, 3, SlicingTests.rate * 4 / 10)])
        let job = try await rig.job(after: 1)
        #expect(try await rig.deliver(job) == [nil])
        let served = try #require(try await setup.rig("farm.1")?.delivery).rawValue
        let lines = await rig.log.count
        setup.sell(1, parts: [(13, 2, SlicingTests.rate * 6 / 10), (14, 3, SlicingTests.rate * 4 / 10)])
        try await eventually("renewal") { try await setup.rig("farm.1")?.delivery == DeliveryID(served + 2) }
        #expect(try await rig.deliver(job, skipping: 1) == [nil])
        #expect(await rig.log.count == lines + 1)
        try await eventually("records") { setup.sink.shares.count == 2 }
        #expect(metered(setup, served) == 1)
        #expect(metered(setup, served + 2) == 1)
        try await setup.stop()
    }
}
