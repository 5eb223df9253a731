public import ArgumentParser
import Database
import Documents
import Foundation
import Market
public import Settlement
import Store
import Synchronization
import Units

/// A month or a day, as it is typed.
extension AccountingPeriod: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension DocumentKind: ExpressibleByArgument {
    public init?(argument: String) {
        guard let kind = DocumentKind.allCases.first(where: { $0.code == argument }) else { return nil }
        self = kind
    }

    public static var allValueStrings: [String] { allCases.map(\.code) }
}

/// Forms of a file that is written.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case document, csv, json, xlsx, pdf, beancount

    var table: ExportFormat? { ExportFormat(rawValue: rawValue) }
}

/// A range of days.
struct RangeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The first day or month.", valueName: "2026-11-01"))
    var from: AccountingPeriod

    @Option(help: ArgumentHelp("The last day or month, included.", valueName: "2026-11-30"))
    var to: AccountingPeriod

    func range() throws -> Range<Timestamp> {
        guard from.start < to.end else { throw CommandFailure(description: "--to is before --from") }
        return from.start..<to.end
    }
}

/// Where a document goes.
struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write; an existing one is overwritten.", valueName: "file"))
    var output: String
}

extension DatabaseOptions {
    /// Opens the tables for `body`, and says in one line what went wrong.
    func withDocuments<T>(_ body: (DocumentStore) async throws -> T) async throws -> T {
        try await withTables { try await body(DocumentStore($0)) }
    }

    /// As ``withDocuments(_:)``, for all tables.
    func withTables<T>(_ body: (Database) async throws -> T) async throws -> T {
        let database = try await openTables()
        do {
            let result = try await body(database)
            await database.close()
            return result
        } catch {
            await database.close()
            if error is CommandFailure { throw error }
            throw CommandFailure(description: operatorText(error))
        }
    }
}

/// Writes to a file beside the wanted one, which takes its place when it is whole.
func writeWhole(_ path: String, _ body: (String) async throws -> Void) async throws {
    let partial = path + ".partial"
    do {
        try await body(partial)
    } catch {
        unlink(partial)
        throw error
    }
    guard rename(partial, path) == 0 else {
        throw CommandFailure(description: "\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
}

/// Tells on standard error how far an export is, a line a second.
final class ExportProgressLine: Sendable {
    private let told = Mutex(ContinuousClock.now)

    func report(_ rows: Int64, _ all: Int64) {
        let isDue = told.withLock { told in
            guard ContinuousClock.now - told >= .seconds(1) else { return false }
            told = .now
            return true
        }
        if isDue { writeError("\(rows) of \(all) rows") }
    }
}
