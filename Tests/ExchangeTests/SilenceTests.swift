import Exchange
import Testing
import Units

@Suite struct SilenceTests {
    private func within(_ seconds: Int64?) -> Command { .cancelAllAfter(AccountID(1), seconds.map { .seconds($0) }) }

    /// o2 of account 1 buys o1's rig, o3 is next.
    private func market() -> Scenario {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 1)
        s.bid(2, 95, 2, at: 1)
        _ = s.news()
        return s
    }

    @Test func ordersEndWhenTheirAccountIsSilent() {
        var s = market()
        #expect(s.send(within(30), at: 2) == .done)
        s.advance(to: 31)
        s.advance(to: 32)
        s.bid(1, 80, 1, at: 33)
        s.advance(to: 100)
        #expect(s.news() == [
            "account 1 until 32 s", "account 1 disarmed", "o2 closed: silence", "d1 ended at 32 s: bidClosed",
            "d2: o3 buys 2 of o1 at 90, 32 to 92 s", "o4 placed", "d2 ended at 92 s: term", "d3: o3 buys 2 of o1 at 90, 100 to 160 s",
        ])
        #expect(s.order(4)?.isAlive == true)
    }

    @Test func beingHeardOfMovesItOn() {
        var s = market()
        s.send(within(30), at: 2)
        s.send(within(30), at: 20)
        s.advance(to: 49)
        #expect(s.news() == ["account 1 until 32 s", "account 1 until 50 s"])
        s.advance(to: 50)
        #expect(s.news().prefix(2) == ["account 1 disarmed", "o2 closed: silence"])
    }

    @Test func anEarlierTimeCounts() {
        var s = market()
        s.send(within(300), at: 2)
        s.send(within(10), at: 3)
        #expect(s.market.exchange.nextDeadline.map(Scenario.seconds) == 13)
        s.advance(to: 13)
        #expect(s.news().suffix(3).first == "o2 closed: silence")
        s.advance(to: 400)
        #expect(s.news().filter { $0.contains("account") } == [])
    }

    @Test func itCanBeDisarmedAndArmedAgain() {
        var s = market()
        s.send(within(30), at: 2)
        s.send(within(nil), at: 3)
        s.send(within(nil), at: 3)
        s.advance(to: 40)
        #expect(s.news() == ["account 1 until 32 s", "account 1 disarmed"])
        s.send(within(10), at: 41)
        s.advance(to: 51)
        #expect(s.news().prefix(3) == ["account 1 until 51 s", "account 1 disarmed", "o2 closed: silence"])
    }

    @Test func aLateClockEndsDeliveriesInTime() {
        var s = market()
        s.send(within(30), at: 2)
        s.advance(to: 500)
        #expect(s.news().suffix(3) == ["o2 closed: silence", "d1 ended at 32 s: bidClosed", "d2: o3 buys 2 of o1 at 90, 500 to 560 s"])
    }

    @Test(arguments: [MarketPhase.cancelOnly, .halted])
    func itHoldsInEveryPhase(_ phase: MarketPhase) {
        var s = market()
        s.send(within(30), at: 2)
        s.phase(phase, at: 3)
        s.advance(to: 32)
        #expect(s.news().suffix(2) == ["o2 closed: silence", "d1 ended at 32 s: bidClosed"])
    }

    @Test func itSurvivesARestart() throws {
        var s = market()
        s.send(within(30), at: 2)
        s.send(within(30), at: 10)
        let restored = try MarketState(restoring: StoredState(s.state))
        var again = Exchange(restored, time: s.market.exchange.time)
        #expect(again.nextDeadline.map(Scenario.seconds) == 40)
        #expect(again.apply(CommandEnvelope(.advance), at: Scenario.start + .seconds(39)).events.isEmpty)
        let events = again.apply(CommandEnvelope(.advance), at: Scenario.start + .seconds(40)).events
        #expect(events.prefix(2) == [.silenceSet(AccountID(1), nil), .orderClosed(OrderID(2), .silence)])
    }

    @Test(arguments: [0, 999_999, 86_400_000_001, -1, .min, .max] as [Int64])
    func itIsASecondToADay(_ microseconds: Int64) {
        var s = market()
        s.refused(.silenceOutOfRange) { $0.send(.cancelAllAfter(AccountID(1), Interval(microseconds: microseconds)), at: 2) }
        s.refused(.silenceOutOfRange) { $0.send(.cancelAllAfter(AccountID(0), .seconds(5)), at: 2) }
        #expect(s.send(.cancelAllAfter(AccountID(1), .day), at: 2) == .done)
        #expect(s.send(.cancelAllAfter(AccountID(1), .seconds(1)), at: 2) == .done)
    }
}
