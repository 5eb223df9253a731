internal import Database
internal import Exchange
internal import Logging
internal import Market
internal import Store
internal import Synchronization
internal import Units

/// A server's side of edges in processes of their own; on SQLite there are none.
struct EdgeDesk: Sendable {
    private let configuration: ServerConfiguration
    private let writer: MarketWriter
    private let logger: Logger
    private let arrivals = Arrivals()
    /// Connections of its own: routes do not wait for settlement and projection.
    private let database: Database?

    /// Rigs that came to the edge inside of this server, on their way to the intake.
    private final class Arrivals: Sendable {
        private let state = Mutex((intake: EdgeIntake?.none, early: [RigID: Timestamp]()))

        func note(_ rig: RigID, _ at: Timestamp) {
            let intake = state.withLock { state in
                if state.intake == nil { state.early[rig] = at }
                return state.intake
            }
            intake?.note(rig, at: at)
        }

        func connect(_ intake: EdgeIntake) {
            let early = state.withLock { state in
                state.intake = intake
                defer { state.early = [:] }
                return state.early
            }
            for (rig, at) in early { intake.note(rig, at: at) }
        }
    }

    init(
        _ configuration: ServerConfiguration, _ database: Database, _ writer: MarketWriter, _ logger: Logger
    ) async throws {
        self.configuration = configuration
        self.writer = writer
        self.logger = logger
        switch configuration.tablesLocation.dialect {
        case .sqlite: self.database = nil
        case .postgres:
            self.database = try await Database.open(configuration.tablesLocation, configuration: .init(readers: 1))
            // Of an earlier process; before they are counted as away.
            let rigs = writer.read { state in
                state.rigs.values.compactMap { rig -> RigID? in
                    guard case .online(Server.edgeID, _, _) = rig.presence else { return nil }
                    return rig.id
                }
            }
            let now = MarketService.systemClock()
            for rig in rigs { arrivals.note(rig, now) }
        }
    }

    /// A rig came to the edge inside of this server.
    var noteArrival: @Sendable (RigID, Timestamp) -> Void {
        guard database != nil else { return { _, _ in } }
        return { [arrivals] rig, at in arrivals.note(rig, at) }
    }

    func live(_ embedded: EmbeddedLiveEdge?) -> LiveEdges {
        LiveEdges(
            embedded: embedded, register: database.map { EdgeRegister($0) }, publicURL: configuration.publicStratumURL,
            logger: logger)
    }

    /// Tells edges what is committed and takes their reports, until the tasks are cancelled.
    func work(_ live: LiveEdges) -> [Task<Void, Never>] {
        guard let database else { return [] }
        let rules = writer.read { $0.rules } ?? configuration.rules
        let publisher = EdgePublisher(
            store: EdgeFeedStore(database), writer: writer,
            rules: EdgeRules(
                minimumDifficulty: rules.minimumDifficulty, startDifficulty: Server.startDifficulty(rules),
                shareInterval: rules.shareInterval, algorithm: rules.algorithm, term: rules.term), logger: logger)
        let intake = EdgeIntake(
            reports: EdgeReportStore(database), register: EdgeRegister(database), writer: writer, live: live, logger: logger,
            longestSilence: configuration.longestEdgeSilence)
        arrivals.connect(intake)
        return [
            Task {
                await withDiscardingTaskGroup { group in
                    group.addTask { await publisher.run() }
                    group.addTask { await intake.run() }
                }
                await database.close()
            },
        ]
    }
}
