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

    /// The book on the whole workload, and on the same with all kinds of orders; then both books on its first operations, where
    /// their results have to be equal.
    public func run() -> [BenchmarkReport] {
        let book = { OrderBook(reservingCapacity: capacity) }, all = workload.operations.count
        var reports = [measure("book", .plain, all, book), measure("book, mixed", .mixed, all, book)]
        let memory = memory()
        reports[0].extras["bytesPerOrder"] = memory.perOrder
        reports[0].extras["memoryGrowthBytes"] = memory.growth
        guard referenceOperations > 0 else { return reports }
        for orders in [WorkloadOrders.plain, .mixed] {
            let suffix = orders == .plain ? "" : ", mixed"
            reports.append(measure("prefix" + suffix, orders, referenceOperations, book))
            reports.append(measure("reference" + suffix, orders, referenceOperations, { ReferenceBook() }, isSlow: true))
        }
        return reports
    }

    /// Whether all that ran the same operations came to the same result.
    public static func agree(_ reports: [BenchmarkReport]) -> Bool {
        func results(_ operations: Int, mixed: Bool) -> Set<String?> {
            Set(reports.filter { $0.operations == operations && $0.variant.hasSuffix("mixed") == mixed }.map(\.check))
        }
        return Set(reports.map(\.operations)).allSatisfy {
            results($0, mixed: false).count <= 1 && results($0, mixed: true).count <= 1
        } && !reports.contains { $0.check == "runs differ" }
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
        _ variant: String, _ orders: WorkloadOrders, _ operations: Int, _ make: () -> Book, isSlow: Bool = false
    ) -> BenchmarkReport {
        let part = workload.operations.prefix(operations)
        if !isSlow { _ = run(part, make(), orders) }
        let runs = (0..<(isSlow ? 1 : runs)).map { _ in run(part, make(), orders) }.sorted { $0.nanoseconds < $1.nanoseconds }
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
        if !isSlow { addLatencies(part, make(), orders, &report) }
        return report
    }

    private func run(_ operations: ArraySlice<Workload.Operation>, _ empty: consuming some WorkloadBook, _ orders: WorkloadOrders) -> Run {
        var book = empty
        var result = WorkloadResult()
        result.run(workload.preload[...], on: &book, orders)
        let counter = AllocationCount(), allocated = counter?.now ?? 0
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        result.run(operations, on: &book, orders)
        let end = Stopwatch.now()
        let used = Stopwatch.processor() - processor
        let allocations = counter.map { $0.now - allocated }
        result.close(book)
        return Run(nanoseconds: end - start, processor: used, allocations: allocations, result: result)
    }

    private func addLatencies(
        _ operations: ArraySlice<Workload.Operation>, _ empty: consuming some WorkloadBook, _ orders: WorkloadOrders,
        _ report: inout BenchmarkReport
    ) {
        var book = empty
        var result = WorkloadResult()
        result.run(workload.preload[...], on: &book, orders)
        var samples = Samples(capacity: operations.count)
        for operation in operations {
            let start = Stopwatch.now()
            result.apply(operation, to: &book, orders)
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
        result.run(workload.preload[...], on: &book, .plain)
        let before = book.memoryBytes
        result.run(workload.operations[...], on: &book, .plain)
        return (Double(book.memoryBytes) / Double(max(1, book.count)), Double(book.memoryBytes - before))
    }
}
