import TestSupport
import Testing
import Units

@testable import Stratum

let now = Timestamp(microseconds: 1_000_000)

func readyMiner() -> MinerSession {
    var session = MinerSession(connectedAt: now)
    _ = session.receive(line("mining.subscribe", "[]"))
    _ = session.accept(subscribe: .number(1), extranonce1: [1, 2], extranonce2Size: 4, sessionID: "s")
    _ = session.accept(authorize: .number(2), .init(user: "w", password: ""))
    return session
}

func line(_ method: String, _ parameters: String, id: String = "1") -> [UInt8] {
    Array("{\"id\":\(id),\"method\":\"\(method)\",\"params\":\(parameters)}\n".utf8)
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

@Test(arguments: [
    ("1", "1"), ("0.001", "0.001"), ("\"0.5\"", "0.5"), ("1e-3", "0.001"), ("1.5E+3", "1500"), ("1024.0", "1024"),
    ("16384", "16384"), ("1.1641532182693481e-10", "0.000000000116415321"), ("18446744073709551615", "18446744073709551615"),
    ("123456789012.1234567890123", "123456789012.12345678"), ("2.5e2", "250"), ("0.00000000000000000100", "0.000000000000000001"),
])
func difficultiesAreReadExactly(literal: String, expected: String) throws {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    let event = session.receive(line("mining.set_difficulty", "[\(literal)]", id: "null"), at: now)
    guard case .difficulty(let difficulty) = event else {
        Issue.record("\(event)")
        return
    }
    #expect(difficulty.description == expected)
}

@Test(arguments: ["0", "-1", "0.0", "1e400", "1e99", "\"\"", "\"x\"", "null", "[]", "1e-30", "18446744073709551616"])
func impossibleDifficultiesAreRefused(literal: String) {
    var session = PoolSession(.init(user: "u", password: ""))
    _ = session.start(at: now)
    #expect(
        session.receive(line("mining.set_difficulty", "[\(literal)]"), at: now) == .malformed(.invalid(.difficulty)))
    #expect(session.difficulty.description == "1")
}

@Test(arguments: ["7", "0", "null", "\"auth\"", "\"tx\\\"list\\u0041\"", "-3", "1.50", "-0.0", "1e3"])
func idsComeBackAsTheyWere(id: String) {
    var session = MinerSession(connectedAt: now)
    let message = Array("{ \"params\" : [ ] ,\t\"method\":\"mining.ping\" , \"id\" : \(id) }\r\n".utf8)
    #expect(session.receive(message) == .reply(Array("{\"id\":\(id),\"result\":\"pong\",\"error\":null}\n".utf8)))
}

@Test func keysComeInAnyOrderAndExtrasAreIgnored() {
    var session = MinerSession(connectedAt: now)
    let message = "{\"jsonrpc\":\"2.0\",\"x\":{\"method\":[1,{\"id\":2}]},\"params\":[\"a\\/b\\n\\u00e9\\ud83d\\ude00\",\"p\"],\"method\":\"mining.authorize\",\"id\":9}"
    #expect(
        session.receive(Array(message.utf8)) == .authorize(.number(9), .init(user: "a/b\né\u{1F600}", password: "p")))
}

@Test(arguments: [
    "", "{", "}", "[]", "{}x", "nul", "{\"id\":1", "{\"id\":1,}", "{\"id\" 1}", "{id:1}", "{\"id\":1}{", "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12g4\"}", "{\"a\":1.}", "{\"a\":-}", "{\"a\":1e}", "{\"a\":tru}", "{\"a\":[1,]}", "{\"a\":\"\u{1}\"}", "{\"a\":'b'}",
    "{\"id\":04}", "{\"id\":-00}", "{\"a\":[01.5]}",
])
func wrongJSONIsAnError(message: String) {
    #expect(throws: WireError.self) { try Array(message.utf8).withUnsafeBytes { _ = try Envelope($0, limit: 1000) } }
}

/// What comes back must be UTF-8, so what is not is no id.
@Test func idsThatAreNotUTF8AreRefused() {
    var session = MinerSession(connectedAt: now)
    for id in [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0x61, 0xc0, 0xaf]] as [[UInt8]] {
        let message = Array("{\"method\":\"mining.ping\",\"id\":\"".utf8) + id + Array("\"}".utf8)
        guard case .malformed(.invalid(.id), let reply) = session.receive(message) else {
            Issue.record("\(id) was taken")
            continue
        }
        #expect(String(validating: reply, as: UTF8.self) != nil)
    }
    let sound = Array("{\"method\":\"mining.ping\",\"id\":\"\u{e9}\"}".utf8)
    #expect(session.receive(sound) == .reply(Array("{\"id\":\"\u{e9}\",\"result\":\"pong\",\"error\":null}\n".utf8)))
}

/// Each bad byte becomes three when it is repaired; the bounds are on what is kept.
@Test func repairedTextKeepsItsBounds() {
    func message(_ method: String, _ bytes: [UInt8]) -> [UInt8] {
        Array("{\"id\":1,\"method\":\"\(method)\",\"params\":[\"".utf8) + bytes + Array("\"]}".utf8)
    }
    var session = MinerSession(connectedAt: now)
    let bad = [UInt8](repeating: 0xff, count: 200)
    guard case .subscribe(_, let subscription) = session.receive(message("mining.subscribe", bad)) else {
        Issue.record("not subscribed")
        return
    }
    // 85 replacement characters of three bytes; a character is not cut in two.
    #expect(subscription.userAgent == String(repeating: "\u{fffd}", count: 85))
    guard case .malformed(.tooLong, _) = session.receive(message("mining.authorize", bad)) else {
        Issue.record("a name of 600 bytes was taken")
        return
    }
    for limit in 0...9 {
        let cut = "a\u{e9}\u{fffd}\u{1f600}".cut(toBytes: limit)
        #expect(cut.utf8.count <= limit)
        #expect("a\u{e9}\u{fffd}\u{1f600}".hasPrefix(cut))
    }
}

@Test func deepNestingIsRefusedAtOnce() {
    let deep = Array("{\"params\":".utf8) + [UInt8](repeating: UInt8(ascii: "["), count: 30_000)
    #expect(throws: WireError.tooDeep) { try deep.withUnsafeBytes { _ = try Envelope($0, limit: 40_000) } }
}

@Test func longLinesCloseTheConnection() {
    var session = MinerSession(connectedAt: now)
    let long = [UInt8](repeating: UInt8(ascii: "x"), count: 32_769)
    guard case .close(.lineTooLong, _) = session.receive(long) else {
        Issue.record("not closed")
        return
    }
}

/// Feeds both machines; nothing but returning is asked of them.
func feed(_ bytes: [UInt8]) {
    var miner = readyMiner()
    _ = miner.receive(bytes)
    var pool = PoolSession(.init(user: "u", password: ""))
    _ = pool.start(at: now)
    _ = pool.receive(Array("{\"id\":2,\"result\":[[],\"01\",8],\"error\":null}".utf8), at: now)
    _ = pool.receive(bytes, at: now)
}

let samples: [String] = [
    "{\"id\":4,\"method\":\"mining.submit\",\"params\":[\"w\",\"j\",\"00000001\",\"504e86ed\",\"b2957c02\",\"00002000\"]}",
    "{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"version-rolling\",\"minimum-difficulty\"],{\"version-rolling.mask\":\"1fffe000\",\"minimum-difficulty.value\":2048}]}",
    "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"host\",3333,5]}",
    "{\"id\":3,\"result\":false,\"error\":{\"code\":23,\"message\":\"low\\u0020\"}}",
    "{\"id\":1,\"result\":{\"version-rolling\":true,\"version-rolling.mask\":\"1fffe000\"},\"error\":null}",
    "{\"id\":3,\"result\":null,\"error\":[24,\"no\",null]}",
    "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"bf\",\"4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000\",\"01\",\"02\",[],\"00000002\",\"1c2ac4af\",\"504e86b9\",false]}",
    "{\"id\":9,\"method\":\"mining.suggest_target\",\"params\":[\"00000000ffff0000000000000000000000000000000000000000000000000000\"]}",
]

@Test func truncationsAndMutationsNeverTrap() {
    var random = SeededRandom(of: "truncationsAndMutationsNeverTrap")
    for sample in samples {
        let bytes = Array(sample.utf8)
        for end in 0...bytes.count { feed(Array(bytes[..<end])) }
        for start in 0..<bytes.count { feed(Array(bytes[start...])) }
        for _ in 0..<400 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<mutated.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: mutated[at] = UInt8.random(in: 0...255, using: &random)
                case 1: mutated.remove(at: at)
                default: mutated.insert("[]{}\",:0e-\\".utf8.randomElement(using: &random) ?? 0, at: at)
                }
                if mutated.isEmpty { break }
            }
            feed(mutated)
        }
    }
}

@Test func garbageNeverTraps() {
    var random = SeededRandom(of: "garbageNeverTraps")
    let alphabet = Array("{}[]\",:0123456789.eE+-\\u truefalsn\n".utf8)
    for _ in 0..<5000 {
        let count = Int.random(in: 0...120, using: &random)
        feed(random.bytes(count))
        feed((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
    }
}
