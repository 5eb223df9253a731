import ArgumentParser
import Foundation
import Logging
import MiningPool
import Units

/// `hashspot pool`: a small real pool on this machine.
struct PoolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pool",
        abstract: "Run a small Stratum pool for demonstrations and tests.",
        discussion: """
            Makes jobs of its own, checks every share's proof of work, and keeps an account for each worker: what a buyer's \
            pool would have counted. Its blocks lead nowhere.

            With --http, GET / answers the accounts as JSON. It ends on Ctrl-C, SIGTERM or after --for, and prints them.

            Example:
              hashspot pool --port 3333 --difficulty 0.001 --http 8081
              curl http://127.0.0.1:8081/
            """)

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The Stratum port; 0 takes any free one.")
    var port = 3333

    @Option(help: ArgumentHelp("Speak TLS, with this certificate (PEM) and --tls-key.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's key (PEM).", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Serve the accounts as JSON on this port; 0 takes any free one.", valueName: "port"))
    var http: Int?

    @Option(help: "What miners hash: sha256d, or scrypt as Litecoin does.")
    var algorithm = AlgorithmChoice.sha256d

    @Option(help: "Difficulty of shares, as the algorithm's pools count it; may be a fraction.")
    var difficulty = "1"

    @Option(help: "Bytes of extranonce2, 1 to 16.")
    var extranonce2Size = 8

    @Option(help: ArgumentHelp("Header bits that miners may roll, in hex; none for no version rolling.", valueName: "mask"))
    var versionMask = "1fffe000"

    @Option(help: ArgumentHelp("Time between jobs of one block.", valueName: "seconds"))
    var jobInterval = 30.0

    @Option(help: ArgumentHelp("Time between new blocks, which make earlier jobs stale.", valueName: "seconds"))
    var blockInterval = 600.0

    @Option(help: "Jobs are made from it.")
    var seed: UInt64 = 1

    @Flag(help: "Give each connection the difficulty it suggests.")
    var obeySuggestions = false

    @Option(help: ArgumentHelp("Refuse this many of a hundred valid shares.", valueName: "percent"))
    var refuse = 0

    @Flag(help: "Write log lines and the final accounts as JSON.")
    var json = false

    @Flag(help: "Log every job too.")
    var verbose = false

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so many seconds.", valueName: "seconds"))
    var duration: Double?

    func run() async throws {
        let logger = (json ? LogStyle.json : .plain).logger("pool", level: verbose ? .debug : .info)
        let pool = MiningPool(try poolConfiguration(), logger: logger)
        let ports = try await start(pool)
        if refuse > 0 { try await pool.set(.refuse(percent: refuse)) }
        logger.info("listening", metadata: ["url": "stratum+\(tlsCertificate == nil ? "tcp" : "ssl")://\(host):\(ports.stratum)"])
        if let http = ports.http { logger.info("accounts", metadata: ["url": "http://\(host):\(http)/"]) }
        try await runUntilTerminated(seconds: duration) {
            try await Task.sleep(for: .seconds(Int64.max / 2_000_000_000))
        }
        if let last = try await pool.stop() { print(json ? OutputJSON.line(last) : PoolCommand.summary(last)) }
    }

    private func start(_ pool: MiningPool) async throws -> MiningPool.Ports {
        do {
            return try await pool.start()
        } catch {
            throw CommandFailure(description: "cannot start the pool: \(error)")
        }
    }

    private func poolConfiguration() throws -> MiningPoolConfiguration {
        var configuration = MiningPoolConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.httpPort = http
        configuration.algorithm = algorithm.algorithm
        configuration.nbits = MiningPoolConfiguration.usualNbits(algorithm.algorithm)
        configuration.tls = try tlsFiles()
        configuration.difficulty = try DecimalDifficulty(argument: difficulty, "--difficulty")
        configuration.extranonce2Size = extranonce2Size
        configuration.versionMask = try mask()
        configuration.jobInterval = try interval(jobInterval, "--job-interval")
        configuration.blockInterval = try interval(blockInterval, "--block-interval")
        configuration.seed = seed
        configuration.obeysSuggestions = obeySuggestions
        guard (0...100).contains(refuse) else { throw CommandFailure(description: "--refuse is not from 0 to 100") }
        return configuration
    }

    private func tlsFiles() throws -> MiningPoolConfiguration.TLSFiles? {
        switch (tlsCertificate, tlsKey) {
        case (nil, nil): return nil
        case (let certificate?, let key?): return .init(certificatePath: certificate, keyPath: key)
        case (nil, _?), (_?, nil): throw CommandFailure(description: "--tls-certificate and --tls-key go together")
        }
    }

    private func mask() throws -> UInt32 {
        if versionMask == "none" { return 0 }
        guard let mask = UInt32(versionMask, radix: 16) else {
            throw CommandFailure(description: "--version-mask is neither none nor up to 8 hex digits")
        }
        return mask
    }

    private func interval(_ seconds: Double, _ name: String) throws -> Duration {
        guard seconds >= 0.01, seconds <= 1e6 else {
            throw CommandFailure(description: "\(name) is not from 0.01 to 1000000 seconds")
        }
        return .milliseconds(Int64(seconds * 1000))
    }

    private static func summary(_ s: MiningPoolSnapshot) -> String {
        let workers = s.workers.sorted { $0.key < $1.key }.map { name, worker in
            let rejected = worker.rejected.sorted { $0.key < $1.key }.map { "\($0.value) x error \($0.key)" }
            return "\(name): \(worker.accepted) accepted, \(worker.acceptedUnits) work units"
                + (rejected.isEmpty ? "" : ", rejected " + rejected.joined(separator: ", "))
        }
        return (["\(s.connects) connects, \(s.jobs) jobs, \(s.blocks) blocks"] + workers).joined(separator: "\n")
    }
}
