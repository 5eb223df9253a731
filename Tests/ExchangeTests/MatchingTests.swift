import Exchange
import OrderBook
import Testing
import Units

@Suite struct MatchingTests {
    @Test func theRestingOrderMakesThePrice() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.rig(4, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.bid(2, 100, 2, at: 3)
        s.ask(4, rig: 2, 90, at: 4)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 2 of o1 at 90, 2 to 62 s",
            "o3 placed", "o4 placed", "d2: o3 buys 2 of o4 at 100, 4 to 64 s",
        ])
    }

    @Test func betterPriceFirstThenEarlierOrder() {
        var s = Scenario()
        s.bid(1, 100, 1, at: 1)
        s.bid(2, 100, 1, at: 2)
        s.bid(2, 110, 1, at: 3)
        for rig in Int64(1)...4 {
            s.rig(3, lots: 1)
            s.ask(3, rig: rig, 100, at: 4)
        }
        #expect(s.news().filter { $0.hasPrefix("d") } == [
            "d1: o3 buys 1 of o4 at 110, 4 to 64 s",
            "d2: o1 buys 1 of o5 at 100, 4 to 64 s",
            "d3: o2 buys 1 of o6 at 100, 4 to 64 s",
        ])
    }

    @Test func aBidTakesSeveralRigsCheapestFirstAndPassesOverTooLargeOnes() {
        var s = Scenario()
        for (rig, lots, price) in [(1, 2, 95), (2, 4, 90), (3, 2, 80), (4, 1, 99), (5, 1, 101)] as [(Int64, Int64, Int64)] {
            s.rig(3, lots: lots)
            s.ask(3, rig: rig, price, at: 1)
        }
        _ = s.news()
        s.bid(1, 100, 5, at: 2)
        #expect(s.news() == [
            "o6 placed", "d1: o6 buys 2 of o3 at 80, 2 to 62 s", "d2: o6 buys 2 of o1 at 95, 2 to 62 s",
            "d3: o6 buys 1 of o4 at 99, 2 to 62 s",
        ])
        #expect(s.state.orders[OrderID(6)]?.open == .zero)
    }

    @Test func immediateOrCancelKeepsNothingAndRenewsNothing() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 5, .ioc, at: 2)
        s.bid(1, 80, 5, .ioc, at: 2)
        s.advance(to: 62)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 2 of o1 at 90, 2 to 62 s", "o2 closed: immediateRemainder",
            "o3 placed", "o3 closed: immediateRemainder", "d1 ended at 62 s: term",
        ])
        #expect(s.state.book.count == 1)
        #expect(s.state.orders[OrderID(3)] == nil)
    }

    @Test func anImmediateOrCancelBidCanStillBeStopped() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, .ioc, at: 2)
        _ = s.news()
        #expect(s.cancel(2, by: 2, at: 3) == .rejected(.orderUnknown))
        #expect(s.cancel(2, by: 1, at: 3) == .done)
        #expect(s.cancel(2, by: 1, at: 4) == .rejected(.orderClosed))
        #expect(s.news() == ["d1 ended at 3 s: bidClosed"])
    }

    @Test(arguments: [
        (.cancelIncoming, true, ["o2 placed", "o2 closed: selfTrade"]),
        (.cancelResting, true, ["o2 placed", "o1 closed: selfTrade"]),
        (.cancelBoth, true, ["o2 placed", "o1 closed: selfTrade", "o2 closed: selfTrade"]),
        (.cancelIncoming, false, ["o2 placed", "o2 closed: selfTrade"]),
        (.cancelResting, false, ["o2 placed", "o1 closed: selfTrade"]),
        (.cancelBoth, false, ["o2 placed", "o1 closed: selfTrade", "o2 closed: selfTrade"]),
    ] as [(SelfTradePrevention, Bool, [String])])
    func nobodyTradesWithThemselves(_ mode: SelfTradePrevention, _ bidComesLast: Bool, _ expected: [String]) {
        var s = Scenario()
        s.rig(1, lots: 2)
        if !bidComesLast { s.bid(1, 100, 3, .stp(.cancelIncoming), at: 1) }
        if bidComesLast { s.ask(1, rig: 1, 90, .stp(.cancelIncoming), at: 1) }
        _ = s.news()
        if bidComesLast { s.bid(1, 100, 3, .stp(mode), at: 2) } else { s.ask(1, rig: 1, 90, .stp(mode), at: 2) }
        #expect(s.news() == expected)
    }

    @Test func theBestBidOfAllGetsARigThatComesBack() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 50, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.bid(2, 300, 2, at: 3)
        _ = s.news()
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "d2: o3 buys 2 of o1 at 50, 62 to 122 s"])
    }

    @Test func bidsThatComeBackTogetherMeetTheBookByPrice() {
        var s = Scenario()
        for (rig, price) in [(1, 150), (2, 50)] as [(Int64, Int64)] {
            s.rig(3, lots: 1)
            s.ask(3, rig: rig, price, at: 1)
        }
        // o3 has the cheap rig; o4 would pay more, and gets it when both come back.
        s.bid(1, 100, 1, at: 2)
        s.bid(2, 200, 1, at: 2)
        #expect(s.news().suffix(3) == [
            "d1: o3 buys 1 of o2 at 50, 2 to 62 s", "o4 placed", "d2: o4 buys 1 of o1 at 150, 2 to 62 s",
        ])
        s.advance(to: 70)
        #expect(s.news() == [
            "d1 ended at 62 s: term", "d2 ended at 62 s: term", "d3: o4 buys 1 of o2 at 50, 70 to 130 s",
        ])
    }

    @Test func rigsThatNoPoolTakesArePassedOverWithTheReason() throws {
        var s = Scenario()
        s.rig(3, lots: 2, mask: 0x2000)
        s.ask(3, rig: 1, 50, at: 1)
        s.verify(1, mask: 0x4000, at: 2)
        s.verify(2, extranonce2: 4, at: 2)
        s.bid(1, 100, 2, at: 3)
        s.bid(2, 100, 2, at: 3)
        s.bid(4, 100, 1, at: 3)
        s.bid(4, 100, 2, at: 3)
        _ = s.news()
        let ask = try #require(s.state.orders[OrderID(1)]), rig = try #require(s.state.rigs[RigID(1)])
        #expect(ask.open == .zero)
        s.cancel(5, at: 4)
        s.cancel(4, at: 4)
        s.send(.recordVerification(target: PoolTargetID(4), status: .failed(reason: "gone")), at: 4)
        #expect(s.news() == ["o5 closed: cancelled", "d1 ended at 4 s: bidClosed", "o4 closed: cancelled"])
        func reason(_ order: Int64) -> PassedOver? {
            guard let bid = s.state.orders[OrderID(order)], let ask = s.state.orders[OrderID(1)] else { return nil }
            return s.state.passedOver(bid, ask, rig, at: Scenario.start + .seconds(4))
        }
        #expect(reason(2) == .versionMaskTooNarrow)
        #expect(reason(3) == .extranonceTooSmall)
        s.verify(1, at: 5)
        #expect(s.news() == ["d2: o2 buys 2 of o1 at 50, 5 to 65 s"])
    }

    @Test func cancellingAnAskEndsItsDeliveryAndFreesTheRig() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        _ = s.news()
        #expect(s.ask(3, rig: 1, 80, at: 3) == .rejected(.rigAlreadyOffered))
        s.cancel(1, by: 3, at: 10)
        s.ask(3, rig: 1, 95, at: 11)
        #expect(s.news() == [
            "o1 closed: cancelled", "d1 ended at 10 s: askClosed", "o3 placed", "d2: o2 buys 2 of o3 at 100, 11 to 71 s",
        ])
    }
}

@Suite struct TermTests {
    @Test func theSamePairGoesOnAtTheEarlierOrdersPrice() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.bid(1, 100, 3, at: 1)
        s.ask(3, rig: 1, 90, at: 2)
        _ = s.news()
        let stamps = s.state.orders.values.sorted { $0.id < $1.id }.map(\.stamp)
        s.advance(to: 61)
        #expect(s.news() == [])
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "d2: o1 buys 2 of o2 at 100, 62 to 122 s"])
        #expect(s.state.orders.values.sorted { $0.id < $1.id }.map(\.stamp) == stamps)
    }

    @Test func aLateClockOpensTheNextDeliveryNowNotThen() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.bid(1, 100, 2, at: 1)
        s.ask(3, rig: 1, 90, at: 2)
        _ = s.news()
        s.advance(to: 500)
        #expect(s.news() == ["d1 ended at 62 s: term", "d2: o1 buys 2 of o2 at 100, 500 to 560 s"])
    }

    @Test func timeNeverRunsBackwards() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.bid(1, 100, 2, at: 50)
        s.ask(3, rig: 1, 90, at: 2)
        #expect(s.news().last == "d1: o1 buys 2 of o2 at 100, 50 to 110 s")
    }
}

@Suite struct RigTests {
    private func selling() -> Scenario {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        _ = s.news()
        return s
    }

    @Test func aRigThatIsBackWithinAMinuteGoesOn() {
        var s = selling()
        s.offline(1, at: 10)
        s.online(1, at: 60)
        s.offline(1, at: 61)
        #expect(s.news() == [])
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "o1 suspended: rigOffline"])
    }

    @Test func aRigThatIsAwayForAMinuteLosesDeliveryAndPriority() {
        var rules = Scenario.rules
        rules.term = .seconds(3600)
        var s = Scenario(rules: rules)
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        _ = s.news()
        s.offline(1, at: 10)
        s.advance(to: 69)
        #expect(s.news() == [])
        s.online(1, at: 200)
        #expect(s.news() == [
            "d1 ended at 70 s: rigAway", "o1 suspended: rigOffline", "o1 restamped", "o1 resumed",
            "d2: o2 buys 2 of o1 at 100, 200 to 3800 s",
        ])
    }

    @Test func anUnsoldRigIsOutOfTheBookAtOnce() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, at: 1)
        s.offline(1, at: 2)
        s.bid(1, 100, 2, at: 3)
        s.online(1, at: 4)
        #expect(s.news() == [
            "o1 placed", "o1 suspended: rigOffline", "o2 placed", "o1 resumed", "d1: o2 buys 2 of o1 at 100, 4 to 64 s",
        ])
    }

    @Test func anUnmeasuredRigWaits() {
        var s = Scenario()
        s.rig(3, lots: 0)
        s.ask(3, rig: 1, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.measured(1, lots: 3, at: 3)
        s.measured(1, lots: 2, at: 4)
        #expect(s.news() == [
            "o1 placed", "o2 placed", "o1 offers 3", "o1 resumed", "o1 offers 2", "d1: o2 buys 2 of o1 at 100, 4 to 64 s",
        ])
    }

    @Test func aMeasurementNeverCutsARunningDelivery() {
        var s = selling()
        s.measured(1, lots: 1, at: 10)
        #expect(s.news() == [])
        s.advance(to: 62)
        #expect(s.news() == ["d1 ended at 62 s: term", "o1 offers 1", "d2: o2 buys 1 of o1 at 90, 62 to 122 s"])
    }

    @Test func underDeliveryShrinksTheAskAndCostsItsPriority() {
        var s = selling()
        s.send(.underDelivered(DeliveryID(1), Hashrate(hashesPerSecond: 1_200_000)), at: 20)
        #expect(s.news() == [
            "d1 ended at 20 s: underDelivery", "o1 offers 1", "o1 restamped", "d2: o2 buys 1 of o1 at 100, 20 to 80 s",
        ])
    }

    @Test func brokenPoolsSuspendTheBidUntilOneVerifies() {
        var s = selling()
        s.rig(3, lots: 1)
        s.send(.poolsUnusable(DeliveryID(1), reason: "refused"), at: 20)
        s.ask(3, rig: 2, 10, at: 21)
        #expect(s.news() == ["o2 suspended: poolsUnusable", "d1 ended at 20 s: poolsUnusable", "o3 placed"])
        s.verify(1, at: 30)
        #expect(s.news() == ["o2 resumed", "d2: o2 buys 1 of o3 at 10, 30 to 90 s"])
    }

    @Test func aNewEdgeProcessHasNoRigs() {
        var s = selling()
        s.rig(3, lots: 1)
        s.ask(3, rig: 2, 900, at: 3)
        s.rig(3, lots: 1)
        s.online(3, edge: 2, at: 3)
        s.ask(3, rig: 3, 900, at: 3)
        _ = s.news()
        s.send(.edgeStarted(EdgeID(1)), at: 4)
        #expect(s.news() == ["o3 suspended: rigOffline"])
        #expect(s.state.rigs.values.filter(\.isOnline).map(\.id) == [RigID(3)])
    }

    @Test func reportsOfOldSessionsAreRefused() {
        var s = selling()
        s.online(1, at: 3)
        #expect(s.send(.rigOnline(RigID(1), edge: EdgeID(1), session: 2, versionMask: 0), at: 4) == .rejected(.staleSession))
        #expect(s.send(.rigOffline(RigID(1), session: 1), at: 4) == .rejected(.staleSession))
        #expect(s.send(.rigMeasured(RigID(1), session: 1, Hashrate(hashesPerSecond: 5)), at: 4) == .rejected(.staleSession))
        #expect(s.state.rigs[RigID(1)]?.isOnline == true)
    }

    @Test func aRigMaySayLaterThatItTakesAnotherExtranonce() {
        var s = selling()
        s.online(1, mask: 0x2000, at: 3)
        func again(_ mask: UInt32, edge: Int64 = 1, session: Int64 = 2) -> Command {
            .rigOnline(RigID(1), edge: EdgeID(edge), session: session, versionMask: mask)
        }
        #expect(s.send(again(0x2001, edge: 2), at: 4) == .rejected(.staleSession))
        #expect(s.send(again(0x4001), at: 4) == .rejected(.staleSession))
        #expect(s.send(again(0x2001, session: 1), at: 4) == .rejected(.staleSession))
        #expect(s.send(again(0x2001), at: 4) == .done)
        #expect(s.send(again(0x2001), at: 5) == .rejected(.staleSession))
        #expect(s.send(again(0x2000), at: 5) == .rejected(.staleSession))
        #expect(s.state.rigs[RigID(1)]?.presence == .online(edge: EdgeID(1), session: 2, versionMask: 0x2001))
    }

    @Test func aRigBackWithBitsThatThePoolForbidsCannotGoOn() {
        var s = selling()
        s.verify(1, mask: 0x2000, at: 3)
        s.online(1, mask: 0x4000, at: 5)
        #expect(s.news() == ["d1 ended at 5 s: rigAway", "o1 restamped"])
    }
}
