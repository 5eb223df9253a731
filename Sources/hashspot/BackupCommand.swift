import ArgumentParser
import Server
import Store

/// `hashspot backup`: a consistent copy of the embedded market.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the embedded market, also of a running server, into a new folder.",
        discussion: """
            The copy has everything that was answered before the backup began, and the shares that the edge had kept. To \
            restore it, start `hashspot serve --data` in the copy. For Postgres see docs/operations.md.

            Example:
              hashspot backup --data market --to backups/2026-11-21
            """)

    @Option(help: ArgumentHelp("Folder of the embedded database and the spool.", valueName: "folder"))
    var data = "hashspot-data"

    @Option(name: .customLong("to"), help: ArgumentHelp("A folder that is not there yet.", valueName: "folder"))
    var target: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        guard !target.isEmpty else { throw CommandFailure(description: "--to is empty") }
        let report: BackupReport
        do {
            report = try await Server.backup(ServerConfiguration(dataFolder: data), to: target) { step in
                writeError("backup: \(step.part.rawValue), \(step.bytes) bytes")
            }
        } catch {
            throw CommandFailure(description: "no backup: \(operatorText(error))")
        }
        print(json ? OutputJSON.line(Row(report, target)) : text(report))
    }

    private func text(_ report: BackupReport) -> String {
        "\(target): position \(report.position), \(report.bytes) bytes, \(report.batches) batches from the spool"
    }

    private struct Row: Encodable {
        var folder: String
        var position, bytes: Int64
        var batches: Int

        init(_ report: BackupReport, _ folder: String) {
            (self.folder, position, bytes, batches) = (folder, report.position, report.bytes, report.batches)
        }
    }
}
