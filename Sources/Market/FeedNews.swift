public import Exchange
internal import Settlement
public import Units

/// What the streams of the API need to know of commits: fills, and whose image changed.
///
/// Images are read from the committed state when they are published; only the last ones of what leaves the state come along.
public struct FeedNews: Sendable {
    /// More changed entities than this are not listed one by one: ``isOverfull``.
    public static let mostChanged = 262_144

    /// The last command of the last commit in it.
    public private(set) var last: Int64 = 0
    /// Fills, by the number of their delivery.
    public private(set) var trades: [Trade] = []
    public private(set) var orders: Set<OrderID> = []
    public private(set) var deliveries: Set<DeliveryID> = []
    public private(set) var rigs: Set<RigID> = []
    /// Last images of orders that are over; some of them may still be in the state, with a newer image.
    public private(set) var lastOrders: [OrderID: Order] = [:]
    /// Last images of deliveries that are settled to the end.
    public private(set) var lastDeliveries: [DeliveryID: Delivery] = [:]
    /// So much changed that the sets are no longer complete.
    public private(set) var isOverfull = false

    public init() {}

    /// Adds a later commit's.
    public mutating func merge(_ later: FeedNews) {
        last = max(last, later.last)
        trades += later.trades
        orders.formUnion(later.orders)
        deliveries.formUnion(later.deliveries)
        rigs.formUnion(later.rigs)
        lastOrders.merge(later.lastOrders) { $1 }
        lastDeliveries.merge(later.lastDeliveries) { $1 }
        isOverfull = isOverfull || later.isOverfull
        guard orders.count + deliveries.count + rigs.count > FeedNews.mostChanged else { return }
        isOverfull = true
        (orders, deliveries, rigs, lastOrders, lastDeliveries) = ([], [], [], [:], [:])
    }

    /// The commit is complete; its last command is `position`.
    public mutating func close(at position: Int64) { last = position }

    /// Notes what an event changes.
    ///
    /// - Parameter state: before the event
    public mutating func note(_ event: Event, in state: MarketState) {
        switch event {
        case .orderPlaced(let order):
            orders.insert(order.id)
            // The rig has a live ask now.
            if let ask = order.ask { rigs.insert(ask.rig) }
        case .orderAmended(let order): orders.insert(order.id)
        case .askOffered(let id, _), .orderSuspended(let id, _), .orderResumed(let id, _), .orderStamped(let id, _):
            orders.insert(id)
        case .ordersRepriced(let repricings): for repricing in repricings { orders.insert(repricing.order) }
        case .orderClosed(let id, let reason):
            orders.insert(id)
            guard var order = state.orders[id] else { return }
            order.status = .closed(reason)
            lastOrders[id] = order
            if let ask = order.ask { rigs.insert(ask.rig) }
        case .deliveryOpened(let delivery):
            trades.append(Trade(delivery))
            note(delivery)
        case .deliveryEnded(let id, _, _): if let delivery = state.deliveries[id] { note(delivery) }
        case .lineSettled(let line):
            deliveries.insert(line.delivery)
            if let bid = state.deliveries[line.delivery]?.bid { orders.insert(bid) }
        case .holdReleased(let id): deliveries.insert(id)
        case .deliveryClosed(let id): noteClosed(id, in: state)
        case .books(.reopened(let closed)): for one in closed { note(one.delivery) }
        case .rigRegistered(let rig): rigs.insert(rig.id)
        case .rigOnline(let id, _, _, _), .rigOffline(let id, _), .rigMeasured(let id, _), .rigAssigned(let id, _): rigs.insert(id)
        case .fleet(.rigsCut(_, let cut)): rigs.formUnion(cut)
        case .fleet(.rigsReadmitted(_, let back)): rigs.formUnion(back)
        case .fleet(.loginSet), .fleet(.curtailed), .fleet(.curtailmentEnded), .fleet(.returnsPlanned), .marketDefined, .entryPosted,
            .poolTargetCreated, .poolTargetChanged, .answerRecorded, .phaseChanged, .rulesScheduled, .rulesChanged, .indexPublished,
            .farmCreated, .farmOffered, .silenceSet, .blockFound, .blockJudged, .books(.periodClosed), .treasury:
            break
        }
    }

    private mutating func note(_ delivery: Delivery) {
        deliveries.insert(delivery.id)
        orders.insert(delivery.bid)
        orders.insert(delivery.ask)
        rigs.insert(delivery.rig)
    }

    /// It leaves the state, and closed orders may with it.
    private mutating func noteClosed(_ id: DeliveryID, in state: MarketState) {
        guard var delivery = state.deliveries[id] else { return }
        deliveries.insert(id)
        // What was left of the hold has gone back.
        delivery.held = .zero
        lastDeliveries[id] = delivery
        for order in [delivery.bid, delivery.ask] {
            guard var last = state.orders[order], !last.isAlive else { continue }
            last.unsettled -= 1
            lastOrders[order] = last
        }
    }
}

/// Where streams learn of commits.
public protocol MarketFeed: Sendable {
    /// The sequence of the last command that is committed and published.
    var position: Int64 { get }

    /// Looks at the committed state between two commits, with the sequence of its last command. `body` must be short: it holds up
    /// the publication of the next commit.
    func committed<T>(_ body: (MarketState, Int64) -> T) -> T

    /// From now on `body` hears of every commit, in order; on a thread of the market's: it must not block.
    func onFeed(_ body: @escaping @Sendable (FeedNews) -> Void)
}
