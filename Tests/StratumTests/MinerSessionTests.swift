import Testing
import Units

@testable import Stratum

func replyText(_ action: MinerSession.Action) -> String? {
    switch action {
    case .reply(let bytes), .configured(_, let bytes), .subscribesExtranonce(let bytes), .suggestDifficulty(_, let bytes),
        .malformed(_, let bytes), .close(_, let bytes): text(bytes)
    case .none, .subscribe, .authorize, .submit: nil
    }
}

@Test func aMinerComesInAndSubmits() {
    var session = MinerSession(connectedAt: now)
    #expect(session.receive(line("mining.subscribe", "[\"nerd/1\",\"abc\"]")) == .subscribe(.number(1), .init(userAgent: "nerd/1", sessionID: "abc")))
    #expect(session.receive(line("mining.authorize", "[\"w\"]", id: "2")) == .authorize(.number(2), .init(user: "w", password: "")))
    #expect(session.deadline != nil)
    let answer = session.accept(subscribe: .number(1), extranonce1: [0xab, 0x01], extranonce2Size: 4, sessionID: "s")
    #expect(text(answer) == "{\"id\":1,\"result\":[[[\"mining.set_difficulty\",\"s\"],[\"mining.notify\",\"s\"]],\"ab01\",4],\"error\":null}\n")
    _ = session.accept(authorize: .number(2), .init(user: "w", password: ""))
    #expect(session.isReady)
    #expect(session.deadline == nil)
    let share = line("mining.submit", "[\"w\",\"j1\",\"0000000A\",\"504e86ed\",\"9\"]", id: "4")
    let submission = Submission(worker: "w", jobID: "j1", extranonce2: [0, 0, 0, 10], ntime: 0x504e_86ed, nonce: 9)
    #expect(session.receive(share) == .submit(.number(4), submission))
    #expect(text(session.answer(.number(4))) == "{\"id\":4,\"result\":true,\"error\":null}\n")
    #expect(text(session.answer(.number(4), refusal: .duplicate)) == "{\"id\":4,\"result\":null,\"error\":[22,\"Duplicate share\",null]}\n")
}

@Test func workersMayAuthorizeBeforeSubscribing() {
    var session = MinerSession(connectedAt: now)
    for worker in ["a", "b"] {
        _ = session.receive(line("mining.authorize", "[\"\(worker)\",\"x\"]"))
        _ = session.accept(authorize: .number(1), .init(user: worker, password: "x"))
    }
    #expect(session.workers == ["a", "b"])
    #expect(!session.isReady)
}

@Test func sharesTooEarlyOrByStrangersAreRefused() {
    var session = MinerSession(connectedAt: now)
    let share = line("mining.submit", "[\"x\",\"j\",\"00000000\",\"504e86ed\",\"00000000\"]")
    #expect(replyText(session.receive(share))?.contains("[25,") == true)
    session = readyMiner()
    #expect(replyText(session.receive(share))?.contains("[24,") == true)
}

@Test(arguments: [
    "[\"w\",\"j\",\"000000\",\"504e86ed\",\"00000000\"]", "[\"w\",\"j\",\"0000000000\",\"504e86ed\",\"00000000\"]",
    "[\"w\",\"j\",\"0000000g\",\"504e86ed\",\"00000000\"]", "[\"w\",\"j\",\"00000000\",\"504e86\",\"00000000\"]",
    "[\"w\",\"j\",\"00000000\",\"504e86ed\",\"000000000\"]", "[\"w\",\"j\",\"00000000\",\"504e86ed\",\"\"]",
    "[\"w\",\"j\",\"00000000\",\"504e86ed\"]", "[\"w\",\"j\",\"00000000\",\"504e86ed\",1]", "[]", "{}", "[\"w\",\"j\",\"\",\"504e86ed\",\"1\"]",
    "[\"w\",\"j\",\"00000000\",\"504e86ed\",\"00000000\",\"00002000\"]",
])
func wrongSharesAreError20(parameters: String) {
    var session = readyMiner()
    let action = session.receive(line("mining.submit", parameters))
    #expect(replyText(action)?.contains("\"error\":[20,") == true, "\(action)")
}

@Test func versionRollingIsNegotiatedAndChecked() {
    var session = readyMiner()
    let configure = "[[\"version-rolling\",\"minimum-difficulty\",\"subscribe-extranonce\",\"odd\"],{\"version-rolling.mask\":\"ffffffff\",\"version-rolling.min-bit-count\":16,\"minimum-difficulty.value\":512}]"
    let action = session.receive(line("mining.configure", configure))
    #expect(replyText(action) == "{\"id\":1,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\",\"minimum-difficulty\":true,\"subscribe-extranonce\":true,\"odd\":false},\"error\":null}\n")
    #expect(session.versionMask == 0x1fff_e000)
    #expect(session.subscribesExtranonce)
    func share(_ bits: String) -> [UInt8] {
        line("mining.submit", "[\"w\",\"j\",\"00000000\",\"504e86ed\",\"00000000\",\"\(bits)\"]")
    }
    guard case .submit(_, let good) = session.receive(share("00002000")) else {
        Issue.record("refused")
        return
    }
    #expect(good.versionBits == 0x2000)
    guard case .malformed(.invalid(.versionBits), _) = session.receive(share("40000000")) else {
        Issue.record("bits outside the mask were taken")
        return
    }
    #expect(VersionRolling.version(job: 0x2000_2000, bits: 0x4000, mask: 0x1fff_e000) == 0x2000_4000)
    #expect(VersionRolling.version(job: 0x2000_2000, bits: 0, mask: 0x1fff_e000) == 0x2000_0000)
    #expect(VersionRolling.version(job: 0x2000_2000, bits: 0, mask: 0) == 0x2000_2000)
    #expect(VersionRolling.version(job: 0x2000_2000, bits: nil, mask: 0x1fff_e000) == 0x2000_2000)
}

@Test func onlyWhatWasAskedForIsAnswered() {
    var session = MinerSession(connectedAt: now)
    let action = session.receive(line("mining.configure", "[[\"version-rolling\"],{\"version-rolling.mask\":\"1fffe000\"}]"))
    #expect(replyText(action) == "{\"id\":1,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\"},\"error\":null}\n")
    var configuration = MinerSession.Configuration()
    configuration.versionMask = 0
    session = MinerSession(configuration, connectedAt: now)
    let refused = session.receive(line("mining.configure", "[[\"version-rolling\"],{}]"))
    #expect(replyText(refused) == "{\"id\":1,\"result\":{\"version-rolling\":false},\"error\":null}\n")
    #expect(session.versionMask == 0)
}

@Test(arguments: [
    ("mining.get_transactions", "[\"j\"]", "\"result\":[]"), ("mining.multi_version", "[4]", "\"result\":true"),
    ("mining.capabilities", "[{}]", "\"result\":{}"), ("mining.ping", "[]", "\"pong\""),
    ("client.get_version", "[]", "\"result\":\"hashspot\""), ("mining.get_version", "[]", "\"result\":\"hashspot\""),
    ("mining.nonsense", "[]", "\"error\":[20,"), ("mining.extranonce.subscribe", "[]", "\"result\":true"),
    ("mining.suggest_difficulty", "[\"0.25\"]", "\"result\":true"),
    ("mining.suggest_target", "[\"00000000ffff0000000000000000000000000000000000000000000000000000\"]", "\"result\":true"),
])
func otherMethodsGetHarmlessAnswers(method: String, parameters: String, answer: String) {
    var session = readyMiner()
    #expect(replyText(session.receive(line(method, parameters)))?.contains(answer) == true)
}

@Test func suggestedTargetsAreDifficulties() {
    var session = readyMiner()
    let target = line("mining.suggest_target", "[\"00000000ffff0000000000000000000000000000000000000000000000000000\"]")
    guard case .suggestDifficulty(let difficulty, _) = session.receive(target) else {
        Issue.record("no suggestion")
        return
    }
    #expect(difficulty.description == "1")
}

@Test func malformedLinesAreCountedAndEndTheConnection() {
    var session = MinerSession(connectedAt: now)
    for _ in 0..<9 {
        guard case .malformed = session.receive(Array("junk\n".utf8)) else {
            Issue.record("not counted")
            return
        }
    }
    guard case .close(.tooManyMalformedLines, _) = session.receive(Array("junk\n".utf8)) else {
        Issue.record("not closed")
        return
    }
}

@Test func aSlowHandshakeTimesOut() {
    var session = MinerSession(connectedAt: now)
    #expect(session.deadline == now + .seconds(60))
    #expect(session.timeout(at: now + .seconds(59)) == .none)
    #expect(session.timeout(at: now + .seconds(60)) == .close(.handshakeTimeout, reply: []))
    session = readyMiner()
    #expect(session.timeout(at: now + .seconds(600)) == .none)
}

@Test func newExtranoncesLetLateSharesThrough() {
    var session = readyMiner()
    #expect(text(session.setExtranonce(extranonce1: [9], extranonce2Size: 3)) == "{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"09\",3]}\n")
    for digits in ["000000", "00000000"] {
        guard case .submit = session.receive(line("mining.submit", "[\"w\",\"j\",\"\(digits)\",\"504e86ed\",\"1\"]")) else {
            Issue.record("refused \(digits)")
            return
        }
    }
}

@Test func workersAreBounded() {
    var session = readyMiner()
    for i in 0..<200 {
        if case .authorize(let id, let login) = session.receive(line("mining.authorize", "[\"w\(i)\"]")) {
            _ = session.accept(authorize: id, login)
        }
    }
    #expect(session.workers.count == 64)
}
