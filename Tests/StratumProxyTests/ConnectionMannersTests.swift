import Metering
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Manners of rigs' connections", .serialized)
struct ConnectionMannersTests {
    /// An edge with one pool and three rigs; the first two have one owner.
    private func market(_ adjust: (inout EdgeConfiguration) -> Void = { _ in }) async throws -> Setup {
        let setup = try Setup(adjust: adjust)
        try await setup.pool(1)
        for (id, owner) in [(1, 1), (2, 1), (3, 2)] as [(Int64, Int64)] {
            setup.directory.add(rig: id, user: "farm.\(id)", fallback: 1, owner: owner)
        }
        try await setup.start()
        return setup
    }

    // MARK: workers

    @Test("several workers of one owner work on one connection, metered as its first rig; others' are refused")
    func workers() async throws {
        let setup = try await market()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        #expect(try await rig.ask("mining.authorize", "[\"farm.2\",\"x\"]", id: 90).contains("true"))
        #expect(try await rig.ask("mining.authorize", "[\"farm.2\",\"wrong\"]", id: 91).contains("[24,"))
        #expect(try await rig.ask("mining.authorize", "[\"farm.3\",\"x\"]", id: 92).contains("another owner"))
        let shares = await rig.mine(job, count: 3).map(\.submission)
        for (share, worker) in zip(shares, ["farm.1", "farm.2", "farm.2"]) {
            var share = share
            share.worker = worker
            #expect(try await rig.tell(share) == nil)
        }
        var stranger = shares[0]
        stranger.worker = "farm.3"
        #expect(try await rig.tell(stranger) == 24)
        let snapshot = try #require(try await setup.rig("farm.1"))
        #expect(snapshot.workers.mapValues(\.valid) == ["farm.1": 1, "farm.2": 2])
        #expect(snapshot.shares.valid == 3)
        try await eventually("records") { setup.sink.shares.count == 3 }
        #expect(Set(setup.sink.shares.map(\.rig)) == [RigID(1)])
        #expect(try await setup.rig("farm.2")?.isOnline != true)
        // The second rig's own connection does not end the first one's.
        let other = try await RigClient(port: setup.port, user: "farm.2")
        try await other.job(after: 0)
        #expect(await rig.isClosed == false)
        try await setup.stop()
    }

    // MARK: sessions

    @Test("a resumed session has its extranonce1 and its jobs again")
    func resumption() async throws {
        let setup = try await market()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        let name = try #require(await rig.sessionName)
        #expect(name.count == 16)
        let shares = await rig.mine(job, count: 4).map(\.submission)
        #expect(try await rig.tell(shares[0]) == nil)
        try await rig.close()
        try await eventually("rest") { await setup.edge.snapshot()?.restingSessions == 1 }
        let again = try await RigClient(port: setup.port, user: "farm.1", resuming: name)
        let next = try await again.job(after: 0)
        #expect(next.extranonce1 == job.extranonce1)
        #expect(await again.sessionName == name)
        #expect(try await again.tell(shares[1]) == nil)
        #expect(try await again.tell(shares[0]) == 22, "what was found before is remembered")
        #expect(try await again.deliver(next) == [nil])
        // Also when the earlier connection is not known to be dead.
        let third = try await RigClient(port: setup.port, user: "farm.1", resuming: name)
        #expect(try await third.job(after: 0).extranonce1 == job.extranonce1)
        #expect(try await third.tell(shares[2]) == nil)
        try await eventually("close") { await again.isClosed }
        try await eventually("records") { setup.sink.total(nil).validShares == 4 }
        try await setup.stop()
    }

    @Test("another rig that resumes a session gets its extranonce1, but not its jobs; unknown names get a new session")
    func foreignResumption() async throws {
        let setup = try await market()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        let name = try #require(await rig.sessionName)
        let share = await rig.mine(job)[0].submission
        try await rig.close()
        try await eventually("rest") { await setup.edge.snapshot()?.restingSessions == 1 }
        let stranger = try await RigClient(port: setup.port, user: "farm.1", resuming: "0123456789abcdef")
        #expect(try await stranger.job(after: 0).extranonce1 != job.extranonce1)
        #expect(await stranger.sessionName != "0123456789abcdef")
        let thief = try await RigClient(port: setup.port, user: "farm.3", resuming: name)
        let own = try await thief.job(after: 0)
        #expect(own.extranonce1 == job.extranonce1)
        var stolen = share
        stolen.worker = "farm.3"
        #expect(try await thief.tell(stolen) == 21)
        #expect(try await thief.deliver(own) == [nil])
        try await setup.stop()
    }

    @Test("a session that rests too long is gone")
    func tooLate() async throws {
        let setup = try await market { $0.sessionRest = .milliseconds(1) }
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        let name = try #require(await rig.sessionName)
        try await rig.close()
        try await eventually("end") { try await setup.rig("farm.1")?.isOnline == false }
        try await eventually("expiry") { await setup.edge.snapshot()?.restingSessions == 0 }
        let again = try await RigClient(port: setup.port, user: "farm.1", resuming: name)
        #expect(try await again.job(after: 0).extranonce1 != job.extranonce1)
        try await setup.stop()
    }

    // MARK: bans

    private func fail(_ user: String, _ times: Int, _ setup: Setup) async throws {
        let raw = try await RawClient(port: setup.port)
        for id in 0..<times {
            try await raw.send("{\"id\":\(id),\"method\":\"mining.authorize\",\"params\":[\"\(user)\",\"no\"]}\n")
            #expect(try await raw.line().contains("[24,"))
        }
        try await raw.close()
    }

    @Test("a name that fails to log in is shut out for a while, its neighbours are not")
    func loginBans() async throws {
        let setup = try await market {
            $0.bans.failedLogins = 3
            $0.bans.firstBan = .milliseconds(1500)
        }
        try await fail("farm.1", 3, setup)
        #expect(await setup.edge.snapshot()?.bans.map(\.subject) == ["login farm.1 from 127.0.0.1"])
        let right = try await RigClient(port: setup.port, user: "farm.1")
        try await right.waitFor("refusal") { $0.refusal != nil }
        #expect(await right.refusal?.text.contains("try again later") == true)
        let neighbour = try await RigClient(port: setup.port, user: "farm.2")
        #expect(try await neighbour.deliver(try await neighbour.job(after: 0)) == [nil])
        try await eventually("end of the ban") { await setup.edge.snapshot()?.bans == [] }
        let again = try await RigClient(port: setup.port, user: "farm.1")
        try await again.job(after: 0)
        try await setup.stop()
    }

    @Test("an address that sends junk is shut out; rigs of good standing behind it get in at the first try")
    func addressBans() async throws {
        let setup = try await market { $0.bans.malformedFromAddress = 2 }
        for _ in 0..<2 {
            let junk = try await RawClient(port: setup.port)
            try await junk.send(String(repeating: "junk\n", count: 20))
            try await eventually("close") { junk.isClosed }
        }
        try await eventually("ban") { await setup.edge.snapshot()?.bans.map(\.subject) == ["address 127.0.0.1"] }
        let refused = try await RawClient(port: setup.port)
        try await eventually("close") { refused.isClosed }
        try await setup.stop()

        let other = try await market { $0.bans.malformedFromAddress = 2 }
        let rig = try await RigClient(port: other.port, user: "farm.1")
        try await rig.job(after: 0)
        for _ in 0..<2 {
            let junk = try await RawClient(port: other.port)
            try await junk.send(String(repeating: "junk\n", count: 20))
            try await eventually("close") { junk.isClosed }
        }
        try await eventually("ban") { await other.edge.snapshot()?.bans.count == 1 }
        #expect(await rig.isClosed == false)
        let neighbour = try await RigClient(port: other.port, user: "farm.2")
        #expect(try await neighbour.deliver(try await neighbour.job(after: 0)) == [nil])
        let guess = try await RawClient(port: other.port)
        try await guess.send("{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"farm.1\",\"no\"]}\n")
        try await eventually("close") { guess.isClosed }
        try await other.stop()
    }

    @Test("a rig that sends nothing but nonsense is shut out, the rig beside it is not")
    func rigBans() async throws {
        let setup = try await market {
            $0.limits.invalidSharesInARow = 5
            $0.bans.invalidShareRuns = 2
        }
        let good = try await RigClient(port: setup.port, user: "farm.2")
        let job = try await good.job(after: 0)
        for _ in 0..<2 {
            let bad = try await RigClient(port: setup.port, user: "farm.1")
            var share = await bad.mine(try await bad.job(after: 0))[0].submission
            share.jobID = "none"
            for _ in 0..<5 { _ = try await bad.submit(share) }
            try await eventually("close") { await bad.isClosed }
        }
        let shut = try await RigClient(port: setup.port, user: "farm.1")
        try await shut.waitFor("refusal") { $0.refusal != nil }
        #expect(await setup.edge.snapshot()?.bans.map(\.subject) == ["rig 1"])
        #expect(try await good.deliver(job) == [nil])
        let third = try await RigClient(port: setup.port, user: "farm.3")
        try await third.job(after: 0)
        try await setup.stop()
    }

    @Test("an allowed network is never shut out; another one's connections are limited")
    func allowed() async throws {
        let setup = try await market {
            $0.bans.malformedFromAddress = 1
            $0.bans.connectionsPerAddress = 1
            $0.bans.allowed = [AddressBlock(parsing: "127.0.0.0/8")!]
        }
        for _ in 0..<3 {
            let junk = try await RawClient(port: setup.port)
            try await junk.send(String(repeating: "junk\n", count: 20))
            try await eventually("close") { junk.isClosed }
        }
        for user in ["farm.1", "farm.2"] { try await RigClient(port: setup.port, user: user).job(after: 0) }
        #expect(await setup.edge.snapshot()?.bans == [])
        try await setup.stop()

        let limited = try await market { $0.bans.connectionsPerAddress = 1 }
        let first = try await RigClient(port: limited.port, user: "farm.1")
        try await first.job(after: 0)
        let second = try await RawClient(port: limited.port)
        try await eventually("close") { second.isClosed }
        #expect(await first.isClosed == false)
        try await limited.stop()
    }

    // MARK: load balancers

    @Test("behind a load balancer the edge sees who is behind it", arguments: [false, true])
    func proxied(inPieces: Bool) async throws {
        let setup = try await market {
            $0.trustedProxies = [AddressBlock(parsing: "127.0.0.1")!]
            $0.bans.malformedFromAddress = 1
        }
        let header = "PROXY TCP4 203.0.113.9 10.0.0.1 12345 3333\r\n"
        let lines = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"farm.1\",\"x\"]}\n"
        let rig = try await RawClient(port: setup.port)
        if inPieces {
            for byte in (header + lines).utf8 { try await rig.send(bytes: [byte]) }
        } else {
            try await rig.send(header + lines)
        }
        #expect(try await rig.line().contains("mining.notify"))
        #expect(try await rig.line().contains("\"result\":true"))
        #expect(try await setup.rig("farm.1")?.address?.description == "203.0.113.9")
        // Bans hit who is behind, not the load balancer.
        let junk = try await RawClient(port: setup.port)
        try await junk.send("PROXY TCP4 203.0.113.66 10.0.0.1 1 3333\r\n" + String(repeating: "junk\n", count: 20))
        try await eventually("close") { junk.isClosed }
        #expect(await setup.edge.snapshot()?.bans.map(\.subject) == ["address 203.0.113.66"])
        let banned = try await RawClient(port: setup.port)
        try await banned.send("PROXY TCP4 203.0.113.66 10.0.0.1 1 3333\r\n" + lines)
        try await eventually("close") { banned.isClosed }
        let binary: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x21, 0x11, 0, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0, 1, 0, 2]
        let second = try await RawClient(port: setup.port)
        try await second.send(bytes: binary + Array(lines.replacing("farm.1", with: "farm.2").utf8))
        #expect(try await second.line().contains("mining.notify"))
        try await eventually("login") { try await setup.rig("farm.2")?.address?.description == "203.0.113.7" }
        try await setup.stop()
    }

    @Test("a load balancer must say who is behind it; nobody else may")
    func unproxied() async throws {
        let setup = try await market { $0.trustedProxies = [AddressBlock(parsing: "127.0.0.1")!] }
        let bare = try await RawClient(port: setup.port)
        try await bare.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n")
        try await eventually("close") { bare.isClosed }
        // A health check is no offence, and gets an answer if it asks.
        let check = try await RawClient(port: setup.port)
        try await check.send(bytes: [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x20, 0, 0, 0])
        try await check.send("{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n")
        #expect(try await check.line().contains("pong"))
        try await check.close()
        #expect(await setup.edge.snapshot()?.bans == [])
        try await setup.stop()

        let plain = try await market { $0.trustedProxies = [AddressBlock(parsing: "192.0.2.0/24")!] }
        let liar = try await RawClient(port: plain.port)
        try await liar.send("PROXY TCP4 203.0.113.9 10.0.0.1 12345 3333\r\n")
        #expect(try await liar.line().contains("[20,"))
        try await plain.stop()
    }

    // MARK: ends

    @Test("miners that are silent for too long are closed")
    func idle() async throws {
        let setup = try await market { $0.idle = .milliseconds(500) }
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        try await eventually("close") { await rig.isClosed }
        try await setup.stop()
    }

    @Test("a handshake that takes too long, and a peer that says no more, end the connection")
    func halfOpen() async throws {
        let setup = try await market { $0.handshake = .milliseconds(500) }
        let slow = try await RawClient(port: setup.port)
        try await slow.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n")
        try await eventually("close") { slow.isClosed }
        let half = try await RawClient(port: setup.port)
        try await half.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n")
        _ = try await half.line()
        try await half.closeOutput()
        try await eventually("close") { await setup.edge.snapshot()?.minerConnections == 0 }
        try await setup.stop()
    }

    // MARK: hostile miners

    @Test("one byte at a time is as good as all at once, and a line may have 32 kB")
    func slowBytes() async throws {
        let setup = try await market()
        let rig = try await RawClient(port: setup.port)
        let lines = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\r\n\n{\"id\":\"a\",\"method\":\"mining.authorize\",\"params\":[\"farm.1\",\"x\"]}\n"
        for byte in lines.utf8 { try await rig.send(bytes: [byte]) }
        #expect(try await rig.line().hasPrefix("{\"id\":1,\"result\":[[["))
        #expect(try await rig.line().hasPrefix("{\"id\":\"a\",\"result\":true"))
        let long = "{\"id\":7,\"method\":\"mining.ping\",\"params\":[\"" + String(repeating: "x", count: 32_000) + "\"]}\n"
        try await rig.send(long)
        while try await !rig.line().hasPrefix("{\"id\":7,\"result\":\"pong\"") {}
        try await rig.send(String(repeating: " ", count: 40_000) + "\n")
        try await eventually("close") { rig.isClosed }
        try await setup.stop()
    }

    @Test("floods of questions and of bad shares end the connection, and other rigs go on")
    func floods() async throws {
        let setup = try await market()
        let good = try await RigClient(port: setup.port, user: "farm.2")
        let job = try await good.job(after: 0)
        let pings = try await RawClient(port: setup.port)
        pings.pour(String(repeating: "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n", count: 100_000))
        try await eventually("close") { pings.isClosed }
        let bad = try await RigClient(port: setup.port, user: "farm.1")
        let share = await bad.mine(try await bad.job(after: 0))[0].submission
        for _ in 0..<600 {
            do { _ = try await bad.submit(share) } catch { break }
        }
        try await eventually("close") { await bad.isClosed }
        let flood = try await RawClient(port: setup.port)
        flood.pour(String(repeating: "x", count: 10_000_000))
        try await eventually("close") { flood.isClosed }
        #expect(try await good.deliver(job) == [nil])
        try await setup.stop()
    }

    @Test("a miner that never reads is closed, and costs no more than the bound")
    func neverReads() async throws {
        let setup = try await market {
            $0.limits.outputBytes = 64 * 1024
            $0.limits.jobsPerMinute = 1_000_000
        }
        let pool = ScriptedPool(extranonce1: "0102", extranonce2Size: 8)
        setup.directory.add(target: 2, port: try await pool.start(), user: "buyer")
        setup.directory.add(rig: 9, user: "deaf", fallback: 2)
        let deaf = try await RawClient(port: setup.port, reads: false)
        try await deaf.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"deaf\",\"x\"]}\n")
        try await eventually("login") { pool.isAuthorized }
        let coinbase = String(repeating: "00", count: 5000)
        for number in 0..<1900 {
            try await pool.say(ScriptedPool.job("\(number)", coinbase: coinbase))
            // Each is sent: of jobs that come at once an unsold rig gets the last.
            if try await setup.rig("deaf")?.isOnline == false { break }
        }
        try await eventually("close") { try await setup.rig("deaf")?.isOnline == false }
        try await setup.stop()
        try await pool.stop()
    }
}
