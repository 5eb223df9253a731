import Exchange
import OrderBook
import Testing
import Units

@Suite struct PhaseTests {
    /// o2 buys two lots of o1 until 62 s, o3 waits.
    private func market(_ phase: MarketPhase) -> Scenario {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 4, at: 2)
        s.bid(2, 80, 2, at: 2)
        s.rig(4, lots: 2)
        s.phase(phase, at: 10)
        _ = s.news()
        return s
    }

    @Test func cancelOnlyTakesCancellationsAndReductions() {
        var s = market(.cancelOnly)
        s.refused(.marketCancelOnly) { $0.bid(1, 100, 1, at: 11) }
        s.refused(.marketCancelOnly) { $0.ask(4, rig: 2, 100, at: 11) }
        s.refused(.marketCancelOnly) { $0.amend(2, .lots(5), at: 11) }
        s.refused(.marketCancelOnly) { $0.amend(2, .price(101), at: 11) }
        s.refused(.marketCancelOnly) { $0.amend(1, .price(89), at: 11) }
        s.refused(.marketCancelOnly) { $0.amend(1, .price(91), at: 11) }
        s.amend(2, .lots(3), at: 12)
        s.amend(2, .price(95), at: 12)
        s.amend(2, .until(500), at: 12)
        s.cancel(3, at: 13)
        #expect(s.news() == ["o2 amended: 3 at 100", "o2 amended: 3 at 95", "o2 amended: 3 at 95", "o3 closed: cancelled"])
    }

    @Test(arguments: [MarketPhase.cancelOnly, .halted])
    func nothingIsMatchedAndWhatRunsGoesToItsEnd(_ phase: MarketPhase) {
        var s = market(phase)
        s.advance(to: 62)
        s.measured(1, lots: 1, at: 70)
        s.deposit(1, 5, at: 71)
        s.settle(1, units: 100, final: true, at: 72)
        s.phase(.open, at: 80)
        #expect(s.news() == [
            "d1 ended at 62 s: term", "o1 offers 1", "d1 charged 0", "d1 settled",
            "market: open", "d2: o2 buys 1 of o1 at 90, 80 to 140 s",
        ])
    }

    @Test func aHaltedMarketRefusesAllThatTouchesOrders() {
        var s = market(.halted)
        s.refused(.marketHalted) { $0.bid(1, 100, 1, at: 11) }
        s.refused(.marketHalted) { $0.ask(4, rig: 2, 100, at: 11) }
        s.refused(.marketHalted) { $0.cancel(2, by: 1, at: 11) }
        s.refused(.marketHalted) { $0.cancel(2, at: 11) }
        s.refused(.marketHalted) { $0.amend(2, .lots(3), at: 11) }
        s.refused(.marketHalted) { $0.send(.cancelAll(AccountID(1), nil), at: 11) }
        #expect(s.send(.cancelAllAfter(AccountID(1), .seconds(5)), at: 11) == .done)
        #expect(s.plan(Scenario.parts, from: 20, at: 12) == .done)
    }

    /// The rigs come back while nothing trades; the best bid meets the best ask first, then by price and time.
    @Test func reopeningMatchesEverythingInPriceTimeOrder() {
        var s = Scenario()
        for rig in Int64(1)...3 {
            s.rig(3, lots: 2)
            s.offline(rig, at: 0)
        }
        s.ask(3, rig: 1, 90, at: 1)
        s.ask(3, rig: 2, 80, at: 1)
        s.ask(3, rig: 3, 85, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.bid(2, 110, 2, at: 2)
        s.bid(4, 100, 2, at: 2)
        s.phase(.cancelOnly, at: 3)
        for rig in Int64(1)...3 { s.online(rig, at: 4) }
        #expect(s.book(.ask) == ["o2: 2 at 80", "o3: 2 at 85", "o1: 2 at 90"])
        _ = s.news()
        s.phase(.open, at: 5)
        #expect(s.news() == [
            "market: open", "d1: o5 buys 2 of o2 at 110, 5 to 65 s", "d2: o4 buys 2 of o3 at 100, 5 to 65 s",
            "d3: o6 buys 2 of o1 at 100, 5 to 65 s",
        ])
    }

    /// The peg comes down to 60 before anybody meets; the better bid still has the rig.
    @Test func reopeningKnowsNoPegsFirst() {
        var s = Scenario()
        s.index(100, at: 1)
        s.bid(1, 120, 2, .peg(.index), at: 1)
        s.bid(2, 110, 2, at: 1)
        s.rig(3, lots: 2)
        s.offline(1, at: 1)
        s.ask(3, rig: 1, 50, at: 1)
        s.phase(.cancelOnly, at: 2)
        s.online(1, at: 2)
        s.index(60, at: 3)
        _ = s.news()
        s.phase(.open, at: 4)
        #expect(s.news() == ["market: open", "repriced: o1 to 60", "d1: o2 buys 2 of o3 at 110, 4 to 64 s"])
    }

    @Test func thePhaseItHasChangesNothing() {
        var s = Scenario()
        #expect(s.phase(.open, at: 1) == .done)
        s.phase(.halted, at: 2)
        s.phase(.halted, at: 3)
        #expect(s.news() == ["market: halted"])
    }

    @Test func datesComeInEveryPhase() {
        var s = Scenario()
        s.bid(1, 100, 4, .until(50), at: 2)
        s.phase(.halted, at: 3)
        s.advance(to: 50)
        #expect(s.news() == ["o1 placed", "market: halted", "o1 closed: expired"])
    }
}

@Suite struct MassCancelTests {
    /// Account 1 buys from o1 and sells to o4; o5 and o6 would take over.
    private func market() -> Scenario {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.sell(1, lots: 1, 150, at: 2)
        s.bid(4, 200, 1, at: 2)
        s.bid(2, 95, 2, at: 3)
        s.sell(2, lots: 1, 160, at: 3)
        s.bid(1, 50, 9, at: 3)
        _ = s.news()
        return s
    }

    @Test(arguments: [
        (nil, 3, [
            "o2 closed: cancelled", "d1 ended at 9 s: bidClosed", "o3 closed: cancelled", "d2 ended at 9 s: askClosed",
            "o7 closed: cancelled", "d3: o4 buys 1 of o6 at 200, 9 to 69 s", "d4: o5 buys 2 of o1 at 90, 9 to 69 s",
        ]),
        (.bid, 2, [
            "o2 closed: cancelled", "d1 ended at 9 s: bidClosed", "o7 closed: cancelled", "d3: o5 buys 2 of o1 at 90, 9 to 69 s",
        ]),
        (.ask, 1, ["o3 closed: cancelled", "d2 ended at 9 s: askClosed", "d3: o4 buys 1 of o6 at 200, 9 to 69 s"]),
    ] as [(Side?, Int64, [String])])
    func allOrdersOfAnAccountOrOfOneSide(_ side: Side?, _ count: Int64, _ news: [String]) {
        var s = market()
        #expect(s.send(.cancelAll(AccountID(1), side), at: 9) == .cancelled(count))
        #expect(s.news() == news)
        #expect(s.send(.cancelAll(AccountID(1), side), at: 9) == .cancelled(0))
    }

    @Test func othersOrdersStay() {
        var s = market()
        #expect(s.send(.cancelAll(AccountID(77), nil), at: 9) == .cancelled(0))
        #expect(s.send(.cancelAll(AccountID(.min), nil), at: 9) == .cancelled(0))
        #expect(s.news() == [])
    }

    @Test func anAccountHasSoManyOrdersAtMost() {
        var s = Scenario(rules: Scenario.rules { $0.mostOrders = 2 })
        s.rig(1, lots: 1)
        s.bid(1, 100, 1, at: 1)
        s.ask(1, rig: 1, 200, at: 1)
        s.refused(.tooManyOrders) { $0.bid(1, 100, 1, at: 1) }
        s.refused(.tooManyOrders) { $0.bid(1, 100, 1, .ioc, at: 1) }
        #expect(s.bid(2, 100, 1, at: 1) == .order(OrderID(3)))
        s.cancel(1, at: 2)
        #expect(s.bid(1, 100, 1, at: 2) == .order(OrderID(4)))
    }
}
