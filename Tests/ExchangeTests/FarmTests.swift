import Exchange
import OrderBook
import Testing
import Units

extension Scenario {
    @discardableResult
    fileprivate mutating func join(_ rig: Int64, _ farm: Int64?, by owner: Int64 = 3, at seconds: Int64) -> Outcome {
        send(.assignRig(RigID(rig), owner: AccountID(owner), farm.map { FarmID($0) }), at: seconds)
    }

    @discardableResult
    fileprivate mutating func offer(
        _ farm: Int64, _ price: Int64, _ how: Instructions = Instructions(), most: Int64? = nil, by owner: Int64 = 3,
        schedule: DailySchedule? = nil, at seconds: Int64
    ) -> Outcome {
        let offer = FarmOffer(price: Price(price), most: most.map { Lots($0) }, instructions: how, schedule: schedule)
        return send(.offerFarm(FarmID(farm), owner: AccountID(owner), offer), at: seconds)
    }

    @discardableResult
    fileprivate mutating func withdraw(_ farm: Int64, by owner: Int64? = 3, at seconds: Int64) -> Outcome {
        send(.withdrawFarm(FarmID(farm), owner: owner.map { AccountID($0) }), at: seconds)
    }

    /// Farm 1 of account 3 with rigs 1 and 2 of two lots.
    fileprivate static func farming(_ rules: MarketRules = Scenario.rules) -> Scenario {
        var s = Scenario(rules: rules)
        s.send(.createFarm(owner: AccountID(3), name: "barn"), at: 0)
        for rig in Int64(1)...2 {
            s.rig(3, lots: 2)
            s.join(rig, 1, at: 0)
        }
        _ = s.news()
        return s
    }
}

@Suite struct FarmTests {
    @Test func anOfferIsAnAskOnEachRig() {
        var s = Scenario.farming()
        #expect(s.offer(1, 90, most: 1, at: 1) == .farm(FarmID(1)))
        #expect(s.news() == ["farm 1 offers at 90", "o1 placed", "o2 placed"])
        #expect(s.book(.ask) == ["o1: 1 at 90", "o2: 1 at 90"])
        #expect(s.order(1)?.ask?.farm == FarmID(1))
    }

    @Test func aRigThatJoinsIsOfferedAndOneThatLeavesIsNot() {
        var s = Scenario.farming()
        s.offer(1, 90, at: 1)
        s.rig(3, lots: 3)
        s.bid(1, 95, 2, at: 2)
        _ = s.news()
        s.join(3, 1, at: 3)
        s.join(3, 1, at: 3)
        s.join(1, nil, at: 4)
        #expect(s.news() == [
            "rig 3 joins farm 1", "o4 placed",
            "rig 1 leaves its farm", "o1 closed: leftFarm", "d1 ended at 4 s: askClosed", "d2: o3 buys 2 of o2 at 90, 4 to 64 s",
        ])
        s.join(1, nil, at: 5)
        #expect(s.news() == [])
    }

    @Test func aRigThatMovesTakesTheOtherFarmsOffer() {
        var s = Scenario.farming()
        s.send(.createFarm(owner: AccountID(3), name: "cellar"), at: 1)
        s.offer(1, 90, at: 1)
        s.offer(2, 80, at: 1)
        _ = s.news()
        s.join(1, 2, at: 2)
        #expect(s.news() == ["rig 1 joins farm 2", "o1 closed: leftFarm", "o3 placed"])
        #expect(s.book(.ask) == ["o3: 2 at 80", "o2: 2 at 90"])
    }

    @Test func aRigsOwnAskIsLeftAlone() {
        var s = Scenario.farming()
        s.ask(3, rig: 1, 70, at: 1)
        s.offer(1, 90, at: 2)
        s.offer(1, 95, at: 3)
        s.withdraw(1, at: 4)
        s.join(1, nil, at: 5)
        #expect(s.news() == [
            "o1 placed", "farm 1 offers at 90", "o2 placed", "farm 1 offers at 95", "o2 amended: 2 at 95, behind the others",
            "farm 1 withdraws", "o2 closed: cancelled", "rig 1 leaves its farm",
        ])
        #expect(s.book(.ask) == ["o1: 2 at 70"])
    }

    @Test func aChangedOfferChangesTheAsks() {
        var s = Scenario.farming()
        s.offer(1, 90, at: 1)
        s.bid(1, 85, 2, at: 2)
        _ = s.news()
        s.offer(1, 90, .until(500), most: 1, at: 3)
        #expect(s.news() == ["farm 1 offers at 90", "o1 amended: 1 at 90", "o2 amended: 1 at 90"])
        s.offer(1, 80, at: 4)
        #expect(s.news() == [
            "farm 1 offers at 80", "o1 amended: 2 at 80, behind the others", "o2 amended: 2 at 80, behind the others",
            "d1: o3 buys 2 of o1 at 85, 4 to 64 s",
        ])
        s.offer(1, 100, most: 1, at: 5)
        // What is delivering stays.
        #expect(s.news() == [
            "farm 1 offers at 100", "o1 amended: 2 at 100, behind the others", "o2 amended: 1 at 100, behind the others",
        ])
        #expect(s.running == ["o3 < 2 of o1"])
    }

    @Test func theSameOfferAgainIsForRigsThatHaveNoAsk() {
        var s = Scenario.farming()
        s.offer(1, 90, at: 1)
        s.cancel(1, by: 3, at: 2)
        _ = s.news()
        s.offer(1, 90, at: 3)
        s.offer(1, 90, at: 4)
        #expect(s.news() == ["o3 placed"])
    }

    @Test func withdrawingCancelsItsAsks() {
        var s = Scenario.farming()
        s.offer(1, 90, at: 1)
        s.bid(1, 95, 2, at: 2)
        s.refused(.farmUnknown) { $0.withdraw(1, by: 4, at: 3) }
        _ = s.news()
        #expect(s.withdraw(1, by: nil, at: 3) == .cancelled(2))
        #expect(s.news() == ["farm 1 withdraws", "o1 closed: cancelled", "d1 ended at 3 s: askClosed", "o2 closed: cancelled"])
        s.refused(.farmNotOffered) { $0.withdraw(1, at: 4) }
        s.rig(3, lots: 1)
        s.join(3, 1, at: 5)
        #expect(s.news() == ["rig 3 joins farm 1"])
    }

    /// The bid wants exactly rig 1; the others are too large for it.
    @Test func aPostOnlyOfferLeavesOutARigThatWouldMatch() {
        var s = Scenario.farming()
        s.measured(2, lots: 3, at: 1)
        s.bid(1, 100, 2, at: 1)
        _ = s.news()
        s.offer(1, 90, .postOnly, at: 2)
        #expect(s.news() == ["farm 1 offers at 90", "o2 placed"])
        s.bid(2, 80, 3, at: 3)
        _ = s.news()
        // o2 would match at 80: it stays at 90.
        s.offer(1, 80, .postOnly, at: 4)
        #expect(s.news() == ["farm 1 offers at 80"])
        #expect(s.book(.ask) == ["o2: 3 at 90"])
        s.send(.cancelAll(AccountID(1), nil), at: 5)
        s.send(.cancelAll(AccountID(2), nil), at: 5)
        _ = s.news()
        s.offer(1, 80, .postOnly, at: 6)
        #expect(s.news() == ["o2 amended: 3 at 80, behind the others", "o4 placed"])
    }

    @Test func anOfferCanComeToFollowTheMarket() {
        var s = Scenario.farming()
        s.index(100, at: 1)
        s.offer(1, 90, most: 1, at: 1)
        s.offer(1, 90, .peg(.index, 5), most: 1, at: 2)
        s.index(110, at: 3)
        s.advance(to: 4)
        s.offer(1, 90, most: 1, at: 5)
        s.index(120, at: 6)
        s.advance(to: 7)
        #expect(s.news() == [
            "index 100", "farm 1 offers at 90", "o1 placed", "o2 placed",
            "farm 1 offers at 90", "o1 amended: 1 at 105, behind the others", "o2 amended: 1 at 105, behind the others",
            "index 110", "repriced: o1 to 115, o2 to 115",
            "farm 1 offers at 90", "o1 amended: 1 at 90, behind the others", "o2 amended: 1 at 90, behind the others", "index 120",
        ])
    }

    @Test func anOfferEndsAtItsDate() {
        var s = Scenario.farming()
        s.offer(1, 90, .until(50), at: 1)
        s.advance(to: 50)
        s.rig(3, lots: 1)
        s.join(3, 1, at: 60)
        #expect(s.news() == [
            "farm 1 offers at 90", "o1 placed", "o2 placed", "o1 closed: expired", "o2 closed: expired", "rig 3 joins farm 1",
            "farm 1 withdraws",
        ])
    }

    @Test func anOfferHasADailyScheduleToo() {
        var s = Scenario.farming()
        s.offer(1, 90, schedule: DailySchedule(windows: [.init(from: 0, to: 1334)]), at: 1)
        s.advance(to: 40)
        s.offer(1, 90, at: 41)
        #expect(s.news() == [
            "farm 1 offers at 90", "o1 placed", "o2 placed", "o1 suspended: outsideSchedule", "o2 suspended: outsideSchedule",
            "farm 1 offers at 90", "o1 amended: 2 at 90", "o1 resumed", "o2 amended: 2 at 90", "o2 resumed",
        ])
    }

    @Test func whatIsRefused() {
        var s = Scenario.farming(Scenario.rules { $0.mostOrders = 2 })
        s.rig(3, lots: 1)
        s.rig(4, lots: 1)
        s.refused(.farmUnknown) { $0.offer(2, 90, at: 1) }
        s.refused(.farmUnknown) { $0.offer(1, 90, by: 4, at: 1) }
        s.refused(.farmUnknown) { $0.join(3, 2, at: 1) }
        s.refused(.farmUnknown) { $0.join(4, 1, by: 4, at: 1) }
        s.refused(.rigUnknown) { $0.join(4, 1, at: 1) }
        s.refused(.rigUnknown) { $0.join(99, 1, at: 1) }
        s.refused(.instructionsContradict) { $0.offer(1, 90, .ioc, at: 1) }
        s.refused(.instructionsContradict) { $0.offer(1, 90, .fok, at: 1) }
        s.refused(.priceOutsideBand) { $0.offer(1, .min, at: 1) }
        s.refused(.lotsOutOfRange) { $0.offer(1, 90, most: .max, at: 1) }
        s.refused(.expiryOutOfRange) { $0.offer(1, 90, .until(5), at: 1) }
        s.refused(.scheduleInvalid) { $0.offer(1, 90, schedule: DailySchedule(windows: []), at: 1) }
        s.refused(.textTooLong) { $0.send(.createFarm(owner: AccountID(3), name: ""), at: 1) }
        s.join(3, 1, at: 1)
        s.refused(.tooManyOrders) { $0.offer(1, 90, at: 1) }
    }

    /// Whoever joins beyond the account's most orders is not offered, until there is room.
    @Test func aRigThatJoinsBeyondTheMostOrdersWaits() {
        var s = Scenario.farming(Scenario.rules { $0.mostOrders = 2 })
        s.offer(1, 90, at: 1)
        s.rig(3, lots: 1)
        _ = s.news()
        s.join(3, 1, at: 2)
        #expect(s.news() == ["rig 3 joins farm 1"])
    }

    @Test func whatThePhasesAllow() {
        var s = Scenario.farming()
        s.offer(1, 90, at: 1)
        s.rig(3, lots: 1)
        s.phase(.cancelOnly, at: 2)
        _ = s.news()
        s.refused(.marketCancelOnly) { $0.offer(1, 95, at: 3) }
        s.join(3, 1, at: 3)
        s.join(1, nil, at: 3)
        #expect(s.news() == ["rig 3 joins farm 1", "rig 1 leaves its farm", "o1 closed: leftFarm"])
        s.phase(.halted, at: 4)
        s.refused(.marketHalted) { $0.withdraw(1, at: 4) }
        s.refused(.marketHalted) { $0.join(2, nil, at: 4) }
        _ = s.news()
        s.phase(.open, at: 5)
        #expect(s.news() == ["market: open", "o3 placed"])
    }
}
