import Database
import Exchange
import Ledger
import Market
import MarketTestSupport
import Store
import TestSupport
import Testing
import Units

@Suite("Verifier")
struct VerifierTests {
    @Test(arguments: ProjectionTests.cases)
    func holdsOnAnyHonestHistory(_ example: ProjectionTests.Case) async throws {
        try await Chronicle.with(example.engine, seed: example.seed) { chronicle in
            let report = try await chronicle.verify()
            #expect(report.findings == [])
            #expect(report.holds)
            #expect(report.journal == chronicle.ends.last)
            #expect(report.tables == chronicle.projected)
            #expect(report.rows == Int64(chronicle.ends.count))
            #expect(report.commands == chronicle.ends.last)
            #expect(report.decided == report.commands)
            #expect(report.stateHash != nil)
            #expect(report.digests.map(\.table) == ["ledger_entries", "ledger_postings", "settlement_lines", "answers"])
            for table in report.digests {
                #expect(table.rows == (try chronicle.number("SELECT count(*) FROM \(table.table)")), "\(table.table)")
                guard Seeds.isFixed(example.seed) else { continue }
                #expect(table.rows > 5, "the history is too dull: \(table)")
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func holdsOnAnEmptyMarket(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let report = try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
            #expect(report.findings == [])
            #expect(report.journal == 0)
            #expect(report.digests.map(\.rows) == [0, 0, 0, 0])
        }
    }

    @Test func digestsAreTheSameOnBothEngines() async throws {
        var digests: [[TableDigest]] = []
        for engine in Engine.allCases {
            try await Chronicle.with(engine, seed: 5) { digests.append(try await $0.verify().digests) }
        }
        #expect(digests[0] == digests[1])
    }

    @Test(arguments: Engine.allCases)
    func progressIsTold(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 3, rows: 6, tail: 0) { chronicle in
            let seen = Told()
            _ = try await JournalVerifier(tables: chronicle.storage.tables, journal: chronicle.storage.journal).run {
                seen.add($0)
            }
            let last = try #require(seen.all.last)
            #expect(last.position == chronicle.ends.last)
            #expect(last.end == chronicle.ends.last)
            #expect(last.rows == 6)
        }
    }

    // MARK: - The journal

    /// Changes one row's body.
    private func change(_ chronicle: Chronicle, row: Int, _ body: ([UInt8]) throws -> [UInt8]) throws {
        let connection = try Database.openConnection(chronicle.storage.journal)
        defer { connection.close() }
        let last = SQLValue(chronicle.ends[row])
        let old = try #require(try connection.queryOne("SELECT body FROM journal WHERE last = $1", [last])).blob(0)
        try connection.execute("UPDATE journal SET body = $1 WHERE last = $2", [.blob(try body(old)), last])
    }

    @Test(arguments: Engine.allCases)
    func aFlippedByteIsFound(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 1) { chronicle in
            try change(chronicle, row: 6) { body in
                var body = body
                body[body.count / 2] ^= 0x10
                return body
            }
            let report = try await chronicle.verify()
            #expect(report.findings.map(\.code) == ["journal.undecodable", "tables.notCompared"])
            #expect(report.findings.first?.subject == "journal \(chronicle.ends[5] + 1)")
            #expect(report.commands == chronicle.ends[5])
        }
    }

    /// Replaces a command's events, as somebody would who knows the journal's form.
    private func forge(
        _ chronicle: Chronicle, _ change: (inout JournalledCommand) -> Bool
    ) throws -> Int64 {
        for row in 3..<chronicle.ends.count {
            var changed: Int?
            try self.change(chronicle, row: row) { body in
                var commands = try JournalBody.decode(body)
                changed = commands.indices.first { change(&commands[$0]) }
                return changed == nil ? body : JournalBody.encode(commands)
            }
            if let changed { return chronicle.ends[row - 1] + 1 + Int64(changed) }
        }
        Issue.record("the history has no such command")
        return 0
    }

    @Test(arguments: Engine.allCases)
    func aChangedEventIsFoundAndNamed(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 1) { chronicle in
            let sequence = try forge(chronicle) { command in
                for (place, event) in command.events.enumerated() {
                    guard case .entryPosted(var entry) = event, entry.kind == .deposit else { continue }
                    entry.reference = "forged"
                    command.events[place] = .entryPosted(entry)
                    return true
                }
                return false
            }
            let finding = try #require(try await chronicle.verify().findings.first)
            #expect(finding.code == "journal.decidedOtherwise")
            #expect(finding.subject == "journal \(sequence)")
            #expect(finding.description.contains("(deposit)"))
            #expect(finding.expected?.contains("Überweisung") == true)
            #expect(finding.found?.contains("forged") == true)
        }
    }

    @Test(arguments: [true, false])
    func anEventMoreOrLessIsFound(_ isMore: Bool) async throws {
        try await Chronicle.with(.sqlite, seed: 2) { chronicle in
            var count = 0
            let sequence = try forge(chronicle) { command in
                count = command.events.count
                if isMore { command.events.append(.phaseChanged(.halted)) } else { command.events.removeLast() }
                return true
            }
            let finding = try #require(try await chronicle.verify().findings.first)
            #expect(finding.subject == "journal \(sequence)")
            #expect(finding.description.contains("event \(isMore ? count : count - 1)"))
            #expect(finding.expected == nil || !isMore)
            #expect(finding.found == nil || isMore)
        }
    }

    @Test func aChangedCommandIsFound() async throws {
        try await Chronicle.with(.sqlite, seed: 1) { chronicle in
            let sequence = try forge(chronicle) { command in
                guard case .deposit(let account, let amount, let reference) = command.envelope.command else { return false }
                command.envelope.command = .deposit(account: account, amount: amount + Satoshis(1), reference: reference)
                return true
            }
            let finding = try #require(try await chronicle.verify().findings.first)
            #expect(finding.code == "journal.decidedOtherwise")
            #expect(finding.subject == "journal \(sequence)")
        }
    }

    /// A statement on the journal with what it must lead to.
    struct Damage: Sendable, CustomStringConvertible {
        var code: String
        var sql: @Sendable (Chronicle) -> String
        /// What the finding is about.
        var subject: @Sendable (Chronicle) -> String
        var description: String { code }
    }

    static let damages: [Damage] = [
        Damage(code: "journal.gap", sql: { "DELETE FROM journal WHERE last = \($0.ends[4])" }, subject: { "journal \($0.ends[4] + 1)" }),
        Damage(
            code: "journal.epochFell", sql: { "UPDATE journal SET epoch = 9 WHERE last = \($0.ends[4])" },
            subject: { "journal \($0.ends[4] + 1)" }),
        Damage(
            code: "journal.timeFell", sql: { "UPDATE journal SET at = 5 WHERE last = \($0.ends[4])" },
            subject: { "journal \($0.ends[3] + 1)" }),
        Damage(
            code: "journal.newerRules", sql: { "UPDATE journal SET rules_version = 900 WHERE last = \($0.ends[4])" },
            subject: { "journal \($0.ends[3] + 1)" }),
        Damage(
            code: "journal.stateHash", sql: { "UPDATE journal SET state_hash = state_hash - 1 WHERE last = \($0.ends[4])" },
            subject: { "journal \($0.ends[4])" }),
        Damage(
            code: "journal.commandCount",
            sql: { """
                UPDATE journal SET last = last - 1 WHERE last = \($0.ends[4]);
                UPDATE journal SET first = first - 1 WHERE last = \($0.ends[5])
                """ },
            subject: { "journal \($0.ends[3] + 1)" }),
        Damage(
            code: "journal.endsEarly", sql: { "DELETE FROM journal WHERE last = \($0.ends[$0.ends.count - 1])" },
            subject: { "journal \($0.ends[$0.ends.count - 2])" }),
        Damage(code: "tables.ahead", sql: { "UPDATE writer SET last = \($0.ends[0])" }, subject: { _ in "projector" }),
    ]

    @Test(arguments: Engine.allCases, damages)
    func damageOfTheJournalIsFoundAndNamed(_ engine: Engine, _ damage: Damage) async throws {
        try await Chronicle.with(engine, seed: 4) { chronicle in
            try chronicle.storage.script(damage.sql(chronicle), in: chronicle.storage.journal)
            let report = try await chronicle.verify()
            #expect(!report.holds)
            let finding = try #require(report.findings.first)
            #expect(finding.code == damage.code)
            #expect(finding.subject == damage.subject(chronicle))
        }
    }

    /// A row that lies about its hash is no reason not to look at the tables.
    @Test func tablesAreComparedBehindAWrongHash() async throws {
        try await Chronicle.with(.sqlite, seed: 4) { chronicle in
            try chronicle.storage.script(
                "UPDATE journal SET state_hash = 1 WHERE last = \(chronicle.ends[2])", in: chronicle.storage.journal)
            try chronicle.storage.script("UPDATE rigs SET measured = measured + 1 WHERE id = 1")
            let report = try await chronicle.verify()
            #expect(report.findings.map(\.code) == ["journal.stateHash", "state.differs"])
            #expect(report.commands == chronicle.ends.last)
        }
    }

    // MARK: - The tables

    static let tableDamages: [Damage] = [
        Damage(code: "state.differs", sql: { _ in "UPDATE rigs SET measured = measured + 1 WHERE id = 1" }, subject: { _ in "rig 1.measured" }),
        Damage(
            code: "state.differs", sql: { _ in "UPDATE pool_targets SET pool_password = 'y' WHERE id = 2" },
            subject: { _ in "pool target 2.password" }),
        Damage(
            code: "state.differs",
            sql: { _ in "UPDATE ledger_balances SET balance = balance + CASE kind WHEN 3 THEN -7 ELSE 7 END WHERE kind = 3 OR (kind = 1 AND owner = 1)" },
            subject: { _ in "balance 1/1.rawValue" }),
        Damage(
            code: "state.ledger", sql: { _ in "UPDATE ledger_balances SET balance = balance + 7 WHERE kind = 1 AND owner = 1" },
            subject: { _ in "ledger_balances" }),
        Damage(
            code: "state.differs", sql: { _ in "UPDATE deposits SET amount = amount + 1 WHERE account = (SELECT min(account) FROM deposits)" },
            subject: { _ in "deposit " }),
        Damage(
            code: "state.differs", sql: { _ in "DELETE FROM deposits WHERE account = (SELECT min(account) FROM deposits)" },
            subject: { _ in "deposit " }),
        Damage(
            code: "tables.stateHash", sql: { _ in "UPDATE projector SET state_hash = state_hash - 1" }, subject: { _ in "projector" }),
        Damage(code: "tables.betweenRows", sql: { _ in "UPDATE projector SET last = last - 1" }, subject: { _ in "projector" }),
        Damage(code: "tables.time", sql: { _ in "UPDATE projector SET at = at - 1" }, subject: { _ in "projector" }),
        Damage(
            code: "table.rowMissing", sql: { _ in "DELETE FROM ledger_postings WHERE entry = 3 AND line = 1" },
            subject: { _ in "ledger_postings 3/1" }),
        Damage(
            code: "table.rowMissing",
            sql: { _ in "DELETE FROM ledger_postings WHERE entry = 4; DELETE FROM ledger_entries WHERE id = 4" },
            subject: { _ in "ledger_entries 4" }),
        Damage(
            code: "table.rowUnexpected", sql: { _ in "INSERT INTO ledger_postings VALUES (3, 9, 1, 1, 5)" },
            subject: { _ in "ledger_postings 3/9" }),
        Damage(
            code: "table.rowDiffers", sql: { _ in "UPDATE ledger_postings SET amount = amount + 1 WHERE entry = 2 AND line = 0" },
            subject: { _ in "ledger_postings 2/0" }),
        Damage(
            code: "table.rowDiffers", sql: { _ in "UPDATE ledger_entries SET reference = 'x' WHERE id = 2" },
            subject: { _ in "ledger_entries 2" }),
        Damage(
            code: "table.rowDiffers", sql: { _ in "UPDATE settlement_lines SET run = run + 1 WHERE number = (SELECT max(number) FROM settlement_lines)" },
            subject: { _ in "settlement_lines " }),
        Damage(
            code: "table.rowMissing", sql: { _ in "DELETE FROM settlement_lines WHERE number = (SELECT max(number) FROM settlement_lines)" },
            subject: { _ in "settlement_lines " }),
        Damage(
            code: "table.rowMissing", sql: { _ in "DELETE FROM answers WHERE number = 2" }, subject: { _ in "answers " }),
        // What the market no longer holds.
        Damage(
            code: "table.rowDiffers", sql: { _ in "UPDATE orders SET lots = lots + 1 WHERE id = (SELECT min(id) FROM orders WHERE live = 0)" },
            subject: { _ in "orders " }),
        Damage(
            code: "table.rowMissing", sql: { _ in "DELETE FROM orders WHERE id = (SELECT max(id) FROM orders WHERE live = 0)" },
            subject: { _ in "orders " }),
        Damage(
            code: "table.rowDiffers",
            sql: { _ in "UPDATE deliveries SET charged = charged + 1 WHERE id = (SELECT min(id) FROM deliveries WHERE live = 0)" },
            subject: { _ in "deliveries " }),
        Damage(
            code: "table.rowDiffers", sql: { _ in "UPDATE billings SET charge = charge + 1 WHERE live = 0" },
            subject: { _ in "billings " }),
        Damage(
            code: "table.rowUnexpected", sql: { _ in "INSERT INTO ledger_entries (id, kind, at, value_at, reference) VALUES (1000000, 1, 0, 0, 'x')" },
            subject: { _ in "ledger_entries" }),
        Damage(
            code: "table.rowUnexpected",
            sql: { _ in "INSERT INTO answers SELECT account, 'another', number, digest, outcome, 0 FROM answers WHERE number = 2" },
            subject: { _ in "answers" }),
    ]

    @Test(arguments: Engine.allCases, tableDamages)
    func damageOfTheTablesIsFoundAndNamed(_ engine: Engine, _ damage: Damage) async throws {
        try await Chronicle.with(engine, seed: 4) { chronicle in
            #expect(try await chronicle.verify().findings == [])
            try chronicle.storage.damage(damage.sql(chronicle))
            let findings = try await chronicle.verify().findings
            let subject = damage.subject(chronicle)
            let finding = try #require(
                findings.first { $0.code == damage.code && $0.subject.hasPrefix(subject) }, "\(findings)")
            #expect(finding.description.contains("a secret") == subject.hasSuffix("password"))
        }
    }

    /// A row whose text nobody understands.
    @Test(arguments: Engine.allCases)
    func tablesThatCannotBeReadAreAFinding(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 4) { chronicle in
            try chronicle.storage.script("UPDATE billings SET weighted_work = 'much', live = 1")
            let report = try await chronicle.verify()
            #expect(report.findings.map(\.code) == ["state.unreadable"])
            #expect(report.commands == chronicle.ends.last)
        }
    }
}
