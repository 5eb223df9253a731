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
    /// Work that is billed beyond what the time that has passed pays for: a part of a rig is served ahead by so much.
    public var allowance: Work

    public init(
        delivery: DeliveryID, bid: OrderID, targets: [PoolTargetID], validUntil: Timestamp, maxWork: Work,
        maxDifficulty: ShareDifficulty, hashrate: Hashrate, allowance: Work = .zero
    ) {
        self.delivery = delivery
        self.bid = bid
        self.targets = targets
        self.validUntil = validUntil
        self.maxWork = maxWork
        self.maxDifficulty = maxDifficulty
        self.hashrate = hashrate
        self.allowance = allowance
    }
}

/// A rig's routes as of a position in the journal; edges ignore positions they are past.
public struct RouteUpdate: Hashable, Sendable {
    public var rig: RigID
    public var position: Int64
    /// One for each running delivery on the rig, by id. None: the rig is unsold and works for its fallback pool.
    public var routes: [Route]
    /// What of a partly sold rig's hashrate goes to its fallback pool; 0 when the rest is not worth a slice.
    public var unsold: Hashrate

    public init(rig: RigID, position: Int64, routes: [Route], unsold: Hashrate = Hashrate(hashesPerSecond: 0)) {
        self.rig = rig
        self.position = position
        self.routes = routes
        self.unsold = unsold
    }

    /// Of a rig that is sold whole, or not at all.
    public init(rig: RigID, position: Int64, route: Route?) {
        self.init(rig: rig, position: position, routes: route.map { [$0] } ?? [])
    }
}
