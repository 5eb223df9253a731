import Exchange
import ExchangeTestSupport
import Ledger
import OrderBook
import TestSupport
import Units

/// Commands of a small, crowded, short-funded market, now and then absurd ones.
struct RandomCommands {
    var random: SeededRandom
    /// What left the market.
    var closed = ClosedRows()
    private var deposits = 0
    /// That can be reversed, as far as their kind says.
    private var entries: [LedgerEntry] = []
    private var names = 0
    private var sessions: [RigID: Int64] = [:]
    private(set) var now = Timestamp(microseconds: 1_700_000_000_000_000)

    static let accounts = (1...5).map { AccountID($0) }

    let rules: MarketRules

    init(seed: UInt64, symbol: String = "SHA256D") {
        random = SeededRandom(seed: seed)
        var rules = Self.usualRules
        rules.symbol = symbol
        self.rules = rules
    }

    private static let usualRules: MarketRules = {
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
        if s.rules == nil { return .defineMarket(rules) }
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
        case 35...45:
            guard let rig = rig(s) else { return .advance }
            let most = random.chance(30) ? Lots(random.int64(1...3)) : nil
            return .placeAsk(PlaceAsk(
                account: rig.owner, price: price(), rig: rig.id, most: most,
                instructions: instructions(lots: most?.rawValue ?? 4), schedule: random.chance(20) ? schedule() : nil))
        case 46...48:
            guard let order = order(s) else { return .advance }
            return .cancelOrder(order.id, by: random.chance(50) ? order.account : nil)
        case 49...53:
            guard let order = order(s) else { return .advance }
            return .amendOrder(order.id, by: random.chance(50) ? order.account : nil, amendment(of: order))
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
        case 82...92: return settle(s)
        case 93...97: return rare(s, account)
        case 98...99: return .treasury(treasury(s, account))
        default: return .advance
        }
    }

    /// Entries that happened: what reversals take from the tables.
    mutating func note(_ events: [Event]) {
        for case .entryPosted(let entry) in events where random.chance(entry.kind.isReversible ? 30 : 2) { entries.append(entry) }
        if entries.count > 20 { entries.removeFirst(entries.count - 20) }
    }

    private mutating func treasury(_ s: MarketState, _ account: AccountID) -> TreasuryCommand {
        let by = random.pick(Self.accounts + [AccountID(8), AccountID(9)])
        let transfers = s.transfers.values.sorted { $0.id < $1.id }
        if !transfers.isEmpty, random.chance(55) {
            let transfer = random.pick(transfers)
            switch random.int(1...10) {
            case 1...5: return .approve(transfer.id, account: transfer.account == nil && random.chance(80) ? account : nil, by: by)
            case 6...8:
                deposits += 1
                return .complete(transfer.id, reference: "pay-\(random.chance(80) ? deposits : 1)", by: by)
            case 9: return .reject(transfer.id, reason: "no", by: by)
            default: return .cancel(transfer.id, by: random.chance(70) ? transfer.requestedBy : by)
            }
        }
        let amount = Satoshis(random.int64(1...(random.chance(10) ? 3000 : 120)))
        switch random.int(1...20) {
        case 1...6:
            deposits += 1
            return .recordDeposit(
                account: random.chance(60) ? account : nil, amount: amount, reference: "wire-\(random.chance(90) ? deposits : 1)", by: by)
        case 7...12:
            return .requestWithdrawal(account: account, amount: amount, destination: "bc1q", by: random.chance(70) ? account : by)
        case 13...15:
            let (one, other) = random.pick([
                (LedgerAccount.available(account), LedgerAccount.loss), (.available(account), .suspense), (.fees, .custody),
                (.suspense, .custody), (.available(account), .available(random.pick(Self.accounts))),
            ])
            return .proposeAdjustment([Posting(one, random.chance(50) ? amount : -amount), Posting(other, -amount)], reason: "r", by: by)
        case 16...18:
            guard !entries.isEmpty else { return .freeze(account, false, reason: "r", by: by) }
            let entry = random.pick(entries)
            return .proposeReversal(entry: entry.id, kind: entry.kind, entry.postings, reason: "wrong", by: by)
        case 19: return .freeze(account, true, reason: "court", by: by)
        default:
            // Frozen accounts come back soon.
            return .freeze(s.freezes.keys.sorted().first ?? account, false, reason: "over", by: by)
        }
    }

    private mutating func rare(_ s: MarketState, _ account: AccountID) -> Command {
        switch random.int(1...30) {
        case 21...30: return fleet(s, account)
        case 1...2: return .cancelAll(account, random.pick([nil, .bid, .ask]))
        case 3...4:
            return .cancelAllAfter(account, random.chance(20) ? nil : .seconds(random.int64(1...120)))
        case 5: return .setPhase(random.pick(MarketPhase.allCases))
        case 6...7: return .setPhase(.open)
        case 8...9: return .scheduleRules(newRules(), effectiveAt: now + .seconds(random.int64(1...400)))
        case 10...12: return .publishIndex(IndexPrice(price: Price(random.int64(1...1_300_000)), at: now))
        case 13 where s.farms.count < 4: return .createFarm(owner: account, name: "farm")
        case 13...16:
            guard let rig = rig(s) else { return .advance }
            return .assignRig(rig.id, owner: rig.owner, random.chance(20) ? nil : farm(s, of: rig.owner)?.id)
        default:
            guard let farm = farm(s, of: nil) else { return .advance }
            if random.chance(30) { return .withdrawFarm(farm.id, owner: random.chance(50) ? farm.owner : nil) }
            return .offerFarm(farm.id, owner: farm.owner, FarmOffer(
                price: price(), most: random.chance(30) ? Lots(random.int64(1...3)) : nil,
                instructions: instructions(lots: 3), schedule: random.chance(20) ? schedule() : nil))
        }
    }

    private mutating func fleet(_ s: MarketState, _ account: AccountID) -> Command {
        guard let farm = farm(s, of: nil) else { return .createFarm(owner: account, name: "farm") }
        switch random.int(1...20) {
        case 1...4:
            let fallback = s.targets.values.filter { $0.owner == farm.owner }.map(\.id).min()
            return .fleet(.setLogin(farm.id, owner: farm.owner, FarmLoginChange(
                name: random.chance(80) ? "barn\(farm.id)" : nil, passwordDigest: random.chance(80) ? random.bytes(32) : nil,
                fallback: fallback, mostRigs: random.chance(50) ? random.int64(1...4) : nil)))
        case 5...8 where s.rigs.count < 14:
            return .fleet(.registerWorker(farm.id, worker: "w\(random.int(1...5))"))
        case 5...12:
            let until = random.chance(40) ? now + .seconds(random.int64(1...90)) : nil
            return .fleet(.curtail(
                farm.id, by: random.chance(50) ? farm.owner : nil, cap: Lots(random.int64(0...6)),
                ramp: .seconds(random.pick([0, 7, 60])), until: until))
        case 13...14: return .fleet(.liftCurtailment(farm.id, by: nil))
        case 15...17:
            guard let rig = rig(s), let target = target(s, of: nil) else { return .advance }
            let hash = [UInt8](repeating: UInt8(random.int(1...200)), count: 32)
            return .blockFound(BlockReport(
                edge: EdgeID(1), receivedAt: now, rig: rig.id, delivery: delivery(s, running: false)?.id, target: target.id,
                hash: hash, header: random.bytes(80), poolJob: "j", isForwarded: random.chance(80)))
        case 18...19:
            guard let block = s.blocks.values.max(by: { $0.id < $1.id }) else { return .advance }
            return .blockJudged(block.report.hash, random.pick(BlockVerdict.allCases), poolError: 21)
        default:
            let (a, b) = (random.hostileInt64(), random.hostileInt64())
            return random.pick([
                .fleet(.curtail(farm.id, by: nil, cap: Lots(a), ramp: Interval(microseconds: b), until: nil)),
                .fleet(.curtail(farm.id, by: nil, cap: .zero, ramp: .zero, until: Timestamp(microseconds: a))),
                .fleet(.setLogin(FarmID(a), owner: AccountID(b), FarmLoginChange())),
                .fleet(.setLogin(farm.id, owner: farm.owner, FarmLoginChange(name: "a.b", mostRigs: a))),
                .fleet(.registerWorker(FarmID(a), worker: "x.y")), .blockJudged([1], .accepted, poolError: b),
            ])
        }
    }

    private mutating func farm(_ s: MarketState, of owner: AccountID?) -> Farm? {
        let all = s.farms.values.filter { owner == nil || $0.owner == owner }.sorted { $0.id < $1.id }
        return all.isEmpty ? nil : random.pick(all)
    }

    private mutating func newRules() -> MarketRules {
        var rules = self.rules
        rules.buyerFee = PartsPerMillion(random.pick([0, 10_000, 35_000]))
        rules.sellerFee = PartsPerMillion(random.pick([0, 10_000]))
        rules.smallestSlice = PartsPerMillion(random.pick([1_000_000, 500_000, 100_000]))
        rules.term = .seconds(random.pick([60, 180, 300]))
        rules.mostOrders = random.pick([6, 20, 100_000])
        rules.tick = random.pick([1000, 1, 50_000])
        rules.holdLimit = .seconds(random.pick([240, 300]))
        rules.awayLimit = .seconds(random.pick([30, 45]))
        if random.chance(5) { rules.lot = Hashrate(hashesPerSecond: 5) }
        return rules
    }

    /// Windows around now.
    private mutating func schedule() -> DailySchedule {
        let minute = now.minute % 1440
        return DailySchedule(windows: (0..<random.int(1...2)).map { _ in
            let from = (minute + 1440 + random.int64(-10...10)) % 1440
            return DailySchedule.Window(from: from, to: (from + random.int64(1...30)) % 1440)
        })
    }

    private mutating func instructions(lots: Int64) -> Instructions {
        var result = Instructions(selfTrade: random.pick(SelfTradePrevention.allCases))
        switch random.int(1...20) {
        case 1...2: result.timeInForce = .immediateOrCancel
        case 3...4: result.timeInForce = .fillOrKill
        case 5...8:
            result.timeInForce = .goodTillDate
            result.expiresAt = now + Interval(microseconds: random.int64(5_000_000...400_000_000))
        default: break
        }
        if random.chance(20) { result.minimumFill = Lots(random.int64(1...max(1, lots))) }
        let mayRest = !result.timeInForce.isImmediate || random.chance(5)
        if mayRest, random.chance(25) { result.displayed = Lots(random.int64(1...max(1, lots))) }
        if mayRest, random.chance(10) { result.isPostOnly = true }
        if mayRest, random.chance(20) {
            result.peg = Peg(
                reference: random.pick(PegReference.allCases), offset: random.int64(-3...3) * random.pick([100_000, 1500]))
        }
        return result
    }

    private mutating func amendment(of order: Order) -> Amendment {
        var result = Amendment()
        let isBid = random.chance(95) == (order.side == .bid)
        if random.chance(40) { result.price = price() }
        if random.chance(15) {
            result.expiresAt = random.pick([.clear, .set(now + .seconds(random.int64(5...300)))])
        }
        if random.chance(15) { result.minimumFill = Lots(random.int64(1...4)) }
        if random.chance(15) { result.displayed = random.pick([.clear, .set(Lots(random.int64(1...4)))]) }
        if order.instructions.peg != nil, random.chance(30) { result.offset = random.int64(-3...3) * 100_000 }
        if isBid {
            if random.chance(40) { result.lots = Lots(random.int64(1...8)) }
            if random.chance(20) { result.budget = random.pick([.clear, .set(Satoshis(random.int64(1...600)))]) }
            if random.chance(20), let targets = order.bid?.targets { result.targets = Array(targets.prefix(1)) }
        } else {
            if random.chance(30) { result.most = random.pick([.clear, .set(Lots(random.int64(1...4)))]) }
            if random.chance(20) { result.schedule = random.chance(40) ? .clear : .set(schedule()) }
        }
        return result
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
        let lots = random.int64(1...8)
        return .placeBid(PlaceBid(
            account: account, clientOrderID: random.chance(20) ? "c\(random.int(1...5))" : nil, price: price(),
            lots: Lots(lots), targets: targets, budget: random.chance(40) ? Satoshis(random.int64(20...600)) : nil,
            instructions: instructions(lots: lots)))
    }

    private mutating func settle(_ s: MarketState) -> Command {
        var totals: [DeliveryTotal] = []
        for _ in 0..<random.int(1...5) {
            guard let delivery = delivery(s, running: false) else { continue }
            let seconds = random.int64(0...80)
            let fresh = Work(units: delivery.hashrate.hashesPerSecond * seconds / (s.rules?.symbol == "SCRYPT" ? 256 : 65_536))
            totals.append(DeliveryTotal(
                delivery: delivery.id, billableWork: random.chance(70) ? delivery.settledWork + fresh : fresh,
                isFinal: random.chance(50)))
        }
        return random.chance(30) ? .settle(run: random.int64(1...3), chunk: random.int64(0...3), totals) : books(s)
    }

    /// Assessed totals of some deliveries, also of closed ones.
    private mutating func books(_ s: MarketState) -> Command {
        let now = now
        switch random.int(1...12) {
        case 1: return .books(.closePeriod(through: Timestamp(microseconds: now.minute * 60_000_000), by: AccountID(9)))
        case 2...3: return credit(s)
        case 4...7: return .books(.settle(chunk(s, [])))
        default:
            var images: [ClosedDelivery] = []
            let gone = closed.deliveries.keys.sorted()
            for _ in 0..<random.int(0...3) where !gone.isEmpty {
                guard let image = closed.closed(random.pick(gone), s), !images.contains(where: { $0.delivery.id == image.delivery.id })
                else { continue }
                images.append(image)
            }
            let reopenings = random.chance(5) ? s.books.reopenings - 1 : s.books.reopenings
            return .books(.trueUp(chunk(s, images.map(\.delivery)), images, reopenings: reopenings))
        }
    }

    private mutating func chunk(_ s: MarketState, _ closed: [Delivery]) -> SettlementChunk {
        var deliveries = closed
        for _ in 0..<random.int(1...4) { if let delivery = delivery(s, running: false) { deliveries.append(delivery) } }
        return SettlementChunk(
            run: random.int64(1...9), chunk: random.int64(0...3), valueAt: now - .seconds(random.int64(-5...200)),
            totals: deliveries.map { total(of: $0, s) })
    }

    private mutating func total(of delivery: Delivery, _ s: MarketState) -> AssessedTotal {
        let full = delivery.hashrate.hashesPerSecond * random.int64(0...90) / (s.rules?.symbol == "SCRYPT" ? 256 : 65_536)
        let billable = random.chance(60) ? delivery.settledWork.units + full / 2 : full
        let minute = now.minute - random.int64(0...3)
        let late = (0..<(random.chance(40) ? random.int(1...3) : 0)).map { number in
            LateWork(
                fromMinute: minute - 9 - Int64(number), toMinute: minute - 8 - Int64(number), work: Work(units: random.int64(1...80)))
        }
        return AssessedTotal(
            delivery: delivery.id, fromMinute: minute - 5, toMinute: minute, billable: Work(units: billable),
            fault: Work(units: random.chance(40) ? random.int64(0...billable) : min(billable, delivery.settledFault.units)),
            late: late, overDelivery: Work(units: random.chance(20) ? random.int64(1...50) : 0),
            faultExcess: Work(units: random.chance(20) ? random.int64(1...50) : 0), isFinal: random.chance(30))
    }

    private mutating func credit(_ s: MarketState) -> Command {
        let gone = closed.deliveries.keys.sorted()
        let past = gone.isEmpty || random.chance(30) ? delivery(s, running: false) : closed.deliveries[random.pick(gone)]
        guard let past else { return .advance }
        let amount = random.int64(1...400)
        return .books(.credit(Credit(
            number: s.books.credits + (random.chance(10) ? 0 : 1), run: 3, delivery: past.id, buyer: past.buyer, seller: past.seller,
            fromMinute: now.minute - 5, toMinute: now.minute, charge: Satoshis(random.chance(50) ? amount : -amount),
            isBorneByMarket: random.chance(30), dispute: 7, by: AccountID(9), reason: "r")))
    }

    /// With numbers from nowhere.
    private mutating func hostileBooks(_ s: MarketState, _ id: DeliveryID) -> Command {
        let a = random.hostileInt64(), b = random.hostileInt64(), c = random.hostileInt64()
        let minute = now.minute
        let total = AssessedTotal(
            delivery: id, fromMinute: random.chance(50) ? minute : a, toMinute: random.chance(50) ? minute + 1 : b,
            billable: Work(units: a), fault: Work(units: random.chance(50) ? 0 : b),
            late: random.chance(50) ? [] : [LateWork(fromMinute: minute, toMinute: minute + 1, work: Work(units: c))],
            overDelivery: Work(units: random.chance(50) ? 0 : c), isFinal: random.chance(20))
        let chunk = SettlementChunk(run: b, chunk: c, valueAt: Timestamp(microseconds: a), totals: [total, total])
        switch random.int(1...4) {
        case 1: return .books(.settle(chunk))
        case 2:
            guard var image = closed.deliveries.keys.min().flatMap({ closed.closed($0, s) }) else { return .advance }
            switch random.int(1...6) {
            case 1: image.bid = nil
            case 2: image.key.tariff = a
            case 3: image.billing.unsettled = b
            case 4: image.delivery.held = Satoshis(a)
            case 5: image.delivery.id = DeliveryID(b)
            default: swap(&image.bid, &image.ask)
            }
            var totals = chunk
            totals.totals[0].delivery = image.delivery.id
            return .books(.trueUp(totals, random.chance(30) ? [image, image] : [image], reopenings: s.books.reopenings))
        case 3:
            return .books(.credit(Credit(
                number: random.chance(50) ? s.books.credits + 1 : a, run: b, delivery: id, buyer: AccountID(random.chance(50) ? 1 : b),
                seller: AccountID(random.chance(50) ? 2 : c), fromMinute: minute, toMinute: random.chance(50) ? minute + 1 : a,
                charge: Satoshis(c), dispute: b, by: AccountID(a), reason: random.pick(["", "r", String(repeating: "é", count: 600)]))))
        default: return .books(.closePeriod(through: Timestamp(microseconds: a), by: AccountID(b)))
        }
    }

    private mutating func hostile(_ s: MarketState) -> Command {
        let a = random.hostileInt64(), b = random.hostileInt64(), c = random.hostileInt64()
        let account = random.chance(50) ? random.pick(Self.accounts) : AccountID(a)
        let text = random.pick(["", "x", String(repeating: "é", count: 200)])
        let rig = rig(s).flatMap { random.chance(50) ? $0.id : nil } ?? RigID(a)
        let delivery = delivery(s, running: false).flatMap { random.chance(70) ? $0.id : nil } ?? DeliveryID(a)
        let targets = (target(s, of: account).map { [$0.id] } ?? [PoolTargetID(b)])
        switch random.int(1...20) {
        case 19...20: return hostileBooks(s, delivery)
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
        case 12:
            return .amendOrder(order(s)?.id ?? OrderID(a), by: nil, Amendment(
                price: random.chance(30) ? Price(a) : nil, lots: random.chance(30) ? Lots(b) : nil,
                most: random.pick([.keep, .clear, .set(Lots(c))]), targets: random.chance(20) ? targets : nil,
                budget: random.pick([.keep, .clear, .set(Satoshis(a))]),
                expiresAt: random.pick([.keep, .keep, .set(Timestamp(microseconds: b))]),
                minimumFill: random.chance(20) ? Lots(c) : nil, displayed: random.pick([.keep, .keep, .set(Lots(a))]),
                schedule: random.pick([.keep, .keep, .set(DailySchedule(windows: [.init(from: a, to: b)]))]),
                offset: random.chance(20) ? b : nil))
        case 13:
            return .placeBid(PlaceBid(
                account: account, price: price(), lots: Lots(2), targets: targets,
                instructions: Instructions(
                    timeInForce: random.pick(TimeInForce.allCases),
                    expiresAt: random.chance(50) ? Timestamp(microseconds: a) : nil, minimumFill: Lots(b),
                    displayed: random.chance(50) ? Lots(c) : nil,
                    peg: random.chance(50) ? Peg(reference: .bestBid, offset: a) : nil)))
        case 14: return .cancelAllAfter(account, Interval(microseconds: a))
        case 15:
            var rules = self.rules
            switch random.int(1...5) {
            case 1: rules.tick = a
            case 2: rules.smallestSlice = PartsPerMillion(b)
            case 3: rules.mostOrders = c
            case 4: rules.term = Interval(microseconds: a)
            default: break
            }
            return .scheduleRules(rules, effectiveAt: Timestamp(microseconds: random.chance(50) ? b : now.microseconds + 1))
        case 16: return .publishIndex(IndexPrice(price: Price(a), at: Timestamp(microseconds: b)))
        case 17: return .assignRig(rig, owner: account, FarmID(b))
        case 18:
            return .offerFarm(FarmID(random.int64(1...3)), owner: account, FarmOffer(
                price: Price(a), most: Lots(b), schedule: DailySchedule(windows: [])))
        default: return .rigOnline(RigID(a), edge: EdgeID(b), session: min(c, 1), versionMask: .max)
        }
    }
}
