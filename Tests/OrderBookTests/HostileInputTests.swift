import OrderBook
import TestSupport
import Testing
import Units

/// What a stranger might send: refused as a value, or handled in bounded time.
@Suite struct HostileInputTests {
    @Test func nonsenseIsRefused() {
        var market = Scenario(bid(1, 5, at: 10))
        #expect(market.submit(bid(0, 5, at: 10)) == .refused(.idOutOfRange))
        #expect(market.submit(bid(.min, 5, at: 10)) == .refused(.idOutOfRange))
        #expect(market.submit(bid(1, 5, at: 11)) == .refused(.idInUse))
        #expect(market.submit(bid(2, 0, at: 10)) == .refused(.lotsOutOfRange))
        #expect(market.submit(bid(2, .min, at: 10)) == .refused(.lotsOutOfRange))
        #expect(market.submit(bid(2, 5, at: 10, minimum: 0)) == .refused(.minimumFillOutOfRange))
        #expect(market.submit(bid(2, 5, at: 10, displayed: 0)) == .refused(.displayedOutOfRange))
        #expect(market.submit(bid(2, 5, at: 10, displayed: -1)) == .refused(.displayedOutOfRange))
        #expect(market.submit(bid(2, 9, at: 10, displayed: 3, minimum: 4)) == .refused(.displayedOutOfRange))
        #expect(market.submit(bid(2, .max, at: 10, displayed: 1)) == .refused(.displayedOutOfRange))
        #expect(market.submit(bid(2, 10_001, at: 10, displayed: 1)) == .refused(.displayedOutOfRange))
        #expect(market.submit(bid(2, 10_000, at: 10, displayed: 1)) == .rested(Lots(10_000)))
        #expect(market.replace(1, bid(3, 0, at: 10)) == .refused(.lotsOutOfRange))
        #expect(!market.book.cancel(OrderID(.min)) && market.book.remove(OrderID(0)) == nil)
        #expect(market.queue(.bid) == ["1:5", "2:10000(1)"])
    }

    @Test func theEndsOf64BitsAreOrdinary() {
        var market = Scenario(
            ask(1, .max, at: .max), ask(2, .max, at: .max), ask(3, .max, at: .min), bid(.max, .max, at: .min, minimum: .max))
        #expect(market.heard() == [])
        #expect(market.book.depth(.ask, limit: .max).map(\.lots) == [Lots(.max)])
        #expect(market.book.position(of: OrderID(2)) == .init(ordersAhead: 1, lotsAhead: .max))
        #expect(market.submit(bid(4, .max, at: .max)) == .filled)
        #expect(market.submit(bid(5, 1, at: .max)) == .filled)
        #expect(market.heard() == ["1 x \(Int64.max) @ \(Int64.max)", "2 x 1 @ \(Int64.max)"])
        #expect(market.book.depth(.ask, limit: .min) == [] && market.book.depth(.bid, limit: 0) == [])
    }

    @Test func theLastStampThereIs() {
        var book = OrderBook(), recorder = Recorder()
        book.insert(ask(1, 5, at: 10, stamp: .max))
        book.insert(ask(2, 5, at: 10, stamp: .min))
        _ = book.submit(ask(3, 5, at: 10), timeInForce: .goodTillCancelled, isPostOnly: false, &recorder)
        _ = book.submit(bid(4, 12, at: 10), timeInForce: .goodTillCancelled, isPostOnly: false, &recorder)
        #expect(recorder.events.map(\.text) == ["2 x 5 @ 10", "1 x 5 @ 10", "3 x 2 @ 10"])
    }

    @Test func aTakerThatMakesNoSenseFindsNothing() {
        let market = Scenario(ask(1, 5, at: 10))
        for lots in [0, -1, .min] as [Int64] {
            var taker = OrderBook.Taker(bid(9, lots, at: 10))
            #expect(market.book.next(for: &taker) == nil)
        }
        var taker = OrderBook.Taker(bid(9, 5, at: 10, minimum: .min))
        #expect(market.book.next(for: &taker)?.lots == Lots(5))
    }

    /// Anchors of one book are asked for in another.
    @Test func aTakerOfAnotherBookComesToAnEnd() throws {
        var random = SeededRandom(seed: 7)
        var book = OrderBook()
        for id in 1...50 as ClosedRange<Int64> { book.insert(ask(id, 5, at: random.int64(10...14), stamp: id)) }
        var copy = book
        for id in 1...50 as ClosedRange<Int64> where random.chance(70) { copy.remove(OrderID(id)) }
        for _ in 0..<200 {
            var taker = OrderBook.Taker(bid(99, 5, at: 14)), steps = 0
            for _ in 0..<random.int(1...20) {
                guard let match = book.next(for: &taker) else { break }
                book.skip(match, &taker)
            }
            while let match = copy.next(for: &taker) {
                copy.skip(match, &taker)
                steps += 1
                try #require(steps <= 50)
            }
        }
    }

    /// A price each, best and worst in turn, so that levels come at both ends and in the middle; then all go.
    @Test func manyPrices() {
        var book = OrderBook(), random = SeededRandom(seed: 1)
        let count: Int64 = 60_000
        var prices = (1...count).map { $0 &* 1_000_003 &- (1 << 40) }
        prices.shuffle(using: &random)
        for (id, price) in prices.enumerated() { book.insert(ask(Int64(id + 1), 1, at: price, stamp: Int64(id))) }
        let depth = book.depth(.ask, limit: .max)
        #expect(depth.map(\.price.rawValue) == prices.sorted())
        for id in (1...count).shuffled(using: &random) { book.remove(OrderID(id)) }
        #expect(book.count == 0 && book.best(.ask) == nil && book.depth(.ask, limit: 1) == [])
    }

    /// Memory is used again: none is added however long orders come and go.
    @Test func memoryIsReused() {
        var book = OrderBook()
        func turn(_ first: Int64) {
            for id in first..<first + 500 { book.insert(bid(id, 1, at: id * 7919 % 1000, stamp: id)) }
            for id in first..<first + 500 { book.remove(OrderID(id)) }
        }
        turn(1)
        let bytes = book.memoryBytes
        for round in 1...40 as ClosedRange<Int64> { turn(round * 1000) }
        #expect(book.memoryBytes == bytes)
    }

    @Test func manyOrdersOfOnePrice() {
        var book = OrderBook()
        let count: Int64 = 50_000
        for id in 1...count { book.insert(bid(id, 1, at: 10, stamp: -id)) }
        #expect(book.position(of: OrderID(count))?.ordersAhead == 0)
        #expect(book.position(of: OrderID(1))?.ordersAhead == Int(count) - 1)
        #expect(book.position(of: OrderID(count / 2))?.ordersAhead == Int(count) / 2)
        var recorder = Recorder()
        #expect(book.submit(ask(count + 1, count, at: 10), timeInForce: .fillOrKill, isPostOnly: false, &recorder) == .filled)
        #expect(recorder.events.count == Int(count))
    }

    /// Ids far apart, and ids of one residue, as an adversary or an odd numbering would have them.
    @Test(arguments: [1, 8, 1 << 20, 1 << 32, 1 << 40, (1 << 40) + 8, 0x1_0000_0001] as [Int64])
    func oddIDs(_ stride: Int64) {
        var book = OrderBook()
        for number in 1...3000 as ClosedRange<Int64> { book.insert(ask(number &* stride, 1, at: number % 50, stamp: number)) }
        #expect(book.count == 3000)
        for number in 1...3000 as ClosedRange<Int64> { #expect(book.remove(OrderID(number &* stride)) != nil) }
        #expect(book.count == 0)
    }
}
