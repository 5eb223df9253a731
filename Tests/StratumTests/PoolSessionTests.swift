import Testing
import Units

@testable import Stratum

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

let share = Submission(worker: "u", jobID: "j", extranonce2: [0, 1], ntime: 5, nonce: 0xb295_7c02)

/// A session that is ready: configure has id 1, subscribe 2, authorize 3, extranonce.subscribe 4, shares from 5 on.
func readyPool(_ configure: (inout PoolSession.Configuration) -> Void = { _ in }) -> PoolSession {
    var configuration = PoolSession.Configuration(user: "u", password: "p")
    configure(&configuration)
    var session = PoolSession(configuration)
    _ = session.start(at: now)
    _ = session.receive(bytes("{\"id\":1,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\"},\"error\":null}"), at: now)
    _ = session.receive(bytes("{\"id\":2,\"result\":[[],\"f00d\",8],\"error\":null}"), at: now)
    _ = session.receive(bytes("{\"id\":3,\"result\":true,\"error\":null}"), at: now)
    return session
}

@Test func thePoolHandshake() {
    var session = PoolSession(.init(user: "u", password: "p\"q"))
    #expect(text(session.start(at: now)) == """
        {"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]}
        {"id":2,"method":"mining.subscribe","params":["hashspot"]}

        """)
    #expect(session.receive(bytes("{\"id\":1,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"00ffe000\"}}"), at: now) == .versionMask(0x00ff_e000))
    let send = """
        {"id":3,"method":"mining.authorize","params":["u","p\\"q"]}
        {"id":4,"method":"mining.extranonce.subscribe","params":[]}

        """
    #expect(session.receive(bytes("{\"id\":2,\"result\":[[[\"mining.notify\",\"x\"]],\"f00d\",8],\"error\":null}"), at: now)
        == .subscribed(extranonce1: [0xf0, 0x0d], extranonce2Size: 8, send: bytes(send)))
    #expect(session.receive(bytes("{\"id\":4,\"result\":null,\"error\":[20,\"Not supported.\",null]}"), at: now) == .none)
    #expect(!session.isReady)
    #expect(session.receive(bytes("{\"id\":3,\"result\":true,\"error\":null}"), at: now) == .ready)
    #expect(session.isReady)
}

@Test func poolsWithoutConfigureAreFine() {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    #expect(session.receive(bytes("{\"id\":1,\"result\":null,\"error\":[20,\"what?\",null]}"), at: now) == .versionMask(0))
    guard case .subscribed = session.receive(bytes("{\"id\":2,\"result\":[[],\"00\",4],\"error\":null}"), at: now) else {
        Issue.record("not subscribed")
        return
    }
}

@Test func sharesAreMatchedWithTheirAnswers() throws {
    var session = readyPool()
    var rolled = share
    rolled.versionBits = 0x2000
    #expect(text(try session.submit(share, tag: 70, at: now)) == "{\"id\":5,\"method\":\"mining.submit\",\"params\":[\"u\",\"j\",\"0001\",\"00000005\",\"b2957c02\"]}\n")
    #expect(text(try session.submit(rolled, tag: 71, at: now)).hasSuffix(",\"00002000\"]}\n"))
    _ = try session.submit(share, tag: 72, at: now)
    _ = try session.submit(share, tag: 73, at: now)
    #expect(session.receive(bytes("{\"id\":6,\"result\":true,\"error\":null}"), at: now) == .answered(tag: 71, .accepted))
    #expect(session.receive(bytes("{\"id\":5,\"result\":null,\"error\":[23,\"low\",null]}"), at: now) == .answered(tag: 70, .rejected(.init(code: 23, text: "low"))))
    #expect(session.receive(bytes("{\"id\":7,\"result\":false,\"error\":{\"code\":-2,\"message\":\"no\"}}"), at: now) == .answered(tag: 72, .rejected(.init(code: -2, text: "no"))))
    #expect(session.receive(bytes("{\"id\":5,\"result\":true,\"error\":null}"), at: now) == .none)
    #expect(session.outstandingCount == 1)
    #expect(session.disconnected() == [73])
}

@Test func outstandingSharesAreBoundedAndExpire() throws {
    var session = readyPool { $0.maximalOutstanding = 3 }
    for tag in 0..<3 { _ = try session.submit(share, tag: UInt64(tag), at: now + .seconds(Int64(tag))) }
    #expect(throws: PoolSession.SubmitRefusal.tooManyOutstanding) { try session.submit(share, tag: 9, at: now) }
    #expect(session.deadline == now + .seconds(60))
    #expect(session.timeout(at: now + .seconds(61)) == .expired([0, 1]))
    #expect(session.outstandingCount == 1)
    #expect(session.receive(bytes("{\"id\":7,\"result\":true,\"error\":null}"), at: now) == .answered(tag: 2, .accepted))
    #expect(session.deadline == now + .seconds(600))
    #expect(session.timeout(at: now + .seconds(601)) == .close(.silence))
}

@Test func sharesWaitForTheHandshake() {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    #expect(throws: PoolSession.SubmitRefusal.notReady) { try session.submit(share, tag: 1, at: now) }
    #expect(session.timeout(at: now + .seconds(30)) == .close(.handshakeTimeout))
}

@Test func difficultyAppliesToTheJobsAfterIt() {
    var session = readyPool()
    let notify = bytes(samples[6])
    func difficulty(_ event: PoolSession.Event) -> String? {
        guard case .job(let job) = event else { return nil }
        return job.difficulty.description
    }
    #expect(difficulty(session.receive(notify, at: now)) == "1")
    _ = session.receive(line("mining.set_difficulty", "[0.5]", id: "null"), at: now)
    #expect(difficulty(session.receive(notify, at: now)) == "0.5")
}

@Test func newExtranoncesComeWithTheNextJob() {
    var session = readyPool()
    let event = session.receive(line("mining.set_extranonce", "[\"0102\",\"4\"]", id: "null"), at: now)
    #expect(event == .extranonce(extranonce1: [1, 2], extranonce2Size: 4))
    guard case .job(let job) = session.receive(bytes(samples[6]), at: now) else {
        Issue.record("no job")
        return
    }
    #expect(job.extranonce1 == [1, 2])
    #expect(job.extranonce2Size == 4)
    #expect(job.versionMask == 0x1fff_e000)
    #expect(job.job.previousBlock.description == "00000000440b921e1b77c6c0487ae5616de67f788f44ae2a5af6e2194d16b6f8")
}

@Test func thePoolsOtherRequests() {
    var session = readyPool()
    #expect(session.receive(line("mining.ping", "[]", id: "7"), at: now) == .send(bytes("{\"id\":7,\"result\":\"pong\",\"error\":null}\n")))
    #expect(session.receive(line("client.get_version", "[]", id: "8"), at: now) == .send(bytes("{\"id\":8,\"result\":\"hashspot\",\"error\":null}\n")))
    #expect(session.receive(line("client.reconnect", "[]", id: "null"), at: now) == .reconnect(host: nil, port: nil, wait: 0))
    #expect(session.receive(line("client.reconnect", "[\"h\",\"3333\",5]", id: "null"), at: now) == .reconnect(host: "h", port: 3333, wait: 5))
    #expect(session.receive(line("client.show_message", "[\"hi\"]", id: "null"), at: now) == .message("hi"))
    #expect(session.receive(line("mining.set_version_mask", "[\"ffffffff\"]", id: "null"), at: now) == .versionMask(0x1fff_e000))
    #expect(session.receive(line("mining.unheard", "[]", id: "null"), at: now) == .none)
}

@Test func refusalsAreReported() {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    #expect(session.receive(bytes("{\"id\":2,\"result\":null,\"error\":[20,\"go away\",null]}"), at: now) == .close(.subscriptionRefused(.other("go away"))))
    session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    _ = session.receive(bytes("{\"id\":2,\"result\":[[],\"00\",4],\"error\":null}"), at: now)
    #expect(session.receive(bytes("{\"id\":3,\"result\":false,\"error\":null}"), at: now) == .refused(user: "u", .other("Refused")))
}

@Test(arguments: [
    "[[],\"00\",0]", "[[],\"00\",33]", "[[],\"0\",4]", "[[],4]", "[]", "true", "[[],\"zz\",4]", "{}",
])
func unusableSubscriptionsClose(result: String) {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    #expect(session.receive(bytes("{\"id\":2,\"result\":\(result),\"error\":null}"), at: now) == .close(.subscriptionRefused(.other("Unusable answer"))))
}

@Test func wrongJobsAreNamed() {
    func error(_ from: String, _ to: String) -> PoolSession.Event {
        var session = readyPool()
        return session.receive(bytes(samples[6].replacing(from, with: to)), at: now)
    }
    #expect(error("1c2ac4af", "ff2ac4af") == .malformed(.invalid(.nbits)))
    #expect(error("1c2ac4af", "00000000") == .malformed(.invalid(.nbits)))
    #expect(error("4d16b6f8", "4d16b6") == .malformed(.invalid(.previousBlock)))
    #expect(error("\"01\"", "\"0\"") == .malformed(.invalid(.coinbase)))
    #expect(error("\"bf\"", "\"\"") == .malformed(.invalid(.jobID)))
    #expect(error(",false", "") == .malformed(.missingParameter))
    #expect(error("[],", "[\"00\"],") == .malformed(.invalid(.branches)))
    let branches = (0..<33).map { _ in "\"" + String(repeating: "00", count: 32) + "\"" }.joined(separator: ",")
    #expect(error("[],", "[\(branches)],") == .malformed(.invalid(.branches)))
    #expect(error("\"02\"", "\"\(String(repeating: "00", count: Job.maximalCoinbaseBytes))\"") == .malformed(.invalid(.coinbase)))
}
