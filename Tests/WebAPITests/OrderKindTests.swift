import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// Every kind of order through the API. The market's time starts at 2027-01-15T08:00:00Z.
@Suite struct OrderKindTests {
    /// A buyer with pool 1, and rig 1 of five lots.
    private func world() -> World {
        let world = World()
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        _ = world.rig("r", fallback: world.target(of: .seller))
        return world
    }

    @Test func aBidShowsItsInstructions() async throws {
        try await world().run { (client) async throws in
            #expect(try await client.put("/v1/market/index", as: .admin, #"{"price":600000}"#).status == 200)
            let bid = try await client.post(
                "/v1/bids", as: .buyer,
                #"""
                {"price":700000,"lots":8,"poolTargetIDs":[1],"timeInForce":"GTD","expiresAt":"2027-01-15T09:00:00Z","postOnly":false,
                "minimumFill":2,"displayedLots":3,"selfTradePrevention":"cancelBoth","peg":{"reference":"index","offset":-50}}
                """#)
            #expect(bid.status == 201)
            let shown = try await client.get("/v1/bids/1", as: .buyer)
            #expect(shown.text == bid.text)
            #expect(shown["price"].int == 599_950)
            #expect(shown["limit"].int == 700_000)
            #expect(shown["timeInForce"].text == "GTD")
            #expect(shown["expiresAt"].text == "2027-01-15T09:00:00.000000Z")
            #expect(shown["postOnly"] == .bool(false))
            #expect(shown["minimumFill"].int == 2)
            #expect(shown["displayedLots"].int == 3)
            #expect(shown["shownLots"].int == 3)
            #expect(shown["open"].int == 8)
            #expect(shown["selfTradePrevention"].text == "cancelBoth")
            #expect(shown["peg", "reference"].text == "index")
            #expect(shown["peg", "offset"].int == -50)
            #expect(shown["queue", "ordersAhead"].int == 0)
            #expect(try await client.get("/v1/book")["bestBid"].int == 599_950)
        }
    }

    @Test func aPlainOrderShowsTheDefaults() async throws {
        try await world().run { (client) async throws in
            for (path, caller, body) in [
                ("/v1/bids", Caller.buyer, #"{"price":700,"lots":8,"poolTargetIDs":[1]}"#), ("/v1/asks", .seller, #"{"price":900,"rigID":1,"lots":5}"#),
            ] {
                let order = try await client.post(path, as: caller, body)
                #expect(order["timeInForce"].text == "GTC")
                #expect(order["postOnly"] == .bool(false))
                #expect(order["minimumFill"].int == 1)
                #expect(order["limit"].int == order["price"].int)
                #expect(order["shownLots"].int == order["open"].int)
                for absent in ["expiresAt", "displayedLots", "peg", "schedule", "farmID", "reason"] { #expect(order[absent] == .null) }
            }
        }
    }

    @Test func anExpiryIsEnoughForGoodTillDate() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let bid = try await client.post(
                "/v1/bids", as: .buyer, #"{"price":700,"lots":8,"poolTargetIDs":[1],"expiresAt":"2027-01-15T08:01:00Z"}"#)
            #expect(bid["timeInForce"].text == "GTD")
            world.market.advance(.seconds(60))
            let over = try await client.get("/v1/bids/1", as: .buyer)
            #expect(over["status"].text == "closed")
            #expect(over["reason"].text == "expired")
            #expect(over["shownLots"].int == 0)
            #expect(over["queue"] == .null)
        }
    }

    @Test func fillOrKillFillsWholeOrNotAtAll() async throws {
        try await world().run { (client) async throws in
            let ask = try await client.post("/v1/asks", as: .seller, #"{"price":600,"rigID":1,"lots":"all"}"#)
            #expect(ask["open"].int == 5)
            let killed = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":8,"poolTargetIDs":[1],"timeInForce":"FOK"}"#)
            #expect(killed.code == "cannotFillWhole")
            let filled = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":5,"poolTargetIDs":[1],"timeInForce":"FOK"}"#)
            #expect(filled.status == 201)
            #expect(filled["delivering"].int == 5)
            #expect(filled["timeInForce"].text == "FOK")
        }
    }

    @Test func anImmediateAskThatFindsNothingIsClosed() async throws {
        let world = world()
        world.market.breakReports(true)
        try await world.run { (client) async throws in
            let ask = try await client.post("/v1/asks", as: .seller, #"{"price":600,"rigID":1,"lots":3,"timeInForce":"IOC"}"#)
            #expect(ask.status == 201)
            #expect(ask["status"].text == "closed")
            #expect(ask["placedAt"] == .null)
            #expect(ask["most"].int == 3)
        }
    }

    @Test func anAskIsForSaleByItsSchedule() async throws {
        let world = world()
        try await world.run { (client) async throws in
            let ask = try await client.post(
                "/v1/asks", as: .seller,
                #"{"price":600,"rigID":1,"lots":"all","schedule":[{"from":"22:00","to":"06:00"},{"from":"09:30","to":"24:00"}]}"#)
            #expect(ask["status"].text == "suspended")
            #expect(ask["reason"].text == "outsideSchedule")
            #expect(ask["schedule"].items.map { $0["from"].text } == ["22:00", "09:30"])
            #expect(ask["schedule"].items.map { $0["to"].text } == ["06:00", "24:00"])
            world.market.advance(.seconds(5400))
            #expect(try await client.get("/v1/asks/1", as: .seller)["status"].text == "active")
        }
    }

    @Test func ordersKnowTheirPlaceInTheQueue() async throws {
        try await world().run { (client) async throws in
            for (price, shown) in [(700, 3), (800, 4), (700, 2)] {
                _ = try await client.post(
                    "/v1/bids", as: .buyer, #"{"price":\#(price),"lots":4,"displayedLots":\#(shown),"poolTargetIDs":[1]}"#)
            }
            for (id, orders, lots) in [(1, 1, 4), (2, 0, 0), (3, 2, 7)] as [(Int, Int64, Int64)] {
                let queue = try await client.get("/v1/bids/\(id)", as: .buyer)["queue"]
                #expect(queue["ordersAhead"].int == orders)
                #expect(queue["lotsAhead"].int == lots)
            }
            #expect(try await client.get("/v1/bids", as: .buyer)["items"].items.allSatisfy { $0["queue"] == .null })
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":900,"rigID":1,"lots":"all"}"#)
            #expect(try await client.get("/v1/asks/4", as: .seller)["queue"]["ordersAhead"].int == 0)
        }
    }

    @Test func passedOverAsksShowNoMoreThanTheBook() async throws {
        try await world().run { (client) async throws in
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":600,"rigID":1,"lots":"all","displayedLots":2}"#)
            let bid = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":8,"minimumFill":6,"poolTargetIDs":[1]}"#)
            #expect(bid["passedOver"].items.map { $0["reason"].text } == ["belowMinimumFill"])
            #expect(bid["passedOver"].items.map { $0["lots"].int } == [2])
        }
    }

    @Test func whatIsOverIsNeverShownAsItWasBefore() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            let body = #""price":700,"lots":4,"poolTargetIDs":[1]"#
            let resting = try await client.post("/v1/bids", as: .buyer, "{\(body)}")["id"].int ?? 0
            world.market.holdTablesBack()
            #expect(try await client.delete("/v1/bids/\(resting)", as: .buyer).status == 204)
            let cancelled = try await client.get("/v1/bids/\(resting)", as: .buyer)
            #expect(cancelled["status"].text == "closed")
            #expect(cancelled["reason"].text == "cancelled")
            let placed = try await client.post("/v1/bids", as: .buyer, "{\(body),\"timeInForce\":\"IOC\"}")
            #expect(placed.status == 201)
            #expect(placed["status"].text == "closed")
            let immediate = try await client.get("/v1/bids/\(placed["id"].int ?? 0)", as: .buyer)
            #expect(immediate.status == 200)
            #expect(immediate["reason"].text == "immediateRemainder")
            #expect(try await client.get("/v1/bids/99", as: .buyer).status == 404)
        }
    }

    @Test func tradesArePublished() async throws {
        let world = world()
        _ = world.rig("s", fallback: 2, lots: 3)
        try await world.run { (client) async throws in
            #expect(try await client.get("/v1/trades")["items"].items.isEmpty)
            for (rig, price) in [(1, 500), (2, 600)] {
                _ = try await client.post("/v1/asks", as: .seller, #"{"price":\#(price),"rigID":\#(rig),"lots":"all"}"#)
            }
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":8,"poolTargetIDs":[1]}"#)
            let trades = try await client.get("/v1/trades")
            #expect(trades["items"].items.map { $0["price"].int } == [600, 500])
            #expect(trades["items"].items.map { $0["lots"].int } == [3, 5])
            #expect(trades["items"].items.map { $0["id"].int } == [2, 1])
            #expect(trades["items"].items.first?["at"].text == "2027-01-15T08:00:00.000000Z")
            #expect(trades["lotUnit"].text == "100 kH/s")
            #expect(try await client.get("/v1/trades?limit=1")["items"].items.count == 1)
        }
        try await World(nil).run { (client) async throws in #expect(try await client.get("/v1/trades").status == 503) }
    }

    @Test func aRigIsSoldInPartsWhereTheMarketAllowsIt() async throws {
        var rules = minuteTerms
        rules.smallestSlice = PartsPerMillion(200_000)
        let world = World(rules)
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        _ = world.rig("r", fallback: world.target(of: .seller))
        try await world.run { (client) async throws in
            #expect(try await client.get("/v1/market")["smallestSlicePPM"].int == 200_000)
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":500,"rigID":1,"lots":"all"}"#)
            for lots in [2, 3] { _ = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":\#(lots),"poolTargetIDs":[1]}"#) }
            #expect(try await client.get("/v1/rigs/1", as: .seller)["deliveryIDs"].items.map(\.int) == [1, 2])
            #expect(try await client.get("/v1/rigs", as: .seller)["items"].items.first?["deliveryIDs"].items.count == 2)
        }
    }
}
