import Metering
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Manners of pools", .serialized)
struct PoolMannersTests {
    /// A rig that is sold to a scripted pool (target 2) before a good one (target 3), and works for it.
    private func scripted(
        versionMask: String? = nil, rigMask: UInt32 = 0, _ adjust: (inout EdgeConfiguration) -> Void = { _ in }
    ) async throws -> (Setup, ScriptedPool, RigClient) {
        let setup = try Setup(adjust: adjust)
        try await setup.pool(1)
        try await setup.pool(3)
        let pool = ScriptedPool(extranonce1: "0a0b0c0d", extranonce2Size: 8, versionMask: versionMask)
        setup.directory.add(target: 2, port: try await pool.start(), user: "buyer")
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1", versionMask: rigMask)
        try await rig.job(after: 0)
        return (setup, pool, rig)
    }

    private func sell(_ setup: Setup, _ pool: ScriptedPool, _ rig: RigClient) async throws -> PoolJob {
        let count = await rig.jobs.count
        setup.sell(1, delivery: 11, to: [2, 3])
        try await eventually("login") { pool.isAuthorized }
        try await pool.issue("first")
        let job = try await rig.job(after: count)
        #expect(try await setup.rig("farm.1")?.target == PoolTargetID(2))
        return job
    }

    private func waitForTarget(_ id: Int64, _ setup: Setup) async throws {
        try await eventually("target \(id)") { try await setup.rig("farm.1")?.target == PoolTargetID(id) }
    }

    // MARK: wishes

    @Test("a pool that asks for another connection gets it, while the rig goes on", arguments: [false, true])
    func reconnect(withHost: Bool) async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2])
        let job = try await rig.job(after: 1)
        let shares = await rig.mine(job, count: 2).map(\.submission)
        #expect(try await rig.tell(shares[0]) == nil)
        let port = try #require(setup.directory.poolTarget(PoolTargetID(2))?.url.split(separator: ":").last.flatMap { Int($0) })
        try await setup.pools[2]?.askToReconnect(host: withHost ? "127.0.0.1" : nil, port: port)
        let next = try await rig.job(after: 2)
        #expect(next.extranonce1 == job.extranonce1)
        // What was found for the earlier connection still reaches it.
        #expect(try await rig.tell(shares[1]) == nil)
        #expect(try await rig.deliver(next) == [nil])
        try await setup.quiescent()
        let counted = try #require(try await setup.pools[2]?.snapshot())
        #expect(counted.connects == 2)
        #expect(counted.accepted == 3)
        // Another wish comes too soon.
        try await setup.pools[2]?.askToReconnect()
        try await setup.pools[2]?.issueJob(newBlock: false)
        let last = try await rig.job(after: 3)
        #expect(try await rig.deliver(last) == [nil])
        #expect(try await setup.pools[2]?.snapshot().connects == 2)
        try await eventually("the earlier connection's end") { await setup.edge.snapshot()?.pools.count { $0.user == "user2" && $0.state == .ready } == 1 }
        #expect(await rig.isClosed == false)
        try await eventually("records") { setup.sink.total(11).poolAccepted == 4 }
        try await setup.stop()
    }

    @Test("texts for people are kept, a few and without control characters")
    func messages() async throws {
        let (setup, pool, rig) = try await scripted()
        _ = try await sell(setup, pool, rig)
        for number in 0..<20 {
            try await pool.say("{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"news\\u0007 \(number)\"]}")
        }
        try await eventually("texts") {
            let pools = await setup.edge.snapshot()?.pools ?? []
            return pools.first { $0.user == "buyer" }?.messages == (12..<20).map { "news  \($0)" }
        }
        try await setup.stop()
        try await pool.stop()
    }

    @Test("shares of jobs before another extranonce go to the pool with what they were made with")
    func extranonce() async throws {
        let (setup, pool, rig) = try await scripted()
        let job = try await sell(setup, pool, rig)
        let early = await rig.mine(job)[0].submission
        try await pool.say("{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"ffee\",7]}")
        try await pool.say(ScriptedPool.job("second", clean: false))
        let next = try await rig.job(after: 2)
        #expect(next.extranonce1 == job.extranonce1)
        #expect(try await rig.tell(early) == nil)
        #expect(try await rig.deliver(next) == [nil])
        try await eventually("shares") { pool.submits.count == 2 }
        #expect(pool.submits.map { $0[1] } == ["first", "second"])
        #expect(pool.submits.map { $0[2].count } == [16, 14])
        try await eventually("records") { setup.sink.total(11).poolAccepted == 2 }
        #expect(await rig.isClosed == false)
        try await setup.stop()
        try await pool.stop()
    }

    @Test("a rig that rolls bits which the pool takes back is moved at once")
    func versionMask() async throws {
        let (setup, pool, rig) = try await scripted(versionMask: "1fffe000", rigMask: 0x1fff_e000)
        _ = try await sell(setup, pool, rig)
        try await pool.say("{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"1f000000\"]}")
        try await waitForTarget(3, setup)
        #expect(try await setup.rig("farm.1")?.skipped.first?.reason.contains("version mask") == true)
        try await pool.say("{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"1fffe000\"]}")
        try await pool.say(ScriptedPool.job("third"))
        try await waitForTarget(2, setup)
        #expect(await rig.isClosed == false)
        try await setup.stop()
        try await pool.stop()
    }

    @Test("a difficulty that is a fraction counts to the last digit")
    func fraction() async throws {
        let (setup, pool, rig) = try await scripted { $0.startDifficulty = ShareDifficulty(units: 1 << 20) }
        let count = await rig.jobs.count
        setup.sell(1, delivery: 11, to: [2, 3])
        try await eventually("login") { pool.isAuthorized }
        try await pool.issue("first", difficulty: "0.0000999")
        let job = try await rig.job(after: count)
        // 6.547 units for the pool, whole ones for the rig.
        #expect(job.difficulty.wholeUnits == 6)
        let pools = try #require(DecimalDifficulty(literal: Array("0.0000999".utf8))).target
        let found = await rig.mine(job, count: 40)
        for share in found { #expect(try await rig.tell(share.submission) == nil) }
        let good = found.count { $0.hash.meets(pools) }
        #expect(good < 40)
        try await eventually("shares") { pool.submits.count == good }
        try await eventually("records") { setup.sink.total(11).validWork.units == 240 }
        #expect(setup.sink.total(11).forwardedShares == Int64(good))
        try await setup.stop()
        try await pool.stop()
    }

    // MARK: failover

    @Test("a first target that never speaks, closes at once or talks nonsense is passed over", arguments: [0, 1, 2, 3])
    func deadFromTheStart(kind: Int) async throws {
        let (setup, pool, rig) = try await scripted()
        let manners: [ScriptedPool.Manner] = [
            .silent, .closing, .saying("nonsense\n"), .saying("{\"id\":1,\"result\":[[],\"\",0],\"error\":null}\n"),
        ]
        pool.set(manners[kind])
        setup.sell(1, delivery: 11, to: [2, 3])
        let next = try await rig.job(after: 1)
        try await waitForTarget(3, setup)
        #expect(try await rig.deliver(next) == [nil])
        #expect(await rig.isClosed == false)
        // And when it is well, it gets what was bought for it.
        pool.set(.good)
        try await eventually("return") {
            if pool.isAuthorized { try? await pool.issue("first") }
            return try await setup.rig("farm.1")?.target == PoolTargetID(2)
        }
        try await setup.stop()
        try await pool.stop()
    }

    @Test("a pool that refuses all shares is left after a few")
    func refusesAll() async throws {
        let (setup, pool, rig) = try await scripted()
        pool.set(.refusing)
        let job = try await sell(setup, pool, rig)
        for code in try await rig.deliver(job, count: 6) { #expect(code == nil) }
        try await waitForTarget(3, setup)
        #expect(pool.submits.count == 6)
        #expect(await setup.edge.snapshot()?.unusablePools.map(\.reason) == ["refuses all shares"])
        #expect(await rig.isClosed == false)
        try await setup.stop()
        try await pool.stop()
    }

    @Test("a pool that falls silent with shares to answer is left, and has its rig again when it speaks")
    func fallsSilent() async throws {
        let (setup, pool, rig) = try await scripted { $0.pools.silence = .milliseconds(700) }
        let job = try await sell(setup, pool, rig)
        #expect(try await rig.deliver(job) == [nil])
        pool.set(.silent)
        #expect(try await rig.deliver(job, skipping: 1) == [nil])
        try await waitForTarget(3, setup)
        #expect(await rig.isClosed == false)
        #expect(!setup.reports.reports.contains { if case .unusable = $0 { true } else { false } })
        pool.set(.good)
        try await eventually("return") {
            // Its connection may be one that the edge has given up since.
            try? await pool.say("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}")
            if pool.isAuthorized { try? await pool.issue("again") }
            return try await setup.rig("farm.1")?.target == PoolTargetID(2)
        }
        try await setup.stop()
        try await pool.stop()
    }

    @Test("a pool that comes and goes does not take its rig to and fro")
    func noFlapping() async throws {
        let (setup, pool, rig) = try await scripted { $0.pools.recovery = .seconds(20) }
        _ = try await sell(setup, pool, rig)
        pool.set(.pouring(ScriptedPool.job("lure") + "\n" + String(repeating: "junk\n", count: 20)))
        try await pool.drop()
        try await eventually("failures") { pool.connections >= 5 }
        try await waitForTarget(3, setup)
        let switches = try await setup.rig("farm.1")?.switches ?? 99
        let before = pool.connections
        try await eventually("more failures") { pool.connections > before }
        #expect(try await setup.rig("farm.1")?.switches == switches)
        #expect(switches <= 5)
        #expect(await rig.isClosed == false)
        try await setup.stop()
        try await pool.stop()
    }

    // MARK: hostile pools

    @Test("floods, endless lines and too many jobs end the pool's connection, not the rig's", arguments: [0, 1, 2, 3])
    func hostile(kind: Int) async throws {
        let (setup, pool, rig) = try await scripted()
        _ = try await sell(setup, pool, rig)
        let floods = [
            String(repeating: "{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"x\"]}\n", count: 100_000),
            String(repeating: "x", count: 20_000_000),
            String(repeating: ScriptedPool.job("j") + "\n", count: 5000),
            String(repeating: "\n", count: 1_000_000) + String(repeating: "{}\n", count: 1000),
        ]
        pool.set(.pouring(floods[kind]))
        // Its next connection gets it, after the login.
        try await pool.drop()
        try await eventually("failures") { pool.connections >= 3 }
        try await waitForTarget(3, setup)
        let job = try await rig.job(after: await rig.jobs.count - 1)
        #expect(try await rig.deliver(job) == [nil])
        #expect(await rig.isClosed == false)
        try await setup.stop()
        try await pool.stop()
    }
}
