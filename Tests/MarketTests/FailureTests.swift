import Database
import Exchange
import Ledger
import Logging
import Market
import MarketTestSupport
import Store
import Synchronization
import TestSupport
import Testing
import Units

@Suite("Failures")
struct FailureTests {
    // MARK: - The journal

    @Test(arguments: Engine.allCases)
    func whatWasNotCommittedHasNotHappened(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                try await market.deposit("one")
                let hash = market.hash
                market.faults.set { $0.before = 1 }
                #expect(await gatewayError { try await market.deposit("two") } == .unavailable)
                #expect(market.hash == hash)
                #expect(try market.deposits(named: "two") == 0)
                // The same again, now in earnest.
                guard case .entry = try await market.deposit("two") else {
                    Issue.record("the failed deposit was remembered")
                    return
                }
                #expect(market.available(1) == Satoshis(2000))
            }
            try await TestMarket.with(storage) { #expect($0.available(1) == Satoshis(2000)) }
        }
    }

    @Test(arguments: Engine.allCases)
    func whatWasCommittedAfterAllIsAnswered(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                market.faults.set { $0.after = 1 }
                guard case .entry = try await market.deposit("one") else {
                    Issue.record("no answer")
                    return
                }
                #expect(market.available(1) == Satoshis(1000))
                #expect(try market.deposits(named: "one") == 1)
                try await market.deposit("two")
                #expect(market.deposed.count.withLock { $0 } == 0)
            }
            try await TestMarket.with(storage) { #expect($0.available(1) == Satoshis(2000)) }
        }
    }

    @Test(arguments: Engine.allCases)
    func reportsWithoutAnswerAreTriedUntilTheyAreCommittedOnce(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                _ = try await market.openDelivery()
                market.faults.set {
                    $0.before = 3
                    $0.after = 1
                }
                #expect(market.writer.post(.rigOffline(RigID(1), session: 1)))
                #expect(market.writer.post(.rigOnline(RigID(1), edge: EdgeID(2), session: 2, versionMask: 0)))
                try await eventually("the rig is back") { market.writer.read { $0.rigs[RigID(1)]?.lastSession } == 2 }
                let events = try market.journalled().flatMap(\.events)
                #expect(events.count { if case .rigOffline = $0 { true } else { false } } == 1)
                #expect(events.count { if case .rigOnline(_, _, session: 2, _) = $0 { true } else { false } } == 1)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func anUnreachableJournalRefusesAndComesBack(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                try await market.deposit("one")
                market.faults.set { $0.isAway = true }
                #expect(market.writer.post(.deposit(account: AccountID(1), amount: Satoshis(5), reference: "report")))
                for number in 1...3 {
                    #expect(await gatewayError { try await market.deposit("away \(number)") } == .unavailable)
                }
                #expect(market.available(1) == Satoshis(1000))
                market.faults.set { $0.isAway = false }
                try await eventually("the report is in") { market.available(1) == Satoshis(1005) }
                try await market.deposit("two")
                #expect(market.available(1) == Satoshis(2005))
                #expect(try market.journalled().count == 4)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aJournalThatRefusesIsNotAskedAllTheTime(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                market.faults.set { $0.before = .max }
                let appends = market.faults.now.appends
                #expect(market.writer.post(.deposit(account: AccountID(1), amount: Satoshis(5), reference: "report")))
                let started = ContinuousClock.now
                try await eventually("it was asked a few times") { market.faults.now.appends - appends >= 4 }
                // After pauses of 50, 100 and 200 ms at least.
                #expect(ContinuousClock.now - started >= .milliseconds(350))
                market.faults.set { $0.before = 0 }
                try await eventually("the report is in") { market.available(1) == Satoshis(5) }
            }
        }
    }

    @Test(.timeLimit(.minutes(2)), arguments: Engine.allCases)
    func stoppingDoesNotWaitForAJournalThatIsGone(_ engine: Engine) async throws {
        for isAway in [true, false] {
            try await engine.withStorage { storage in
                let market = try await TestMarket(storage)
                market.faults.set {
                    $0.isAway = isAway
                    $0.before = isAway ? 0 : .max
                }
                #expect(market.writer.post(.deposit(account: AccountID(1), amount: Satoshis(5), reference: "report")))
                await market.stop()
            }
        }
    }

    @Test
    func terminatedConnectionsAreReplaced() async throws {
        try await Engine.postgres.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let isOver = Shared(false)
                let done = Shared(0)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 1...8 {
                        group.addTask {
                            var number = 0
                            while !isOver.withLock({ $0 }) {
                                number += 1
                                let name = "\(worker)/\(number)"
                                let error = await gatewayError { try await market.deposit(name, 1) }
                                if error == nil { done.withLock { $0 += 1 } }
                            }
                        }
                    }
                    group.addTask {
                        defer { isOver.withLock { $0 = true } }
                        for _ in 1...6 {
                            let before = done.withLock { $0 }
                            try await eventually("orders are answered") { done.withLock { $0 } >= before + 4 }
                            _ = try storage.query(
                                """
                                SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity
                                WHERE datname = current_database() AND pid <> pg_backend_pid()
                                """)
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(market.deposed.count.withLock { $0 } == 0)
                let committed = try market.journalled().flatMap(\.events).count {
                    if case .entryPosted = $0 { true } else { false }
                }
                #expect(market.available(1) == Satoshis(Int64(committed)))
                // Every answer is in the journal; an unanswered commit is possible only with an error.
                #expect(committed >= done.withLock { $0 })
                await market.service.projected()
                let positions = try storage.positions()
                #expect(positions.journal == positions.tables)
            }
        }
    }

    // MARK: - Damage

    private func startError(_ storage: Storage, rules: MarketRules = History.rules) async -> MarketStartError? {
        do {
            let market = try await TestMarket(storage, rules: rules)
            await market.stop()
            return nil
        } catch { return error as? MarketStartError }
    }

    /// A market whose journal has a tail that the tables lack.
    private func withTail(_ engine: Engine, _ body: (Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                market.service.writer.post(.advance)
                try await market.deposit("one")
                await market.service.projected()
                market.tables.isAway.withLock { $0 = true }
                _ = try await market.openDelivery()
            }
            try await body(storage)
        }
    }

    @Test(arguments: Engine.allCases)
    func aDamagedJournalIsRefused(_ engine: Engine) async throws {
        try await withTail(engine) { storage in
            let rows = try storage.query("SELECT last, body FROM journal ORDER BY last", in: storage.journal)
            let last = try rows[rows.count - 1].int64(0), body = try rows[rows.count - 1].blob(1)
            for place in stride(from: 0, to: body.count, by: 5) + [body.count - 1] {
                var damaged = body
                damaged[place] ^= 0x10
                try write(damaged, at: last, storage)
                guard case .journalUnreadable(let sequence, _) = await startError(storage) else {
                    Issue.record("started with byte \(place) damaged")
                    continue
                }
                #expect(sequence == last)
            }
            try write(Array(body.dropLast()), at: last, storage)
            #expect(await startError(storage) != nil)
            try write([], at: last, storage)
            #expect(await startError(storage) != nil)
            try write(body, at: last, storage)
            #expect(await startError(storage) == nil)
        }
    }

    private func write(_ body: [UInt8], at last: Int64, _ storage: Storage) throws {
        let connection = try Database.openConnection(storage.journal)
        defer { connection.close() }
        try connection.execute("UPDATE journal SET body = $1 WHERE last = $2", [.blob(body), .integer(last)])
    }

    @Test(arguments: Engine.allCases)
    func aMissingRowIsRefused(_ engine: Engine) async throws {
        for end in ["ASC", "DESC"] {
            try await withTail(engine) { storage in
                let tables = try storage.positions().tables
                try storage.script(
                    """
                    DELETE FROM journal WHERE last = (
                        SELECT last FROM journal WHERE last > \(tables) ORDER BY last \(end) LIMIT 1)
                    """, in: storage.journal)
                guard case .journalUnreadable = await startError(storage) else {
                    Issue.record("started without a row")
                    return
                }
            }
        }
    }

    @Test(arguments: Engine.allCases, [
        "DELETE FROM pool_targets", "UPDATE rigs SET measured = measured + 1",
        "UPDATE deposits SET amount = amount + 1", "UPDATE projector SET state_hash = 1",
        "UPDATE orders SET live = 0", "DELETE FROM market_state",
    ])
    func tablesThatDoNotMatchAreRefused(_ engine: Engine, _ damage: String) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { _ = try await $0.openDelivery() }
            try storage.script(damage)
            guard case .stateMismatch = await startError(storage) else {
                Issue.record("started after \(damage)")
                return
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func otherDamageIsNamed(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { _ = try await $0.openDelivery() }
            var other = History.rules
            other.priceUnit = Hashrate(hashesPerSecond: 2_000_000)
            guard case .rulesDiffer = await startError(storage, rules: other) else {
                Issue.record("other units were taken")
                return
            }
            // Rules may have changed since the market was created: those it has stay.
            other = History.rules
            other.term = .seconds(21)
            try await TestMarket.with(storage, rules: other) { market in
                #expect(market.writer.read { $0.rules } == History.rules)
            }
            try storage.script("UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 3")
            guard case .tablesInvalid = await startError(storage) else {
                Issue.record("unbalanced books were taken")
                return
            }
            try storage.script("UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 3")
            // A journal from an older backup.
            try storage.script("UPDATE writer SET last = 3", in: storage.journal)
            try storage.script("DELETE FROM journal WHERE last > 3", in: storage.journal)
            guard case .tablesInvalid = await startError(storage) else {
                Issue.record("an older journal was taken")
                return
            }
        }
    }
}

private func + (a: StrideTo<Int>, b: [Int]) -> [Int] { Array(a) + b }
