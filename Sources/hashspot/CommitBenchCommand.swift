import ArgumentParser
import Benchmarks
import Database
import Foundation

/// `hashspot bench commit`
struct CommitBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commit",
        abstract: "Orders acknowledged after their commit, and the projector behind them.",
        discussion: """
            Runs the market's writer on a real database, without network: lone orders, a steady rate, as many as the tables \
            keep up with, half of that, a burst, and starting again with a million commands in the journal. Latencies are \
            from the moment an order was due to its answer.

            Without --database it makes SQLite files in a temporary folder, with every commit synced as in production. A \
            Postgres database must be empty; synchronous_commit and fsync must be on for the figures to mean anything.

            Exit status 1 if the tables did not come to the state in memory.
            """)

    @Option(help: ArgumentHelp("An empty Postgres database; otherwise SQLite.", valueName: "postgres://..."))
    var database: String?

    @Option(help: ArgumentHelp("Where the temporary folder is made.", valueName: "folder"))
    var folder = NSTemporaryDirectory()

    @Option(help: "What the commands' random numbers start from.")
    var seed: UInt64 = 20_260_729

    @Option(help: "Orders that rest in the book, 1,000 to 1 million.")
    var resting = 100_000

    @Option(help: "Seconds of each measured part, 1 to 60.")
    var seconds = 10

    @Option(help: "Orders a second of the part with a steady rate, 100 to 500,000.")
    var rate = 20_000

    @Option(
        name: .customLong("part"), help: "What to measure: lone, rate, sustained, burst, restart; all by default. Repeatable.",
        transform: CommitBenchCommand.part)
    var parts: [CommitBenchmark.Part] = []

    @Flag(help: "A tenth of the orders are bids that take rigs, with holds, deliveries and settlements.")
    var market = false

    @OptionGroup var output: BenchOutput

    private static func part(_ text: String) throws -> CommitBenchmark.Part {
        guard let part = CommitBenchmark.Part(rawValue: text) else { throw ValidationError("there is no part '\(text)'") }
        return part
    }

    func validate() throws {
        guard (1000...1_000_000).contains(resting) else { throw ValidationError("--resting is not from 1000 to 1000000") }
        guard (1...60).contains(seconds) else { throw ValidationError("--seconds is not from 1 to 60") }
        guard (100...500_000).contains(rate) else { throw ValidationError("--rate is not from 100 to 500000") }
    }

    func run() async throws {
        let temporary = URL(fileURLWithPath: folder).appendingPathComponent("hashspot-bench-\(getpid())").path
        do {
            let reports = try await measure(in: temporary)
            try? FileManager.default.removeItem(atPath: temporary)
            try output.show(reports)
            guard !reports.contains(where: { $0.check == "tables differ" }) else { throw ExitCode(1) }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            if error is ExitCode { throw error }
            throw CommandFailure(description: operatorText(error))
        }
    }

    private func measure(in temporary: String) async throws -> [BenchmarkReport] {
        let tables: DatabaseLocation, journal: DatabaseLocation
        if let database {
            tables = try DatabaseLocation(database)
            journal = tables
        } else {
            try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
            tables = .sqlite(path: temporary + "/market.sqlite")
            journal = .sqlite(path: temporary + "/journal.sqlite")
        }
        var benchmark = CommitBenchmark(
            journal: journal, tables: tables, seed: seed, resting: resting, seconds: seconds, rate: rate, takes: market)
        if !parts.isEmpty { benchmark.parts = Set(parts) }
        return try await benchmark.run { FileHandle.standardError.write(Data("bench: \($0)\n".utf8)) }
    }
}
