internal import OrderBook

/// Measures the order book on a workload: all operations as one run, several times, then once more one by one.
public struct BookBenchmark: Sendable {
    public var workload: Workload
    public var runs: Int
    /// Operations for the reference book, which is slow.
    public var referenceOperations: Int

    public init(_ workload: Workload, runs: Int = 5, referenceOperations: Int = 10_000) {
        self.workload = workload
        self.runs = max(1, runs)
        self.referenceOperations = min(max(0, referenceOperations), workload.operations.count)
    }

    /// The book on the whole workload; then both books on its first operations, where their results have to be equal.
    public func run() -> [BenchmarkReport] {
        var reports = [measure("book", { OrderBook(reservingCapacity: capacity) }, operations: workload.operations.count)]
        let memory = memory()
        reports[0].extras["bytesPerOrder"] = memory.perOrder
        reports[0].extras["memoryGrowthBytes"] = memory.growth
        if referenceOperations > 0 {
            reports.append(
                measure("book, prefix", { OrderBook(reservingCapacity: capacity) }, operations: referenceOperations))
            reports.append(measure("reference", { ReferenceBook() }, operations: referenceOperations, isSlow: true))
        }
        return reports
    }

    /// Whether all that ran the same operations came to the same result.
    public static func agree(_ reports: [BenchmarkReport]) -> Bool {
        Dictionary(grouping: reports, by: \.operations).values.allSatisfy { Set($0.map(\.check)).count == 1 }
    }

    /// Room for what rests and for what comes and goes around that.
    private var capacity: Int { workload.parameters.resting + workload.parameters.resting / 4 }

    private struct Run {
        var nanoseconds: UInt64
        var processor: UInt64
        var allocations: UInt?
        var result: WorkloadResult
    }

    private func measure<Book: WorkloadBook>(
        _ variant: String, _ make: () -> Book, operations: Int, isSlow: Bool = false
    ) -> BenchmarkReport {
        let part = workload.operations.prefix(operations)
        if !isSlow { _ = run(part, make()) }
        let runs = (0..<(isSlow ? 1 : runs)).map { _ in run(part, make()) }.sorted { $0.nanoseconds < $1.nanoseconds }
        let median = runs[runs.count / 2]
        var report = BenchmarkReport(
            bench: "book", variant: variant, operations: operations,
            opsPerSecond: Double(operations) / Double(max(1, median.nanoseconds)) * 1e9,
            cpuUsPerOp: Double(median.processor) / Double(max(1, operations)) / 1e3, rssBytes: Stopwatch.residentBytes())
        report.check = Set(runs.map(\.result)).count == 1 ? median.result.description : "runs differ"
        if let most = runs.compactMap(\.allocations).max() {
            report.extras["allocations"] = Double(most)
            report.extras["allocationsPerOp"] = Double(most) / Double(max(1, operations))
        }
        report.extras["fastestOpsPerSecond"] = Double(operations) / Double(max(1, runs[0].nanoseconds)) * 1e9
        report.extras["slowestOpsPerSecond"] = Double(operations) / Double(max(1, runs[runs.count - 1].nanoseconds)) * 1e9
        if !isSlow { addLatencies(part, make(), &report) }
        return report
    }

    private func run(_ operations: ArraySlice<Workload.Operation>, _ empty: consuming some WorkloadBook) -> Run {
        var book = empty
        var result = WorkloadResult()
        result.run(workload.preload[...], on: &book)
        let counter = AllocationCount(), allocated = counter?.now ?? 0
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        result.run(operations, on: &book)
        let end = Stopwatch.now()
        let used = Stopwatch.processor() - processor
        let allocations = counter.map { $0.now - allocated }
        result.close(book)
        return Run(nanoseconds: end - start, processor: used, allocations: allocations, result: result)
    }

    private func addLatencies(
        _ operations: ArraySlice<Workload.Operation>, _ empty: consuming some WorkloadBook, _ report: inout BenchmarkReport
    ) {
        var book = empty
        var result = WorkloadResult()
        result.run(workload.preload[...], on: &book)
        var samples = Samples(capacity: operations.count)
        for operation in operations {
            let start = Stopwatch.now()
            result.apply(operation, to: &book)
            samples.add(Stopwatch.now() &- start)
        }
        report.p50us = samples.quantile(0.5) / 1e3
        report.p99us = samples.quantile(0.99) / 1e3
        report.p999us = samples.quantile(0.999) / 1e3
        report.extras["p9999us"] = samples.quantile(0.9999) / 1e3
        report.extras["timerNs"] = Stopwatch.ownCost()
    }

    /// The book's memory at the end for each order in it, and by how much it grew while the operations ran.
    private func memory() -> (perOrder: Double, growth: Double) {
        var book = OrderBook(), result = WorkloadResult()
        result.run(workload.preload[...], on: &book)
        let before = book.memoryBytes
        result.run(workload.operations[...], on: &book)
        return (Double(book.memoryBytes) / Double(max(1, book.count)), Double(book.memoryBytes - before))
    }
}
