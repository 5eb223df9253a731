import ArgumentParser
import Benchmarks
import Database
import Foundation

/// `hashspot bench settle`
struct SettleBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Settlement of an interval over many deliveries, and the audit of their lines.",
        discussion: """
            Makes a market with as many running deliveries as are asked for, writes five minutes of slots for each, and lets the \
            settlement worker bill them, again and again until there are as many lines as are asked for; then audits the whole. All of \
            it is generated data on a real database, without network.

            Without --database it makes SQLite files in a temporary folder. A Postgres database must be empty.

            Exit status 1 if an invariant is broken.
            """)

    @Option(help: ArgumentHelp("An empty Postgres database; otherwise SQLite.", valueName: "postgres://..."))
    var database: String?

    @Option(help: ArgumentHelp("Where the temporary folder is made.", valueName: "folder"))
    var folder = NSTemporaryDirectory()

    @Option(help: "What the slots' random numbers start from.")
    var seed: UInt64 = 20_260_729

    @Option(help: "Deliveries that run at a time, 100 to 1 million.")
    var deliveries = 100_000

    @Option(help: "Lines to audit, 100 to 100 million.")
    var lines = 1_000_000

    @OptionGroup var output: BenchOutput

    func validate() throws {
        guard (100...1_000_000).contains(deliveries) else { throw ValidationError("--deliveries is not from 100 to 1000000") }
        guard (100...100_000_000).contains(lines) else { throw ValidationError("--lines is not from 100 to 100000000") }
        guard lines / deliveries <= 280 else { throw ValidationError("--lines is more than 280 for each of the --deliveries") }
    }

    func run() async throws {
        let temporary = URL(fileURLWithPath: folder).appendingPathComponent("hashspot-bench-\(getpid())").path
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        let reports: [BenchmarkReport]
        do { reports = try await measure(in: temporary) } catch { throw CommandFailure(description: operatorText(error)) }
        try output.show(reports)
        guard !reports.contains(where: { $0.check?.hasPrefix(SettleBenchmark.broken) == true }) else { throw ExitCode(1) }
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
        return try await SettleBenchmark(journal: journal, tables: tables, seed: seed, deliveries: deliveries, lines: lines)
            .run { writeError("bench: \($0)") }
    }
}
