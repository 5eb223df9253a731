import Foundation
import Metering
import StratumProxy
import TestSupport
import Testing
import Units

struct RecordedLine: Decodable {
    var from: String
    var line: String

    var object: [String: Any] {
        ((try? JSONSerialization.jsonObject(with: Data(line.utf8))) as? [String: Any]) ?? [:]
    }
    var method: String? { object["method"] as? String }
    var parameters: [Any] { object["params"] as? [Any] ?? [] }
}

/// Recorded traffic: `../shared/vectors/sessions` beside the package, or below `HASHSPOT_SHARED`.
func recorded(_ name: String) throws -> [RecordedLine] {
    let text = try Vectors.text("sessions/\(name).jsonl")
    return try text.split(separator: "\n").map { try JSONDecoder().decode(RecordedLine.self, from: Data($0.utf8)) }
}

/// A recorded miner on one side and a recorded pool on the other: with prefix, padding and the rig's extranonce2 spelling
/// the recorded extranonce2, every recorded share stays valid and reaches the pool as it was recorded.
@Suite("Recorded sessions through the fold", .serialized)
struct ReplayTests {
    @Test(arguments: [("minerd-2.5.1--ckpool", 57), ("cpuminer-opt-26.1--ckpool", 87)])
    func replay(name: String, shares: Int) async throws {
        let lines = try recorded(name)
        let subscription = try #require(lines.first { $0.from == "pool" && $0.object["result"] is [Any] })
        let result = try #require(subscription.object["result"] as? [Any])
        let pool = ScriptedPool(
            extranonce1: try #require(result[1] as? String), extranonce2Size: try #require(result[2] as? Int))
        let setup = try Setup {
            $0.startDifficulty = ShareDifficulty(units: 1 << 30)
            $0.shareInterval = .seconds(1_000_000)
        }
        setup.directory.add(target: 1, port: try await pool.start(), user: "buyer")
        let login = try #require(lines.first { $0.method == "mining.authorize" })
        setup.directory.add(rig: 1, user: try #require(login.parameters[0] as? String), fallback: 1)
        try await setup.start()
        let rig = try await RawClient(port: setup.port)
        var replay = Replay(pool: pool, rig: rig)
        let accepted = try await replay.play(lines)
        #expect(accepted == shares)
        try await setup.quiescent()
        let expected = lines.filter { $0.method == "mining.submit" }
            .map { ["buyer"] + ($0.parameters as? [String] ?? []).dropFirst() }
        #expect(pool.submits == expected)
        try await eventually("records") { setup.sink.total(nil).poolAccepted == Int64(shares) }
        #expect(setup.sink.total(nil).validShares == Int64(shares))
        try await setup.stop()
        try await pool.stop()
    }
}

/// Plays a recording's two sides in its order.
private struct Replay {
    let pool: ScriptedPool
    let rig: RawClient
    /// Names of the edge's jobs by the pool's.
    var names: [String: String] = [:]
    /// What the pool said before the edge was connected to it.
    var early: [RecordedLine] = []
    var accepted = 0

    init(pool: ScriptedPool, rig: RawClient) {
        self.pool = pool
        self.rig = rig
    }

    mutating func play(_ lines: [RecordedLine]) async throws -> Int {
        for line in lines {
            switch (line.from, line.method) {
            case ("pool", "mining.set_difficulty"), ("pool", "mining.notify"):
                if pool.isAuthorized { try await say(line) } else { early.append(line) }
            case ("pool", _): break
            case (_, "mining.submit"): try await submit(line)
            case (_, let method): try await handshake(line, method)
            }
        }
        return accepted
    }

    private mutating func handshake(_ line: RecordedLine, _ method: String?) async throws {
        try await rig.send(line.line + "\n")
        let answer = try await self.answer()
        #expect(answer.contains("\"error\":null"), "\(answer)")
        guard method == "mining.authorize" else { return }
        let pool = pool
        try await eventually("the edge at the pool") { pool.isAuthorized }
        for line in early { try await say(line) }
        early = []
    }

    /// The next line that is not a notification.
    private mutating func answer() async throws -> String {
        while true {
            let line = try await rig.line()
            if !line.contains("\"method\"") { return line }
        }
    }

    private mutating func say(_ line: RecordedLine) async throws {
        try await pool.say(line.line)
        guard line.method == "mining.notify", let name = line.parameters[0] as? String else { return }
        while true {
            let heard = RecordedLine(from: "edge", line: try await rig.line())
            guard heard.method == "mining.notify" else { continue }
            names[name] = heard.parameters[0] as? String
            return
        }
    }

    private mutating func submit(_ line: RecordedLine) async throws {
        var message = line.object
        var parameters = try #require(line.parameters as? [String])
        parameters[1] = try #require(names[parameters[1]])
        parameters[2] = String(parameters[2].suffix(8))
        message["params"] = parameters
        try await rig.send(String(decoding: try JSONSerialization.data(withJSONObject: message), as: UTF8.self) + "\n")
        let answer = try await self.answer()
        if answer.contains("\"result\":true") { accepted += 1 } else { Issue.record("\(answer)") }
    }
}
