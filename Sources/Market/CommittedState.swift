internal import Exchange
internal import Routing
internal import Synchronization
internal import Units

/// The state as of the last commit: what all current reads are served from.
final class CommittedState: Sendable {
    private struct Content {
        var state: MarketState
        /// The sequence of the last command in it.
        var position: Int64
    }

    private let content: Mutex<Content>

    /// - Parameter state: tracks its changes from here on
    init(_ state: MarketState, position: Int64) { content = Mutex(Content(state: state, position: position)) }

    func read<T>(_ body: (MarketState) -> T) -> T {
        // Leaves the lock only as what `body` made of a value.
        nonisolated(unsafe) var result: T?
        content.withLock { result = body($0.state) }
        return result!
    }

    var position: Int64 { content.withLock { $0.position } }

    /// For the writer to go on from.
    func copy() -> MarketState { content.withLock { $0.state.untracked() } }

    /// The routes of all rigs, as of one position.
    func routes() -> [RouteUpdate] {
        content.withLock { content in
            content.state.rigs.keys.sorted().map {
                RouteUpdate(
                    rig: $0, position: content.position, route: MarketRoutes.route(of: $0, in: content.state))
            }
        }
    }

    /// Brings in a committed batch; returns what changed and the routes of the rigs it moved.
    ///
    /// - Parameter at: time of the batch
    func publish(
        _ commands: [JournalledCommand], position: Int64, at: Timestamp
    ) -> (changes: StateChanges, routes: [RouteUpdate]) {
        content.withLock { content in
            var moved: Set<RigID> = []
            for command in commands {
                for event in command.events {
                    // Before the event: a delivery can end and be closed in one batch.
                    moved.formUnion(MarketRoutes.rigs(movedBy: event, in: content.state))
                    content.state.evolve(event)
                }
            }
            // The writer's exchange has fired them; here nobody does.
            content.state.dropTimers(before: at)
            content.position = position
            let routes = moved.sorted().map {
                RouteUpdate(rig: $0, position: position, route: MarketRoutes.route(of: $0, in: content.state))
            }
            return (content.state.takeChanges(), routes)
        }
    }
}

/// Routes, as the committed state implies them.
enum MarketRoutes {
    /// The rigs whose routes an event may change.
    static func rigs(movedBy event: Event, in state: MarketState) -> [RigID] {
        switch event {
        case .deliveryOpened(let delivery): [delivery.rig]
        case .deliveryEnded(let id, _, _): state.deliveries[id].map { [$0.rig] } ?? []
        case .rigOnline(let rig, _, _, _): [rig]
        case .orderAmended(let order): order.bid == nil ? [] : rigs(of: order.id, in: state)
        case .poolTargetChanged(let target, _): rigs(using: target, in: state)
        case .marketDefined, .entryPosted, .poolTargetCreated, .rigRegistered, .rigOffline, .rigMeasured, .orderPlaced,
            .askOffered, .orderSuspended, .orderResumed, .orderStamped, .orderClosed, .lineSettled, .deliveryClosed,
            .answerRecorded, .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged, .indexPublished, .farmCreated,
            .rigAssigned, .farmOffered, .silenceSet, .holdReleased:
            []
        }
    }

    private static func rigs(of bid: OrderID, in state: MarketState) -> [RigID] {
        state.deliveries(of: bid).filter(\.isRunning).map(\.rig)
    }

    /// Those that work for a buyer who names this pool. O(deliveries)
    private static func rigs(using target: PoolTargetID, in state: MarketState) -> [RigID] {
        guard let owner = state.targets[target]?.owner else { return [] }
        return state.deliveries.values.filter {
            $0.isRunning && $0.buyer == owner && state.orders[$0.bid]?.bid?.targets.contains(target) == true
        }.map(\.rig)
    }

    static func route(of id: RigID, in state: MarketState) -> Route? {
        guard let rig = state.rigs[id], let delivery = state.deliveries(on: id).first,
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
