import Database
@testable import Exchange
import Ledger
import Logging
import Market
import MarketTestSupport
import Store
import Synchronization
import TestSupport
import Testing
import Units

@Suite("Market service")
struct MarketServiceTests {
    @Test(arguments: Engine.allCases)
    func anAnswerComesAfterTheCommit(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                for number in 1...10 {
                    guard case .entry = try await market.deposit("wire \(number)") else {
                        Issue.record("refused")
                        return
                    }
                    #expect(try market.deposits(named: "wire \(number)") == 1)
                }
                // While the commit is under way nobody is answered and nothing is seen.
                let appends = market.faults.now.appends
                market.faults.set { $0.isHeld = true }
                let isAnswered = Shared(false)
                async let answer: Outcome = {
                    let outcome = try await market.deposit("held")
                    isAnswered.withLock { $0 = true }
                    return outcome
                }()
                try await eventually("the writer is at it") { market.faults.now.appends > appends }
                try await Task.sleep(for: .milliseconds(50))
                #expect(!isAnswered.withLock { $0 })
                #expect(market.available(1) == Satoshis(10_000))
                market.faults.set { $0.isHeld = false }
                _ = try await answer
                #expect(market.available(1) == Satoshis(11_000))
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aKeyGivesTheFirstAnswerAlsoAfterARestart(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            func envelope(_ digest: UInt8) -> CommandEnvelope {
                CommandEnvelope(
                    .deposit(account: AccountID(1), amount: Satoshis(7), reference: "w"),
                    idempotency: .init(key: AnswerKey(account: AccountID(1), key: "schlüssel"), digest: [digest]))
            }
            var first: Outcome?
            try await TestMarket.with(storage) { market in
                first = try await market.writer.submit(envelope(1))
                #expect(try await market.writer.submit(envelope(1)) == first)
            }
            try await TestMarket.with(storage) { market in
                let again = try await market.writer.submit(envelope(1))
                #expect(again == first)
                #expect(try await market.writer.submit(envelope(2)) == .rejected(.idempotencyKeyReused))
                #expect(market.available(1) == Satoshis(7))
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func anyHistoryThroughTheServiceEndsInTheSameState(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let clock = ManualClock()
            var history = History(seed: 21)
            for round in 1...3 {
                let market = try await TestMarket(storage, clock: clock)
                for _ in 1...100 {
                    let command = try #require(history.commands(1).first)
                    clock.now = history.now
                    if command.envelope.command == .defineMarket(History.rules) { continue }
                    // A timer may have fired by itself before: the state is the same.
                    _ = try await market.writer.submit(command.envelope)
                }
                #expect(market.hash == history.state.hash, "round \(round)")
                await market.stop()
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aCleanStopLeavesNoTail(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let market = try await TestMarket(storage)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...200 { group.addTask { try await market.deposit("wire \(number)") } }
                try await group.waitForAll()
            }
            let hash = market.hash
            await market.stop()
            let positions = try storage.positions()
            #expect(positions.journal == positions.tables)
            #expect(positions.journal == 201)
            try await TestMarket.with(storage) { #expect($0.hash == hash) }
        }
    }

    @Test(arguments: Engine.allCases)
    func theJournalsTailIsApplied(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            var hash: UInt64 = 0
            try await TestMarket.with(storage) { market in
                market.tables.isAway.withLock { $0 = true }
                let delivery = try await market.openDelivery()
                try await market.submit(.settle(run: 1, chunk: 0, [
                    DeliveryTotal(delivery: delivery, billableWork: Work(units: 3), isFinal: false),
                ]))
                hash = market.hash
            }
            let before = try storage.positions()
            #expect(before.tables < before.journal)
            try await TestMarket.with(storage) { market in
                #expect(market.hash == hash)
                let after = try storage.positions()
                #expect(after.tables == after.journal)
                #expect(after.journal == before.journal)
                let tables = try await TableStore(market.database).load()
                #expect(tables.stateHash == hash)
                #expect(try MarketState(restoring: tables.state).hash == hash)
                #expect(try await Audit(market.database).run().filter {
                    $0.violations != 0 && $0.invariant != "billed work is not above verified work"
                } == [])
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func tablesThatComeBackAreCaughtUp(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage, tablesAway: true) { market in
                for number in 1...20 { try await market.deposit("wire \(number)") }
                #expect(try storage.positions().tables <= 1)
                market.tables.isAway.withLock { $0 = false }
                await market.service.projected()
                #expect(try storage.positions().tables == 21)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aFullQueueIsBusyAtOnceButTakesReports(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            var configuration = MarketWriter.Configuration()
            configuration.mostWaiting = 3
            configuration.mostInBatch = 2
            try await TestMarket.with(storage, configuration: configuration) { market in
                let appends = market.faults.now.appends
                market.faults.set { $0.isHeld = true }
                var refused = 0
                try await withThrowingTaskGroup(of: GatewayError?.self) { group in
                    group.addTask { await gatewayError { try await market.deposit("at it") } }
                    try await eventually("the writer is at it") { market.faults.now.appends > appends }
                    for number in 1...20 { group.addTask { await gatewayError { try await market.deposit("\(number)") } } }
                    // Three wait, two or three are in the next batch; all others are refused while the commit is held.
                    while refused < 14, let result = try await group.next() {
                        #expect(result == .busy)
                        refused += 1
                    }
                    #expect(market.writer.post(.advance))
                    market.faults.set { $0.isHeld = false }
                    for try await result in group where result != nil {
                        #expect(result == .busy)
                        refused += 1
                    }
                }
                #expect(refused <= 17)
                #expect(market.available(1) == Satoshis(Int64(1 + 20 - refused) * 1000))
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func stoppingAnswersEverybodyAndRefusesTheRest(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let market = try await TestMarket(storage)
            let outcomes = Shared((done: 0, unavailable: 0))
            await withTaskGroup(of: Void.self) { group in
                for number in 1...100 {
                    group.addTask {
                        let error = await gatewayError { try await market.deposit("\(number)") }
                        outcomes.withLock { if error == nil { $0.done += 1 } else { $0.unavailable += 1 } }
                    }
                }
                group.addTask { await market.service.stop() }
                group.addTask { await market.service.stop() }
            }
            #expect(await gatewayError { try await market.deposit("late") } == .unavailable)
            #expect(!market.writer.post(.advance))
            await market.service.stop()
            await market.service.projected()
            let (done, unavailable) = outcomes.withLock { $0 }
            #expect(done + unavailable == 100)
            #expect(market.available(1) == Satoshis(Int64(done) * 1000))
            #expect(try market.journalled().count == done + 1)
            await market.database.close()
        }
    }

    @Test(arguments: Engine.allCases)
    func aSecondServiceDeposesTheFirst(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { first in
                try await first.deposit("one")
                try await TestMarket.with(storage) { second in
                    #expect(second.available(1) == Satoshis(1000))
                    #expect(await gatewayError { try await first.deposit("two") } == .unavailable)
                    #expect(first.deposed.count.withLock { $0 } == 1)
                    #expect(await gatewayError { try await first.deposit("three") } == .unavailable)
                    #expect(!first.writer.post(.advance))
                    try await second.deposit("four")
                    #expect(second.deposed.count.withLock { $0 } == 0)
                    #expect(try second.journalled().count == 3)
                }
                #expect(first.available(1) == Satoshis(1000))
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aTakeOverWaitsForTheTablesOfTheDeposed(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            // The tables move between the load and the projection of the tail.
            try await TestMarket.with(storage, tablesAway: true) { first in
                for number in 1...5 { try await first.deposit("wire \(number)") }
                let database = try await Database.open(storage.tables)
                let racing = RacingTables(TableStore(database)) {
                    first.tables.isAway.withLock { $0 = false }
                    await first.service.projected()
                }
                let second = try await MarketService.start(
                    rules: History.rules, tables: racing, journal: try storage.openJournal(),
                    logger: .init(label: "test"), onDeposed: { _ in })
                #expect(second.writer.read { $0.balance(.available(AccountID(1))) } == Satoshis(5000))
                await second.stop()
                await database.close()
            }
        }
    }

    /// Lets something happen before the first projection.
    private final class RacingTables: TablesPort {
        private let tables: TableStore
        private let race: @Sendable () async -> Void
        private let hasRaced = Mutex(false)

        init(_ tables: TableStore, _ race: @escaping @Sendable () async -> Void) {
            self.tables = tables
            self.race = race
        }

        func load() async throws -> StoredTables { try await tables.load() }

        func project(_ projection: Projection) async throws {
            let isFirst = hasRaced.withLock { hasRaced in
                defer { hasRaced = true }
                return !hasRaced
            }
            if isFirst { await race() }
            try await tables.project(projection)
        }
    }

    @Test(arguments: Engine.allCases)
    func textsThatNoTableHoldsAreRefused(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                #expect(try await market.deposit("a\0b") == .rejected(.textTooLong))
                #expect(try await market.submit(.createPoolTarget(
                    owner: AccountID(1), name: "\0", url: "u", user: "u", password: "")) == .rejected(.textTooLong))
                #expect(try await market.writer.submit(CommandEnvelope(
                    .advance, idempotency: .init(key: AnswerKey(account: AccountID(1), key: "\0"), digest: [1])))
                    == .rejected(.textTooLong))
                let delivery = try await market.openDelivery()
                try await market.submit(.poolsUnusable(delivery, reason: "no\0pe"))
                try await market.submit(.recordVerification(target: PoolTargetID(1), status: .failed(reason: "\0")))
                await market.service.projected()
                let positions = try storage.positions()
                #expect(positions.tables == positions.journal)
            }
        }
    }
}
