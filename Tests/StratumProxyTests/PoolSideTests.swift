import Metering
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Pools that fail, and pools that are tried out", .serialized)
struct PoolSideTests {
    private func sold(to targets: [Int64], pools: Int64 = 3) async throws -> (Setup, RigClient, PoolJob) {
        let setup = try Setup { $0.pools.outage = .milliseconds(1500) }
        for id in 1...pools { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: targets)
        return (setup, rig, try await rig.job(after: 1))
    }

    @Test("when a pool dies the rig goes to the next target, and back when the pool is back")
    func failover() async throws {
        let (setup, rig, job) = try await sold(to: [2, 3])
        #expect(try await rig.deliver(job) == [nil])
        let port = try #require(setup.directory.poolTarget(PoolTargetID(2))?.url.split(separator: ":").last.flatMap { Int($0) })
        try await setup.pools[2]?.stop()
        let next = try await rig.job(after: 2)
        #expect(try await setup.rig("farm.1")?.target == PoolTargetID(3))
        #expect(try await rig.deliver(next) == [nil])
        try await setup.pool(2, port: port)
        let again = try await rig.job(after: 3)
        #expect(try await setup.rig("farm.1")?.target == PoolTargetID(2))
        #expect(try await rig.deliver(again) == [nil])
        try await eventually("records") { setup.sink.total(11).validShares == 3 }
        #expect(await rig.isClosed == false)
        try await setup.stop()
    }

    @Test("when all targets are dead it is reported once, and the rig falls back")
    func allDead() async throws {
        let (setup, rig, _) = try await sold(to: [2, 3])
        try await setup.pools[2]?.stop()
        try await setup.pools[3]?.stop()
        try await eventually("fallback") { try await setup.rig("farm.1")?.target == PoolTargetID(1) }
        let job = await rig.jobs[await rig.jobs.count - 1]
        #expect(try await rig.deliver(job) == [nil])
        let reports = setup.reports.reports.filter { if case .unusable = $0 { true } else { false } }
        #expect(reports.count == 1)
        guard case .unusable(DeliveryID(11), let reason)? = reports.first else {
            Issue.record("no report")
            return
        }
        #expect(reason.contains("2: ") && reason.contains("3: "))
        try await setup.stop()
    }

    @Test("a pool that refuses more than 5 % is left")
    func refusals() async throws {
        let (setup, rig, job) = try await sold(to: [2, 3])
        try await setup.pools[2]?.set(.refuse(percent: 50))
        for code in try await rig.deliver(job, count: 30) { #expect(code == nil) }
        try await eventually("failover") { try await setup.rig("farm.1")?.target == PoolTargetID(3) }
        try await eventually("records") { setup.sink.total(11).validShares == 30 }
        try await eventually("replies") { setup.sink.total(11).poolRejected > 0 }
        #expect(setup.sink.total(11).billableWork.units == 30)
        try await setup.stop()
    }

    @Test("shares that a silent pool never answers are unanswered")
    func unanswered() async throws {
        let (setup, rig, job) = try await sold(to: [2, 3])
        try await setup.pools[2]?.set(.silent)
        #expect(try await rig.deliver(job, count: 2) == [nil, nil])
        try await setup.pools[2]?.stop()
        try await eventually("records") { setup.sink.total(11).poolUnanswered == 2 }
        try await setup.stop()
    }

    @Test("pools with too small an extranonce2 or another version mask are passed over")
    func unsuitable() async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2) { $0.extranonce2Size = 4 }
        try await setup.pool(3) { $0.versionMask = 0 }
        try await setup.pool(4)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1", versionMask: 0x1fff_e000)
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2, 3, 4])
        try await eventually("target") { try await setup.rig("farm.1")?.target == PoolTargetID(4) }
        let skipped = try #require(try await setup.rig("farm.1")?.skipped)
        #expect(skipped.map(\.target) == [PoolTargetID(2), PoolTargetID(3)])
        #expect(skipped[0].reason.contains("extranonce2 size 4"))
        #expect(skipped[1].reason.contains("version mask"))
        // Version rolling reaches the pool.
        var share = await rig.mine(try await rig.job(after: 1))[0].submission
        share.versionBits = 0
        #expect(try await rig.tell(share) == nil)
        try await setup.quiescent()
        #expect(try await setup.pools[4]?.snapshot().accepted == 1)
        try await setup.stop()
    }

    @Test("rigs share a connection up to the bound, then another one opens")
    func sharing() async throws {
        let setup = try Setup { $0.limits.rigsPerPoolConnection = 2 }
        try await setup.pool(1)
        for id in Int64(1)...5 { setup.directory.add(rig: id, user: "farm.\(id)", fallback: 1) }
        try await setup.start()
        var rigs: [RigClient] = []
        for id in 1...5 { rigs.append(try await RigClient(port: setup.port, user: "farm.\(id)")) }
        for rig in rigs {
            let job = try await rig.job(after: 0)
            #expect(try await rig.deliver(job, count: 2) == [nil, nil])
        }
        try await setup.quiescent()
        #expect(try await setup.pools[1]?.snapshot().connections == 3)
        #expect(try await setup.pools[1]?.snapshot().accepted == 10)
        #expect(Set(await setup.edge.snapshot()?.pools.map(\.rigs) ?? []) == [1, 2])
        try await setup.stop()
    }

    @Test("a pool with no room for another rig is passed over")
    func crowded() async throws {
        let setup = try Setup {
            $0.limits.rigsPerPoolConnection = 1
            $0.limits.connectionsPerPool = 1
        }
        for id in Int64(1)...4 { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        setup.directory.add(rig: 2, user: "farm.2", fallback: 4)
        try await setup.start()
        let first = try await RigClient(port: setup.port, user: "farm.1")
        try await first.job(after: 0)
        setup.sell(1, delivery: 11, to: [2, 3])
        try await first.job(after: 1)
        let second = try await RigClient(port: setup.port, user: "farm.2")
        try await second.job(after: 0)
        setup.sell(2, delivery: 12, to: [2, 3])
        #expect(try await second.deliver(try await second.job(after: 1)) == [nil])
        #expect(try await setup.rig("farm.2")?.target == PoolTargetID(3))
        try await setup.stop()
    }

    @Test("another extranonce1 from the pool goes unnoticed by the rig; wishes to reconnect elsewhere are ignored")
    func poolWishes() async throws {
        let (setup, rig, job) = try await sold(to: [2])
        #expect(try await rig.deliver(job) == [nil])
        try await setup.pools[2]?.askToReconnect(host: "127.0.0.2", port: 3333)
        try await setup.pools[2]?.askToReconnect(host: "127.0.0.1", port: 9)
        try await setup.pools[2]?.changeExtranonces()
        let next = try await rig.job(after: 2)
        #expect(next.extranonce1 == job.extranonce1)
        #expect(try await rig.deliver(next) == [nil])
        try await setup.quiescent()
        let pool = try #require(try await setup.pools[2]?.snapshot())
        #expect(pool.accepted == 2)
        #expect(pool.connects == 1)
        #expect(await rig.log.filter { $0.contains("\"method\"") }.allSatisfy {
            $0.contains("mining.notify") || $0.contains("mining.set_difficulty")
        })
        try await setup.stop()
    }

    @Test("a pool that comes and goes is not dialled without a pause")
    func flapping() async throws {
        let (setup, rig, _) = try await sold(to: [2])
        try await setup.pools[2]?.set(.close)
        try await Task.sleep(for: .milliseconds(900))
        #expect(try await setup.pools[2]?.snapshot().connects ?? 99 < 8)
        #expect(await rig.isClosed == false)
        try await setup.stop()
    }

    @Test("a good pool passes every step")
    func verification() async throws {
        let pool = MiningPool(MiningPoolConfiguration(), logger: quiet)
        let port = try await pool.start().stratum
        var policy = VerificationPolicy()
        policy.allowPrivatePools = true
        let verifier = PoolVerifier()
        let good = await verifier.verify(url: "stratum+tcp://127.0.0.1:\(port)", user: "u", password: "p", policy: policy)
        #expect(good.outcomes.map(\.step) == VerificationStep.allCases)
        #expect(good.failure == nil)
        #expect(good.capabilities == PoolCapabilities(
            extranonce2Size: 8, versionMask: 0x1fff_e000, difficulty: DecimalDifficulty(ShareDifficulty(units: 65_536)),
            uniqueExtranonce1: true))
        let private_ = await verifier.verify(url: "127.0.0.1:\(port)", user: "u", password: "p", policy: VerificationPolicy())
        #expect(private_.failure?.step == .addressAllowed)
        try await pool.set(.silent)
        policy.timeout = .milliseconds(300)
        let silent = await verifier.verify(url: "127.0.0.1:\(port)", user: "u", password: "p", policy: policy)
        #expect(silent.failure?.step == .subscribe)
        try await pool.stop()
        let dead = await verifier.verify(url: "127.0.0.1:\(port)", user: "u", password: "p", policy: policy)
        #expect(dead.failure?.step == .connect)
        let bad = await verifier.verify(url: "http://127.0.0.1", user: "u", password: "p", policy: policy)
        #expect(bad.failure?.step == .address)
    }

    @Test("a pool of a small extranonce2 is for some rigs only", arguments: 2...6)
    func smallExtranonce(_ size: Int) async throws {
        var configuration = MiningPoolConfiguration()
        configuration.extranonce2Size = size
        configuration.difficulty = DecimalDifficulty(ShareDifficulty(units: 65_536))
        let pool = MiningPool(configuration, logger: quiet)
        let port = try await pool.start().stratum
        var policy = VerificationPolicy()
        policy.allowPrivatePools = true
        let report = await PoolVerifier().verify(url: "127.0.0.1:\(port)", user: "u", password: "p", policy: policy)
        #expect(report.capabilities?.extranonce2Size == size)
        let detail = report.outcomes.first { $0.step == .extranonceSizes }?.detail
        #expect(detail?.contains("set_extranonce") == (size < 6))
        try await pool.stop()
    }

    @Test("a pool of too small an extranonce2 or low difficulty fails its step")
    func verificationFailures() async throws {
        var policy = VerificationPolicy()
        policy.allowPrivatePools = true
        let cases: [(Int, Int64, VerificationStep)] = [(1, 65_536, .extranonceSizes), (8, 1, .difficulty)]
        for (size, units, step) in cases {
            var configuration = MiningPoolConfiguration()
            configuration.extranonce2Size = size
            configuration.difficulty = DecimalDifficulty(ShareDifficulty(units: units))
            let pool = MiningPool(configuration, logger: quiet)
            let port = try await pool.start().stratum
            let report = await PoolVerifier().verify(url: "127.0.0.1:\(port)", user: "u", password: "p", policy: policy)
            #expect(report.failure?.step == step)
            try await pool.stop()
        }
    }
}
