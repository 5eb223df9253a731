import Database
import Exchange
import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import Logging
import Market
import Miner
import MiningPool
import Server
import Store
import Stratum
import TestSupport
import Units
import WebAPI

/// A customer of the market, by their key.
struct Customer: Sendable {
    var account: Int64
    var key: String
}

/// The API, over a real socket.
struct API: Sendable {
    var port: Int

    struct Answer {
        var status: Int
        var body: [String: Any]

        func int(_ name: String) -> Int64? { (body[name] as? NSNumber)?.int64Value }
        func text(_ name: String) -> String? { body[name] as? String }
        var items: [[String: Any]] { body["items"] as? [[String: Any]] ?? [] }
    }

    func call(_ method: String, _ path: String, _ customer: Customer? = nil, _ body: [String: Any]? = nil) async throws -> Answer {
        var request = URLRequest(url: URL(string: "http://127.0.0.1:\(port)\(path)")!, timeoutInterval: 20)
        request.httpMethod = method
        if let customer { request.setValue("Bearer \(customer.key)", forHTTPHeaderField: "Authorization") }
        if let body {
            request.httpBody = try JSONSerialization.data(withJSONObject: body)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        let (data, response) = try await URLSession.shared.data(for: request)
        let object = data.isEmpty ? nil : try JSONSerialization.jsonObject(with: data)
        return Answer(
            status: (response as? HTTPURLResponse)?.statusCode ?? 0, body: object as? [String: Any] ?? [:])
    }
}

/// Which database a test runs on.
enum Engine: String, CaseIterable, Sendable {
    case sqlite, postgres
}

/// A market whose parts are all real, with short times.
final class TestMarket {
    let folder: TemporaryFolder
    let logger: Logger
    var configuration: ServerConfiguration
    private let postgres: TestDatabase?
    private(set) var server: Server?
    private var process: Process?

    init(_ engine: Engine) async throws {
        folder = try TemporaryFolder()
        var quiet = Logger(label: "test")
        quiet.logLevel = .error
        logger = quiet
        configuration = ServerConfiguration(dataFolder: folder.file("market"))
        configuration.singlePersonDeposits = true
        configuration.apiPort = 0
        configuration.stratumPort = 0
        configuration.allowsPrivatePools = true
        configuration.settlementInterval = .milliseconds(500)
        configuration.verificationInterval = .milliseconds(500)
        var rules = MarketRules.demo
        rules.term = .seconds(300)
        rules.shareInterval = .milliseconds(100)
        configuration.rules = rules
        switch engine {
        case .sqlite: postgres = nil
        case .postgres:
            let database = try TestPostgres.createDatabase()
            postgres = database
            configuration.database = database.location
            _ = try await Server.migrate(configuration)
        }
    }

    /// Starts the server; a later start listens on the same ports.
    func start() async throws {
        let started = try await Server.start(configuration, logger: logger)
        configuration.apiPort = started.apiPort
        configuration.stratumPort = Int(started.stratumURL.split(separator: ":").last ?? "") ?? 0
        server = started
    }

    func stop() async {
        await server?.stop()
        server = nil
    }

    /// Starts `hashspot serve` as a process of its own, on the same ports at every start.
    func startProcess() async throws {
        if configuration.apiPort == 0 {
            // A first start in this process finds free ports and makes the tables.
            try await start()
            await stop()
        }
        let process = Process()
        process.executableURL = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appending(path: "hashspot")
        process.arguments = [
            "serve", "--data", configuration.dataFolder, "--api-port", "\(configuration.apiPort)", "--stratum-port",
            "\(configuration.stratumPort)", "--market", "demo", "--allow-private-pools", "--settlement-interval", "0.5",
            "--single-person-deposits", "--for", "120",
        ]
        if case .postgres(let url)? = configuration.database { process.arguments?.append(contentsOf: ["--database", url]) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.process = process
        try await eventually("the server answers") {
            (try? await api.call("GET", "/v1/health").status) == 200
        }
    }

    /// Ends the process as a power cut would.
    func killProcess() {
        guard let process else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    func stopProcess() {
        process?.terminate()
        process?.waitUntilExit()
        process = nil
    }

    func end() async {
        await stop()
        postgres?.drop()
        folder.remove()
    }

    var api: API { API(port: configuration.apiPort) }

    func tables<T>(_ body: (Database) async throws -> T) async throws -> T {
        let database = try await Server.openTables(configuration)
        do {
            let result = try await body(database)
            await database.close()
            return result
        } catch {
            await database.close()
            throw error
        }
    }

    /// What `hashspot account create` does.
    func customer(_ name: String, _ role: Role) async throws -> Customer {
        let key = APIKey.make(random: APIServices.systemRandomBytes(32))
        return try await tables { database in
            let account = try await AccountStore(database).create(
                name: name, roles: [role], keyDigest: APIKey.digest(key), at: MarketService.systemClock())
            return Customer(account: account.rawValue, key: key)
        }
    }

    /// Proves journal and tables, as `hashspot verify` does.
    func verify() async throws -> StorageVerification { try await Server.verify(configuration) { _ in } }

    /// Every invariant that is broken.
    func brokenInvariants() async throws -> [String] {
        try await tables { try await Audit($0).run().filter { $0.violations > 0 }.map(\.invariant) }
    }

    func poolCounts() async throws -> [PoolCount] { try await tables { try await ReportStore($0).poolCounts() } }
}

/// A pool of our own for tests, at a difficulty that makes many shares.
func startPool(
    seed: UInt64, extranonce2Size: Int = 8, algorithm: Algorithm = .sha256d
) async throws -> (pool: MiningPool, url: String) {
    var configuration = MiningPoolConfiguration()
    configuration.algorithm = algorithm
    configuration.nbits = MiningPoolConfiguration.usualNbits(algorithm)
    configuration.difficulty = algorithm.decimal(ShareDifficulty(units: algorithm == .sha256d ? 2 : 1))
    configuration.extranonce2Size = extranonce2Size
    configuration.seed = seed
    configuration.reportInterval = nil
    var logger = Logger(label: "pool")
    logger.logLevel = .error
    let pool = MiningPool(configuration, logger: logger)
    let ports = try await pool.start()
    return (pool, "stratum+tcp://127.0.0.1:\(ports.stratum)")
}

/// A rig that hashes for real, some MH/s, and comes back quickly.
func makeMiner(port: Int, user: String, password: String, algorithm: Algorithm = .sha256d) throws -> Miner {
    var configuration = MinerConfiguration(
        pool: try PoolAddress(parsing: "stratum+tcp://127.0.0.1:\(port)"), user: user, password: password)
    configuration.algorithm = algorithm
    // A library in a debug build does some hundred scrypts a second.
    if algorithm == .scrypt { configuration.threads = 2 }
    configuration.maximalHashrate = 2_000_000
    configuration.initialBackoff = .milliseconds(100)
    configuration.maximalBackoff = .milliseconds(500)
    configuration.reportInterval = nil
    var logger = Logger(label: "rig")
    logger.logLevel = .error
    return Miner(configuration, logger: logger)
}
