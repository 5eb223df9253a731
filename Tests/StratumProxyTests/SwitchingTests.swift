import Logging
import Metering
import Miner
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Switching rigs between pools", .serialized)
struct SwitchingTests {
    @Test("a sold, resold and returned rig keeps its connection and sees only jobs and difficulties")
    func sellAndReturn() async throws {
        let setup = try Setup()
        for id in Int64(1)...3 { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        var count = 0
        let delivered: [Int64?] = [nil, 11, 12, nil]
        for delivery in delivered {
            if let delivery { setup.sell(1, delivery: delivery, to: [delivery - 9]) } else if count > 0 { setup.release(1) }
            let job = try await rig.job(after: count)
            count = await rig.jobs.count
            #expect(job.job.cleanJobs)
            #expect(try await rig.deliver(job, count: 3) == [nil, nil, nil])
        }
        try await setup.quiescent()
        let notifications = await rig.log.filter { $0.contains("\"method\"") }
        #expect(notifications.allSatisfy { $0.contains("mining.notify") || $0.contains("mining.set_difficulty") })
        #expect(await rig.isClosed == false)
        try await eventually("records") { setup.sink.shares.count == 12 }
        for (delivery, pool) in [(nil, 1), (11, 2), (12, 3)] as [(Int64?, Int64)] {
            let expected = delivery == nil ? 6 : 3
            let snapshot = try await setup.pools[pool]?.snapshot()
            #expect(snapshot?.workers["user\(pool)"]?.accepted == expected)
            #expect(setup.sink.total(delivery).validShares == Int64(expected))
            try await eventually("replies") { setup.sink.total(delivery).poolAccepted == Int64(expected) }
            #expect(setup.sink.total(delivery).billableWork.units == (delivery == nil ? 0 : 3))
        }
        try await setup.stop()
    }

    @Test("a mining rig: pools' own counts are what was forwarded and accepted")
    func realMiner() async throws {
        let setup = try Setup()
        for id in Int64(1)...2 {
            try await setup.pool(id) {
                $0.jobInterval = .milliseconds(300)
                $0.blockInterval = .seconds(2)
                $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 4))
            }
        }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        var configuration = MinerConfiguration(pool: try PoolAddress(parsing: "127.0.0.1:\(setup.port)"), user: "farm.1")
        configuration.rollsVersion = true
        configuration.maximalHashrate = 3_000_000
        configuration.reportInterval = nil
        let miner = Miner(configuration, logger: quiet)
        let running = Task { try await miner.run() }
        try await eventually("shares") { miner.statistics.accepted > 20 }
        for delivery in Int64(11)...16 {
            setup.sell(1, delivery: delivery, to: [delivery % 2 + 1])
            let before = miner.statistics.accepted
            try await eventually("shares") { miner.statistics.accepted > before + 20 }
        }
        running.cancel()
        try await running.value
        try await setup.quiescent()
        let snapshot = try #require(await setup.edge.snapshot())
        #expect(miner.statistics.connects == 1)
        #expect(miner.statistics.rejected.keys.allSatisfy { $0 == 21 })
        for id in Int64(1)...2 {
            let pool = try #require(try await setup.pools[id]?.snapshot())
            let ours = snapshot.pools.filter { $0.user == "user\(id)" }
            #expect(Int64(pool.accepted) == ours.reduce(0) { $0 + $1.accepted })
            #expect(ours.reduce(0) { $0 + $1.forwarded } == ours.reduce(0) { $0 + $1.accepted + $1.rejected })
        }
        await setup.edge.stop()
        let all = setup.sink.slots.values.reduce(into: SlotCounts()) { $0 += $1 }
        #expect(all.forwardedShares == all.poolAccepted + all.poolRejected + all.poolUnanswered)
        #expect(Set(setup.sink.shares.map(\.hash)).count == setup.sink.shares.count)
        #expect(all.duplicateShares == 0)
        try await setup.stop()
    }

    @Test("switching back and forth a hundred times within one pool job repeats no work")
    func backAndForth() async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        var count = 0
        for round in 0..<200 {
            let job = try await rig.job(after: count)
            count = await rig.jobs.count
            #expect(try await rig.deliver(job) == [nil])
            if round % 2 == 0 { setup.sell(1, delivery: Int64(100 + round), to: [2]) } else { setup.release(1) }
        }
        try await eventually("records") { setup.sink.shares.count == 200 }
        #expect(Set(setup.sink.shares.map(\.hash)).count == 200)
        #expect(setup.sink.shares.allSatisfy { $0.verdict == .valid })
        #expect(Set(setup.sink.jobs.map(\.poolJobID)).count <= 2)
        try await setup.quiescent()
        #expect(try await setup.pools[1]?.snapshot().accepted == 100)
        #expect(try await setup.pools[2]?.snapshot().accepted == 100)
        try await setup.stop()
    }

    @Test("without padding, a job issued again is a second later")
    func noPadding() async throws {
        let setup = try Setup()
        try await setup.pool(1) { $0.extranonce2Size = 6 }
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let first = try await rig.job(after: 0)
        #expect(try await rig.deliver(first) == [nil])
        setup.sell(1, delivery: 11, to: [2])
        try await rig.job(after: 1)
        setup.release(1)
        let again = try await rig.job(after: 2)
        #expect(again.job.coinb1 == first.job.coinb1)
        #expect(again.job.ntime == first.job.ntime + 1)
        #expect(try await rig.deliver(again) == [nil])
        try await setup.quiescent()
        #expect(try await setup.pools[1]?.snapshot().accepted == 2)
        try await setup.stop()
    }

    @Test("a late share goes to its own pool and delivery")
    func lateShare() async throws {
        let setup = try Setup()
        for id in Int64(1)...3 { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2])
        let old = try await rig.job(after: 1)
        setup.sell(1, delivery: 12, to: [3])
        try await rig.job(after: 2)
        #expect(try await rig.deliver(old, count: 2) == [nil, nil])
        try await setup.quiescent()
        #expect(try await setup.pools[2]?.snapshot().accepted == 2)
        #expect(try await setup.pools[3]?.snapshot().accepted == 0)
        try await eventually("records") { setup.sink.total(11).validShares == 2 }
        #expect(setup.sink.total(11).billableWork.units == 2)
        try await setup.stop()
    }

    @Test("a renewal sends nothing, and work in flight counts for the new delivery")
    func renewal() async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2])
        let job = try await rig.job(after: 1)
        #expect(try await rig.deliver(job) == [nil])
        let lines = await rig.log.count
        setup.sell(1, delivery: 12, to: [2])
        try await eventually("renewal") { try await setup.rig("farm.1")?.delivery == DeliveryID(12) }
        #expect(try await rig.deliver(job, skipping: 1) == [nil])
        #expect(await rig.log.count == lines + 1)
        try await eventually("records") { setup.sink.total(12).validShares == 1 }
        #expect(setup.sink.total(11).validShares == 1)
        #expect(setup.sink.jobs.count == 1)
        try await setup.stop()
    }

    @Test("a route's time and work are kept to without being told")
    func limitsOfRoutes() async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2], maxWork: 2)
        let job = try await rig.job(after: 1)
        #expect(try await rig.deliver(job, count: 2) == [nil, nil])
        try await rig.job(after: 2)
        #expect(try await setup.rig("farm.1")?.delivery == nil)
        setup.sell(1, delivery: 12, to: [2], until: SystemClock().now() + .milliseconds(800))
        try await rig.job(after: 3)
        #expect(try await setup.rig("farm.1")?.delivery == DeliveryID(12))
        try await rig.job(after: 4)
        #expect(try await setup.rig("farm.1")?.delivery == nil)
        try await setup.stop()
    }
}
