internal import Ledger
internal import OrderBook
internal import Settlement
internal import Units

/// Fills, and what they cost at most.
extension Exchange {
    /// Opens a delivery of as many lots, for as long, as the bid can pay for; a bid that can pay for none is suspended.
    mutating func fill(_ bid: Order, _ ask: Order, on rig: RigID, _ most: Lots, _ rules: MarketRules) -> Meeting {
        let price = bid.since < ask.since ? bid.price : ask.price
        guard let longest = state.longestTerm(bid, ask, at: time) else { return .passed }
        guard let (offer, term, hold) = affordable(bid, ask, most, price, longest, rules) else {
            // A smaller rig may still be paid for; a bid that can pay for none waits outside the book.
            guard !state.affords(bid, hold: leastHold(of: bid, rules)) else { return .passed }
            emit(.orderSuspended(bid.id, .insufficientFunds))
            return .changed
        }
        let id = DeliveryID(state.counters.delivery)
        if hold > .zero {
            post(.hold, reference: id.reference, [
                Posting(.available(bid.account), -hold), Posting(.held(bid.account), hold),
            ])
        }
        emit(.deliveryOpened(Delivery(
            id: id, bid: bid.id, ask: ask.id, rig: rig, buyer: bid.account, seller: ask.account, lots: offer.lots,
            hashrate: offer.hashrate, terms: offer.terms, tariff: state.counters.tariff, openedAt: time,
            expiresAt: time + term, isShortened: term < longest, maxDifficulty: offer.difficulty, allowance: offer.allowance,
            hold: hold, held: hold)))
        let isLoosened = [bid.id, ask.id].contains { id in
            guard let left = state.book[id] else { return false }
            return left.lots < left.minimumFill && left.lots + offer.lots >= left.minimumFill
        }
        return isLoosened ? .loosened : .changed
    }

    /// What a bid can pay for: all lots for the longest term; else fewer lots; else the fewest for a shorter term.
    private func affordable(
        _ bid: Order, _ ask: Order, _ most: Lots, _ price: Price, _ longest: Interval, _ rules: MarketRules
    ) -> (Offer, Interval, Satoshis)? {
        func payable(_ offer: Offer, _ term: Interval) -> Satoshis? {
            offer.hold(for: term).flatMap { state.affords(bid, hold: $0) ? $0 : nil }
        }
        let whole = Offer(rules, at: price, most)
        if let hold = payable(whole, longest) { return (whole, longest, hold) }
        let fewest = max(state.fewestLots(of: bid), state.fewestLots(of: ask))
        let least = fewest < most ? Offer(rules, at: price, fewest) : whole
        if fewest < most, payable(least, longest) != nil {
            let lots = Exchange.last(from: fewest.rawValue, below: most.rawValue) {
                payable(Offer(rules, at: price, Lots($0)), longest) != nil
            }
            let offer = Offer(rules, at: price, Lots(lots))
            return payable(offer, longest).map { (offer, longest, $0) }
        }
        guard payable(least, rules.shortestTerm) != nil else { return nil }
        let shortest = (rules.shortestTerm.microseconds + 999_999) / 1_000_000
        let end = (longest.microseconds + 999_999) / 1_000_000
        let seconds = Exchange.last(from: shortest, below: max(shortest + 1, end)) {
            payable(least, .seconds($0)) != nil
        }
        return payable(least, .seconds(seconds)).map { (least, .seconds(seconds), $0) }
    }

    /// The last number for which a condition holds that holds for `first` and up to some number. O(log)
    private static func last(from first: Int64, below end: Int64, where holds: (Int64) -> Bool) -> Int64 {
        var low = first, high = end
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if holds(middle) { low = middle } else { high = middle }
        }
        return low
    }

    /// What the shortest delivery of one lot holds at most.
    func leastHold(of bid: Order, _ rules: MarketRules) -> Satoshis? {
        let hashrate = rules.hashrate(Lots(1))
        let allowance = Work(units: rules.highestDifficulty(hashrate).units * 20)
        let work = Tariff.workCap(hashrate, elapsed: rules.shortestTerm, allowance: allowance, algorithm: rules.algorithm)
        return Tariff.mostDebit(for: work, terms: rules.terms(at: bid.price), algorithm: rules.algorithm)
    }
}

/// So many lots at a price, for a time that is still open.
struct Offer {
    let lots: Lots
    let hashrate: Hashrate
    let terms: Terms
    let difficulty: ShareDifficulty
    /// Work billed above sold hashrate x time x 1.05 at most: 20 shares of the highest difficulty.
    let allowance: Work
    private let algorithm: Algorithm

    init(_ rules: MarketRules, at price: Price, _ lots: Lots) {
        self.lots = lots
        hashrate = rules.hashrate(lots)
        terms = rules.terms(at: price)
        difficulty = rules.highestDifficulty(hashrate)
        allowance = Work(units: difficulty.units * 20)
        algorithm = rules.algorithm
    }

    /// The most that a delivery of such a term can cost; nil when that is more than all the bitcoin there can be.
    func hold(for term: Interval) -> Satoshis? {
        let most = Tariff.workCap(hashrate, elapsed: term, allowance: allowance, algorithm: algorithm)
        return Tariff.mostDebit(for: most, terms: terms, algorithm: algorithm)
    }
}

extension MarketState {
    /// Whether both the account's available funds and what is left of the bid's budget cover a hold.
    func affords(_ bid: Order, hold: Satoshis?) -> Bool {
        guard let hold, hold <= balance(.available(bid.account)) else { return false }
        guard let details = bid.bid, let budget = details.budget else { return true }
        return details.spent + held(by: bid.id) + hold <= budget
    }
}
