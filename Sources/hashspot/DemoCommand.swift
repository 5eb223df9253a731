import ArgumentParser
import Demo
import Foundation

/// `hashspot demo`: a whole market on this machine.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Play a whole market on this machine: server, pools, rigs, buyers, and a bill that adds up.",
        discussion: """
            Starts a server with the embedded database, three pools of different dialects and five rigs that hash for \
            real, all on the loopback address. Three buyers bid, cancel and bid again; the rigs follow. At the end the \
            settlement report stands next to what each pool counted by itself.

            Exit status 0 only if something was sold, delivered and billed, every ledger invariant holds, and every \
            pool's own count equals ours.
            """)

    @Option(name: .customLong("for"), help: ArgumentHelp("How long the market trades, 20 or more.", valueName: "seconds"))
    var duration = 120.0

    @Option(help: ArgumentHelp("Keep data and logs in this new folder; otherwise they are removed at the end.", valueName: "folder"))
    var folder: String?

    func run() async throws {
        guard duration >= 20, duration <= 86_400 else {
            throw CommandFailure(description: "--for is not from 20 to 86400 seconds")
        }
        let place = folder ?? NSTemporaryDirectory() + "hashspot-demo-\(getpid())"
        guard !FileManager.default.fileExists(atPath: place) else {
            throw CommandFailure(description: "\(place) exists already; name a new folder")
        }
        let program = try executable()
        let demo = Demo(Demo.Configuration(
            program: program, folder: place, seconds: duration, isTerminal: isatty(STDOUT_FILENO) == 1))
        let ended = Ended()
        do {
            try await runUntilTerminated(seconds: nil) {
                try await demo.run()
                ended.set()
            }
        } catch let failure as DemoFailure {
            throw CommandFailure(description: "the demonstration failed: \(failure)\nLogs are in \(place)/logs")
        }
        if folder == nil { try? FileManager.default.removeItem(atPath: place) }
        guard ended.isSet else { throw CommandFailure(description: "the demonstration was interrupted") }
    }

    private func executable() throws -> String {
        guard let path = Bundle.main.executablePath else {
            throw CommandFailure(description: "the program does not know its own path")
        }
        return path
    }
}
