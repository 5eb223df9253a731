public import Database
internal import Exchange
internal import Foundation
internal import Logging
internal import Market
internal import MigrationFiles
internal import Store
internal import Synchronization
internal import Units

/// Measures the market's commit path on a real database: orders acknowledged after their commit, and the projector behind.
public struct CommitBenchmark: Sendable {
    /// Journal and tables; the databases are migrated and must be empty.
    public var journal: DatabaseLocation
    public var tables: DatabaseLocation
    public var seed: UInt64
    /// Orders that rest in the book.
    public var resting: Int
    /// Seconds of each measured part.
    public var seconds: Int
    /// Commands a second of the part with a given rate.
    public var rate: Int
    public var parts: Set<Part> = Set(Part.allCases)
    /// Whether a tenth of the commands are bids that take rigs, with their holds, deliveries and settlements.
    public var takes: Bool

    /// What is measured.
    public enum Part: String, CaseIterable, Sendable {
        /// Orders one after the other, each when the one before is answered.
        case lone
        /// A steady rate.
        case rate
        /// As many as the tables keep up with, and then half of that.
        case sustained
        /// As many as are answered.
        case burst
        /// Starting again, with a million commands in the journal: from tables that have all of them, and on SQLite also from
        /// tables that have none.
        case restart
    }

    public init(
        journal: DatabaseLocation, tables: DatabaseLocation, seed: UInt64, resting: Int, seconds: Int, rate: Int, takes: Bool
    ) {
        self.journal = journal
        self.tables = tables
        self.seed = seed
        self.resting = resting
        self.seconds = seconds
        self.rate = rate
        self.takes = takes
    }

    /// The fastest that is measured: so many commands are prepared for a second of a burst.
    private static let mostPerSecond = 600_000

    /// A burst, a steady rate, lone orders, and as many as the projector can keep up with.
    ///
    /// - Parameter progress: is told what is being done
    public func run(progress: (String) -> Void) async throws -> [BenchmarkReport] {
        progress("making \(CommitBenchmark.mostPerSecond * seconds) commands")
        let script = ExchangeScript(.init(
            seed: seed, commands: CommitBenchmark.mostPerSecond * seconds, resting: resting, takes: takes))
        try migrate()
        let database = try await Database.open(tables)
        let market = try await start(database)
        let driver = CommitDriver(market, script.setUp + script.commands)
        progress("setting up: \(script.setUp.count) commands")
        await driver.burst(commands: script.setUp.count, seconds: 600)
        await market.projected()
        var reports: [BenchmarkReport] = []
        for part in Part.allCases where parts.contains(part) {
            reports += await measure(part, driver, progress)
            if part != .burst { await market.projected() }
        }
        if parts.contains(.restart) {
            let missing = CommitBenchmark.journalledAtRestart - Int(market.writer.position)
            progress("\(max(0, missing)) more commands")
            while market.writer.position < CommitBenchmark.journalledAtRestart {
                let before = market.writer.position
                await driver.burst(commands: CommitBenchmark.journalledAtRestart - Int(before) + 1000, seconds: 600)
                guard market.writer.position > before else { break }
            }
        }
        progress("waiting for the projector")
        await market.projected()
        let isSame = try await isInTables(market, database)
        if !reports.isEmpty { reports[reports.count - 1].check = isSame ? "tables equal" : "tables differ" }
        await market.stop()
        await database.close()
        if parts.contains(.restart) { reports += try await restarts(progress) }
        return reports
    }

    /// Commands in the journal when a start is measured.
    private static let journalledAtRestart = 1_000_000

    private func restarts(_ progress: (String) -> Void) async throws -> [BenchmarkReport] {
        progress("starting from the tables")
        var reports = [try await restart("restart", tables)]
        if case .sqlite(let path) = tables {
            progress("starting from the journal alone")
            let empty = DatabaseLocation.sqlite(path: path + ".empty")
            let connection = try Database.openConnection(empty)
            defer { connection.close() }
            _ = try Migrator(.sqlite).migrate(connection)
            reports.append(try await restart("restart, tail", empty))
        }
        return reports
    }

    /// Until commands are accepted.
    private func restart(_ name: String, _ tables: DatabaseLocation) async throws -> BenchmarkReport {
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        let database = try await Database.open(tables)
        let market = try await self.start(database)
        let elapsed = Stopwatch.now() - start
        var report = BenchmarkReport(
            bench: "commit", variant: "\(tables.dialect.rawValue) \(name)", operations: Int(market.writer.position),
            opsPerSecond: Double(market.writer.position) / Double(elapsed) * 1e9,
            cpuUsPerOp: Double(Stopwatch.processor() - processor) / Double(max(1, market.writer.position)) / 1e3,
            rssBytes: Stopwatch.residentBytes())
        report.extras["seconds"] = Double(elapsed) / 1e9
        report.extras["openOrders"] = Double(market.writer.read { $0.orders.values.count { $0.status == .active } })
        let isSame = try await isInTables(market, database)
        report.check = isSame ? "tables equal" : "tables differ"
        await market.stop()
        await database.close()
        return report
    }

    private func measure(_ part: Part, _ driver: CommitDriver, _ progress: (String) -> Void) async -> [BenchmarkReport] {
        switch part {
        case .lone:
            progress("lone orders")
            return [report("lone", await driver.lone(2000))]
        case .rate:
            progress("\(rate) orders a second")
            return [report("rate", await driver.paced(rate: rate, seconds: seconds))]
        case .sustained:
            progress("as many as the projector keeps up with, then half of that")
            let sustained = await driver.sustained(seconds: seconds)
            await driver.projected()
            let half = await driver.paced(rate: max(1, Int(sustained.rate / 2)), seconds: seconds)
            return [report("sustained", sustained), report("half", half)]
        case .burst:
            progress("a burst")
            return [report("burst", await driver.burst(commands: .max, seconds: seconds))]
        case .restart: return []
        }
    }

    private func migrate() throws {
        let streams: [(DatabaseLocation, MigrationStream)] =
            switch tables.dialect {
            case .sqlite: [(journal, .sqliteJournal), (tables, .sqlite)]
            case .postgres: [(tables, .postgres)]
            }
        for (location, stream) in streams {
            let connection = try Database.openConnection(location)
            defer { connection.close() }
            _ = try Migrator(stream).migrate(connection)
        }
    }

    private func start(_ database: Database) async throws -> MarketService {
        try await MarketService.start(
            rules: ExchangeScript.rules, tables: TableStore(database),
            journal: JournalStore(Database.openConnection(journal)),
            logger: Logger(label: "bench") { StreamLogHandler.standardError(label: $0) }, onDeposed: { _ in })
    }

    /// Whether the tables lead to the state that is in memory.
    private func isInTables(_ market: MarketService, _ database: Database) async throws -> Bool {
        let stored = try await TableStore(database).load()
        return try MarketState(restoring: stored.state).hash == market.writer.read { $0.hash }
    }

    private func report(_ name: String, _ part: CommitDriver.Part) -> BenchmarkReport {
        var part = part
        var report = BenchmarkReport(
            bench: "commit", variant: "\(tables.dialect.rawValue) \(name)\(takes ? ", market" : "")", operations: part.commands,
            opsPerSecond: part.rate, cpuUsPerOp: Double(part.processor) / Double(max(1, part.commands)) / 1e3,
            rssBytes: Stopwatch.residentBytes())
        report.p50us = part.latencies.quantile(0.5) / 1e3
        report.p99us = part.latencies.quantile(0.99) / 1e3
        report.p999us = part.latencies.quantile(0.999) / 1e3
        report.extras["mostLagCommands"] = Double(part.mostLag)
        report.extras["mostLagMs"] = Double(part.mostLagNanoseconds) / 1e6
        report.extras["p99LagMs"] = part.lags.quantile(0.99) / 1e6
        report.extras["refused"] = Double(part.refused)
        return report
    }
}
