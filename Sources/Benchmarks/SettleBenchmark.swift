public import Database
internal import Exchange
internal import Foundation
internal import Logging
internal import Market
internal import MigrationFiles
internal import Settlement
internal import Store
internal import Synchronization
internal import Units

/// Measures finance: settlement of an interval over many deliveries, and the audit of their lines, on a real database.
public struct SettleBenchmark: Sendable {
    /// Journal and tables; the databases are migrated and must be empty.
    public var journal: DatabaseLocation
    public var tables: DatabaseLocation
    public var seed: UInt64
    /// That run at a time.
    public var deliveries: Int
    /// That are audited: as many intervals are settled as it takes.
    public var lines: Int

    public init(journal: DatabaseLocation, tables: DatabaseLocation, seed: UInt64, deliveries: Int, lines: Int) {
        self.journal = journal
        self.tables = tables
        self.seed = seed
        self.deliveries = deliveries
        self.lines = lines
    }

    /// What the check of a report says when an invariant is broken.
    public static let broken = "broken"

    /// - Parameter progress: is told what is being done
    public func run(progress: (String) -> Void) async throws -> [BenchmarkReport] {
        let intervals = max(1, (lines + deliveries - 1) / deliveries)
        let script = SettleScript(seed: seed, deliveries: deliveries, intervals: intervals)
        try migrate()
        let database = try await Database.open(tables.forLongWork)
        let clock = BenchmarkClock(SettleScript.start)
        let market = try await start(script, database, clock)
        progress("\(deliveries) deliveries")
        try await setUp(script, market)
        var reports = [try await settle(script, market, database, clock, intervals: intervals, progress)]
        progress("audit")
        reports.append(try await audit(database))
        await market.stop()
        await database.close()
        return reports
    }

    // MARK: - The market

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

    private func start(_ script: SettleScript, _ database: Database, _ clock: BenchmarkClock) async throws -> MarketService {
        try await MarketService.start(
            rules: script.rules, tables: TableStore(database), journal: JournalStore(Database.openConnection(journal)),
            logger: logger, clock: { clock.now }, onDeposed: { _ in })
    }

    private var logger: Logger { Logger(label: "bench") { StreamLogHandler.standardError(label: $0) } }

    private func setUp(_ script: SettleScript, _ market: MarketService) async throws {
        var commands: [CommandEnvelope] = []
        script.forEachCommand { commands.append(CommandEnvelope($0)) }
        let driver = CommitDriver(market, commands)
        await driver.burst(commands: commands.count, seconds: 3600)
        await market.projected()
        let running = market.writer.read { $0.deliveries.count }
        guard running == deliveries else { throw SettleBenchmarkError(description: "\(running) of \(deliveries) deliveries run") }
    }

    // MARK: - Runs

    /// Rigs work for an interval, the worker bills it, and again.
    private func settle(
        _ script: SettleScript, _ market: MarketService, _ database: Database, _ clock: BenchmarkClock, intervals: Int,
        _ progress: (String) -> Void
    ) async throws -> BenchmarkReport {
        let worker = SettlementWorker(
            gateway: market.writer, meter: MeterStore(database), schedule: SettlementSchedule(), logger: logger, clock: { clock.now })
        let running = market.writer.read { Array($0.deliveries.values) }
        var seconds: [Double] = [], projection: [Double] = [], memory = 0
        var processor: UInt64 = 0
        for interval in 0..<Int64(intervals) {
            try await meter(script, running, interval, database)
            // Its reports have had their time to come.
            clock.now = SettleScript.start + .seconds((interval + 1) * SettleScript.width * 60 + 240)
            PeakMemory.reset()
            let before = Stopwatch.residentBytes(), used = Stopwatch.processor(), start = Stopwatch.now()
            guard try await worker.runOnce() != nil else { throw SettleBenchmarkError(description: "nothing to settle") }
            let end = Stopwatch.now()
            processor += Stopwatch.processor() - used
            memory = max(memory, PeakMemory.bytes() - before)
            seconds.append(Double(end - start) / 1e9)
            await market.projected()
            projection.append(Double(Stopwatch.now() - end) / 1e9)
            progress("interval \(interval + 1) of \(intervals): \(String(format: "%.2f", seconds[seconds.count - 1])) s")
        }
        seconds.sort()
        let median = seconds[seconds.count / 2]
        var report = BenchmarkReport(
            bench: "settle", variant: "\(tables.dialect.rawValue) interval", operations: deliveries,
            opsPerSecond: Double(deliveries) / median, cpuUsPerOp: Double(processor) / Double(deliveries * intervals) / 1e3,
            rssBytes: Stopwatch.residentBytes())
        report.extras["seconds"] = median
        report.extras["mostSeconds"] = seconds[seconds.count - 1]
        report.extras["projectionSeconds"] = projection.sorted()[projection.count / 2]
        report.extras["intervals"] = Double(intervals)
        report.extras["peakMemoryBytes"] = Double(max(0, memory))
        report.check = "charged \(market.writer.read { state in state.deliveries.values.reduce(Int64(0)) { $0 + $1.charged.rawValue } })"
        return report
    }

    /// The slots as the meter would write them.
    private func meter(_ script: SettleScript, _ running: [Delivery], _ interval: Int64, _ database: Database) async throws {
        for start in stride(from: 0, to: running.count, by: 2000) {
            var rows = SQLRows(columns: SettleScript.slotColumns.count)
            for delivery in running[start..<min(start + 2000, running.count)] {
                script.addSlots(of: delivery, interval: interval, to: &rows)
            }
            try await database.write { [rows] in try $0.insert(into: "meter_slots", SettleScript.slotColumns, rows) }
        }
    }

    // MARK: - Audit

    private func audit(_ database: Database) async throws -> BenchmarkReport {
        PeakMemory.reset()
        let before = Stopwatch.residentBytes(), processor = Stopwatch.processor(), start = Stopwatch.now()
        let findings = try await Audit(database).run()
        let elapsed = Stopwatch.now() - start
        let lines = findings.first { $0.code == "line.formula" }?.rows ?? 0
        var report = BenchmarkReport(
            bench: "settle", variant: "\(tables.dialect.rawValue) audit", operations: Int(lines),
            opsPerSecond: Double(lines) / Double(elapsed) * 1e9,
            cpuUsPerOp: Double(Stopwatch.processor() - processor) / Double(max(1, lines)) / 1e3, rssBytes: Stopwatch.residentBytes())
        report.extras["seconds"] = Double(elapsed) / 1e9
        report.extras["invariants"] = Double(findings.count)
        report.extras["peakMemoryBytes"] = Double(max(0, PeakMemory.bytes() - before))
        let broken = findings.filter { $0.violations > 0 }.map(\.code)
        report.check = broken.isEmpty ? "all hold" : "\(SettleBenchmark.broken): \(broken.joined(separator: ", "))"
        return report
    }
}

/// Why nothing was measured.
struct SettleBenchmarkError: Error, CustomStringConvertible {
    var description: String
}

/// A market's time that the benchmark sets.
final class BenchmarkClock: Sendable {
    private let time: Mutex<Timestamp>

    init(_ time: Timestamp) { self.time = Mutex(time) }

    var now: Timestamp {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }
}
