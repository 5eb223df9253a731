import ArgumentParser
import Server
import Store

/// `hashspot verify`: proves what is stored.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Re-run the journal and compare every event, hash and table with what is stored.",
        discussion: """
            Every command of the journal is decided again by this program's rules (those of older rules are followed by \
            their events), and the tables are compared with the state and the ledger that come out. Reads only; safe on a \
            live database. Progress goes to standard error. Exit status 1 if anything differs.

            Examples:
              hashspot verify --data market
              hashspot verify --database postgres://hashspot@db.example/hashspot --json
            """)

    @OptionGroup var storage: DatabaseOptions

    @Flag(help: "Print JSON, an object a line: the findings, then a summary.")
    var json = false

    func run() async throws {
        let line = ProgressLine("verify")
        line.begin()
        let report: StorageVerification
        do {
            report = try await Server.verify(try storage.configuration()) { line.report($0) }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: "the verification could not be run: \(operatorText(error))")
        }
        for finding in report.findings { print(json ? OutputJSON.line(Finding(finding)) : "DIFFERS " + finding.description) }
        print(json ? OutputJSON.line(Summary(report)) : text(report))
        if !report.holds { throw CommandFailure(description: "\(report.findingCount) differences; see above") }
    }

    private func text(_ report: StorageVerification) -> String {
        let followed = report.commands - report.decided
        var lines = [
            "\(report.rows) rows, \(report.commands) commands (\(report.decided) decided again, \(followed) followed), "
                + "\(report.events) events; the journal is at \(report.journal), the tables are at \(report.tables)",
        ]
        if let hash = report.stateHash { lines.append("state       \(String(hash, radix: 16))") }
        for table in report.digests { lines.append("\(table.table): \(table.rows) rows, sha256 \(table.digest)") }
        if report.holds { lines.append("ok") }
        return lines.joined(separator: "\n")
    }

    private struct Finding: Encodable {
        var code, subject: String
        var expected, found: String?
        var description: String

        init(_ finding: StorageFinding) {
            (code, subject) = (finding.code, finding.subject)
            (expected, found, description) = (finding.expected, finding.found, finding.description)
        }
    }

    private struct Summary: Encodable {
        struct Table: Encodable {
            var table: String
            var rows: Int64
            var sha256: String
        }

        var holds: Bool
        var findings: Int
        var journal, tables, rows, commands, decided, events: Int64
        var stateHash: String?
        var digests: [Table]

        init(_ report: StorageVerification) {
            (holds, findings) = (report.holds, report.findingCount)
            (journal, tables, rows) = (report.journal, report.tables, report.rows)
            (commands, decided, events) = (report.commands, report.decided, report.events)
            stateHash = report.stateHash.map { String($0, radix: 16) }
            digests = report.digests.map { Table(table: $0.table, rows: $0.rows, sha256: $0.digest) }
        }
    }
}
