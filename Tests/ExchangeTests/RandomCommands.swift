import Exchange
import TestSupport
import Units

/// Commands of a small, crowded, short-funded market, now and then absurd ones.
struct RandomCommands {
    var random: SeededRandom
    private var deposits = 0
    private var names = 0
    private var sessions: [RigID: Int64] = [:]
    private(set) var now = Timestamp(microseconds: 1_700_000_000_000_000)

    static let accounts = (1...5).map { AccountID($0) }

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    static let rules: MarketRules = {
        var rules = MarketRules.demo
        rules.tick = 1000
        rules.shortestTerm = .seconds(10)
        rules.shareInterval = .seconds(1)
        rules.term = .seconds(180)
        rules.awayLimit = .seconds(30)
        rules.holdLimit = .seconds(240)
        rules.minimumOrderValue = Satoshis(2)
        return rules
    }()

    mutating func step() {
        switch random.int(1...10) {
        case 1...4: break
        case 5...7: now = now + Interval(microseconds: random.int64(0...2_000_000))
        case 8: now = now + .seconds(random.int64(1...10))
        case 9: now = now + .seconds(random.pick([10, 30, 31, 180, 240]))
        default: now = now - .seconds(1)
        }
    }

    mutating func next(_ state: MarketState) -> CommandEnvelope {
        let command = random.chance(4) ? hostile(state) : usual(state)
        guard random.chance(15) else { return CommandEnvelope(command) }
        let key = AnswerKey(account: random.pick(Self.accounts), key: "k\(random.int(1...400))")
        return CommandEnvelope(command, idempotency: .init(key: key, digest: [UInt8(random.int(1...2))]))
    }

    // Choices must not depend on the order of a dictionary.
    private mutating func order(_ s: MarketState) -> Order? {
        let all = s.orders.values.sorted { $0.id < $1.id }
        return all.isEmpty ? nil : random.pick(all)
    }

    private mutating func rig(_ s: MarketState) -> Rig? {
        let all = s.rigs.values.sorted { $0.id < $1.id }
        return all.isEmpty ? nil : random.pick(all)
    }

    private mutating func target(_ s: MarketState, of owner: AccountID?) -> PoolTarget? {
        let all = s.targets.values.filter { owner == nil || $0.owner == owner }.sorted { $0.id < $1.id }
        return all.isEmpty ? nil : random.pick(all)
    }

    private mutating func delivery(_ s: MarketState, running: Bool) -> Delivery? {
        let all = s.deliveries.values.filter { !running || $0.isRunning }.sorted { $0.id < $1.id }
        return all.isEmpty ? nil : random.pick(all)
    }

    private mutating func usual(_ s: MarketState) -> Command {
        if s.rules == nil { return .defineMarket(Self.rules) }
        let account = random.pick(Self.accounts)
        switch random.int(1...100) {
        case 1...6:
            deposits += 1
            let amount = random.int64(1...(random.chance(10) ? 3000 : 120))
            return .deposit(account: account, amount: Satoshis(amount), reference: "wire-\(deposits)")
        case 7...8 where s.targets.count < 14:
            return .createPoolTarget(owner: account, name: "p", url: "stratum+tcp://p", user: "u", password: "")
        case 7...13:
            guard let target = target(s, of: nil) else { return .advance }
            return .recordVerification(target: target.id, status: status())
        case 14...16 where s.rigs.count < 9:
            guard let target = target(s, of: account) else { return .advance }
            names += 1
            return .registerRig(
                owner: account, name: "rig\(names)", passwordDigest: Array(repeating: 7, count: 32), fallback: target.id)
        case 14...34: return bid(s, account)
        case 35...47:
            guard let rig = rig(s) else { return .advance }
            return .placeAsk(PlaceAsk(
                account: rig.owner, price: price(), rig: rig.id, most: random.chance(30) ? Lots(random.int64(1...3)) : nil,
                selfTrade: random.pick(SelfTradePrevention.allCases)))
        case 48...53:
            guard let order = order(s) else { return .advance }
            return .cancelOrder(order.id, by: random.chance(50) ? order.account : nil)
        case 54...62:
            guard let rig = rig(s) else { return .advance }
            return .rigOnline(
                rig.id, edge: EdgeID(random.int64(1...2)), session: rig.lastSession + 1,
                versionMask: random.pick([0, 0, 0x2000, 0x1fff_e000]))
        case 63...67:
            guard let rig = rig(s) else { return .advance }
            return .rigOffline(rig.id, session: rig.lastSession)
        case 68...76:
            guard let rig = rig(s) else { return .advance }
            return .rigMeasured(
                rig.id, session: rig.lastSession, Hashrate(hashesPerSecond: random.int64(50_000...420_000)))
        case 77...78:
            guard let running = delivery(s, running: true) else { return .advance }
            return .poolsUnusable(running.id, reason: "refused")
        case 79...80:
            guard let running = delivery(s, running: true) else { return .advance }
            return .underDelivered(
                running.id, Hashrate(hashesPerSecond: running.hashrate.hashesPerSecond * random.int64(0...7) / 10))
        case 81: return .edgeStarted(EdgeID(random.int64(1...2)))
        case 82...94: return settle(s)
        default: return .advance
        }
    }

    private mutating func price() -> Price { Price(random.int64(1...12) * 100_000) }

    private mutating func status() -> PoolStatus {
        switch random.int(1...10) {
        case 1: .unverified
        case 2: .failed(reason: "down")
        default:
            .verified(PoolCapabilities(
                extranonce2Size: random.pick([4, 6, 8, 8, 8]), versionMask: random.pick([0, 0x2000, 0x1fff_e000, 0x1fff_e000]),
                difficulty: "1"))
        }
    }

    private mutating func bid(_ s: MarketState, _ account: AccountID) -> Command {
        var targets: [PoolTargetID] = []
        for _ in 0..<random.int(1...2) {
            if let target = target(s, of: account), !targets.contains(target.id) { targets.append(target.id) }
        }
        return .placeBid(PlaceBid(
            account: account, clientOrderID: random.chance(20) ? "c\(random.int(1...5))" : nil, price: price(),
            lots: Lots(random.int64(1...8)), targets: targets,
            timeInForce: random.chance(20) ? .immediateOrCancel : .goodTillCancelled,
            budget: random.chance(40) ? Satoshis(random.int64(20...600)) : nil,
            selfTrade: random.pick(SelfTradePrevention.allCases)))
    }

    private mutating func settle(_ s: MarketState) -> Command {
        var totals: [DeliveryTotal] = []
        for _ in 0..<random.int(1...5) {
            guard let delivery = delivery(s, running: false) else { continue }
            let seconds = random.int64(0...80)
            let fresh = Work(units: delivery.hashrate.hashesPerSecond * seconds / 65_536)
            totals.append(DeliveryTotal(
                delivery: delivery.id, billableWork: random.chance(70) ? delivery.settledWork + fresh : fresh,
                isFinal: random.chance(50)))
        }
        return .settle(run: random.int64(1...3), chunk: random.int64(0...3), totals)
    }

    private mutating func hostile(_ s: MarketState) -> Command {
        let a = random.hostileInt64(), b = random.hostileInt64(), c = random.hostileInt64()
        let account = random.chance(50) ? random.pick(Self.accounts) : AccountID(a)
        let text = random.pick(["", "x", String(repeating: "é", count: 200)])
        let rig = rig(s).flatMap { random.chance(50) ? $0.id : nil } ?? RigID(a)
        let delivery = delivery(s, running: false).flatMap { random.chance(70) ? $0.id : nil } ?? DeliveryID(a)
        let targets = (target(s, of: account).map { [$0.id] } ?? [PoolTargetID(b)])
        switch random.int(1...12) {
        case 1: return .deposit(account: account, amount: Satoshis(b), reference: text)
        case 2: return .createPoolTarget(owner: account, name: text, url: "x", user: "x", password: text)
        case 3:
            let pool = PoolCapabilities(extranonce2Size: c, versionMask: .max, difficulty: text)
            return .recordVerification(target: PoolTargetID(b), status: .verified(pool))
        case 4: return .registerRig(owner: account, name: text, passwordDigest: random.bytes(3), fallback: targets[0])
        case 5, 6:
            return .placeBid(PlaceBid(
                account: account, clientOrderID: text, price: random.chance(50) ? price() : Price(b), lots: Lots(c),
                targets: targets, budget: random.chance(50) ? Satoshis(a) : nil))
        case 7:
            return .placeAsk(PlaceAsk(account: account, price: Price(b), rig: rig, most: Lots(c)))
        case 8: return .cancelOrder(OrderID(a), by: AccountID(b))
        case 9: return .rigMeasured(rig, session: self.rig(s)?.lastSession ?? c, Hashrate(hashesPerSecond: b))
        case 10: return .underDelivered(delivery, Hashrate(hashesPerSecond: b))
        case 11:
            return .settle(run: a, chunk: b, [
                DeliveryTotal(delivery: delivery, billableWork: Work(units: c), isFinal: false),
                DeliveryTotal(delivery: delivery, billableWork: Work(units: b), isFinal: true),
            ])
        default: return .rigOnline(RigID(a), edge: EdgeID(b), session: min(c, 1), versionMask: .max)
        }
    }
}
