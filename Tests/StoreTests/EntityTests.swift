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
                    previous: 0, last: 1, at: Self.time, stateHash: .max, changes: changes, appended: Appended()))
                let stored = try await store.load()
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
        let filled = counters
        let state = try await roundTrip(engine) {
            $0.rules = .sha256d
            $0.counters = filled
        }
        #expect(state.rules == .sha256d)
        #expect(state.counters == filled)
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
                delivery: number < 2 ? DeliveryID(5) : nil)
        }
        let state = try await roundTrip(engine) { $0.rigs = Self.identified(rigs, \.id) }
        #expect(Set(state.rigs) == Set(rigs))
    }

    private static let orders: [Order] = {
        var statuses: [OrderStatus] = [.active]
        statuses += SuspensionReason.allCases.map { .suspended($0) } + CloseReason.allCases.map { .closed($0) }
        var details: [OrderDetails] = []
        for timeInForce in TimeInForce.allCases {
            details.append(.bid(BidDetails(targets: [PoolTargetID(1)], timeInForce: timeInForce, budget: nil)))
            details.append(.bid(BidDetails(
                targets: [PoolTargetID(9), PoolTargetID(2), PoolTargetID(.max)], timeInForce: timeInForce,
                budget: Satoshis.supply, spent: Satoshis(77))))
        }
        details += [.ask(AskDetails(rig: RigID(6), most: nil)), .ask(AskDetails(rig: RigID(7), most: Lots(8)))]
        var orders: [Order] = []
        for status in statuses {
            for detail in details {
                for prevention in SelfTradePrevention.allCases {
                    let number = Int64(orders.count) + 1
                    orders.append(Order(
                        id: OrderID(number), account: AccountID(2), clientOrderID: number % 3 == 0 ? "mein № \(number)" : nil,
                        price: Price(.max), lots: Lots(number % 5), delivering: Lots(number % 2), stamp: .max - number,
                        selfTrade: prevention, status: status, details: detail, placedAt: time, unsettled: number))
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
                openedAt: Self.time, expiresAt: Self.time + .seconds(3600), maxDifficulty: ShareDifficulty(units: 1 << 50),
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
                    weightedWork: .max, charge: Satoshis(4), sellerFee: Satoshis(5), buyerFee: Satoshis(6)),
                sellerFee: PartsPerMillion(7), buyerFee: PartsPerMillion(8), unsettled: 9),
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
