internal import Exchange
internal import Routing
internal import Synchronization
internal import Units

/// The state as of the last commit: what all current reads are served from, and what the projector takes from.
final class CommittedState: Sendable {
    private struct Content {
        var state: MarketState
        /// The sequence of the last command in it.
        var position: Int64
        /// Time of the last batch, and the state's hash after it.
        var at: Timestamp
        var stateHash: UInt64
        /// What was added since the projector took its last changes.
        var appended = Appended()
    }

    private let content: Mutex<Content>
    /// Held while a batch is brought in, in parts between which there are reads: the projector wants whole batches.
    private let batch = Mutex(())
    private let lastPosition: Atomic<Int64>
    /// Whether commits are noted for streams.
    let isFollowed = Atomic(false)

    /// - Parameter state: tracks its changes from here on
    init(_ state: MarketState, position: Int64, at: Timestamp, stateHash: UInt64) {
        content = Mutex(Content(state: state, position: position, at: at, stateHash: stateHash))
        lastPosition = Atomic(position)
    }

    func read<T>(_ body: (MarketState) -> T) -> T {
        // Leaves the lock only as what `body` made of a value.
        nonisolated(unsafe) var result: T?
        content.withLock { result = body($0.state) }
        return result!
    }

    /// Between two batches, with the position.
    func readWhole<T>(_ body: (MarketState, Int64) -> T) -> T {
        nonisolated(unsafe) var result: T?
        batch.withLock { _ in content.withLock { result = body($0.state, $0.position) } }
        return result!
    }

    var position: Int64 { lastPosition.load(ordering: .acquiring) }

    /// For the writer to go on from, with the time of the last command.
    func copy() -> (state: MarketState, at: Timestamp) { content.withLock { ($0.state.untracked(), $0.at) } }

    /// The routes of all rigs, as of one position.
    func routes() -> [RouteUpdate] {
        content.withLock { content in
            content.state.rigs.keys.sorted().map { MarketRoutes.update(of: $0, in: content.state, at: content.position) }
        }
    }

    /// Brings in a committed batch; returns what edges need to know of it.
    func publish(_ commands: [JournalledCommand], _ row: JournalRow) -> CommitNews {
        batch.withLock { _ in
            var moved: Set<RigID> = []
            var news = CommitNews()
            if isFollowed.load(ordering: .acquiring) { news.feed = FeedNews() }
            for start in stride(from: 0, to: commands.count, by: CommittedState.commandsAtOnce) {
                let part = commands[start..<min(start + CommittedState.commandsAtOnce, commands.count)]
                content.withLock { CommittedState.evolve(&$0.state, part, &moved, &news) }
            }
            news.feed?.close(at: row.last)
            let added = Appended(commands, first: row.first)
            return content.withLock { content in
                // The writer's exchange has fired them; here nobody does.
                content.state.dropTimers(before: row.at)
                content.position = row.last
                content.at = row.at
                content.stateHash = row.stateHash
                content.appended.entries += added.entries
                lastPosition.store(row.last, ordering: .releasing)
                news.routes = moved.sorted().map { MarketRoutes.update(of: $0, in: content.state, at: row.last) }
                return news
            }
        }
    }

    /// Readers wait for so many commands at most.
    private static let commandsAtOnce = 256

    private static func evolve(
        _ state: inout MarketState, _ commands: ArraySlice<JournalledCommand>, _ moved: inout Set<RigID>, _ news: inout CommitNews
    ) {
        for command in commands {
            for event in command.events {
                // Before the event: a delivery can end and be closed in one batch.
                MarketRoutes.addRigs(movedBy: event, in: state, to: &moved)
                news.note(event, in: state)
                state.evolve(event)
            }
        }
    }

    /// Everything since a position, up to the last commit; nil when there is nothing. One caller at a time.
    func projection(after previous: Int64) -> Projection? {
        let frozen: Projection? = batch.withLock { _ in
            content.withLock { content in
                guard content.position > previous else { return nil }
                defer { content.appended = Appended() }
                return Projection(
                    previous: previous, last: content.position, at: content.at, rulesVersion: JournalBody.rulesVersion,
                    stateHash: content.stateHash, changes: content.state.freezeChanges(), appended: content.appended)
            }
        }
        guard var projection = frozen else { return nil }
        while content.withLock({ !$0.state.takeFrozen(CommittedState.imagesAtOnce, into: &projection.changes) }) {}
        return projection
    }

    private static let imagesAtOnce = 512
}

/// Routes, as the committed state implies them.
enum MarketRoutes {
    /// The rigs whose routes an event may change.
    static func addRigs(movedBy event: Event, in state: MarketState, to moved: inout Set<RigID>) {
        switch event {
        case .deliveryOpened(let delivery): moved.insert(delivery.rig)
        case .deliveryEnded(let id, _, _): if let rig = state.deliveries[id]?.rig { moved.insert(rig) }
        case .rigOnline(let rig, _, _, _): moved.insert(rig)
        // How much of a rig is unsold.
        case .rigMeasured(let rig, _): if !state.deliveries(on: rig).isEmpty { moved.insert(rig) }
        case .orderAmended(let order): if order.bid != nil { moved.formUnion(rigs(of: order.id, in: state)) }
        case .poolTargetChanged(let target, _): moved.formUnion(rigs(using: target, in: state))
        case .marketDefined, .entryPosted, .poolTargetCreated, .rigRegistered, .rigOffline, .orderPlaced,
            .askOffered, .orderSuspended, .orderResumed, .orderStamped, .orderClosed, .lineSettled, .deliveryClosed,
            .answerRecorded, .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged, .indexPublished, .farmCreated,
            .rigAssigned, .farmOffered, .silenceSet, .holdReleased, .fleet, .blockFound, .blockJudged, .books,
            .treasury:
            break
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

    /// All that edges need to know of a rig, as of a position.
    static func update(of id: RigID, in state: MarketState, at position: Int64) -> RouteUpdate {
        let routes = state.rigs[id].map { self.routes(of: $0, in: state) } ?? []
        return RouteUpdate(rig: id, position: position, routes: routes, unsold: unsold(id, beside: routes, in: state))
    }

    private static func routes(of rig: Rig, in state: MarketState) -> [Route] {
        return state.deliveries(on: rig.id).compactMap { delivery in
            let named = state.orders[delivery.bid]?.bid?.targets ?? []
            // A rig that is away for a moment keeps its routes, whatever it will be able to do.
            let targets = if case .online(_, _, let mask) = rig.presence {
                state.usable(named, versionMask: mask)
            } else {
                named.filter { target in
                    if case .verified? = state.targets[target]?.status { true } else { false }
                }
            }
            guard !targets.isEmpty else { return nil }
            return Route(
                delivery: delivery.id, bid: delivery.bid, targets: targets, validUntil: delivery.expiresAt,
                maxWork: delivery.maxWork(algorithm: state.algorithm), maxDifficulty: delivery.maxDifficulty, hashrate: delivery.hashrate,
                allowance: delivery.allowance)
        }
    }

    /// What of a rig's measured hashrate is not sold; none of a rig that is not sold, or only whole, or but for a rest of
    /// less than a lot or a hundredth.
    private static func unsold(_ id: RigID, beside routes: [Route], in state: MarketState) -> Hashrate {
        guard !routes.isEmpty, let rules = state.rules, rules.smallestSlice < MarketRules.wholeRig,
            let measured = state.rigs[id]?.measured.hashesPerSecond
        else { return Hashrate(hashesPerSecond: 0) }
        let rest = routes.reduce(measured) { $0 - min($0, $1.hashrate.hashesPerSecond) }
        let isWorth = rest >= max(rules.lot.hashesPerSecond, measured / 100)
        return Hashrate(hashesPerSecond: isWorth ? rest : 0)
    }
}
