import Routing
import Units

/// What a delivery's pools are to a rig now.
private enum Place {
    case ready(Placement)
    case opening
    case none
}

extension EdgeCore {
    /// Where a rig should work now; what cannot be used is skipped with its reason.
    ///
    /// The pools of all that share a rig are looked at each time, so that they are open when their turn comes.
    func choose(for rig: Rig, on miner: MinerConnection, now: Timestamp) -> Choice {
        var choice = Choice()
        guard feed.isHealthy, isSelling else {
            chooseFallback(for: rig, on: miner, now: now, &choice)
            return choice
        }
        // A renewal may be on its way.
        if let delivery = miner.delivery, rig.route.isLingering(delivery, now: now) { return choice }
        var places: [Party: Placement] = [:]
        var isOpening = false
        for route in rig.route.routesInForce(now: now) {
            switch place(for: route, rig, miner, now, &choice) {
            case .ready(let placement): places[.delivery(route.delivery)] = placement
            case .opening: isOpening = true
            case .none: break
            }
        }
        // Looked at before the turn: opening a pool may have all its rigs look again at once.
        if rig.route.isShared, rig.route.claims(now: now).contains(where: { $0.party == .fallback }) {
            places[.fallback] = fallback(for: rig, on: miner, now: now)
        }
        choice.destination = rig.route.turn(now: now) { places[$0] != nil }.flatMap { places[$0] }
        if choice.destination == nil, !isOpening { chooseFallback(for: rig, on: miner, now: now, &choice) }
        return choice
    }

    private func place(
        for route: Route, _ rig: Rig, _ miner: MinerConnection, _ now: Timestamp, _ choice: inout Choice
    ) -> Place {
        var isOpening = false
        var isAnyBad = false
        var skipped: [SkippedTarget] = []
        /// One that failed lately: better than none.
        var recovering: Placement?
        defer { choice.skipped += skipped }
        for target in route.targets {
            switch standing(of: target, for: miner, now: now) {
            case .ready(let connection):
                let placement = Placement(connection: connection, delivery: route.delivery, target: target)
                rig.reportedUnusable.remove(route.delivery)
                guard connection.upstream.isToBeLeftAlone(by: miner, now: now) else { return .ready(placement) }
                skipped.append(SkippedTarget(target: target, reason: "failed lately"))
                recovering = recovering ?? placement
            case .opening(let since):
                // The buyer's order counts: a first target that is just opening is waited for.
                if now - since < configuration.pools.patience, recovering == nil { return .opening }
                isOpening = true
            case .unusable(let reason):
                isAnyBad = true
                skipped.append(SkippedTarget(target: target, reason: reason))
            case .unfit(let reason): skipped.append(SkippedTarget(target: target, reason: reason))
            }
        }
        if let recovering { return .ready(recovering) }
        if isOpening { return .opening }
        // Pools that only this rig cannot work for are good for the buyer's other rigs.
        if isAnyBad { reportUnusable(route, rig, skipped, now: now) }
        return .none
    }

    private func reportUnusable(_ route: Route, _ rig: Rig, _ skipped: [SkippedTarget], now: Timestamp) {
        guard rig.reportedUnusable.insert(route.delivery).inserted else { return }
        let reason = skipped.map { "\($0.target): \($0.reason)" }.joined(separator: "; ")
        reports.poolsUnusable(delivery: route.delivery, reason: reason, at: now)
    }

    private func fallback(for rig: Rig, on miner: MinerConnection, now: Timestamp) -> Placement? {
        var choice = Choice()
        chooseFallback(for: rig, on: miner, now: now, &choice)
        return choice.destination
    }
}
