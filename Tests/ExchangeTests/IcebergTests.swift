import Exchange
import OrderBook
import Testing
import Units

/// Rigs are sold in parts of 5 % where nothing else is said.
@Suite struct IcebergTests {
    private func parts() -> Scenario { Scenario(rules: Scenario.parts) }

    @Test func onlyAPartIsDisplayedAndTheNextComesUpBehindTheOthers() {
        var s = parts()
        s.bid(1, 100, 6, .iceberg(2), at: 1)
        s.bid(2, 100, 3, at: 1)
        s.bid(4, 99, 5, at: 1)
        #expect(s.book(.bid) == ["o1: 2 of 6 at 100", "o2: 3 at 100", "o3: 5 at 99"])
        s.sell(3, lots: 1, 90, at: 2)
        #expect(s.book(.bid) == ["o1: 1 of 5 at 100", "o2: 3 at 100", "o3: 5 at 99"])
        s.sell(3, lots: 1, 90, at: 2)
        #expect(s.book(.bid) == ["o2: 3 at 100", "o1: 2 of 4 at 100", "o3: 5 at 99"])
    }

    @Test func anOrderThatTakesManyPartsMeetsTheOthersInBetween() {
        var s = parts()
        s.bid(1, 100, 6, .iceberg(2), at: 1)
        s.bid(2, 100, 3, at: 1)
        s.bid(4, 99, 5, at: 1)
        _ = s.news()
        s.sell(3, lots: 10, 90, at: 2)
        #expect(s.news() == [
            "o4 placed", "d1: o1 buys 2 of o4 at 100, 2 to 62 s", "d2: o2 buys 3 of o4 at 100, 2 to 62 s",
            "d3: o1 buys 2 of o4 at 100, 2 to 62 s", "d4: o1 buys 2 of o4 at 100, 2 to 62 s",
            "d5: o3 buys 1 of o4 at 99, 2 to 62 s",
        ])
    }

    @Test func icebergsOfALevelTakeTurns() {
        var s = parts()
        s.bid(1, 100, 4, .iceberg(2), at: 1)
        s.bid(2, 100, 3, .iceberg(1), at: 1)
        s.sell(3, lots: 7, 90, at: 2)
        #expect(s.running == ["o1 < 2 of o3", "o2 < 1 of o3", "o1 < 2 of o3", "o2 < 1 of o3", "o2 < 1 of o3"])
    }

    @Test func hiddenLotsJoinForAWholeRig() {
        var s = Scenario()
        s.bid(1, 100, 7, .iceberg(1), at: 1)
        s.bid(2, 100, 4, at: 1)
        s.sell(3, lots: 4, 90, at: 2)
        #expect(s.running == ["o1 < 4 of o3"])
        #expect(s.book(.bid) == ["o2: 4 at 100", "o1: 1 of 3 at 100"])
        s.sell(3, lots: 4, 90, at: 3)
        #expect(s.running == ["o1 < 4 of o3", "o2 < 4 of o4"])
    }

    @Test func lotsThatComeBackAreHiddenAgain() {
        var s = Scenario()
        s.bid(1, 100, 4, .iceberg(2), at: 1)
        s.sell(3, lots: 2, 90, at: 2)
        s.bid(2, 100, 2, at: 3)
        s.sell(3, lots: 2, 90, at: 4)
        #expect(s.running == ["o1 < 2 of o2", "o1 < 2 of o4"])
        #expect(s.book(.bid) == ["o3: 2 at 100"])
        s.cancel(2, at: 5)
        // Its stamp is that of the part that came up at 2 s.
        #expect(s.book(.bid) == ["o1: 2 at 100", "o3: 2 at 100"])
        s.cancel(4, at: 6)
        #expect(s.book(.bid) == ["o1: 2 of 4 at 100", "o3: 2 at 100"])
    }

    @Test func anArrivingIcebergTakesWithAllItsLots() {
        var s = Scenario()
        for _ in 1...3 { s.sell(3, lots: 2, 90, at: 1) }
        _ = s.news()
        s.bid(1, 100, 10, .iceberg(1), at: 2)
        #expect(s.news() == [
            "o4 placed", "d1: o4 buys 2 of o1 at 90, 2 to 62 s", "d2: o4 buys 2 of o2 at 90, 2 to 62 s",
            "d3: o4 buys 2 of o3 at 90, 2 to 62 s",
        ])
        #expect(s.book(.bid) == ["o4: 1 of 4 at 100"])
    }

    @Test func atLeastTheMinimumFillIsDisplayed() {
        var s = parts()
        s.bid(1, 100, 10, .iceberg(4).atLeast(3), at: 1)
        s.sell(3, lots: 5, 90, at: 2)
        // 4 of 5 are filled; the one that is left is too few for the next part.
        #expect(s.running == ["o1 < 4 of o2"])
        #expect(s.book(.bid) == ["o1: 4 of 6 at 100"])
        s.sell(3, lots: 3, 90, at: 3)
        #expect(s.book(.bid) == ["o1: 3 at 100"])
        #expect(s.book(.ask) == ["o2: 1 at 90"])
    }

    @Test func anAskShowsAPartOfItsRig() {
        var s = parts()
        s.sell(3, lots: 10, 90, .iceberg(2), at: 1)
        s.sell(3, lots: 3, 90, at: 1)
        #expect(s.book(.ask) == ["o1: 2 of 10 at 90", "o2: 3 at 90"])
        s.bid(1, 100, 6, at: 2)
        #expect(s.running == ["o3 < 2 of o1", "o3 < 3 of o2", "o3 < 1 of o1"])
        #expect(s.book(.ask) == ["o1: 1 of 7 at 90"])
    }

    @Test func aRigThatIsSoldWholeIsSoldWhole() {
        var s = Scenario()
        s.sell(3, lots: 10, 90, .iceberg(2), at: 1)
        s.bid(1, 100, 9, at: 2)
        s.bid(2, 100, 10, at: 3)
        #expect(s.running == ["o3 < 10 of o1"])
    }

    /// All return at 62 s: o1, whose part came up before o3 was placed, is first with one part only.
    @Test func icebergsThatReturnShowOnePartAtATime() {
        var s = Scenario()
        s.bid(1, 100, 4, .iceberg(2), at: 1)
        s.sell(3, lots: 2, 90, at: 2)
        s.bid(2, 100, 2, at: 2)
        s.sell(3, lots: 2, 90, at: 2)
        s.sell(3, lots: 2, 90, at: 2)
        #expect(s.running == ["o1 < 2 of o2", "o1 < 2 of o4", "o3 < 2 of o5"])
        _ = s.news()
        s.advance(to: 62)
        // The part that comes up last was there before the asks: o1's price counts.
        #expect(s.news() == [
            "d1 ended at 62 s: term", "d2 ended at 62 s: term", "d3 ended at 62 s: term",
            "d4: o1 buys 2 of o2 at 100, 62 to 122 s", "d5: o3 buys 2 of o4 at 100, 62 to 122 s",
            "d6: o1 buys 2 of o5 at 100, 62 to 122 s",
        ])
    }

    @Test func aRigThatReturnsMeetsThePartsInTurn() {
        var s = parts()
        s.bid(1, 100, 6, .iceberg(2), at: 1)
        s.bid(2, 100, 3, at: 1)
        s.sell(3, lots: 10, 90, at: 2)
        #expect(s.running == ["o1 < 2 of o3", "o2 < 3 of o3", "o1 < 2 of o3", "o1 < 2 of o3"])
        s.advance(to: 62)
        #expect(s.running == ["o2 < 3 of o3", "o1 < 2 of o3", "o1 < 2 of o3", "o1 < 2 of o3"])
    }

    /// Two rigs wait at a price that the bids reach again when theirs go away: o1 shows one part, then it is o3's turn.
    @Test func icebergsThatReturnToRestingAsksTakeTurnsToo() {
        var s = Scenario()
        s.bid(1, 100, 4, .iceberg(2), at: 1)
        s.bid(2, 100, 2, at: 1)
        s.sell(3, lots: 4, 90, at: 2)
        s.sell(3, lots: 2, 90, at: 2)
        for price in [97, 98, 99] as [Int64] { s.sell(4, lots: 2, price, at: 3) }
        #expect(s.running == ["o1 < 4 of o3", "o2 < 2 of o4"])
        s.send(.cancelAll(AccountID(3), nil), at: 4)
        // o1 shows two of its four lots.
        #expect(s.running == ["o1 < 2 of o5", "o2 < 2 of o6", "o1 < 2 of o7"])
    }

    @Test(arguments: [(0, false), (1, true), (5, true), (6, false), (-1, false), (.min, false), (.max, false)] as [(Int64, Bool)])
    func aPartIsAtLeastOneLotAndAtMostTheOrder(_ displayed: Int64, _ isFine: Bool) {
        var s = Scenario()
        let outcome = s.bid(1, 100, 5, .iceberg(displayed), at: 1)
        #expect(outcome == (isFine ? .order(OrderID(1)) : .rejected(.displayedOutOfRange)))
    }

    @Test func theQueueTellsWhatIsDisplayedAhead() {
        var s = parts()
        s.bid(1, 100, 6, .iceberg(2), at: 1)
        s.bid(2, 101, 3, at: 1)
        s.bid(4, 100, 5, at: 1)
        let position = s.state.queuePosition(of: OrderID(3))
        #expect(position?.ordersAhead == 2)
        #expect(position?.lotsAhead == 5)
        #expect(s.state.queuePosition(of: OrderID(2))?.ordersAhead == 0)
        #expect(s.state.queuePosition(of: OrderID(9)) == nil)
    }
}
