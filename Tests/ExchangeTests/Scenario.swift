import Exchange
import Ledger
import OrderBook
import Settlement
import Testing
import Units

/// A market played step by step: seconds in, one line per thing that happened out.
///
/// Lots are 1 MH/s and prices per MH/s and day, fees 1 %, term 60 s, shortest term 10 s. Accounts 1 to 4 each have a
/// verified pool of the same number and, if asked for, money.
struct Scenario {
    static let start = Timestamp(microseconds: 1_700_000_000_000_000)
    static let rules: MarketRules = {
        var rules = MarketRules.demo
        rules.lot = rules.priceUnit
        rules.term = .seconds(60)
        rules.shortestTerm = .seconds(10)
        rules.shareInterval = .seconds(1)
        rules.mostLots = Lots(1000)
        rules.holdLimit = .seconds(600)
        return rules
    }()

    var market = AuditedMarket()
    private(set) var log: [String] = []
    private var wires = 0
    private var sessions: [Int64: Int64] = [:]

    init(funds: Int64 = 1_000_000_000, rules: MarketRules = Scenario.rules) {
        send(.defineMarket(rules), at: 0)
        for account in Int64(1)...4 {
            send(.createPoolTarget(owner: AccountID(account), name: "p", url: "p", user: "u", password: ""), at: 0)
            verify(account, at: 0)
            if funds > 0 { deposit(account, funds, at: 0) }
        }
        log = []
    }

    var state: MarketState { market.state }

    /// What happened since the last call.
    mutating func news() -> [String] {
        defer { log = [] }
        return log
    }

    @discardableResult
    mutating func send(
        _ command: Command, key: CommandEnvelope.Idempotency? = nil, at seconds: Int64,
        _ location: SourceLocation = #_sourceLocation
    ) -> Outcome {
        let envelope = CommandEnvelope(command, idempotency: key)
        let (outcome, events) = market.apply(envelope, at: Self.start + .seconds(seconds), location)
        log += events.compactMap(Self.line)
        return outcome
    }

    mutating func deposit(_ account: Int64, _ amount: Int64, at seconds: Int64) {
        wires += 1
        send(.deposit(account: AccountID(account), amount: Satoshis(amount), reference: "w\(wires)"), at: seconds)
    }

    @discardableResult
    mutating func verify(_ pool: Int64, extranonce2: Int64 = 8, mask: UInt32 = 0x1fff_e000, at seconds: Int64) -> Outcome {
        let status = PoolStatus.verified(
            PoolCapabilities(extranonce2Size: extranonce2, versionMask: mask, difficulty: "1"))
        return send(.recordVerification(target: PoolTargetID(pool), status: status), at: seconds)
    }

    /// A rig of an account that is online and measured; rigs are numbered 1, 2, 3 ...
    mutating func rig(_ account: Int64, lots: Int64, mask: UInt32 = 0, at seconds: Int64 = 0) {
        let id = Int64(state.rigs.count) + 1
        send(
            .registerRig(
                owner: AccountID(account), name: "r\(id)", passwordDigest: Array(repeating: 1, count: 32),
                fallback: PoolTargetID(account)), at: seconds)
        online(id, mask: mask, at: seconds)
        measured(id, lots: lots, at: seconds)
    }

    mutating func online(_ rig: Int64, edge: Int64 = 1, mask: UInt32 = 0, at seconds: Int64) {
        sessions[rig, default: 0] += 1
        send(.rigOnline(RigID(rig), edge: EdgeID(edge), session: sessions[rig] ?? 0, versionMask: mask), at: seconds)
    }

    mutating func offline(_ rig: Int64, at seconds: Int64) {
        send(.rigOffline(RigID(rig), session: sessions[rig] ?? 0), at: seconds)
    }

    mutating func measured(_ rig: Int64, lots: Int64, at seconds: Int64) {
        send(
            .rigMeasured(RigID(rig), session: sessions[rig] ?? 0, Hashrate(hashesPerSecond: lots * 1_000_000)),
            at: seconds)
    }

    @discardableResult
    mutating func bid(
        _ account: Int64, _ price: Int64, _ lots: Int64, ioc: Bool = false, budget: Int64? = nil, name: String? = nil,
        pools: [Int64]? = nil, selfTrade: SelfTradePrevention = .cancelIncoming, at seconds: Int64
    ) -> Outcome {
        send(
            .placeBid(PlaceBid(
                account: AccountID(account), clientOrderID: name, price: Price(price), lots: Lots(lots),
                targets: (pools ?? [account]).map { PoolTargetID($0) },
                budget: budget.map { Satoshis($0) },
                instructions: Instructions(
                    timeInForce: ioc ? .immediateOrCancel : .goodTillCancelled, selfTrade: selfTrade))), at: seconds)
    }

    @discardableResult
    mutating func ask(
        _ account: Int64, rig: Int64, _ price: Int64, most: Int64? = nil, name: String? = nil,
        selfTrade: SelfTradePrevention = .cancelIncoming, at seconds: Int64
    ) -> Outcome {
        send(
            .placeAsk(PlaceAsk(
                account: AccountID(account), clientOrderID: name, price: Price(price), rig: RigID(rig),
                most: most.map { Lots($0) }, instructions: Instructions(selfTrade: selfTrade))), at: seconds)
    }

    @discardableResult
    mutating func cancel(_ order: Int64, by account: Int64? = nil, at seconds: Int64) -> Outcome {
        send(.cancelOrder(OrderID(order), by: account.map { AccountID($0) }), at: seconds)
    }

    mutating func advance(to seconds: Int64) { send(.advance, at: seconds) }

    @discardableResult
    mutating func settle(_ delivery: Int64, seconds: Int64, lots: Int64, final: Bool = false, at now: Int64) -> Outcome {
        let work = Work(units: lots * 1_000_000 * seconds / 65_536)
        return send(
            .settle(run: 1, chunk: 0, [
                DeliveryTotal(delivery: DeliveryID(delivery), billableWork: work, isFinal: final),
            ]), at: now)
    }

    func available(_ account: Int64) -> Int64 { state.balance(.available(AccountID(account))).rawValue }
    func held(_ account: Int64) -> Int64 { state.balance(.held(AccountID(account))).rawValue }

    private static func seconds(_ time: Timestamp) -> Int64 { (time - start).microseconds / 1_000_000 }

    /// nil for what the tables of these tests leave out.
    private static func line(_ event: Event) -> String? {
        switch event {
        case .orderPlaced(let order): "o\(order.id) placed"
        case .askOffered(let id, let lots): "o\(id) offers \(lots.rawValue)"
        case .orderSuspended(let id, let reason): "o\(id) suspended: \(reason)"
        case .orderResumed(let id, _): "o\(id) resumed"
        case .orderStamped(let id, _): "o\(id) restamped"
        case .orderClosed(let id, let reason): "o\(id) closed: \(reason)"
        case .deliveryOpened(let d):
            "d\(d.id): o\(d.bid) buys \(d.lots.rawValue) of o\(d.ask) at \(d.terms.price), \(seconds(d.openedAt)) to \(seconds(d.expiresAt)) s"
        case .deliveryEnded(let id, let at, let cause): "d\(id) ended at \(seconds(at)) s: \(cause)"
        case .lineSettled(let line): "d\(line.delivery) charged \(line.amounts.charge.rawValue)"
        case .deliveryClosed(let id): "d\(id) settled"
        case .marketDefined, .entryPosted, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline,
            .rigOffline, .rigMeasured, .answerRecorded, .orderAmended, .ordersRepriced, .phaseChanged, .rulesScheduled,
            .rulesChanged, .indexPublished, .farmCreated, .rigAssigned, .farmOffered, .silenceSet:
            nil
        }
    }
}
