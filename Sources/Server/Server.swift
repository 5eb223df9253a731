public import Database
internal import Foundation
internal import Exchange
internal import Hummingbird
internal import HummingbirdCore
public import Logging
public import Market
internal import MigrationFiles
internal import NIOCore
internal import Routing
internal import ServiceLifecycle
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units
internal import WebAPI

/// One process with everything: exchange, storage, edge, settlement and API.
public final class Server: Sendable {
    /// The embedded edge's number.
    static let edgeID = EdgeID(1)

    public let apiPort: Int
    public let stratumURL: String
    /// The port for rigs with TLS; nil without one.
    public var stratumTLSPort: Int? { edge?.tlsPort }
    /// Ends with an error when another server has taken over the database: then end the process.
    public let deposed: AsyncStream<JournalError>

    private let folder: DataFolder
    private let database: Database
    private let market: MarketService
    /// nil where rigs connect to edges in processes of their own only.
    private let edge: Edge?
    private let api: ServiceGroup
    private let apiRun: Task<Void, any Error>
    private let workers: [Task<Void, Never>]
    private let logger: Logger

    /// Starts everything in dependency order; what was started is stopped again when a later part fails.
    ///
    /// - Throws: an error whose description is one line for the operator
    public static func start(_ configuration: ServerConfiguration, logger: Logger) async throws -> Server {
        if let flaw = configuration.rules.flaw { throw ServerStartError("The market's rules are invalid: \(flaw)") }
        if let flaw = configuration.transport.flaw { throw ServerStartError("The transport is invalid: \(flaw)") }
        if let flaw = configuration.retention.flaw { throw ServerStartError("Retention is invalid: \(flaw)") }
        guard configuration.hasEdge || configuration.tablesLocation.dialect == .postgres else {
            throw ServerStartError("A market without an edge of the server's own needs Postgres: rigs could not connect")
        }
        _ = try DescriptorBudget.current()
        let folder = try DataFolder(configuration.dataFolder)
        let database: Database
        do {
            // Before anything is taken over: a server that cannot start must not end one that serves.
            try DataFolder.checkSpool(configuration)
            _ = try APICertificate(configuration.apiTLS, logger: logger)
            database = try await openDatabase(configuration, logger: logger)
        } catch {
            folder.unlock()
            throw error
        }
        do { return try await start(configuration, folder, database, logger) } catch {
            await database.close()
            folder.unlock()
            throw error
        }
    }

    private static func start(
        _ configuration: ServerConfiguration, _ folder: DataFolder, _ database: Database, _ logger: Logger
    ) async throws -> Server {
        let (deposed, deposer) = AsyncStream<JournalError>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let market = try await MarketService.start(
            rules: configuration.rules, tables: TableStore(database),
            journal: JournalStore(Database.openConnection(configuration.journalLocation)), logger: logger,
            onStandby: { logger.info("standing by: another server has this market; this one starts when it has ended") },
            onDeposed: { deposer.yield($0) })
        do {
            let desk = try await EdgeDesk(configuration, database, market.writer, logger)
            let edge = try await startEdge(
                configuration, market, MeterStore(database, rawShares: configuration.rawShares), desk, logger)
            do {
                return try await start(configuration, folder, database, market, edge, desk, deposed, logger)
            } catch {
                await edge?.edge.stop()
                throw error
            }
        } catch {
            await market.stop()
            throw error
        }
    }

    private static func start(
        _ configuration: ServerConfiguration, _ folder: DataFolder, _ database: Database, _ market: MarketService,
        _ edge: (edge: Edge, url: String)?, _ desk: EdgeDesk, _ deposed: AsyncStream<JournalError>, _ logger: Logger
    ) async throws -> Server {
        let live = desk.live(edge.map { EmbeddedLiveEdge(edge: $0.edge, market: market.writer, stratumURL: $0.url) })
        let verifier = ProxyVerifier(
            allowsPrivatePools: configuration.allowsPrivatePools, algorithm: configuration.rules.algorithm,
            minimumDifficulty: configuration.rules.minimumDifficulty, authorities: configuration.transport.poolAuthorities)
        let settlement = SettlementWorker(
            gateway: market.writer, meter: MeterStore(database),
            schedule: SettlementSchedule(interval: configuration.settlementInterval, disputeWindow: configuration.disputeWindow),
            program: "hashspot \(EdgeContact.version)", logger: logger)
        let control = ControlStore(database, policy: ControlStore.Policy(disputeWindow: configuration.disputeWindow))
        var services = APIServices(
            market: market.writer, directory: AccountStore(database),
            keys: try await openKeys(configuration, database, making: true, logger), reports: ReportStore(database),
            control: control, edge: live, verifier: verifier, access: configuration.access,
            secret: try folder.secret(), now: MarketService.systemClock, singlePersonDeposits: configuration.singlePersonDeposits,
            settlement: settlement, streams: try DescriptorBudget.current().streams)
        services.evidence = SettlementEvidenceStore(database)
        services.documents = ServedDocuments(
            store: DocumentStore(database), signingKeyFile: configuration.signingKeyFile, now: MarketService.systemClock)
        let certificate = try APICertificate(configuration.apiTLS, logger: logger)
        let (group, run, port) = try await startAPI(configuration, services, certificate, logger)
        let watch = PoolWatch(market: market.writer, verifier: verifier, logger: logger)
        let retention = RetentionWorker(store: RetentionStore(database, policy: configuration.retention), logger: logger)
        let index = IndexWorker(
            gateway: market.writer, meter: MeterStore(database), index: control, timing: configuration.indexTiming,
            logger: logger)
        let credits = CreditQueue(gateway: market.writer, records: control, logger: logger)
        let workers = [
            Task { await settlement.run() },
            Task { await index.run(every: .seconds(60)) },
            Task { await credits.run(every: configuration.settlementInterval) },
            Task { await watch.run(every: configuration.verificationInterval) },
            Task { await retention.run(every: .seconds(3600)) },
            Task { await LedgerUpkeep(market: market.writer, database: database, logger: logger).run() },
            Task { await certificate?.watch(every: configuration.certificateCheck) },
        ] + desk.work(live)
        return Server(
            apiPort: port, stratumURL: live.stratumURL, deposed: deposed, folder: folder, database: database, market: market,
            edge: edge?.edge, api: group, apiRun: run, workers: workers, logger: logger)
    }

    private init(
        apiPort: Int, stratumURL: String, deposed: AsyncStream<JournalError>, folder: DataFolder, database: Database,
        market: MarketService, edge: Edge?, api: ServiceGroup, apiRun: Task<Void, any Error>,
        workers: [Task<Void, Never>], logger: Logger
    ) {
        self.apiPort = apiPort
        self.stratumURL = stratumURL
        self.deposed = deposed
        self.folder = folder
        self.database = database
        self.market = market
        self.edge = edge
        self.api = api
        self.apiRun = apiRun
        self.workers = workers
        self.logger = logger
    }

    /// Stops in reverse order: no new requests, no more rigs, everything spooled is shipped, everything committed is
    /// in the tables.
    public func stop() async {
        await api.triggerGracefulShutdown()
        _ = await apiRun.result
        for worker in workers { worker.cancel() }
        for worker in workers { await worker.value }
        await edge?.stop()
        await market.stop()
        await database.close()
        folder.unlock()
    }
}

// MARK: - Without serving

extension Server {
    /// Opens the tables for a command beside the server.
    public static func openTables(_ configuration: ServerConfiguration) async throws -> Database {
        if case .sqlite(let path) = configuration.tablesLocation, !FileManager.default.fileExists(atPath: path) {
            throw ServerStartError("There is no market in \(configuration.dataFolder): start `hashspot serve --data` there")
        }
        let database = try await Database.open(configuration.tablesLocation.forLongWork)
        let stream: MigrationStream = configuration.tablesLocation.dialect == .sqlite ? .sqlite : .postgres
        let pending: [String]
        do { pending = try await database.withWriterConnection { try Migrator(stream).pending($0) } } catch {
            await database.close()
            throw error
        }
        guard pending.isEmpty else {
            await database.close()
            throw ServerStartError("The database lacks \(pending.joined(separator: ", ")): run `hashspot migrate` first")
        }
        return database
    }

    /// Creates or upgrades the schema; returns the migrations that were applied.
    public static func migrate(_ configuration: ServerConfiguration) async throws -> [String] {
        guard configuration.tablesLocation.dialect == .sqlite else {
            let database = try await Database.open(configuration.tablesLocation)
            do {
                let report = try await database.migrate(.postgres)
                await database.close()
                return report.applied
            } catch {
                await database.close()
                throw error
            }
        }
        let folder = try DataFolder(configuration.dataFolder)
        defer { folder.unlock() }
        return try await migrateEmbedded(configuration)
    }

    /// Journal and tables of the embedded default.
    private static func migrateEmbedded(_ configuration: ServerConfiguration) async throws -> [String] {
        try DataFolder.checkComplete(configuration)
        let journal = try Database.openConnection(configuration.journalLocation, checksIntegrity: true)
        defer { journal.close() }
        let first = try Migrator(.sqliteJournal).migrate(journal).applied
        let database = try await Database.open(configuration.tablesLocation, configuration: .init(checksIntegrity: true))
        do {
            let second = try await database.migrate(.sqlite).applied
            await database.close()
            return first + second
        } catch {
            await database.close()
            throw error
        }
    }
}

// MARK: - Parts

extension Server {
    /// Opens the tables' database; migrates the embedded default first.
    private static func openDatabase(_ configuration: ServerConfiguration, logger: Logger) async throws -> Database {
        if configuration.tablesLocation.dialect == .sqlite {
            for name in try await migrateEmbedded(configuration) {
                logger.info("migrated", metadata: ["migration": "\(name)"])
            }
        }
        return try await openTables(configuration)
    }

    private static func startEdge(
        _ configuration: ServerConfiguration, _ market: MarketService, _ meter: MeterStore, _ desk: EdgeDesk, _ logger: Logger
    ) async throws -> (edge: Edge, url: String)? {
        let writer = market.writer
        // Rigs that were connected to an earlier process are away until they come back.
        _ = try await writer.submit(CommandEnvelope(.edgeStarted(edgeID)))
        guard configuration.hasEdge else { return nil }
        var settings = EdgeConfiguration(
            host: configuration.stratumHost, port: configuration.stratumPort,
            spoolPath: configuration.file("spool.sqlite"), edge: edgeID,
            allotEpoch: {
                let epoch = try await meter.allotEpoch(edge: edgeID, at: MarketService.systemClock())
                if epoch > 1 {
                    logger.warning("the spool is a new one: shares that an earlier one had not shipped are not billed")
                }
                return epoch
            })
        settings.limits.minerConnections = min(settings.limits.minerConnections, try DescriptorBudget.current().miners)
        settings.algorithm = configuration.rules.algorithm
        settings.minimumDifficulty = configuration.rules.minimumDifficulty
        settings.startDifficulty = startDifficulty(configuration.rules)
        settings.shareInterval = configuration.rules.shareInterval
        settings.slices = SliceTimes(term: configuration.rules.term)
        settings.allowPrivatePools = configuration.allowsPrivatePools
        configuration.transport.apply(to: &settings)
        let edge = Edge(
            configuration: settings, directory: CommittedDirectory(market: writer),
            reports: CommandReports(writer: writer, edge: edgeID, onArrival: desk.noteArrival),
            registrar: CommandRegistrar(writer: writer), sink: MeterSink(meter: meter), logger: logger)
        writer.onRoutes { edge.apply($0) }
        // Before the edge ships what an earlier process left in its spool: it counts that itself.
        let running = writer.read { Array($0.deliveries.values.filter(\.isRunning).map(\.id)) }
        let credits = try await meter.credits(of: running)
        let port = try await edge.start()
        edge.restore(credits)
        edge.apply(writer.allRoutes())
        let url = configuration.publicStratumURL ?? "stratum+tcp://\(configuration.stratumHost):\(port)"
        return (edge, url)
    }

    /// Eight lots' worth of hashing per share interval: low enough that a rig shows its hashrate soon.
    static func startDifficulty(_ rules: MarketRules) -> ShareDifficulty {
        let eight = rules.highestDifficulty(rules.hashrate(min(Lots(8), rules.mostLots)))
        return ShareDifficulty(units: max(rules.minimumDifficulty.units, eight.units / 2))
    }

    private static func startAPI(
        _ configuration: ServerConfiguration, _ services: APIServices, _ certificate: APICertificate?, _ logger: Logger
    ) async throws -> (ServiceGroup, Task<Void, any Error>, Int) {
        let (ports, announcer) = AsyncStream<Int>.makeStream()
        let application = buildApplication(
            services,
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.apiHost, port: configuration.apiPort), serverName: "hashspot",
                availableConnectionsDelegate: MaximumAvailableConnections(try DescriptorBudget.current().requests)),
            logger: logger, server: certificate?.server(.init()) ?? .http1(),
            onServerRunning: { channel in
                announcer.yield(channel.localAddress?.port ?? configuration.apiPort)
                announcer.finish()
            })
        let group = ServiceGroup(configuration: .init(
            services: [.init(service: application)], gracefulShutdownSignals: [], logger: logger))
        let run = Task {
            defer { announcer.finish() }
            try await group.run()
        }
        for await port in ports { return (group, run, port) }
        do { try await run.value } catch {
            let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw ServerStartError("The API cannot listen on \(configuration.apiHost):\(configuration.apiPort): \(reason)")
        }
        throw ServerStartError("The API ended at once")
    }
}
