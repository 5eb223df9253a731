import Database
import Exchange
import Market
import MarketTestSupport
import Metering
import Settlement
import Store
import Testing
import TestSupport
import Units

/// Audit trail, disputes, reconciliations and index, on both engines.
@Suite("Control store")
struct ControlStoreTests {
    private let now = History.start + .seconds(100 * 86_400)

    private func act(_ number: Int) -> AuditAct {
        AuditAct(
            actor: AccountID(3), actorName: "büro", action: "POST /v1/deposits", subject: "/v1/deposits", request: "{\"amount\":\(number)}",
            digest: Array(repeating: UInt8(number & 255), count: 32), requestID: "r\(number)")
    }

    private func refusal(_ body: () async throws -> Void) async -> ControlRefusal? {
        do {
            try await body()
            return nil
        } catch { return error as? ControlRefusal }
    }

    private func repeatable(_ key: String, _ digest: UInt8 = 1) -> CommandEnvelope.Idempotency {
        CommandEnvelope.Idempotency(key: AnswerKey(account: AccountID(3), key: key), digest: Array(repeating: digest, count: 32))
    }

    private func isRefused(_ statement: String, _ storage: Storage) -> Bool {
        do {
            let connection = try Database.openConnection(storage.tables)
            defer { connection.close() }
            try connection.script(statement)
            return false
        } catch { return true }
    }

    // MARK: - Audit trail

    @Test(arguments: Engine.allCases) func theTrailIsAChain(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = ControlStore(database)
                let first = try await store.begin(act(1), at: now)
                let second = try await store.begin(act(2), at: now)
                try await store.end(first, AuditOutcome(status: 201), at: now)
                try await store.read(act(3), AuditOutcome(status: 404, code: "x"), at: now + .seconds(1))
                let records = try await store.trail(AuditFilter(), after: 0, limit: 10)
                #expect(records.map(\.number) == [1, 2, 4])
                #expect(records.map(\.act) == [act(1), act(2), act(3)])
                #expect(records.map(\.outcome) == [AuditOutcome(status: 201), nil, AuditOutcome(status: 404, code: "x")])
                #expect(records.map(\.isRead) == [false, false, true])
                #expect(second == 2)
                #expect(try await store.trail(AuditFilter(), after: 1, limit: 1).map(\.number) == [2])
                #expect(try await store.trail(AuditFilter(actor: AccountID(4)), after: 0, limit: 9).isEmpty)
                #expect(try await store.trail(AuditFilter(actor: AccountID(3), action: "POST /v1/dep"), after: 0, limit: 9).count == 3)
                #expect(try await store.trail(AuditFilter(action: "GET"), after: 0, limit: 9).isEmpty)
                #expect(try await store.trail(AuditFilter(from: now + .seconds(1)), after: 0, limit: 9).map(\.number) == [4])
                #expect(try await store.trail(AuditFilter(to: now + .seconds(1)), after: 0, limit: 9).count == 2)
                #expect(try await store.firstTrailFlaw() == nil)
            }
        }
    }

    @Test(arguments: Engine.allCases) func whatWasDoneStays(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = ControlStore(database)
                for number in 1...5 { _ = try await store.begin(act(number), at: now) }
                for statement in [
                    "UPDATE audit_trail SET actor = 1", "DELETE FROM audit_trail WHERE number = 5",
                    "INSERT INTO audit_trail SELECT 7, at, kind, intent, actor, actor_name, action, subject, request, digest, status, "
                        + "code, request_id, chain FROM audit_trail WHERE number = 5",
                    "INSERT INTO index_days SELECT 1, 2, '2', '1', 1, 3, 1, 1, digest, 1 FROM audit_trail WHERE number = 5; DELETE FROM index_days",
                ] {
                    #expect(isRefused(statement, storage), "\(statement)")
                }
                // Somebody who may do everything is found out.
                try storage.dropTriggers()
                try storage.script("UPDATE audit_trail SET request = '{}' WHERE number = 3")
                #expect(try await store.firstTrailFlaw() == 3)
                try storage.script("DELETE FROM audit_trail WHERE number <= 3")
                #expect(try await store.firstTrailFlaw() == 1)
            }
        }
    }

    @Test func writersOfTwoProcessesTakeTurns() async throws {
        for engine in Engine.allCases {
            try await engine.withStorage { storage in
                try await storage.withTables { one in
                    try await storage.withTables { other in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            for (index, database) in [one, other, one, other].enumerated() {
                                group.addTask {
                                    for number in 1...10 { _ = try await ControlStore(database).begin(act(index * 10 + number), at: now) }
                                }
                            }
                            try await group.waitForAll()
                        }
                        #expect(try await ControlStore(one).trail(AuditFilter(), after: 0, limit: 100).map(\.number) == Array(1...40))
                        #expect(try await ControlStore(one).firstTrailFlaw() == nil)
                    }
                }
            }
        }
    }

    // MARK: - Disputes

    @Test(arguments: Engine.allCases) func disputesAreOpenedAnsweredAndCredited(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 21) { books in
            let store = ControlStore(books.database)
            let lines = try await ReportStore(books.database).settlementLines(account: nil, after: 0, limit: 1000)
            let line = try #require(lines.filter(\.code.isBilled).max { $0.charge < $1.charge })
            let billed = line.charge + line.buyerFee
            try #require(billed >= Satoshis(2))
            let half = Satoshis(billed.rawValue / 2)
            let finance = AccountID(99)
            func new(by account: AccountID, isFinance: Bool = false, claimant: DisputeParty? = nil) -> NewDispute {
                NewDispute(
                    subject: .line(line.number), by: account, isFinance: isFinance, claimant: claimant,
                    claimed: Satoshis.supply, reason: "why")
            }
            let time = line.settledAt + .seconds(3600)
            #expect(await refusal { _ = try await store.open(new(by: AccountID(77)), once: nil, at: time) } == .lineUnknown)
            let late = line.settledAt + .day + .seconds(1)
            #expect(await refusal { _ = try await store.open(new(by: line.buyer), once: nil, at: late) } == .dispute(.windowOver))
            let number = try await store.open(new(by: line.buyer), once: repeatable("k"), at: time)
            #expect(try await store.open(new(by: line.buyer), once: repeatable("k"), at: time) == number)
            let other = repeatable("k", 2)
            #expect(await refusal { _ = try await store.open(new(by: line.buyer), once: other, at: time) } == .idempotencyKeyReused)
            #expect(await refusal { _ = try await store.open(new(by: line.buyer), once: nil, at: time) } == .dispute(.alreadyOpen))
            #expect(await refusal { _ = try await store.open(new(by: finance, isFinance: true), once: nil, at: late) } == .lineUnknown)
            // The other side has a case of its own.
            let second = try await store.open(new(by: finance, isFinance: true, claimant: .seller), once: nil, at: late)
            #expect(try await store.disputes(of: line.buyer, after: 0, limit: 10).map(\.number) == [number, second])
            #expect(try await store.disputes(of: AccountID(77), after: 0, limit: 10).isEmpty)
            #expect(try await store.disputes(of: nil, after: number, limit: 10).map(\.number) == [second])

            try await store.step(.message("no"), in: number, by: line.seller, isFinance: false, once: nil, at: time)
            let above = DisputeStep.credit(amount: billed + Satoshis(1), bearer: .seller, note: "all and more")
            #expect(await refusal {
                try await store.step(above, in: number, by: finance, isFinance: true, once: nil, at: time)
            } == .dispute(.creditAboveBill(left: billed)))
            let credit = DisputeStep.credit(amount: half, bearer: .seller, note: "half")
            for _ in 1...2 { try await store.step(credit, in: number, by: finance, isFinance: true, once: repeatable("c"), at: time) }
            #expect(await refusal {
                try await store.step(.message("x"), in: number, by: line.buyer, isFinance: false, once: nil, at: time)
            } == .dispute(.closed))
            #expect(await refusal {
                try await store.step(credit, in: second, by: finance, isFinance: true, once: nil, at: time)
            } == .dispute(.ownCase))
            // The seller's bound is the work that was sold, not what is claimed.
            let sold = await refusal {
                try await store.step(
                    .credit(amount: Satoshis.supply, bearer: .market, note: "all"), in: second, by: AccountID(98), isFinance: true,
                    once: nil, at: time)
            }
            guard case .dispute(.creditAboveBill(let most))? = sold else {
                Issue.record("a seller is credited more than was sold: \(String(describing: sold))")
                return
            }
            #expect(most > .zero && most < Satoshis(1_000_000))
            try await store.step(
                .credit(amount: most, bearer: .market, note: "all"), in: second, by: AccountID(98), isFinance: true, once: nil,
                at: time)
            let record = try #require(try await store.dispute(number))
            #expect(record.dispute.status == .credited)
            #expect(record.events.map(\.kind) == [.message, .credited])
            #expect(record.events.last?.credited == half)
            #expect(record.credit?.number == 1)
            #expect(record.credit?.isBooked == false)
            let credits = try await store.credits(after: 0, limit: 10)
            #expect(credits.map(\.number) == [1, 2])
            #expect(credits.map(\.terms.charge.rawValue) == [-half.rawValue, most.rawValue])
            #expect(credits.map(\.terms.isBorneByMarket) == [false, true])
            #expect(credits.map(\.approvedBy) == [finance, AccountID(98)])
            #expect(try await store.credits(after: 1, limit: 10).map(\.dispute) == [second])
            #expect(try await store.dispute(99) == nil)

            // What was credited counts when the same line is disputed again.
            let third = try await store.open(new(by: line.buyer), once: nil, at: time)
            let rest = billed - half
            for (amount, expected): (Satoshis, ControlRefusal?) in [
                (rest + Satoshis(1), .dispute(.creditAboveBill(left: rest))), (rest, nil),
            ] {
                let step = DisputeStep.credit(amount: amount, bearer: .market, note: "rest")
                #expect(await refusal {
                    try await store.step(step, in: third, by: finance, isFinance: true, once: nil, at: time)
                } == expected)
            }
        }
    }

    // MARK: - Custody

    private func file(_ lines: [String]) -> [UInt8] {
        Array(("date,reference,amount,balance,description\n" + lines.joined(separator: "\n") + "\n").utf8)
    }

    @Test(arguments: Engine.allCases) func custodyIsReconciled(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 22) { books in
            let store = ControlStore(books.database)
            let day = Int64(86_400_000_000)
            let deposits = try books.storage.query(
                """
                SELECT e.id, e.reference, e.value_at, -p.amount FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id
                WHERE p.account_kind = 3 ORDER BY e.value_at, e.id
                """)
            #expect(deposits.count > 3)
            var balance: Int64 = 0
            let lines = try deposits.map { row in
                balance += try row.int64(3)
                return "\(Timestamp(microseconds: try row.int64(2))),\(try row.text(1)),\(try row.int64(3)),\(balance),"
            }
            func run() async throws -> ReconciliationRun {
                try await store.reconcile(
                    ReconciliationRequest(
                        area: .custody, from: Timestamp(microseconds: 0), to: now, tolerance: PartsPerMillion(0), by: AccountID(3)),
                    once: nil, at: now)
            }
            func open() async throws -> [BreakRecord] {
                try await store.breaks(BreakFilter(area: .custody, status: .open), after: 0, limit: 500)
            }

            // Nothing imported: all deposits are missing there.
            let first = try await run()
            #expect(first.breaks == Int64(deposits.count))
            #expect(first.news == first.breaks)
            #expect(first.custody == nil)
            #expect(first.ledger == Satoshis(balance))
            #expect(Set(try await open().map(\.name.kind)) == [.missingInCustody])
            #expect(try await run().news == 0)

            // All but the last: it stays open, and balances differ by it.
            let most = file(Array(lines.dropLast()))
            let (statement, items) = try await store.importCustody(most, source: "wallet", by: AccountID(3), once: nil, at: now)
            #expect(items == Int64(lines.count - 1))
            #expect(try await store.importCustody(most, source: "wallet", by: AccountID(3), once: nil, at: now).number == statement)
            let twice = await refusal {
                _ = try await store.importCustody(file([lines[0]]), source: "wallet", by: AccountID(3), once: nil, at: now)
            }
            guard case .importFlawed(let flaws) = twice else {
                Issue.record("taken twice: \(String(describing: twice))")
                return
            }
            #expect(flaws.flaws.map(\.line) == [2])
            let missing = try deposits[deposits.count - 1].int64(3)
            #expect(try await run().custody == Satoshis(balance - missing))
            var left = try await open()
            #expect(Set(left.map(\.name.kind)).isSubset(of: [.missingInCustody, .balanceDiffers, .liabilitiesNotCovered]))
            #expect(left.first { $0.name.kind == .missingInCustody }?.last.state.amount == -missing)
            #expect(left.first { $0.name.kind == .balanceDiffers }?.last.state.amount == -missing)

            // Resolved is resolved, unless the amount changes.
            try books.storage.script("INSERT INTO accounts (id, name, roles, created_at) VALUES (70, 'fin', 'finance', 1), (71, 'b', 'buyer', 1)")
            let broken = try #require(left.first { $0.name.kind == .balanceDiffers })
            #expect(await refusal {
                try await store.assign(broken.number, to: AccountID(71), note: "", by: AccountID(3), once: nil, at: now)
            } == .accountUnknown)
            try await store.assign(broken.number, to: AccountID(70), note: "please", by: AccountID(3), once: nil, at: now)
            #expect(try await store.breaks(BreakFilter(assignee: AccountID(70)), after: 0, limit: 9).map(\.number) == [broken.number])
            for _ in 1...2 { try await store.resolve(broken.number, note: "on its way", by: AccountID(70), once: repeatable("r"), at: now) }
            #expect(await refusal {
                try await store.resolve(broken.number, note: "x", by: AccountID(70), once: nil, at: now)
            } == .breakClosed)
            #expect(try await run().news == 0)
            #expect(try await store.breakRecord(broken.number)?.last.state.status == .resolved)

            // Another movement that the ledger does not have: another difference, so it is open again.
            let other = Timestamp(microseconds: (now.microseconds / day - 1) * day)
            _ = try await store.importCustody(
                file(["\(other),stray,7,\(balance - missing + 7),x"]), source: "wallet", by: AccountID(3), once: nil, at: now)
            #expect(try await run().news >= 2)
            left = try await open()
            #expect(left.contains { $0.name.kind == .missingInLedger && $0.last.state.amount == 7 })
            let history = try #require(try await store.breakRecord(broken.number))
            #expect(history.events.map(\.kind) == [.found, .assigned, .resolved, .reopened])
            #expect(history.last.assignee == AccountID(70))
            #expect(history.cause.contains("custody"))

            // The last deposit arrives after all: its break is gone.
            _ = try await store.importCustody(
                file([lines[lines.count - 1].split(separator: ",", omittingEmptySubsequences: false)[..<3].joined(separator: ",") + ",,"]),
                source: "bank", by: AccountID(3), once: nil, at: now)
            _ = try await run()
            #expect(try await open().allSatisfy { $0.name.kind != .missingInCustody })
            #expect(try await store.runs(after: 0, limit: 100).count == 6)
        }
    }

    // MARK: - Pools

    @Test(arguments: Engine.allCases) func poolsAreReconciled(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var changes = StateChanges.none
                for number: Int64 in 1...2 {
                    let target = PoolTarget(
                        id: PoolTargetID(number), owner: AccountID(1), name: "p", url: "u", user: "w", password: "", status: .unverified)
                    changes.targets[target.id] = .live(target)
                }
                try await TableStore(database).project(Projection(
                    previous: 0, last: 1, at: History.start, rulesVersion: JournalBody.rulesVersion, stateHash: 0, changes: changes,
                    appended: Appended()))
                var records = Records()
                let shares = (0..<10).map { _ in records.share(job: 1, isForwarded: true) }
                let other = records.share(job: 2, isForwarded: true)
                try await MeterStore(database).apply(
                    .make(1, [Records.job(1, target: 1), Records.job(2, target: 2)] + (shares + [other]).map { .share($0) }
                        + shares.prefix(8).map { Records.reply($0, .accepted) } + [Records.reply(shares[8], .rejected, code: 2)]
                        + [Records.reply(shares[9], .unanswered), Records.reply(other, .accepted)]), digest: [1])
                let store = ControlStore(database)
                let day = History.start.microseconds / 86_400_000_000
                let text = AccountingPeriod.day(of: History.start)?.description ?? ""
                func run(_ tolerance: Int64) async throws -> [String: Int64] {
                    _ = try await store.reconcile(
                        ReconciliationRequest(
                            area: .pools, from: Timestamp(microseconds: day * 86_400_000_000),
                            to: Timestamp(microseconds: (day + 1) * 86_400_000_000), tolerance: PartsPerMillion(tolerance),
                            by: AccountID(3)),
                        once: nil, at: now)
                    let open = try await store.breaks(BreakFilter(area: .pools, status: .open), after: 0, limit: 100)
                    return Dictionary(uniqueKeysWithValues: open.map { ("\($0.name.kind.code) \($0.name.key)", $0.last.state.amount) })
                }
                let key = "target 1 | day \(day)"
                #expect(try await run(100_000).isEmpty)
                #expect(try await run(99_999) == ["poolRejected \(key)": 1, "poolUnanswered \(key)": 1])
                let header = "target,day,shares,work\n"
                #expect(await refusal {
                    _ = try await store.importPools(Array((header + "1,\(text),9,\n3,\(text),1,\n").utf8), by: AccountID(3), once: nil, at: now)
                } == .importFlawed(ImportFlaws([ImportFlaw(line: 3, reason: "there is no pool target 3")])))
                #expect(try await run(100_000).isEmpty)
                for _ in 1...2 {
                    let file = Array((header + "1,\(text),9,200\n2,\(text),1,10\n").utf8)
                    #expect(try await store.importPools(file, by: AccountID(3), once: nil, at: now) == 2)
                }
                #expect(try storage.query("SELECT count(*) FROM pool_statements") == [SQLRow([2])])
                #expect(try await run(100_000) == ["poolShareCount \(key)": 1, "poolWork \(key)": 100])
                _ = try await store.importPools(Array((header + "1,\(text),8,100\n").utf8), by: AccountID(3), once: nil, at: now)
                #expect(try await run(100_000).isEmpty)
                // A slot that says something else than its shares.
                try storage.script("UPDATE meter_slots SET pool_accepted = pool_accepted + 3")
                #expect(try await run(100_000) == ["slotsDiffer day \(day)": 3])
            }
        }
    }

    // MARK: - Index

    /// As plain SQL and arithmetic have it, without any of the code that publishes.
    private func naive(_ storage: Storage, _ range: Range<Int64>) throws -> [Int64: (value: Int128, work: Int128, deliveries: Int)] {
        var found: [Int64: (money: Int128, work: Int128, deliveries: Set<Int64>)] = [:]
        let rows = try storage.query(
            "SELECT s.minute, s.delivery, s.billable_work, d.price, d.opened_at FROM meter_slots s, deliveries d WHERE s.delivery = d.id")
        for row in rows {
            let (minute, work) = (try row.int64(0), Int128(try row.int64(2)))
            // Of what is metered for some histories a part is from before its delivery.
            guard work > 0, range.contains(minute), try minute * 60_000_000 >= row.int64(4) - 120_000_000 else { continue }
            var sum = found[minute] ?? (0, 0, [])
            sum.money += work * Int128(try row.int64(3))
            sum.work += work
            sum.deliveries.insert(try row.int64(1))
            found[minute] = sum
        }
        return found.mapValues { ($0.money / $0.work, $0.work, $0.deliveries.count) }
    }

    /// Adds work of some deliveries at random minutes of their lives.
    private func meter(_ books: Books, _ random: inout SeededRandom, batch: Int64, shares: Int) async throws {
        let rows = try books.storage.query("SELECT id, rig, opened_at, ended_at FROM deliveries ORDER BY id")
        var records = Records()
        let found = try (0..<shares).map { _ in
            let row = random.pick(rows)
            let from = try row.int64(2)
            let to = max(from, try row.optionalInt64(3) ?? from + 300_000_000)
            return records.share(
                rig: try row.int64(1), delivery: try row.int64(0), at: Timestamp(microseconds: random.int64(from...to)),
                difficulty: random.pick([1, 10, 1 << 40]), isBillable: random.chance(80))
        }
        try await MeterStore(books.database).apply(
            .make(edge: 7, epoch: batch, 1, found.map { .share($0) }), digest: [UInt8(batch)])
    }

    @Test(arguments: Engine.allCases, [31, 32, 33] as [UInt64])
    func theIndexIsWhatWasDelivered(_ engine: Engine, seed: UInt64) async throws {
        try await Books.with(engine, seed: seed) { books in
            var random = SeededRandom(seed: seed)
            try await meter(books, &random, batch: 1, shares: 300)
            let store = ControlStore(books.database)
            #expect(try await store.indexPosition() == nil)
            let end = now.minute
            let first = try books.storage.query("SELECT min(opened_at) FROM deliveries")[0].int64(0) / 60_000_000 - 2
            #expect(try await store.publishIndex(before: first, limit: 2, at: now) == first)
            #expect(try await store.indexPosition() == nil)
            var position = try #require(try await store.publishIndex(before: first + 3, limit: 2, at: now))
            #expect(position == first + 2)
            // In pieces of any size.
            while position < end {
                position = try #require(try await store.publishIndex(before: end, limit: random.pick([1, 700, 5000, 40_000]), at: now))
            }
            #expect(position == end)
            #expect(try await store.publishIndex(before: end, limit: 10, at: now) == end)
            let expected = try naive(books.storage, first..<end)
            let published = try await store.index(.minute, after: 0, limit: 100_000)
            #expect(published.count == expected.count, "seed \(seed)")
            #expect(published.count > 1)
            for minute in published {
                let naive = try #require(expected[minute.place])
                #expect(Int128(minute.value.rawValue) == naive.value, "seed \(seed), minute \(minute.place)")
                #expect(minute.price.work == naive.work)
                #expect(Int(minute.deliveries) == naive.deliveries)
            }
            let days = try await store.index(.day, after: 0, limit: 1000)
            #expect(days.map(\.place) == Set(published.map { $0.place / 1440 }).sorted())
            for day in days {
                let own = published.filter { $0.place / 1440 == day.place }
                let money = own.reduce(Int128(0)) { $0 + $1.price.numerator }, work = own.reduce(Int128(0)) { $0 + $1.price.work }
                #expect(Int128(day.value.rawValue) == money / work)
                #expect(day.minutes == Int64(own.count))
            }
            #expect(try await store.newestIndex(.minute) == published.last)
            let clean = try await store.verifyIndex(0..<Int64.max)
            #expect(clean.findings.isEmpty)
            #expect(clean.minutes == Int64(published.count))
            #expect(clean.days == Int64(days.count))

            // Late work changes nothing that is published, and is seen.
            try await meter(books, &random, batch: 2, shares: 20)
            #expect(try await store.publishIndex(before: end, limit: 10, at: now) == end)
            #expect(try await store.index(.minute, after: 0, limit: 100_000) == published)
            let late = try await store.verifyIndex(0..<Int64.max)
            #expect(!late.findings.isEmpty && !late.isBroken)
            #expect(late.findings.allSatisfy { $0.kind == .slotsChanged && $0.span == .minute })

            // What somebody else wrote is not.
            try books.storage.dropTriggers()
            let intact = try #require(published.first { minute in !late.findings.contains { $0.place == minute.place } })
            try books.storage.script("UPDATE index_minutes SET deliveries = deliveries + 1 WHERE minute = \(intact.place)")
            #expect(try await store.verifyIndex(0..<Int64.max).findings.contains { $0.kind == .broken && $0.place == intact.place })
        }
    }

    @Test(arguments: Engine.allCases) func twoPublishersDoNotPublishTwice(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 34) { books in
            try await books.storage.withTables { other in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for database in [books.database, other, books.database] {
                        group.addTask {
                            for _ in 1...5 { _ = try await ControlStore(database).publishIndex(before: now.minute, limit: 40_000, at: now) }
                        }
                    }
                    try await group.waitForAll()
                }
                let store = ControlStore(books.database)
                #expect(try await store.indexPosition() == now.minute)
                #expect(try await store.verifyIndex(0..<Int64.max).findings.isEmpty)
            }
        }
    }
}
