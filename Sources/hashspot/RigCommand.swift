import ArgumentParser
import Foundation
import Logging
import Miner
import Stratum
import Units

/// `hashspot rig`: a real Stratum miner on this machine's processor.
struct RigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rig",
        abstract: "Mine on this machine's processor, as a rig would.",
        discussion: """
            Connects to a Stratum V1 pool (or to Hashspot's own rig port) and does real proof of work. It is meant \
            for trying things out: a processor finds a share of difficulty 0.001 every fraction of a second, and never a \
            block.

            It ends on Ctrl-C, SIGTERM or after --for, and prints what was accepted.

            Examples:
              hashspot pool --port 3333 --difficulty 0.001
              hashspot rig --pool stratum+tcp://127.0.0.1:3333 --user alice.rig1 --rate 500k
            """)

    @Option(help: ArgumentHelp("Where to connect; stratum+ssl:// for TLS.", valueName: "stratum+tcp://host:port"))
    var pool: String

    @Option(help: ArgumentHelp("With TLS: certificates of authorities to trust beside the system's, PEM.", valueName: "file"))
    var ca: String?

    @Option(help: "The worker's name, often account.rig.")
    var user: String

    @Option(help: "The worker's password; most pools do not look at it.")
    var password = "x"

    @Option(help: "What to hash: sha256d, or scrypt as Litecoin does.")
    var algorithm = AlgorithmChoice.sha256d

    @Option(help: "Threads that hash, 1 to 256.")
    var threads = 1

    @Option(help: ArgumentHelp("The most hashes a second in all, such as 800000, 800k or 2.5M.", valueName: "rate"))
    var rate: String?

    @Flag(help: "Ask for version rolling (BIP 310) and use it.")
    var versionRolling = false

    @Option(help: ArgumentHelp("Suggest this difficulty to the pool.", valueName: "difficulty"))
    var suggestDifficulty: String?

    @Flag(help: "Write log lines and the final statistics as JSON.")
    var json = false

    @Flag(help: "Log every job too.")
    var verbose = false

    @Option(name: .customLong("for"), help: ArgumentHelp("End after so many seconds.", valueName: "seconds"))
    var duration: Double?

    func run() async throws {
        let style = json ? LogStyle.json : .plain
        let miner = Miner(try minerConfiguration(), logger: style.logger("rig", level: verbose ? .debug : .info))
        try await runUntilTerminated(seconds: duration) { try await miner.run() }
        print(json ? OutputJSON.line(miner.statistics) : RigCommand.summary(miner.statistics))
    }

    private func minerConfiguration() throws -> MinerConfiguration {
        guard (1...256).contains(threads) else { throw CommandFailure(description: "--threads is not from 1 to 256") }
        guard !user.isEmpty, user.utf8.count <= Submission.maximalWorkerBytes else {
            throw CommandFailure(description: "--user is not 1 to \(Submission.maximalWorkerBytes) bytes long")
        }
        var configuration = MinerConfiguration(pool: try address(), user: user, password: password)
        configuration.algorithm = algorithm.algorithm
        configuration.authorities = ca
        configuration.threads = threads
        configuration.maximalHashrate = try rate.map(RigCommand.hashrate)
        configuration.rollsVersion = versionRolling
        configuration.suggestedDifficulty = try suggestDifficulty.map { try DecimalDifficulty(argument: $0, "--suggest-difficulty") }
        return configuration
    }

    private func address() throws -> PoolAddress {
        do {
            return try PoolAddress(parsing: pool)
        } catch {
            throw CommandFailure(description: "--pool: \(error)")
        }
    }

    /// `800000`, `800k`, `2.5M` or `1G`, with or without `H/s`.
    static func hashrate(_ text: String) throws -> Int64 {
        var digits = text.lowercased()
        if digits.hasSuffix("h/s") { digits.removeLast(3) }
        let factors: [Character: Double] = ["k": 1e3, "m": 1e6, "g": 1e9]
        let factor = digits.last.flatMap { factors[$0] }
        if factor != nil { digits.removeLast() }
        guard let value = Double(digits), case let rate = value * (factor ?? 1), rate >= 1, rate < 1e15 else {
            throw CommandFailure(description: "--rate is not a number of hashes a second, such as 800k")
        }
        return Int64(rate)
    }

    private static func summary(_ s: MinerStatistics) -> String {
        "\(s.hashes) hashes, \(s.accepted) shares accepted (\(s.acceptedUnits) work units), \(s.rejectedCount) rejected, "
            + "\(s.unanswered) unanswered, \(s.dropped) dropped, \(s.connects) connects"
    }
}

extension DecimalDifficulty {
    /// Reads a command's argument.
    init(argument: String, _ name: String) throws {
        guard let difficulty = DecimalDifficulty(literal: Array(argument.utf8)) else {
            throw CommandFailure(description: "\(name) is not a number above zero")
        }
        self = difficulty
    }
}
