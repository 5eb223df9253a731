import Exchange
import Ledger
import OrderBook
import Settlement
import Testing
import Units

/// A market played step by step: seconds in, one line per thing that happened out.
///
/// Lots are 1 MH/s and prices per MH/s and day, fees 1 %, term 60 s, shortest term 10 s, rigs are sold whole. Accounts
/// 1 to 4 each have a verified pool of the same number and, if asked for, money.
struct Scenario {
    /// Second 0 is 22:13:20 UTC.
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

    /// The scenario's rules with some changed.
    static func rules(_ change: (inout MarketRules) -> Void) -> MarketRules {
        var rules = Self.rules
        change(&rules)
        return rules
    }

    /// Rigs are sold in parts of 5 % at least.
    static let parts = rules { $0.smallestSlice = PartsPerMillion(50_000) }

    var market = AuditedMarket()
    private(set) var log: [String] = []
    /// What the last command led to.
    private(set) var lastEvents: [Event] = []
    private var wires = 0
    private var sessions: [Int64: Int64] = [:]

    init(funds: Int64 = 1_000_000_000, rules: MarketRules = Scenario.rules) {
        send(.defineMarket(rules), at: 0)
        for account in Int64(1)...4 {
            pool(account, at: 0)
            verify(account, at: 0)
            if funds > 0 { deposit(account, funds, at: 0) }
        }
        (log, lastEvents) = ([], [])
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
        let before = state
        let (outcome, events) = market.apply(envelope, at: Self.start + .seconds(seconds), location)
        log += events.compactMap { Self.line($0, before) }
        lastEvents = events
        return outcome
    }

    mutating func advance(to seconds: Int64) { send(.advance, at: seconds) }

    /// Sends a command that must be refused and must change nothing.
    mutating func refused(
        _ rejection: Rejection, _ location: SourceLocation = #_sourceLocation, _ play: (inout Scenario) -> Outcome
    ) {
        let before = state.hash
        let outcome = play(&self)
        #expect(outcome == .rejected(rejection), sourceLocation: location)
        #expect(state.hash == before, "a refusal changed something", sourceLocation: location)
    }

    // MARK: - Money and pools

    mutating func deposit(_ account: Int64, _ amount: Int64, at seconds: Int64) {
        wires += 1
        send(.deposit(account: AccountID(account), amount: Satoshis(amount), reference: "w\(wires)"), at: seconds)
    }

    @discardableResult
    mutating func settle(_ delivery: Int64, seconds: Int64, lots: Int64, final: Bool = false, at now: Int64) -> Outcome {
        settle(delivery, units: lots * 1_000_000 * seconds / 65_536, final: final, at: now)
    }

    @discardableResult
    mutating func settle(_ delivery: Int64, units: Int64, final: Bool = false, at now: Int64) -> Outcome {
        let total = DeliveryTotal(delivery: DeliveryID(delivery), billableWork: Work(units: units), isFinal: final)
        return send(.settle(run: 1, chunk: 0, [total]), at: now)
    }

    func available(_ account: Int64) -> Int64 { state.balance(.available(AccountID(account))).rawValue }
    func held(_ account: Int64) -> Int64 { state.balance(.held(AccountID(account))).rawValue }

    /// Registers a further pool; pools are numbered 1, 2, 3 ...
    mutating func pool(_ account: Int64, at seconds: Int64) {
        send(.createPoolTarget(owner: AccountID(account), name: "p", url: "p", user: "u", password: ""), at: seconds)
    }

    @discardableResult
    mutating func verify(_ pool: Int64, extranonce2: Int64 = 8, mask: UInt32 = 0x1fff_e000, at seconds: Int64) -> Outcome {
        let status = PoolStatus.verified(
            PoolCapabilities(extranonce2Size: extranonce2, versionMask: mask, difficulty: "1"))
        return send(.recordVerification(target: PoolTargetID(pool), status: status), at: seconds)
    }

    @discardableResult
    mutating func fail(_ pool: Int64, at seconds: Int64) -> Outcome {
        send(.recordVerification(target: PoolTargetID(pool), status: .failed(reason: "down")), at: seconds)
    }

    // MARK: - Rigs

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

    /// A rig and its ask.
    @discardableResult
    mutating func sell(_ account: Int64, lots: Int64, _ price: Int64, _ how: Instructions = Instructions(), at seconds: Int64)
        -> Outcome
    {
        rig(account, lots: lots, at: seconds)
        return ask(account, rig: Int64(state.rigs.count), price, how, at: seconds)
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

    // MARK: - Orders

    @discardableResult
    mutating func bid(
        _ account: Int64, _ price: Int64, _ lots: Int64, _ how: Instructions = Instructions(), budget: Int64? = nil,
        name: String? = nil, pools: [Int64]? = nil, at seconds: Int64
    ) -> Outcome {
        send(
            .placeBid(PlaceBid(
                account: AccountID(account), clientOrderID: name, price: Price(price), lots: Lots(lots),
                targets: (pools ?? [account]).map { PoolTargetID($0) }, budget: budget.map { Satoshis($0) },
                instructions: how)), at: seconds)
    }

    @discardableResult
    mutating func ask(
        _ account: Int64, rig: Int64, _ price: Int64, _ how: Instructions = Instructions(), most: Int64? = nil,
        schedule: DailySchedule? = nil, name: String? = nil, at seconds: Int64
    ) -> Outcome {
        send(
            .placeAsk(PlaceAsk(
                account: AccountID(account), clientOrderID: name, price: Price(price), rig: RigID(rig),
                most: most.map { Lots($0) }, instructions: how, schedule: schedule)), at: seconds)
    }

    @discardableResult
    mutating func cancel(_ order: Int64, by account: Int64? = nil, at seconds: Int64) -> Outcome {
        send(.cancelOrder(OrderID(order), by: account.map { AccountID($0) }), at: seconds)
    }

    @discardableResult
    mutating func amend(_ order: Int64, _ amendment: Amendment, by account: Int64? = nil, at seconds: Int64) -> Outcome {
        send(.amendOrder(OrderID(order), by: account.map { AccountID($0) }, amendment), at: seconds)
    }

    @discardableResult
    mutating func phase(_ phase: MarketPhase, at seconds: Int64) -> Outcome { send(.setPhase(phase), at: seconds) }

    @discardableResult
    mutating func index(_ price: Int64, at seconds: Int64) -> Outcome {
        send(.publishIndex(IndexPrice(price: Price(price), at: Self.start + .seconds(seconds))), at: seconds)
    }

    @discardableResult
    mutating func plan(_ rules: MarketRules, from effective: Int64, at seconds: Int64) -> Outcome {
        send(.scheduleRules(rules, effectiveAt: Self.start + .seconds(effective)), at: seconds)
    }

    // MARK: - What there is

    func order(_ id: Int64) -> Order? { state.orders[OrderID(id)] }
    func delivery(_ id: Int64) -> Delivery? { state.deliveries[DeliveryID(id)] }

    /// The running deliveries, as "o2 < 3 of o1".
    var running: [String] {
        state.deliveries.values.filter(\.isRunning).sorted { $0.id < $1.id }.map { "o\($0.bid) < \($0.lots.rawValue) of o\($0.ask)" }
    }

    /// A side of the book in its order, as "o2: 5 at 100"; of icebergs "o2: 2 of 5 at 100".
    func book(_ side: Side) -> [String] {
        var lines: [String] = []
        var cursor = state.book.first(on: side)
        while let here = cursor {
            let entry = state.book[here]
            let hidden = entry.shown == entry.lots ? "" : " of \(entry.lots.rawValue)"
            lines.append("o\(entry.id): \(entry.shown.rawValue)\(hidden) at \(entry.price)")
            cursor = state.book.next(after: here)
        }
        return lines
    }

    static func seconds(_ time: Timestamp) -> Int64 { (time - start).microseconds / 1_000_000 }

    private static func line(_ event: FleetEvent) -> String {
        switch event {
        case .loginSet(let login): "farm \(login.farm) is \(login.user)"
        case .curtailed(let c): c.isHolding ? "farm \(c.farm) at most \(c.cap.rawValue)" : "farm \(c.farm) lifted"
        case .curtailmentEnded(let farm): "farm \(farm) is whole"
        case .rigsCut(_, let rigs): "cut " + rigs.map { "r\($0)" }.joined(separator: " ")
        case .returnsPlanned(_, let returns):
            "return " + returns.map { "r\($0.rig) " + ($0.at.map { "\(seconds($0)) s" } ?? "later") }.joined(separator: ", ")
        case .rigsReadmitted(_, let rigs): "back " + rigs.map { "r\($0)" }.joined(separator: " ")
        }
    }

    /// nil for what the tables of these tests leave out.
    private static func line(_ event: Event, _ before: MarketState) -> String? {
        switch event {
        case .orderPlaced(let order): "o\(order.id) placed"
        case .askOffered(let id, let lots): "o\(id) offers \(lots.rawValue)"
        case .orderSuspended(let id, let reason): "o\(id) suspended: \(reason)"
        case .orderResumed(let id, _): "o\(id) resumed"
        case .orderStamped(let id, _): "o\(id) restamped"
        case .orderAmended(let order):
            "o\(order.id) amended: \(order.lots.rawValue) at \(order.price)"
                + (order.stamp == before.orders[order.id]?.stamp ? "" : ", behind the others")
        case .ordersRepriced(let all): "repriced: " + all.map { "o\($0.order) to \($0.price)" }.joined(separator: ", ")
        case .orderClosed(let id, let reason): "o\(id) closed: \(reason)"
        case .deliveryOpened(let d):
            "d\(d.id): o\(d.bid) buys \(d.lots.rawValue) of o\(d.ask) at \(d.terms.price), "
                + "\(seconds(d.openedAt)) to \(seconds(d.expiresAt)) s"
        case .deliveryEnded(let id, let at, let cause): "d\(id) ended at \(seconds(at)) s: \(cause)"
        case .lineSettled(let line):
            line.code == .delivery
                ? "d\(line.delivery) charged \(line.amounts.charge.rawValue)"
                : "d\(line.delivery) \(line.code) \(line.work.units) charged \(line.amounts.charge.rawValue)"
        case .books(.reopened(let closed)): "reopened " + closed.map { "d\($0.delivery.id)" }.joined(separator: " ")
        case .books(.periodClosed(let through, _)): "closed through \(seconds(through)) s"
        case .deliveryClosed(let id): "d\(id) settled"
        case .holdReleased(let id): "d\(id) hold released"
        case .phaseChanged(let phase): "market: \(phase)"
        case .rulesScheduled(let planned): "rules planned for \(seconds(planned.effectiveAt)) s"
        case .rulesChanged: "rules changed"
        case .indexPublished(let index): "index \(index.price)"
        case .rigAssigned(let rig, let farm): farm.map { "rig \(rig) joins farm \($0)" } ?? "rig \(rig) leaves its farm"
        case .farmOffered(let farm, let offer): offer.map { "farm \(farm) offers at \($0.price)" } ?? "farm \(farm) withdraws"
        case .silenceSet(let account, let at): at.map { "account \(account) until \(seconds($0)) s" } ?? "account \(account) disarmed"
        case .fleet(let event): line(event)
        case .blockFound(let block): "block \(block.id) by rig \(block.report.rig) for account \(block.owner): \(block.verdict)"
        case .blockJudged(let id, let verdict, _): "block \(id): \(verdict)"
        case .marketDefined, .entryPosted, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline,
            .rigOffline, .rigMeasured, .answerRecorded, .farmCreated:
            nil
        }
    }
}

/// Instructions in short, to be chained: `.iceberg(2).postOnly`.
extension Instructions {
    static var ioc: Instructions { Instructions(timeInForce: .immediateOrCancel) }
    static var fok: Instructions { Instructions(timeInForce: .fillOrKill) }
    static var postOnly: Instructions { Instructions(isPostOnly: true) }
    static func until(_ seconds: Int64) -> Instructions {
        Instructions(timeInForce: .goodTillDate, expiresAt: Scenario.start + .seconds(seconds))
    }
    static func iceberg(_ displayed: Int64) -> Instructions { Instructions(displayed: Lots(displayed)) }
    static func atLeast(_ minimum: Int64) -> Instructions { Instructions(minimumFill: Lots(minimum)) }
    static func stp(_ mode: SelfTradePrevention) -> Instructions { Instructions(selfTrade: mode) }
    static func peg(_ reference: PegReference, _ offset: Int64 = 0) -> Instructions {
        Instructions(peg: Peg(reference: reference, offset: offset))
    }

    var postOnly: Instructions { with { $0.isPostOnly = true } }
    func iceberg(_ displayed: Int64) -> Instructions { with { $0.displayed = Lots(displayed) } }
    func atLeast(_ minimum: Int64) -> Instructions { with { $0.minimumFill = Lots(minimum) } }
    func stp(_ mode: SelfTradePrevention) -> Instructions { with { $0.selfTrade = mode } }
    func peg(_ reference: PegReference, _ offset: Int64 = 0) -> Instructions {
        with { $0.peg = Peg(reference: reference, offset: offset) }
    }

    private func with(_ change: (inout Instructions) -> Void) -> Instructions {
        var copy = self
        change(&copy)
        return copy
    }
}

/// Amendments in short.
extension Amendment {
    static func price(_ price: Int64) -> Amendment { Amendment(price: Price(price)) }
    static func lots(_ lots: Int64) -> Amendment { Amendment(lots: Lots(lots)) }
    static func most(_ lots: Int64?) -> Amendment { Amendment(most: lots.map { .set(Lots($0)) } ?? .clear) }
    static func pools(_ pools: Int64...) -> Amendment { Amendment(targets: pools.map { PoolTargetID($0) }) }
    static func budget(_ amount: Int64?) -> Amendment { Amendment(budget: amount.map { .set(Satoshis($0)) } ?? .clear) }
    static func until(_ seconds: Int64?) -> Amendment {
        Amendment(expiresAt: seconds.map { .set(Scenario.start + .seconds($0)) } ?? .clear)
    }
    static func atLeast(_ minimum: Int64) -> Amendment { Amendment(minimumFill: Lots(minimum)) }
    static func displayed(_ lots: Int64?) -> Amendment { Amendment(displayed: lots.map { .set(Lots($0)) } ?? .clear) }
    static func schedule(_ schedule: DailySchedule?) -> Amendment { Amendment(schedule: schedule.map { .set($0) } ?? .clear) }
    static func offset(_ offset: Int64) -> Amendment { Amendment(offset: offset) }
}
