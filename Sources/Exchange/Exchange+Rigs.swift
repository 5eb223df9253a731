internal import OrderBook
internal import Units

extension Rig {
    /// Whether a rig says in the midst of its session that it takes `mining.set_extranonce`, too.
    fileprivate func gains(_ word: UInt32, at edge: EdgeID, in session: Int64) -> Bool {
        guard case .online(edge, session, let known) = presence else { return false }
        let (before, after) = (RigAbilities(word: known), RigAbilities(word: word))
        return !before.takesExtranonce && after.takesExtranonce && before.versionMask == after.versionMask
    }
}

extension MarketState {
    /// Whether a verified pool's extranonce2 is large enough for rigs that do or do not take another one.
    fileprivate func takesRigs(like rig: RigAbilities, _ target: PoolTargetID) -> Bool {
        guard case .verified(let pool)? = targets[target]?.status else { return false }
        return pool.extranonce2Size >= (rig.takesExtranonce ? 2 : rig.smallestExtranonce2)
    }
}

/// What edges report.
extension Exchange {
    mutating func rigOnline(_ id: RigID, edge: EdgeID, session: Int64, mask: UInt32) throws(Rejection) -> Outcome {
        guard let rig = state.rigs[id] else { throw .rigUnknown }
        guard session > rig.lastSession || rig.gains(mask, at: edge, in: session) else { throw .staleSession }
        emit(.rigOnline(id, edge: edge, session: session, versionMask: mask))
        var returned = Returned()
        // A rig that came back rolling bits that its buyer's pools do not allow cannot go on.
        for delivery in state.deliveries(on: id) {
            let targets = state.orders[delivery.bid]?.bid?.targets ?? []
            // Its own bits are the rig's affair, pools that take no rig like it are the buyer's.
            let takeAny = targets.contains { state.takesRigs(like: RigAbilities(word: mask), $0) }
            if state.usable(targets, versionMask: mask).isEmpty {
                end(delivery, takeAny ? .rigAway : .poolsUnusable, at: time, &returned)
            }
        }
        rematch(askOf: id, &returned)
        return .done
    }

    mutating func rigOffline(_ id: RigID, session: Int64) throws(Rejection) -> Outcome {
        guard let rig = state.rigs[id] else { throw .rigUnknown }
        guard case .online(_, let current, _) = rig.presence, current == session else { throw .staleSession }
        leave(rig)
        return .done
    }

    private mutating func leave(_ rig: Rig) {
        emit(.rigOffline(rig.id, at: time))
        if let ask = rig.ask { refreshOffer(of: ask) }
    }

    mutating func edgeStarted(_ edge: EdgeID) -> Outcome {
        let connected = state.rigs.values.filter {
            guard case .online(let at, _, _) = $0.presence else { return false }
            return at == edge
        }
        for rig in connected.sorted(by: { $0.id < $1.id }) { leave(rig) }
        return .done
    }

    mutating func rigMeasured(_ id: RigID, session: Int64, _ hashrate: Hashrate) throws(Rejection) -> Outcome {
        guard let rig = state.rigs[id] else { throw .rigUnknown }
        guard session > 0, session == rig.lastSession else { throw .staleSession }
        guard hashrate.hashesPerSecond >= 0 else { throw .amountOutOfRange }
        if rig.measured != hashrate { emit(.rigMeasured(id, hashrate)) }
        var returned = Returned()
        if let farm = rig.farm { enforceCurtailment(of: farm, &returned) }
        rematch(askOf: id, &returned)
        return .done
    }

    /// A change of a rig's offer while it is not delivering may let its ask trade.
    private mutating func rematch(askOf id: RigID, _ returned: inout Returned) {
        if let ask = state.rigs[id]?.ask {
            refreshOffer(of: ask)
            if let order = state.orders[ask], order.open > .zero { returned.add(order) }
        }
        match(returned)
    }

    mutating func poolsUnusable(_ id: DeliveryID, reason: String) throws(Rejection) -> Outcome {
        guard let delivery = state.deliveries[id], delivery.isRunning else { throw .deliveryUnknown }
        var returned = Returned()
        let failing = (state.orders[delivery.bid]?.bid?.targets ?? []).filter { state.isVerified($0) }
        for target in failing { emit(.poolTargetChanged(target, .failed(reason: reason.storable))) }
        if let bid = state.orders[delivery.bid], bid.isAlive, bid.status != .suspended(.poolsUnusable) {
            emit(.orderSuspended(bid.id, .poolsUnusable))
        }
        for running in state.deliveries(of: delivery.bid) where running.isRunning {
            end(running, .poolsUnusable, at: time, &returned)
        }
        // Other bids of the account may have had no other pools.
        for target in failing { reviewPools(of: delivery.buyer, target, &returned) }
        match(returned)
        return .done
    }

    mutating func underDelivered(_ id: DeliveryID, _ hashrate: Hashrate) throws(Rejection) -> Outcome {
        guard let delivery = state.deliveries[id], delivery.isRunning else { throw .deliveryUnknown }
        guard hashrate.hashesPerSecond >= 0, hashrate < delivery.hashrate else { throw .amountOutOfRange }
        // What is missing of what was sold is missing of the rig.
        let measured = state.rigs.with(delivery.rig) { $0.measured.hashesPerSecond } ?? 0
        let missing = delivery.hashrate.hashesPerSecond - hashrate.hashesPerSecond
        let left = Hashrate(hashesPerSecond: max(min(measured, hashrate.hashesPerSecond), measured - missing))
        if left.hashesPerSecond != measured { emit(.rigMeasured(delivery.rig, left)) }
        var returned = Returned()
        end(delivery, .underDelivery, at: time, &returned)
        match(returned)
        return .done
    }
}
