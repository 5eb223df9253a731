import ArgumentParser
import Benchmarks
import Foundation
import Units

/// `hashspot bench proxy`
struct ProxyBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "An edge under the load of thousands of rigs.",
        discussion: """
            Starts an edge in a process of its own and, in this one, rigs at many loopback addresses and pools: rigs that \
            connect all at once, a new block's job to all of them, a steady rate of shares, and as many shares as can be. \
            Half of the rigs are sold. Every share is checked, made durable, forwarded and answered; only its target is so \
            easy that the generator need not search.

            Where there are two processors, the edge has the first for itself and the generator the second.
            """)

    @Option(help: "Rigs of the fleet, 10 to 60,000; each takes a file descriptor of both processes.")
    var rigs = 19_000

    @Option(help: "Shares a second of the fleet, 10 to 100,000.")
    var rate = 4000

    @Option(help: "Rigs that send as fast as they are answered, 1 to 19,000.")
    var senders = 1000

    @Option(help: "Shares that each of them sends in one write, 1 to 64.")
    var window = 8

    @Option(help: "New blocks; the median of them is shown, 1 to 1,000.")
    var blocks = 7

    @Option(help: "Seconds of each measured part, 1 to 60.")
    var seconds = 10

    @Option(help: ArgumentHelp("Where the edge's spool is made.", valueName: "folder"))
    var folder = NSTemporaryDirectory()

    @Option(
        name: .customLong("part"), help: "What to measure: fleet, shares; all by default. Repeatable.",
        transform: ProxyBenchCommand.part)
    var parts: [ProxyBenchmark.Part] = []

    @OptionGroup var output: BenchOutput

    private static func part(_ text: String) throws -> ProxyBenchmark.Part {
        guard let part = ProxyBenchmark.Part(rawValue: text) else { throw ValidationError("there is no part '\(text)'") }
        return part
    }

    func validate() throws {
        guard (10...60_000).contains(rigs) else { throw ValidationError("--rigs is not from 10 to 60000") }
        guard (10...100_000).contains(rate) else { throw ValidationError("--rate is not from 10 to 100000") }
        guard (1...19_000).contains(senders) else { throw ValidationError("--senders is not from 1 to 19000") }
        guard (1...64).contains(window) else { throw ValidationError("--window is not from 1 to 64") }
        guard (1...1000).contains(blocks) else { throw ValidationError("--blocks is not from 1 to 1000") }
        guard (1...60).contains(seconds) else { throw ValidationError("--seconds is not from 1 to 60") }
    }

    func run() async throws {
        let temporary = URL(fileURLWithPath: folder).appendingPathComponent("hashspot-bench-\(getpid())").path
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        let program = Bundle.main.executablePath ?? CommandLine.arguments[0]
        var benchmark = ProxyBenchmark(folder: temporary, edgeCommand: [program, "bench", "proxy-edge"])
        benchmark.rigs = rigs
        benchmark.rate = rate
        benchmark.senders = senders
        benchmark.window = window
        benchmark.seconds = seconds
        benchmark.blocks = blocks
        if !parts.isEmpty { benchmark.parts = Set(parts) }
        if ProcessInfo.processInfo.activeProcessorCount < 2 { benchmark.pinning = nil }
        do {
            try output.show(try await benchmark.run { FileHandle.standardError.write(Data("bench: \($0)\n".utf8)) })
        } catch let failure as ProxyBenchmark.Failure {
            throw CommandFailure(description: failure.description)
        }
    }
}

/// The process that is measured; ends when its input does.
struct ProxyBenchEdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy-edge", abstract: "The edge that is measured.", shouldDisplay: false)

    @Option var poolPort: Int
    @Option var paying: Int
    @Option(help: "Microseconds.") var shareInterval: Int64
    @Option var folder: String

    func run() async throws {
        let edge = ProxyBenchmarkEdge(
            poolPort: poolPort, paying: paying, shareInterval: Interval(microseconds: shareInterval), folder: folder)
        try await edge.run(
            started: { port in FileHandle.standardOutput.write(Data("\(port)\n".utf8)) },
            isOver: {
                await withCheckedContinuation { continuation in
                    Thread.detachNewThread {
                        while !FileHandle.standardInput.availableData.isEmpty {}
                        continuation.resume()
                    }
                }
            })
    }
}
