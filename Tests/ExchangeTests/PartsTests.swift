import Exchange
import OrderBook
import Testing
import Units

/// Rigs sold in parts, of 5 % at least.
@Suite struct PartsTests {
    private func parts(_ funds: Int64 = 1_000_000_000) -> Scenario { Scenario(funds: funds, rules: Scenario.parts) }

    @Test func severalDeliveriesShareARig() {
        var s = parts()
        s.sell(3, lots: 20, 90, at: 1)
        s.bid(1, 100, 12, at: 2)
        s.bid(2, 95, 12, at: 3)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 12 of o1 at 90, 2 to 62 s", "o3 placed", "d2: o3 buys 8 of o1 at 90, 3 to 63 s",
        ])
        #expect(s.state.deliveries(on: RigID(1)).map(\.lots) == [Lots(12), Lots(8)])
        #expect(s.book(.ask) == [])
        #expect(s.book(.bid) == ["o3: 4 at 95"])
        // o2 pays more than o3, which gets what is left.
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "d3: o2 buys 12 of o1 at 90, 62 to 122 s"])
        s.cancel(2, at: 63)
        #expect(s.running == ["o3 < 8 of o1", "o3 < 4 of o1"])
        #expect(s.book(.ask) == ["o1: 8 at 90"])
    }

    /// 5 % of 50 lots are 2.5: at least 3 are sold, but a remainder of 2 as a whole.
    @Test func theSmallestPartIsRoundedUpAndARemainderSellsWhole() throws {
        var s = parts()
        s.sell(3, lots: 50, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        #expect(s.running == [])
        let bid = try #require(s.order(2)), ask = try #require(s.order(1)), rig = try #require(s.state.rigs[RigID(1)])
        #expect(s.state.passedOver(bid, ask, rig, at: s.market.exchange.time) == .rigTooLarge)
        s.bid(2, 100, 3, at: 3)
        s.bid(2, 100, 45, at: 4)
        #expect(s.running == ["o3 < 3 of o1", "o4 < 45 of o1", "o2 < 2 of o1"])
        #expect(s.order(1)?.open == .zero)
    }

    @Test func aRemainderIsNotSplit() {
        var s = parts()
        s.sell(3, lots: 50, 90, at: 1)
        s.bid(2, 100, 48, at: 3)
        s.bid(1, 100, 1, at: 4)
        #expect(s.running == ["o2 < 48 of o1"])
        s.bid(1, 100, 2, at: 5)
        #expect(s.running == ["o2 < 48 of o1", "o4 < 2 of o1"])
    }

    @Test func anAskSellsSoManyLotsAtMost() {
        var s = parts()
        s.rig(3, lots: 20)
        s.ask(3, rig: 1, 90, most: 5, at: 1)
        #expect(s.book(.ask) == ["o1: 5 at 90"])
        s.measured(1, lots: 3, at: 2)
        s.measured(1, lots: 30, at: 3)
        #expect(s.news() == ["o1 placed", "o1 offers 3", "o1 offers 5"])
    }

    @Test(arguments: [0, -1, 1001, .min, .max] as [Int64])
    func theMostIsWithinTheMarkets(_ most: Int64) {
        var s = parts()
        s.rig(3, lots: 20)
        s.refused(.lotsOutOfRange) { $0.ask(3, rig: 1, 90, most: most, at: 1) }
    }

    @Test func aLowerMeasurementTakesLotsAsTheyComeBack() {
        var s = parts()
        s.sell(3, lots: 20, 90, at: 1)
        s.bid(1, 100, 15, at: 2)
        s.bid(2, 100, 5, at: 2)
        _ = s.news()
        s.measured(1, lots: 10, at: 10)
        s.cancel(3, at: 11)
        s.cancel(2, at: 12)
        #expect(s.news() == [
            "o3 closed: cancelled", "d2 ended at 11 s: bidClosed", "o1 offers 15",
            "o2 closed: cancelled", "d1 ended at 12 s: bidClosed", "o1 offers 10",
        ])
    }

    @Test func aRigThatIsAwayEndsAllItsParts() {
        var s = Scenario(rules: Scenario.rules { ($0.smallestSlice, $0.term) = (PartsPerMillion(50_000), .seconds(3600)) })
        s.sell(3, lots: 20, 90, at: 1)
        s.bid(1, 100, 15, at: 2)
        s.bid(2, 100, 5, at: 2)
        s.offline(1, at: 10)
        _ = s.news()
        s.advance(to: 70)
        #expect(s.news() == [
            "d1 ended at 70 s: rigAway", "o1 suspended: rigOffline", "o1 restamped", "d2 ended at 70 s: rigAway", "o1 restamped",
        ])
    }

    @Test func cancellingTheAskEndsAllItsParts() {
        var s = parts()
        s.sell(3, lots: 20, 90, at: 1)
        s.bid(1, 100, 15, at: 2)
        s.bid(2, 100, 5, at: 2)
        _ = s.news()
        s.cancel(1, at: 5)
        #expect(s.news() == ["o1 closed: cancelled", "d1 ended at 5 s: askClosed", "d2 ended at 5 s: askClosed"])
    }

    @Test func theLastTradesAreThere() {
        var s = parts()
        s.sell(3, lots: 20, 90, at: 1)
        s.bid(1, 100, 12, at: 2)
        s.bid(2, 95, 12, at: 3)
        let trades = s.state.trades.last(5)
        #expect(trades.map(\.delivery) == [DeliveryID(2), DeliveryID(1)])
        #expect(trades.map(\.lots) == [Lots(8), Lots(12)])
        #expect(trades.map(\.price) == [Price(90), Price(90)])
        #expect(trades.map { Scenario.seconds($0.at) } == [3, 2])
        #expect(s.state.trades.last(1).count == 1)
        #expect(s.state.trades.last(0).isEmpty)
        #expect(s.state.trades.last(-1).isEmpty)
    }
}

/// The price is 1000 sat for a second of one lot's work; a unit of work is 65.536 sat, the fee 1 %.
@Suite struct AffordingTests {
    private static let price: Int64 = 86_400_000

    /// For a term one lot holds 103,326 sat and two lots 207,975: 1922 units in 60 s x 1.05, 1220 in 20 shares.
    ///
    /// Three lots for 28 s hold 209,497: 1345 and 1820 units. One lot for 19 s holds 59,838: 304 and 600 units.
    @Test(arguments: [
        (210_000, true, "3", "62", false), (210_000, true, "2", "62", true), (207_974, true, "1", "62", true),
        (103_325, true, "1", "61", true), (60_000, true, "1", "21", true), (210_000, false, "3", "30", true),
    ] as [(Int64, Bool, String, String, Bool)])
    func fewerLotsBeforeAShorterTerm(_ funds: Int64, _ inParts: Bool, _ lots: String, _ end: String, _ isShort: Bool) {
        var s = Scenario(funds: 0, rules: inParts ? Scenario.parts : Scenario.rules)
        s.deposit(1, isShort ? funds : 1_000_000, at: 0)
        s.sell(3, lots: 3, Self.price, at: 1)
        s.bid(1, Self.price, 3, at: 2)
        #expect(s.news().prefix(3).last == "d1: o2 buys \(lots) of o1 at 86400000, 2 to \(end) s")
    }

    /// Two lots for 13 s hold 108,290: 416 and 1220 units; for 14 s they hold 110,409.
    @Test func neverFewerLotsThanTheMinimumFill() {
        var s = Scenario(funds: 0, rules: Scenario.parts)
        s.deposit(1, 110_000, at: 0)
        s.sell(3, lots: 3, Self.price, at: 1)
        s.bid(1, Self.price, 3, .atLeast(2), at: 2)
        #expect(s.news().prefix(3).last == "d1: o2 buys 2 of o1 at 86400000, 2 to 15 s")
    }

    /// For 59 s a lot holds 102,267 sat: 945 and 600 units. 1,058 sat of the budget are left then.
    @Test func aBudgetIsUsedToTheLastSecond() {
        var s = Scenario()
        s.sell(3, lots: 1, Self.price, at: 1)
        s.bid(1, Self.price, 1, budget: 103_325, at: 2)
        #expect(s.held(1) == 102_267)
        s.advance(to: 61)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 1 of o1 at 86400000, 2 to 61 s", "d1 ended at 61 s: fundsSpent", "o2 restamped",
            "o2 suspended: insufficientFunds",
        ])
        // 900 units are 58,982 sat and 589: with what is left 43,754 sat pay for nothing more.
        s.settle(1, units: 900, final: true, at: 70)
        #expect(s.news() == ["d1 charged 58982", "d1 settled", "o2 closed: budgetSpent"])
        #expect(s.available(1) == 1_000_000_000 - 59_571)
        #expect(s.held(1) == 0)
    }

    @Test func aBudgetThatPaysForMoreGoesOn() {
        var s = Scenario()
        s.sell(3, lots: 1, Self.price, at: 1)
        s.bid(1, Self.price, 1, budget: 103_325, at: 2)
        s.advance(to: 61)
        _ = s.news()
        // 500 units are 32,768 sat and 327: of 70,230 sat 28 s can be paid, 448 and 600 units.
        s.settle(1, units: 500, final: true, at: 70)
        #expect(s.news() == ["d1 charged 32768", "d1 settled", "o2 resumed", "d2: o2 buys 1 of o1 at 86400000, 70 to 98 s"])
    }

    /// 11.5 s until the date hold 51,895 sat (184 and 600 units), 11 s hold 51,365 (176 and 600).
    @Test func aTermIsCutToWholeSecondsEvenBeforeADate() {
        var s = Scenario(funds: 0)
        s.deposit(1, 51_894, at: 0)
        s.sell(3, lots: 1, Self.price, at: 1)
        var how = Instructions.until(13)
        how.expiresAt = how.expiresAt.map { $0 + .milliseconds(500) }
        s.bid(1, Self.price, 1, how, at: 2)
        #expect(s.news().last == "d1: o2 buys 1 of o1 at 86400000, 2 to 13 s")
        #expect(s.held(1) == 51_365)
    }
}

/// Which side keeps its priority when a delivery ends.
@Suite struct EndTests {
    private typealias Play = @Sendable (inout Scenario) -> Void

    private static let plays: [(EndCause, budget: Int64?, askKeeps: Bool, bidKeeps: Bool, Play)] = [
        (.term, nil, true, true, { $0.advance(to: 3602) }),
        (.bidClosed, nil, true, true, { $0.cancel(2, at: 10) }),
        (.askClosed, nil, true, true, { $0.cancel(1, at: 10) }),
        (.rigAway, nil, false, true, { $0.offline(1, at: 10); $0.advance(to: 70) }),
        (.underDelivery, nil, false, true, {
            $0.send(.underDelivered(DeliveryID(1), Hashrate(hashesPerSecond: 1_500_000)), at: 10)
        }),
        (.poolsUnusable, nil, true, true, { $0.send(.poolsUnusable(DeliveryID(1), reason: "down"), at: 10) }),
        (.fundsSpent, 1_000_000, true, false, { $0.advance(to: 3000) }),
        (.curtailed, nil, false, true, {
            $0.send(.createFarm(owner: AccountID(3), name: "f"), at: 3)
            $0.send(.assignRig(RigID(1), owner: AccountID(3), FarmID(1)), at: 3)
            $0.send(.fleet(.curtail(FarmID(1), by: nil, cap: .zero, ramp: .zero, until: nil)), at: 10)
        }),
        (.askPaused, nil, false, true, { $0.amend(1, .schedule(DailySchedule(windows: [.init(from: 0, to: 9)])), at: 10) }),
    ]

    @Test(arguments: EndCause.allCases)
    func onlyTheSideThatCausedItLosesItsPlace(_ cause: EndCause) throws {
        let (_, budget, askKeeps, bidKeeps, play) = try #require(Self.plays.first { $0.0 == cause })
        var s = Scenario(rules: Scenario.rules { $0.term = .seconds(3600) })
        s.sell(3, lots: 2, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 2, budget: budget, at: 2)
        let before = (s.order(1)?.stamp, s.order(2)?.stamp)
        play(&s)
        #expect(s.news().contains { $0.hasPrefix("d1 ended at ") && $0.hasSuffix(": \(cause)") })
        #expect((s.order(1)?.stamp == before.0) == askKeeps)
        #expect((s.order(2)?.stamp == before.1) == bidKeeps)
    }

    /// The same pair goes on at the price of whoever was first, and the others wait.
    @Test(arguments: [(true, 100), (false, 90)])
    func aTermIsRenewedWithoutASwitch(_ isBidFirst: Bool, _ price: Int64) {
        var s = Scenario()
        s.rig(3, lots: 2)
        if isBidFirst { s.bid(1, 100, 2, at: 1) }
        s.ask(3, rig: 1, 90, at: 1)
        if !isBidFirst { s.bid(1, 100, 2, at: 1) }
        s.bid(2, 100, 2, at: 2)
        s.sell(4, lots: 3, 90, at: 2)
        _ = s.news()
        let (bid, ask) = isBidFirst ? ("o1", "o2") : ("o2", "o1")
        s.advance(to: 61)
        s.advance(to: 121)
        #expect(s.news() == [
            "d1 ended at 61 s: term", "d2: \(bid) buys 2 of \(ask) at \(price), 61 to 121 s",
            "d2 ended at 121 s: term", "d3: \(bid) buys 2 of \(ask) at \(price), 121 to 181 s",
        ])
    }

    @Test func poolsThatFailEndAllDeliveriesOfTheirBid() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.sell(3, lots: 1, 90, at: 1)
        s.bid(1, 100, 3, at: 2)
        s.bid(2, 95, 1, at: 2)
        _ = s.news()
        s.send(.poolsUnusable(DeliveryID(1), reason: "down"), at: 10)
        #expect(s.news() == [
            "o3 suspended: poolsUnusable", "d1 ended at 10 s: poolsUnusable", "d2 ended at 10 s: poolsUnusable",
            "d3: o4 buys 1 of o2 at 90, 10 to 70 s",
        ])
    }

    @Test func anImmediateOrdersDeliveryEndsWithoutComingBack() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, .ioc, at: 2)
        s.offline(1, at: 3)
        s.online(1, at: 4)
        s.advance(to: 62)
        s.settle(1, units: 1, final: true, at: 63)
        #expect(s.order(2) == nil)
        #expect(s.book(.ask) == ["o1: 2 at 90"])
    }
}
