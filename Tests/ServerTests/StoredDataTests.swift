import Database
import Foundation
import Market
import Miner
import MiningPool
import Server
import Store
import TestSupport
import Testing

/// Runs the built command to its end.
private func hashspot(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
    let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "hashspot")
    return try runToEnd(program.path(), arguments)
}

/// Without the triggers that guard the books.
private func script(_ sql: String, _ path: String) throws {
    let connection = try Database.openConnection(.sqlite(path: path))
    defer { connection.close() }
    let guards = try connection.query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    for row in guards { try connection.script("DROP TRIGGER \"\(try row.text(0))\"") }
    try connection.script(sql)
    for row in guards { try connection.script(try row.text(1)) }
}

private func count(_ sql: String, _ path: String) throws -> Int64 {
    let connection = try Database.openConnection(.sqlite(path: path))
    defer { connection.close() }
    return try connection.query(sql)[0].int64(0)
}

/// What operators do with stored data, through the command and real servers.
@Suite(.serialized) struct StoredDataTests {
    /// A market that ran for a moment.
    private func stopped() async throws -> TestMarket {
        let market = try await TestMarket(.sqlite)
        try await market.start()
        let finance = try await market.customer("finance", .finance)
        for number in 1...5 {
            let answer = try await market.api.call(
                "POST", "/v1/deposits", finance, ["account": finance.account, "amount": 1000, "reference": "wire \(number)"])
            try #require(answer.status == 201, "\(answer)")
        }
        await market.stop()
        return market
    }

    @Test func verifyTellsByItsStatus() async throws {
        let market = try await stopped()
        let folder = market.configuration.dataFolder
        let healthy = try hashspot("verify", "--data", folder)
        #expect(healthy.status == 0, "\(healthy)")
        #expect(healthy.output.hasSuffix("\nok\n"))
        #expect(healthy.errors == "")
        try script("UPDATE ledger_entries SET reference = 'forged' WHERE id = 2", folder + "/market.sqlite")
        let forged = try hashspot("verify", "--data", folder)
        #expect(forged.status == 1)
        #expect(forged.output.contains("DIFFERS ledger_entries 2: expected reference 'wire 2', found reference 'forged'"))
        #expect(forged.errors == "Error: 1 differences; see above\n")
        let lines = try hashspot("verify", "--data", folder, "--json").output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(lines.count == 2)
        #expect(lines[0]["code"] as? String == "table.rowDiffers")
        #expect(lines[0]["subject"] as? String == "ledger_entries 2")
        #expect(lines[1]["holds"] as? Bool == false)
        await market.end()
    }

    @Test func rebuildIsRefusedBesideAServerAndHealsWithoutOne() async throws {
        let market = try await stopped()
        let folder = market.configuration.dataFolder
        try await market.start()
        let refused = try hashspot("rebuild", "--data", folder)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("in use by another server"))
        // Beside the server, which goes on.
        #expect(try hashspot("verify", "--data", folder).status == 0)
        await market.stop()
        try script("DELETE FROM ledger_postings; UPDATE deposits SET amount = 7; UPDATE projector SET state_hash = 1", folder + "/market.sqlite")
        await #expect(throws: (any Error).self) { try await market.start() }
        #expect(try hashspot("verify", "--data", folder).status == 1)
        let rebuilt = try hashspot("rebuild", "--data", folder)
        #expect(rebuilt.status == 0, "\(rebuilt)")
        #expect(try hashspot("verify", "--data", folder).status == 0)
        #expect(try hashspot("audit", "--data", folder).status == 0)
        try await market.start()
        await market.end()
    }

    @Test func commandsThatFindNoMarketMakeNone() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let nowhere = folder.file("nowhere")
        for arguments in [["verify", "--data", nowhere], ["rebuild", "--data", nowhere], ["backup", "--data", nowhere, "--to", folder.file("copy")]] {
            let result = try arguments.count == 3
                ? hashspot(arguments[0], arguments[1], arguments[2])
                : hashspot(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4])
            #expect(result.status == 1, "\(arguments)")
            #expect(result.errors.contains("There is no market in \(nowhere)"), "\(result)")
            #expect(result.errors.split(separator: "\n").count == 1)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    // MARK: - Migrations

    @Test func migrateSaysWhatItFinds() async throws {
        let market = try await stopped()
        let folder = market.configuration.dataFolder
        let upToDate = try hashspot("migrate", "--data", folder)
        #expect(upToDate.status == 0)
        #expect(upToDate.output == "up to date\n")
        for (file, name) in [("market.sqlite", "tables"), ("journal.sqlite", "journal")] {
            let path = "\(folder)/\(file)"
            let digest = try #require(try Database.openConnection(.sqlite(path: path)).query(
                "SELECT digest FROM schema_migrations WHERE number = 1").first).text(0)
            try script("UPDATE schema_migrations SET digest = '\(String(repeating: "0", count: 64))' WHERE number = 1", path)
            let changed = try hashspot("migrate", "--data", folder)
            #expect(changed.status == 1, "\(name)")
            #expect(changed.errors.contains("a shipped migration must never change"), "\(changed)")
            #expect(changed.errors.split(separator: "\n").count == 1)
            try script("UPDATE schema_migrations SET digest = '\(digest)' WHERE number = 1", path)
            let next = try count("SELECT max(number) + 1 FROM schema_migrations", path)
            try script(
                """
                INSERT INTO schema_migrations SELECT \(next), stream, 'later', digest, applied_at FROM schema_migrations
                WHERE number = 1
                """, path)
            for command in ["migrate", "verify"] {
                let newer = try hashspot(command, "--data", folder)
                #expect(newer.status == 1, "\(name)")
                #expect(newer.errors.contains("use a newer program"), "\(newer)")
            }
            await #expect(throws: (any Error).self) { try await market.start() }
            try script("DELETE FROM schema_migrations WHERE number = \(next)", path)
        }
        #expect(try hashspot("migrate", "--data", folder).status == 0)
        await market.end()
    }

    // MARK: - Damage

    /// Overwrites all pages but the first.
    private func ruin(_ path: String) throws {
        for end in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + end) }
        var bytes = try Data(contentsOf: URL(filePath: path))
        try #require(bytes.count > 8192)
        for index in stride(from: 4096, to: bytes.count, by: 7) { bytes[index] = 0x5a }
        try bytes.write(to: URL(filePath: path))
    }

    @Test(arguments: ["journal.sqlite", "market.sqlite", "spool.sqlite"])
    func aDamagedFileIsNamedAtTheStart(_ file: String) async throws {
        let market = try await stopped()
        try ruin("\(market.configuration.dataFolder)/\(file)")
        let refused = try hashspot(
            "serve", "--data", market.configuration.dataFolder, "--api-port", "0", "--stratum-port", "0", "--market", "demo",
            "--for", "60")
        #expect(refused.status == 1)
        let error = refused.errors.split(separator: "\n").last.map(String.init) ?? ""
        #expect(error.hasPrefix("Error: cannot start:"), "\(refused)")
        #expect(error.contains(file), "\(refused)")
        await market.end()
    }

    // MARK: - Backup

    /// A backup while a rig hashes and money comes in; the copy is served, and the rig goes on there.
    @Test func aBackupUnderLoadIsServedAgain() async throws {
        let market = try await TestMarket(.sqlite)
        try await market.start()
        let (pool, url) = try await startPool(seed: 5)
        let finance = try await market.customer("finance", .finance), seller = try await market.customer("seller", .seller)
        let made = try await market.api.call("POST", "/v1/pool-targets", seller, ["name": "p", "url": url, "user": "p"])
        let target = try #require(made.int("id"), "\(made)")
        _ = try await market.api.call("POST", "/v1/pool-targets/\(target)/verify", seller)
        let rig = try await market.api.call("POST", "/v1/rigs", seller, ["name": "rig", "fallbackPoolTargetID": target])
        let (user, password) = (try #require(rig.text("user")), try #require(rig.text("password")))
        let first = Task { [port = market.configuration.stratumPort] in
            try await makeMiner(port: port, user: user, password: password).run()
        }
        let api = market.api
        let deposits = Task {
            var number = 0
            while !Task.isCancelled {
                number += 1
                _ = try await api.call(
                    "POST", "/v1/deposits", finance, ["account": finance.account, "amount": 10, "reference": "wire \(number)"])
            }
        }
        let folder = market.configuration.dataFolder
        try await eventually("shares are kept") { try count("SELECT count(*) FROM shares", folder + "/market.sqlite") > 20 }

        let copy = market.folder.file("copy")
        let backup = try hashspot("backup", "--data", folder, "--to", copy, "--json")
        #expect(backup.status == 0, "\(backup)")
        let again = try hashspot("backup", "--data", folder, "--to", copy)
        #expect(again.status == 1)
        #expect(again.errors.contains("is there already"))
        deposits.cancel()
        _ = await deposits.result
        first.cancel()
        _ = await first.result
        await market.stop()

        for path in [copy, folder] {
            let verified = try hashspot("verify", "--data", path)
            #expect(verified.status == 0, "\(verified)")
            #expect(try hashspot("audit", "--data", path).status == 0)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: copy).sorted() == ["api.secret", "journal.sqlite", "market.sqlite"])
        let kept = try count("SELECT count(*) FROM shares", copy + "/market.sqlite")
        #expect(kept > 20)

        market.configuration.dataFolder = copy
        try await market.start()
        let second = Task { [port = market.configuration.stratumPort] in
            try await makeMiner(port: port, user: user, password: password).run()
        }
        // The keys and the secret are those of the original; shares come under a new epoch.
        let deposit = try await market.api.call(
            "POST", "/v1/deposits", finance, ["account": finance.account, "amount": 10, "reference": "after"])
        #expect(deposit.status == 201, "\(deposit)")
        try await eventually("new shares are kept") {
            try count("SELECT count(*) FROM shares WHERE epoch = 2", copy + "/market.sqlite") > 5
        }
        second.cancel()
        _ = await second.result
        await market.stop()
        #expect(try hashspot("verify", "--data", copy).status == 0)
        #expect(try await market.brokenInvariants() == [])
        _ = try await pool.stop()
        await market.end()
    }
}
