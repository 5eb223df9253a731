import ArgumentParser
import Server

/// `hashspot rebuild`: the tables anew from the journal.
struct RebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Make the tables that derive from the journal anew.",
        discussion: """
            Stop the server first. The derived tables are emptied and filled again from the journal, in transactions of \
            bounded size; accounts, keys, metered work and shares stay. An interrupted rebuild is begun anew, or continued \
            with --continue; a server that is started instead completes it. Run `hashspot verify` afterwards.
            """)

    @OptionGroup var storage: DatabaseOptions

    @Flag(name: .customLong("continue"), help: "Go on from where an interrupted rebuild ended.")
    var isContinuing = false

    @Flag(help: "On Postgres: although others use the database. A server that runs is deposed and ends.")
    var force = false

    func run() async throws {
        let line = ProgressLine("rebuild")
        line.begin()
        let position: Int64
        do {
            position = try await Server.rebuild(
                try storage.configuration(), deposing: force, continuing: isContinuing) { line.report($0) }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: "not rebuilt: \(operatorText(error))")
        }
        print("rebuilt to position \(position)")
    }
}
