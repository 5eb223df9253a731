import ArgumentParser
import Database
import Exchange
import Foundation
import Hummingbird
import Logging
import Market
import NIOCore
import Server
import Store
import Units
import WebAPI

/// `hashspot bench api-server`: the process that `hashspot bench api` measures; it ends when its input does.
///
/// A market on SQLite files and its API on loopback, without an edge. Every line of the input places an order, which is one
/// change of the book; its price is out of what the line says.
struct APIBenchServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api-server", abstract: "The API that is measured.", shouldDisplay: false)

    @Option var folder: String
    @Option var readers: Int
    @Option var levels: Int

    func run() async throws {
        var logger = Logger(label: "bench")
        // Connections that are open at its end are no news.
        logger.logLevel = .critical
        _ = try await Server.migrate(ServerConfiguration(dataFolder: folder))
        let configuration = ServerConfiguration(dataFolder: folder)
        let database = try await Database.open(configuration.tablesLocation)
        let market = try await MarketService.start(
            rules: .demo, tables: TableStore(database), journal: JournalStore(Database.openConnection(configuration.journalLocation)),
            logger: logger, onDeposed: { _ in })
        try await fill(market.writer)
        let services = APIServices(
            market: market.writer, directory: AccountStore(database),
            keys: try Server.keys(configuration, database, making: true), reports: ReportStore(database),
            control: ControlStore(database), edge: NoEdge(), verifier: NoVerifier(),
            secret: APIServices.systemRandomBytes(32), now: MarketService.systemClock, streams: streams)
        try await serve(services, market.writer, logger)
        await market.stop()
        await database.close()
    }

    /// All readers are at one address.
    private var streams: MarketStreams.Configuration {
        var streams = MarketStreams.Configuration()
        (streams.mostReaders, streams.mostPerAddress) = (readers + 100, readers + 100)
        return streams
    }

    private func fill(_ writer: MarketWriter) async throws {
        _ = try await writer.submit(CommandEnvelope(.deposit(
            account: AccountID(1), amount: Satoshis(1_000_000_000_000), reference: "bench")))
        _ = try await writer.submit(CommandEnvelope(.createPoolTarget(
            owner: AccountID(1), name: "pool", url: "stratum+tcp://127.0.0.1:1", user: "u", password: "x")))
        _ = try await writer.submit(CommandEnvelope(.recordVerification(
            target: PoolTargetID(1), status: .verified(PoolCapabilities(extranonce2Size: 8, versionMask: 0, difficulty: "1")))))
        for level in 0..<levels { try await place(Int64(level), writer) }
    }

    private func place(_ number: Int64, _ writer: MarketWriter) async throws {
        let rules = MarketRules.demo
        let price = Price(1_000_000 + (number % 1000) * 100)
        let outcome = try await writer.submit(CommandEnvelope(.placeBid(PlaceBid(
            account: AccountID(1), price: price, lots: min(Lots(10), rules.mostLots), targets: [PoolTargetID(1)]))))
        if case .rejected(let rejection) = outcome { throw CommandFailure(description: rejection.explanation) }
    }

    private func serve(_ services: APIServices, _ writer: MarketWriter, _ logger: Logger) async throws {
        let application = buildApplication(
            services,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0), backlog: 1024), logger: logger,
            onServerRunning: { channel in
                FileHandle.standardOutput.write(Data("\(channel.localAddress?.port ?? 0)\n".utf8))
            })
        let run = Task { try await application.runService(gracefulShutdownSignals: []) }
        let (lines, reader) = AsyncStream<String>.makeStream()
        Thread.detachNewThread {
            while let line = readLine() { reader.yield(line) }
            reader.finish()
        }
        for await line in lines { try await place(Int64(line) ?? 0, writer) }
        run.cancel()
        _ = await run.result
    }
}

private struct NoEdge: LiveEdge {
    var stratumURL: String { "stratum+tcp://127.0.0.1:1" }
    func deliveries() async -> [DeliveryID: LiveDelivery] { [:] }
    func rigs() async -> [RigID: LiveRig] { [:] }
}

private struct NoVerifier: PoolVerifying {
    func verify(url: String, user: String, password: String) async -> VerificationResult {
        VerificationResult(steps: [], capabilities: nil)
    }

    func flaw(inURL url: String) -> String? { nil }
}
