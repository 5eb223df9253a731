public import Units

/// What a sold rig is to do, as the exchange tells its edge.
public struct Route: Hashable, Sendable {
    public var delivery: DeliveryID
    public var bid: OrderID
    /// The bid's verified pool targets that can take the rig, in the buyer's order; never empty.
    public var targets: [PoolTargetID]
    /// The rig works for the targets only before this time; then it falls back.
    public var validUntil: Timestamp
    /// The rig works for the targets only until it has been credited this much for the delivery; then it falls back.
    public var maxWork: Work
    /// The highest difficulty that may be assigned with a job of this delivery.
    public var maxDifficulty: ShareDifficulty
    /// What the rig has sold: its lots as a hashrate.
    public var hashrate: Hashrate

    public init(
        delivery: DeliveryID, bid: OrderID, targets: [PoolTargetID], validUntil: Timestamp, maxWork: Work,
        maxDifficulty: ShareDifficulty, hashrate: Hashrate
    ) {
        self.delivery = delivery
        self.bid = bid
        self.targets = targets
        self.validUntil = validUntil
        self.maxWork = maxWork
        self.maxDifficulty = maxDifficulty
        self.hashrate = hashrate
    }
}

/// A rig's route as of a position in the journal; edges ignore positions they are past.
public struct RouteUpdate: Hashable, Sendable {
    public var rig: RigID
    public var position: Int64
    /// nil: the rig is unsold and works for its fallback pool.
    public var route: Route?

    public init(rig: RigID, position: Int64, route: Route?) {
        self.rig = rig
        self.position = position
        self.route = route
    }
}

/// What a rig should work for now.
public enum Destination: Hashable, Sendable {
    case delivery(DeliveryID, target: PoolTargetID)
    case fallback
}

/// One rig's routing, kept by its edge: which pool target it works for, and since when a delivery is over.
///
/// Pure: health of targets, time and credited work come in as arguments.
public struct RigRoute: Sendable {
    /// Work on jobs sent before the edge learned of a delivery's end counts for this long after it.
    public static let grace = Interval.seconds(5)

    public private(set) var route: Route?
    private var position: Int64 = 0
    private var credited: Work = .zero
    private var ended: [(delivery: DeliveryID, at: Timestamp)] = []

    public init() {}

    /// Takes a newer route; false if `update` is older than what is known.
    ///
    /// - Parameter now: when the edge learned of it: the end of the delivery that it replaces.
    @discardableResult
    public mutating func apply(_ update: RouteUpdate, now: Timestamp) -> Bool {
        guard update.position > position || (position == 0 && update.position == 0) else { return false }
        position = update.position
        if let old = route, old.delivery != update.route?.delivery { end(old.delivery, at: now) }
        if route?.delivery != update.route?.delivery { credited = .zero }
        route = update.route
        return true
    }

    /// Adds verified billable work of the running delivery.
    public mutating func credit(_ work: Work, delivery: DeliveryID) {
        if route?.delivery == delivery { credited += work }
    }

    /// Restores what was credited before a restart.
    public mutating func restoreCredit(_ work: Work, delivery: DeliveryID) {
        if route?.delivery == delivery { credited = max(credited, work) }
    }

    /// Where the rig should work: the first healthy target of a route in force, else the fallback pool.
    public func destination(now: Timestamp, isHealthy: (PoolTargetID) -> Bool) -> Destination {
        guard let route = routeInForce(now: now) else { return .fallback }
        guard let target = route.targets.first(where: isHealthy) else { return .fallback }
        return .delivery(route.delivery, target: target)
    }

    /// The route, unless its time or its work is used up.
    public func routeInForce(now: Timestamp) -> Route? {
        guard let route, now < route.validUntil, credited < route.maxWork else { return nil }
        return route
    }

    /// Whether valid work for `delivery`, received now, counts towards its bill.
    public func isBillable(_ delivery: DeliveryID, now: Timestamp) -> Bool {
        if let route, route.delivery == delivery {
            return now < route.validUntil + RigRoute.grace && credited < route.maxWork
        }
        guard let end = ended.last(where: { $0.delivery == delivery }) else { return false }
        return now < end.at + RigRoute.grace
    }

    /// A delivery that has all its work already gets no grace.
    private mutating func end(_ delivery: DeliveryID, at now: Timestamp) {
        if let route, credited >= route.maxWork { return }
        let at = route.map { min($0.validUntil, now) } ?? now
        ended.append((delivery, at))
        if ended.count > 8 { ended.removeFirst() }
    }
}
