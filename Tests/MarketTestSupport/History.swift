public import Exchange
internal import ExchangeTestSupport
internal import Ledger
public import Market
internal import OrderBook
internal import Settlement
public import TestSupport
public import Units

/// A random but plausible life of a small market, through a real exchange.
public struct History {
    public var random: SeededRandom
    /// Also has farms' logins, curtailments and blocks, which only the fifth version's tables hold.
    public var hasFleets = false
    /// Also has transfers and frozen accounts, which only the seventh version's tables hold.
    public var hasTreasury = false
    /// Also has runs by charge code, corrections of closed deliveries, credits and closed periods.
    public var hasBooks = false
    /// What left the market.
    private var closed = ClosedRows()
    public private(set) var exchange: Exchange
    public private(set) var now: Timestamp
    /// What lines have billed.
    public private(set) var billed: [DeliveryID: (rig: RigID, work: Work)] = [:]
    private var names = 0
    private var runs: Int64 = 0
    private var isTimeStanding = false

    public static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    /// Short times, so that terms, absences and holds come to their ends.
    public static let rules: MarketRules = {
        var rules = MarketRules.demo
        rules.holdLimit = .seconds(240)
        return rules
    }()

    public init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        var state = MarketState()
        state.trackChanges()
        exchange = Exchange(state, time: Timestamp(microseconds: 0))
        now = History.start
    }

    public var state: MarketState { exchange.state }

    /// So many commands that did something, with their events.
    public mutating func commands(_ count: Int) -> [JournalledCommand] {
        var result: [JournalledCommand] = []
        while result.count < count {
            let envelope = nextEnvelope()
            let (_, events) = exchange.apply(envelope, at: now)
            closed.take(exchange.takeChanges())
            guard !events.isEmpty else { continue }
            for event in events {
                guard case .lineSettled(let line) = event, line.code.isBilled,
                    let rig = rig(of: line.delivery, in: events)
                else { continue }
                billed[line.delivery] = (rig, (billed[line.delivery]?.work ?? .zero) + line.work)
            }
            result.append(JournalledCommand(envelope: envelope, events: events))
        }
        return result
    }

    /// The same, all at one time: as a writer's batch has them.
    public mutating func batch(_ count: Int) -> [JournalledCommand] {
        let first = commands(1)
        isTimeStanding = true
        defer { isTimeStanding = false }
        return first + commands(count - 1)
    }

    private var rigs: [DeliveryID: RigID] = [:]

    private mutating func rig(of delivery: DeliveryID, in events: [Event]) -> RigID? {
        if let rig = state.deliveries[delivery]?.rig { rigs[delivery] = rig }
        return rigs[delivery] ?? billed[delivery]?.rig ?? RigID(1)
    }

    public mutating func nextEnvelope() -> CommandEnvelope {
        switch isTimeStanding ? 1 : random.int(1...10) {
        case 1...5: break
        case 6...8: now = now + Interval(microseconds: random.int64(0...3_000_000))
        case 9: now = now + .seconds(random.int64(1...25))
        default: now = now + .seconds(random.pick([20, 60, 61, 240]))
        }
        let command = nextCommand()
        guard random.chance(20) else { return CommandEnvelope(command) }
        let key = AnswerKey(account: account(), key: "schlüssel-\(random.int(1...200))")
        return CommandEnvelope(command, idempotency: .init(key: key, digest: random.bytes(32)))
    }

    private mutating func account() -> AccountID { AccountID(random.int64(1...5)) }

    private mutating func name() -> Int {
        names += 1
        return names
    }

    private mutating func nextCommand() -> Command {
        guard let rules = state.rules else { return .defineMarket(History.rules) }
        // A closed market is dull.
        if state.status.phase != .open, random.chance(30) { return .setPhase(.open) }
        if hasTreasury, random.chance(12) { return .treasury(treasury()) }
        switch random.int(1...100) {
        case 1...8:
            return .deposit(account: account(), amount: Satoshis(random.int64(1...40_000)), reference: "Überweisung \(name())")
        case 9...14 where state.targets.count < 12:
            return .createPoolTarget(
                owner: account(), name: "Pool №\(name()) ✓", url: "stratum+tcp://pool.example:3333", user: "u.\(name())",
                password: random.chance(50) ? "" : "x")
        case 9...20:
            guard let target = target() else { return .advance }
            return .recordVerification(target: target.id, status: poolStatus())
        case 21...26 where state.rigs.count < 10:
            guard let target = target() else { return .advance }
            return .registerRig(
                owner: target.owner, name: "rig-\(name())", passwordDigest: random.bytes(32), fallback: target.id)
        case 21...36: return bid()
        case 37...45: return ask()
        case 46...49:
            guard let order = order() else { return .advance }
            return .cancelOrder(order.id, by: random.chance(50) ? nil : order.account)
        case 50...58:
            guard let rig = rig() else { return .advance }
            return .rigOnline(
                rig.id, edge: EdgeID(random.int64(1...2)), session: rig.lastSession + 1,
                versionMask: random.pick([0, 0, 0x1fff_e000, 0xffff_ffff]))
        case 59...60:
            guard let rig = rig() else { return .advance }
            return .rigOffline(rig.id, session: rig.lastSession)
        case 61...69:
            guard let rig = rig() else { return .advance }
            return .rigMeasured(
                rig.id, session: rig.lastSession, Hashrate(hashesPerSecond: random.int64(80_000...900_000)))
        case 70:
            guard let running = delivery(), running.isRunning else { return .advance }
            return .poolsUnusable(running.id, reason: "refused: ✗")
        case 71:
            guard let running = delivery(), running.isRunning else { return .advance }
            return .underDelivered(running.id, Hashrate(hashesPerSecond: running.hashrate.hashesPerSecond / 2))
        case 72: return .edgeStarted(EdgeID(random.int64(1...2)))
        case 73...84: return settle()
        case 85...90: return amend()
        case 91...95: return farm()
        case 96: return random.chance(30) ? .cancelAll(account(), random.pick([nil, .bid, .ask])) : silence()
        case 97: return .setPhase(random.pick([.cancelOnly, .halted]))
        case 98: return plan(rules)
        case 99: return .publishIndex(IndexPrice(price: Price(random.int64(200_000...2_000_000)), at: now))
        default: return .advance
        }
    }

    private mutating func treasury() -> TreasuryCommand {
        let by = AccountID(random.int64(1...9)), account = account(), amount = Satoshis(random.int64(1...9000))
        let transfers = state.transfers.values.sorted { $0.id < $1.id }
        if !transfers.isEmpty, random.chance(50) {
            let transfer = random.pick(transfers)
            switch random.int(1...10) {
            case 1...6: return .approve(transfer.id, account: transfer.account == nil && transfer.kind == .deposit ? account : nil, by: by)
            case 7...8: return .complete(transfer.id, reference: "Auszahlung \(name())", by: by)
            case 9: return .reject(transfer.id, reason: "unklar ✗", by: by)
            default: return .cancel(transfer.id, by: transfer.requestedBy)
            }
        }
        switch random.int(1...10) {
        case 1...4:
            return .recordDeposit(account: random.chance(60) ? account : nil, amount: amount, reference: "Eingang \(name())", by: by)
        case 5...7: return .requestWithdrawal(account: account, amount: amount, destination: "bc1q ✓", by: by)
        case 8:
            let other: LedgerAccount = random.pick([.loss, .suspense, .custody])
            return .proposeAdjustment([Posting(.available(account), amount), Posting(other, -amount)], reason: "Ausgleich", by: by)
        case 9:
            return .proposeReversal(
                entry: max(1, state.counters.entry - 1), kind: .adjustment,
                [Posting(.available(account), amount), Posting(.loss, -amount)], reason: "falsch", by: by)
        default:
            guard let frozen = state.freezes.keys.sorted().first else { return .freeze(account, true, reason: "Pfändung", by: by) }
            return .freeze(frozen, false, reason: "erledigt", by: by)
        }
    }

    private mutating func poolStatus() -> PoolStatus {
        switch random.int(1...10) {
        case 1: .unverified
        case 2: .failed(reason: "außer Betrieb")
        default:
            .verified(PoolCapabilities(
                extranonce2Size: random.pick([8, 8, 4]), versionMask: random.pick([0x1fff_e000, 0xffff_ffff]),
                difficulty: "0.001"))
        }
    }

    private mutating func bid() -> Command {
        let account = account()
        let own = state.targets.values.filter { $0.owner == account }.map(\.id).sorted()
        let lots = Lots(random.int64(1...9))
        return .placeBid(PlaceBid(
            account: account, clientOrderID: random.chance(30) ? "Gebot \(name())" : nil,
            price: Price(random.int64(100_000...3_000_000)), lots: lots,
            targets: Array(own.shuffled(using: &random).prefix(random.int(1...3))),
            budget: random.chance(40) ? Satoshis(random.int64(10...5000)) : nil,
            instructions: instructions(mayBeImmediate: true, lots: lots)))
    }

    private mutating func ask() -> Command {
        guard let rig = rig() else { return .advance }
        let schedule = random.chance(15) ? schedule() : nil
        return .placeAsk(PlaceAsk(
            account: rig.owner, clientOrderID: random.chance(30) ? "Angebot \(name())" : nil,
            price: Price(random.int64(50_000...2_000_000)), rig: rig.id,
            most: random.chance(30) ? Lots(random.int64(1...4)) : nil,
            instructions: instructions(mayBeImmediate: schedule == nil, lots: Lots(4)), schedule: schedule))
    }

    /// Mostly plain, each rule now and then.
    private mutating func instructions(mayBeImmediate: Bool, lots: Lots) -> Instructions {
        var instructions = Instructions(selfTrade: random.pick(SelfTradePrevention.allCases))
        if random.chance(20) { instructions.minimumFill = Lots(random.int64(1...lots.rawValue)) }
        if mayBeImmediate, random.chance(20) {
            instructions.timeInForce = random.pick([.immediateOrCancel, .fillOrKill])
            return instructions
        }
        if random.chance(20) {
            instructions.timeInForce = .goodTillDate
            instructions.expiresAt = now + .seconds(random.int64(5...120))
        }
        instructions.isPostOnly = random.chance(10)
        if random.chance(20) { instructions.displayed = Lots(random.int64(instructions.minimumFill.rawValue...lots.rawValue)) }
        if random.chance(20) {
            instructions.peg = Peg(
                reference: random.pick(PegReference.allCases), offset: random.int64(-300_000...300_000))
        }
        return instructions
    }

    /// Windows that open or close soon.
    private mutating func schedule() -> DailySchedule {
        DailySchedule(windows: (0..<random.int(1...2)).map { _ in
            let from = (now.minute + random.int64(-4...4) + 1440) % 1440
            return DailySchedule.Window(from: from, to: (from + random.pick([1, 3, 700])) % 1440)
        })
    }

    private mutating func amend() -> Command {
        guard let order = order() else { return .advance }
        var amendment = Amendment()
        if random.chance(40) { amendment.price = Price(max(1, order.limit.rawValue + random.int64(-200_000...200_000))) }
        if random.chance(20) { amendment.expiresAt = random.chance(30) ? .clear : .set(now + .seconds(random.int64(5...90))) }
        if random.chance(15) { amendment.minimumFill = Lots(random.int64(1...3)) }
        if random.chance(15) { amendment.displayed = random.chance(30) ? .clear : .set(Lots(random.int64(1...4))) }
        if order.instructions.peg != nil, random.chance(40) { amendment.offset = random.int64(-300_000...300_000) }
        switch order.details {
        case .bid(let bid):
            if random.chance(40) { amendment.lots = Lots(random.int64(1...9)) }
            if random.chance(20) { amendment.budget = random.chance(30) ? .clear : .set(Satoshis(random.int64(100...9000))) }
            if random.chance(20) { amendment.targets = Array(bid.targets.shuffled(using: &random).prefix(2)) }
        case .ask:
            if random.chance(40) { amendment.most = random.chance(40) ? .clear : .set(Lots(random.int64(1...5))) }
            if random.chance(20) { amendment.schedule = random.chance(50) ? .clear : .set(schedule()) }
        }
        return .amendOrder(order.id, by: random.chance(50) ? nil : order.account, amendment)
    }

    private mutating func farm() -> Command {
        let farms = state.farms.values.sorted { $0.id < $1.id }
        guard let rig = rig(), let farm = farms.isEmpty ? nil : random.pick(farms), farms.count > 2 || random.chance(80) else {
            return .createFarm(owner: rig()?.owner ?? account(), name: "Hof \(name())")
        }
        if hasFleets, random.chance(35) { return fleet(farm, rig) }
        switch random.int(1...10) {
        case 1...5:
            let own = farms.filter { $0.owner == rig.owner }
            return .assignRig(rig.id, owner: rig.owner, random.chance(80) && !own.isEmpty ? random.pick(own).id : nil)
        case 6...9:
            return .offerFarm(farm.id, owner: farm.owner, FarmOffer(
                price: Price(random.int64(50_000...2_000_000)), most: random.chance(30) ? Lots(random.int64(1...4)) : nil,
                instructions: instructions(mayBeImmediate: false, lots: Lots(1)),
                schedule: random.chance(20) ? schedule() : nil))
        default: return .withdrawFarm(farm.id, owner: random.chance(50) ? nil : farm.owner)
        }
    }

    /// Logins and their workers, curtailments, blocks.
    private mutating func fleet(_ farm: Farm, _ rig: Rig) -> Command {
        switch random.int(1...12) {
        case 1...3:
            let own = state.targets.values.filter { $0.owner == farm.owner }.map(\.id).min()
            return .fleet(.setLogin(farm.id, owner: farm.owner, FarmLoginChange(
                name: "hof\(farm.id)", passwordDigest: random.bytes(32), fallback: own, mostRigs: random.int64(1...9))))
        case 4...6: return .fleet(.registerWorker(farm.id, worker: "w\(random.int(1...3))"))
        case 7...8:
            return .fleet(.curtail(
                farm.id, by: nil, cap: Lots(random.int64(0...12)), ramp: .seconds(random.pick([0, 40])),
                until: random.chance(60) ? now + .seconds(random.int64(1...60)) : nil))
        case 9: return .fleet(.liftCurtailment(farm.id, by: farm.owner))
        case 10...11:
            guard let target = target() else { return .advance }
            return .blockFound(BlockReport(
                edge: EdgeID(1), receivedAt: now, rig: rig.id, delivery: delivery()?.id, target: target.id, hash: random.bytes(32),
                header: random.bytes(80), poolJob: "№ \(name())", isForwarded: random.chance(80)))
        default:
            guard let block = pick(state.blocks.values.sorted { $0.id < $1.id }) else { return .advance }
            return .blockJudged(block.report.hash, random.pick(BlockVerdict.allCases), poolError: random.int64(-1...30))
        }
    }

    private mutating func silence() -> Command {
        .cancelAllAfter(account(), random.chance(20) ? nil : .seconds(random.int64(1...90)))
    }

    /// Other fees, parts of rigs and terms from soon on.
    private mutating func plan(_ now: MarketRules) -> Command {
        var rules = now
        if random.chance(60) { rules.sellerFee = PartsPerMillion(random.int64(0...50_000)) }
        if random.chance(60) { rules.buyerFee = PartsPerMillion(random.int64(0...50_000)) }
        if random.chance(60) { rules.smallestSlice = random.pick([MarketRules.wholeRig, PartsPerMillion(250_000), PartsPerMillion(1)]) }
        if random.chance(40) { rules.term = random.pick([.seconds(20), .seconds(45)]) }
        if random.chance(20) { rules.mostOrders = random.int64(3...20) }
        return .scheduleRules(rules, effectiveAt: self.now + .seconds(random.int64(1...60)))
    }

    private mutating func settle() -> Command {
        runs += 1
        let totals = state.deliveries.values.sorted { $0.id < $1.id }.compactMap { delivery -> DeliveryTotal? in
            rigs[delivery.id] = delivery.rig
            guard random.chance(60) else { return nil }
            let more = random.int64(0...max(1, delivery.workCap(at: now, algorithm: .sha256d).units / 2))
            return DeliveryTotal(
                delivery: delivery.id, billableWork: Work(units: delivery.settledWork.units + more),
                isFinal: random.chance(40))
        }
        return hasBooks && random.chance(70) ? books(totals) : .settle(run: runs, chunk: 0, totals)
    }

    private mutating func books(_ totals: [DeliveryTotal]) -> Command {
        let now = now
        var list = totals.map { assessed($0.delivery, $0.billableWork.units, isFinal: $0.isFinal) }
        func chunk(_ totals: [AssessedTotal]) -> SettlementChunk {
            SettlementChunk(run: runs, chunk: 0, valueAt: now - .seconds(runs % 200), totals: totals)
        }
        switch random.int(1...10) {
        case 1: return .books(.closePeriod(through: Timestamp(microseconds: now.minute * 60_000_000), by: AccountID(9)))
        case 2...3:
            guard let past = pick(closed.deliveries.values.sorted { $0.id < $1.id }) else { return .advance }
            return .books(.credit(Credit(
                number: state.books.credits + 1, run: runs, delivery: past.id, buyer: past.buyer, seller: past.seller,
                fromMinute: now.minute - 5, toMinute: now.minute, charge: Satoshis(random.pick([-50, -3, 3, 500])),
                isBorneByMarket: random.chance(30), dispute: runs, by: AccountID(9), reason: "Gutschrift №\(runs)")))
        case 4...6: return .books(.settle(chunk(list)))
        default:
            var images: [ClosedDelivery] = []
            for _ in 0..<3 {
                guard let past = pick(closed.deliveries.keys.sorted()), !images.contains(where: { $0.delivery.id == past }),
                    let image = closed.closed(past, state)
                else { continue }
                images.append(image)
                list.append(assessed(past, image.delivery.settledWork.units + random.int64(-20...20), isFinal: true))
            }
            return .books(.trueUp(chunk(list), images, reopenings: state.books.reopenings))
        }
    }

    private mutating func assessed(_ id: DeliveryID, _ work: Int64, isFinal: Bool) -> AssessedTotal {
        let billable = max(0, work), minute = now.minute
        return AssessedTotal(
            delivery: id, fromMinute: minute - 5, toMinute: minute, billable: Work(units: billable),
            fault: Work(units: random.int64(0...billable / 3)),
            late: random.chance(40) ? [LateWork(fromMinute: minute - 10, toMinute: minute - 5, work: Work(units: 3))] : [],
            overDelivery: Work(units: random.chance(20) ? 4 : 0), faultExcess: Work(units: random.chance(20) ? 2 : 0), isFinal: isFinal)
    }

    // Choices must not depend on a dictionary's order.
    private mutating func target() -> PoolTarget? { pick(state.targets.values.sorted { $0.id < $1.id }) }
    private mutating func rig() -> Rig? { pick(state.rigs.values.sorted { $0.id < $1.id }) }
    private mutating func order() -> Order? { pick(state.orders.values.sorted { $0.id < $1.id }) }
    private mutating func delivery() -> Delivery? { pick(state.deliveries.values.sorted { $0.id < $1.id }) }
    private mutating func pick<T>(_ all: [T]) -> T? { all.isEmpty ? nil : random.pick(all) }
}

/// Follows a history as the service does: journal rows, and projections of any number of them.
public struct Follower {
    public private(set) var state: MarketState
    public private(set) var last: Int64 = 0
    private var projected: Int64 = 0
    private var appended: [(commands: [JournalledCommand], first: Int64)] = []

    public init() {
        state = MarketState()
        state.trackChanges()
    }

    /// The row that would commit these commands.
    public mutating func commit(_ commands: [JournalledCommand], epoch: Int64, at: Timestamp) -> JournalRow {
        for command in commands { for event in command.events { state.evolve(event) } }
        let row = JournalRow(
            first: last + 1, last: last + Int64(commands.count), epoch: epoch, rulesVersion: JournalBody.rulesVersion,
            at: at, stateHash: state.hash, body: JournalBody.encode(commands))
        appended.append((commands, row.first))
        last = row.last
        return row
    }

    /// Everything since the last projection.
    public mutating func projection(at: Timestamp) -> Projection {
        var rows = Appended()
        for batch in appended { rows.entries += Appended(batch.commands, first: batch.first).entries }
        defer {
            projected = last
            appended = []
        }
        return Projection(
            previous: projected, last: last, at: at, rulesVersion: JournalBody.rulesVersion, stateHash: state.hash,
            changes: state.takeChanges(), appended: rows)
    }
}

extension StateChanges {
    /// Nothing changed.
    public static var none: StateChanges {
        var state = MarketState()
        return state.takeChanges()
    }
}
