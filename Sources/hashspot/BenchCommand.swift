import ArgumentParser
import Benchmarks
import Database
import Foundation

/// `hashspot bench`: measures the parts on this machine.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure parts of the market on this machine.",
        discussion: "docs/benchmarks.md says what is measured and how to read it.",
        subcommands: [
            BookBenchCommand.self, ExchangeBenchCommand.self, CommitBenchCommand.self, IntakeBenchCommand.self,
            ProxyBenchCommand.self, ProxyBenchEdgeCommand.self, ShareBenchCommand.self, SettleBenchCommand.self, APIBenchCommand.self,
            APIBenchServerCommand.self,
        ])
}

/// How a benchmark is run and shown.
struct BenchOptions: ParsableArguments {
    @Option(help: "Timed runs after a warm-up; the median is shown.")
    var runs = 5

    @OptionGroup var output: BenchOutput

    func validate() throws {
        guard (1...1000).contains(runs) else { throw ValidationError("--runs is not from 1 to 1000") }
    }

    func show(_ reports: [BenchmarkReport]) throws { try output.show(reports) }
}

/// How a benchmark's figures are shown.
struct BenchOutput: ParsableArguments {
    @Flag(help: "One JSON object a line instead of a table.")
    var json = false

    func show(_ reports: [BenchmarkReport]) throws {
        if json {
            for report in reports { print(try report.json()) }
        } else {
            print(BenchmarkReport.table(reports))
        }
    }
}

struct BookBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "book",
        abstract: "The order book alone, on one thread, against a naive one.",
        discussion: """
            Runs a deterministic workload of new orders, cancellations, reductions and replacements: all operations as one \
            run, then once more one by one for the percentiles. `check` is the result that every correct book reaches.

            Exit status 1 if two books, or two runs, came to different results.
            """)

    @Option(help: ArgumentHelp("A workload's file; otherwise one is made.", valueName: "file"))
    var workload: String?

    @Option(help: "What the workload's random numbers start from.")
    var seed: UInt64 = 20_260_729

    @Option(name: .customLong("ops"), help: "Operations, 1 to 100 million.")
    var operations = 5_000_000

    @Option(help: "Orders that rest in the book, 100 to 10 million.")
    var resting = 100_000

    @Option(help: "How many prices the orders are spread over, 4 to 100,000.")
    var levels = 1000

    @Option(name: .customLong("reference-ops"), help: "How many of the operations the naive book runs too; 0 for none.")
    var referenceOperations = 10_000

    @Option(name: .customLong("write"), help: ArgumentHelp("Write the workload to this file and end.", valueName: "file"))
    var output: String?

    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard (1...100_000_000).contains(operations) else { throw ValidationError("--ops is not from 1 to 100000000") }
        guard (100...10_000_000).contains(resting) else { throw ValidationError("--resting is not from 100 to 10000000") }
        guard (4...100_000).contains(levels) else { throw ValidationError("--levels is not from 4 to 100000") }
        guard referenceOperations >= 0 else { throw ValidationError("--reference-ops is negative") }
    }

    func run() throws {
        let workload = try workload.map { try Workload(file: $0) }
            ?? Workload(.init(seed: seed, operations: operations, resting: resting, levels: levels))
        if let output { return try workload.write(to: output) }
        let reports = BookBenchmark(workload, runs: options.runs, referenceOperations: referenceOperations).run()
        try options.show(reports)
        guard BookBenchmark.agree(reports) else { throw ExitCode(1) }
    }
}

struct ExchangeBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchange",
        abstract: "The market's state machine in memory, on one thread.",
        discussion: """
            Plays a busy market of 1,000 accounts: orders that rest, bids that take rigs at once, cancellations, amendments \
            and settlements, with all holds, deliveries, ledger entries and events, but without journal and tables. `check` \
            names the state that every run must come to.

            Exit status 1 if two runs came to different states.
            """)

    @Option(help: "What the commands' random numbers start from.")
    var seed: UInt64 = 20_260_729

    @Option(help: "Commands, 1,000 to 10 million.")
    var commands = 500_000

    @Option(help: "Orders that rest in the book, 1,000 to 1 million.")
    var resting = 100_000

    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard (1000...10_000_000).contains(commands) else { throw ValidationError("--commands is not from 1000 to 10000000") }
        guard (1000...1_000_000).contains(resting) else { throw ValidationError("--resting is not from 1000 to 1000000") }
    }

    func run() throws {
        let benchmark = ExchangeBenchmark(seed: seed, commands: commands, resting: resting, runs: options.runs)
        let reports = benchmark.run()
        try options.show(reports)
        guard ExchangeBenchmark.agree(reports) else { throw ExitCode(1) }
    }
}

struct IntakeBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "intake",
        abstract: "Metered shares into a real database.",
        discussion: """
            Makes sealed batches beforehand, applies them over several connections, first to slots only and then with the \
            log of raw shares, and compares what is in the database with what was sent. Postgres gets a schema of its own for \
            each run, SQLite a file of its own; both are removed afterwards.

            Exit status 1 if anything was lost or counted twice.
            """)

    @Option(help: ArgumentHelp("A Postgres database to measure; otherwise SQLite.", valueName: "postgres://..."))
    var database: String?

    @Option(help: ArgumentHelp("Where SQLite files are made; otherwise a temporary folder.", valueName: "folder"))
    var folder: String?

    @Option(help: "What the shares' random numbers start from.")
    var seed: UInt64 = 20_260_729

    @Option(help: "Edges, 1 to 1,000.")
    var edges = 40

    @Option(help: "Rigs on each edge, 1 to 100,000, with a share every 5 seconds.")
    var rigs = 500

    @Option(help: "Seconds of shares, 1 to 3,600.")
    var seconds = 120

    @Option(help: "Milliseconds that a batch covers, 10 to 600,000.")
    var batchInterval = 10_000

    @Option(help: "Connections that apply at once, 1 to 4.")
    var connections = 2

    @Option(help: "Batches in one transaction, 1 to 32.")
    var together = 4

    @OptionGroup var options: BenchOptions

    func validate() throws {
        guard (1...1000).contains(edges) else { throw ValidationError("--edges is not from 1 to 1000") }
        guard (1...100_000).contains(rigs) else { throw ValidationError("--rigs is not from 1 to 100000") }
        guard (1...3600).contains(seconds) else { throw ValidationError("--seconds is not from 1 to 3600") }
        guard (10...600_000).contains(batchInterval) else { throw ValidationError("--batch-interval is not from 10 to 600000") }
        guard (1...4).contains(connections) else { throw ValidationError("--connections is not from 1 to 4") }
        guard (1...32).contains(together) else { throw ValidationError("--together is not from 1 to 32") }
        guard edges * rigs * seconds <= 100_000_000 else { throw ValidationError("that is more than 20 million shares") }
    }

    func run() async throws {
        let temporary = FileManager.default.temporaryDirectory.path
        let place = database.map { IntakeBenchmark.Place.postgres(url: $0) } ?? .sqlite(folder: folder ?? temporary)
        let benchmark = IntakeBenchmark(
            place: place, seed: seed, edges: edges, rigs: rigs, seconds: seconds, batchInterval: batchInterval,
            connections: connections, together: together, runs: options.runs)
        let reports: [BenchmarkReport]
        do { reports = try await benchmark.run() } catch let error as DatabaseError {
            throw CommandFailure(description: operatorText(error))
        }
        try options.show(reports)
        guard IntakeBenchmark.agree(reports) else { throw ExitCode(1) }
    }
}
