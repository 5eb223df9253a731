internal import Exchange
internal import OrderBook
internal import Units

/// Measures the market's state machine in memory: holds, deliveries, ledger entries and events on top of the book.
public struct ExchangeBenchmark: Sendable {
    public var seed: UInt64
    public var commands: Int
    /// Orders that rest in the book before and about during the timed part.
    public var resting: Int
    public var runs: Int
    /// As many commands as the server's writer puts into one journal row, at whose end the state is hashed.
    public var batch: Int

    public init(seed: UInt64, commands: Int, resting: Int, runs: Int, batch: Int = 4096) {
        self.seed = seed
        self.commands = commands
        self.resting = resting
        self.runs = max(1, runs)
        self.batch = max(1, batch)
    }

    /// All commands as one run with the state's hash at the end of each batch, and the same without hashes.
    public func run() -> [BenchmarkReport] {
        let script = ExchangeScript(.init(seed: seed, commands: commands, resting: resting))
        var reports = [measure("exchange", script, hashes: true), measure("exchange, no hash", script, hashes: false)]
        addLatencies(script, &reports[0])
        return reports
    }

    /// Whether the same commands always came to the same state.
    public static func agree(_ reports: [BenchmarkReport]) -> Bool {
        Set(reports.map(\.check)).count == 1 && !reports.contains { $0.check == "runs differ" }
    }

    private struct Run {
        var nanoseconds: UInt64
        var processor: UInt64
        var allocations: UInt?
        var tally: Tally
    }

    /// What came of the timed commands.
    private struct Tally: Hashable {
        var events = 0
        var fills = 0
        var rejected = 0
        var hash: UInt64 = 0

        mutating func add(_ result: (outcome: Outcome, events: [Event])) {
            events += result.events.count
            if case .rejected = result.outcome { rejected += 1 }
            for event in result.events { if case .deliveryOpened = event { fills += 1 } }
        }

        func description(_ exchange: Exchange) -> String {
            let book = exchange.state.book
            return "hash=\(String(hash, radix: 16)) events=\(events) fills=\(fills) rejected=\(rejected) orders=\(book.count)"
                + " entries=\(exchange.state.counters.entry - 1)"
        }
    }

    private func measure(_ variant: String, _ script: ExchangeScript, hashes: Bool) -> BenchmarkReport {
        var checks: Set<String> = []
        var runs: [Run] = []
        for number in 0...self.runs {
            let (run, check) = run(script, hashes: hashes)
            checks.insert(check)
            if number > 0 { runs.append(run) }
        }
        runs.sort { $0.nanoseconds < $1.nanoseconds }
        let median = runs[runs.count / 2], count = Double(script.commands.count)
        var report = BenchmarkReport(
            bench: "exchange", variant: variant, operations: script.commands.count,
            opsPerSecond: count / Double(max(1, median.nanoseconds)) * 1e9,
            cpuUsPerOp: Double(median.processor) / count / 1e3, rssBytes: Stopwatch.residentBytes())
        report.check = checks.count == 1 ? checks.first : "runs differ"
        report.extras["eventsPerOp"] = Double(median.tally.events) / count
        report.extras["fillsPerOp"] = Double(median.tally.fills) / count
        report.extras["fastestOpsPerSecond"] = count / Double(max(1, runs[0].nanoseconds)) * 1e9
        report.extras["slowestOpsPerSecond"] = count / Double(max(1, runs[runs.count - 1].nanoseconds)) * 1e9
        if let most = runs.compactMap(\.allocations).max() { report.extras["allocationsPerOp"] = Double(most) / count }
        return report
    }

    private func populated(_ script: ExchangeScript) -> (exchange: Exchange, now: Timestamp) {
        var exchange = Exchange(), now = ExchangeScript.start
        for envelope in script.setUp {
            now = now + ExchangeScript.step
            _ = exchange.apply(envelope, at: now)
        }
        exchange.settleHashes()
        return (exchange, now)
    }

    private func run(_ script: ExchangeScript, hashes: Bool) -> (Run, check: String) {
        var (exchange, now) = populated(script)
        var tally = Tally()
        let counter = AllocationCount(), allocated = counter?.now ?? 0
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        var left = batch
        for envelope in script.commands {
            now = now + ExchangeScript.step
            tally.add(exchange.apply(envelope, at: now))
            left -= 1
            if left == 0 {
                left = batch
                if hashes { exchange.settleHashes() }
            }
        }
        if hashes { exchange.settleHashes() }
        let end = Stopwatch.now()
        let used = Stopwatch.processor() - processor
        let allocations = counter.map { $0.now - allocated }
        exchange.settleHashes()
        tally.hash = exchange.state.hash
        let run = Run(nanoseconds: end - start, processor: used, allocations: allocations, tally: tally)
        return (run, tally.description(exchange))
    }

    private func addLatencies(_ script: ExchangeScript, _ report: inout BenchmarkReport) {
        var (exchange, now) = populated(script)
        var samples = Samples(capacity: script.commands.count)
        for envelope in script.commands {
            now = now + ExchangeScript.step
            let start = Stopwatch.now()
            _ = exchange.apply(envelope, at: now)
            samples.add(Stopwatch.now() &- start)
        }
        report.p50us = samples.quantile(0.5) / 1e3
        report.p99us = samples.quantile(0.99) / 1e3
        report.p999us = samples.quantile(0.999) / 1e3
        report.extras["timerNs"] = Stopwatch.ownCost()
    }
}
