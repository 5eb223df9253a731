import Exchange
import OrderBook
import Testing
import Units

/// Many orders that return at once, remainders that may fill whole, and what may come between.
@Suite struct MatchingOrderTests {
    private func parts() -> Scenario { Scenario(rules: Scenario.rules { $0.smallestSlice = PartsPerMillion(50_000) }) }

    /// While o2 is matched, the loosened o3 takes o4, which is where the look at the bids would have gone on.
    @Test func theBidThatFollowsMayBeGone() {
        var s = parts()
        s.verify(4, mask: 0, at: 0)
        s.sell(1, lots: 8, 100, at: 0)
        s.bid(2, 110, 8, at: 0)
        s.rig(1, lots: 10, mask: 0x2000, at: 10)
        s.ask(1, rig: 2, 90, .atLeast(4), at: 10)
        s.bid(3, 105, 2, at: 11)
        s.bid(4, 100, 8, at: 12)
        s.advance(to: 60)
        #expect(s.running == ["o2 < 8 of o3", "o4 < 2 of o3", "o5 < 8 of o1"])
        #expect(s.book(.bid) == [])
        #expect(s.book(.ask) == [])
    }

    /// Of o1 the last 2 lots may fill whole, and o2 waits for so many.
    @Test func fillOrKillDoesNotCountOnARemainderThatOthersWaitFor() {
        var s = parts()
        s.sell(1, lots: 10, 100, .iceberg(4).atLeast(4), at: 0)
        s.bid(2, 100, 2, at: 1)
        s.refused(.cannotFillWhole) { $0.bid(3, 100, 10, .fok, at: 2) }
        s.cancel(2, at: 3)
        s.bid(3, 100, 10, .fok, at: 4)
        #expect(s.running == ["o3 < 4 of o1", "o3 < 4 of o1", "o3 < 2 of o1"])
    }

    @Test func anIcebergsNextPartComesAfterAnEarlierAsk() {
        var s = parts()
        s.sell(1, lots: 8, 100, .iceberg(4), at: 0)
        s.bid(3, 110, 4, at: 0)
        s.bid(3, 109, 4, .ioc, at: 0)
        s.sell(2, lots: 4, 100, at: 0)
        s.bid(3, 109, 4, .ioc, at: 0)
        s.bid(4, 105, 4, at: 1)
        s.advance(to: 60)
        #expect(s.running == ["o2 < 4 of o1", "o6 < 4 of o4"])
        #expect(s.book(.ask) == ["o1: 4 at 100"])
    }

    @Test func nothingIsMatchedThatWasOverSince() {
        var s = Scenario()
        s.sell(1, lots: 8, 100, at: 0)
        s.bid(2, 110, 8, at: 0)
        s.send(.cancelAllAfter(AccountID(2), .seconds(65)), at: 0)
        _ = s.news()
        s.advance(to: 70)
        #expect(s.news() == ["d1 ended at 60 s: term", "account 2 disarmed", "o2 closed: silence"])
    }
}

/// A buyer's pools in use turn out to fail.
@Suite struct FailingPoolTests {
    @Test func theDeliveryEndsAndTheBidWaits() {
        var s = Scenario()
        s.sell(1, lots: 8, 100, at: 0)
        s.bid(2, 110, 8, at: 0)
        s.bid(3, 105, 8, at: 1)
        _ = s.news()
        s.send(.recordVerification(target: PoolTargetID(2), status: .failed(reason: "refused")), at: 5)
        #expect(s.news() == [
            "o2 suspended: poolsUnusable", "d1 ended at 5 s: poolsUnusable", "d2: o3 buys 8 of o1 at 100, 5 to 65 s",
        ])
        s.verify(2, at: 6)
        #expect(s.news() == ["o2 resumed"])
    }

    @Test func otherBidsOfTheAccountHaveNoOtherPools() {
        var s = Scenario()
        s.sell(1, lots: 8, 100, at: 0)
        s.sell(1, lots: 4, 100, at: 0)
        s.bid(2, 110, 8, at: 0)
        s.bid(2, 110, 4, at: 0)
        _ = s.news()
        s.send(.poolsUnusable(DeliveryID(1), reason: "refused"), at: 5)
        #expect(s.news() == [
            "o3 suspended: poolsUnusable", "d1 ended at 5 s: poolsUnusable", "o4 suspended: poolsUnusable",
            "d2 ended at 5 s: poolsUnusable",
        ])
    }

    @Test func aBidWithAnotherPoolGoesOn() {
        var s = Scenario()
        s.pool(2, at: 0)
        s.verify(5, at: 0)
        s.sell(1, lots: 8, 100, at: 0)
        s.bid(2, 110, 8, pools: [2, 5], at: 0)
        _ = s.news()
        s.send(.recordVerification(target: PoolTargetID(2), status: .failed(reason: "refused")), at: 5)
        #expect(s.news() == [])
        #expect(s.running == ["o2 < 8 of o1"])
    }
}
