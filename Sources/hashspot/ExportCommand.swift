import ArgumentParser
import Documents
import Foundation
import Market
import Settlement
import Store
import Units

/// `hashspot export`: the ledger and the settlement lines of a time.
struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the ledger or the settlement lines of a time as CSV, JSON, XLSX, PDF or a beancount journal.",
        discussion: """
            By value time, days or months UTC. Everything is read from one snapshot in constant memory, and a file is only there if its \
            sums are the ledger's.

            Examples:
              hashspot export ledger --data market --from 2026-11 --to 2026-11 --format beancount -o november.beancount
              hashspot export lines --data market --from 2026-11-01 --to 2026-11-07 --account 3 --format csv -o week.csv
            """,
        subcommands: [LedgerExport.self, LinesExport.self])

    struct LedgerExport: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ledger", abstract: "Postings of ledger entries.")

        @OptionGroup var storage: DatabaseOptions
        @OptionGroup var days: RangeOptions

        @Option(help: "csv, json, xlsx, pdf or beancount (all accounts only).")
        var format = OutputFormat.csv

        @Option(help: "Only this account's.")
        var account: Int64?

        @OptionGroup var target: OutputOptions

        func run() async throws {
            let range = try days.range()
            let line = ExportProgressLine()
            try await storage.recordDocuments(
                "hashspot export ledger", subject: days.subject(account), request: "\(format.rawValue) to \(target.output)"
            ) { store in
                try await writeWhole(target.output) { path in
                    if let table = format.table {
                        try await store.exportLedger(
                            account.map { AccountID($0) }, range, table, path: path, at: MarketService.systemClock()
                        ) { line.report($0, $1) }
                    } else {
                        guard format == .beancount, account == nil else {
                            throw CommandFailure(description: "beancount takes all accounts; `document` is for statements")
                        }
                        try await store.exportBeancount(range, path: path) { line.report($0, $1) }
                    }
                }
            }
        }
    }

    struct LinesExport: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "lines", abstract: "Settlement lines with both sides' amounts.")

        @OptionGroup var storage: DatabaseOptions
        @OptionGroup var days: RangeOptions

        @Option(help: "csv, json, xlsx or pdf.")
        var format = OutputFormat.csv

        @Option(help: "Only this account's, as buyer or seller.")
        var account: Int64?

        @OptionGroup var target: OutputOptions

        func run() async throws {
            guard let table = format.table else { throw CommandFailure(description: "--format is csv, json, xlsx or pdf") }
            let range = try days.range()
            let line = ExportProgressLine()
            try await storage.recordDocuments(
                "hashspot export lines", subject: days.subject(account), request: "\(format.rawValue) to \(target.output)"
            ) { store in
                try await writeWhole(target.output) { path in
                    try await store.exportLines(
                        account.map { AccountID($0) }, range, table, path: path, at: MarketService.systemClock()
                    ) { line.report($0, $1) }
                }
            }
        }
    }
}

extension RangeOptions {
    /// What an export is about, as the audit trail has it.
    fileprivate func subject(_ account: Int64?) -> String {
        (account.map { "account \($0)" } ?? "all accounts") + ", \(from) to \(to)"
    }
}

/// `hashspot extract`
struct ExtractCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Write what a statement follows from, for `hashspot recompute`.",
        discussion: "JSON lines: balances, parties, rates, entries, lines with work, price and terms, earlier sums of the bills touched.")

    @OptionGroup var storage: DatabaseOptions

    @Option(help: "The statement's number.")
    var number: Int64

    @Option(help: "Its version; the newest if absent.")
    var version: Int64?

    @OptionGroup var target: OutputOptions

    func run() async throws {
        try await storage.recordDocuments(
            "hashspot extract", subject: "statement \(number)" + (version.map { " v\($0)" } ?? ""), request: "to \(target.output)"
        ) { store in
            guard let document = try await store.find(.statement, number, version: version) else {
                throw CommandFailure(description: "there is no such statement")
            }
            try await writeWhole(target.output) { try await store.extract(document, path: $0) }
        }
    }
}

/// `hashspot recompute`
struct RecomputeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recompute",
        abstract: "Make a statement again from an extract, without a database, and compare it with the issued one.",
        discussion: """
            Every charge and fee is computed from work and price by the market's formula. Exit status 1, and the first difference, if a \
            single byte differs.

            Example:
              hashspot extract --data market --number 7 -o extract.jsonl
              hashspot statement export --data market --number 7 -o statement.jsonl
              hashspot recompute extract.jsonl --statement statement.jsonl
            """)

    @Argument(help: "The extract.")
    var extract: String

    @Option(help: "The issued statement, as exported with `--format document`.")
    var statement: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("Write the statement here, without a seal.", valueName: "file"))
    var output: String?

    func run() async throws {
        do {
            let made = try StatementRecomputation.run(extract: try SpoolFile(reading: extract))
            if let output {
                let copy = try SpoolFile(writing: output)
                try made.file.rewind()
                while case let bytes = try made.file.read(), !bytes.isEmpty { try copy.write(bytes) }
                try copy.flush()
            }
            print("recomputed \(made.records) lines, digest \(HexText.encode(made.digest))")
            guard let statement else { return }
            try made.file.rewind()
            if let difference = try StatementRecomputation.difference(made.file, try SpoolFile(reading: statement)) {
                throw CommandFailure(description: "the issued statement differs: \(difference)")
            }
            print("the issued statement is the same to the byte")
        } catch let error as DocumentError {
            throw CommandFailure(description: error.description)
        } catch let error as ExtractError {
            throw CommandFailure(description: error.description)
        }
    }
}
