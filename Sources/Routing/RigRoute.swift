public import Units

/// One rig's routing, kept by its edge: whom it works for, and since when deliveries are over.
///
/// A rig that is sold whole works for its buyer all the time; one that is sold in parts works in slices. Pure: whose pools
/// can be used, time and metered work come in as arguments.
public struct RigRoute: Sendable {
    /// Work on jobs sent before the edge learned of a delivery's end counts for this long after it.
    public static let grace = Interval.seconds(5)
    /// A rig whose delivery's time is over stays where it is for so long: it may be renewed, and need not switch.
    public static let linger = Interval.milliseconds(300)

    /// Of the running deliveries, by id.
    public private(set) var routes: [Route] = []
    /// What of a partly sold rig goes to the fallback pool.
    public private(set) var unsold = Hashrate(hashesPerSecond: 0)
    private let times: SliceTimes
    private let algorithm: Algorithm
    private var position: Int64 = 0
    private var credited: [DeliveryID: Work] = [:]
    private var ended: [(delivery: DeliveryID, at: Timestamp)] = []
    /// Of a rig that is shared.
    private var slicer: Slicer?

    /// Deliveries of one rig whose grace is remembered after their end.
    private static let endsRemembered = 64

    public init(_ times: SliceTimes = SliceTimes(), algorithm: Algorithm = .sha256d) {
        self.times = times
        self.algorithm = algorithm
    }

    // MARK: routes

    /// Takes newer routes; false if `update` is older than what is known.
    ///
    /// - Parameter now: when the edge learned of it: the end of the deliveries that are in it no more.
    @discardableResult
    public mutating func apply(_ update: RouteUpdate, now: Timestamp) -> Bool {
        guard update.position > position || (position == 0 && update.position == 0) else { return false }
        position = update.position
        let known = Set(routes.map(\.delivery)), running = Set(update.routes.map(\.delivery))
        let over = routes.filter { !running.contains($0.delivery) }
        var opened = update.routes.filter { !known.contains($0.delivery) }
        for old in over {
            end(old, at: now)
            guard let next = opened.firstIndex(where: { $0.bid == old.bid }) else { continue }
            slicer?.renew(.delivery(old.delivery), as: .delivery(opened.remove(at: next).delivery))
        }
        credited = credited.filter { running.contains($0.key) }
        routes = update.routes.sorted { $0.delivery < $1.delivery }
        unsold = update.unsold
        refreshSlicer(now: now)
        return true
    }

    /// A delivery that has all its work already gets no grace.
    private mutating func end(_ route: Route, at now: Timestamp) {
        if credit(of: route.delivery) >= route.maxWork { return }
        ended.append((route.delivery, min(route.validUntil, now)))
        if ended.count > RigRoute.endsRemembered { ended.removeFirst() }
    }

    public func route(of delivery: DeliveryID) -> Route? { routes.first { $0.delivery == delivery } }

    /// The route of a delivery, unless its time or its work is used up.
    public func routeInForce(_ delivery: DeliveryID, now: Timestamp) -> Route? {
        route(of: delivery).flatMap { isInForce($0, now: now) ? $0 : nil }
    }

    /// Those whose time and work are not used up.
    public func routesInForce(now: Timestamp) -> [Route] { routes.filter { isInForce($0, now: now) } }

    private func isInForce(_ route: Route, now: Timestamp) -> Bool {
        now < route.validUntil && credit(of: route.delivery) < route.maxWork
    }

    /// Whether a delivery's time was over just now, so that its renewal may be on its way.
    public func isLingering(_ delivery: DeliveryID, now: Timestamp) -> Bool {
        guard let route = route(of: delivery), credit(of: delivery) < route.maxWork else { return false }
        return now >= route.validUntil && now < route.validUntil + RigRoute.linger
    }

    // MARK: work

    private func credit(of delivery: DeliveryID) -> Work { credited[delivery] ?? .zero }

    /// Billable work of a running delivery, as far as it is known.
    public func credited(_ delivery: DeliveryID) -> Work { credit(of: delivery) }

    /// Adds verified billable work of a running delivery.
    public mutating func credit(_ work: Work, delivery: DeliveryID) {
        if route(of: delivery) != nil { credited[delivery, default: .zero] += work }
    }

    /// Restores what was credited before a restart.
    public mutating func restoreCredit(_ work: Work, delivery: DeliveryID) {
        if route(of: delivery) != nil { credited[delivery] = max(credit(of: delivery), work) }
    }

    /// Adds valid work, billable or not, to what the rig's parties share.
    ///
    /// - Parameter delivery: whose job it was for; nil: the fallback pool's
    public mutating func meter(_ work: Work, delivery: DeliveryID?) {
        slicer?.meter(work, for: delivery.map { .delivery($0) } ?? .fallback)
    }

    /// Whether valid work for `delivery`, received now, counts towards its bill.
    public func isBillable(_ delivery: DeliveryID, now: Timestamp) -> Bool {
        if let route = route(of: delivery) {
            return now < route.validUntil + RigRoute.grace && credit(of: delivery) < route.maxWork
        }
        guard let end = ended.last(where: { $0.delivery == delivery }) else { return false }
        return now < end.at + RigRoute.grace
    }

    // MARK: turns

    /// Whether several share the rig's work.
    public var isShared: Bool { slicer != nil }

    /// Whom the rig should work for now, of those that can be served; nil when none of them can.
    ///
    /// The fallback pool is one of them only while it has a part of the rig, or nothing is in force.
    public mutating func turn(now: Timestamp, isUsable: (Party) -> Bool) -> Party? {
        guard slicer != nil else {
            let party = routes.first.flatMap { isInForce($0, now: now) ? Party.delivery($0.delivery) : nil } ?? .fallback
            return isUsable(party) ? party : nil
        }
        let claims = claims(now: now)
        slicer?.claim(claims, now: now)
        return slicer?.turn(now: now, isUsable: isUsable)
    }

    /// Whose slice it is; nil when the rig is not shared, or nobody can be served.
    public var current: Party? { slicer?.current }

    /// When to ask for the next turn at the latest, beside changes of routes and pools; nil: only then.
    public func nextTurn(now: Timestamp) -> Timestamp? {
        let ends = routes.filter { isInForce($0, now: now) }.map(\.validUntil)
        let slice = slicer.flatMap { $0.current == nil ? nil : $0.end }
        return (ends + [slice].compactMap(\.self)).min()
    }

    /// What each of those that share the rig has a right to now.
    ///
    /// Who has all its work, or whose time is over, leaves its part to the fallback pool.
    public func claims(now: Timestamp) -> [Claim] {
        var rest = unsold.hashesPerSecond
        var claims: [Claim] = []
        for route in routes {
            if isInForce(route, now: now) {
                claims.append(Claim(
                    party: .delivery(route.delivery), hashrate: route.hashrate, until: route.validUntil,
                    allowance: route.allowance))
            } else {
                rest = rest.addingReportingOverflow(route.hashrate.hashesPerSecond).partialValue
            }
        }
        if rest > 0 || claims.isEmpty { claims.append(Claim(party: .fallback, hashrate: Hashrate(hashesPerSecond: max(1, rest)))) }
        return claims
    }

    /// Nanoseconds of the rig's work that a party of a shared rig is behind its share; negative: ahead.
    public func behind(_ party: Party) -> Int64 { slicer?.behind(party) ?? 0 }

    /// A rig sold whole, or not at all, needs none.
    private mutating func refreshSlicer(now: Timestamp) {
        let isShared = routes.count + (unsold.hashesPerSecond > 0 ? 1 : 0) > 1
        guard isShared else { return slicer = nil }
        var next = slicer ?? Slicer(times, algorithm: algorithm, now: now)
        next.claim(claims(now: now), now: now)
        slicer = next
    }
}
