import Database
import Exchange
import Foundation
import Glibc
import Logging
import Market
import Miner
import MiningPool
import Server
import Store
import Stratum
import TestSupport
import Testing
import Units

/// Says a login to an edge and returns the line that answers it.
private func login(port: Int, user: String, password: String) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async {
            continuation.resume(with: Result { try sayLogin(port: port, user: user, password: password) })
        }
    }
}

private struct NoAnswer: Error {}

private func sayLogin(port: Int, user: String, password: String) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var patience = timeval(tv_sec: 40, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    address.sin_port = UInt16(port).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else { throw NoAnswer() }
    let said = Array("""
        {"id":1,"method":"mining.subscribe","params":["test"]}
        {"id":77,"method":"mining.authorize","params":["\(user)","\(password)"]}

        """.utf8)
    guard send(descriptor, said, said.count, Int32(MSG_NOSIGNAL)) == said.count else { throw NoAnswer() }
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { throw NoAnswer() }
        text += String(decoding: buffer[..<count], as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        if let answer = lines.first(where: { $0.contains(#""id":77"#) }) { return String(answer) }
    }
}

/// Farms' workers and blocks at an edge of its own.
@Suite(.serialized) struct SeparateEdgeFleetTests {
    /// A pool for which every share is a block.
    private func blockPool() async throws -> (pool: MiningPool, url: String) {
        var configuration = MiningPoolConfiguration()
        configuration.difficulty = DecimalDifficulty(ShareDifficulty(units: 32))
        configuration.nbits = 0x207f_ffff
        configuration.reportInterval = nil
        var logger = Logger(label: "pool")
        logger.logLevel = .error
        let pool = MiningPool(configuration, logger: logger)
        return (pool, "stratum+tcp://127.0.0.1:\(try await pool.start().stratum)")
    }

    private func target(_ api: API, _ owner: Customer, _ url: String) async throws -> Int64 {
        let made = try await api.call("POST", "/v1/pool-targets", owner, ["name": "pool", "url": url, "user": "user"])
        let id = try #require(made.int("id"), "\(made)")
        let report = try await api.call("POST", "/v1/pool-targets/\(id)/verify", owner)
        try #require((report.body["target"] as? [String: Any])?["status"] as? String == "verified", "\(report)")
        return id
    }

    /// As after a failure between commit and removal: the exchange takes the worker and the block a second time.
    private func takeAgain(_ block: Int64, by market: TestMarket) async throws {
        try await market.tables { database in
            let row = try await database.read { connection in
                try connection.queryOne("SELECT hash FROM blocks WHERE id = $1", [.integer(block)])?.blob(0)
            }
            let report = BlockReport(
                edge: EdgeID(2), receivedAt: MarketService.systemClock(), rig: RigID(1), delivery: nil, target: PoolTargetID(1),
                hash: try #require(row), header: Array(repeating: 0, count: 80), poolJob: "", isForwarded: false)
            let reports = EdgeReportStore(database)
            try await reports.add([
                EdgeReport(at: report.receivedAt, kind: .workerCame(FarmID(1), worker: "w1", request: 1)),
                EdgeReport(at: report.receivedAt, kind: .blockFound(report)),
                EdgeReport(at: report.receivedAt, kind: .blockJudged(hash: report.hash, .rejected, poolError: 1)),
            ], of: EdgeID(2))
            try await eventually("they are taken") { try await reports.waiting(most: 1).isEmpty }
        }
    }

    @Test func aWorkerBecomesARigIsSoldAndFindsBlocks() async throws {
        let apart = try await Apart { $0.rules.shareInterval = .seconds(1) }
        let market = apart.market, port = apart.edge.stratumPort
        let (home, homeURL) = try await blockPool()
        let away = try await startPool(seed: 2, extranonce2Size: 6)
        let seller = try await market.customer("seller", .seller)
        let buyer = try await market.customer("buyer", .buyer)
        let finance = try await market.customer("finance", .finance)
        let deposit = try await market.api.call("POST", "/v1/deposits", finance, [
            "account": buyer.account, "amount": 1_000_000_000, "reference": "wire-1",
        ])
        try #require(deposit.status == 201, "\(deposit)")
        let awayTarget = try await target(market.api, buyer, away.url)
        let fallback = try await target(market.api, seller, homeURL)
        try #require(try await market.api.call("POST", "/v1/farms", seller, ["name": "barn"]).status == 201)
        let made = try await market.api.call(
            "PUT", "/v1/farms/1/login", seller, ["name": "barn", "fallbackPoolTargetID": fallback, "mostRigs": 1])
        let user = try #require(made.text("user"), "\(made)"), password = try #require(made.text("password"))
        #expect(try await market.api.call("PUT", "/v1/farms/1/offer", seller, ["price": 1_000_000, "lots": "all"]).status == 200)
        func rigs() async throws -> [[String: Any]] { try await market.api.call("GET", "/v1/rigs", seller).items }

        let miner = try makeMiner(port: port, user: "\(user).w1", password: password)
        let mining = Task { try await miner.run() }
        try await eventually("the worker is a rig of the farm") {
            let all = try await rigs()
            return all.count == 1 && all.first?["status"] as? String == "online" && all.first?["farmID"] as? Int == 1
        }
        let wrong = try await login(port: port, user: "\(user).w2", password: "wrong")
        #expect(wrong.contains("24") && !wrong.contains("as many rigs"), "\(wrong)")
        let surplus = try await login(port: port, user: "\(user).w2", password: password)
        #expect(surplus.contains("The farm has as many rigs as its login allows."), "\(surplus)")
        #expect(try await rigs().count == 1)

        try await eventually("a block is there with the pool's word") {
            try await market.api.call("GET", "/v1/blocks", seller).items.contains { $0["verdict"] as? String == "accepted" }
        }
        let found = try await market.api.call("GET", "/v1/blocks", seller).items.first { $0["verdict"] as? String == "accepted" }
        let block = try #require(found)
        #expect((block["header"] as? String)?.count == 160)
        #expect(block["owner"] as? Int == Int(seller.account))

        try await takeAgain(number(block, "id"), by: market)
        #expect(try await rigs().count == 1)
        let blocks = try await market.api.call("GET", "/v1/blocks", seller).items
        let same = blocks.filter { $0["hash"] as? String == block["hash"] as? String }
        #expect(same.map { $0["verdict"] as? String } == ["accepted"])

        let bid = try await market.api.call("POST", "/v1/bids", buyer, [
            "price": 1_500_000, "lots": 1000, "poolTargetIDs": [awayTarget],
        ])
        #expect(bid.status == 201, "\(bid)")
        try await eventually("the rig works for the buyer") { try await away.pool.snapshot().accepted >= 5 }

        let rotated = try await market.api.call(
            "PUT", "/v1/farms/1/login", seller, ["rotatePassword": true, "mostRigs": 2])
        let newPassword = try #require(rotated.text("password"), "\(rotated)")
        let second = try makeMiner(port: port, user: "\(user).w2", password: newPassword)
        let working = Task { try await second.run() }
        try await eventually("another worker came with the new password") {
            try await rigs().contains { ($0["user"] as? String)?.hasSuffix(".w2") == true && $0["status"] as? String == "online" }
        }
        for task in [mining, working] {
            task.cancel()
            _ = await task.result
        }
        await apart.edge.stop()
        await market.stop()
        #expect(try await market.brokenInvariants() == [])
        await market.end()
        _ = try await home.stop()
        _ = try await away.pool.stop()
    }
}
