import OrderBook
import Testing
import Units

/// One rule a test, through the book's own driver.
@Suite struct RuleTests {
    @Test func theBestPriceTradesFirstThenTheEarliestAtTheRestingPrice() {
        var market = Scenario(ask(1, 5, at: 11), ask(2, 5, at: 10), ask(3, 5, at: 10), ask(4, 5, at: 12))
        #expect(market.submit(bid(9, 13, at: 11)) == .filled)
        #expect(market.heard() == ["2 x 5 @ 10", "3 x 5 @ 10", "1 x 3 @ 11"])
        #expect(market.queue(.ask) == ["1:2", "4:5"])
    }

    @Test func whatIsLeftRestsAtItsLimit() {
        var market = Scenario(bid(1, 5, at: 10))
        #expect(market.submit(ask(9, 8, at: 9)) == .rested(Lots(3)))
        #expect(market.heard() == ["1 x 5 @ 10"])
        #expect(market.book.best(.ask) == Price(9) && market.book.best(.bid) == nil)
    }

    @Test func anImmediateOrderDoesNotRest() {
        var market = Scenario(ask(1, 5, at: 10))
        #expect(market.submit(bid(9, 8, at: 10), .immediateOrCancel) == .dropped(Lots(3)))
        #expect(market.book.count == 0)
    }

    @Test func fillOrKillIsAllOrNothing() {
        var market = Scenario(ask(1, 5, at: 10), ask(2, 5, at: 11))
        #expect(market.submit(bid(8, 11, at: 11), .fillOrKill) == .cannotFill)
        #expect(market.submit(bid(8, 6, at: 10), .fillOrKill) == .cannotFill)
        #expect(market.heard() == [] && market.queue(.ask) == ["1:5", "2:5"])
        #expect(market.submit(bid(8, 10, at: 11), .fillOrKill) == .filled)
    }

    @Test func fillOrKillCountsHiddenLots() {
        var market = Scenario(ask(1, 50, at: 10, displayed: 5))
        #expect(market.submit(bid(9, 50, at: 10), .fillOrKill) == .filled)
        #expect(market.heard().count == 10)
    }

    @Test func aPostOnlyOrderThatWouldMatchIsRefused() {
        var market = Scenario(ask(1, 5, at: 10))
        #expect(market.submit(bid(9, 5, at: 10), postOnly: true) == .wouldMatch)
        #expect(market.submit(bid(9, 5, at: 9), postOnly: true) == .rested(Lots(5)))
    }

    // MARK: - Minimum fill

    @Test func anOrderWhoseMinimumCannotBeMetIsPassedOverAndKeepsItsPlace() {
        var market = Scenario(ask(1, 10, at: 10, minimum: 5), ask(2, 10, at: 10))
        #expect(market.submit(bid(9, 4, at: 10)) == .filled)
        #expect(market.heard() == ["2 x 4 @ 10"])
        #expect(market.queue(.ask) == ["1:10", "2:6"])
    }

    @Test func aRemainderBelowTheMinimumMayFillWhole() {
        var market = Scenario(ask(1, 10, at: 10, minimum: 6))
        market.submit(bid(8, 7, at: 10))
        #expect(market.submit(bid(9, 2, at: 10)) == .rested(Lots(2)))
        #expect(market.submit(bid(10, 3, at: 10)) == .filled)
        #expect(market.heard() == ["1 x 7 @ 10", "1 x 3 @ 10"])
    }

    @Test func allOrNothing() {
        var market = Scenario(ask(1, 10, at: 10, minimum: .max))
        #expect(market.submit(bid(8, 9, at: 10)) == .rested(Lots(9)))
        #expect(market.submit(bid(9, 12, at: 10)) == .rested(Lots(2)))
        #expect(market.heard() == ["1 x 10 @ 10"])
    }

    /// The first is too small until only two lots are wanted.
    @Test func aTakersRemainderComesBackToWhatWasTooSmall() {
        var market = Scenario(ask(1, 3, at: 10), ask(2, 8, at: 10), ask(3, 8, at: 10))
        #expect(market.submit(bid(9, 10, at: 10, minimum: 4)) == .filled)
        #expect(market.heard() == ["2 x 8 @ 10", "1 x 2 @ 10"])
        #expect(market.queue(.ask) == ["1:1", "3:8"])
    }

    // MARK: - Icebergs

    @Test func anIcebergShowsItselfInPartsEachAtTheTail() {
        var market = Scenario(ask(1, 25, at: 10, displayed: 10), ask(2, 10, at: 10))
        #expect(market.book.depth(.ask, limit: 1) == [.init(price: Price(10), lots: Lots(20), orders: 2)])
        #expect(market.submit(bid(9, 22, at: 10)) == .filled)
        #expect(market.heard() == ["1 x 10 @ 10", "2 x 10 @ 10", "1 x 2 @ 10"])
        #expect(market.queue(.ask) == ["1:13(8)"])
    }

    @Test func aPartlyFilledPartKeepsItsPlace() {
        var market = Scenario(ask(1, 25, at: 10, displayed: 10), ask(2, 10, at: 10))
        market.submit(bid(9, 4, at: 10))
        #expect(market.queue(.ask) == ["1:21(6)", "2:10"])
    }

    @Test func hiddenLotsJoinWhereTheTakersMinimumDemandsThem() {
        var market = Scenario(ask(1, 25, at: 10, displayed: 10))
        #expect(market.submit(bid(9, 15, at: 10, minimum: 12)) == .filled)
        #expect(market.heard() == ["1 x 12 @ 10", "1 x 3 @ 10"])
    }

    @Test func aPartBelowItsMinimumIsRefreshed() {
        var market = Scenario(ask(1, 30, at: 10, displayed: 10, minimum: 5), ask(2, 1, at: 10))
        market.submit(bid(9, 7, at: 10))
        #expect(market.queue(.ask) == ["2:1", "1:23(10)"])
    }

    // MARK: - Self-trade prevention

    @Test(arguments: [
        (.cancelIncoming, .cancelled(Lots(8)), ["1 x 2 @ 10", "-9"], ["2:5", "3:5"]),
        (.cancelResting, .rested(Lots(3)), ["1 x 2 @ 10", "-2", "3 x 5 @ 10"], []),
        (.cancelBoth, .cancelled(Lots(8)), ["1 x 2 @ 10", "-2", "-9"], ["3:5"]),
    ] as [(SelfTradePrevention, Submitted, [String], [String])])
    func anOrderNeverMeetsItsOwners(_ mode: SelfTradePrevention, _ result: Submitted, _ heard: [String], _ left: [String]) {
        var market = Scenario(ask(1, 2, at: 10), ask(2, 5, at: 10, owner: 7), ask(3, 5, at: 10))
        #expect(market.submit(bid(9, 10, at: 10, owner: 7, selfTrade: mode)) == result)
        #expect(market.heard() == heard)
        #expect(market.queue(.ask) == left)
    }

    @Test func whatCouldNotTradeAnywayIsNoSelfTrade() {
        var market = Scenario(ask(1, 10, at: 10, minimum: 10, owner: 7), ask(2, 5, at: 10))
        #expect(market.submit(bid(9, 5, at: 10, owner: 7)) == .filled)
        #expect(market.heard() == ["2 x 5 @ 10"])
    }

    // MARK: - Changes

    @Test func aReducedOrderKeepsItsPlace() {
        var market = Scenario(ask(1, 10, at: 10), ask(2, 10, at: 10))
        #expect(market.book.reduce(OrderID(1), to: Lots(3)) == nil)
        #expect(market.book.reduce(OrderID(1), by: Lots(1)) == nil)
        #expect(market.queue(.ask) == ["1:2", "2:10"])
        #expect(market.book.reduce(OrderID(1), to: Lots(0)) == .lotsOutOfRange)
        #expect(market.book.reduce(OrderID(1), by: Lots(2)) == .lotsOutOfRange)
        #expect(market.book.reduce(OrderID(1), to: Lots(3)) == .lotsOutOfRange)
        #expect(market.book.reduce(OrderID(3), to: Lots(1)) == .unknownOrder)
    }

    @Test func aReplacedOrderGoesToTheTailAndMayTrade() {
        var market = Scenario(ask(1, 10, at: 10), ask(2, 10, at: 10), bid(3, 4, at: 9))
        #expect(market.replace(1, ask(1, 10, at: 10)) == .rested(Lots(10)))
        #expect(market.queue(.ask) == ["2:10", "1:10"])
        #expect(market.replace(1, ask(4, 10, at: 9)) == .rested(Lots(6)))
        #expect(market.heard() == ["3 x 4 @ 9"] && market.queue(.ask) == ["4:6", "2:10"])
    }

    @Test func aReplacementThatIsNotTakenLeavesWhatWasThere() {
        var market = Scenario(ask(1, 10, at: 10), ask(2, 10, at: 10), bid(3, 4, at: 9))
        #expect(market.replace(1, ask(4, 10, at: 9), postOnly: true) == .wouldMatch)
        #expect(market.replace(1, ask(2, 10, at: 11)) == .refused(.idInUse))
        #expect(market.replace(1, bid(4, 10, at: 8)) == .refused(.otherSide))
        #expect(market.replace(7, ask(4, 10, at: 11)) == .refused(.unknownOrder))
        #expect(market.queue(.ask) == ["1:10", "2:10"])
    }

    // MARK: - Reading

    @Test func peggedOrdersDoNotCountForTheBestFixedPrice() {
        var market = Scenario(bid(1, 1, at: 10), bid(2, 1, at: 12, pegged: true), bid(3, 1, at: 11, pegged: true))
        #expect(market.book.best(.bid) == Price(12) && market.book.bestFixed(.bid) == Price(10))
        market.book.remove(OrderID(1))
        #expect(market.book.bestFixed(.bid) == nil)
    }

    @Test func aPlaceInTheQueueCountsWhatIsDisplayed() {
        let market = Scenario(bid(1, 9, at: 10), bid(2, 9, at: 10, displayed: 2), bid(3, 5, at: 10), bid(4, 7, at: 11))
        #expect(market.book.position(of: OrderID(4)) == .init(ordersAhead: 0, lotsAhead: 0))
        #expect(market.book.position(of: OrderID(3)) == .init(ordersAhead: 3, lotsAhead: 18))
        #expect(market.book.position(of: OrderID(5)) == nil)
    }
}

/// One rule a test, through single changes and the walk of ``OrderBook/next(for:)``.
@Suite struct WalkTests {
    private static func resting(_ orders: OrderBook.Entry...) -> OrderBook {
        var book = OrderBook()
        for (stamp, order) in orders.enumerated() {
            var entry = order
            entry.stamp = entry.stamp == 0 ? Int64(stamp) : entry.stamp
            book.insert(entry)
        }
        return book
    }

    private static func makers(_ book: OrderBook, _ taker: inout OrderBook.Taker, count: Int = 100) -> [Int64] {
        var makers: [Int64] = []
        while makers.count < count, let match = book.next(for: &taker) {
            makers.append(match.maker.rawValue)
            book.skip(match, &taker)
        }
        return makers
    }

    @Test func anOldStampComesBetween() {
        let book = Self.resting(ask(1, 1, at: 10, stamp: 10), ask(2, 1, at: 10, stamp: 30), ask(3, 1, at: 10, stamp: 20))
        var taker = OrderBook.Taker(bid(9, 1, at: 10))
        #expect(Self.makers(book, &taker) == [1, 3, 2])
    }

    @Test func skippedOrdersStayBehindTheTaker() {
        let book = Self.resting(ask(1, 1, at: 10), ask(2, 1, at: 10), ask(3, 1, at: 11), ask(4, 1, at: 12))
        var taker = OrderBook.Taker(bid(9, 1, at: 11))
        #expect(Self.makers(book, &taker) == [1, 2, 3])
        #expect(book.next(for: &taker) == nil)
        #expect(book.count == 4)
    }

    @Test func theWalkSurvivesThatTheSkippedOrderGoes() {
        var book = Self.resting(ask(1, 1, at: 10), ask(2, 1, at: 10), ask(3, 1, at: 11), ask(4, 1, at: 12))
        var taker = OrderBook.Taker(bid(9, 1, at: 12))
        #expect(Self.makers(book, &taker, count: 1) == [1])
        book.remove(OrderID(1))
        #expect(book.next(for: &taker)?.maker == OrderID(2))
        #expect(Self.makers(book, &taker, count: 2) == [2, 3])
        book.remove(OrderID(3))
        book.insert(ask(8, 1, at: 10, stamp: 50))
        #expect(Self.makers(book, &taker) == [4])
        book.remove(OrderID(4))
        #expect(book.next(for: &taker) == nil)
    }

    @Test func aRefreshedIcebergComesUpAgainAfterItsLevel() throws {
        var book = Self.resting(ask(1, 6, at: 10, displayed: 3), ask(2, 1, at: 10), ask(3, 1, at: 11))
        let removed = book.remove(OrderID(1))
        var iceberg = try #require(removed)
        iceberg.shown = Lots(3)
        book.insert(iceberg)
        var taker = OrderBook.Taker(bid(9, 9, at: 11)), met: [Int64] = [], stamp: Int64 = 100
        while let match = book.next(for: &taker), var maker = book[match.maker] {
            met.append(maker.id.rawValue)
            taker.lots -= match.lots
            let isRefreshed = maker.take(match.lots)
            book.remove(maker.id)
            stamp += 1
            maker.stamp = stamp
            if isRefreshed { book.insert(maker) }
        }
        #expect(met == [1, 2, 1, 3])
        #expect(taker.lots == Lots(1) && book.count == 0)
    }

    @Test func canFillAsksForEveryFillInOrder() {
        let book = Self.resting(ask(1, 4, at: 10), ask(2, 4, at: 10), ask(3, 4, at: 11), ask(4, 4, at: 12))
        var asked: [Int64] = []
        let fills = book.canFill(OrderBook.Taker(bid(9, 8, at: 11))) { match in
            asked.append(match.maker.rawValue)
            return match.maker != OrderID(2)
        }
        #expect(fills && asked == [1, 2, 3])
        #expect(!book.canFill(OrderBook.Taker(bid(9, 9, at: 11))) { $0.maker != OrderID(2) })
    }

    @Test func aWalkByCursorSurvivesTheRemovalOfWhatItHasPassed() {
        var book = Self.resting(bid(1, 1, at: 10), bid(2, 1, at: 10), bid(3, 1, at: 9), bid(4, 1, at: 8))
        var cursor = book.first(on: .bid), seen: [Int64] = []
        while let here = cursor {
            let id = book[here].id
            cursor = book.next(after: here)
            book.remove(id)
            seen.append(id.rawValue)
        }
        #expect(seen == [1, 2, 3, 4])
        #expect(book.count == 0)
    }

    @Test func setLotsShowsAllOfAPlainOrderAndNoMoreOfAnIceberg() {
        var book = Self.resting(bid(1, 5, at: 10), bid(2, 9, at: 10, displayed: 3))
        book.update(OrderID(2), lots: Lots(9), shown: Lots(3))
        book.setLots(OrderID(1), Lots(8))
        book.setLots(OrderID(2), Lots(7))
        #expect(book[OrderID(1)]?.shown == Lots(8) && book[OrderID(2)]?.shown == Lots(3))
        book.setLots(OrderID(2), Lots(2))
        #expect(book[OrderID(2)]?.shown == Lots(2))
    }
}
