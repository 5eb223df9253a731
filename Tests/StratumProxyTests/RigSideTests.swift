import Metering
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("What rigs are told", .serialized)
struct RigSideTests {
    /// An edge with one pool and one rig that works there.
    private func single(
        adjust: (inout EdgeConfiguration) -> Void = { _ in }, pool: (inout MiningPoolConfiguration) -> Void = { _ in }
    ) async throws -> (Setup, RigClient, PoolJob) {
        let setup = try Setup(adjust: adjust)
        try await setup.pool(1, pool)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        return (setup, rig, try await rig.job(after: 0))
    }

    @Test("duplicates, low difficulty, unknown jobs and bad times get their codes")
    func codes() async throws {
        let (setup, rig, job) = try await single(
            adjust: { $0.startDifficulty = ShareDifficulty(units: 8) },
            pool: { $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 8)) })
        let good = await rig.mine(job)[0].submission
        #expect(try await rig.tell(good) == nil)
        #expect(try await rig.tell(good) == 22)
        let low = await rig.mine(job, count: 40, difficulty: ShareDifficulty(units: 1))
            .first { !$0.hash.meets(job.difficulty.target) }
        #expect(try await rig.tell(try #require(low).submission) == 23)
        var other = good
        other.jobID = "ffff"
        #expect(try await rig.tell(other) == 21)
        other = good
        other.ntime = job.job.ntime - 1
        #expect(try await rig.tell(other) == 20)
        other.ntime = job.job.ntime + 8000
        #expect(try await rig.tell(other) == 20)
        other = good
        other.extranonce2 = [0, 0, 0]
        #expect(try await rig.tell(other) == 20)
        other = good
        other.versionBits = 0x2000
        #expect(try await rig.tell(other) == 20)
        other = good
        other.worker = "farm.2"
        #expect(try await rig.tell(other) == 24)
        try await eventually("records") { setup.sink.shares.count == 6 }
        let total = setup.sink.total(nil)
        #expect(total.validShares == 1)
        #expect(total.duplicateShares == 1)
        #expect(total.lowDifficultyShares == 1)
        #expect(total.invalidShares == 3)
        try await setup.stop()
    }

    @Test("shares after the pool's clean job are stale once the window is over; before that they are valid")
    func stale() async throws {
        let (setup, rig, job) = try await single(adjust: { $0.staleWindow = .milliseconds(400) })
        let shares = await rig.mine(job, count: 2)
        try await setup.pools[1]?.issueJob(newBlock: true)
        let next = try await rig.job(after: 1)
        #expect(next.job.cleanJobs)
        #expect(try await rig.tell(shares[0].submission) == nil)
        try await Task.sleep(for: .milliseconds(600))
        #expect(try await rig.tell(shares[1].submission) == 21)
        try await setup.pools[1]?.issueJob(newBlock: false)
        #expect(try await rig.job(after: 2).job.cleanJobs == false)
        #expect(try await rig.deliver(next) == [nil])
        try await eventually("records") { setup.sink.shares.count == 3 }
        #expect(setup.sink.total(nil).staleShares == 1)
        #expect(setup.sink.total(nil).validShares == 2)
        try await setup.stop()
    }

    @Test("a share before subscribing gets 25, malformed lines get 20, and the connection survives a few")
    func malformed() async throws {
        let (setup, _, _) = try await single()
        let rig = try await RawClient(port: setup.port)
        try await rig.send("{\"id\":1,\"method\":\"mining.submit\",\"params\":[\"a\",\"b\",\"00000000\",\"00000000\",\"00000000\"]}\n")
        #expect(try await rig.line().contains("[25,"))
        try await rig.send("{\"id\":2,\"method\":\"mining.what\",\"params\":[]}\nnot json\n")
        #expect(try await rig.line().contains("[20,"))
        #expect(try await rig.line().contains("[20,"))
        try await rig.send(String(repeating: "x", count: 40_000))
        try await eventually("close") { rig.isClosed }
        try await setup.stop()
    }

    @Test("unknown rigs and wrong passwords get 24, and are closed after five")
    func logins() async throws {
        let (setup, _, _) = try await single()
        let unknown = try await RigClient(port: setup.port, user: "nobody")
        try await unknown.waitFor("refusal") { $0.refusal != nil }
        #expect(await unknown.refusal?.code == 24)
        let wrong = try await RawClient(port: setup.port)
        for id in 1...5 {
            try await wrong.send("{\"id\":\(id),\"method\":\"mining.authorize\",\"params\":[\"farm.1\",\"no\"]}\n")
            #expect(try await wrong.line().contains("[24,"))
        }
        try await eventually("close") { wrong.isClosed }
        #expect(setup.reports.reports.count == 1)
        try await setup.stop()
    }

    @Test("a rig that connects again takes over from its older connection")
    func replaced() async throws {
        let (setup, old, _) = try await single()
        let new = try await RigClient(port: setup.port, user: "farm.1", versionMask: 0xffff_ffff)
        try await new.job(after: 0)
        try await eventually("close") { await old.isClosed }
        // A connection takes one number for its prefix and one for its session.
        let session: Int64 = 3 << 32
        #expect(setup.reports.reports == [
            .online(RigID(1), session: session | 2, mask: 0), .offline(RigID(1), session: session | 2),
            .online(RigID(1), session: session | 4, mask: 0x1fff_e000),
        ])
        #expect(await setup.edge.snapshot()?.minerConnections == 1)
        try await setup.stop()
    }

    @Test("the difficulty of a job is the smallest of the wish, the pool's and the route's")
    func difficulty() async throws {
        let (setup, rig, job) = try await single(
            adjust: { $0.startDifficulty = ShareDifficulty(units: 16) },
            pool: { $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 4)) })
        #expect(job.difficulty.wholeUnits == 4)
        try await setup.pool(2) { $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 64)) }
        setup.sell(1, delivery: 11, to: [2])
        #expect(try await rig.job(after: 1).difficulty.wholeUnits == 16)
        setup.sell(1, delivery: 12, to: [2], maxDifficulty: 2)
        #expect(try await rig.job(after: 2).difficulty.wholeUnits == 2)
        try await rig.sendRaw("{\"id\":99,\"method\":\"mining.suggest_difficulty\",\"params\":[0.000015]}\n")
        setup.release(1)
        let last = try await rig.job(after: 3)
        #expect(last.difficulty.wholeUnits == 1)
        #expect(try await rig.deliver(last, count: 3) == [nil, nil, nil])
        try await eventually("records") { setup.sink.total(nil).validWork.units == 3 }
        #expect(setup.sink.total(nil).forwardedShares <= 3)
        try await setup.stop()
    }

    @Test("a fast rig's difficulty is raised")
    func vardiff() async throws {
        let (setup, rig, first) = try await single(pool: {
            $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 1 << 30))
        })
        #expect(first.difficulty.wholeUnits == 1)
        for code in try await rig.deliver(first, count: 12) { #expect(code == nil) }
        let next = try await rig.job(after: 1)
        #expect(next.difficulty.wholeUnits == 16)
        #expect(!next.job.cleanJobs)
        try await setup.stop()
    }

    @Test("hashrate is reported after 30 shares")
    func measured() async throws {
        let (setup, rig, job) = try await single()
        for code in try await rig.deliver(job, count: 29) { #expect(code == nil) }
        try await Task.sleep(for: .milliseconds(1200))
        #expect(setup.reports.reports.count == 1)
        _ = try await rig.deliver(await rig.jobs[await rig.jobs.count - 1], count: 2, skipping: 29)
        try await eventually("measurement") { setup.reports.reports.count == 2 }
        guard case .measured(RigID(1), let rate)? = setup.reports.reports.last else {
            Issue.record("no measurement")
            return
        }
        #expect(rate.hashesPerSecond > 1000)
        try await setup.stop()
    }
}
