import Exchange
import OrderBook
import Testing
import Units

@Suite struct AmendTests {
    /// o1, o2, o3 bid for 4 lots each at 100; o2 is amended.
    private func three(_ how: Instructions = Instructions()) -> Scenario {
        var s = Scenario()
        s.bid(1, 100, 4, at: 1)
        s.bid(2, 100, 4, how, at: 1)
        s.bid(4, 100, 4, at: 1)
        _ = s.news()
        return s
    }

    @Test(arguments: [
        (.lots(3), "o2 amended: 3 at 100", ["o1: 4 at 100", "o2: 3 at 100", "o3: 4 at 100"]),
        (.lots(5), "o2 amended: 5 at 100, behind the others", ["o1: 4 at 100", "o3: 4 at 100", "o2: 5 at 100"]),
        (.price(99), "o2 amended: 4 at 99", ["o1: 4 at 100", "o3: 4 at 100", "o2: 4 at 99"]),
        (.price(101), "o2 amended: 4 at 101, behind the others", ["o2: 4 at 101", "o1: 4 at 100", "o3: 4 at 100"]),
        (.budget(5000), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 4 at 100", "o3: 4 at 100"]),
        (.until(500), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 4 at 100", "o3: 4 at 100"]),
        (.atLeast(4), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 4 at 100", "o3: 4 at 100"]),
        (.displayed(2), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 2 of 4 at 100", "o3: 4 at 100"]),
        (.pools(2, 5), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 4 at 100", "o3: 4 at 100"]),
    ] as [(Amendment, String, [String])])
    func whatABidKeepsAndLoses(_ amendment: Amendment, _ news: String, _ book: [String]) {
        var s = three()
        s.pool(2, at: 1)
        #expect(s.amend(2, amendment, by: 2, at: 2) == .done)
        #expect(s.news() == [news])
        #expect(s.book(.bid) == book)
    }

    @Test(arguments: [
        (.displayed(3), "o2 amended: 4 at 100, behind the others", ["o1: 4 at 100", "o3: 4 at 100", "o2: 3 of 4 at 100"]),
        (.displayed(nil), "o2 amended: 4 at 100, behind the others", ["o1: 4 at 100", "o3: 4 at 100", "o2: 4 at 100"]),
        (.displayed(1), "o2 amended: 4 at 100", ["o1: 4 at 100", "o2: 1 of 4 at 100", "o3: 4 at 100"]),
        (.lots(2), "o2 amended: 2 at 100", ["o1: 4 at 100", "o2: 2 at 100", "o3: 4 at 100"]),
    ] as [(Amendment, String, [String])])
    func whatAnIcebergShowsAfterwards(_ amendment: Amendment, _ news: String, _ book: [String]) {
        var s = three(.iceberg(2))
        s.amend(2, amendment, at: 2)
        #expect(s.news() == [news])
        #expect(s.book(.bid) == book)
    }

    @Test(arguments: [
        (.price(91), "o2 amended: 4 at 91, behind the others", ["o1: 4 at 90", "o3: 4 at 90", "o2: 4 at 91"]),
        (.price(89), "o2 amended: 4 at 89, behind the others", ["o2: 4 at 89", "o1: 4 at 90", "o3: 4 at 90"]),
        (.most(3), "o2 amended: 3 at 90", ["o1: 4 at 90", "o2: 3 at 90", "o3: 4 at 90"]),
        (.most(9), "o2 amended: 4 at 90", ["o1: 4 at 90", "o2: 4 at 90", "o3: 4 at 90"]),
        (.until(500), "o2 amended: 4 at 90", ["o1: 4 at 90", "o2: 4 at 90", "o3: 4 at 90"]),
    ] as [(Amendment, String, [String])])
    func whatAnAskKeepsAndLoses(_ amendment: Amendment, _ news: String, _ book: [String]) {
        var s = Scenario()
        for account in [3, 4, 3] as [Int64] { s.sell(account, lots: 4, 90, at: 1) }
        _ = s.news()
        s.amend(2, amendment, by: 4, at: 2)
        #expect(s.news() == [news])
        #expect(s.book(.ask) == book)
    }

    @Test func sellingAllAgainIsMore() {
        var s = Scenario()
        s.rig(3, lots: 4)
        s.ask(3, rig: 1, 90, most: 2, at: 1)
        s.sell(4, lots: 4, 90, at: 1)
        _ = s.news()
        s.amend(1, .most(nil), at: 2)
        #expect(s.news() == ["o1 amended: 4 at 90, behind the others"])
        #expect(s.book(.ask) == ["o2: 4 at 90", "o1: 4 at 90"])
    }

    @Test func aBetterPriceTradesAtOnceAtTheRestingOrders() {
        var s = Scenario()
        s.sell(3, lots: 2, 100, at: 1)
        s.bid(1, 90, 2, at: 2)
        s.bid(2, 80, 2, at: 2)
        s.sell(4, lots: 2, 110, at: 2)
        _ = s.news()
        s.amend(2, .price(105), at: 3)
        s.amend(4, .price(75), at: 4)
        #expect(s.news() == [
            "o2 amended: 2 at 105, behind the others", "d1: o2 buys 2 of o1 at 100, 3 to 63 s",
            "o4 amended: 2 at 75, behind the others", "d2: o3 buys 2 of o4 at 80, 4 to 64 s",
        ])
    }

    @Test func runningDeliveriesKeepTheirPrice() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.amend(2, .price(95), at: 3)
        s.amend(1, .price(80), at: 4)
        _ = s.news()
        s.advance(to: 62)
        // o1's amended stamp is the later one now.
        #expect(s.news() == ["d1 ended at 62 s: term", "d2: o2 buys 2 of o1 at 95, 62 to 122 s"])
    }

    @Test func lotsAreNeverFewerThanAreDelivering() {
        var s = Scenario()
        s.sell(3, lots: 3, 90, at: 1)
        s.bid(1, 100, 5, at: 2)
        s.refused(.lotsBelowDelivering) { $0.amend(2, .lots(2), at: 3) }
        s.refused(.lotsBelowDelivering) { $0.amend(1, .most(2), at: 3) }
        _ = s.news()
        s.amend(2, .lots(3), at: 3)
        s.sell(3, lots: 1, 90, at: 4)
        s.amend(2, .lots(4), at: 5)
        #expect(s.news() == [
            "o2 amended: 3 at 100", "o3 placed", "o2 amended: 4 at 100, behind the others", "d2: o2 buys 1 of o3 at 90, 5 to 65 s",
        ])
    }

    @Test func aLowerMinimumFillTakesWhatWasPassedOver() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 5, .atLeast(3), at: 2)
        _ = s.news()
        s.amend(2, .atLeast(2), at: 3)
        #expect(s.news() == ["o2 amended: 5 at 100", "d1: o2 buys 2 of o1 at 90, 3 to 63 s"])
    }

    // MARK: - Pools

    @Test func newPoolsTakeARunningDeliveryAlong() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.pool(1, at: 3)
        s.verify(5, at: 3)
        _ = s.news()
        s.amend(2, .pools(5), at: 10)
        #expect(s.news() == ["o2 amended: 2 at 100"])
        #expect(s.delivery(1)?.isRunning == true)
        #expect(s.order(2)?.bid?.targets == [PoolTargetID(5)])
    }

    /// The new pool allows fewer version bits than one of the two rigs rolls.
    @Test func newPoolsEndTheDeliveriesWhoseRigsTheyCannotTake() {
        var s = Scenario()
        s.rig(3, lots: 1, mask: 0x6000)
        s.rig(3, lots: 1, mask: 0x2000)
        s.ask(3, rig: 1, 90, at: 1)
        s.ask(3, rig: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.bid(2, 95, 1, at: 2)
        s.pool(1, at: 3)
        s.verify(5, mask: 0x2000, at: 3)
        _ = s.news()
        s.amend(3, .pools(5), at: 10)
        #expect(s.news() == ["o3 amended: 2 at 100", "d1 ended at 10 s: poolsUnusable", "d3: o4 buys 1 of o1 at 90, 10 to 70 s"])
        #expect(s.running == ["o3 < 1 of o2", "o4 < 1 of o1"])
    }

    @Test func aBidWhosePoolsFailedComesBackWithOthers() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.send(.poolsUnusable(DeliveryID(1), reason: "refused"), at: 10)
        s.pool(1, at: 11)
        s.verify(5, at: 11)
        s.refused(.poolTargetUnverified) { $0.amend(2, .pools(1), at: 12) }
        _ = s.news()
        s.amend(2, .pools(1, 5), at: 12)
        #expect(s.news() == ["o2 amended: 2 at 100", "o2 resumed", "d2: o2 buys 2 of o1 at 90, 12 to 72 s"])
    }

    @Test(arguments: [
        ([], .targetCountOutOfRange), ([1, 1], .targetCountOutOfRange), (Array(1...9), .targetCountOutOfRange),
        ([2], .poolTargetUnknown), ([99], .poolTargetUnknown), ([5], .poolTargetUnverified),
    ] as [([Int64], Rejection)])
    func poolsThatCannotBe(_ pools: [Int64], _ rejection: Rejection) {
        var s = Scenario()
        s.pool(1, at: 0)
        s.bid(1, 100, 2, at: 1)
        s.refused(rejection) { $0.amend(1, Amendment(targets: pools.map { PoolTargetID($0) }), at: 2) }
    }

    // MARK: - Dates and money

    @Test func anEarlierDateEndsTheDeliveryThereAndALaterOneAddsNoTime() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, .until(40), at: 2)
        s.amend(2, .until(100), at: 10)
        s.advance(to: 40)
        _ = s.news()
        #expect(s.running == ["o2 < 2 of o1"])
        s.amend(2, .until(60), at: 41)
        s.advance(to: 60)
        #expect(s.news() == ["o2 amended: 2 at 100", "o2 closed: expired", "d2 ended at 60 s: bidClosed"])
    }

    @Test func aDateCanBeTakenAway() {
        var s = Scenario()
        s.bid(1, 100, 2, .until(40), at: 2)
        s.amend(1, .until(nil), at: 10)
        s.advance(to: 40)
        #expect(s.order(1)?.isAlive == true)
        #expect(s.order(1)?.instructions.timeInForce == .goodTillCancelled)
    }

    /// A lot holds 103,326 sat for a term.
    @Test func aBudgetCoversAtLeastWhatIsSpentAndHeld() {
        var s = Scenario()
        s.sell(3, lots: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 2, budget: 300_000, at: 2)
        s.refused(.budgetOutOfRange) { $0.amend(2, .budget(103_325), at: 3) }
        s.refused(.budgetOutOfRange) { $0.amend(2, .budget(0), at: 3) }
        s.refused(.budgetOutOfRange) { $0.amend(2, .budget(.max), at: 3) }
        _ = s.news()
        s.amend(2, .budget(103_326), at: 4)
        s.sell(3, lots: 1, 86_400_000, at: 5)
        s.amend(2, .budget(nil), at: 6)
        #expect(s.news() == [
            "o2 amended: 2 at 86400000", "o3 placed", "o2 suspended: insufficientFunds",
            "o2 amended: 2 at 86400000", "o2 resumed", "d2: o2 buys 1 of o3 at 86400000, 6 to 66 s",
        ])
    }

    /// A lot's shortest delivery holds 50,307 sat: 760 units in 10 s x 1.05 and 20 shares are 49,808 sat, the fee 499.
    @Test func aBidThatNeverCouldPayIsNotWhatAnAmendmentLeaves() {
        var s = Scenario()
        s.bid(1, 86_400_000, 1, budget: 100_000, at: 1)
        s.refused(.insufficientFunds) { $0.amend(1, .budget(50_306), at: 2) }
        s.refused(.insufficientFunds) { $0.amend(1, .price(864_000_000), at: 2) }
        #expect(s.amend(1, .budget(50_307), at: 3) == .done)
    }

    /// Of 110,000 sat 6,674 are left after the first lot; at a tenth of the price a shortest delivery holds 5,032.
    @Test func aLowerPriceCanBePaidAgain() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.sell(3, lots: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 2, at: 2)
        s.sell(4, lots: 1, 86_400_000, at: 3)
        _ = s.news()
        s.amend(2, .price(8_640_000), at: 4)
        #expect(s.news() == ["o2 amended: 2 at 8640000", "o2 resumed"])
    }

    // MARK: - Schedules

    /// Second 0 is 22:13:20: minute 1334 begins at 40 s.
    @Test func aNarrowerScheduleEndsWhatIsRunning() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.sell(4, lots: 2, 95, at: 3)
        _ = s.news()
        s.amend(1, .schedule(DailySchedule(windows: [.init(from: 0, to: 600)])), at: 10)
        #expect(s.news() == [
            "o1 amended: 2 at 90", "d1 ended at 10 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped",
            "d2: o2 buys 2 of o3 at 100, 10 to 70 s",
        ])
        s.amend(1, .schedule(nil), at: 11)
        #expect(s.news() == ["o1 amended: 2 at 90", "o1 resumed"])
    }

    @Test func aScheduleThatClosesLaterCutsTheDeliveryThen() {
        var s = Scenario()
        s.sell(3, lots: 2, 90, at: 1)
        s.bid(1, 100, 2, at: 2)
        s.amend(1, .schedule(DailySchedule(windows: [.init(from: 0, to: 1334)])), at: 10)
        _ = s.news()
        s.advance(to: 39)
        #expect(s.news() == [])
        s.advance(to: 500)
        #expect(s.news() == ["d1 ended at 40 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped"])
    }

    // MARK: - Refusals

    @Test(arguments: [
        (1, Amendment(), .nothingToAmend), (1, .lots(4), .nothingToAmend), (1, .price(100), .nothingToAmend),
        (1, .pools(1), .nothingToAmend), (1, .budget(nil), .nothingToAmend), (1, .until(nil), .nothingToAmend),
        (1, .displayed(nil), .nothingToAmend), (1, .atLeast(1), .nothingToAmend),
        (2, .most(nil), .nothingToAmend), (2, .schedule(nil), .nothingToAmend),
        (1, .most(3), .amendmentNotApplicable), (1, .most(nil), .amendmentNotApplicable),
        (1, .schedule(nil), .amendmentNotApplicable), (1, .offset(1), .amendmentNotApplicable),
        (2, .lots(3), .amendmentNotApplicable), (2, .pools(3), .amendmentNotApplicable),
        (2, .budget(9), .amendmentNotApplicable), (2, .offset(1), .amendmentNotApplicable),
        (1, .lots(0), .lotsOutOfRange), (1, .lots(1001), .lotsOutOfRange), (1, .lots(.min), .lotsOutOfRange),
        (1, .lots(.max), .lotsOutOfRange), (2, .most(0), .lotsOutOfRange), (2, .most(.max), .lotsOutOfRange),
        (2, .most(.min), .lotsOutOfRange),
        (1, .price(0), .priceOutsideBand), (1, .price(.max), .priceOutsideBand), (2, .price(.min), .priceOutsideBand),
        (1, .price(.min), .priceOutsideBand), (1, .price(-1), .priceOutsideBand),
        (1, .until(11), .expiryOutOfRange), (2, .until(11), .expiryOutOfRange),
        (1, Amendment(expiresAt: .set(Timestamp(microseconds: .max))), .expiryOutOfRange),
        (1, Amendment(expiresAt: .set(Timestamp(microseconds: .min))), .expiryOutOfRange),
        (1, .atLeast(5), .minimumFillOutOfRange), (1, .atLeast(0), .minimumFillOutOfRange),
        (1, .atLeast(.min), .minimumFillOutOfRange), (2, .atLeast(.max), .minimumFillOutOfRange),
        (1, .displayed(0), .displayedOutOfRange), (1, .displayed(5), .displayedOutOfRange),
        (2, .displayed(.max), .displayedOutOfRange), (2, .displayed(.min), .displayedOutOfRange),
        (1, .budget(.min), .budgetOutOfRange),
        (2, .schedule(DailySchedule(windows: [])), .scheduleInvalid),
        (2, .schedule(DailySchedule(windows: [.init(from: .min, to: .max)])), .scheduleInvalid),
        (3, .lots(5), .orderClosed), (4, .lots(5), .orderUnknown), (.max, .lots(5), .orderUnknown),
    ] as [(Int64, Amendment, Rejection)])
    func amendmentsThatAreRefused(_ order: Int64, _ amendment: Amendment, _ rejection: Rejection) {
        var s = Scenario()
        s.bid(1, 100, 4, at: 1)
        s.sell(3, lots: 4, 200, at: 1)
        s.sell(3, lots: 1, 90, at: 1)
        s.cancel(3, at: 1)
        s.refused(rejection) { $0.amend(order, amendment, at: 2) }
    }

    @Test func othersOrdersAreUnknown() {
        var s = three()
        s.refused(.orderUnknown) { $0.amend(1, .lots(3), by: 2, at: 2) }
        #expect(s.amend(1, .lots(3), by: nil, at: 2) == .done)
    }

    @Test func fewerLotsThanAPartOrTheMinimumAreRefused() {
        var s = Scenario()
        s.bid(1, 100, 6, .iceberg(4).atLeast(3), at: 1)
        s.refused(.displayedOutOfRange) { $0.amend(1, .lots(3), at: 2) }
        s.refused(.minimumFillOutOfRange) { $0.amend(1, .lots(2), at: 2) }
        #expect(s.amend(1, Amendment(lots: Lots(3), displayed: .clear), at: 3) == .done)
    }

    @Test func anOldDateThatIsNearByNowIsNoReasonToRefuse() {
        var s = Scenario()
        s.bid(1, 100, 6, .until(30), at: 1)
        #expect(s.amend(1, .atLeast(2), at: 25) == .done)
    }
}
