internal import Exchange
internal import Routing
internal import Synchronization
internal import Units

/// The state as of the last commit: what all current reads are served from.
final class CommittedState: Sendable {
    private let state: Mutex<MarketState>

    /// - Parameter state: tracks its changes from here on
    init(_ state: MarketState) { self.state = Mutex(state) }

    func read<T>(_ body: (MarketState) -> T) -> T {
        nonisolated(unsafe) var result: T?
        state.withLock { result = body($0) }
        return result!
    }

    /// For the writer to go on from.
    func copy() -> MarketState { state.withLock { $0.untracked() } }

    /// Brings in a committed batch; returns what changed and the routes of the rigs it moved.
    func publish(_ commands: [JournalledCommand], position: Int64) -> (changes: StateChanges, routes: [RouteUpdate]) {
        state.withLock { state in
            for command in commands { for event in command.events { state.evolve(event) } }
            let routes = MarketRoutes.updates(for: commands, in: state, position: position)
            return (state.takeChanges(), routes)
        }
    }
}

/// Routes, as the committed state implies them.
enum MarketRoutes {
    /// The present routes of all rigs whose delivery began or ended.
    static func updates(for commands: [JournalledCommand], in state: MarketState, position: Int64) -> [RouteUpdate] {
        var rigs: Set<RigID> = []
        for command in commands {
            for event in command.events {
                switch event {
                case .deliveryOpened(let delivery): rigs.insert(delivery.rig)
                case .deliveryEnded(let id, _, _): if let rig = state.deliveries[id]?.rig { rigs.insert(rig) }
                case .rigOnline(let rig, _, _, _): rigs.insert(rig)
                default: break
                }
            }
        }
        return rigs.sorted().map { RouteUpdate(rig: $0, position: position, route: route(of: $0, in: state)) }
    }

    static func all(in state: MarketState, position: Int64) -> [RouteUpdate] {
        state.rigs.keys.sorted().map { RouteUpdate(rig: $0, position: position, route: route(of: $0, in: state)) }
    }

    static func route(of id: RigID, in state: MarketState) -> Route? {
        guard let rig = state.rigs[id], let running = rig.delivery, let delivery = state.deliveries[running],
            let bid = state.orders[delivery.bid]?.bid
        else { return nil }
        let mask: UInt32 = if case .online(_, _, let mask) = rig.presence { mask } else { 0 }
        let targets = state.usable(bid.targets, versionMask: mask)
        guard !targets.isEmpty else { return nil }
        return Route(
            delivery: delivery.id, bid: delivery.bid, targets: targets, validUntil: delivery.expiresAt,
            maxWork: delivery.maxWork, maxDifficulty: delivery.maxDifficulty, hashrate: delivery.hashrate)
    }
}
