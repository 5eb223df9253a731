import Exchange
import OrderBook
import Testing
import Units

@Suite struct ExpiryTests {
    @Test func theOrderAndItsDeliveryEndAtTheDateAndTheNextBidTakesOver() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, .until(40), at: 2)
        s.bid(2, 95, 2, at: 3)
        _ = s.news()
        s.advance(to: 39)
        #expect(s.news() == [])
        s.advance(to: 40)
        #expect(s.news() == ["d1 ended at 40 s: bidClosed", "o2 closed: expired", "d2: o3 buys 2 of o1 at 90, 40 to 100 s"])
    }

    @Test func anAskEndsAtItsDateToo() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, .until(45), at: 1)
        s.bid(1, 100, 3, at: 2)
        s.sell(4, lots: 2, 95, at: 3)
        s.advance(to: 50)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 2 of o1 at 90, 2 to 45 s", "o3 placed",
            "d1 ended at 45 s: askClosed", "o1 closed: expired", "d2: o2 buys 2 of o3 at 100, 50 to 110 s",
        ])
    }

    /// d1's term, o4's date and d2's term are one instant: all lots return before anybody matches.
    @Test func dateAndTermsOfOneInstantAreOneReturn() {
        var s = Scenario()
        s.sell(3, lots: 1, 90, at: 1)
        s.sell(3, lots: 1, 50, at: 1)
        s.bid(1, 100, 1, at: 2)
        s.bid(2, 200, 1, .until(62), at: 2)
        #expect(s.running == ["o3 < 1 of o2", "o4 < 1 of o1"])
        _ = s.news()
        s.advance(to: 62)
        #expect(s.news() == [
            "d1 ended at 62 s: term", "d2 ended at 62 s: bidClosed", "o4 closed: expired",
            "d3: o3 buys 1 of o2 at 50, 62 to 122 s",
        ])
    }

    @Test func anUnsoldOrderLeavesTheBookAtItsDate() {
        var s = Scenario()
        s.bid(1, 100, 2, .until(30), name: "n", at: 1)
        s.advance(to: 30)
        s.sell(3, lots: 2, 90, at: 31)
        #expect(s.news() == ["o1 placed", "o1 closed: expired", "o2 placed"])
        #expect(s.bid(1, 100, 2, name: "n", at: 32) == .order(OrderID(3)))
    }

    @Test func nothingIsSoldForLessThanTheShortestTerm() {
        var s = Scenario()
        s.bid(1, 100, 2, .until(30), at: 1)
        s.sell(3, lots: 2, 90, at: 21)
        #expect(s.news() == ["o1 placed", "o2 placed"])
        s.sell(4, lots: 2, 95, .until(81), at: 21)
        s.bid(2, 100, 4, at: 71)
        #expect(s.news() == ["o3 placed", "o1 closed: expired", "o4 placed",
            "d1: o4 buys 2 of o2 at 90, 71 to 131 s", "d2: o4 buys 2 of o3 at 95, 71 to 81 s"])
    }

    /// A date that was moved forward ends the delivery there, however late the clock is.
    @Test func aLateClockEndsADeliveryAtTheDateNotLater() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.amend(2, .until(30), at: 10)
        _ = s.news()
        s.advance(to: 500)
        #expect(s.news() == ["o2 closed: expired", "d1 ended at 30 s: bidClosed"])
    }

    @Test(arguments: [(10, false), (11, true), (315_619_201, true), (315_619_202, false)] as [(Int64, Bool)])
    func datesAreTheShortestTermToTenYearsAhead(_ seconds: Int64, _ isFine: Bool) {
        var s = Scenario()
        let outcome = s.bid(1, 100, 1, .until(seconds), at: 1)
        #expect(outcome == (isFine ? .order(OrderID(1)) : .rejected(.expiryOutOfRange)))
    }
}

@Suite struct FillOrKillTests {
    @Test func aBidFillsWholeOrNotAtAll() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.sell(3, lots: 2, 95, at: 1)
        s.sell(3, lots: 1, 110, at: 1)
        _ = s.news()
        s.refused(.cannotFillWhole) { $0.bid(1, 100, 5, .fok, at: 2) }
        s.refused(.cannotFillWhole) { $0.bid(1, 110, 6, .fok, at: 2) }
        s.bid(1, 110, 5, .fok, at: 2)
        #expect(s.news() == [
            "o4 placed", "d1: o4 buys 2 of o1 at 90, 2 to 62 s", "d2: o4 buys 2 of o2 at 95, 2 to 62 s",
            "d3: o4 buys 1 of o3 at 110, 2 to 62 s", "o4 closed: immediateRemainder",
        ])
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "d2 ended at 62 s: term", "d3 ended at 62 s: term"])
    }

    @Test func anAskFillsWholeOrNotAtAll() {
        var s = Scenario(rules: Scenario.parts)
        s.bid(1, 100, 3, at: 1)
        s.bid(2, 90, 2, at: 1)
        s.rig(3, lots: 5)
        _ = s.news()
        s.refused(.cannotFillWhole) { $0.ask(3, rig: 1, 95, .fok, at: 2) }
        s.ask(3, rig: 1, 90, .fok, at: 2)
        #expect(s.news() == [
            "o3 placed", "d1: o1 buys 3 of o3 at 100, 2 to 62 s", "d2: o2 buys 2 of o3 at 90, 2 to 62 s",
            "o3 closed: immediateRemainder",
        ])
    }

    @Test func aWholeRigNeedsOneBidForAllOfIt() {
        var s = Scenario()
        s.bid(1, 100, 3, at: 1)
        s.bid(2, 100, 2, at: 1)
        s.rig(3, lots: 5)
        s.refused(.cannotFillWhole) { $0.ask(3, rig: 1, 90, .fok, at: 2) }
        s.offline(1, at: 3)
        s.bid(4, 100, 5, at: 3)
        s.refused(.cannotFillWhole) { $0.ask(3, rig: 1, 90, .fok, at: 4) }
    }

    /// A lot holds 103,326 sat for a term of 60 s: 1561 units are 102,302 sat, the fee is 1,024.
    @Test func itIsPaidForWholeTerms() {
        var s = Scenario(funds: 0)
        s.sell(3, lots: 1, 86_400_000, at: 1)
        s.sell(3, lots: 1, 86_400_000, at: 1)
        s.deposit(1, 206_651, at: 2)
        _ = s.news()
        s.refused(.cannotFillWhole) { $0.bid(1, 86_400_000, 2, .fok, at: 3) }
        s.refused(.cannotFillWhole) { $0.bid(1, 86_400_000, 1, .fok, budget: 103_325, at: 3) }
        s.deposit(1, 1, at: 4)
        s.bid(1, 86_400_000, 2, .fok, at: 4)
        #expect(s.news().count == 4)
        #expect(s.available(1) == 0)
    }

    @Test func hiddenLotsAndMinimumFillsCount() {
        var s = Scenario(rules: Scenario.parts)
        s.bid(1, 100, 6, .iceberg(1), at: 1)
        s.bid(2, 99, 5, .atLeast(5), at: 1)
        s.bid(4, 98, 3, at: 1)
        s.rig(3, lots: 10)
        _ = s.news()
        // 6 of o1 and 3 of o3 are 9: the 4 that are left after o1 are too few for o2.
        s.refused(.cannotFillWhole) { $0.ask(3, rig: 1, 98, .fok, at: 2) }
        s.ask(3, rig: 1, 98, .fok, most: 9, at: 3)
        #expect(s.news().filter { !$0.hasPrefix("o") } == [
            "d1: o1 buys 1 of o4 at 100, 3 to 63 s", "d2: o1 buys 1 of o4 at 100, 3 to 63 s",
            "d3: o1 buys 1 of o4 at 100, 3 to 63 s", "d4: o1 buys 1 of o4 at 100, 3 to 63 s",
            "d5: o1 buys 1 of o4 at 100, 3 to 63 s", "d6: o1 buys 1 of o4 at 100, 3 to 63 s",
            "d7: o3 buys 3 of o4 at 98, 3 to 63 s",
        ])
    }

    @Test(arguments: [
        (.cancelIncoming, .rejected(.cannotFillWhole), []),
        (.cancelBoth, .rejected(.cannotFillWhole), []),
        (.cancelResting, .order(OrderID(3)), [
            "o3 placed", "o1 closed: selfTrade", "d1: o3 buys 2 of o2 at 95, 2 to 62 s", "o3 closed: immediateRemainder",
        ]),
    ] as [(SelfTradePrevention, Outcome, [String])])
    func ownOrdersInTheWay(_ mode: SelfTradePrevention, _ outcome: Outcome, _ news: [String]) {
        var s = Scenario()
        s.sell(1, lots: 2, 90, at: 1)
        s.sell(3, lots: 2, 95, at: 1)
        _ = s.news()
        #expect(s.bid(1, 100, 2, .fok.stp(mode), at: 2) == outcome)
        #expect(s.news() == news)
    }

    /// Its pool cannot take the own rig, so the two never meet.
    @Test func anOwnOrderThatCannotTradeIsNotInTheWay() {
        var s = Scenario()
        s.verify(1, mask: 0x4000, at: 0)
        s.rig(1, lots: 2, mask: 0x2000)
        s.ask(1, rig: 1, 80, at: 1)
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, .fok, at: 2)
        #expect(s.running == ["o3 < 2 of o2"])
        #expect(s.order(1)?.isAlive == true)
    }

    /// The better bid can pay for one of its three lots: it would take that one, and leave too few for the other.
    @Test func aBidThatCouldOnlyPayForAPartIsInTheWay() {
        var s = Scenario(funds: 0, rules: Scenario.parts)
        s.deposit(1, 103_326, at: 0)
        s.deposit(2, 1_000_000, at: 0)
        s.bid(1, 86_400_001, 3, at: 1)
        s.bid(2, 86_400_000, 3, .atLeast(3), at: 1)
        s.rig(3, lots: 3)
        _ = s.news()
        s.refused(.cannotFillWhole) { $0.ask(3, rig: 1, 86_400_000, .fok, at: 2) }
        s.cancel(1, at: 3)
        s.ask(3, rig: 1, 86_400_000, .fok, at: 3)
        #expect(s.running == ["o2 < 3 of o3"])
    }
}

@Suite struct ImmediateOrCancelTests {
    @Test func anAskSellsWhatItCanAndIsGone() {
        var s = Scenario(rules: Scenario.parts)
        s.bid(1, 100, 2, at: 1)
        s.bid(2, 80, 2, at: 1)
        s.rig(3, lots: 5)
        _ = s.news()
        s.ask(3, rig: 1, 90, .ioc, at: 2)
        s.ask(3, rig: 1, 90, .ioc, at: 3)
        s.advance(to: 62)
        #expect(s.news() == [
            "o3 placed", "d1: o1 buys 2 of o3 at 100, 2 to 62 s", "o3 closed: immediateRemainder",
            "o4 placed", "o4 closed: immediateRemainder", "d1 ended at 62 s: term",
        ])
    }

    @Test func aMinimumFillBoundsEachFill() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.sell(3, lots: 3, 95, at: 1)
        _ = s.news()
        s.bid(1, 100, 5, .ioc.atLeast(3), at: 2)
        #expect(s.news() == [
            "o3 placed", "d1: o3 buys 3 of o2 at 95, 2 to 62 s", "d2: o3 buys 2 of o1 at 90, 2 to 62 s",
            "o3 closed: immediateRemainder",
        ])
    }

    @Test(arguments: [
        .ioc.postOnly, .fok.postOnly, .ioc.iceberg(1), .fok.iceberg(1), .ioc.peg(.index), .fok.peg(.bestAsk),
        Instructions(timeInForce: .goodTillDate), Instructions(expiresAt: Scenario.start + .seconds(100)),
        Instructions(timeInForce: .immediateOrCancel, expiresAt: Scenario.start + .seconds(100)),
    ] as [Instructions])
    func instructionsThatContradict(_ how: Instructions) {
        var s = Scenario()
        s.rig(3, lots: 5)
        s.refused(.instructionsContradict) { $0.bid(1, 100, 5, how, at: 1) }
        s.refused(.instructionsContradict) { $0.ask(3, rig: 1, 100, how, at: 1) }
    }
}

@Suite struct PostOnlyTests {
    @Test func anOrderThatWouldMatchIsRefused() {
        var s = Scenario()
        s.sell(3, lots: 2, 100, at: 1)
        s.rig(4, lots: 2)
        s.bid(1, 99, 2, .postOnly, at: 2)
        _ = s.news()
        s.refused(.wouldMatch) { $0.bid(2, 100, 2, .postOnly, at: 3) }
        s.refused(.wouldMatch) { $0.ask(4, rig: 2, 99, .postOnly, at: 3) }
        s.ask(4, rig: 2, 100, .postOnly, at: 4)
        s.bid(2, 100, 2, at: 5)
        s.bid(2, 100, 2, at: 6)
        #expect(s.news() == [
            "o3 placed", "o4 placed", "d1: o4 buys 2 of o1 at 100, 5 to 65 s", "o5 placed", "d2: o5 buys 2 of o3 at 100, 6 to 66 s",
        ])
    }

    @Test func anAmendmentThatWouldMatchIsRefused() {
        var s = Scenario()
        s.sell(3, lots: 2, 100, at: 1)
        s.bid(1, 90, 2, .postOnly, at: 2)
        _ = s.news()
        s.refused(.wouldMatch) { $0.amend(2, .price(100), at: 3) }
        s.amend(2, .price(99), at: 3)
        #expect(s.news() == ["o2 amended: 2 at 99, behind the others"])
    }

    @Test func whatCannotTradeWithItDoesNotCount() {
        var s = Scenario()
        s.rig(3, lots: 2, mask: 0x2000)
        s.verify(1, mask: 0x4000, at: 0)
        s.ask(3, rig: 1, 90, at: 1)
        s.sell(3, lots: 5, 90, at: 1)
        // Its pool cannot take o1's rig, and o2's is too large for it.
        #expect(s.bid(1, 100, 4, .postOnly, at: 2) == .order(OrderID(3)))
        s.refused(.wouldMatch) { $0.bid(1, 100, 5, .postOnly, at: 3) }
        s.refused(.wouldMatch) { $0.bid(2, 100, 2, .postOnly, at: 3) }
    }

    @Test func oneOwnOrderInTheWayCounts() {
        var s = Scenario()
        s.sell(1, lots: 2, 90, at: 1)
        s.refused(.wouldMatch) { $0.bid(1, 100, 2, .postOnly.stp(.cancelResting), at: 2) }
    }
}

@Suite struct MinimumFillTests {
    @Test func anOrderThatIsSkippedKeepsItsPlace() {
        var s = Scenario(rules: Scenario.parts)
        s.bid(1, 100, 4, .atLeast(3), at: 1)
        s.bid(2, 100, 4, at: 2)
        _ = s.news()
        s.sell(3, lots: 2, 90, at: 3)
        s.sell(3, lots: 6, 90, at: 4)
        #expect(s.news() == [
            "o3 placed", "d1: o2 buys 2 of o3 at 100, 3 to 63 s",
            "o4 placed", "d2: o1 buys 4 of o4 at 100, 4 to 64 s", "d3: o2 buys 2 of o4 at 100, 4 to 64 s",
        ])
    }

    @Test func aRemainderBelowTheMinimumFillsWholeOrNotAtAll() {
        var s = Scenario(rules: Scenario.parts)
        s.bid(1, 100, 5, .atLeast(3), at: 1)
        _ = s.news()
        s.sell(3, lots: 3, 90, at: 2)
        s.sell(3, lots: 1, 90, at: 3)
        s.sell(3, lots: 2, 90, at: 4)
        #expect(s.news() == [
            "o2 placed", "d1: o1 buys 3 of o2 at 100, 2 to 62 s", "o3 placed",
            "o4 placed", "d2: o1 buys 2 of o4 at 100, 4 to 64 s",
        ])
    }

    /// o2's rig is smaller than o1's minimum, until o3's leaves two lots.
    @Test func aRemainderMeetsWhatWasTooSmallForTheWhole() {
        var s = Scenario()
        s.bid(1, 100, 5, .atLeast(3), at: 1)
        s.sell(3, lots: 2, 90, at: 2)
        _ = s.news()
        s.sell(4, lots: 3, 95, at: 3)
        #expect(s.news() == ["o3 placed", "d1: o1 buys 3 of o3 at 100, 3 to 63 s", "d2: o1 buys 2 of o2 at 100, 3 to 63 s"])
        s.cancel(2, at: 4)
        s.cancel(3, at: 4)
        s.sell(3, lots: 2, 90, at: 5)
        #expect(s.running == [])
        s.ask(4, rig: 2, 95, .ioc, at: 6)
        #expect(s.running == ["o1 < 3 of o5", "o1 < 2 of o4"])
    }

    @Test func itIsPerFill() {
        var s = Scenario(rules: Scenario.parts)
        for _ in 1...3 { s.sell(3, lots: 2, 90, at: 1) }
        s.bid(1, 100, 6, .atLeast(2), at: 2)
        #expect(s.running == ["o4 < 2 of o1", "o4 < 2 of o2", "o4 < 2 of o3"])
        s.bid(1, 100, 6, .atLeast(3), at: 3)
        s.sell(3, lots: 2, 90, at: 3)
        #expect(s.running.count == 3)
    }

    @Test func anAskHasOneToo() {
        var s = Scenario(rules: Scenario.parts)
        s.sell(3, lots: 10, 90, .atLeast(4), at: 1)
        _ = s.news()
        s.bid(1, 100, 3, at: 2)
        s.bid(2, 100, 4, at: 3)
        s.bid(4, 100, 9, at: 4)
        #expect(s.news() == [
            "o2 placed", "o3 placed", "d1: o3 buys 4 of o1 at 90, 3 to 63 s", "o4 placed", "d2: o4 buys 6 of o1 at 90, 4 to 64 s",
        ])
    }

    @Test(arguments: [(0, false), (1, true), (5, true), (6, false), (-1, false), (.min, false), (.max, false)] as [(Int64, Bool)])
    func itIsAtLeastOneLotAndAtMostTheOrder(_ minimum: Int64, _ isFine: Bool) {
        var s = Scenario()
        let outcome = s.bid(1, 100, 5, .atLeast(minimum), at: 1)
        #expect(outcome == (isFine ? .order(OrderID(1)) : .rejected(.minimumFillOutOfRange)))
    }
}

@Suite struct SelfTradeTests {
    @Test func ordersThatCannotTradeAreNotInEachOthersWay() {
        var s = Scenario()
        s.sell(1, lots: 5, 90, at: 1)
        s.bid(1, 100, 4, at: 2)
        #expect(s.news() == ["o1 placed", "o2 placed"])
    }

    /// o4 fills with another's rig first; only when it reaches its own account's is it cancelled.
    @Test(arguments: [
        (.cancelIncoming, ["o4 closed: selfTrade"]),
        (.cancelResting, ["o2 closed: selfTrade", "d2: o4 buys 1 of o3 at 92, 2 to 62 s"]),
        (.cancelBoth, ["o2 closed: selfTrade", "o4 closed: selfTrade"]),
    ] as [(SelfTradePrevention, [String])])
    func whatIsFilledStays(_ mode: SelfTradePrevention, _ rest: [String]) {
        var s = Scenario()
        s.sell(3, lots: 1, 90, at: 1)
        s.sell(1, lots: 1, 91, at: 1)
        s.sell(3, lots: 1, 92, at: 1)
        _ = s.news()
        s.bid(1, 100, 2, .stp(mode), at: 2)
        #expect(s.news() == ["o4 placed", "d1: o4 buys 1 of o1 at 90, 2 to 62 s"] + rest)
        #expect(s.delivery(1)?.isRunning == true)
    }

    /// Both lots return from others' deliveries: the one with the later stamp counts as incoming.
    @Test(arguments: [
        (.cancelIncoming, "o3 closed: selfTrade"), (.cancelResting, "o1 closed: selfTrade"),
    ] as [(SelfTradePrevention, String)])
    func ordersThatReturnMeetToo(_ mode: SelfTradePrevention, _ end: String) {
        var s = Scenario()
        s.sell(1, lots: 1, 95, .stp(.cancelBoth), at: 1)
        s.bid(2, 100, 1, at: 2)
        s.bid(1, 96, 1, .stp(mode), at: 2)
        s.sell(3, lots: 1, 96, at: 2)
        #expect(s.running == ["o2 < 1 of o1", "o3 < 1 of o4"])
        s.cancel(2, at: 10)
        s.cancel(4, at: 11)
        #expect(s.news().last == end)
    }

    @Test func raisingAPriceIntoTheOwnAskIsASelfTrade() {
        var s = Scenario()
        s.bid(1, 80, 1, .stp(.cancelResting), at: 1)
        s.sell(1, lots: 1, 90, .stp(.cancelIncoming), at: 2)
        _ = s.news()
        s.amend(1, .price(95), at: 3)
        #expect(s.news() == ["o1 amended: 1 at 95, behind the others", "o2 closed: selfTrade"])
    }
}
