internal import Database
internal import Foundation
public import Logging
internal import Market
internal import Routing
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units

/// An edge in a process of its own: it shares nothing but the database with the exchange, and serves its rigs while either is
/// away.
public final class SeparateEdge: Sendable {
    public let stratumPort: Int
    /// What sellers are told.
    public let stratumURL: String
    /// Gives why, if the edge has to end by itself: then stop it and end the process.
    public let ended: AsyncStream<SeparateEdgeEnd>

    private let folder: DataFolder
    private let parts: Parts
    private let edge: Edge
    let contact: EdgeContact
    /// Of the contact.
    let work: Task<Void, Never>

    /// What is there before the edge itself.
    private struct Parts: Sendable {
        var configuration: SeparateEdgeConfiguration
        var clock: ForwardClock
        var databases: EdgeDatabases
        var copy: EdgeCopy
        var logger: Logger
        let directory = FollowedDirectory()

        func close() async {
            await databases.close()
            await copy.close()
        }
    }

    /// What an edge knows when it starts to serve.
    private struct Knowledge {
        var header: EdgeCopyHeader
        var rules: EdgeRules
        var credits: [DeliveryID: Work] = [:]
        var watch = ClockWatch()
        var isInContact: Bool
    }

    /// Starts to serve rigs; what was started is stopped again when a later part fails.
    ///
    /// - Throws: an error whose description is one line for the operator
    public static func start(_ configuration: SeparateEdgeConfiguration, logger: Logger) async throws -> SeparateEdge {
        if let flaw = SeparateEdgeConfiguration.flaw(inName: configuration.name) { throw ServerStartError(flaw) }
        guard configuration.database.dialect == .postgres else {
            throw ServerStartError("An edge of its own needs a market on Postgres")
        }
        _ = try DescriptorBudget.current()
        let folder = try DataFolder(configuration.dataFolder)
        let clock = ForwardClock(configuration.clock)
        var configuration = configuration
        configuration.clock = clock
        do {
            let parts = Parts(
                configuration: configuration, clock: clock, databases: EdgeDatabases(configuration.database),
                copy: try await openCopy(configuration.file("edge.sqlite")), logger: logger)
            do { return try await start(parts, folder) } catch {
                await parts.close()
                throw error
            }
        } catch {
            folder.unlock()
            throw error
        }
    }

    /// The copy has passwords of pools: for the owner only.
    private static func openCopy(_ path: String) async throws -> EdgeCopy {
        if !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]) else {
                throw ServerStartError("The file \(path) cannot be written")
            }
        }
        do { return try await EdgeCopy(path: path) } catch {
            throw ServerStartError("The file \(path) cannot be used: \(detail(error)); it can be removed if the database is there")
        }
    }

    private static func start(_ parts: Parts, _ folder: DataFolder) async throws -> SeparateEdge {
        let known = try await parts.copy.header()
        if let known, known.name != parts.configuration.name {
            throw ServerStartError("The folder \(parts.configuration.dataFolder) is that of the edge '\(known.name)'")
        }
        let knowledge = try await learn(parts, known)
        let reports = FollowedReports(
            directory: parts.directory, edge: EdgeID(knowledge.header.edge), clock: parts.configuration.clock)
        let registrar = FollowedRegistrar(directory: parts.directory, reports: reports, clock: parts.configuration.clock)
        let edge = Edge(
            configuration: try edgeConfiguration(parts, knowledge), directory: parts.directory, reports: reports,
            registrar: registrar,
            sink: SeparateMeterSink(databases: parts.databases, rawShares: parts.configuration.rawShares),
            clock: parts.configuration.clock, logger: parts.logger)
        if let ahead = knowledge.watch.ahead { reports.setClock(ahead: ahead) }
        reports.started(at: parts.configuration.clock.now())
        if !knowledge.watch.isSelling {
            parts.logger.error("the clock is off by more than 2 s: nothing is sold until it is right")
            edge.setSelling(false)
            reports.setSelling(false, at: parts.configuration.clock.now())
        }
        let port = try await edge.start()
        edge.restore(knowledge.credits)
        // An earlier process may have been ahead.
        if let time = await edge.snapshot()?.at { parts.clock.advance(to: time) }
        return SeparateEdge(parts, folder, edge, reports, registrar, knowledge, port: port)
    }

    private init(
        _ parts: Parts, _ folder: DataFolder, _ edge: Edge, _ reports: FollowedReports, _ registrar: FollowedRegistrar,
        _ knowledge: Knowledge, port: Int
    ) {
        let configuration = parts.configuration
        let url = configuration.publicStratumURL ?? "stratum+tcp://\(configuration.stratumHost):\(port)"
        let (ended, ender) = AsyncStream<SeparateEdgeEnd>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.parts = parts
        self.folder = folder
        self.edge = edge
        self.ended = ended
        stratumPort = port
        stratumURL = url
        let contact = EdgeContact(
            configuration, databases: parts.databases, copy: parts.copy, header: knowledge.header, directory: parts.directory,
            reports: reports, registrar: registrar, edge: edge, url: url, watch: knowledge.watch, isInContact: knowledge.isInContact,
            logger: parts.logger, end: { ender.yield($0) })
        self.contact = contact
        work = Task { await contact.run() }
    }

    /// Closes the rigs' connections, ships what there is and reports the rest, as far as the database can be reached.
    public func stop() async {
        work.cancel()
        await work.value
        await edge.stop()
        await contact.finish(within: .seconds(5))
        await parts.close()
        folder.unlock()
    }

    /// For people and metrics.
    func snapshot() async -> EdgeSnapshot? { await edge.snapshot() }
}

// MARK: - What it has to know

extension SeparateEdge {
    /// From the database; from the folder if that cannot be reached and the edge has served before.
    private static func learn(_ parts: Parts, _ known: EdgeCopyHeader?) async throws -> Knowledge {
        do { return try await ask(parts, known) } catch let error as DatabaseError {
            guard isOutage(error) else { throw error }
            guard let known, let rules = known.rules else {
                throw ServerStartError("""
                    The database cannot be reached (\(error.detail)), and this edge has not served before: it cannot start without
                    """)
            }
            parts.logger.warning("the database cannot be reached: rigs are served by what is known", metadata: [
                "detail": "\(error.detail)",
            ])
            var content = try await parts.copy.content()
            content.limitWork(at: parts.configuration.clock.now(), algorithm: rules.algorithm)
            _ = parts.directory.merge(content)
            return Knowledge(header: known, rules: rules, isInContact: false)
        }
    }

    private static func isOutage(_ error: DatabaseError) -> Bool {
        switch error {
        case .busy, .connectionLost, .commitOutcomeUnknown, .unavailable, .readOnly, .diskFull, .serializationFailure: true
        case .constraintViolation, .forbidden, .corrupt, .programming, .decoding, .invalidLocation, .closed: false
        }
    }

    private static func ask(_ parts: Parts, _ known: EdgeCopyHeader?) async throws -> Knowledge {
        let pending = try await parts.databases.pendingMigrations()
        guard pending.isEmpty else {
            throw ServerStartError("The database lacks \(pending.joined(separator: ", ")): run `hashspot migrate` first")
        }
        let database = try await parts.databases.forControl()
        let holder = known?.holder ?? secret()
        let edge = try await claim(parts, EdgeRegister(database), holder)
        if let known, known.edge != edge.rawValue {
            throw ServerStartError("The folder \(parts.configuration.dataFolder) is that of another market's edge")
        }
        let look = try await waitForRules(parts, EdgeFeedStore(database))
        guard let rules = look.rules else { throw CancellationError() }
        let header = EdgeCopyHeader(
            edge: edge.rawValue, name: parts.configuration.name, holder: holder, mark: look.mark, rules: rules)
        // All of it: what is in the copy may be of a database that was restored since.
        try await parts.copy.save(look.changes, header, replacing: true)
        _ = parts.directory.merge(look.changes)
        let credits = try await MeterStore(parts.databases.forBatches()).credits(of: Array(parts.directory.deliveries))
        return Knowledge(
            header: header, rules: rules, credits: credits, watch: try await watch(parts, EdgeRegister(database)), isInContact: true)
    }

    /// Before anything is sold.
    private static func watch(_ parts: Parts, _ register: EdgeRegister) async throws -> ClockWatch {
        let (clock, reading) = (parts.clock, Reading())
        let time = try await register.time(sending: { reading.begin(clock) }, received: { reading.end() })
        let times = reading.times
        var watch = ClockWatch()
        _ = watch.compared(sent: times.sent, sentSteady: times.began, receivedSteady: times.ended, database: time)
        return watch
    }

    private static func claim(_ parts: Parts, _ register: EdgeRegister, _ holder: [UInt8]) async throws -> EdgeID {
        let name = parts.configuration.name
        switch try await register.claim(name, holder: holder) {
        case .granted(let edge): return edge
        case .taken(let silence):
            throw ServerStartError("""
                Another process serves as the edge '\(name)' (last sign of life \(silence.microseconds / 1_000_000) s ago): \
                stop it and wait \(EdgeRegister.lease.microseconds / 1_000_000) s, or give this one another --name
                """)
        }
    }

    /// Waits for the first server of the market, if there was none yet.
    private static func waitForRules(_ parts: Parts, _ feed: EdgeFeedStore) async throws -> EdgeFeedLook {
        var hasSaid = false
        while true {
            let look = try await feed.look(since: EdgeFeedMark())
            if look.rules != nil { return look }
            if !hasSaid { parts.logger.notice("waiting for a server of the market: there was none yet") }
            hasSaid = true
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private static func secret() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    private static func edgeConfiguration(_ parts: Parts, _ knowledge: Knowledge) throws -> EdgeConfiguration {
        let configuration = parts.configuration
        let edge = EdgeID(knowledge.header.edge)
        let logger = parts.logger
        let databases = parts.databases
        var settings = EdgeConfiguration(
            host: configuration.stratumHost, port: configuration.stratumPort, spoolPath: configuration.file("spool.sqlite"),
            edge: edge,
            allotEpoch: {
                let epoch = try await MeterStore(databases.forBatches()).allotEpoch(edge: edge, at: MarketService.systemClock())
                if epoch > 1 {
                    logger.warning("the spool is a new one: shares that an earlier one had not shipped are not billed")
                }
                return epoch
            })
        settings.limits.minerConnections = min(settings.limits.minerConnections, try DescriptorBudget.current().miners)
        settings.minimumDifficulty = knowledge.rules.minimumDifficulty
        settings.startDifficulty = knowledge.rules.startDifficulty
        settings.shareInterval = knowledge.rules.shareInterval
        settings.algorithm = knowledge.rules.algorithm
        settings.slices = SliceTimes(term: knowledge.rules.term)
        settings.allowPrivatePools = configuration.allowsPrivatePools
        configuration.transport.apply(to: &settings)
        // Others' deliveries wait for word of this edge, too.
        settings.spool.heartbeatAfterDelivery = .seconds(100 * 365 * 86_400)
        settings.spool.lastRetry = .seconds(2)
        return settings
    }
}
