import Database
import Exchange
import Foundation
import Market
import MiningPool
import ProofOfWork
import Server
import Store
import TestSupport
import Testing
import Units

/// From a bill back to headers that anyone can hash, with real proof of work.
@Suite(.serialized) struct ExplainTests {
    @Test(arguments: Engine.allCases)
    func everyLineLeadsToHeadersThatAnyoneCanHash(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        try await market.start()
        let trade = try await Trade(market)
        _ = try await trade.bid()
        try await eventually("the rig delivers") { try await trade.buyerPool.snapshot().accepted >= 20 }
        try await eventually("something is billed") { number(try await trade.deliveries().first, "charged") > 0 }
        await trade.stopMining()
        try await eventually("all of it is billed") {
            let delivery = try await trade.deliveries().first
            return number(delivery, "settledWork") == number(delivery, "billableWork")
        }
        let lines = try await market.tables { try await ReportStore($0).settlementLines(account: nil, after: 0, limit: 100) }
        try #require(!lines.isEmpty)
        for line in lines { try await checkLine(line.number, trade) }
        try await checkShares(lines[lines.count - 1].number, trade)
        try await checkWhoSees(lines[0].number, trade)
        let options = engine == .sqlite ? ["--data", market.configuration.dataFolder] : try databaseOptions(market)
        try checkCommand(lines[lines.count - 1].number, options)
        try await trade.end()
    }

    private func databaseOptions(_ market: TestMarket) throws -> [String] {
        guard case .postgres(let url)? = market.configuration.database else { return [] }
        return ["--database", url]
    }

    private func checkLine(_ line: Int64, _ trade: Trade) async throws {
        let answer = try await trade.market.api.call("GET", "/v1/settlement/lines/\(line)", trade.buyer)
        #expect(answer.status == 200, "\(answer)")
        let formula = try #require(answer.body["formula"] as? [String: Any])
        #expect(formula["holds"] as? Bool == true)
        #expect(number(formula, "charge") == answer.int("charge"))
        #expect((formula["steps"] as? [String])?.contains { $0.hasPrefix("N after = ") } == true)
    }

    /// Slots, batches and shares of a line agree, page by page, and each header is what it is said to be.
    private func checkShares(_ line: Int64, _ trade: Trade) async throws {
        let path = "/v1/settlement/lines/\(line)"
        let slots = try await pages(path + "/slots", 1, trade)
        let batches = try await pages(path + "/batches", 2, trade)
        let shares = try await pages(path + "/shares", 7, trade)
        let valid = shares.filter { $0["verdict"] as? String == "valid" }
        #expect(valid.count > 10)
        #expect(slots.reduce(0) { $0 + number($1, "validShares") } == Int64(valid.count))
        #expect(slots.reduce(0) { $0 + number($1, "validWork") } == valid.reduce(0) { $0 + number($1, "work") })
        #expect(batches.reduce(0) { $0 + number($1, "sharesOfLine") } == Int64(shares.count))
        let names = shares.map { "\(number($0, "edge"))/\(number($0, "epoch"))/\(number($0, "number"))" }
        #expect(Set(names).count == names.count, "a share on two pages")
        for share in valid {
            let header = try #require(share["header"] as? [String: Any])
            #expect(header["isAsRecorded"] as? Bool == true)
            #expect(header["meetsTarget"] as? Bool == true)
            #expect(header["hash"] as? String == share["hash"] as? String)
        }
        try checkByShell(try #require(valid.last?["header"] as? [String: Any]))
    }

    /// Types what the answer says, and hashes the header in a third way: by hand.
    private func checkByShell(_ header: [String: Any]) throws {
        let check = try #require(header["shellCheck"] as? String)
        let hash = try #require(header["hash"] as? String)
        let bytes = try #require((header["header"] as? String).flatMap { hexBytes($0) })
        #expect(bytes.count == 80)
        let parsed = try #require(BlockHeader(bytes: bytes))
        #expect(SHA256D.hash(parsed).description == hash)
        let root = try #require((header["merkleRoot"] as? String).flatMap { hexBytes($0) })
        #expect(Array(bytes[36..<68]) == root)
        let coinbase = DoubleSHA256.hash(try #require((header["coinbase"] as? String).flatMap { hexBytes($0) }))
        let branches = (header["branches"] as? [String] ?? []).compactMap { hexBytes($0).flatMap { Hash256(bytes: $0) } }
        #expect(DoubleSHA256.merkleRoot(coinbase: coinbase, branches: branches).bytes == root)
        let typed = try runToEnd("/bin/sh", ["-c", check])
        #expect(typed.status == 0, "xxd and sha256sum are needed: \(typed.errors)")
        #expect(hexBytes(typed.output.trimmingCharacters(in: .whitespacesAndNewlines)).map { Array($0.reversed()) } == hexBytes(hash))
    }

    private func pages(_ path: String, _ limit: Int, _ trade: Trade) async throws -> [[String: Any]] {
        var items: [[String: Any]] = []
        var cursor = ""
        while true {
            let page = try await trade.market.api.call("GET", "\(path)?limit=\(limit)\(cursor)", trade.seller)
            try #require(page.status == 200, "\(page)")
            items += page.items
            #expect(page.items.count <= limit)
            guard let next = page.text("nextCursor") else { return items }
            cursor = "&cursor=\(next)"
        }
    }

    private func checkWhoSees(_ line: Int64, _ trade: Trade) async throws {
        let stranger = try await trade.market.customer("stranger", .buyer), finance = try await trade.market.customer("auditor", .finance)
        for path in ["", "/slots", "/batches", "/shares"] {
            let path = "/v1/settlement/lines/\(line)\(path)"
            #expect(try await trade.market.api.call("GET", path, stranger).status == 404)
            #expect(try await trade.market.api.call("GET", path, finance).status == 200)
        }
        let unknown = try await trade.market.api.call("GET", "/v1/settlement/lines/\(line + 1)", finance)
        #expect(unknown.text("code") == "settlementLineUnknown")
    }

    private func checkCommand(_ line: Int64, _ options: [String]) throws {
        let text = try hashspotProgram(["explain", "\(line)", "--headers"] + options)
        #expect(text.status == 0, "\(text.errors)")
        #expect(text.output.contains("The line is what the formula gives."))
        #expect(text.output.contains("| xxd -r -p | sha256sum"))
        #expect(!text.output.contains("NOT"))
        let objects = try hashspotProgram(["explain", "\(line)", "--headers", "--json"] + options).output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(Set(objects.compactMap { $0["kind"] as? String }) == ["line", "slot", "batch", "share"])
        let valid = objects.filter { $0["verdict"] as? String == "valid" }
        #expect(!valid.isEmpty)
        #expect(valid.allSatisfy { $0["isProven"] as? Bool == true })
        let unknown = try hashspotProgram(["explain", "\(line + 1)"] + options)
        #expect(unknown.status == 1)
        #expect(unknown.errors == "Error: there is no settlement line \(line + 1)\n")
    }
}

/// What the audit command says and how it ends.
@Suite(.serialized) struct AuditCommandTests {
    @Test func namesWhatIsBroken() async throws {
        let market = try await TestMarket(.sqlite)
        try await market.start()
        let finance = try await market.customer("finance", .finance), buyer = try await market.customer("buyer", .buyer)
        for number in 1...30 {
            let body: [String: Any] = ["account": buyer.account, "amount": 1000, "reference": "wire-\(number)"]
            try #require(try await market.api.call("POST", "/v1/deposits", finance, body).status == 201)
        }
        await market.stop()
        let folder = market.configuration.dataFolder
        let whole = try hashspotProgram(["audit", "--data", folder, "--replay"])
        #expect(whole.status == 0, "\(whole.output)\(whole.errors)")
        #expect(whole.output.contains("ok      journal.replay"))
        let database = try Database.openConnection(.sqlite(path: folder + "/market.sqlite"))
        try database.script("DROP TRIGGER ledger_postings_not_changed; UPDATE ledger_postings SET amount = amount + 1 WHERE line = 0")
        database.close()
        let some = try hashspotProgram(["audit", "--data", folder, "--only", "ledger.entrySum,ledger.total"])
        #expect(some.status == 1)
        #expect(some.errors == "Error: 1 invariant is broken; see above\n")
        let lines = some.output.split(separator: "\n")
        #expect(lines.count == 23)
        #expect(lines[0] == "BROKEN  ledger.entrySum: every ledger entry sums to zero (30 rows): 30")
        #expect(lines[1].contains("entry 1 (wire-1): 1 instead of 0"))
        #expect(lines[21].contains("and 10 more; --all names them"))
        let all = try hashspotProgram(["audit", "--data", folder, "--only", "ledger.entrySum", "--all", "--json"])
        let objects = try all.output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(objects.count == 31)
        #expect(number(objects.last, "violations") == 30)
        #expect(try hashspotProgram(["audit", "--data", folder, "--replay"]).errors.contains("invariants are broken"))
        #expect(try hashspotProgram(["audit", "--data", folder, "--only", "nonsense"]).errors.contains("there is no invariant 'nonsense'"))
        #expect(try hashspotProgram(["audit", "--data", folder, "--since", "yesterday"]).errors.contains("--since is not a day or month"))
        #expect(try hashspotProgram(["audit", "--codes"]).output.split(separator: "\n").count == Audit.invariants.count)
        await market.end()
    }

    /// The benchmark's own market is settled and audited without a finding.
    @Test func theBenchmarkRunsSmall() throws {
        let result = try hashspotProgram(["bench", "settle", "--deliveries", "300", "--lines", "600", "--json"])
        #expect(result.status == 0, "\(result)")
        let reports = try result.output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(reports.map { $0["variant"] as? String } == ["sqlite interval", "sqlite audit"])
        #expect(number(reports[0], "intervals") == 2)
        #expect(number(reports[1], "operations") >= 600)
        #expect(reports[1]["check"] as? String == "all hold")
    }
}

private func hashspotProgram(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
    let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "hashspot")
    return try runToEnd(program.path(), arguments)
}

private func hexBytes(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
        UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
    return bytes.count * 2 == digits.count ? bytes : nil
}
