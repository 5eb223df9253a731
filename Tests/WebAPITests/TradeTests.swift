import Exchange
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import Units
@testable import WebAPI

/// The way of a trade through the API, from pool targets to the report.
@Suite struct TradeTests {
    @Test func rulesAndEmptyBook() async throws {
        try await World().run { (client) async throws in
            let market = try await client.get("/v1/market")
            #expect(market["priceUnit"].text == "satoshis per MH/s per day")
            #expect(market["lotUnit"].text == "100 kH/s")
            #expect(market["termSeconds"].int == 60)
            let book = try await client.get("/v1/book?levels=5")
            #expect(book["bids"].items.isEmpty)
            #expect(book["bestBid"] == .null)
            #expect(try await client.get("/v1/health").status == 200)
        }
    }

    @Test func withoutRulesThereIsNoMarket() async throws {
        try await World(nil).run { (client) async throws in
            #expect(try await client.get("/v1/health").status == 503)
            let market = try await client.get("/v1/market")
            #expect(market.status == 503)
            #expect(market.code == "marketUndefined")
        }
    }

    @Test(arguments: [false, true]) func wholeWay(overSocket: Bool) async throws {
        let world = World()
        try await world.run(overSocket ? .live : .router) { (client) async throws in
            try await deposit(client)
            try await pools(client)
            try await rig(client, world)
            try await trade(client, world)
            try await settleAndReport(client, world)
        }
    }

    private func deposit(_ client: Client) async throws {
        let booked = try await client.post(
            "/v1/deposits", as: .finance, #"{"account":1,"amount":1000000000,"reference":"wire-1"}"#)
        #expect(booked.status == 201)
        #expect(booked["entry"].int == 1)
        let again = try await client.post(
            "/v1/deposits", as: .finance, #"{"account":1,"amount":1000000000,"reference":"wire-1"}"#)
        #expect(again.status == 409)
        #expect(again.code == "duplicateReference")
        let balance = try await client.get("/v1/balances", as: .buyer)
        #expect(balance["available"].int == 1_000_000_000)
        #expect(balance["held"].int == 0)
    }

    private func pools(_ client: Client) async throws {
        for caller in [Caller.buyer, .seller] {
            let created = try await client.post(
                "/v1/pool-targets", as: caller,
                #"{"name":"main","url":"stratum+tcp://pool.example:3333","user":"me.1","password":"hush-hush"}"#)
            #expect(created.status == 201)
            #expect(created["status"].text == "unverified")
            let path = try #require(created.headers[.location])
            let verified = try await client.send(.post, path + "/verify", as: caller)
            #expect(verified.status == 200)
            #expect(verified["target", "status"].text == "verified")
            #expect(verified["target", "capabilities", "versionMask"].text == "1fffe000")
            #expect(verified["steps"].items.map { $0["name"].text } == ["connect", "subscribe", "authorize"])
            let shown = try await client.get(path, as: caller)
            #expect(shown["capabilities", "extranonce2Size"].int == 8)
            for reply in [created, verified, shown, try await client.get("/v1/pool-targets", as: caller)] {
                #expect(!reply.text.contains("hush-hush"))
            }
        }
    }

    private func rig(_ client: Client, _ world: World) async throws {
        let made = try await client.post("/v1/rigs", as: .seller, #"{"name":"rig-1","fallbackPoolTargetID":2}"#)
        #expect(made.status == 201)
        #expect(made["user"].text == "a2.rig-1")
        #expect(made["stratumURL"].text == "stratum+tcp://market.example:3333")
        let password = try #require(made["password"].text)
        #expect(password.utf8.count == 24)
        let digest = world.market.read { $0.rigs[RigID(1)]?.passwordDigest }
        #expect(digest == APIKey.digest(password))
        #expect(try await client.get("/v1/rigs/1", as: .seller)["status"].text == "offline")
        world.goOnline(1, lots: 5)
        let shown = try await client.get("/v1/rigs/1", as: .seller)
        #expect(shown["status"].text == "online")
        #expect(shown["measuredHashesPerSecond"].int == 550_000)
        #expect(shown["live", "pool"].text == "stratum+tcp://pool.example:3333")
        #expect(shown["name"].text == "rig-1")
        #expect(!shown.text.contains(password))
    }

    private func trade(_ client: Client, _ world: World) async throws {
        let ask = try await client.post("/v1/asks", as: .seller, #"{"price":900000,"rigID":1,"lots":"all"}"#)
        #expect(ask.status == 201)
        #expect(ask["open"].int == 5)
        #expect(ask["most"].text == "all")
        #expect(try await client.get("/v1/book")["asks"].items.map { $0["lots"].int } == [5])
        let bid = try await client.post(
            "/v1/bids", as: .buyer,
            #"{"price":1000000,"lots":8,"poolTargetIDs":[1],"clientOrderID":"b-1","budget":900000000,"timeInForce":"GTC","selfTradePrevention":"cancelBoth"}"#)
        #expect(bid.status == 201)
        #expect(bid.headers[.location] == "/v1/bids/2")
        #expect(bid["open"].int == 3)
        #expect(bid["delivering"].int == 5)
        #expect(bid["status"].text == "active")
        #expect(bid["placedAt"].text == "2027-01-15T08:00:00.000000Z")
        let book = try await client.get("/v1/book")
        #expect(book["bestBid"].int == 1_000_000)
        #expect(book["bestAsk"] == .null)
        for caller in [Caller.buyer, .seller, .finance] {
            let delivery = try #require(try await client.get("/v1/deliveries", as: caller)["items"].items.first)
            #expect(delivery["status"].text == "running")
            #expect(delivery["price"].int == 900_000)
            #expect(delivery["live"]["hashesPerSecond"].int == 98_765)
        }
        #expect(try await client.get("/v1/rigs/1", as: .seller)["deliveryIDs"].items.map(\.int) == [1])
        #expect(try #require(try await client.get("/v1/balances", as: .buyer)["held"].int) > 0)
    }

    private func settleAndReport(_ client: Client, _ world: World) async throws {
        world.market.pass(.seconds(30))
        world.settle(1, work: 100, run: 1)
        #expect(try await client.delete("/v1/bids/2", as: .buyer).status == 204)
        let ended = try await client.get("/v1/deliveries/1", as: .seller)
        #expect(ended["status"].text == "ended")
        #expect(ended["endCause"].text == "bidClosed")
        #expect(ended["live"] == .null)
        let closed = try await client.get("/v1/bids/2", as: .buyer)
        #expect(closed["status"].text == "closed")
        #expect(closed["reason"].text == "cancelled")
        world.settle(1, work: 200, run: 2, isFinal: true)
        // Settled to the end, the bid is in the tables alone.
        #expect(try await client.get("/v1/bids/2", as: .buyer)["status"].text == "closed")
        #expect(try await client.delete("/v1/bids/2", as: .buyer).code == "orderClosed")
        #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.isEmpty)

        let ledger = try await client.get("/v1/ledger/balances", as: .finance)
        #expect(ledger["total"].int == 0)
        #expect(ledger["custody"].int == -1_000_000_000)
        #expect(ledger["customersHeld"].int == 0)
        let report = try await client.get("/v1/reports/settlement?format=csv", as: .buyer)
        #expect(report.headers[.contentType]?.hasPrefix("text/csv") == true)
        let rows = report.text.components(separatedBy: "\r\n").map { $0.components(separatedBy: ",") }
        #expect(rows.count == 5)
        #expect(rows[4] == [""])
        #expect(rows.dropLast().allSatisfy { $0.count == SettlementCSV.columns(.sha256d).count })
        #expect(rows[3][0] == "total")
        #expect(rows[3][14] == "200")
        let debit = 1_000_000_000 - (try #require(try await client.get("/v1/balances", as: .buyer)["available"].int))
        #expect(rows[3][17] == "\(debit)")
        let proceeds = try #require(try await client.get("/v1/balances", as: .seller)["available"].int)
        #expect(rows[3][19] == "\(proceeds)")
        #expect(debit == proceeds + (ledger["fees"].int ?? 0))
    }

    @Test func asksThatABidCannotTakeAreShown() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let small = world.target(of: .buyer, url: "stratum+tcp://small.example:1", size: 4)
        let good = world.target(of: .buyer)
        let fallback = world.target(of: .seller)
        _ = world.rig("big", fallback: fallback, lots: 9)
        _ = world.rig("fit", fallback: fallback, lots: 2)
        try await world.run { (client) async throws in
            for (rig, price) in [(1, 500), (2, 600)] {
                _ = try await client.post("/v1/asks", as: .seller, #"{"price":\#(price),"rigID":\#(rig),"lots":"all"}"#)
            }
            let bid = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":4,"poolTargetIDs":[\#(small)]}"#)
            #expect(bid.status == 201)
            #expect(bid["passedOver"].items.map { $0["reason"].text } == ["extranonceTooSmall", "extranonceTooSmall"])
            #expect(bid["passedOver"].items.map { $0["price"].int } == [500, 600])
            #expect(try await client.get("/v1/bids/3", as: .buyer)["passedOver"].items.count == 2)
            let short = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":1,"poolTargetIDs":[\#(small),\#(good)]}"#)
            #expect(short["passedOver"].items.map { $0["reason"].text } == ["rigTooLarge", "rigTooLarge"])
        }
    }

    @Test func immediateBidThatFindsNothingIsClosed() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let pool = world.target(of: .buyer)
        try await world.run { (client) async throws in
            let body = #"{"price":700,"lots":4,"poolTargetIDs":[\#(pool)],"timeInForce":"IOC"}"#
            let bid = try await client.post("/v1/bids", as: .buyer, body)
            #expect(bid.status == 201)
            #expect(bid["status"].text == "closed")
            #expect(bid["reason"].text == "immediateRemainder")
            #expect(try await client.get("/v1/bids/1", as: .buyer)["timeInForce"].text == "IOC")
        }
    }

    @Test func aPlacedOrderIsAnsweredThoughTheTablesCannotBeRead() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let pool = world.target(of: .buyer)
        world.market.breakReports(true)
        try await world.run { (client) async throws in
            let bid = try await client.post(
                "/v1/bids", as: .buyer, #"{"price":700,"lots":4,"poolTargetIDs":[\#(pool)],"timeInForce":"IOC"}"#)
            #expect(bid.status == 201)
            #expect(bid["status"].text == "closed")
            #expect(bid["id"].int == 1)
        }
    }

    @Test func failedVerificationIsRecordedWithItsReason() async throws {
        let world = World()
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/pool-targets", as: .buyer, #"{"name":"n","url":"stratum+tcp://dead.example:1","user":"u"}"#)
            let reply = try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer)
            #expect(reply.status == 200)
            #expect(reply["target", "status"].text == "failed")
            #expect(reply["target", "reason"].text == "connect: Nobody answers.")
            #expect(reply["steps"].items.first?["ok"] == .bool(false))
            world.deposit(1000)
            let bid = try await client.post("/v1/bids", as: .buyer, #"{"price":1,"lots":1,"poolTargetIDs":[1]}"#)
            #expect(bid.code == "poolTargetUnverified")
        }
    }

    @Test func aTargetIsVerifiedOnceAtATime() async throws {
        let world = World()
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/pool-targets", as: .buyer, #"{"name":"n","url":"stratum+tcp://slow.example:1","user":"u"}"#)
            async let first = client.send(.post, "/v1/pool-targets/1/verify", as: .buyer)
            while world.verifier.runs == 0 { await Task.yield() }
            let second = try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer)
            #expect(second.status == 429)
            #expect(second.headers[.retryAfter] != nil)
            world.verifier.release()
            #expect(try await first.status == 200)
            #expect(try await client.send(.post, "/v1/pool-targets/1/verify", as: .buyer).status == 200)
        }
    }

    @Test func listsComeInPages() async throws {
        let world = World()
        for _ in 1...7 {
            world.target(of: .buyer)
            world.target(of: .otherBuyer)
        }
        try await world.run { (client) async throws in
            var path = "/v1/pool-targets?limit=3"
            var seen: [Int64?] = []
            for pages in 1...3 {
                let page = try await client.get(path, as: .buyer)
                seen += page["items"].items.map { $0["id"].int }
                guard let cursor = page["nextCursor"].text else { #expect(pages == 3); break }
                path = "/v1/pool-targets?limit=3&cursor=\(cursor)"
            }
            #expect(seen == [1, 3, 5, 7, 9, 11, 13])
            #expect(try await client.get("/v1/pool-targets", as: .admin)["items"].items.count == 14)
            #expect(try await client.get("/v1/pool-targets?limit=7", as: .buyer)["nextCursor"] == .null)
        }
    }

    @Test func longReportsAreStreamedWhole() async throws {
        let world = World()
        world.deposit(1_000_000_000_000)
        let pool = world.target(of: .buyer)
        _ = world.rig("r", fallback: world.target(of: .seller), lots: 100)
        world.market.apply(CommandEnvelope(.placeAsk(PlaceAsk(account: AccountID(2), price: Price(1_000_000), rig: RigID(1)))))
        world.market.apply(CommandEnvelope(.placeBid(PlaceBid(
            account: AccountID(1), price: Price(1_000_000), lots: Lots(100), targets: [PoolTargetID(pool)]))))
        world.market.pass(.seconds(59))
        for run in 1...Int64(2 * Limits.reportPage + 1) { world.settle(1, work: run, run: run) }
        try await world.run(.live) { (client) async throws in
            let rows = try await client.get("/v1/reports/settlement", as: .finance).text.split(separator: "\r\n")
            #expect(rows.count == 2003)
            #expect(rows.last?.hasPrefix("total,,2001 lines,") == true)
        }
    }
}
