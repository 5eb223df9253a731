import HTTPTypes
import Logging
import Market
import Testing
import Units
@testable import WebAPI

/// Who may do what.
@Suite struct AccessTests {
    /// The roles of the brief, written down a second time: the table's must agree.
    private static func mayCall(_ caller: Caller, _ method: String, _ path: String) -> Bool {
        let isBuyer = caller == .buyer || caller == .otherBuyer
        let isFinance = caller == .finance || caller == .otherFinance
        let isSeller = caller == .seller || caller == .otherSeller
        if caller == .admin || !path.hasPrefix("/v1/") { return true }
        return switch path.split(separator: "/")[1] {
        case "market": method == "GET"
        case "stream": !path.hasSuffix("rigs") || isSeller
        case "book", "trades", "candles", "ticker", "health", "deliveries", "balances", "reports", "blocks", "withdrawals", "keys": true
        case "transfers": method == "GET" || path.hasSuffix("/cancel") || isFinance
        case "pool-targets", "orders": isBuyer || isSeller
        case "bids": isBuyer
        case "rigs", "asks", "farms": isSeller
        case "ledger": isFinance || path.hasSuffix("/entries")
        case "deposits", "adjustments", "accounts": isFinance
        case "statements", "invoices", "notes", "parties", "rates", "signing-keys": method == "GET" || isFinance
        case "audit-trail", "custody-statements", "pool-statements", "reconciliations", "breaks": isFinance
        case "index": true
        case "disputes":
            method == "GET" || isFinance || (isBuyer || isSeller) && !path.hasSuffix("resolve")
        case "settlement": isFinance || path.hasPrefix("/v1/settlement/lines/")
        case "periods": isFinance
        default: false
        }
    }

    @Test(arguments: Endpoint.all.indices, Caller.allCases) func roles(index: Int, caller: Caller) async throws {
        let endpoint = Endpoint.all[index]
        let path = endpoint.path.replacing("{id}", with: "999")
        try await World().run { (client) async throws in
            let takesFields = [.post, .put, .patch].contains(endpoint.method) && !path.hasSuffix("verify")
            let reply = try await client.send(endpoint.method, path, as: caller, takesFields ? "{}" : nil)
            if AccessTests.mayCall(caller, endpoint.method.rawValue, endpoint.path) {
                #expect(reply.status != 401)
                #expect(reply.status != 403)
            } else {
                #expect(reply.status == 403)
                #expect(reply.code == "roleMissing")
            }
        }
    }

    @Test(arguments: Endpoint.all.indices) func nobodyGetsInWithoutAKey(index: Int) async throws {
        let endpoint = Endpoint.all[index]
        try await World().run { (client) async throws in
            let reply = try await client.send(endpoint.method, endpoint.path.replacing("{id}", with: "1"))
            switch endpoint.handler {
            case .open: #expect(reply.status == 200)
            case .keyed:
                #expect(reply.status == 401)
                #expect(reply.code == "missingCredentials")
                #expect(reply.headers[.wwwAuthenticate] == "Bearer")
            }
        }
    }

    @Test func roleMissingNamesTheRole() async throws {
        try await World().run { (client) async throws in
            let reply = try await client.get("/v1/pool-targets", as: .finance)
            #expect(reply["detail"].text?.contains("buyer or seller") == true)
        }
    }

    @Test(arguments: [
        ("Basic dXNlcjpwYXNz", "missingCredentials"), ("Bearer", "invalidCredentials"), ("Bearer hs_short", "invalidCredentials"),
        ("Bearer hs_" + String(repeating: "A", count: 43), "invalidCredentials"),
        ("Bearer hs_" + String(repeating: "é", count: 43), "invalidCredentials"),
        ("Bearer xx_" + String(repeating: "A", count: 43), "invalidCredentials"),
        ("Bearer hs_" + String(repeating: "+", count: 43), "invalidCredentials"), ("", "missingCredentials"),
    ]) func badCredentials(header: String, code: String) async throws {
        try await World().run { (client) async throws in
            let reply = try await client.send(.get, "/v1/balances", headers: [.authorization: header])
            #expect(reply.status == 401)
            #expect(reply.code == code)
        }
    }

    @Test func schemeIsCaseInsensitive() async throws {
        try await World().run { (client) async throws in
            let reply = try await client.send(.get, "/v1/balances", headers: [.authorization: "bearer \(Caller.buyer.key)"])
            #expect(reply.status == 200)
            #expect(reply.headers[.cacheControl] == "no-store")
        }
    }

    @Test func keysAreRememberedForAShortWhile() async throws {
        let world = World()
        try await world.run { (client) async throws in
            for _ in 1...3 { #expect(try await client.get("/v1/balances", as: .buyer).status == 200) }
            #expect(world.directory.lookupCount == 1)
            world.directory.revoke(Caller.buyer.key)
            #expect(try await client.get("/v1/balances", as: .buyer).status == 200)
            world.market.pass(Authenticator.lifetime)
            #expect(try await client.get("/v1/balances", as: .buyer).status == 401)
        }
    }

    @Test func rememberedKeysAreBounded() async throws {
        let world = World()
        let authenticator = Authenticator(directory: world.directory, capacity: 2, now: { world.market.time })
        for _ in 1...2 {
            for caller in Caller.allCases {
                let claim = try Claim([.authorization: "Bearer \(caller.key)"])
                let known = try await authenticator.known(claim, logger: .init(label: "test"))
                #expect(known.credential.key.account.rawValue == caller.account)
            }
        }
        #expect(world.directory.lookupCount >= Caller.allCases.count)
    }

    @Test func brokenDirectoryIsNotTheCallersFault() async throws {
        let world = World()
        world.directory.setBroken(true)
        try await world.run { (client) async throws in
            let reply = try await client.get("/v1/balances", as: .buyer)
            #expect(reply.status == 503)
            #expect(!reply.text.contains("Broken"))
        }
    }

    // MARK: - Others' things

    @Test func othersThingsAreNotThere() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let pool = world.target(of: .buyer)
        let fallback = world.target(of: .seller)
        let rig = world.rig("r", fallback: fallback)
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":500,"rigID":\#(rig),"lots":"all"}"#)
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":9,"poolTargetIDs":[\#(pool)]}"#)
            for (caller, path) in [
                (Caller.otherBuyer, "/v1/pool-targets/1"), (.otherBuyer, "/v1/bids/2"), (.otherBuyer, "/v1/deliveries/1"),
                (.otherSeller, "/v1/rigs/1"), (.otherSeller, "/v1/asks/1"), (.seller, "/v1/asks/2"), (.buyer, "/v1/bids/1"),
                (.seller, "/v1/pool-targets/1"), (.otherSeller, "/v1/deliveries/1"),
            ] {
                #expect(try await client.get(path, as: caller).status == 404, "\(caller) \(path)")
            }
            for (caller, path) in [(Caller.otherBuyer, "/v1/bids/2"), (.otherSeller, "/v1/asks/1"), (.buyer, "/v1/bids/1")] {
                #expect(try await client.delete(path, as: caller).code == "orderUnknown", "\(caller) \(path)")
            }
            #expect(try await client.send(.post, "/v1/pool-targets/1/verify", as: .seller).status == 404)
            #expect(world.verifier.runs == 0)
            for (caller, path) in [
                (Caller.otherBuyer, "/v1/bids"), (.otherBuyer, "/v1/deliveries"), (.otherSeller, "/v1/asks"), (.otherSeller, "/v1/rigs"),
            ] {
                #expect(try await client.get(path, as: caller)["items"].items.isEmpty, "\(caller) \(path)")
            }
            let stolen = try await client.post("/v1/asks", as: .otherSeller, #"{"price":500,"rigID":1,"lots":1}"#)
            #expect(stolen.status == 422)
            #expect(stolen.field == "rigID")
            let foreign = try await client.post("/v1/bids", as: .otherBuyer, #"{"price":500,"lots":1,"poolTargetIDs":[1]}"#)
            #expect(foreign.code == "poolTargetUnknown")
            #expect(foreign.field == "poolTargetIDs")
            let rig = try await client.post("/v1/rigs", as: .otherSeller, #"{"name":"x","fallbackPoolTargetID":1}"#)
            #expect(rig.field == "fallbackPoolTargetID")
            #expect(try await client.get("/v1/balances?account=1", as: .otherBuyer).status == 403)
            #expect(try await client.get("/v1/balances?account=1", as: .buyer).status == 200)
            #expect(try await client.get("/v1/balances?account=1", as: .finance)["held"].int != 0)
            #expect(try await client.get("/v1/balances?account=99", as: .finance).code == "accountUnknown")
        }
    }

    @Test func adminsCancelOthersOrders() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let pool = world.target(of: .buyer)
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":700,"lots":9,"poolTargetIDs":[\#(pool)]}"#)
            #expect(try await client.get("/v1/bids/1", as: .admin)["account"].int == 1)
            #expect(try await client.get("/v1/bids", as: .admin)["items"].items.count == 1)
            #expect(try await client.delete("/v1/bids/1", as: .admin).status == 204)
            #expect(try await client.delete("/v1/bids/1", as: .admin).code == "orderClosed")
            #expect(try await client.get("/v1/bids/1", as: .buyer)["status"].text == "closed")
        }
    }

    @Test func reportsShowOwnLines() async throws {
        let world = World()
        world.deposit(1_000_000_000)
        let pool = world.target(of: .buyer)
        let rig = world.rig("r", fallback: world.target(of: .seller))
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/asks", as: .seller, #"{"price":500000,"rigID":\#(rig),"lots":"all"}"#)
            _ = try await client.post("/v1/bids", as: .buyer, #"{"price":700000,"lots":9,"poolTargetIDs":[\#(pool)]}"#)
            world.market.pass(.seconds(20))
            world.settle(1, work: 100, run: 1)
            for (caller, rows) in [(Caller.buyer, 3), (.seller, 3), (.finance, 3), (.admin, 3), (.otherBuyer, 2), (.roleless, 2)] {
                let text = try await client.get("/v1/reports/settlement", as: caller).text
                #expect(text.split(separator: "\r\n").count == rows, "\(caller)")
            }
        }
    }
}
