import Database
import Exchange
import Ledger
import Market
import MarketTestSupport
import OrderBook
import Settlement
import Store
import Testing
import Units

/// Every entity in every shape comes back as it went.
@Suite("Entities")
struct EntityTests {
    static let time = Timestamp(microseconds: 1_700_000_000_123_456)

    private func roundTrip(_ engine: Engine, _ fill: (inout StateChanges) -> Void) async throws -> StoredState {
        var loaded = StoredState()
        try await engine.withStorage { storage in
            loaded = try await storage.withTables { database in
                let store = TableStore(database)
                var changes = StateChanges.none
                fill(&changes)
                try await store.project(Projection(
                    previous: 0, last: 1, at: Self.time, rulesVersion: .max, stateHash: .max, changes: changes,
                    appended: Appended()))
                let stored = try await store.load()
                #expect(stored.rulesVersion == .max)
                #expect(stored.stateHash == .max)
                #expect(stored.at == Self.time)
                return stored.state
            }
        }
        return loaded
    }

    private static func identified<Kind, T>(_ items: [T], _ id: (T) -> Identifier<Kind>) -> [Identifier<Kind>: EntityChange<T>] {
        Dictionary(uniqueKeysWithValues: items.map { (id($0), .live($0)) })
    }

    @Test(arguments: Engine.allCases)
    func rulesAndCounters(_ engine: Engine) async throws {
        var counters = Counters()
        (counters.order, counters.delivery, counters.rig, counters.target) = (2, 3, 4, 5)
        (counters.entry, counters.stamp, counters.answer) = (6, .max, 8)
        (counters.farm, counters.tariff) = (9, 10)
        let filled = counters
        let state = try await roundTrip(engine) {
            $0.rules = Self.rules
            $0.counters = filled
        }
        #expect(state.rules == Self.rules)
        #expect(state.counters == filled)
        #expect(state.status == MarketStatus())
    }

    private static let rules: MarketRules = {
        var rules = MarketRules.sha256d
        (rules.smallestSlice, rules.mostOrders) = (PartsPerMillion(1), 77)
        return rules
    }()

    @Test(arguments: Engine.allCases, MarketPhase.allCases)
    func marketStatus(_ engine: Engine, _ phase: MarketPhase) async throws {
        let plans = [
            ScheduledRules(rules: .demo, effectiveAt: Self.time),
            ScheduledRules(rules: Self.rules, effectiveAt: Self.time + .seconds(1)),
        ]
        let status = MarketStatus(phase: phase, scheduled: plans, index: IndexPrice(price: Price(.max), at: Self.time))
        let state = try await roundTrip(engine) { $0.status = status }
        #expect(state.status == status)
        #expect(state.rules == nil)
    }

    @Test(arguments: Engine.allCases)
    func aLaterProgramsFormIsRefused(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                try await store.project(Projection(
                    previous: 0, last: 1, at: Self.time, rulesVersion: 2, stateHash: 0, changes: .none, appended: Appended()))
                _ = try await store.load()
                try storage.script("UPDATE market_state SET coding_version = 200")
                await #expect(throws: DatabaseError.self) { try await store.load() }
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func poolTargets(_ engine: Engine) async throws {
        let statuses: [PoolStatus] = [
            .unverified, .failed(reason: "Größe ≠ 8 \u{1F4A5}"), .failed(reason: ""),
            .verified(PoolCapabilities(extranonce2Size: 8, versionMask: .max, difficulty: "0.0000001")),
            .verified(PoolCapabilities(extranonce2Size: 4, versionMask: 0, difficulty: "")),
        ]
        let targets = statuses.enumerated().map { number, status in
            PoolTarget(
                id: PoolTargetID(Int64(number) + 1), owner: AccountID(.max), name: "n", url: "u'\"\\", user: "ü",
                password: "", status: status)
        }
        let state = try await roundTrip(engine) { $0.targets = Self.identified(targets, \.id) }
        #expect(Set(state.targets) == Set(targets))
    }

    @Test(arguments: Engine.allCases)
    func rigs(_ engine: Engine) async throws {
        let presences: [RigPresence] = [
            .offline(since: Timestamp(microseconds: 0)), .offline(since: Self.time),
            .online(edge: EdgeID(.max), session: .max, versionMask: .max),
            .online(edge: EdgeID(1), session: 1, versionMask: 0),
        ]
        let rigs = presences.enumerated().map { number, presence in
            Rig(
                id: RigID(Int64(number) + 1), owner: AccountID(2), user: "a2.r\(number)",
                passwordDigest: Array(0..<32), fallback: PoolTargetID(3), presence: presence, lastSession: 9,
                measured: Hashrate(hashesPerSecond: .max), ask: number % 2 == 0 ? OrderID(4) : nil,
                farm: number < 2 ? FarmID(5) : nil)
        }
        let state = try await roundTrip(engine) { $0.rigs = Self.identified(rigs, \.id) }
        #expect(Set(state.rigs) == Set(rigs))
    }

    /// Every rule of trading, on its own.
    private static let instructions: [Instructions] = {
        var shapes = TimeInForce.allCases.map { Instructions(timeInForce: $0, expiresAt: $0 == .goodTillDate ? time : nil) }
        shapes += SelfTradePrevention.allCases.map { Instructions(selfTrade: $0) }
        shapes += PegReference.allCases.map { Instructions(peg: Peg(reference: $0, offset: $0 == .index ? .min : .max)) }
        shapes += [
            Instructions(isPostOnly: true), Instructions(minimumFill: Lots(.max)), Instructions(displayed: Lots(1)),
            Instructions(minimumFill: Lots(4), displayed: Lots(5), peg: Peg(reference: .bestBid, offset: 0)),
        ]
        return shapes
    }()

    private static let schedules = [
        DailySchedule(windows: [.init(from: 0, to: 1440)]),
        DailySchedule(windows: [.init(from: 1320, to: 360), .init(from: 720, to: 780), .init(from: 1439, to: 0)]),
    ]

    private static let orders: [Order] = {
        var statuses: [OrderStatus] = [.active]
        statuses += SuspensionReason.allCases.map { .suspended($0) } + CloseReason.allCases.map { .closed($0) }
        let details: [OrderDetails] = [
            .bid(BidDetails(targets: [PoolTargetID(1)], budget: nil)),
            .bid(BidDetails(
                targets: [PoolTargetID(9), PoolTargetID(2), PoolTargetID(.max)], budget: Satoshis.supply,
                spent: Satoshis(77))),
            .ask(AskDetails(rig: RigID(6), most: nil)), .ask(AskDetails(rig: RigID(7), most: Lots(8), schedule: schedules[0])),
            .ask(AskDetails(rig: RigID(8), most: nil, schedule: schedules[1], farm: FarmID(.max))),
        ]
        var orders: [Order] = []
        for status in statuses {
            for detail in details {
                for instruction in instructions {
                    let number = Int64(orders.count) + 1
                    orders.append(Order(
                        id: OrderID(number), account: AccountID(2), clientOrderID: number % 3 == 0 ? "mein № \(number)" : nil,
                        price: Price(.max), limit: instruction.peg.map { _ in Price(number) }, lots: Lots(number % 5),
                        delivering: Lots(number % 2), shown: instruction.displayed == nil ? .zero : Lots(number % 4),
                        stamp: .max - number, since: .max - number * 2, instructions: instruction, status: status,
                        details: detail, placedAt: time, unsettled: number))
                }
            }
        }
        return orders
    }()

    @Test(arguments: Engine.allCases)
    func everyShapeOfAnOrder(_ engine: Engine) async throws {
        let state = try await roundTrip(engine) { $0.orders = Self.identified(Self.orders, \.id) }
        #expect(Set(state.orders) == Set(Self.orders))
    }

    @Test(arguments: Engine.allCases)
    func farms(_ engine: Engine) async throws {
        var offers: [FarmOffer?] = [nil]
        for instructions in Self.instructions where !instructions.timeInForce.isImmediate {
            offers.append(FarmOffer(price: Price(.max), instructions: instructions))
            offers.append(FarmOffer(price: Price(1), most: Lots(2), instructions: instructions, schedule: Self.schedules[1]))
        }
        let farms = offers.enumerated().map { number, offer in
            Farm(id: FarmID(Int64(number) + 1), owner: AccountID(.max), name: "Hof № \(number)", offer: offer)
        }
        let state = try await roundTrip(engine) { $0.farms = Self.identified(farms, \.id) }
        #expect(Set(state.farms) == Set(farms))
    }

    @Test(arguments: Engine.allCases)
    func silences(_ engine: Engine) async throws {
        let silences = [AccountID(1): Self.time, AccountID(.max): Timestamp(microseconds: .max)]
        let state = try await roundTrip(engine) { changes in
            changes.silences = silences.mapValues { .live($0) }
            changes.silences[AccountID(2)] = .gone(Self.time)
        }
        #expect(Dictionary(uniqueKeysWithValues: state.silences.map { ($0.0, $0.1) }) == silences)
    }

    @Test(arguments: Engine.allCases)
    func fleets(_ engine: Engine) async throws {
        let digest = Array(UInt8(0)..<32)
        let logins = [Int64(1), .max].map {
            FarmLogin(farm: FarmID($0), user: "a\($0).Hof", passwordDigest: digest, fallback: PoolTargetID(.max), mostRigs: 100_000)
        }
        let curtailments = [
            Curtailment(farm: FarmID(1), cap: .zero, ramp: .zero, since: Self.time),
            Curtailment(
                farm: FarmID(.max), cap: Lots(.max), ramp: .seconds(60), since: Self.time, until: Self.time + .seconds(9),
                liftedAt: Self.time + .seconds(5)),
        ]
        let cuts = [RigID(1): CutRig(farm: FarmID(1)), RigID(.max): CutRig(farm: FarmID(.max), returnsAt: Self.time)]
        let state = try await roundTrip(engine) { changes in
            changes.farmLogins = Self.identified(logins, \.farm)
            changes.curtailments = Self.identified(curtailments, \.farm)
            changes.curtailments[FarmID(2)] = .gone(Curtailment(farm: FarmID(2), cap: .zero, ramp: .zero, since: Self.time))
            changes.cuts = cuts.mapValues { .live($0) }
            changes.cuts[RigID(2)] = .gone(CutRig(farm: FarmID(1)))
        }
        #expect(Set(state.farmLogins) == Set(logins))
        #expect(Set(state.curtailments) == Set(curtailments))
        #expect(Dictionary(uniqueKeysWithValues: state.cuts.map { ($0.0, $0.1) }) == cuts)
    }

    @Test(arguments: Engine.allCases)
    func blocks(_ engine: Engine) async throws {
        let blocks = BlockVerdict.allCases.map { verdict in
            let number = Int64(verdict.rawValue)
            return Block(
                id: BlockID(number),
                report: BlockReport(
                    edge: EdgeID(1), receivedAt: Self.time, rig: RigID(.max), delivery: number == 1 ? nil : DeliveryID(.max),
                    target: PoolTargetID(2), hash: Array(repeating: UInt8(number), count: 32), header: Array(100..<180),
                    poolJob: "№ \(number)", isForwarded: number % 2 == 0),
                owner: AccountID(1), seller: AccountID(.max), verdict: verdict, poolError: -number)
        }
        let state = try await roundTrip(engine) { $0.blocks = Self.identified(blocks, \.id) }
        #expect(Set(state.blocks) == Set(blocks))
    }

    /// A withdrawn offer, a fixed price after a pegged one, an order without its expiry: nothing of the old image stays.
    @Test(arguments: Engine.allCases)
    func aLaterImageReplacesAllOfTheEarlier(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let store = TableStore(database)
                let offer = FarmOffer(
                    price: Price(5), most: Lots(2), instructions: try #require(Self.instructions.last),
                    schedule: Self.schedules[0])
                var farm = Farm(id: FarmID(1), owner: AccountID(1), name: "f", offer: offer)
                var order = try #require(Self.orders.last)
                for last in Int64(1)...2 {
                    var changes = StateChanges.none
                    changes.farms = [farm.id: .live(farm)]
                    changes.orders = [order.id: .live(order)]
                    changes.silences = [AccountID(1): last == 1 ? .live(Self.time) : .gone(Self.time)]
                    try await store.project(Projection(
                        previous: last - 1, last: last, at: Self.time, rulesVersion: 2, stateHash: 0, changes: changes,
                        appended: Appended()))
                    let state = try await store.load().state
                    #expect(state.farms == [farm])
                    #expect(state.orders == [order])
                    #expect(state.silences.count == (last == 1 ? 1 : 0))
                    farm.offer = nil
                    (order.instructions, order.limit, order.shown) = (Instructions(), order.price, .zero)
                    order.details = .ask(AskDetails(rig: RigID(8), most: nil))
                    order.status = .active
                }
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func everyShapeOfADelivery(_ engine: Engine) async throws {
        var phases: [DeliveryPhase] = [.running]
        phases += EndCause.allCases.map { .ended(at: Self.time + .seconds(1), cause: $0) }
        let deliveries = phases.enumerated().map { number, phase in
            Delivery(
                id: DeliveryID(Int64(number) + 1), bid: OrderID(2), ask: OrderID(3), rig: RigID(4), buyer: AccountID(5),
                seller: AccountID(6), lots: Lots(7), hashrate: Hashrate(hashesPerSecond: .max),
                terms: Terms(
                    price: Price(8), priceUnit: Hashrate(hashesPerSecond: 9), sellerFee: PartsPerMillion(1_000_000),
                    buyerFee: PartsPerMillion(0)),
                tariff: Int64(number) + 1, openedAt: Self.time, expiresAt: Self.time + .seconds(3600),
                isShortened: number % 2 == 1, maxDifficulty: ShareDifficulty(units: 1 << 50),
                allowance: Work(units: 12), hold: Satoshis(14), held: Satoshis(number == 0 ? 0 : 13),
                settledWork: Work(units: .max), charged: Satoshis(15), phase: phase)
        }
        let state = try await roundTrip(engine) { $0.deliveries = Self.identified(deliveries, \.id) }
        #expect(Set(state.deliveries) == Set(deliveries))
    }

    @Test(arguments: Engine.allCases)
    func whatHasLeftTheStateIsKeptButNotLoaded(_ engine: Engine) async throws {
        let order = Self.orders[0]
        let state = try await roundTrip(engine) { $0.orders = [order.id: .gone(order)] }
        #expect(state.orders.isEmpty)
    }

    @Test(arguments: Engine.allCases)
    func money(_ engine: Engine) async throws {
        let balances: [LedgerAccount: Satoshis] = [
            .available(AccountID(1)): Satoshis(.max), .held(AccountID(.max)): .zero, .custody: Satoshis(.min),
            .fees: Satoshis(3), .loss: Satoshis(-4),
        ]
        let deposits = [
            DepositKey(account: AccountID(1), reference: "Über'weisung"): Satoshis(1),
            DepositKey(account: AccountID(2), reference: "Über'weisung"): Satoshis.supply,
        ]
        let billings = [
            BillingKey(bid: OrderID(1), ask: OrderID(2), rig: RigID(3)): Billing(
                totals: BillingTotals(
                    weightedWork: .max, charge: Satoshis(6), sellerFee: Satoshis(5), buyerFee: Satoshis(4)),
                sellerFee: PartsPerMillion(7), buyerFee: PartsPerMillion(8), unsettled: 9),
            BillingKey(bid: OrderID(1), ask: OrderID(2), rig: RigID(3), tariff: .max): Billing(
                totals: BillingTotals(
                    weightedWork: 1, charge: Satoshis(2), sellerFee: Satoshis(1), buyerFee: Satoshis(2)),
                sellerFee: PartsPerMillion(500_000), buyerFee: PartsPerMillion(1_000_000), unsettled: 1),
            BillingKey(bid: OrderID(1), ask: OrderID(2), rig: RigID(4)): Billing(
                totals: BillingTotals(), sellerFee: PartsPerMillion(0), buyerFee: PartsPerMillion(0), unsettled: 0),
        ]
        let state = try await roundTrip(engine) { changes in
            changes.balances = balances.mapValues { .live($0) }
            changes.deposits = deposits.mapValues { .live($0) }
            changes.billings = billings.mapValues { .live($0) }
        }
        #expect(Dictionary(uniqueKeysWithValues: state.balances.map { ($0.0, $0.1) }) == balances)
        #expect(Dictionary(uniqueKeysWithValues: state.deposits.map { ($0.0, $0.1) }) == deposits)
        #expect(Dictionary(uniqueKeysWithValues: state.billings.map { ($0.0, $0.1) }) == billings)
    }

    @Test(arguments: Engine.allCases)
    func answers(_ engine: Engine) async throws {
        var outcomes: [Outcome] = [
            .done, .poolTarget(PoolTargetID(1)), .rig(RigID(2), user: "a1.rig"), .order(OrderID(.max)), .entry(3),
            .farm(FarmID(4)), .cancelled(5),
        ]
        outcomes += Rejection.allCases.map { .rejected($0) }
        var answers: [AnswerKey: RecordedAnswer] = [:]
        for (number, outcome) in outcomes.enumerated() {
            answers[AnswerKey(account: AccountID(1), key: "k\(number)")] = RecordedAnswer(
                number: Int64(number) + 1, digest: number == 0 ? [] : Array(0..<32), outcome: outcome)
        }
        let filled = answers
        let state = try await roundTrip(engine) { $0.answers = filled.mapValues { .live($0) } }
        #expect(Dictionary(uniqueKeysWithValues: state.answers.map { ($0.0, $0.1) }) == answers)
    }
}
