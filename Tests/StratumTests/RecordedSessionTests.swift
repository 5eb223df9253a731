import Foundation
import ProofOfWork
import TestSupport
import Testing
import Units

@testable import Stratum

struct RecordedLine: Decodable {
    var t: Int64
    var from: String
    var line: String
}

func recorded(_ name: String) throws -> [RecordedLine] {
    try Vectors.text("sessions/\(name).jsonl").split(separator: "\n").map {
        try JSONDecoder().decode(RecordedLine.self, from: Data($0.utf8))
    }
}

let sessions = ["cpuminer-opt-26.1--ckpool", "minerd-2.5.1--ckpool"]

extension WorkTemplate {
    init(_ job: Job) {
        self.init(
            coinb1: job.coinb1, coinb2: job.coinb2, branches: job.branches, version: job.version,
            previousBlock: job.previousBlock, nbits: job.nbits)
    }
}

/// What the pool said so far, as the pool-facing session reports it.
struct PoolView {
    var session: PoolSession
    var extranonce1: [UInt8] = []
    var extranonce2Size = 0
    var jobs: [String: PoolJob] = [:]

    /// A real pool's answers carry the recorded miner's ids, so handshakes are rewritten to ours and shares' are skipped.
    mutating func receive(_ line: String, _ id: String) -> PoolSession.Event {
        let rewritten = line.replacing("\"id\":\(id)", with: "\"id\":\(id == "1" ? "1" : "2")")
        let event = session.receive(Array(rewritten.utf8), at: Timestamp(microseconds: 0))
        if case .job(let job) = event { jobs[job.job.id] = job }
        if case .subscribed(let first, let size, _) = event { (extranonce1, extranonce2Size) = (first, size) }
        return event
    }
}

@Test(arguments: sessions)
func recordedSharesAreWorthTheirDifficulty(name: String) throws {
    var miner = MinerSession(connectedAt: Timestamp(microseconds: 0))
    var configuration = PoolSession.Configuration(user: "u", password: "x")
    configuration.versionMask = 0
    var pool = PoolView(session: PoolSession(configuration))
    _ = pool.session.start(at: Timestamp(microseconds: 0))
    var shares = 0, isReady = false
    for entry in try recorded(name) {
        if entry.from == "pool" {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(entry.line.utf8)) as? [String: Any])
            let event = pool.receive(entry.line, (object["id"] as? Int).map(String.init) ?? "null")
            if case .malformed(let error) = event { Issue.record("\(error): \(entry.line)") }
            if event == .ready { isReady = true }
            continue
        }
        switch miner.receive(Array(entry.line.utf8)) {
        case .subscribe(let id, let subscription):
            #expect(subscription.userAgent != nil)
            _ = miner.accept(subscribe: id, extranonce1: [0, 0, 0, 1], extranonce2Size: 8, sessionID: "s")
        case .authorize(let id, let login): _ = miner.accept(authorize: id, login)
        case .subscribesExtranonce: break
        case .submit(let id, let share):
            #expect(id == .number(4))
            let job = try #require(pool.jobs[share.jobID])
            #expect(share.extranonce2.count == job.extranonce2Size)
            let header = WorkTemplate(job.job).header(
                extranonce1: job.extranonce1, extranonce2: share.extranonce2, ntime: share.ntime, nonce: share.nonce,
                version: try #require(share.version(of: job.job, mask: 0)))
            #expect(ShareCheck(header, assigned: job.difficulty.target).meetsShare)
            shares += 1
        case let action: Issue.record("unexpected \(action)")
        }
    }
    #expect(isReady)
    #expect(shares == (name.hasPrefix("minerd") ? 57 : 87))
}

@Test(arguments: sessions)
func recordedJobsComeBackByteForByte(name: String) throws {
    var notifies = 0
    for entry in try recorded(name) where entry.line.contains("mining.notify\"}") {
        var view = PoolView(session: PoolSession(.init(user: "u", password: "x")))
        _ = view.session.start(at: Timestamp(microseconds: 0))
        let answer = "{\"id\":2,\"result\":[[],\"01020304\",8],\"error\":null}"
        _ = view.session.receive(Array(answer.utf8), at: Timestamp(microseconds: 0))
        guard case .job(let job) = view.receive(entry.line, "null") else {
            Issue.record("no job: \(entry.line)")
            continue
        }
        let ours = try JSONSerialization.jsonObject(with: Data(Line.notify(job.job))) as? NSDictionary
        let theirs = try JSONSerialization.jsonObject(with: Data(entry.line.utf8)) as? NSDictionary
        #expect(ours == theirs)
        notifies += 1
    }
    #expect(notifies == 7)
}

struct SlushShare: Decodable {
    var extranonce1: String
    var submit: [String]
    var hash: String
}

@Test func slushExampleHashesAsDocumented() throws {
    let text = try Vectors.text("slush-share.json")
    let example = try JSONDecoder().decode(SlushShare.self, from: Data(text.utf8))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let notify = ["id": NSNull(), "method": "mining.notify", "params": object["notify"] as Any] as [String: Any]
    var pool = PoolSession(.init(user: "slush.miner1", password: ""))
    _ = pool.start(at: Timestamp(microseconds: 0))
    let answer = "{\"id\":2,\"result\":[[],\"\(example.extranonce1)\",4],\"error\":null}"
    _ = pool.receive(Array(answer.utf8), at: Timestamp(microseconds: 0))
    let line = try JSONSerialization.data(withJSONObject: notify)
    guard case .job(let job) = pool.receive(Array(line), at: Timestamp(microseconds: 0)) else {
        Issue.record("no job")
        return
    }
    var miner = MinerSession(connectedAt: Timestamp(microseconds: 0))
    _ = miner.receive(Array("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}".utf8))
    _ = miner.accept(subscribe: .number(1), extranonce1: job.extranonce1, extranonce2Size: 4, sessionID: "")
    _ = miner.accept(authorize: .number(2), .init(user: "slush.miner1", password: ""))
    let submit = "{\"id\":4,\"method\":\"mining.submit\",\"params\":\(example.submit)}"
    guard case .submit(_, let share) = miner.receive(Array(submit.utf8)) else {
        Issue.record("no share")
        return
    }
    let header = WorkTemplate(job.job).header(
        extranonce1: job.extranonce1, extranonce2: share.extranonce2, ntime: share.ntime, nonce: share.nonce,
        version: job.job.version)
    let check = ShareCheck(header, assigned: ShareDifficulty(units: 65_536).target)
    #expect(check.hash.description == example.hash)
    #expect(check.meetsShare)
    #expect(check.meetsNetwork)
}
