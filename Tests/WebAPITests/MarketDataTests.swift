import Exchange
import HTTPTypes
import Ledger
import Market
import NIOCore
import Testing
import TestSupport
import Units
@testable import WebAPI

/// Candles, ticker, places and trades.
@Suite struct MarketDataTests {
    // MARK: - Candles

    private static func trades(_ random: inout SeededRandom, count: Int) -> [Trade] {
        var time: Int64 = 1_800_000_000_000_000
        return (1...count).map { number in
            time += random.chance(90) ? random.int64(0...50_000_000) : random.int64(0...90_000_000_000)
            return Trade(
                delivery: DeliveryID(Int64(number)), at: Timestamp(microseconds: time), price: Price(random.int64(1...1000)),
                lots: Lots(random.int64(1...100)))
        }
    }

    @Test(arguments: Seeds.list(8)) func candlesAreWhatTheirTradesAddUpTo(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let trades = MarketDataTests.trades(&random, count: 3000)
        var series = CandleSeries()
        // Some as they come, older ones backwards, as after a start.
        let cut = random.int(0...trades.count)
        for trade in trades[cut...] { series.add(trade) }
        for trade in trades[..<cut].reversed() { series.add(trade) }
        for interval in CandleInterval.allCases {
            let length = interval.minutes * 60_000_000
            let groups = Dictionary(grouping: trades) { $0.at.microseconds / length }
            let expected = groups.keys.sorted().suffix(CandleSeries.most)
            let candles = series.candles(interval)
            #expect(candles.map(\.start) == expected.map { $0 * interval.minutes }, "seed \(seed), \(interval)")
            for (candle, key) in zip(candles, expected) {
                let group = groups[key, default: []].sorted { $0.delivery < $1.delivery }
                #expect(candle.open == group.first?.price)
                #expect(candle.close == group.last?.price)
                #expect(candle.high == group.map(\.price).max())
                #expect(candle.low == group.map(\.price).min())
                #expect(candle.trades == Int64(group.count))
                #expect(candle.lots == Int128(group.reduce(0) { $0 + $1.lots.rawValue }))
                let turnover = group.reduce(0) { $0 + $1.price.rawValue * $1.lots.rawValue }
                #expect(candle.averagePrice == turnover / group.reduce(0) { $0 + $1.lots.rawValue }, "seed \(seed), \(interval)")
            }
        }
    }

    @Test func numbersThatDoNotFitAreSummed() {
        let trade = Trade(
            delivery: DeliveryID(1), at: Timestamp(microseconds: 60_000_000), price: Price(1_000_000_000_000), lots: Lots(.max))
        var candle = Candle(trade, start: 1)
        candle.add(Trade(delivery: DeliveryID(2), at: trade.at, price: Price(1), lots: Lots(1)))
        #expect(candle.lots == Int128(Int64.max) + 1)
        #expect(candle.averagePrice == 999_999_999_999)
    }

    /// Tables with more trades than the market holds.
    private struct Tables: MarketReports {
        let all: [Trade]

        func trades(before: DeliveryID, limit: Int) async throws -> [Trade] {
            Array(all.reversed().drop { $0.delivery >= before }.prefix(limit))
        }

        func settlementLines(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ReportLine] { [] }
        func deliveries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DeliveryRow] { [] }
        func order(_ id: OrderID) async throws -> Order? { nil }
        func transfers(_ filter: TransferFilter, after cursor: Int64, limit: Int) async throws -> [Transfer] { [] }
        func transfer(_ id: TransferID) async throws -> Transfer? { nil }
        func ledgerEntry(_ number: Int64) async throws -> LedgerEntry? { nil }
        func ledgerEntries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ChainedEntry] { [] }
        func newestLedgerEntry() async throws -> Int64 { 0 }
        func ledgerTotals(account: AccountID?, after cursor: Int64, through end: Int64) async throws -> LedgerTotals { LedgerTotals() }
        func trialBalance(asOf: Timestamp?, _ basis: LedgerBasis) async throws -> [LedgerBalance] { [] }
        func balances(of accounts: [LedgerAccount], asOf: Timestamp, _ basis: LedgerBasis) async throws -> [Satoshis] { [] }
    }

    @Test(arguments: Seeds.list(3)) func historyIsReadBack(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let all = MarketDataTests.trades(&random, count: 5000)
        var tape = TradeTape()
        #expect(tape.append(Array(all[3000..<4000])).count == 1000)
        // Some come again with what is new.
        #expect(tape.append(Array(all[3500..<4200])).count == 200)
        #expect(tape.last == 4200)
        tape.addHistory(Array(all[..<3000].reversed()))
        // Twice is once.
        tape.addHistory(Array(all[..<3000].reversed()))
        var expected = CandleSeries()
        for trade in all[..<4200] { expected.add(trade) }
        for interval in CandleInterval.allCases {
            #expect(tape.candles.candles(interval) == expected.candles(interval), "seed \(seed), \(interval)")
        }
        #expect(tape.trades(after: 4190)?.map(\.delivery.rawValue) == Array(4191...4200))
        #expect(tape.trades(after: 2999) == nil)
        #expect(tape.trades(after: 4201) == nil)
        #expect(tape.trades(before: 3005, limit: 10).trades.map(\.delivery.rawValue) == [3004, 3003, 3002, 3001])
        #expect(tape.trades(before: 3005, limit: 10).isCut)
        #expect(!tape.trades(before: 3005, limit: 4).isCut)
    }

    @Test func historyIsLoadedToItsStart() async throws {
        let world = World.furnished()
        world.trade(lots: 1, price: 700, rig: 1)
        let streams = MarketStreams(market: world.market, epoch: 1)
        try await streams.loadHistory(Tables(all: []))
        #expect(streams.read { $0.tape.candles.candles(.oneMinute).map(\.trades) } == [1])
    }

    // MARK: - Over HTTP

    @Test func candlesAndTicker() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            let empty = try await client.get("/v1/ticker")
            #expect(empty["day", "trades"].int == 0)
            #expect(empty["last"] == .null)
            world.trade(lots: 2, price: 700, rig: 1)
            world.trade(lots: 1, price: 1000, rig: 3)
            let ticker = try await client.get("/v1/ticker")
            #expect(ticker["last", "price"].int == 1000)
            #expect(ticker["day", "trades"].int == 2)
            #expect(ticker["day", "lots"].int == 3)
            #expect(ticker["day", "high"].int == 1000)
            #expect(ticker["day", "low"].int == 700)
            #expect(ticker["day", "averagePrice"].int == 800)
            let candles = try await client.get("/v1/candles?interval=1h")
            #expect(candles["items"].items.count == 1)
            #expect(candles["items"].items.first?["start"].text == "2027-01-15T08:00:00.000000Z")
            #expect(candles["items"].items.first?["open"].int == 700)
            #expect(candles["items"].items.first?["close"].int == 1000)
            #expect(try await client.get("/v1/candles?before=2027-01-15T08:00:00Z")["items"].items.isEmpty)
            #expect(try await client.get("/v1/candles?before=2027-01-15T08:00:01Z")["items"].items.count == 1)
            // A day later nothing is left of the day, though nothing was committed.
            world.market.pass(.seconds(86_400))
            let later = try await client.get("/v1/ticker")
            #expect(later["day", "trades"].int == 0)
            #expect(later["last", "price"].int == 1000)
        }
    }

    @Test func pagesHaveTags() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            for (index, path) in ["/v1/book", "/v1/book?levels=7", "/v1/ticker"].enumerated() {
                let first = try await client.get(path)
                let tag = try #require(first.headers[.eTag])
                #expect(first.headers[.cacheControl] == "public, no-cache")
                for known in [tag, "W/\(tag)", "\"x\", \(tag) ", "*"] {
                    let again = try await client.send(.get, path, headers: [.ifNoneMatch: known])
                    #expect(again.status == 304, "\(path) \(known)")
                    #expect(again.text.isEmpty)
                    #expect(again.headers[.eTag] == tag)
                }
                #expect(try await client.send(.get, path, headers: [.ifNoneMatch: "\"x\""]).status == 200)
                world.bid(price: 300 + Int64(index))
                let changed = try await client.send(.get, path, headers: [.ifNoneMatch: tag])
                #expect(changed.status == 200, "\(path)")
                #expect(changed.headers[.eTag] != tag)
            }
            let (small, large) = (try await client.get("/v1/book?levels=1"), try await client.get("/v1/book?levels=2"))
            #expect(small.headers[.eTag] != large.headers[.eTag])
            #expect(small["bids"].items.count == 1)
        }
    }

    @Test func ownPlacesAreTold() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            world.bid(price: 500, lots: 3)
            world.bid(price: 400, lots: 2)
            world.bid(price: 500, lots: 1)
            let own = try await client.get("/v1/book/own", as: .buyer)
            #expect(own["items"].items.map { $0["ordersAhead"].int } == [0, 2, 1])
            #expect(own["items"].items.map { $0["lotsAhead"].int } == [0, 4, 3])
            #expect(own["items"].items.map { $0["price"].int } == [500, 400, 500])
            #expect(try await client.get("/v1/book/own", as: .otherBuyer)["items"].items.isEmpty)
        }
    }

    @Test func tradesArePaged() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            world.trade(lots: 1, price: 700, rig: 1)
            world.trade(lots: 1, price: 800, rig: 3)
            let first = try await client.get("/v1/trades?limit=1")
            #expect(first["items"].items.map { $0["id"].int } == [2])
            #expect(first["nextCursor"].text == "2")
            let second = try await client.get("/v1/trades?limit=1&cursor=2")
            #expect(second["items"].items.map { $0["id"].int } == [1])
            #expect(second["nextCursor"] == .null)
        }
    }
}
