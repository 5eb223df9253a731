internal import Database
internal import Foundation
internal import Market
internal import MigrationFiles
internal import Store
internal import Units

/// Measures how fast sealed batches become slots and raw shares in a real database.
public struct IntakeBenchmark: Sendable {
    /// Where the batches go.
    public enum Place: Sendable {
        /// A schema of its own in this database, which is dropped afterwards.
        case postgres(url: String)
        /// A file of its own in this folder, which is removed afterwards.
        case sqlite(folder: String)
    }

    public var place: Place
    public var seed: UInt64
    public var edges: Int
    /// Rigs on each edge.
    public var rigs: Int
    /// Seconds of shares.
    public var seconds: Int
    /// Milliseconds that a batch covers.
    public var batchInterval: Int
    /// Connections that apply at once; each has edges of its own.
    public var connections: Int
    /// Batches in one transaction.
    public var together: Int
    public var runs: Int

    static let shareInterval = 5000

    public init(
        place: Place, seed: UInt64, edges: Int = 40, rigs: Int = 500, seconds: Int = 120, batchInterval: Int = 10_000,
        connections: Int = 2, together: Int = 4, runs: Int = 3
    ) {
        self.place = place
        self.seed = seed
        self.edges = edges
        self.rigs = rigs
        self.seconds = seconds
        self.batchInterval = batchInterval
        // A file has one writer at a time.
        if case .sqlite = place { self.connections = 1 } else { self.connections = connections }
        self.together = together
        self.runs = max(1, runs)
    }

    /// Slots only, and slots with the raw share log.
    ///
    /// - Throws: what the database threw
    public func run() async throws -> [BenchmarkReport] {
        let parameters = IntakeScript.Parameters(
            seed: seed, edges: edges, rigs: rigs, shareInterval: IntakeBenchmark.shareInterval, batchInterval: batchInterval,
            length: seconds * 1000)
        let start = MarketService.systemClock() - .seconds(Int64(seconds))
        let script = IntakeScript(parameters, start: start)
        return [try await measure("slots", script, rawShares: false), try await measure("raw shares", script, rawShares: true)]
    }

    /// Whether every run left what was sent.
    public static func agree(_ reports: [BenchmarkReport]) -> Bool {
        reports.allSatisfy { $0.check?.hasPrefix("differs") == false }
    }

    private struct Run {
        var nanoseconds: UInt64
        var processor: UInt64
        var samples: Samples
        var found: IntakeScript.Sums
        var slots: Int64
    }

    private func measure(_ variant: String, _ script: IntakeScript, rawShares: Bool) async throws -> BenchmarkReport {
        var runs: [Run] = []
        for _ in 0..<self.runs { runs.append(try await run(script, rawShares: rawShares)) }
        var expected = script.sums
        if !rawShares { expected.jobs = 0 }
        let wrong = runs.first { $0.found != expected }
        runs.sort { $0.nanoseconds < $1.nanoseconds }
        var median = runs[runs.count / 2]
        let shares = Double(expected.shares), seconds = Double(max(1, median.nanoseconds)) / 1e9
        var report = BenchmarkReport(
            bench: "intake", variant: variant, operations: Int(expected.shares), opsPerSecond: shares / seconds,
            cpuUsPerOp: Double(median.processor) / shares / 1e3, rssBytes: Stopwatch.residentBytes())
        report.p50us = median.samples.quantile(0.5) / 1e3
        report.p99us = median.samples.quantile(0.99) / 1e3
        report.check = wrong.map { "differs: sent \(expected), found \($0.found)" } ?? "seed=\(seed) \(expected)"
        report.extras["batchesPerSecond"] = Double(expected.batches) / seconds
        report.extras["batchesPerTransaction"] = Double(together)
        report.extras["connections"] = Double(connections)
        report.extras["slots"] = Double(median.slots)
        report.extras["fastestOpsPerSecond"] = shares / Double(max(1, runs[0].nanoseconds)) * 1e9
        report.extras["slowestOpsPerSecond"] = shares / Double(max(1, runs[runs.count - 1].nanoseconds)) * 1e9
        return report
    }

    private func run(_ script: IntakeScript, rawShares: Bool) async throws -> Run {
        let scratch = try Scratch(place)
        defer { scratch.remove() }
        try await scratch.migrate()
        var databases: [Database] = []
        for _ in 0..<connections { databases.append(try await Database.open(scratch.location)) }
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        let samples = try await withThrowingTaskGroup(of: Samples.self) { group in
            for (number, database) in databases.enumerated() {
                let meter = MeterStore(database, rawShares: rawShares)
                let own = script.edges.indices.filter { $0 % connections == number }.map { script.edges[$0] }
                group.addTask { try await apply(own, meter) }
            }
            var all = Samples(capacity: 0)
            for try await samples in group { all.add(samples) }
            return all
        }
        let end = Stopwatch.now(), used = Stopwatch.processor() - processor
        let (found, slots) = try await IntakeBenchmark.read(databases[0], rawShares: rawShares)
        for database in databases { await database.close() }
        return Run(nanoseconds: end - start, processor: used, samples: samples, found: found, slots: slots)
    }

    /// Round by round the next batches of each edge. The time of a batch is that of its transaction.
    private func apply(_ edges: [[DigestedBatch]], _ meter: MeterStore) async throws -> Samples {
        let rounds = edges.map(\.count).max() ?? 0
        var samples = Samples(capacity: rounds * edges.count)
        let inOrder = (0..<rounds).flatMap { round in edges.compactMap { $0.indices.contains(round) ? $0[round] : nil } }
        for first in stride(from: 0, to: inOrder.count, by: together) {
            let batches = Array(inOrder[first..<min(first + together, inOrder.count)])
            let start = Stopwatch.now()
            let outcomes = try await meter.apply(batches)
            let time = Stopwatch.now() - start
            for outcome in outcomes where outcome != .applied { throw DatabaseError.programming("a batch was not applied: \(outcome)") }
            for _ in batches { samples.add(time) }
        }
        return samples
    }

    private static func read(_ database: Database, rawShares: Bool) async throws -> (IntakeScript.Sums, Int64) {
        try await database.read { connection in
            func number(_ sql: String) throws -> Int64 { try connection.queryOne("SELECT CAST(\(sql) AS BIGINT)")?.int64(0) ?? 0 }
            func slots(_ sum: String) throws -> Int64 { try number("(SELECT coalesce(sum(\(sum)), 0) FROM meter_slots)") }
            var sums = IntakeScript.Sums()
            sums.validWork = try slots("valid_work")
            sums.billableWork = try slots("billable_work")
            sums.otherShares = try slots("stale_shares + low_difficulty_shares + duplicate_shares + invalid_shares")
            sums.shares = try slots("valid_shares") + sums.otherShares
            sums.accepted = try slots("pool_accepted")
            sums.batches = try number("(SELECT count(*) FROM batches)")
            sums.jobs = try number("(SELECT count(*) FROM jobs)")
            if rawShares {
                // Whatever the slots say must be in the rows too.
                let shares = try number("(SELECT count(*) FROM shares)")
                let accepted = try number("(SELECT count(*) FROM shares WHERE pool_reply = 1)")
                (sums.shares, sums.accepted) = (min(sums.shares, shares), min(sums.accepted, accepted))
            }
            return (sums, try number("(SELECT count(*) FROM meter_slots)"))
        }
    }
}

/// An empty, migrated database for one run.
private struct Scratch {
    let location: DatabaseLocation
    private let place: IntakeBenchmark.Place
    private let name: String

    init(_ place: IntakeBenchmark.Place) throws {
        self.place = place
        name = "hashspot_bench_" + UUID().uuidString.prefix(8).lowercased()
        switch place {
        case .postgres(let url):
            guard !url.contains("options=") else { throw DatabaseError.invalidLocation("a URL with options") }
            location = .postgres(url: url + (url.contains("?") ? "&" : "?") + "options=-c%20search_path%3D\(name)")
            let connection = try Database.openConnection(.postgres(url: url))
            defer { connection.close() }
            try connection.script("CREATE SCHEMA \(name)")
        case .sqlite(let folder):
            location = .sqlite(path: folder + "/\(name).sqlite")
        }
    }

    func migrate() async throws {
        let database = try await Database.open(location)
        do { _ = try await database.migrate(location.dialect == .sqlite ? .sqlite : .postgres) } catch {
            await database.close()
            throw error
        }
        await database.close()
    }

    func remove() {
        switch place {
        case .postgres(let url):
            guard let connection = try? Database.openConnection(.postgres(url: url)) else { return }
            defer { connection.close() }
            try? connection.script("SET client_min_messages = warning; DROP SCHEMA IF EXISTS \(name) CASCADE")
        case .sqlite(let folder):
            for ending in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: folder + "/\(name).sqlite\(ending)") }
        }
    }
}
