internal import Exchange
internal import OrderBook
internal import Units

/// Commands of a busy market, made by playing it once: the same parameters give the same commands.
///
/// As in the book's workload, 45 % are new orders that rest, 40 % cancellations, 10 % bids that take one to five rigs at
/// once, the rest amendments, half of which keep priority. What was taken is delivered until its buyer cancels it, and
/// is then settled to the end, some hundred deliveries at a time.
struct ExchangeScript {
    struct Parameters: Sendable {
        var seed: UInt64
        var commands: Int
        /// Orders that rest in the book, half of them asks.
        var resting: Int
        /// Whether some of the bids take rigs; otherwise orders only rest, change and go.
        var takes = true
    }

    /// Accounts, pools, rigs and the first orders.
    private(set) var setUp: [CommandEnvelope] = []
    private(set) var commands: [CommandEnvelope] = []

    /// Time goes on by so much with every command.
    static let step = Interval(microseconds: 10)
    static let start = Timestamp(microseconds: 1_800_000_000_000_000)
    static let rules: MarketRules = {
        var rules = MarketRules.sha256d
        rules.mostOrders = 1_000_000
        return rules
    }()

    private static let accounts: Int64 = 500
    private static let rigLots: Int64 = 100
    private static let middle: Int64 = 50_000
    private static let spread: Int64 = 500
    private static let mostTaken = 1000

    private var exchange = Exchange()
    private var now = ExchangeScript.start
    private var draws: UInt64
    private let takes: Bool
    private var resting: [OrderID] = []
    private var freeRigs: [RigID] = []
    private var taken: [OrderID] = []
    private var firstTaken = 0
    private var ended: [DeliveryID] = []

    init(_ parameters: Parameters) {
        draws = parameters.seed
        takes = parameters.takes
        commands.reserveCapacity(parameters.commands)
        populate(rigs: Int64(parameters.resting / 2 + parameters.resting / 4))
        while resting.count < parameters.resting { rest(setsUp: true) }
        while commands.count < parameters.commands { next(parameters.resting) }
    }

    /// splitmix64
    private mutating func below(_ limit: Int64) -> Int64 {
        draws &+= 0x9e37_79b9_7f4a_7c15
        var z = draws
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z >> 31
        return Int64(z.multipliedFullWidth(by: UInt64(limit)).high)
    }

    @discardableResult
    private mutating func send(_ command: Command, setsUp: Bool = false) -> Outcome {
        let envelope = CommandEnvelope(command)
        if setsUp { setUp.append(envelope) } else { commands.append(envelope) }
        now = now + ExchangeScript.step
        let (outcome, events) = exchange.apply(envelope, at: now)
        for event in events { if case .deliveryEnded(let id, _, _) = event { ended.append(id) } }
        return outcome
    }

    /// Accounts 1 to 500 buy, 501 to 1000 sell.
    private mutating func populate(rigs: Int64) {
        send(.defineMarket(ExchangeScript.rules), setsUp: true)
        let pool = PoolStatus.verified(PoolCapabilities(extranonce2Size: 8, versionMask: 0x1fff_e000, difficulty: "1024"))
        for account in 1...ExchangeScript.accounts * 2 {
            let owner = AccountID(account)
            send(.deposit(account: owner, amount: Satoshis(10_000_000_000), reference: "wire"), setsUp: true)
            send(.createPoolTarget(owner: owner, name: "pool", url: "stratum+tcp://pool", user: "user", password: ""), setsUp: true)
            send(.recordVerification(target: PoolTargetID(account), status: pool), setsUp: true)
        }
        let digest = [UInt8](repeating: 1, count: 32)
        let hashrate = ExchangeScript.rules.hashrate(Lots(ExchangeScript.rigLots))
        for rig in 1...rigs {
            let owner = ExchangeScript.accounts + 1 + rig % ExchangeScript.accounts
            send(
                .registerRig(owner: AccountID(owner), name: "rig\(rig)", passwordDigest: digest, fallback: PoolTargetID(owner)),
                setsUp: true)
            send(.rigOnline(RigID(rig), edge: EdgeID(1), session: 1, versionMask: 0x1fff_e000), setsUp: true)
            send(.rigMeasured(RigID(rig), session: 1, hashrate), setsUp: true)
            freeRigs.append(RigID(rig))
        }
    }

    // MARK: - One command

    private mutating func next(_ target: Int) {
        let draw = below(1000)
        switch draw {
        case 850..<950 where !takes: draw < 900 ? rest() : cancel(target)
        case 0..<450: rest()
        case 450..<850:
            if taken.count - firstTaken > ExchangeScript.mostTaken { giveBack() } else { cancel(target) }
        case 850..<950: take()
        default: amend()
        }
        if ended.count >= 256 { settle() }
    }

    /// A bid below or an ask above the middle.
    private mutating func rest(setsUp: Bool = false) {
        let outcome: Outcome
        let distance = 1 + below(ExchangeScript.spread)
        if below(2) == 0, let rig = freeRigs.popLast(), let owner = exchange.state.rigs[rig]?.owner {
            outcome = send(
                .placeAsk(PlaceAsk(account: owner, price: Price(ExchangeScript.middle + distance), rig: rig)), setsUp: setsUp)
        } else {
            let account = 1 + below(ExchangeScript.accounts)
            outcome = send(
                .placeBid(PlaceBid(
                    account: AccountID(account), price: Price(ExchangeScript.middle - distance),
                    lots: Lots(ExchangeScript.rigLots * (1 + below(5))), targets: [PoolTargetID(account)])), setsUp: setsUp)
        }
        if case .order(let id) = outcome { resting.append(id) }
    }

    /// Some of them are gone already: these are refused.
    private mutating func cancel(_ target: Int) {
        guard resting.count > target / 2 else { return rest() }
        let place = Int(below(Int64(resting.count)))
        let id = resting[place]
        resting.swapAt(place, resting.count - 1)
        resting.removeLast()
        let rig = exchange.state.orders[id]?.ask?.rig
        if send(.cancelOrder(id, by: nil)) == .done, let rig { freeRigs.append(rig) }
    }

    private mutating func take() {
        let account = 1 + below(ExchangeScript.accounts)
        let outcome = send(.placeBid(PlaceBid(
            account: AccountID(account), price: Price(ExchangeScript.middle + ExchangeScript.spread),
            lots: Lots(ExchangeScript.rigLots * (1 + below(5))), targets: [PoolTargetID(account)],
            instructions: Instructions(timeInForce: .immediateOrCancel))))
        if case .order(let id) = outcome { taken.append(id) }
    }

    /// The buyer who took first has enough: the rigs' asks are back in the book.
    private mutating func giveBack() {
        send(.cancelOrder(taken[firstTaken], by: nil))
        firstTaken += 1
    }

    private mutating func amend() {
        let id = resting[Int(below(Int64(resting.count)))]
        guard let order = exchange.state.orders[id] else { return rest() }
        let distance = 1 + below(ExchangeScript.spread)
        switch order.side {
        case .bid where order.lots.rawValue > ExchangeScript.rigLots && below(2) == 0:
            send(.amendOrder(id, by: nil, Amendment(lots: Lots(order.lots.rawValue - ExchangeScript.rigLots))))
        case .bid: send(.amendOrder(id, by: nil, Amendment(price: Price(ExchangeScript.middle - distance))))
        case .ask: send(.amendOrder(id, by: nil, Amendment(price: Price(ExchangeScript.middle + distance))))
        }
    }

    /// Nothing more comes of the deliveries that ended; each did a second's work.
    private mutating func settle() {
        let rules = ExchangeScript.rules
        let work = Work(
            units: rules.hashrate(Lots(ExchangeScript.rigLots)).hashesPerSecond / rules.algorithm.hashesPerUnit)
        let totals = ended.map { DeliveryTotal(delivery: $0, billableWork: work, isFinal: true) }
        ended = []
        for start in stride(from: 0, to: totals.count, by: 1000) {
            send(.settle(run: 1, chunk: Int64(start / 1000), Array(totals[start..<min(totals.count, start + 1000)])))
        }
    }
}
