import Crypto
import Database
import Exchange
import Ledger
import Market
import MarketTestSupport
import Store
import TestSupport
import Testing
import Units

/// The ledger's hash chain, balances of any time, transfers and their tables.
@Suite("Ledger")
struct LedgerStoreTests {
    private func withChronicle(_ engine: Engine, seed: UInt64 = 3, _ body: (Chronicle, Database) async throws -> Void) async throws {
        try await Chronicle.with(engine, seed: seed, rows: 20, tail: 0, hasTreasury: true) { chronicle in
            try await chronicle.storage.withTables { try await body(chronicle, $0) }
        }
    }

    // MARK: - Chain

    /// As docs/schema.md describes it, written down a second time over the rows.
    private func hashes(_ storage: Storage) throws -> [[UInt8]] {
        func number(_ value: Int64, _ bytes: Int = 8) -> [UInt8] {
            (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * (bytes - 1 - $0))) }
        }
        func text(_ text: String?) -> [UInt8] { text.map { number(Int64($0.utf8.count), 4) + Array($0.utf8) } ?? [255, 255, 255, 255] }
        var last = [UInt8](repeating: 0, count: 32)
        return try storage.query(
            "SELECT id, kind, at, value_at, booked_by, reference, reason FROM ledger_entries ORDER BY id"
        ).map { entry in
            let id = try entry.int64(0)
            let postings = try storage.query(
                "SELECT account_kind, owner, amount FROM ledger_postings WHERE entry = \(id) ORDER BY line")
            var bytes = last
            for column in 0...3 { bytes += number(try entry.int64(column)) }
            bytes += number(try entry.optionalInt64(4) ?? 0) + text(try entry.text(5)) + text(try entry.optionalText(6))
            bytes += number(Int64(postings.count), 4)
            for posting in postings { for column in 0...2 { bytes += number(try posting.int64(column)) } }
            last = Array(SHA256.hash(data: bytes))
            return last
        }
    }

    @Test(arguments: Engine.allCases)
    func entriesAreChainedAsTheyAreWritten(_ engine: Engine) async throws {
        try await withChronicle(engine) { chronicle, database in
            let expected = try hashes(chronicle.storage)
            #expect(try chronicle.storage.query("SELECT hash FROM ledger_chain ORDER BY entry").map { try $0.blob(0) } == expected)
            let report = try await LedgerChain(database).check()
            #expect(report.holds)
            #expect(report.checked == Int64(expected.count))
            #expect(report.lastChained == report.lastEntry)
            #expect(report.head == expected.last)
            #expect(expected.count > 20)
        }
    }

    @Test(arguments: Engine.allCases, [
        ("UPDATE ledger_postings SET amount = amount + 1 WHERE entry = 7 AND line = 0", "7 differs"),
        ("UPDATE ledger_entries SET reference = 'x' WHERE id = 7", "7 differs"), ("UPDATE ledger_entries SET at = at + 1 WHERE id = 7", "7 differs"),
        ("UPDATE ledger_entries SET value_at = value_at - 1 WHERE id = 7", "7 differs"),
        ("UPDATE ledger_entries SET reason = 'x' WHERE id = 7", "7 differs"),
        ("UPDATE ledger_entries SET booked_by = 3 WHERE id = 7", "7 differs"),
        ("DELETE FROM ledger_chain WHERE entry = 7", "7 missing"),
        ("DELETE FROM ledger_postings WHERE entry = 7; DELETE FROM ledger_entries WHERE id = 7", "7 unexpected"),
        ("DELETE FROM ledger_postings WHERE entry = 7 AND line = 1", "7 differs"),
    ])
    func whatWasChangedIsNamed(_ engine: Engine, _ damage: (sql: String, flaw: String)) async throws {
        try await withChronicle(engine) { chronicle, database in
            try chronicle.storage.damage(damage.sql)
            let report = try await LedgerChain(database).check()
            #expect(report.flaws.map { "\($0.entry) \($0.kind)" } == [damage.flaw])
        }
    }

    @Test(arguments: Engine.allCases)
    func entriesFromBeforeAreChainedLater(_ engine: Engine) async throws {
        try await withChronicle(engine) { chronicle, database in
            let expected = try hashes(chronicle.storage)
            try chronicle.storage.damage("DELETE FROM ledger_chain WHERE entry > 5")
            var report = try await LedgerChain(database).check()
            #expect(report.holds && report.lastChained == 5)
            #expect(try await chronicle.verify().holds, "a chain that is not complete yet is no flaw")
            #expect(try await LedgerChain(database).complete() == Int64(expected.count - 5))
            #expect(try await LedgerChain(database).complete() == 0)
            report = try await LedgerChain(database).check()
            #expect(report.holds && report.head == expected.last)
        }
    }

    @Test(arguments: Engine.allCases)
    func theChainIsNeverChanged(_ engine: Engine) async throws {
        try await withChronicle(engine) { chronicle, database in
            for sql in ["UPDATE ledger_chain SET entry = entry + 1000", "DELETE FROM ledger_chain"] {
                let error = await refusal(of: sql, database)
                #expect(error != nil, "\(sql)")
            }
        }
    }

    private func refusal(of sql: String, _ database: Database) async -> (any Error)? {
        do { try await database.write { _ = try $0.execute(sql, []) } } catch { return error }
        return nil
    }

    @Test(arguments: Engine.allCases)
    func verifyAndRebuildKnowTheTreasury(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 4, tail: 0, hasTreasury: true) { chronicle in
            #expect(try await chronicle.verify().findings == [])
            let before = try chronicle.storage.dump()
            #expect(before.contains { $0.hasPrefix("transfers ") } && before.contains { $0.hasPrefix("ledger_chain ") })
            try await TableRebuilder(tables: chronicle.storage.tables, journal: chronicle.storage.journal).run()
            let after = try chronicle.storage.dump()
            #expect(after == before)
            for (sql, subject) in [
                ("UPDATE ledger_chain SET hash = (SELECT hash FROM ledger_chain WHERE entry = 1) WHERE entry = 3", "ledger_chain 3"),
                ("UPDATE transfers SET amount = amount + 1 WHERE id = (SELECT min(id) FROM transfers WHERE live = 0)", "transfers"),
            ] {
                try chronicle.storage.damage(sql)
                let found = try await chronicle.verify().findings
                #expect(found.contains { $0.subject.hasPrefix(subject) }, "\(subject): \(found)")
            }
        }
    }

    // MARK: - Balances

    /// Straight from the rows.
    private func sums(_ storage: Storage, _ condition: String) throws -> [LedgerBalance] {
        try storage.query(
            """
            SELECT p.account_kind, p.owner, CAST(sum(p.amount) AS BIGINT) FROM ledger_postings p
            JOIN ledger_entries e ON e.id = p.entry WHERE \(condition)
            GROUP BY p.account_kind, p.owner HAVING sum(p.amount) <> 0 ORDER BY p.account_kind, p.owner
            """
        ).map { row in
            let account = try #require(LedgerAccount(kind: UInt8(try row.int64(0)), owner: try row.int64(1)))
            return LedgerBalance(account, Satoshis(try row.int64(2)))
        }
    }

    @Test(arguments: Engine.allCases)
    func balancesAreOfAnyTime(_ engine: Engine) async throws {
        try await withChronicle(engine) { chronicle, database in
            let storage = chronicle.storage
            try storage.damage("UPDATE ledger_entries SET value_at = at - (id % 7) * 9000000")
            let reports = ReportStore(database), snapshots = BalanceSnapshots(database)
            let times = try storage.query("SELECT DISTINCT at FROM ledger_entries ORDER BY at").map { try $0.int64(0) }
            var random = SeededRandom(seed: 9)
            for round in 0..<3 {
                for _ in 0..<25 {
                    let time = Timestamp(microseconds: random.pick(times) + random.int64(-1...1))
                    for (basis, column) in [(LedgerBasis.value, "value_at"), (.booked, "at")] {
                        let expected = try sums(storage, "e.\(column) <= \(time.microseconds)")
                        let found = try await reports.trialBalance(asOf: time, basis)
                        #expect(found.filter { $0.balance != .zero } == expected, "round \(round), \(time), \(basis)")
                        let accounts = [LedgerAccount.available(AccountID(1)), .held(AccountID(2)), .custody, .suspense]
                        let single = try await reports.balances(of: accounts, asOf: time, basis)
                        let wanted = accounts.map { account in expected.first { $0.account == account }?.balance ?? .zero }
                        #expect(single == wanted)
                    }
                }
                let until = Timestamp(microseconds: times[times.count * (round + 1) / 4])
                let isNew = [
                    try await snapshots.take(until: until, leastEntries: 1), try await snapshots.take(until: until, leastEntries: 1),
                ]
                #expect(isNew == [true, false])
            }
            #expect(try await snapshots.check() == [])
            let now = try await reports.trialBalance(asOf: nil, .value)
            let all = try sums(storage, "e.id > 0")
            #expect(now.filter { $0.balance != .zero } == all)
            let total = now.reduce(0) { $0 + $1.balance.rawValue }
            #expect(total == 0)
            let first = try await reports.trialBalance(asOf: Timestamp(microseconds: 0), .value)
            #expect(first.allSatisfy { $0.balance == .zero })
            try storage.damage("UPDATE balance_snapshots SET balance = balance + 3 WHERE kind = 3 AND basis = 2")
            let differences = try await snapshots.check()
            #expect(differences.first?.excess == Satoshis(3))
            #expect(differences.first?.basis == .booked)
        }
    }

    @Test(arguments: Engine.allCases)
    func snapshotsAreTakenWhenTheyAreWorthIt(_ engine: Engine) async throws {
        try await withChronicle(engine) { _, database in
            let snapshots = BalanceSnapshots(database)
            let isWorthIt = [
                try await snapshots.take(until: Timestamp(microseconds: .max)),
                try await snapshots.take(until: Timestamp(microseconds: 0), leastEntries: 1),
            ]
            #expect(isWorthIt == [false, false])
        }
    }

    // MARK: - Lists

    @Test(arguments: Engine.allCases)
    func entriesComeInPages(_ engine: Engine) async throws {
        try await withChronicle(engine) { _, database in
            let reports = ReportStore(database)
            let all = try await reports.ledgerEntries(account: nil, after: 0, limit: 100_000)
            #expect(all.map(\.entry.id) == Array(1...Int64(all.count)))
            #expect(all.allSatisfy { $0.hash != nil && $0.entry.postings.reduce(0) { $0 + $1.amount.rawValue } == 0 })
            #expect(try await reports.ledgerEntry(7) == all[6].entry)
            #expect(try await reports.ledgerEntry(Int64(all.count) + 1) == nil)
            for account in (1...5).map({ AccountID($0) }) {
                let mine: [LedgerAccount] = [.available(account), .held(account), .leaving(account)]
                let expected = all.compactMap { chained -> ChainedEntry? in
                    var own = chained
                    own.entry.postings.removeAll { !mine.contains($0.account) }
                    return own.entry.postings.isEmpty ? nil : own
                }
                var paged: [ChainedEntry] = []
                while true {
                    let page = try await reports.ledgerEntries(account: account, after: paged.last?.entry.id ?? 0, limit: 7)
                    #expect(page.count <= 7)
                    if page.isEmpty { break }
                    paged += page
                }
                #expect(paged == expected)
                try await checkTotals(paged, of: account, reports)
            }
            try await checkTotals(all, of: nil, reports)
            #expect(try await reports.newestLedgerEntry() == Int64(all.count))
        }
    }

    /// Of all entries, and of those within some bounds.
    private func checkTotals(_ listed: [ChainedEntry], of account: AccountID?, _ reports: ReportStore) async throws {
        for (first, last): (Int64, Int64) in [(0, .max), (3, 20), (9, 9)] {
            var expected = LedgerTotals()
            for chained in listed where chained.entry.id > first && chained.entry.id <= last {
                expected.entries += 1
                expected.postings += Int64(chained.entry.postings.count)
                for posting in chained.entry.postings { expected.sum += Int128(posting.amount.rawValue) }
            }
            #expect(try await reports.ledgerTotals(account: account, after: first, through: last) == expected)
        }
    }

    @Test(arguments: Engine.allCases)
    func transfersAreFoundByWhatTheyAre(_ engine: Engine) async throws {
        try await withChronicle(engine) { chronicle, database in
            let reports = ReportStore(database)
            let all = try await reports.transfers(TransferFilter(), after: 0, limit: 100_000)
            #expect(all.map(\.id.rawValue) == Array(1..<chronicle.history.state.treasury.transfer))
            #expect(Set(all.map(\.kind)).count == 4)
            for live in chronicle.history.state.transfers.values { #expect(all.contains(live)) }
            for kind in TransferKind.allCases {
                for status in TransferStatus.allCases {
                    for account in [nil, AccountID(1)] {
                        let found = try await reports.transfers(
                            TransferFilter(account: account, kind: kind, status: status), after: 2, limit: 5)
                        let expected = all.filter {
                            $0.id.rawValue > 2 && $0.kind == kind && $0.status == status && (account == nil || $0.account == account)
                        }.prefix(5)
                        #expect(found == Array(expected))
                    }
                }
            }
            for transfer in all.prefix(5) { #expect(try await reports.transfer(transfer.id) == transfer) }
            #expect(try await reports.transfer(TransferID(99_999)) == nil)
        }
    }
}
