internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import Units

/// Measures an edge in a process of its own, under the load of rigs and pools in this one.
///
/// Shares are real messages, fully checked, made durable, forwarded and answered; only their targets are eased, so that
/// any hash is a share and the generator need not search.
public struct ProxyBenchmark: Sendable {
    public enum Part: String, CaseIterable, Sendable {
        /// All rigs connect at once; memory of each; a new block's job to all of them; a steady rate of shares; all rigs lose
        /// their connections at once and come back.
        case fleet
        /// As many shares as can be from some of the rigs.
        case shares
    }

    /// Rigs of the fleet.
    public var rigs = 19_000
    /// Rigs that send as fast as they are answered.
    public var senders = 1000
    /// Shares that each of them sends in one write.
    public var window = 8
    /// Shares a second of the whole fleet.
    public var rate = 4000
    public var seconds = 10
    public var blocks = 7
    public var parts: Set<Part> = Set(Part.allCases)
    public var folder: String
    /// The command that runs the edge, its arguments without those of ``ProxyBenchmarkEdge``.
    public var edgeCommand: [String]
    /// Cores of the edge and of the generator; nil leaves it to the system.
    public var pinning: (edge: Int, generator: Int)? = (0, 1)

    public init(folder: String, edgeCommand: [String]) {
        self.folder = folder
        self.edgeCommand = edgeCommand
    }

    /// Why a run ended early.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    public func run(progress: @Sendable (String) -> Void) async throws -> [BenchmarkReport] {
        if let pinning { Pinning.pin(processor: pinning.generator) }
        var reports: [BenchmarkReport] = []
        if parts.contains(.fleet) {
            reports += try await stage(rigs: rigs, interval: Double(rigs) / Double(rate)) { stage in
                let connected = try await connect(stage, progress)
                let block = try await broadcast(stage, progress)
                let steady = try await steady(stage, progress)
                return [connected, block, steady, try await reconnect(stage, progress)]
            }
        }
        if parts.contains(.shares) {
            reports += try await stage(rigs: senders, interval: Double(senders) / 50_000) { stage in
                _ = try await connect(stage, progress)
                return [try await flood(stage, progress)]
            }
        }
        return reports
    }

    /// An edge, its pools and a fleet, stopped afterwards.
    private func stage(
        rigs: Int, interval: Double, _ body: (ProxyStage) async throws -> [BenchmarkReport]
    ) async throws -> [BenchmarkReport] {
        let stage = try await ProxyStage(
            rigs: rigs, interval: max(0.02, interval), folder: folder, command: edgeCommand, processor: pinning?.edge)
        do {
            let reports = try await body(stage)
            await stage.stop()
            return reports
        } catch {
            await stage.stop()
            throw error
        }
    }

    private func connect(_ stage: ProxyStage, _ progress: (String) -> Void) async throws -> BenchmarkReport {
        progress("\(stage.rigs) rigs connect")
        let empty = stage.edgeUsage()
        let start = Stopwatch.now()
        try await stage.connect()
        let elapsed = Double(Stopwatch.now() &- start) / 1e9
        let full = stage.edgeUsage()
        var report = BenchmarkReport(
            bench: "proxy", variant: "intake", operations: stage.rigs, opsPerSecond: Double(stage.rigs) / elapsed,
            cpuUsPerOp: (full.processor - empty.processor) * 1e6 / Double(stage.rigs), rssBytes: full.resident)
        report.extras["bytesPerRig"] = Double(full.resident - empty.resident) / Double(stage.rigs)
        report.extras["edgeCore"] = (full.processor - empty.processor) / elapsed
        return report
    }

    /// All connections end at once, as when a load balancer fails, and all rigs come back.
    private func reconnect(_ stage: ProxyStage, _ progress: (String) -> Void) async throws -> BenchmarkReport {
        progress("\(stage.rigs) rigs lose their connections")
        await stage.disconnect()
        var report = try await connect(stage, progress)
        report.variant = "reconnect"
        report.extras["bytesPerRig"] = nil
        return report
    }

    /// From the pools' writing a new block until each rig has its job; the median of several blocks.
    private func broadcast(_ stage: ProxyStage, _ progress: (String) -> Void) async throws -> BenchmarkReport {
        var runs: [(all: [Double], paying: [Double], processor: Double)] = []
        for number in 1...blocks {
            progress("block \(number) to \(stage.rigs) rigs")
            let before = stage.edgeUsage()
            let delays = try await stage.block()
            let used = stage.edgeUsage().processor - before.processor
            runs.append((
                delays.map { Double($0.nanoseconds) / 1000 }.sorted(),
                delays.filter(\.isPaying).map { Double($0.nanoseconds) / 1000 }.sorted(), used))
        }
        func median(_ value: (Int) -> Double) -> Double { runs.indices.map(value).sorted()[runs.count / 2] }
        func quantile(_ values: [Double], _ part: Double) -> Double {
            values.isEmpty ? 0 : values[min(values.count - 1, Int(Double(values.count) * part))]
        }
        let last = median { runs[$0].all.last ?? 0 }
        var report = BenchmarkReport(
            bench: "proxy", variant: "block", operations: stage.rigs, opsPerSecond: Double(stage.rigs) * 1e6 / last,
            cpuUsPerOp: median { runs[$0].processor } * 1e6 / Double(stage.rigs), rssBytes: stage.edgeUsage().resident)
        report.p50us = median { quantile(runs[$0].all, 0.5) }
        report.p99us = median { quantile(runs[$0].all, 0.99) }
        report.p999us = median { quantile(runs[$0].all, 0.999) }
        report.extras["lastMs"] = last / 1000
        report.extras["lastPayingMs"] = median { runs[$0].paying.last ?? 0 } / 1000
        return report
    }

    private func steady(_ stage: ProxyStage, _ progress: (String) -> Void) async throws -> BenchmarkReport {
        progress("\(rate) shares/s from \(stage.rigs) rigs")
        try await stage.send(rate: rate, seconds: 2)
        stage.resetCounts()
        let before = stage.edgeUsage()
        let start = Stopwatch.now()
        try await stage.send(rate: rate, seconds: seconds)
        return try report("steady", stage, before, start)
    }

    private func flood(_ stage: ProxyStage, _ progress: (String) -> Void) async throws -> BenchmarkReport {
        progress("as many shares as can be from \(stage.rigs) rigs, \(window) at a time")
        await stage.flood(window: window, seconds: 2)
        stage.resetCounts()
        let before = stage.edgeUsage()
        let start = Stopwatch.now()
        await stage.flood(window: window, seconds: seconds)
        var report = try report("shares", stage, before, start)
        report.extras["window"] = Double(window)
        return report
    }

    private func report(
        _ variant: String, _ stage: ProxyStage, _ before: EdgeUsage, _ start: UInt64
    ) throws -> BenchmarkReport {
        let elapsed = Double(Stopwatch.now() &- start) / 1e9
        let after = stage.edgeUsage()
        var counts = stage.counts()
        guard counts.refused == 0 else { throw Failure(description: "a share was refused: \(counts.refusal ?? "")") }
        guard counts.answered > 0 else { throw Failure(description: "no share was answered") }
        var report = BenchmarkReport(
            bench: "proxy", variant: variant, operations: counts.answered, opsPerSecond: Double(counts.answered) / elapsed,
            cpuUsPerOp: (after.processor - before.processor) * 1e6 / Double(counts.answered), rssBytes: after.resident)
        report.p50us = counts.latencies.quantile(0.5) / 1000
        report.p99us = counts.latencies.quantile(0.99) / 1000
        report.p999us = counts.latencies.quantile(0.999) / 1000
        report.extras["edgeCore"] = (after.processor - before.processor) / elapsed
        report.extras["answersPerRead"] = Double(counts.lines) / Double(max(1, counts.reads))
        report.extras["forwarded"] = Double(counts.forwarded)
        return report
    }
}
