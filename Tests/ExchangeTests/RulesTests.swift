import Exchange
import Ledger
import OrderBook
import Testing
import Units

/// Rules that take effect later. A second of a lot costs 1000 sat at 86,400,000; a unit of work 65.536 sat.
@Suite struct RulesTests {
    private static let price: Int64 = 86_400_000
    private static let dearer = Scenario.rules {
        ($0.sellerFee, $0.buyerFee) = (PartsPerMillion(20_000), PartsPerMillion(30_000))
    }

    /// d1 runs from 50 s to 110 s, d2 after it; the rules change at 100 s.
    private func market(_ rules: MarketRules) -> Scenario {
        var s = Scenario()
        s.sell(3, lots: 1, Self.price, at: 50)
        s.bid(1, Self.price, 1, at: 50)
        s.plan(rules, from: 100, at: 51)
        s.advance(to: 110)
        return s
    }

    @Test func theyChangeAtTheirTime() {
        var s = Scenario()
        #expect(s.plan(Self.dearer, from: 100, at: 1) == .done)
        #expect(s.market.exchange.nextDeadline.map(Scenario.seconds) == 100)
        s.advance(to: 99)
        #expect(s.state.rules == Scenario.rules)
        s.advance(to: 100)
        #expect(s.state.rules == Self.dearer)
        #expect(s.news() == ["rules planned for 100 s", "rules changed"])
    }

    /// 915 units are 59,965 sat: 1 % of it is 599, 2 % is 1199 and 3 % is 1798.
    @Test func deliveriesKeepTheFeesOfTheirFill() {
        var s = market(Self.dearer)
        s.settle(1, units: 915, at: 120)
        #expect(s.available(3) == 1_000_000_000 + 59_965 - 599)
        #expect(s.state.balance(.fees) == Satoshis(2 * 599))
        s.advance(to: 170)
        s.settle(2, units: 915, at: 171)
        #expect(s.available(3) == 1_000_000_000 + 2 * 59_965 - 599 - 1199)
        #expect(s.state.balance(.fees) == Satoshis(2 * 599 + 1199 + 1798))
        s.cancel(2, at: 172)
        for id in Int64(1)...3 { s.settle(id, units: 915, final: true, at: 180) }
        // d3 ran for two seconds: 32 units and the 600 of 20 shares. With d2's they are 1547: 101,384 sat and a fee of 3041.
        #expect(s.available(1) == 1_000_000_000 - 59_965 - 599 - 101_384 - 3041)
    }

    /// One unit is 65 sat and two are 131: the pair's second unit costs 66, or 65 again under other fees.
    @Test func totalsAreKeptPerTariff() {
        for (rules, second) in [(Self.dearer, 65), (Scenario.rules { $0.term = .seconds(30) }, 66)] {
            var s = market(rules)
            _ = s.news()
            s.settle(1, units: 1, at: 120)
            s.settle(2, units: 1, at: 120)
            #expect(s.news() == ["d1 charged 65", "d2 charged \(second)"])
        }
    }

    @Test func aNewTermIsForNewDeliveries() {
        var s = market(Scenario.rules { $0.term = .seconds(30) })
        #expect(s.news().suffix(3) == ["rules changed", "d1 ended at 110 s: term", "d2: o2 buys 1 of o1 at 86400000, 110 to 140 s"])
    }

    @Test func aSmallerSliceSellsWhatWasTooLarge() {
        var s = Scenario()
        s.sell(3, lots: 10, 90, at: 1)
        s.bid(1, 100, 3, at: 1)
        s.plan(Scenario.parts, from: 100, at: 2)
        s.plan(Scenario.rules, from: 110, at: 2)
        _ = s.news()
        s.advance(to: 100)
        #expect(s.news() == ["rules changed", "d1: o2 buys 3 of o1 at 90, 100 to 160 s"])
        s.advance(to: 110)
        // Seven lots are less than the whole rig and are sold as a whole.
        s.bid(2, 100, 6, at: 111)
        s.bid(4, 100, 7, at: 112)
        #expect(s.news() == ["rules changed", "o3 placed", "o4 placed", "d2: o4 buys 7 of o1 at 90, 112 to 172 s"])
    }

    /// o1's rig is back at 62 s too, and cheaper than o4's.
    @Test func endsOfTheSameInstantReturnFirst() {
        var s = Scenario()
        s.sell(3, lots: 10, 90, at: 1)
        s.bid(1, 100, 3, at: 2)
        s.bid(2, 95, 10, at: 2)
        s.sell(4, lots: 10, 92, at: 3)
        s.plan(Scenario.parts, from: 62, at: 4)
        _ = s.news()
        s.advance(to: 62)
        #expect(s.news() == [
            "rules changed", "d1 ended at 62 s: term", "d2: o2 buys 3 of o1 at 90, 62 to 122 s",
            "d3: o3 buys 7 of o1 at 90, 62 to 122 s", "d4: o3 buys 3 of o4 at 95, 62 to 122 s",
        ])
    }

    @Test func aShorterShortestTermSellsWhatEndedTooSoon() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, .until(105), at: 1)
        s.bid(1, 100, 2, at: 96)
        s.plan(Scenario.rules { $0.shortestTerm = .seconds(5) }, from: 98, at: 97)
        s.advance(to: 98)
        #expect(s.news().suffix(2) == ["rules changed", "d1: o2 buys 2 of o1 at 90, 98 to 105 s"])
    }

    /// With a fee of 100 % a shortest delivery holds 99,616 sat, with 1 % 50,307; 60,000 sat last 19 s:
    /// 904 units are 59,245 sat and the fee 593, 920 for 20 s are 60,294 sat.
    @Test func lowerFeesBringBackBidsThatCouldNotPay() {
        var s = Scenario(funds: 0)
        s.deposit(1, 60_000, at: 0)
        s.bid(1, Self.price, 1, at: 1)
        s.plan(Scenario.rules { $0.buyerFee = PartsPerMillion(1_000_000) }, from: 100, at: 1)
        s.plan(Scenario.rules, from: 200, at: 1)
        s.sell(3, lots: 1, Self.price, at: 150)
        _ = s.news()
        s.advance(to: 200)
        #expect(s.news() == ["rules changed", "o1 resumed", "d1: o1 buys 1 of o2 at 86400000, 200 to 219 s"])
    }

    @Test func higherFeesEndABudgetThatPaysForNothing() {
        var s = Scenario()
        s.bid(1, Self.price, 1, budget: 60_000, at: 1)
        s.plan(Scenario.rules { $0.buyerFee = PartsPerMillion(1_000_000) }, from: 100, at: 1)
        s.advance(to: 100)
        #expect(s.news().suffix(2) == ["rules changed", "o1 closed: budgetSpent"])
    }

    @Test func bandTickAndLimitsAreForNewOrders() {
        var s = Scenario()
        s.bid(1, 101, 5, at: 1)
        s.plan(Scenario.rules {
            ($0.tick, $0.lowestPrice, $0.highestPrice) = (10, Price(50), Price(90))
            ($0.mostLots, $0.mostOrders) = (Lots(4), 2)
        }, from: 10, at: 2)
        s.advance(to: 10)
        #expect(s.book(.bid) == ["o1: 5 at 101"])
        s.refused(.priceOutsideBand) { $0.bid(1, 100, 1, at: 11) }
        s.refused(.priceOutsideBand) { $0.bid(1, 40, 1, at: 11) }
        s.refused(.priceOffTick) { $0.bid(1, 85, 1, at: 11) }
        s.refused(.priceOffTick) { $0.amend(1, .price(85), at: 11) }
        s.refused(.lotsOutOfRange) { $0.bid(1, 80, 5, at: 11) }
        #expect(s.bid(1, 80, 4, at: 11) == .order(OrderID(2)))
        s.refused(.tooManyOrders) { $0.bid(1, 80, 4, at: 11) }
        #expect(s.amend(1, .lots(3), at: 12) == .done)
    }

    @Test func aLongerAwayLimitWaitsAndAShorterOneEnds() {
        for (limit, end) in [(120, 130), (20, 50)] as [(Int64, Int64)] {
            var s = Scenario(rules: Scenario.rules { $0.term = .seconds(3600) })
            s.sell(3, lots: 2, 90, at: 1)
            s.bid(1, 100, 2, at: 2)
            s.offline(1, at: 10)
            s.plan(Scenario.rules { ($0.term, $0.awayLimit) = (.seconds(3600), .seconds(limit)) }, from: 50, at: 11)
            _ = s.news()
            for second in [50, 70, 130] as [Int64] { s.advance(to: second) }
            #expect(s.news() == ["rules changed", "d1 ended at \(end) s: rigAway", "o1 suspended: rigOffline", "o1 restamped"])
        }
    }

    /// A delivery that ended at 30 s, and its hold.
    @Test func aLongerHoldLimitWaitsAndAShorterOneReleases() {
        for (limit, end) in [(1200, 1230), (100, 300), (400, 430)] as [(Int64, Int64)] {
            var s = Scenario()
            s.sell(3, lots: 1, Self.price, at: 1)
            s.bid(1, Self.price, 1, at: 2)
            s.cancel(2, at: 30)
            s.plan(Scenario.rules { $0.holdLimit = .seconds(limit) }, from: 300, at: 31)
            s.advance(to: 300)
            s.advance(to: end - 1)
            #expect((s.held(1) == 0) == (end == 300))
            s.advance(to: end)
            #expect(s.held(1) == 0)
        }
    }

    @Test func plansCanBeReplacedAndAreLimited() {
        var s = Scenario()
        for second in Int64(1)...16 { s.plan(Self.dearer, from: 100 + second, at: 1) }
        s.refused(.effectiveTimeOutOfRange) { $0.plan(Self.dearer, from: 200, at: 1) }
        #expect(s.plan(Scenario.rules, from: 116, at: 1) == .done)
        #expect(s.state.status.scheduled.count == 16)
        s.advance(to: 500)
        #expect(s.state.status.scheduled.isEmpty)
        #expect(s.state.rules == Scenario.rules)
        #expect(s.state.counters.tariff == 3)
    }

    @Test func whatIsRefused() {
        var s = Scenario()
        for second in [1, 0, -1, 315_619_202] as [Int64] {
            s.refused(.effectiveTimeOutOfRange) { $0.plan(Self.dearer, from: second, at: 1) }
        }
        for time in [Int64.min, .max] {
            s.refused(.effectiveTimeOutOfRange) {
                $0.send(.scheduleRules(Self.dearer, effectiveAt: Timestamp(microseconds: time)), at: 1)
            }
        }
        let changes: [(inout MarketRules) -> Void] = [
            { $0.symbol = "SCRYPT" }, { $0.lot = Hashrate(hashesPerSecond: 7) }, { $0.priceUnit = Hashrate(hashesPerSecond: 7) },
            { $0.tick = 0 }, { $0.smallestSlice = PartsPerMillion(0) }, { $0.smallestSlice = PartsPerMillion(1_000_001) },
            { $0.mostOrders = 0 }, { $0.mostOrders = .max },
        ]
        for change in changes { s.refused(.rulesInvalid) { $0.plan(Scenario.rules(change), from: 10, at: 1) } }
    }
}
