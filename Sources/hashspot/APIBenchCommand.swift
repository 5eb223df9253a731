import ArgumentParser
import Benchmarks
import Foundation

/// `hashspot bench api`
struct APIBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api",
        abstract: "The API under many readers.",
        discussion: """
            Starts a market and its API in a process of its own, on loopback, and reads from this one: the book over connections \
            that stay open, each with one request at a time, and the book's stream by thousands of readers, to all of whom one \
            change after the other goes. A change's time is from its order's sending until the last reader has it.
            """)

    @Option(help: "Connections that ask for the book, 1 to 1,000.")
    var connections = 64

    @Option(help: "Readers of the book's stream, 1 to 19,000; each takes a file descriptor of both processes.")
    var readers = 5000

    @Option(help: "Levels of the book, 1 to 500.")
    var levels = 200

    @Option(help: "Changes of the book that go to all readers, 1 to 1,000.")
    var events = 50

    @Option(help: "Seconds of the part with requests, 1 to 60.")
    var seconds = 10

    @Option(help: ArgumentHelp("Where the market's database is made.", valueName: "folder"))
    var folder = NSTemporaryDirectory()

    @Option(
        name: .customLong("part"), help: "What to measure: book, ticker, streams; all by default. Repeatable.",
        transform: APIBenchCommand.part)
    var parts: [APIBenchmark.Part] = []

    @OptionGroup var output: BenchOutput

    private static func part(_ text: String) throws -> APIBenchmark.Part {
        guard let part = APIBenchmark.Part(rawValue: text) else { throw ValidationError("there is no part '\(text)'") }
        return part
    }

    func validate() throws {
        guard (1...1000).contains(connections) else { throw ValidationError("--connections is not from 1 to 1000") }
        guard (1...19_000).contains(readers) else { throw ValidationError("--readers is not from 1 to 19000") }
        guard (1...500).contains(levels) else { throw ValidationError("--levels is not from 1 to 500") }
        guard (1...1000).contains(events) else { throw ValidationError("--events is not from 1 to 1000") }
        guard (1...60).contains(seconds) else { throw ValidationError("--seconds is not from 1 to 60") }
    }

    func run() async throws {
        let temporary = URL(fileURLWithPath: folder).appendingPathComponent("hashspot-bench-\(getpid())").path
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        let program = Bundle.main.executablePath ?? CommandLine.arguments[0]
        let command = [
            program, "bench", "api-server", "--folder", temporary, "--readers", "\(readers)", "--levels", "\(levels)",
        ]
        var benchmark = APIBenchmark(serverCommand: command)
        benchmark.connections = connections
        benchmark.readers = readers
        benchmark.events = events
        benchmark.seconds = seconds
        if !parts.isEmpty { benchmark.parts = Set(parts) }
        do {
            try output.show(try await benchmark.run { FileHandle.standardError.write(Data("bench: \($0)\n".utf8)) })
        } catch let failure as APIBenchmark.Failure {
            throw CommandFailure(description: failure.description)
        }
    }
}
