internal import OrderBook
internal import Settlement
public import Units

/// Why a bid and an ask whose prices cross do not trade.
public enum PassedOver: String, Hashable, Sendable, CaseIterable {
    /// The rig, or the part of it that is sold at least, is larger than what the bid still wants.
    case rigTooLarge
    /// What the ask still offers is less than the bid's minimum fill.
    case belowMinimumFill
    /// Every verified pool of the bid gives an extranonce2 that the rig's does not fold into, and that it cannot be given
    /// otherwise: it does not take `mining.set_extranonce`, or too little would be left to search.
    case extranonceTooSmall
    /// No verified pool of the bid allows all version bits that the rig rolls.
    case versionMaskTooNarrow
    /// None of the bid's pools is verified.
    case noVerifiedPool
    /// The rig is not connected.
    case rigOffline
    /// One of the orders, or the ask's daily schedule, ends before the shortest term.
    case endsTooSoon
    /// The bid cannot pay for the least that could be sold to it for the shortest term.
    case unaffordable
}

extension MarketState {
    /// Why a bid passes over an ask whose price it crosses; nil when they trade.
    public func passedOver(_ bid: Order, _ ask: Order, _ rig: Rig, at time: Timestamp) -> PassedOver? {
        if let reason = unsuited(bid, ask, rig.presence, at: time) { return reason }
        if fewestLots(of: ask) > bid.open { return .rigTooLarge }
        if fewestLots(of: bid) > ask.open { return .belowMinimumFill }
        guard let rules else { return nil }
        let price = bid.since < ask.since ? bid.price : ask.price
        let least = Offer(rules, at: price, max(fewestLots(of: bid), fewestLots(of: ask)))
        return affords(bid, hold: least.hold(for: rules.shortestTerm)) ? nil : .unaffordable
    }

    /// The same, sizes apart.
    func unsuited(_ bid: Order, _ ask: Order, _ presence: RigPresence, at time: Timestamp) -> PassedOver? {
        guard case .online(_, _, let mask) = presence else { return .rigOffline }
        guard let details = bid.bid else { return .noVerifiedPool }
        if let reason = unusable(details.targets, versionMask: mask) { return reason }
        return longestTerm(bid, ask, at: time) == nil ? .endsTooSoon : nil
    }

    /// The fewest lots that an order may be filled with now.
    func fewestLots(of order: Order) -> Lots {
        let minimum = order.instructions.minimumFill
        guard order.side == .ask, let rules else { return min(minimum, order.open) }
        return min(max(minimum, rules.smallestPart(of: order.lots)), order.open)
    }

    /// How long a delivery of two orders may run from now; nil when that is less than the shortest term.
    func longestTerm(_ bid: Order, _ ask: Order, at time: Timestamp) -> Interval? {
        guard let rules else { return nil }
        var term = rules.term
        if let expiry = bid.instructions.expiresAt { term = min(term, expiry - time) }
        if let expiry = ask.instructions.expiresAt { term = min(term, expiry - time) }
        if let schedule = ask.ask?.schedule {
            guard schedule.isOpen(at: time) else { return nil }
            if let closing = schedule.nextChange(after: time) { term = min(term, closing - time) }
        }
        return term >= rules.shortestTerm ? term : nil
    }

    /// The verified targets among `targets` that can take a rig with this mask (`RigAbilities`), in their order.
    public func usable(_ targets: [PoolTargetID], versionMask: UInt32) -> [PoolTargetID] {
        targets.filter { unusable([$0], versionMask: versionMask) == nil }
    }

    private func unusable(_ ids: [PoolTargetID], versionMask: UInt32) -> PassedOver? {
        let rig = RigAbilities(word: versionMask)
        var worst: PassedOver = .noVerifiedPool
        for id in ids {
            guard case .verified(let pool)? = targets[id]?.status else { continue }
            if pool.extranonce2Size < rig.smallestExtranonce2 {
                worst = .extranonceTooSmall
            } else if rig.versionMask & ~pool.versionMask != 0 {
                worst = .versionMaskTooNarrow
            } else {
                return nil
            }
        }
        return worst
    }
}
