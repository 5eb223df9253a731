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
        market.read { $0.rig(user: user) }.map {
            RigEntry(
                id: $0.id, user: $0.user, passwordHash: $0.passwordDigest, fallback: $0.fallback, owner: $0.owner)
        }
    }

    func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry? {
        market.read { $0.targets[id] }.map {
            PoolTargetEntry(id: $0.id, url: $0.url, user: $0.user, password: $0.password)
        }
    }
}

/// The embedded edge's reports, as commands. The writer stamps them with its own time.
struct CommandReports: EdgeReports {
    let writer: MarketWriter
    let edge: EdgeID

    func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp) {
        writer.post(.rigOnline(rig, edge: edge, session: session, versionMask: versionMask))
    }

    func rigOffline(_ rig: RigID, session: Int64, at: Timestamp) { writer.post(.rigOffline(rig, session: session)) }

    func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp) {
        writer.post(.rigMeasured(rig, session: session, hashrate))
    }

    func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp) {
        writer.post(.poolsUnusable(delivery, reason: reason))
    }

    func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp) {
        writer.post(.underDelivered(delivery, hashrate))
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
                    connectedSince: rig.connectedSince, switches: rig.switches))
            }, uniquingKeysWith: { first, _ in first })
    }
}
