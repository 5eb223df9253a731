import ArgumentParser
import Database
import Exchange
import Foundation
import Market
import Settlement
import Store
import Units

/// `hashspot reconcile`: what is outside against what is in the books.
struct ReconcileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile", abstract: "Compare custody with the ledger, and pools with the meter.",
        subcommands: [Import.self, Custody.self, Pools.self, Breaks.self])

    /// `hashspot reconcile import`
    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Import a statement of a wallet, a bank account or pools.",
            discussion: """
                All of a file is taken, or nothing; flaws are named with their lines. The same file again changes nothing.

                Custody (--source): date,reference,amount,balance,description
                Pools (--pools):    target,day,shares,work

                Examples:
                  hashspot reconcile import --data market --source cold-wallet statement.csv
                  hashspot reconcile import --data market --pools counts.csv
                """)

        static let mostBytes = 256 << 20

        @OptionGroup var storage: DatabaseOptions

        @Option(help: "The wallet's or bank account's name, 1 to 64 bytes.")
        var source: String?

        @Flag(help: "The file has what pools say that they counted.")
        var pools = false

        @Argument(help: "The file.")
        var file: String

        func run() async throws {
            guard (source == nil) == pools else { throw CommandFailure(description: "give either --source or --pools") }
            if let source, !(1...64).contains(source.utf8.count) {
                throw CommandFailure(description: "--source is not 1 to 64 bytes long")
            }
            guard let data = FileManager.default.contents(atPath: file) else { throw CommandFailure(description: "\(file) cannot be read") }
            guard data.count <= Import.mostBytes else { throw CommandFailure(description: "\(file) is too large") }
            try await ReconcileCommand.with(storage, "hashspot reconcile import", subject: source ?? "pools", request: file) { store in
                let now = MarketService.systemClock()
                guard let source else {
                    let days = try await store.importPools(Array(data), by: AccountID(0), once: nil, at: now)
                    print("\(days) days of pools")
                    return
                }
                let (number, items) = try await store.importCustody(Array(data), source: source, by: AccountID(0), once: nil, at: now)
                print("statement \(number) of \(source): \(items) movements")
            }
        }
    }

    struct Range: ParsableArguments {
        @Option(help: ArgumentHelp("From this day on, UTC; all if not given.", valueName: "2026-01-31"))
        var from: String?

        @Option(help: ArgumentHelp("Through this day; yesterday if not given.", valueName: "2026-01-31"))
        var to: String?

        func times() throws -> (from: Timestamp, to: Timestamp) {
            let now = MarketService.systemClock()
            func day(_ text: String?, _ option: String) throws -> AccountingPeriod? {
                guard let text else { return nil }
                guard let day = AccountingPeriod(text), day.day != nil else {
                    throw CommandFailure(description: "\(option) is not a day such as 2026-01-31")
                }
                return day
            }
            let from = try day(from, "--from")?.start ?? Timestamp(microseconds: 0)
            let end = try day(to, "--to")?.end ?? AccountingPeriod.day(of: now)?.start ?? now
            guard from < end else { throw CommandFailure(description: "--to is before --from") }
            return (from, min(end, now))
        }
    }

    /// `hashspot reconcile custody`
    struct Custody: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "custody", abstract: "Compare imported statements with the ledger, and with what is owed to customers.")

        @OptionGroup var storage: DatabaseOptions
        @OptionGroup var range: Range

        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            try await ReconcileCommand.reconcile(storage, .custody, try range.times(), tolerance: 0, json: json)
        }
    }

    /// `hashspot reconcile pools`
    struct Pools: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pools", abstract: "Compare the meter with pools' answers, and with what pools say that they counted.")

        @OptionGroup var storage: DatabaseOptions
        @OptionGroup var range: Range

        @Option(help: "Parts of a million that may be off.")
        var tolerancePPM: Int64 = 10_000

        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            guard (0...1_000_000).contains(tolerancePPM) else { throw CommandFailure(description: "--tolerance-ppm is not 0 to 1000000") }
            try await ReconcileCommand.reconcile(storage, .pools, try range.times(), tolerance: tolerancePPM, json: json)
        }
    }

    /// `hashspot reconcile breaks`
    struct Breaks: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "breaks", abstract: "List open breaks, or all.",
            discussion: "Exit status 1 if any is open. They are assigned and resolved over the API, by persons with a name.")

        @OptionGroup var storage: DatabaseOptions

        @Flag(help: "Resolved ones and those that have gone, too.")
        var all = false

        @Flag(help: "Print JSON, an object a line.")
        var json = false

        func run() async throws {
            let database = try await storage.openTables()
            let store = ControlStore(database)
            var (after, open): (Int64, Int) = (0, 0)
            do {
                while true {
                    let page = try await store.breaks(BreakFilter(status: all ? nil : .open), after: after, limit: 500)
                    guard let last = page.last else { break }
                    for item in page { print(json ? OutputJSON.line(Row(item)) : Row(item).text) }
                    open += page.count { $0.last.state.status == .open }
                    after = last.number
                }
            } catch {
                throw CommandFailure(description: "the breaks cannot be read: \(operatorText(error))")
            }
            await database.close()
            if open > 0 { throw CommandFailure(description: "\(open) breaks are open") }
        }

        private struct Row: Encodable {
            var id: Int64
            var area, kind, key, at, status, unit, cause: String
            var amount: Int64
            var assignee: Int64?

            init(_ item: BreakRecord) {
                (id, area, kind, key) = (item.number, item.area.code, item.name.kind.code, item.name.key)
                (at, status, unit, cause) = (item.at.description, item.last.state.status.code, item.name.kind.unit, item.cause)
                (amount, assignee) = (item.last.state.amount, item.last.assignee?.rawValue)
            }

            var text: String {
                "\(id) \(status) \(kind) \(amount) \(unit)\(assignee.map { ", assigned to account \($0)" } ?? ""): \(cause)"
            }
        }
    }

    // MARK: - Shared

    fileprivate static func with(
        _ storage: DatabaseOptions, _ action: String, subject: String, request: String, _ body: (ControlStore) async throws -> Void
    ) async throws {
        let database = try await storage.openTables()
        do {
            try await OperatorTrail(database).record(action, subject: subject, request: request) { try await body(ControlStore(database)) }
        } catch let refusal as ControlRefusal {
            await database.close()
            if case .importFlawed(let flaws) = refusal {
                throw CommandFailure(description: "nothing was taken:\n" + flaws.flaws.map(\.description).joined(separator: "\n"))
            }
            throw CommandFailure(description: "refused: \(refusal)")
        } catch let failure as CommandFailure {
            await database.close()
            throw failure
        } catch {
            await database.close()
            throw CommandFailure(description: operatorText(error))
        }
        await database.close()
    }

    fileprivate static func reconcile(
        _ storage: DatabaseOptions, _ area: ReconciliationArea, _ range: (from: Timestamp, to: Timestamp), tolerance: Int64, json: Bool
    ) async throws {
        let request = ReconciliationRequest(
            area: area, from: range.from, to: range.to, tolerance: PartsPerMillion(tolerance), by: AccountID(0))
        try await with(
            storage, "hashspot reconcile \(area.code)", subject: "\(range.from) to \(range.to)", request: "tolerance \(tolerance) ppm"
        ) { store in
            let run = try await store.reconcile(request, once: nil, at: MarketService.systemClock())
            print(json ? OutputJSON.line(RunRow(run)) : RunRow(run).text)
        }
    }

    private struct RunRow: Encodable {
        var run: Int64
        var area, from, to: String
        var compared, breaks, newBreaks: Int64
        var custody, ledger, liabilities: Int64?

        init(_ item: ReconciliationRun) {
            (run, area, from, to) = (item.run, item.request.area.code, item.request.from.description, item.request.to.description)
            (compared, breaks, newBreaks) = (item.compared, item.breaks, item.news)
            (custody, ledger, liabilities) = (item.custody?.rawValue, item.ledger?.rawValue, item.liabilities?.rawValue)
        }

        var text: String {
            var lines = ["run \(run): \(compared) compared, \(breaks) breaks, \(newBreaks) of them new or changed"]
            if let ledger, let liabilities {
                let there = custody.map { "\($0) sat" } ?? "not known"
                lines.append("in custody \(there), by the ledger \(ledger) sat, owed to customers \(liabilities) sat")
            }
            return lines.joined(separator: "\n")
        }
    }
}
