import Exchange
import OrderBook
import Testing
import Units

/// Numbers at the ends of what can be written, in every field that a stranger can fill.
@Suite struct LimitsTests {
    static let extremes: [Int64] = [.min, .min + 1, -1, 0, 1, 1 << 32, 1 << 52, 1 << 62, .max - 1, .max]

    /// o1 sells in parts to o2, o3 is an iceberg, o4 a peg; farm 1 offers rig 2.
    private static func market(_ rules: MarketRules = Scenario.parts) -> Scenario {
        var s = Scenario(rules: rules)
        s.sell(3, lots: 10, 90, at: 1)
        s.bid(1, 100, 4, at: 1)
        s.bid(2, 80, 9, .iceberg(3).atLeast(2), budget: 100_000, at: 1)
        s.bid(4, 120, 2, .peg(.bestBid, -1), at: 1)
        s.send(.createFarm(owner: AccountID(3), name: "f"), at: 1)
        s.rig(3, lots: 5)
        s.send(.assignRig(RigID(2), owner: AccountID(3), FarmID(1)), at: 1)
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(150))), at: 1)
        return s
    }

    private static func instructions(_ n: Int64) -> [Instructions] {
        [
            Instructions(timeInForce: .goodTillDate, expiresAt: Timestamp(microseconds: n)), .atLeast(n), .iceberg(n),
            .iceberg(n).atLeast(n), .peg(.bestBid, n), .peg(.index, n), .fok.atLeast(n),
        ]
    }

    private static func commands(_ n: Int64) -> [Command] {
        let one = AccountID(1), three = AccountID(3), pool = [PoolTargetID(1)], price = Price(100), lots = Lots(2)
        let schedule = DailySchedule(windows: [.init(from: n, to: 5), .init(from: 5, to: n)])
        var commands: [Command] = [
            .placeBid(PlaceBid(account: one, price: Price(n), lots: lots, targets: pool)),
            .placeBid(PlaceBid(account: one, price: price, lots: Lots(n), targets: pool)),
            .placeBid(PlaceBid(account: one, price: Price(n), lots: Lots(n), targets: pool, instructions: .fok)),
            .placeBid(PlaceBid(account: one, price: price, lots: lots, targets: pool, budget: Satoshis(n))),
            .placeBid(PlaceBid(account: AccountID(n), price: price, lots: lots, targets: [PoolTargetID(n)])),
            .placeAsk(PlaceAsk(account: three, price: Price(n), rig: RigID(3))),
            .placeAsk(PlaceAsk(account: three, price: price, rig: RigID(3), most: Lots(n))),
            .placeAsk(PlaceAsk(account: AccountID(n), price: price, rig: RigID(n))),
            .placeAsk(PlaceAsk(account: three, price: price, rig: RigID(3), schedule: schedule)),
            .cancelOrder(OrderID(n), by: AccountID(n)), .cancelAll(AccountID(n), nil),
            .cancelAllAfter(one, Interval(microseconds: n)), .cancelAllAfter(AccountID(n), .seconds(5)),
            .publishIndex(IndexPrice(price: Price(n), at: Timestamp(microseconds: n))),
            .createFarm(owner: AccountID(n), name: "f"), .assignRig(RigID(n), owner: three, FarmID(n)),
            .offerFarm(FarmID(n), owner: AccountID(n), FarmOffer(price: price)), .withdrawFarm(FarmID(n), owner: AccountID(n)),
            .offerFarm(FarmID(1), owner: three, FarmOffer(price: Price(n))),
            .offerFarm(FarmID(1), owner: three, FarmOffer(price: price, most: Lots(n))),
            .offerFarm(FarmID(1), owner: three, FarmOffer(price: price, schedule: schedule)),
            .deposit(account: one, amount: Satoshis(n), reference: "n"),
            .deposit(account: AccountID(n), amount: Satoshis(1), reference: "n"),
            .rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: n)),
            .rigMeasured(RigID(3), session: n, Hashrate(hashesPerSecond: n)),
            .rigOnline(RigID(1), edge: EdgeID(n), session: n, versionMask: .max), .rigOffline(RigID(n), session: n),
            .underDelivered(DeliveryID(1), Hashrate(hashesPerSecond: n)), .underDelivered(DeliveryID(n), Hashrate(hashesPerSecond: 0)),
            .poolsUnusable(DeliveryID(n), reason: ""), .edgeStarted(EdgeID(n)),
            .settle(run: n, chunk: n, [DeliveryTotal(delivery: DeliveryID(1), billableWork: Work(units: n), isFinal: true)]),
            .settle(run: n, chunk: n, [DeliveryTotal(delivery: DeliveryID(n), billableWork: Work(units: n), isFinal: true)]),
            .scheduleRules(Scenario.rules, effectiveAt: Timestamp(microseconds: n)),
            .scheduleRules(Scenario.rules { $0.smallestSlice = PartsPerMillion(n) }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.mostOrders = n }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.mostLots = Lots(n) }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.tick = n }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.highestPrice = Price(n) }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.lowestPrice = Price(n) }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.minimumOrderValue = Satoshis(n) }, effectiveAt: Scenario.start + .seconds(5)),
            .scheduleRules(Scenario.rules { $0.buyerFee = PartsPerMillion(n) }, effectiveAt: Scenario.start + .seconds(5)),
        ]
        for how in instructions(n) {
            commands.append(.placeBid(PlaceBid(account: one, price: price, lots: lots, targets: pool, instructions: how)))
            commands.append(.placeAsk(PlaceAsk(account: three, price: price, rig: RigID(3), instructions: how)))
            commands.append(.offerFarm(FarmID(1), owner: three, FarmOffer(price: price, instructions: how)))
        }
        let amendments: [Amendment] = [
            .price(n), .lots(n), .most(n), .pools(n), .budget(n), Amendment(expiresAt: .set(Timestamp(microseconds: n))), .atLeast(n),
            .displayed(n), .schedule(schedule), .offset(n), Amendment(price: Price(n), lots: Lots(n)),
            Amendment(lots: Lots(n), minimumFill: Lots(n), displayed: .set(Lots(n))),
        ]
        for order in [1, 2, 3, 4, n] {
            for amendment in amendments { commands.append(.amendOrder(OrderID(order), by: nil, amendment)) }
        }
        return commands
    }

    @Test(arguments: extremes)
    func extremesAreRefusedOrFine(_ n: Int64) {
        var market = Self.market()
        market.rig(3, lots: 3, at: 1)
        for command in Self.commands(n) {
            var s = market
            let before = s.state.hash
            if case .rejected = s.send(command, at: 1) { #expect(s.state.hash == before, "\(command)") }
            s.bid(2, 120, 9, at: 2)
            for second in [6, 70, 700] as [Int64] { s.advance(to: second) }
            #expect(s.state.ledgerTotal == 0)
        }
    }

    /// The largest rules there can be, so that lots x price x term are at their limits too.
    @Test func theLargestMarketTakesEveryOrder() {
        let rules = Scenario.rules {
            $0.lot = Hashrate(hashesPerSecond: 9_000_000)
            $0.priceUnit = Hashrate(hashesPerSecond: 1_000_000_000_000_000_000)
            ($0.mostLots, $0.highestPrice, $0.term) = (Lots(1_000_000_000_000), Price(.max), .day)
            ($0.sellerFee, $0.buyerFee, $0.smallestSlice) = (PartsPerMillion(1_000_000), PartsPerMillion(1_000_000), PartsPerMillion(1))
            ($0.tick, $0.minimumDifficulty) = (1, ShareDifficulty(units: 1 << 52))
        }
        var s = Scenario(funds: 500_000_000_000_000, rules: rules)
        s.rig(3, lots: 1)
        s.send(.rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: .max)), at: 1)
        s.ask(3, rig: 1, 1, at: 1)
        let kinds: [Instructions] = [
            .init(), .fok, .ioc, .postOnly, .iceberg(1), .atLeast(1_000_000_000_000), .until(80_000), .peg(.index, 1_000_000_000_000_000),
        ]
        s.index(1_000_000_000_000_000, at: 1)
        for how in kinds {
            let most: Int64 = 1_000_000_000_000
            for (price, lots) in [(.max, most), (1, most), (.max, 1), (1_000_000_000, 1_000_000)] as [(Int64, Int64)] {
                s.bid(1, price, lots, how, at: 2)
                s.bid(2, price, lots, how, budget: 2_100_000_000_000_000, at: 2)
            }
        }
        for second in [3, 100_000, 200_000] as [Int64] { s.advance(to: second) }
        #expect(s.state.ledgerTotal == 0)
        #expect(s.market.auditor.fills > 0)
    }
}
