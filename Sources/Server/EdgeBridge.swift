internal import Exchange
internal import Market
internal import Metering
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units

/// What the embedded edge looks up: the committed state.
struct CommittedDirectory: EdgeDirectory {
    let market: any MarketGateway

    func rig(user: String) -> RigEntry? {
        market.read { state in state.rig(user: user).map { (rig: $0, isCut: state.cuts.contains($0.id)) } }.map {
            RigEntry(
                id: $0.rig.id, user: $0.rig.user, passwordHash: $0.rig.passwordDigest, fallback: $0.rig.fallback,
                owner: $0.rig.owner, isCurtailed: $0.isCut)
        }
    }

    func farm(user: String) -> FarmEntry? {
        market.read { $0.farmLogin(user: user) }.map { FarmEntry(id: $0.farm, user: $0.user, passwordHash: $0.passwordDigest) }
    }

    func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry? {
        market.read { $0.targets[id] }.map {
            PoolTargetEntry(id: $0.id, url: $0.url, user: $0.user, password: $0.password)
        }
    }
}

/// The embedded edge's reports, as commands. The writer stamps them with its own time.
final class CommandReports: EdgeReports {
    private let writer: MarketWriter
    private let edge: EdgeID
    /// Called before anything can be sold on a rig that came.
    private let onArrival: @Sendable (RigID, Timestamp) -> Void
    private let sessions = Mutex(ReportedSessions())

    init(writer: MarketWriter, edge: EdgeID, onArrival: @escaping @Sendable (RigID, Timestamp) -> Void) {
        self.writer = writer
        self.edge = edge
        self.onArrival = onArrival
    }

    func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp) {
        let known = writer.read { $0.rigs[rig]?.lastSession } ?? 0
        let number = sessions.withLock { sessions in
            sessions.begin(rig, own: session, versionMask: versionMask, at: at, beyond: known)
        }
        onArrival(rig, at)
        writer.post(.rigOnline(rig, edge: edge, session: number, versionMask: versionMask))
    }

    func rigOffline(_ rig: RigID, session: Int64, at: Timestamp) {
        guard let number = sessions.withLock({ $0.end(rig, own: session) }) else { return }
        writer.post(.rigOffline(rig, session: number))
    }

    func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp) {
        guard let number = sessions.withLock({ $0.number(of: rig, own: session) }) else { return }
        writer.post(.rigMeasured(rig, session: number, hashrate))
    }

    func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp) {
        writer.post(.poolsUnusable(delivery, reason: reason))
    }

    func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp) {
        writer.post(.underDelivered(delivery, hashrate))
    }

    func blockFound(_ block: FoundBlock) {
        writer.post(.blockFound(BlockReport(block, edge: edge)))
    }

    func blockJudged(_ hash: Hash256, _ reply: PoolReply, code: Int64) {
        writer.post(.blockJudged(hash.bytes, BlockVerdict(reply), poolError: code))
    }
}

extension BlockReport {
    init(_ block: FoundBlock, edge: EdgeID) {
        self.init(
            edge: edge, receivedAt: block.receivedAt, rig: block.rig, delivery: block.delivery, target: block.target,
            hash: block.hash.bytes, header: block.header, poolJob: block.poolJob, isForwarded: block.isForwarded)
    }
}

extension BlockVerdict {
    init(_ reply: PoolReply) {
        self =
            switch reply {
            case .accepted: .accepted
            case .rejected: .rejected
            case .unanswered: .unanswered
            }
    }
}

/// Workers of farms become rigs by commands; the edge hears of it after the commit.
struct CommandRegistrar: EdgeRegistrar {
    let writer: MarketWriter

    func register(farm: FarmID, worker: String, answer: @escaping @Sendable (WorkerRegistration) -> Void) {
        writer.submit(CommandEnvelope(.fleet(.registerWorker(farm, worker: worker)))) { result in
            switch result {
            case .success(.rejected(let rejection)): answer(.refused(rejection.explanation))
            case .success: answer(.registered)
            case .failure: answer(.busy)
            }
        }
    }
}

/// Sealed batches straight into the database.
struct MeterSink: BatchSink {
    let meter: MeterStore

    func deliver(_ batch: SealedBatch, encoded: [UInt8], digest: [UInt8]) async throws {
        try await meter.apply(batch, digest: digest)
    }
}

/// The embedded edge's live figures for the API.
struct EmbeddedLiveEdge: LiveEdge {
    let edge: Edge
    let market: any MarketGateway
    let stratumURL: String

    func deliveries() async -> [DeliveryID: LiveDelivery] {
        var result: [DeliveryID: LiveDelivery] = [:]
        for rig in await edge.snapshot()?.rigs ?? [] {
            for slice in rig.slices { result[slice.delivery] = LiveDelivery(hashrate: slice.hashrate1Minute) }
        }
        return result
    }

    func status() async -> EdgeStatus {
        EdgeStatus(
            edge: Server.edgeID, name: "embedded", isEmbedded: true, stratumURL: stratumURL, version: EdgeContact.version,
            rigs: Int64(await edge.snapshot()?.rigs.count { $0.isOnline } ?? 0), silence: .zero, clockAhead: nil, isSelling: true,
            backlog: Int64(await edge.backlog()))
    }

    func rigs() async -> [RigID: LiveRig] {
        guard let snapshot = await edge.snapshot() else { return [:] }
        let urls = market.read { state in
            Dictionary(
                snapshot.rigs.compactMap { rig in rig.target.flatMap { id in state.targets[id].map { (id, $0.url) } } },
                uniquingKeysWith: { first, _ in first })
        }
        return Dictionary(
            snapshot.rigs.map { rig in
                (rig.rig, LiveRig(
                    hashrate: rig.hashrate1Minute, pool: rig.target.flatMap { urls[$0] }, userAgent: rig.userAgent,
                    connectedSince: rig.connectedSince, switches: rig.switches, figures: LiveFigures(rig)))
            }, uniquingKeysWith: { first, _ in first })
    }
}

extension LiveFigures {
    init(_ rig: RigSnapshot) {
        let figures = rig.figures
        self.init(
            hashrate5Minutes: rig.hashrate5Minutes, hashrate60Minutes: figures.hashrate60Minutes,
            hashrate24Hours: figures.hashrate24Hours, online24Hours: figures.online24Hours, bestUnits: figures.bestUnits,
            valid: rig.shares.valid, stale: rig.shares.stale, duplicate: rig.shares.duplicate,
            lowDifficulty: rig.shares.lowDifficulty, invalid: rig.shares.invalid, notKept: rig.shares.notKept,
            blocks: rig.shares.blocks,
            firmware: FirmwareFigures(userAgent: figures.userAgent, accepted: figures.accepted, rejects: figures.rejects))
    }
}
