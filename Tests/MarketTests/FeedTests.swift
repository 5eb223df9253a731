import Exchange
import Market
import MarketTestSupport
import Synchronization
import TestSupport
import Testing
import Units

/// What streams hear of commits.
@Suite("Market feed")
struct FeedTests {
    @Test(arguments: Engine.allCases)
    func everyCommitIsHeardOfInOrder(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                try await market.deposit("before anybody listens")
                let heard = Shared<[FeedNews]>([])
                let writer = market.writer
                // At the time of the news its commit is in the state.
                writer.onFeed { news in
                    let position = writer.committed { $1 }
                    #expect(position >= news.last)
                    heard.withLock { $0.append(news) }
                }
                let start = writer.position
                let delivery = try await market.openDelivery()
                let bid = try #require(writer.read { $0.deliveries[delivery]?.bid })
                try await market.submit(.cancelOrder(bid, by: nil))
                let end = writer.position
                try await eventually("all is heard") { heard.withLock { $0.last?.last == end } }
                let news = heard.withLock { $0 }
                #expect(news.map(\.last) == news.map(\.last).sorted())
                #expect((news.first?.last ?? 0) > start)
                var all = FeedNews()
                for one in news { all.merge(one) }
                #expect(all.trades.map(\.delivery) == [delivery])
                #expect(all.deliveries == [delivery])
                #expect(all.orders.contains(bid))
                #expect(all.orders.count == 2)
                #expect(all.rigs.count == 1)
                #expect(all.lastOrders[bid]?.status == .closed(.cancelled))
                #expect(!all.isOverfull)
            }
        }
    }

    @Test func tooMuchAtOnceIsNotListed() {
        var state = MarketState()
        state.trackChanges()
        var news = FeedNews()
        for part in 0...8 {
            var more = FeedNews()
            for number in 1...40_000 {
                more.note(.orderSuspended(OrderID(Int64(part * 40_000 + number)), .rigOffline), in: state)
            }
            more.close(at: Int64(part) + 1)
            news.merge(more)
        }
        #expect(news.isOverfull)
        #expect(news.orders.count < FeedNews.mostChanged)
        #expect(news.last == 9)
    }
}
