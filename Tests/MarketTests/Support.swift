import Database
import Exchange
import Foundation
import Ledger
import Logging
import Market
import MarketTestSupport
import Store
import Synchronization
import Testing
import Units

/// A clock that goes only when it is told to.
final class ManualClock: Sendable {
    private let time = Mutex((now: History.start, looks: 0))

    var now: Timestamp {
        get {
            time.withLock { time in
                time.looks += 1
                return time.now
            }
        }
        set { time.withLock { $0.now = max($0.now, newValue) } }
    }

    /// How often it was looked at.
    var looks: Int { time.withLock { $0.looks } }
}

/// Faults of a journal, switched from the test.
final class JournalFaults: Sendable {
    struct State {
        /// Appends that fail without having committed.
        var before = 0
        /// Appends that commit and fail nevertheless.
        var after = 0
        /// Nothing can be reached.
        var isAway = false
        /// Appends wait.
        var isHeld = false
        var appends = 0
    }

    private let state = Mutex(State())

    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
    var now: State { state.withLock { $0 } }
}

/// A real journal with faults.
final class FaultyJournal: JournalPort {
    private let journal: JournalStore
    private let faults: JournalFaults

    init(_ journal: JournalStore, _ faults: JournalFaults) {
        self.journal = journal
        self.faults = faults
    }

    func mayTakeOver(hasWaited: Bool) throws(JournalError) -> Bool { try journal.mayTakeOver(hasWaited: hasWaited) }

    func takeOver() throws(JournalError) -> WriterPosition { try journal.takeOver() }

    func signOfLife(_ epoch: Int64) throws(JournalError) -> WriterPosition {
        if faults.now.isAway { throw .failed("away") }
        return try journal.signOfLife(epoch)
    }

    func resign(_ epoch: Int64) { journal.resign(epoch) }

    func position() throws(JournalError) -> WriterPosition {
        if faults.now.isAway { throw .failed("away") }
        return try journal.position()
    }

    func append(_ row: JournalRow, after previous: Int64) throws(JournalError) {
        faults.set { $0.appends += 1 }
        while faults.now.isHeld { usleep(500) }
        let now = faults.now
        if now.isAway { throw .failed("away") }
        if now.before > 0 {
            faults.set { $0.before -= 1 }
            throw .failed("before the commit")
        }
        try journal.append(row, after: previous)
        if now.after > 0 {
            faults.set { $0.after -= 1 }
            throw .failed("after the commit")
        }
    }

    func replay(after position: Int64, _ body: (JournalRow) throws -> Void) throws {
        try journal.replay(after: position, body)
    }

    func close() { journal.close() }
}

/// Real tables that can be out of reach.
final class FaultyTables: TablesPort {
    struct Away: Error {}

    private let tables: TableStore
    let isAway = Mutex(false)

    init(_ database: Database) { tables = TableStore(database) }

    func load() async throws -> StoredTables { try await tables.load() }

    func project(_ projection: Projection) async throws {
        if isAway.withLock({ $0 }) { throw Away() }
        try await tables.project(projection)
    }
}

/// A market service on real files, with its faults at hand.
struct TestMarket {
    let storage: Storage
    let database: Database
    let clock: ManualClock
    let faults = JournalFaults()
    let tables: FaultyTables
    let deposed = Deposed()
    let service: MarketService

    final class Deposed: Sendable {
        let count = Mutex(0)
    }

    var writer: MarketWriter { service.writer }

    init(
        _ storage: Storage, clock: ManualClock = ManualClock(), rules: MarketRules = History.rules,
        configuration: MarketWriter.Configuration = .init(), tablesAway: Bool = false
    ) async throws {
        self.storage = storage
        self.clock = clock
        database = try await Database.open(storage.tables)
        tables = FaultyTables(database)
        let deposed = deposed
        do {
            service = try await MarketService.start(
                rules: rules, tables: tables, journal: FaultyJournal(try storage.openJournal(), faults),
                configuration: configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                clock: { clock.now }, onDeposed: { _ in deposed.count.withLock { $0 += 1 } })
        } catch {
            await database.close()
            throw error
        }
        if tablesAway { tables.isAway.withLock { $0 = true } }
    }

    func stop() async {
        await service.stop()
        await database.close()
    }

    /// Runs a market and stops it.
    static func with(
        _ storage: Storage, clock: ManualClock = ManualClock(), rules: MarketRules = History.rules,
        configuration: MarketWriter.Configuration = .init(), tablesAway: Bool = false, _ body: (TestMarket) async throws -> Void
    ) async throws {
        let market = try await TestMarket(
            storage, clock: clock, rules: rules, configuration: configuration, tablesAway: tablesAway)
        do { try await body(market) } catch {
            market.faults.set { $0 = JournalFaults.State() }
            await market.stop()
            throw error
        }
        await market.stop()
    }

    @discardableResult
    func submit(_ command: Command) async throws -> Outcome { try await writer.submit(CommandEnvelope(command)) }

    @discardableResult
    func deposit(_ reference: String, account: Int64 = 1, _ amount: Int64 = 1000) async throws -> Outcome {
        try await submit(.deposit(account: AccountID(account), amount: Satoshis(amount), reference: reference))
    }

    var hash: UInt64 { writer.read { $0.hash } }
    func available(_ account: Int64) -> Satoshis { writer.read { $0.balance(.available(AccountID(account))) } }

    /// Account 1 buys rig 1 of account 2: a running delivery.
    func openDelivery(name: String = "rig") async throws -> DeliveryID {
        try await deposit("for \(name)", account: 1, 1_000_000)
        let buyers = try await target(of: 1), sellers = try await target(of: 2)
        let outcome = try await submit(.registerRig(
            owner: AccountID(2), name: name, passwordDigest: Array(repeating: 0, count: 32), fallback: sellers))
        guard case .rig(let rig, _) = outcome else { throw Unexpected(outcome) }
        try await submit(.rigOnline(rig, edge: EdgeID(1), session: 1, versionMask: 0))
        try await submit(.rigMeasured(rig, session: 1, Hashrate(hashesPerSecond: 300_000)))
        try await submit(.placeAsk(PlaceAsk(account: AccountID(2), price: Price(1_000_000), rig: rig)))
        try await submit(.placeBid(PlaceBid(
            account: AccountID(1), price: Price(2_000_000), lots: Lots(3), targets: [buyers])))
        return try #require(writer.read { $0.deliveries(on: rig).first?.id })
    }

    private func target(of owner: Int64) async throws -> PoolTargetID {
        let outcome = try await submit(.createPoolTarget(
            owner: AccountID(owner), name: "p", url: "stratum+tcp://p:1", user: "u", password: ""))
        guard case .poolTarget(let id) = outcome else { throw Unexpected(outcome) }
        let pool = PoolCapabilities(extranonce2Size: 8, versionMask: .max, difficulty: "1")
        try await submit(.recordVerification(target: id, status: .verified(pool)))
        return id
    }

    struct Unexpected: Error {
        var outcome: Outcome
        init(_ outcome: Outcome) { self.outcome = outcome }
    }

    // MARK: - Looking from outside

    /// Everything journalled, read over a connection of its own.
    func journalled() throws -> [JournalledCommand] {
        let journal = try storage.openJournal()
        defer { journal.close() }
        var commands: [JournalledCommand] = []
        try journal.replay(after: 0) { commands += try JournalBody.decode($0.body) }
        return commands
    }

    func deposits(named reference: String) throws -> Int {
        try journalled().flatMap(\.events).count {
            if case .entryPosted(let entry) = $0 { entry.reference == reference } else { false }
        }
    }
}

extension Storage {
    /// How far the journal is, and how far the tables.
    func positions() throws -> (journal: Int64, tables: Int64) {
        (
            try query("SELECT last FROM writer", in: journal)[0].int64(0),
            try query("SELECT last FROM projector")[0].int64(0)
        )
    }
}

func gatewayError(_ body: () async throws -> Void) async -> GatewayError? {
    do {
        try await body()
        return nil
    } catch { return error as? GatewayError }
}

/// A value that tasks share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<T: Sendable>(_ body: (inout Value) -> T) -> T { value.withLock { body(&$0) } }
}
