import ArgumentParser
import Exchange
import Logging
import Market
import Server
import Store
import Synchronization
import Units

/// Which market a server runs.
enum MarketPreset: String, ExpressibleByArgument, CaseIterable {
    case sha256d
    case demo
    case scrypt
    case scryptDemo = "scrypt-demo"

    var rules: MarketRules {
        switch self {
        case .sha256d: .sha256d
        case .demo: .demo
        case .scrypt: .scrypt
        case .scryptDemo: .scryptDemo
        }
    }

    /// For trying out on a processor: everything happens soon.
    var isDemo: Bool {
        switch self {
        case .demo, .scryptDemo: true
        case .sha256d, .scrypt: false
        }
    }
}

/// `hashspot serve`: the whole market in one process.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the market: API, exchange, Stratum edge and settlement in one process.",
        discussion: """
            Without --database everything is kept in SQLite files in the --data folder, which is made when missing. With \
            --database it is kept in Postgres (run `hashspot migrate` first); the folder then holds the edge's spool. A second \
            server on a Postgres stands by until the first one has ended or gives no sign of life; a second one on a folder is \
            refused. On Postgres rigs can also connect to edges in processes of their own, with --no-stratum only to those: see \
            `hashspot edge --help`.

            Ends on Ctrl-C or SIGTERM: orders and deliveries survive, and rigs that come back within 60 seconds go on \
            delivering.

            Examples:
              hashspot serve --data market
              hashspot account create --data market --name alice --role buyer
              curl http://127.0.0.1:8080/v1/market
            """)

    @OptionGroup var storage: DatabaseOptions

    @Option(help: "The address of the API.")
    var apiHost = "127.0.0.1"

    @Option(help: "The port of the API; 0 takes any free one.")
    var apiPort = 8080

    @Flag(inversion: .prefixedNo, help: "Have an edge for rigs; without one, `hashspot edge` serves them (on Postgres only).")
    var stratum = true

    @Option(help: "The address that rigs connect to.")
    var stratumHost = "127.0.0.1"

    @Option(help: "The port that rigs connect to; 0 takes any free one.")
    var stratumPort = 3333

    @Option(help: ArgumentHelp("What sellers are told to point rigs at.", valueName: "stratum+tcp://host:port"))
    var publicStratumURL: String?

    @OptionGroup var transportOptions: TransportOptions

    @OptionGroup var accessOptions: AccessOptions

    @Option(help: """
        The market: sha256d (lots of 1 TH/s), scrypt (lots of 1 MH/s), or for processors demo (SHA-256d, lots of 100 kH/s) \
        and scrypt-demo (lots of 100 H/s).
        """)
    var market = MarketPreset.sha256d

    @Flag(help: "Let buyers name pools at private and loopback addresses.")
    var allowPrivatePools = false

    @Flag(help: "Let one person of finance credit deposits. Without it another one must approve each: POST /v1/transfers/{id}/approve.")
    var singlePersonDeposits = false

    @Option(help: ArgumentHelp("Time between settlement runs.", valueName: "seconds"))
    var settlementInterval = 300.0

    @Option(help: ArgumentHelp("Time from a delivery's end to its final settlement.", valueName: "hours"))
    var disputeWindow: Int64 = 24

    @Option(help: ArgumentHelp("Publish a minute of the index so long after its reports are complete.", valueName: "seconds"))
    var indexLag: Int64 = 60

    @Flag(inversion: .prefixedNo, help: "Keep each share as a row, so that bills can be traced to headers.")
    var rawShares = true

    @Option(help: ArgumentHelp("How long shares are kept.", valueName: "days"))
    var shareDays: Int64 = 30

    @Option(help: ArgumentHelp("How long work per delivery, rig and minute is kept.", valueName: "days"))
    var slotDays: Int64 = 400

    @Option(help: ArgumentHelp(
        "File of the key that statements are signed with, made at the first issue. Default: signing.key in the data folder.",
        valueName: "file"))
    var signingKey: String?

    @Flag(help: "Write log lines as JSON.")
    var json = false

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so many seconds.", valueName: "seconds"))
    var duration: Double?

    func run() async throws {
        let logger = (json ? LogStyle.json : .plain).logger("server", level: .info)
        let server: Server
        do {
            server = try await Server.start(try serverConfiguration(), logger: logger)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(description: "cannot start: \(operatorText(error))")
        }
        logger.info("serving", metadata: [
            "api": "\(accessOptions.apiTlsCertificate == nil ? "http" : "https")://\(apiHost):\(server.apiPort)",
            "stratum": "\(stratum ? server.stratumURL : "none")",
        ])
        if let port = server.stratumTLSPort { logger.info("rigs with TLS", metadata: ["port": "\(port)"]) }
        let deposed = Mutex<String?>(nil)
        try await runUntilTerminated(seconds: duration) {
            for await error in server.deposed {
                deposed.withLock { $0 = "\(error)" }
                return
            }
        }
        logger.info("stopping")
        await server.stop()
        if let reason = deposed.withLock({ $0 }) { throw CommandFailure(description: "ended: \(reason)") }
        logger.info("stopped")
    }

    private func serverConfiguration() throws -> ServerConfiguration {
        var configuration = try storage.configuration()
        for (port, name) in [(apiPort, "--api-port"), (stratumPort, "--stratum-port")] where !(0...65_535).contains(port) {
            throw CommandFailure(description: "\(name) is not from 0 to 65535")
        }
        guard settlementInterval >= 0.5, settlementInterval <= 86_400 else {
            throw CommandFailure(description: "--settlement-interval is not from 0.5 to 86400 seconds")
        }
        guard (24...720).contains(disputeWindow) else {
            throw CommandFailure(description: "--dispute-window is not from 24 to 720 hours")
        }
        configuration.disputeWindow = .seconds(disputeWindow * 3600)
        guard (0...86_400).contains(indexLag) else { throw CommandFailure(description: "--index-lag is not from 0 to 86400 seconds") }
        configuration.indexTiming.lag = .seconds(indexLag)
        configuration.apiHost = apiHost
        configuration.apiPort = apiPort
        configuration.hasEdge = stratum
        configuration.stratumHost = stratumHost
        configuration.stratumPort = stratumPort
        configuration.publicStratumURL = publicStratumURL
        configuration.transport = try transportOptions.transport()
        try accessOptions.apply(to: &configuration)
        configuration.rules = market.rules
        configuration.allowsPrivatePools = allowPrivatePools
        configuration.singlePersonDeposits = singlePersonDeposits
        configuration.settlementInterval = .milliseconds(Int64(settlementInterval * 1000))
        configuration.rawShares = rawShares
        configuration.signingKey = signingKey
        configuration.retention.shareDays = shareDays
        configuration.retention.slotDays = slotDays
        if market.isDemo { configuration.verificationInterval = .seconds(5) }
        return configuration
    }
}
