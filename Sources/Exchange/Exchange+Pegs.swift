internal import OrderBook
internal import Units

/// The prices that pegged orders follow.
struct ReferencePrices {
    var bid: Price?
    var ask: Price?
    var index: Price?
}

extension MarketState {
    /// Those of this moment: the best prices of fixed-price orders, and the published index. O(levels of pegged orders)
    var references: ReferencePrices {
        ReferencePrices(bid: book.bestFixed(.bid), ask: book.bestFixed(.ask), index: status.index?.price)
    }

    /// What a pegged order's price is now; nil when its reference is not there.
    ///
    /// Rounded to the tick away from the other side, never beyond the order's limit nor, where that allows, the band.
    func peggedPrice(of order: Order, _ read: @autoclosure () -> ReferencePrices, _ rules: MarketRules) -> Price? {
        guard let peg = order.instructions.peg else { return order.limit }
        let references = read()
        let reference: Price? =
            switch peg.reference {
            case .bestBid: references.bid
            case .bestAsk: references.ask
            case .index: references.index
            }
        guard let reference else { return nil }
        let (sum, overflow) = reference.rawValue.addingReportingOverflow(peg.offset)
        let wanted = max(0, overflow ? (peg.offset > 0 ? Int64.max : 0) : sum)
        let lowest = MarketState.ticksUp(rules.lowestPrice.rawValue, rules.tick)
        let highest = rules.highestPrice.rawValue / rules.tick * rules.tick
        switch order.side {
        case .bid:
            let price = min(wanted, min(order.limit.rawValue, highest))
            return Price(min(max(price / rules.tick * rules.tick, lowest), order.limit.rawValue))
        case .ask:
            let price = max(wanted, max(order.limit.rawValue, lowest))
            return Price(max(min(MarketState.ticksUp(price, rules.tick), highest), order.limit.rawValue))
        }
    }

    private static func ticksUp(_ price: Int64, _ tick: Int64) -> Int64 {
        let (sum, overflow) = price.addingReportingOverflow(tick - 1)
        return overflow ? Int64.max / tick * tick : sum / tick * tick
    }

    /// Sets a pegged order's price; false when its reference is not there.
    func follow(_ order: inout Order, _ references: @autoclosure () -> ReferencePrices, _ rules: MarketRules) -> Bool {
        guard order.instructions.peg != nil else { return true }
        guard let price = peggedPrice(of: order, references(), rules) else { return false }
        order.price = price
        return true
    }
}

/// Re-pricing, once a second.
extension Exchange {
    /// Brings all pegged orders to their references of this moment, by order number.
    ///
    /// - Returns: those that are to match anew
    mutating func reprice(_ rules: MarketRules) -> Returned {
        let references = state.references
        var repricings: [Repricing] = []
        var stranded: [OrderID] = []
        var found: [OrderID] = []
        for id in state.pegged.sorted() {
            guard let order = state.orders[id] else { continue }
            let price = state.peggedPrice(of: order, references, rules)
            if let price, price != order.price {
                let stamp = state.counters.stamp + Int64(repricings.count)
                repricings.append(Repricing(order: id, price: price, stamp: stamp))
            }
            if price == nil, order.status == .active { stranded.append(id) }
            if price != nil, order.status == .suspended(.noReference) { found.append(id) }
        }
        if !repricings.isEmpty { emit(.ordersRepriced(repricings)) }
        for repricing in repricings {
            if state.orders[repricing.order]?.status == .suspended(.insufficientFunds) { revive(repricing.order, references) }
            closeIfSpent(repricing.order)
        }
        for id in stranded where state.orders[id]?.status == .active { emit(.orderSuspended(id, .noReference)) }
        var returned = Returned()
        for id in found {
            if state.orders[id]?.side == .ask { refreshOffer(of: id, references) } else { revive(id, references) }
        }
        for id in repricings.map(\.order) + found {
            if let order = state.orders[id], order.open > .zero { returned.add(order) }
        }
        return returned
    }
}
