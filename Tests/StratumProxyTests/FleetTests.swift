import Metering
import MiningPool
import ProofOfWork
import Stratum
import TestSupport
import Testing
import Units

@testable import StratumProxy

@Suite("Fleets", .serialized)
struct FleetTests {
    private func farming(_ adjust: (inout EdgeConfiguration) -> Void = { _ in }) async throws -> Setup {
        let setup = try Setup(adjust: adjust)
        try await setup.pool(1)
        setup.directory.add(farm: 1, user: "a3.barn")
        try await setup.start()
        return setup
    }

    @Test("a worker that is no rig yet waits until it is one, and then works")
    func firstLogin() async throws {
        let setup = try await farming()
        let registrar = setup.registrar
        registrar.hold()
        let rig = try await RigClient(port: setup.port, user: "a3.barn.w1")
        try await rig.waitFor("the registration") { _ in registrar.waiting == 1 }
        #expect(await rig.isReady == false)
        setup.registrar.release()
        #expect(try await rig.deliver(try await rig.job(after: 0)) == [nil])
        // From then on it is known.
        let again = try await RigClient(port: setup.port, user: "a3.barn.w1")
        try await again.job(after: 0)
        #expect(setup.registrar.asked == ["w1"])
        try await setup.stop()
    }

    @Test("one connection makes one rig, however many workers it names")
    func oneConnectionOneRig() async throws {
        let setup = try await farming()
        let registrar = setup.registrar
        registrar.hold()
        let rig = try await RigClient(port: setup.port, user: "a3.barn.w1")
        try await rig.waitFor("the registration") { _ in registrar.waiting == 1 }
        for worker in ["w1", "w2"] {
            try await rig.sendRaw(#"{"id":77,"method":"mining.authorize","params":["a3.barn.\#(worker)","x"]}"# + "\n")
        }
        try await rig.waitFor("two refusals") { rig in rig.log.count { $0.contains("A login is under way") } == 2 }
        registrar.release()
        try await rig.job(after: 0)
        try await rig.sendRaw(#"{"id":78,"method":"mining.authorize","params":["a3.barn.w3","x"]}"# + "\n")
        try await rig.waitFor("a third") { rig in rig.log.contains { $0.contains("Another rig is on this connection") } }
        #expect(registrar.asked == ["w1"])
        try await setup.stop()
    }

    @Test("many miners as one worker make one rig, many workers a bounded number of commands at a time")
    func manyAtOnce() async throws {
        let setup = try await farming { $0.limits.registrationsInFlight = 4 }
        setup.registrar.hold()
        var rigs: [RigClient] = []
        for number in 0..<30 { rigs.append(try await RigClient(port: setup.port, user: "a3.barn.w\(number % 10)")) }
        func poll() async throws { for rig in rigs { try await rig.poll() } }
        try await eventually("four are asked for, all have logged in") {
            try await poll()
            return setup.registrar.waiting == 4 && setup.registrar.asked.count == 4
        }
        setup.registrar.release()
        try await eventually("each once") {
            try await poll()
            return setup.registrar.asked.count == 10
        }
        // One connection for each rig is left: the last to be heard of.
        try await eventually("all have their rig") {
            try await poll()
            return await setup.edge.snapshot()?.rigs.filter(\.isOnline).count == 10
        }
        #expect(Set(setup.registrar.asked).count == 10)
        #expect(setup.registrar.mostWaiting == 4)
        try await setup.stop()
    }

    @Test("what is busy is tried again, what is refused is told why")
    func busyAndRefused() async throws {
        let setup = try await farming()
        setup.registrar.beBusy(3)
        let first = try await RigClient(port: setup.port, user: "a3.barn.w1")
        try await first.job(after: 0)
        #expect(setup.registrar.asked == ["w1", "w1", "w1", "w1"])
        setup.registrar.allow(1)
        let second = try await RigClient(port: setup.port, user: "a3.barn.w2")
        try await second.waitFor("refusal") { $0.refusal != nil }
        #expect(await second.refusal == StratumError(code: 24, text: "The farm is full"))
        try await setup.stop()
    }

    @Test("wrong passwords, unknown farms and bad names reach nobody")
    func refusals() async throws {
        let setup = try await farming()
        for (user, password) in [("a3.barn.w", "y"), ("a3.shed.w", "x"), ("a3.barn.ä", "x"), ("a3.barn.", "x"), ("barn", "x")] {
            let rig = try await RigClient(port: setup.port, user: user, password: password)
            try await rig.waitFor("refusal of \(user)") { $0.refusal?.code == 24 }
        }
        #expect(setup.registrar.asked == [])
        try await setup.stop()
    }

    @Test("a curtailed rig is sent away within a second or two, and refused until it may come back")
    func curtailment() async throws {
        let setup = try await farming()
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.directory.curtail("farm.1", true)
        try await eventually("it is disconnected") { await rig.isClosed }
        let back = try await RigClient(port: setup.port, user: "farm.1")
        try await back.waitFor("refusal") { $0.refusal?.text.hasPrefix("Curtailed") == true }
        setup.directory.curtail("farm.1", false)
        try await RigClient(port: setup.port, user: "farm.1").job(after: 0)
        try await setup.stop()
    }

    @Test("a fleet that comes at once is let in at a pace, each rig in the end")
    func paced() async throws {
        let setup = try await farming {
            ($0.limits.connectionsPerSecond, $0.limits.connectionsAtOnce, $0.limits.connectionsWaiting) = (20, 3, 9)
        }
        for number in Int64(1)...12 { setup.directory.add(rig: number, user: "farm.\(number)", fallback: 1) }
        var rigs: [RigClient] = []
        for number in 1...12 { rigs.append(try await RigClient(port: setup.port, user: "farm.\(number)")) }
        for rig in rigs { try await rig.job(after: 0) }
        #expect(await setup.edge.snapshot()?.minerConnections == 12)
        try await setup.stop()
    }

    @Test("beyond those that may wait connections are closed, and a stop closes those that wait")
    func doorwayIsBounded() async throws {
        let setup = try await farming {
            ($0.limits.connectionsPerSecond, $0.limits.connectionsAtOnce, $0.limits.connectionsWaiting) = (1, 1, 1)
        }
        var rigs: [RigClient] = []
        for _ in 1...4 {
            // One that is closed at once may fail to send.
            if let rig = try? await RigClient(port: setup.port, user: "x") { rigs.append(rig) }
        }
        let all = rigs
        try await eventually("some are closed") {
            for rig in all where await rig.isClosed { return true }
            return all.count < 4
        }
        try await setup.stop()
        for rig in all { try await eventually("all are closed") { await rig.isClosed } }
    }

    @Test("a block goes to its pool first, and is reported with its header and the pool's word")
    func blocks() async throws {
        let setup = try Setup()
        try await setup.pool(1) { $0.nbits = 0x207f_ffff }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        let found = await rig.mine(job)[0]
        #expect(try await rig.tell(found.submission) == nil)
        try await eventually("the pool's word") {
            setup.reports.reports.contains { if case .judged(_, .accepted, 0) = $0 { true } else { false } }
        }
        let blocks = setup.reports.reports.compactMap { if case .block(let block) = $0 { block } else { nil } }
        let block = try #require(blocks.first)
        #expect(blocks.count == 1)
        #expect(block.hash == found.hash)
        #expect(block.rig == RigID(1))
        #expect(block.delivery == nil)
        #expect(block.target == PoolTargetID(1))
        #expect(block.isForwarded)
        // Whoever has the header can hash it.
        let header = try #require(BlockHeader(bytes: block.header))
        #expect(SHA256D.hash(header) == found.hash)
        #expect(header.networkTarget.map { found.hash.meets($0) } == true)
        // A second submission is no second block.
        #expect(try await rig.tell(found.submission) == 22)
        #expect(setup.reports.reports.count { if case .block = $0 { true } else { false } } == 1)
        try await setup.stop()
    }

    @Test("figures: reasons of refusals by firmware, best share, hashrates")
    func figures() async throws {
        let setup = try Setup { $0.startDifficulty = ShareDifficulty(units: 4) }
        try await setup.pool(1) { $0.difficulty = DecimalDifficulty(ShareDifficulty(units: 4)) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        let shares = await rig.mine(job, count: 3)
        for share in shares { #expect(try await rig.tell(share.submission) == nil) }
        var bad = shares[0].submission
        #expect(try await rig.tell(bad) == 22)
        bad.jobID = "ffff"
        #expect(try await rig.tell(bad) == 21)
        bad = shares[0].submission
        bad.ntime = job.job.ntime - 1
        #expect(try await rig.tell(bad) == 20)
        bad = shares[0].submission
        bad.versionBits = 0x2000
        // The session refuses what was never agreed on; it is nothing that a share was refused for.
        #expect(try await rig.tell(bad) == 20)
        let figures = try #require(try await setup.rig("farm.1")).figures
        #expect(figures.userAgent == "rig/1")
        #expect(figures.accepted == 3)
        #expect(figures.rejects[.duplicate] == 1)
        #expect(figures.rejects[.unknownJob] == 1)
        #expect(figures.rejects[.ntime] == 1)
        #expect(figures.rejects.total == 3)
        #expect(figures.bestUnits == shares.map(\.hash.number.difficultyUnits).max())
        #expect(figures.hashrate60Minutes.hashesPerSecond > 0)
        #expect(figures.hashrate24Hours.hashesPerSecond > 0)
        try await setup.stop()
    }
}

@Suite("Parts of fleets")
struct FleetPartsTests {
    private func at(_ milliseconds: Int64) -> Timestamp { Timestamp(microseconds: 1_800_000_000_000_000 + milliseconds * 1000) }

    private func queue(inFlight: Int = 2, waiting: Int = 100) -> RegistrationQueue<Int> {
        var limits = RegistrationQueue<Int>.Limits()
        (limits.inFlight, limits.waiting) = (inFlight, waiting)
        return RegistrationQueue(limits: limits, seed: 1)
    }

    @Test func oneEntryForEachUserAndABoundedNumberUnderWay() {
        var queue = queue()
        #expect(queue.add(1, user: "a", now: at(0)) == .queued)
        #expect(queue.add(2, user: "a", now: at(0)) == .joined)
        #expect(queue.add(3, user: "b", now: at(0)) == .queued)
        #expect(queue.add(4, user: "c", now: at(0)) == .queued)
        #expect([queue.next(), queue.next(), queue.next()] == ["a", "b", nil])
        #expect(queue.add(5, user: "a", now: at(1)) == .joined)
        #expect(queue.settle("a") == [1, 2, 5])
        #expect(queue.next() == "c")
        #expect(queue.settle("b") + queue.settle("c") == [3, 4])
        #expect(queue.isEmpty)
        #expect(queue.inFlight == 0)
        // Settled, it starts anew.
        #expect(queue.add(6, user: "a", now: at(2)) == .queued)
    }

    @Test func fullIsFull() {
        var queue = queue(waiting: 2)
        #expect(queue.add(1, user: "a", now: at(0)) == .queued)
        #expect(queue.add(2, user: "a", now: at(0)) == .joined)
        #expect(queue.add(3, user: "a", now: at(0)) == .full)
        #expect(queue.add(3, user: "b", now: at(0)) == .full)
        #expect(queue.settle("a") == [1, 2])
        #expect(queue.add(3, user: "b", now: at(0)) == .queued)
    }

    @Test func restsGrowAndAreScattered() {
        var queue = queue()
        var now: Int64 = 0
        _ = queue.add(1, user: "a", now: at(now))
        #expect(queue.next() == "a")
        for longest in [Int64(50), 100, 200, 400, 800, 1600, 2000, 2000] {
            queue.retry("a", now: at(now))
            #expect(queue.inFlight == 0)
            let start = now
            var user: String?
            while user == nil, now - start <= longest {
                now += 1
                #expect(queue.tick(now: at(now)) == [])
                user = queue.next()
            }
            #expect(user == "a", "after \(longest) ms")
            #expect(now - start >= longest / 2)
        }
    }

    @Test func whatWaitsTooLongIsGivenUpWhatIsUnderWayIsNot() {
        var queue = queue(inFlight: 1)
        _ = queue.add(1, user: "a", now: at(0))
        _ = queue.add(2, user: "b", now: at(0))
        _ = queue.add(3, user: "b", now: at(10))
        #expect(queue.next() == "a")
        #expect(queue.tick(now: at(24_999)) == [])
        #expect(queue.tick(now: at(25_000)) == [2, 3])
        #expect(queue.settle("a") == [1])
        #expect(queue.isEmpty)
        #expect(queue.next() == nil)
    }

    @Test func aBucketGivesItsRateAndNoMore() {
        var bucket = TokenBucket(perSecond: 100, burst: 10, now: at(0))
        func taken(_ milliseconds: Int64) -> Int {
            var count = 0
            while bucket.take(now: at(milliseconds)) { count += 1 }
            return count
        }
        #expect(taken(0) == 10)
        #expect(taken(9) == 0)
        #expect(taken(10) == 1)
        #expect(taken(55) == 4)
        #expect(taken(60) == 1)
        // Pauses are not saved up.
        #expect(taken(1_000_000) == 10)
        // Nor does a clock that goes back give anything.
        #expect(taken(0) == 0)
        #expect(taken(1_000_010) == 1)
    }

    @Test func aDayIsSummedByTheHour() {
        let hour: Int64 = 3_600_000
        let start = Timestamp(microseconds: 1_800_000_000_000_000 / 3_600_000_000 * 3_600_000_000)
        func time(_ milliseconds: Int64) -> Timestamp { start + .milliseconds(milliseconds) }
        var figures = RigFigures(now: time(0))
        figures.begin(userAgent: "x")
        // A unit a second for 30 hours.
        for second in stride(from: Int64(0), to: 30 * 3600, by: 10) {
            for _ in 0..<10 { figures.add(Work(units: 1), hash: nil, at: time(second * 1000)) }
            if second == 1800 { #expect(abs(figures.day(now: time(1_800_000)).hashrate.hashesPerSecond - 65_536) < 700) }
        }
        let day = figures.day(now: time(30 * hour)).hashrate.hashesPerSecond
        #expect(abs(day - 65_536) < 10, "\(day)")
        // Then nothing: half a day later half of it is left, two days later nothing.
        let half = figures.day(now: time(42 * hour)).hashrate.hashesPerSecond
        #expect(abs(half - 32_768) < 10, "\(half)")
        figures.mark(now: time(78 * hour))
        #expect(figures.day(now: time(78 * hour)).hashrate.hashesPerSecond == 0)
    }

    @Test func timeOnlineIsCounted() {
        var figures = RigFigures(now: at(0))
        for second in Int64(0)...100 { figures.mark(now: at(second * 1000)) }
        // Away for an hour.
        figures.begin(userAgent: nil)
        for second in Int64(3700)...3720 { figures.mark(now: at(second * 1000)) }
        #expect(figures.day(now: at(3_720_000)).online == .seconds(120))
    }

    @Test func anotherFirmwareStartsAnew() {
        var figures = RigFigures(now: at(0))
        figures.begin(userAgent: "x")
        figures.refuse(.stale)
        figures.begin(userAgent: "x")
        #expect(figures.rejects[.stale] == 1)
        figures.begin(userAgent: "y")
        #expect(figures.rejects.total == 0)
    }

    @Test("each text of the checker is a reason of its own")
    func reasons() {
        func reason(_ verdict: Verdict, _ refusal: StratumError?) -> RejectReason? {
            RejectReason(CheckedShare(verdict: verdict, refusal: refusal))
        }
        #expect(reason(.valid, nil) == nil)
        #expect(reason(.stale, .stale) == .stale)
        #expect(reason(.duplicate, .duplicate) == .duplicate)
        #expect(reason(.lowDifficulty, .lowDifficulty) == .lowDifficulty)
        #expect(reason(.invalid, .other("Invalid extranonce2 size")) == .extranonce2)
        #expect(reason(.invalid, .other("whatever")) == .other)
    }
}
