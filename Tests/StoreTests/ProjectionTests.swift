import Database
import Exchange
import Ledger
import Market
import MarketTestSupport
import OrderBook
import Settlement
import Store
import Testing
import TestSupport
import Units

@Suite("Projection")
struct ProjectionTests {
    struct Case: Sendable, CustomStringConvertible {
        var engine: Engine
        var seed: UInt64
        var description: String { "\(engine), HASHSPOT_SEED=\(seed)" }
    }

    static let cases = Seeds.list(3).flatMap { seed in Engine.allCases.map { Case(engine: $0, seed: seed) } }

    @Test(arguments: cases)
    func tablesHoldTheStateOfAnyHistory(_ example: Case) async throws { try await follow(example, hasFleets: false) }

    @Test(arguments: cases)
    func andOfAnyWithFleets(_ example: Case) async throws { try await follow(example, hasFleets: true) }

    @Test(arguments: cases)
    func andOfAnyWithATreasury(_ example: Case) async throws { try await follow(example, hasFleets: true, hasTreasury: true) }

    @Test(arguments: cases)
    func andOfAnyWithBooks(_ example: Case) async throws { try await follow(example, hasFleets: false, hasBooks: true) }

    private func follow(
        _ example: Case, hasFleets: Bool, hasBooks: Bool = false, hasTreasury: Bool = false
    ) async throws {
        try await example.engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                var history = History(seed: example.seed)
                (history.hasFleets, history.hasBooks) = (hasFleets, hasBooks)
                history.hasTreasury = hasTreasury
                var follower = Follower()
                var sizes = SeededRandom(seed: example.seed &+ 1)
                for _ in 0..<12 {
                    for _ in 0..<sizes.int(1...4) {
                        let commands = history.commands(sizes.int(1...30))
                        let row = follower.commit(commands, epoch: 1, at: history.now)
                        #expect(row.stateHash == history.state.hash)
                        #expect(try JournalBody.decode(row.body).map(\.events) == commands.map(\.events))
                    }
                    try await store.project(follower.projection(at: history.now))
                    try await check(store, history, follower)
                }
                try await goOn(from: store, history)
                guard Seeds.isFixed(example.seed), !hasFleets else { return }
                #expect(history.billed.count > 3, "the history is too dull")
            }
        }
    }

    private func check(_ store: TableStore, _ history: History, _ follower: Follower) async throws {
        let stored = try await store.load()
        #expect(stored.last == follower.last)
        #expect(stored.at == history.now)
        #expect(stored.rulesVersion == JournalBody.rulesVersion)
        #expect(stored.stateHash == history.state.hash)
        let restored = try MarketState(restoring: stored.state)
        #expect(restored.hash == history.state.hash)
        #expect(restored.ledgerTotal == 0)
    }

    /// What is derived from the tables (books, timers, indexes) is the same too: both decide alike.
    private func goOn(from store: TableStore, _ history: History) async throws {
        let stored = try await store.load()
        var restored = Exchange(try MarketState(restoring: stored.state), time: stored.at)
        var history = history
        for _ in 0..<300 {
            let command = try #require(history.commands(1).first)
            let (_, events) = restored.apply(command.envelope, at: history.now)
            try #require(events == command.events)
        }
        #expect(restored.state.hash == history.state.hash)
    }

    @Test(arguments: Engine.allCases)
    func projectingTwiceChangesNothing(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                var history = History(seed: 7)
                var follower = Follower()
                var projections: [Projection] = []
                for _ in 0..<3 {
                    _ = follower.commit(history.commands(60), epoch: 1, at: history.now)
                    projections.append(follower.projection(at: history.now))
                    try await store.project(projections[projections.count - 1])
                }
                let before = try storage.dump()
                #expect(before.count > 50)
                try await store.project(projections[2])
                #expect(try storage.dump() == before)
                // An older one is somebody else's.
                await #expect(throws: (any Error).self) { try await store.project(projections[1]) }
                #expect(try storage.dump() == before)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aFailedProjectionLeavesNothing(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                var history = History(seed: 8)
                var follower = Follower()
                _ = follower.commit(history.commands(40), epoch: 1, at: history.now)
                try await store.project(follower.projection(at: history.now))
                let before = try storage.dump()
                var broken = StateChanges.none
                broken.balances = [.available(AccountID(1)): .live(Satoshis(-1))]
                await #expect(throws: DatabaseError.self) {
                    try await store.project(Projection(
                        previous: follower.last, last: follower.last + 1, at: history.now,
                        rulesVersion: JournalBody.rulesVersion, stateHash: 1, changes: broken, appended: Appended()))
                }
                #expect(try storage.dump() == before)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func largeBatchesFit(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                var exchange = Exchange()
                var commands: [JournalledCommand] = []
                func apply(_ command: Command) {
                    let (_, events) = exchange.apply(CommandEnvelope(command), at: History.start)
                    commands.append(JournalledCommand(envelope: CommandEnvelope(command), events: events))
                }
                apply(.defineMarket(.demo))
                for number in 1...3000 {
                    apply(.deposit(account: AccountID(Int64(number)), amount: Satoshis(5), reference: "r"))
                }
                var follower = Follower()
                _ = follower.commit(commands, epoch: 1, at: History.start)
                try await store.project(follower.projection(at: History.start))
                #expect(try MarketState(restoring: try await store.load().state).hash == exchange.state.hash)
            }
        }
    }
}
