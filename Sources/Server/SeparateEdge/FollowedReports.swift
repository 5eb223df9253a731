internal import Exchange
internal import Metering
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units

/// A separate edge's reports: they wait here for the database.
final class FollowedReports: EdgeReports {
    private struct State {
        var sessions = ReportedSessions()
        var queue = ReportQueue()
        var isSelling = true
        /// How far this clock is ahead of the database's.
        var ahead = Interval.zero
        /// Deliveries of rigs that came: another edge may have had work of theirs.
        var unknownCredits: Set<DeliveryID> = []

        mutating func online(_ rig: RigID, _ session: Int64, _ mask: UInt32, _ at: Timestamp) {
            guard isSelling else { return }
            queue.add(EdgeReport(at: at, kind: .rigOnline(rig, session: session, versionMask: mask)))
        }

        mutating func renew(at: Timestamp) {
            for session in sessions.renew(at: at) { online(session.rig, session.number, session.versionMask, at) }
        }
    }

    private let directory: FollowedDirectory
    private let edge: EdgeID
    private let clock: any WallClock
    private let state = Mutex(State())

    init(directory: FollowedDirectory, edge: EdgeID, clock: any WallClock) {
        self.directory = directory
        self.edge = edge
        self.clock = clock
    }

    // MARK: - The edge's side

    func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp) {
        let deliveries = directory.deliveries(on: rig)
        state.withLock { state in
            let at = at - state.ahead
            let number = state.sessions.begin(rig, own: session, versionMask: versionMask, at: at)
            state.online(rig, number, versionMask, at)
            state.unknownCredits.formUnion(deliveries)
        }
    }

    func rigOffline(_ rig: RigID, session: Int64, at: Timestamp) {
        state.withLock { state in
            guard let number = state.sessions.end(rig, own: session) else { return }
            state.queue.add(EdgeReport(at: at - state.ahead, kind: .rigOffline(rig, session: number)))
        }
    }

    func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp) {
        state.withLock { state in
            guard let number = state.sessions.number(of: rig, own: session) else { return }
            state.queue.add(EdgeReport(at: at - state.ahead, kind: .rigMeasured(rig, session: number, hashrate)))
        }
    }

    func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp) {
        _ = state.withLock { $0.queue.add(EdgeReport(at: at - $0.ahead, kind: .poolsUnusable(delivery, reason: reason))) }
    }

    func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp) {
        _ = state.withLock { $0.queue.add(EdgeReport(at: at - $0.ahead, kind: .underDelivered(delivery, hashrate))) }
    }

    func blockFound(_ block: FoundBlock) {
        state.withLock { state in
            _ = state.queue.add(EdgeReport(at: block.receivedAt - state.ahead, kind: .blockFound(BlockReport(block, edge: edge))))
        }
    }

    func blockJudged(_ hash: Hash256, _ reply: PoolReply, code: Int64) {
        let at = clock.now()
        state.withLock { state in
            _ = state.queue.add(EdgeReport(
                at: at - state.ahead, kind: .blockJudged(hash: hash.bytes, BlockVerdict(reply), poolError: code)))
        }
    }

    /// Asks for a farm's worker to be made a rig; false when too many are waiting.
    func workerCame(_ farm: FarmID, _ worker: String, request: Int64, at: Timestamp) -> Bool {
        state.withLock { state in
            state.queue.add(EdgeReport(at: at - state.ahead, kind: .workerCame(farm, worker: worker, request: request)))
        }
    }

    // MARK: - The database's side

    /// The edge starts: what an earlier process had is over.
    func started(at: Timestamp) {
        state.withLock { state in
            let at = at - state.ahead
            state.queue.add(EdgeReport(at: at, kind: .started(session: state.sessions.next(at: at))))
        }
    }

    func setClock(ahead: Interval) { state.withLock { $0.ahead = ahead } }

    /// Rigs of an edge that does not sell are away for the exchange.
    func setSelling(_ isSelling: Bool, at: Timestamp) {
        state.withLock { state in
            guard state.isSelling != isSelling else { return }
            state.isSelling = isSelling
            let at = at - state.ahead
            if isSelling { return state.renew(at: at) }
            for session in state.sessions.running {
                state.queue.add(EdgeReport(at: at, kind: .rigOffline(session.rig, session: session.number)))
            }
        }
    }

    /// The exchange has counted the rigs as away.
    func reportAgain(at: Timestamp) { state.withLock { $0.renew(at: at - $0.ahead) } }

    var connected: Int { state.withLock { $0.sessions.count } }
    var isEmpty: Bool { state.withLock { $0.queue.isEmpty } }

    func first(_ most: Int) -> ReportQueue.Part { state.withLock { $0.queue.first(most) } }
    func remove(_ part: ReportQueue.Part) { state.withLock { $0.queue.remove(part) } }

    func takeUnknownCredits() -> Set<DeliveryID> {
        state.withLock { state in
            defer { state.unknownCredits = [] }
            return state.unknownCredits
        }
    }

    func putBack(unknownCredits: Set<DeliveryID>) { state.withLock { $0.unknownCredits.formUnion(unknownCredits) } }
}
