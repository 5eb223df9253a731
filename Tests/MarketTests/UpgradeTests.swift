import Database
import Exchange
import Ledger
import Market
import MarketTestSupport
import OrderBook
import Settlement
import Store
import TestSupport
import Testing
import Units

/// A database of the first version goes on under this one.
@Suite("Upgrade")
struct UpgradeTests {
    /// The time of the old journal's last row.
    private static let end = History.start + .seconds(23)

    private func upgraded(
        _ engine: Engine, withTables: Bool, _ body: (TestMarket) async throws -> Void
    ) async throws {
        try await engine.withStorage(schema: 1) { storage in
            try VersionOne.write(to: storage, withTables: withTables)
            try storage.migrate()
            let clock = ManualClock()
            clock.now = Self.end
            try await TestMarket.with(storage, clock: clock) { try await body($0) }
        }
    }

    /// What the first version's state was, in this one's words.
    private func checkState(_ market: TestMarket) {
        market.writer.read { state in
            #expect(state.rules == History.rules)
            #expect(state.rules?.smallestSlice == MarketRules.wholeRig)
            #expect(state.status == MarketStatus())
            var counters = Counters()
            (counters.order, counters.delivery, counters.rig, counters.target) = (8, 4, 4, 4)
            (counters.entry, counters.stamp, counters.answer) = (8, 8, 6)
            #expect(state.counters == counters)

            #expect(state.rigs.count == 3)
            #expect(state.rigs[RigID(1)]?.ask == OrderID(1))
            #expect(state.rigs.values.allSatisfy { $0.farm == nil })
            #expect(state.deliveries(on: RigID(1)).map(\.id) == [DeliveryID(3)])

            #expect(state.orders.keys.sorted() == [1, 2, 3, 4, 6].map { OrderID($0) })
            let main = Order(
                id: OrderID(4), account: AccountID(1), clientOrderID: "main", price: Price(2_000_000), lots: Lots(3),
                delivering: Lots(3), stamp: 4, instructions: Instructions(selfTrade: .cancelResting),
                details: .bid(BidDetails(
                    targets: [PoolTargetID(3), PoolTargetID(1)], budget: Satoshis(900_000), spent: Satoshis(58))),
                placedAt: History.start, unsettled: 1)
            #expect(state.orders[OrderID(4)] == main)
            let offer = Order(
                id: OrderID(2), account: AccountID(2), clientOrderID: "offer", price: Price(1_000_000), lots: Lots(2),
                stamp: 2, instructions: Instructions(selfTrade: .cancelBoth), status: .suspended(.rigOffline),
                details: .ask(AskDetails(rig: RigID(2), most: Lots(2))), placedAt: History.start)
            #expect(state.orders[OrderID(2)] == offer)

            #expect(state.deliveries.count == 1)
            let delivery = state.deliveries[DeliveryID(3)]
            #expect(delivery?.tariff == 1)
            #expect(delivery?.isShortened == false)
            #expect(delivery?.settledWork == Work(units: 5))
            #expect(state.billings.keys.sorted() == [BillingKey(bid: OrderID(4), ask: OrderID(1), rig: RigID(1))])
            #expect(state.balance(.available(AccountID(1))) == Satoshis(999_778))
            #expect(state.balance(.held(AccountID(1))) == Satoshis(119))
            #expect(state.balance(.available(AccountID(2))) == Satoshis(103))
            #expect(state.ledgerTotal == 0)
        }
    }

    private func checkTables(_ market: TestMarket, isMetered: Bool = false) async throws {
        await market.service.projected()
        let positions = try market.storage.positions()
        #expect(positions.tables == positions.journal)
        let stored = try await TableStore(market.database).load()
        #expect(try MarketState(restoring: stored.state).hash == market.hash)
        #expect(try await Audit(market.database).run().filter {
            $0.violations != 0 && $0.invariant != "billed work is not above verified work"
        } == [])
    }

    @Test(arguments: Engine.allCases)
    func tablesAndTailAreRead(_ engine: Engine) async throws {
        try await upgraded(engine, withTables: true) { market in
            checkState(market)
            #expect(try market.storage.positions().journal == VersionOne.last)
            try await checkTables(market)
            // Orders that are over are read too.
            let reports = ReportStore(market.database)
            let immediate = try #require(try await reports.order(OrderID(5)))
            #expect(immediate.instructions == Instructions(timeInForce: .immediateOrCancel, selfTrade: .cancelIncoming))
            #expect(immediate.status == .closed(.immediateRemainder))
            #expect(immediate.limit == Price(1_500_000))
            let deliveries = try await reports.deliveries(account: nil, after: 0, limit: 10)
            #expect(deliveries.map(\.delivery.tariff) == [1, 1, 1])
            #expect(try await reports.settlementLines(account: nil, after: 0, limit: 10).map(\.charge.rawValue) == [25, 15, 29, 30, 4])
        }
    }

    /// The journal alone gives what the tables and its tail give.
    @Test(arguments: Engine.allCases)
    func tablesAreMadeAnewFromTheJournal(_ engine: Engine) async throws {
        var hashes: [UInt64] = []
        for withTables in [true, false] {
            try await upgraded(engine, withTables: withTables) { market in
                checkState(market)
                try await checkTables(market)
                hashes.append(market.hash)
            }
        }
        #expect(Set(hashes).count == 1)
    }

    @Test(arguments: Engine.allCases)
    func aTailOfItsOwnIsCheckedAgainAfterTheFirstRow(_ engine: Engine) async throws {
        try await engine.withStorage(schema: 1) { storage in
            try VersionOne.write(to: storage, withTables: true)
            try storage.migrate()
            #expect(try storage.query("SELECT rules_version FROM projector") == [SQLRow([1])])
            #expect(try storage.query("SELECT coding_version, status FROM market_state") == [SQLRow([1, nil])])
            let clock = ManualClock()
            clock.now = Self.end
            try await TestMarket.with(storage, clock: clock) { market in
                // The first version's tail says nothing that this one could compare with.
                #expect(try storage.query("SELECT rules_version FROM projector") == [SQLRow([1])])
                try await market.deposit("first row of the new version")
                await market.service.projected()
                #expect(try storage.query("SELECT rules_version FROM projector") == [SQLRow([3])])
                #expect(try storage.query("SELECT coding_version FROM market_state") == [SQLRow([3])])
                let versions = try storage.query("SELECT rules_version FROM journal ORDER BY last", in: storage.journal)
                #expect(try versions.map { try $0.int64(0) } == [1, 1, 1, 1, 1, 3])
            }
            try await TestMarket.with(storage, clock: clock) { #expect($0.available(1) == Satoshis(1_000_778)) }
            // Now it is compared.
            try storage.script("UPDATE projector SET state_hash = state_hash + 1")
            await #expect(throws: MarketStartError.self) { try await TestMarket.with(storage, clock: clock) { _ in } }
        }
    }

    @Test(arguments: Engine.allCases)
    func tradingGoesOn(_ engine: Engine) async throws {
        try await upgraded(engine, withTables: true) { market in
            // An answer that the first version gave.
            #expect(market.writer.read { $0.answers[AnswerKey(account: AccountID(1), key: "bid")]?.outcome } == .order(OrderID(4)))
            // Its delivery's term ends, the pair meets again.
            market.clock.now = Self.end + .seconds(19)
            try await eventually("the next term") {
                market.writer.read { $0.deliveries(on: RigID(1)).first?.id } == DeliveryID(4)
            }
            #expect(market.writer.read { $0.deliveries[DeliveryID(3)]?.phase } == .ended(
                at: History.start + .seconds(41), cause: .term))
            // New rules of trading, on old rigs.
            try await market.submit(.rigOnline(RigID(2), edge: EdgeID(1), session: 2, versionMask: 0))
            #expect(market.writer.read { $0.orders[OrderID(2)]?.status } == .active)
            var rules = History.rules
            (rules.sellerFee, rules.smallestSlice) = (PartsPerMillion(500_000), PartsPerMillion(1))
            try await market.submit(.scheduleRules(rules, effectiveAt: market.clock.now + .seconds(1)))
            market.clock.now = market.clock.now + .seconds(1)
            try await eventually("the new fees") { market.writer.read { $0.counters.tariff } == 2 }
            try await market.submit(.amendOrder(OrderID(6), by: AccountID(1), Amendment(
                price: Price(1_000_000), expiresAt: .set(market.clock.now + .seconds(10)))))
            let sold = try #require(market.writer.read { $0.deliveries(on: RigID(2)).first })
            #expect(sold.bid == OrderID(6))
            #expect(sold.tariff == 2)
            #expect(sold.expiresAt == market.clock.now + .seconds(10))
            // A rig of the first version joins a farm.
            #expect(try await market.submit(.createFarm(owner: AccountID(2), name: "farm")) == .farm(FarmID(1)))
            try await market.submit(.assignRig(RigID(3), owner: AccountID(2), FarmID(1)))
            try await market.submit(.settle(run: 4, chunk: 0, [
                DeliveryTotal(delivery: DeliveryID(3), billableWork: Work(units: 70), isFinal: true),
                DeliveryTotal(delivery: sold.id, billableWork: Work(units: 3), isFinal: false),
            ]))
            try await checkTables(market)
        }
    }
}
