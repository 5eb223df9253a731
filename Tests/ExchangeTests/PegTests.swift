import Exchange
import OrderBook
import Testing
import Units

@Suite struct PegTests {
    /// o1 bids 100 at a fixed price; o2 follows the best bid plus one, up to 120.
    private func following() -> Scenario {
        var s = Scenario()
        s.bid(2, 100, 5, at: 1)
        s.bid(1, 120, 1, .peg(.bestBid, 1), at: 1)
        _ = s.news()
        return s
    }

    @Test func aBidFollowsTheBestBidUpToItsCap() {
        var s = following()
        #expect(s.book(.bid) == ["o2: 1 at 101", "o1: 5 at 100"])
        s.bid(4, 110, 1, at: 2)
        #expect(s.news() == ["o3 placed"])
        s.advance(to: 3)
        #expect(s.news() == ["repriced: o2 to 111"])
        s.bid(4, 125, 1, at: 4)
        s.advance(to: 5)
        #expect(s.news() == ["o4 placed", "repriced: o2 to 120"])
        s.send(.cancelAll(AccountID(4), nil), at: 6)
        s.advance(to: 7)
        #expect(s.news() == ["o3 closed: cancelled", "o4 closed: cancelled", "repriced: o2 to 101"])
    }

    @Test func anAskFollowsTheBestAskDownToItsFloor() {
        var s = Scenario()
        s.sell(3, lots: 2, 100, at: 1)
        s.sell(4, lots: 2, 90, .peg(.bestAsk, -1), at: 1)
        #expect(s.book(.ask) == ["o2: 2 at 99", "o1: 2 at 100"])
        s.sell(3, lots: 2, 80, at: 2)
        s.advance(to: 3)
        #expect(s.book(.ask) == ["o3: 2 at 80", "o2: 2 at 90", "o1: 2 at 100"])
    }

    @Test func theIndexIsFollowedOnceThereIsOne() {
        var s = Scenario()
        s.bid(1, 120, 2, .peg(.index, -5), at: 1)
        #expect(s.order(1)?.status == .suspended(.noReference))
        s.index(100, at: 5)
        s.index(50, at: 4)
        s.advance(to: 6)
        s.index(103, at: 7)
        s.advance(to: 8)
        #expect(s.news() == ["o1 placed", "index 100", "repriced: o1 to 95", "o1 resumed", "index 103", "repriced: o1 to 98"])
    }

    @Test func withoutItsReferenceAnOrderWaits() {
        var s = following()
        s.cancel(1, at: 2)
        #expect(s.book(.bid) == ["o2: 1 at 101"])
        s.advance(to: 3)
        s.sell(3, lots: 1, 50, at: 4)
        s.sell(4, lots: 1, 51, .peg(.bestAsk, 1), at: 4)
        s.cancel(3, at: 5)
        s.advance(to: 6)
        #expect(s.news() == [
            "o1 closed: cancelled", "o2 suspended: noReference", "o3 placed", "o4 placed", "o3 closed: cancelled",
            "o4 suspended: noReference",
        ])
        s.bid(2, 40, 1, at: 7)
        s.advance(to: 8)
        #expect(s.news() == ["o5 placed", "repriced: o2 to 41", "o2 resumed"])
    }

    /// An order that is wholly delivering is not in the book, and so no reference.
    @Test func onlyTheBookIsFollowed() {
        var s = following()
        s.sell(3, lots: 1, 101, at: 2)
        s.sell(3, lots: 5, 100, at: 2)
        _ = s.news()
        s.bid(4, 80, 1, at: 3)
        s.advance(to: 4)
        #expect(s.news() == ["o2 suspended: noReference", "o5 placed", "repriced: o2 to 81", "o2 resumed"])
        #expect(s.running == ["o2 < 1 of o3", "o1 < 5 of o4"])
    }

    @Test func pegsDoNotFollowPegs() {
        var s = following()
        s.bid(4, 200, 1, .peg(.bestBid, 1), at: 2)
        for second in Int64(3)...9 { s.advance(to: second) }
        #expect(s.news() == ["o3 placed"])
        #expect(s.book(.bid) == ["o2: 1 at 101", "o3: 1 at 101", "o1: 5 at 100"])
        s.cancel(1, at: 10)
        s.advance(to: 11)
        #expect(s.news() == ["o1 closed: cancelled", "o2 suspended: noReference", "o3 suspended: noReference"])
    }

    @Test func ordersAreRepricedOnceASecondByNumberBehindTheOthers() {
        var s = Scenario()
        s.bid(2, 100, 5, at: 1)
        s.bid(1, 200, 1, .peg(.bestBid), at: 1)
        s.bid(4, 200, 1, .peg(.bestBid), at: 1)
        s.amend(3, .lots(2), at: 2)
        s.bid(2, 110, 1, at: 2)
        s.amend(1, .price(110), at: 2)
        _ = s.news()
        s.advance(to: 2)
        #expect(s.news() == [])
        s.advance(to: 3)
        s.advance(to: 4)
        #expect(s.news() == ["repriced: o2 to 110, o3 to 110"])
        #expect(s.book(.bid) == ["o4: 1 at 110", "o1: 5 at 110", "o2: 1 at 110", "o3: 2 at 110"])
    }

    @Test func aMovedOrderTrades() {
        var s = Scenario()
        s.index(90, at: 1)
        s.sell(3, lots: 2, 100, at: 1)
        s.bid(1, 120, 2, .peg(.index), at: 2)
        s.bid(2, 120, 2, .peg(.index, 1), at: 2)
        s.index(105, at: 10)
        _ = s.news()
        s.advance(to: 11)
        // o3 bids 106, and o2 came first only by its number.
        #expect(s.news() == ["repriced: o2 to 105, o3 to 106", "d1: o3 buys 2 of o1 at 100, 11 to 71 s"])
        s.sell(4, lots: 2, 95, .peg(.index, 5), at: 12)
        s.index(98, at: 13)
        s.advance(to: 14)
        #expect(s.news() == ["o4 placed", "index 98", "repriced: o2 to 98, o3 to 99, o4 to 103"])
    }

    @Test func nothingIsRepricedWhileTheMarketIsNotOpen() {
        var s = Scenario()
        s.index(100, at: 1)
        s.bid(1, 120, 2, .peg(.index), at: 1)
        s.sell(3, lots: 2, 90, at: 2)
        s.cancel(2, at: 2)
        s.ask(3, rig: 1, 90, at: 3)
        s.phase(.cancelOnly, at: 5)
        s.cancel(3, at: 5)
        _ = s.news()
        s.index(60, at: 6)
        s.advance(to: 20)
        #expect(s.news() == ["index 60"])
        #expect(s.market.exchange.nextDeadline.map(Scenario.seconds) ?? 0 > 21)
    }

    /// The rig is back while nothing trades, and the index has fallen: the bid is worth 60 when the market opens again.
    @Test func reopeningTradesAtThePricesOfNow() {
        var s = Scenario()
        s.index(100, at: 1)
        s.bid(1, 120, 2, .peg(.index), at: 1)
        s.rig(3, lots: 2)
        s.offline(1, at: 2)
        s.ask(3, rig: 1, 90, at: 2)
        s.phase(.halted, at: 5)
        s.online(1, at: 6)
        s.index(60, at: 6)
        _ = s.news()
        s.phase(.open, at: 6)
        #expect(s.news() == ["market: open", "repriced: o1 to 60"])
    }

    @Test func theClockIsAskedForEverySecond() {
        var s = Scenario()
        s.bid(2, 100, 5, at: 1)
        #expect(s.market.exchange.nextDeadline == nil)
        s.bid(1, 120, 1, .peg(.bestBid, 1), at: 1)
        #expect(s.market.exchange.nextDeadline.map(Scenario.seconds) == 2)
    }

    @Test(arguments: [
        (.offset(3), "o2 amended: 1 at 103, behind the others"), (.offset(0), "o2 amended: 1 at 100"),
        (.offset(-101), "o2 amended: 1 at 1"), (.offset(1000), "o2 amended: 1 at 120, behind the others"),
        (.price(100), "o2 amended: 1 at 100"), (.price(130), "o2 amended: 1 at 101"),
    ] as [(Amendment, String)])
    func amendedOffsetsAndLimits(_ amendment: Amendment, _ news: String) {
        var s = following()
        s.amend(2, amendment, at: 2)
        #expect(s.news() == [news])
    }

    /// In the second in which the reference is lost the last price stands, but not above the new cap.
    @Test func anAmendedCapHoldsWithoutAReference() {
        var s = following()
        s.cancel(1, at: 2)
        s.amend(2, .price(90), at: 2)
        #expect(s.news() == ["o1 closed: cancelled", "o2 amended: 1 at 90"])
    }

    @Test(arguments: [-1_000_000_000_000_001, 1_000_000_000_000_001, .min, .max] as [Int64])
    func offsetsHaveLimits(_ offset: Int64) {
        var s = following()
        s.refused(.offsetOutOfRange) { $0.bid(1, 100, 1, .peg(.bestBid, offset), at: 2) }
        s.refused(.offsetOutOfRange) { $0.amend(2, .offset(offset), at: 2) }
    }

    /// Its price could move onto the other side.
    @Test func aPostOnlyPegIsRefused() {
        var s = Scenario()
        s.sell(3, lots: 2, 100, at: 1)
        s.refused(.instructionsContradict) { $0.bid(1, 120, 2, .peg(.bestAsk, -1).postOnly, at: 2) }
    }

    /// 60,000 sat pay for a shortest delivery at 86,400,000 (50,307 sat), not at twice that.
    @Test func anOrderThatFollowsOutOfWhatItCanPayComesBack() {
        var s = Scenario(funds: 0)
        s.deposit(1, 60_000, at: 0)
        s.index(86_400_000, at: 1)
        s.sell(3, lots: 1, 150_000_000, at: 1)
        s.bid(1, 100_000_000, 1, .peg(.index), at: 1)
        s.amend(2, .price(172_800_000), at: 1)
        s.index(172_800_000, at: 2)
        _ = s.news()
        s.advance(to: 3)
        s.index(86_400_000, at: 4)
        s.advance(to: 5)
        #expect(s.news() == [
            "repriced: o2 to 172800000", "o2 suspended: insufficientFunds", "index 86400000", "repriced: o2 to 86400000", "o2 resumed",
        ])
    }

    /// A tick of 5 and a band of 10 to 500; the offset is added first.
    @Test(arguments: [
        (.bid, 400, 103, 0, 100), (.bid, 400, 103, 2, 105), (.bid, 400, 3, -50, 10), (.bid, 400, 1000, 0, 400),
        (.bid, 500, 1_000_000_000_000_000, 1_000_000_000_000_000, 500), (.bid, 500, 1, -1_000_000_000_000_000, 10),
        (.ask, 20, 103, 0, 105), (.ask, 20, 100, 0, 100), (.ask, 20, 1, -50, 20), (.ask, 20, 1000, 0, 500),
        (.ask, 10, 1, -1_000_000_000_000_000, 10), (.ask, 10, 1_000_000_000_000_000, 1_000_000_000_000_000, 500),
    ] as [(Side, Int64, Int64, Int64, Int64)])
    func pricesAreOnTickAndInTheBand(_ side: Side, _ limit: Int64, _ index: Int64, _ offset: Int64, _ price: Int64) {
        var s = Scenario(rules: Scenario.rules {
            ($0.tick, $0.lowestPrice, $0.highestPrice) = (5, Price(10), Price(500))
        })
        s.index(index, at: 1)
        switch side {
        case .bid: s.bid(1, limit, 1, .peg(.index, offset), at: 1)
        case .ask: s.sell(1, lots: 1, limit, .peg(.index, offset), at: 1)
        }
        #expect(s.order(1)?.price == Price(price))
        #expect(s.order(1)?.limit == Price(limit))
    }

    @Test(arguments: [0, -1, 1_000_000_000_000_001, .max, .min] as [Int64])
    func anIndexHasLimits(_ price: Int64) {
        var s = Scenario()
        s.refused(.priceOutsideBand) { $0.index(price, at: 1) }
    }
}
