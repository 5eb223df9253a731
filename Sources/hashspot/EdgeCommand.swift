import ArgumentParser
import Database
import Logging
import Server
import Synchronization

/// `hashspot edge`: the Stratum proxy in a process of its own.
struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge",
        abstract: "Run a Stratum edge in a process of its own, beside the market's servers.",
        discussion: """
            Rigs connect to it as to the edge inside of `hashspot serve`. It shares nothing with the servers but the market's \
            Postgres: from there come logins, pools and routes, there go reports and metered shares. While the database or the \
            server is away it goes on serving rigs by what it was told, keeps all shares in the spool in its --data folder, and \
            ships them afterwards. Once it has served, it can also be started while the database is away.

            Each edge has a name, which one process at a time can have, and a folder of its own: its spool is never to be copied or \
            removed before it is empty. A market can have many edges; `hashspot serve --no-stratum` runs a server without one.

            The clock is compared with the database's: off by more than 2 seconds, the edge sells nothing until it is right again.

            Ends on Ctrl-C or SIGTERM, when everything is shipped that can be: rigs that come back within 60 seconds, here or at \
            another edge, go on delivering.

            Examples:
              hashspot edge --database postgres://edge@db/market --name berlin-1 --data berlin-1 --stratum-host 0.0.0.0
              hashspot edge --database postgres://edge@db/market --name berlin-2 --data berlin-2 --stratum-port 3334 \\
                --public-stratum-url stratum+tcp://berlin.example.com:3334
            """)

    @Option(help: ArgumentHelp("The market's Postgres database.", valueName: "postgres://..."))
    var database: String

    @Option(help: "The edge's name: letters, digits, dots, dashes and underscores.")
    var name: String

    @Option(help: ArgumentHelp("Folder of the spool and of what the edge was told; made when missing.", valueName: "folder"))
    var data: String

    @Option(help: "The address that rigs connect to.")
    var stratumHost = "127.0.0.1"

    @Option(help: "The port that rigs connect to; 0 takes any free one.")
    var stratumPort = 3333

    @Option(help: ArgumentHelp("What sellers are told to point rigs at.", valueName: "stratum+tcp://host:port"))
    var publicStratumURL: String?

    @OptionGroup var transportOptions: TransportOptions

    @Flag(help: "Let buyers name pools at private and loopback addresses.")
    var allowPrivatePools = false

    @Flag(inversion: .prefixedNo, help: "Keep each share as a row, so that bills can be traced to headers.")
    var rawShares = true

    @Flag(help: "Write log lines as JSON.")
    var json = false

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so many seconds.", valueName: "seconds"))
    var duration: Double?

    func run() async throws {
        let logger = (json ? LogStyle.json : .plain).logger("edge", level: .info)
        let starting = try edgeConfiguration()
        let edge = Mutex<SeparateEdge?>(nil)
        let reason = Mutex<String?>(nil)
        let failure = Mutex<CommandFailure?>(nil)
        try await runUntilTerminated(seconds: duration) {
            do {
                let started = try await SeparateEdge.start(starting, logger: logger)
                edge.withLock { $0 = started }
                logger.info("serving", metadata: ["edge": "\(starting.name)", "stratum": "\(started.stratumURL)"])
                for await end in started.ended {
                    reason.withLock { $0 = "\(end)" }
                    return
                }
            } catch is CancellationError {
                return
            } catch {
                failure.withLock { $0 = CommandFailure(description: "cannot start: \(operatorText(error))") }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
        logger.info("stopping")
        await edge.withLock { $0 }?.stop()
        if let reason = reason.withLock({ $0 }) { throw CommandFailure(description: "ended: \(reason)") }
        logger.info("stopped")
    }

    private func edgeConfiguration() throws -> SeparateEdgeConfiguration {
        guard (0...65_535).contains(stratumPort) else { throw CommandFailure(description: "--stratum-port is not from 0 to 65535") }
        let location: DatabaseLocation
        do { location = try DatabaseLocation(database) } catch {
            throw CommandFailure(description: "--database: \(operatorText(error))")
        }
        var configuration = SeparateEdgeConfiguration(name: name, dataFolder: data, database: location)
        configuration.stratumHost = stratumHost
        configuration.stratumPort = stratumPort
        configuration.publicStratumURL = publicStratumURL
        configuration.allowsPrivatePools = allowPrivatePools
        configuration.rawShares = rawShares
        configuration.transport = try transportOptions.transport()
        return configuration
    }
}
