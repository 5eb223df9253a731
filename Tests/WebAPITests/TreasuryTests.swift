import Exchange
import HTTPTypes
import Testing
import Units
@testable import WebAPI

/// Money in and out by two people, corrections, frozen accounts, the ledger.
@Suite struct TreasuryTests {
    private func world() -> World { World(singlePersonDeposits: false) }

    private func deposit(_ client: Client, _ amount: Int64 = 1000, _ name: String = "wire", account: Int64? = 1) async throws -> Int64 {
        let owner = account.map { "\"account\":\($0)," } ?? ""
        let reply = try await client.post("/v1/deposits", as: .finance, #"{\#(owner)"amount":\#(amount),"reference":"\#(name)"}"#)
        #expect(reply.status == 201)
        return try #require(reply["id"].int)
    }

    private func available(_ client: Client, _ caller: Caller = .buyer) async throws -> Int64? {
        try await client.get("/v1/balances", as: caller)["available"].int
    }

    @Test func depositsAreApprovedByAnother() async throws {
        try await world().run { (client) async throws in
            let id = try await deposit(client)
            #expect(try await available(client) == 0)
            #expect(try await client.get("/v1/ledger/balances", as: .finance)["suspense"].int == 1000)
            let own = try await client.post("/v1/transfers/\(id)/approve", as: .finance, "{}")
            #expect(own.status == 403)
            #expect(own.code == "ownTransfer")
            let reply = try await client.post("/v1/transfers/\(id)/approve", as: .otherFinance, "{}")
            #expect(reply.status == 200)
            #expect(reply["status"].text == "completed")
            #expect(reply["decidedBy"].int == Caller.otherFinance.account)
            #expect(try await available(client) == 1000)
            #expect(try await client.post("/v1/transfers/\(id)/approve", as: .otherFinance, "{}").code == "transferNotPending")
            #expect(try await client.post("/v1/transfers/99/approve", as: .otherFinance, "{}").status == 404)
            let twice = try await client.post("/v1/deposits", as: .finance, #"{"account":1,"amount":5,"reference":"wire"}"#)
            #expect(twice.status == 409)
            #expect(twice.code == "duplicateReference")
        }
    }

    @Test func unknownDepositsGetTheirAccountOnApproval() async throws {
        try await world().run { (client) async throws in
            let id = try await deposit(client, account: nil)
            let bare = try await client.post("/v1/transfers/\(id)/approve", as: .otherFinance, "{}")
            #expect(bare.status == 422)
            #expect(bare.field == "account")
            #expect(try await client.post("/v1/transfers/\(id)/approve", as: .otherFinance, #"{"account":77}"#).code == "accountUnknown")
            #expect(try await client.post("/v1/transfers/\(id)/approve", as: .otherFinance, #"{"account":2}"#)["account"].int == 2)
            #expect(try await available(client, .seller) == 1000)
            let other = try await deposit(client, 5, "b", account: nil)
            let rejected = try await client.post("/v1/transfers/\(other)/reject", as: .finance, #"{"reason":"not ours"}"#)
            #expect(rejected["note"].text == "not ours")
            #expect(try await client.get("/v1/ledger/balances", as: .finance)["custody"].int == -1000)
        }
    }

    @Test func onePersonsDepositsStay() async throws {
        try await World().run { (client) async throws in
            let reply = try await client.post("/v1/deposits", as: .finance, #"{"account":1,"amount":5,"reference":"r"}"#)
            #expect(reply["entry"].int == 1)
            #expect(try await client.post("/v1/deposits", as: .finance, #"{"amount":5,"reference":"s"}"#).field == "account")
        }
    }

    @Test func withdrawalsGoTheirWay() async throws {
        let world = world()
        world.deposit(1000)
        try await world.run { (client) async throws in
            let asked = try await client.post("/v1/withdrawals", as: .buyer, #"{"amount":300,"destination":"bc1q"}"#, key: "w")
            #expect(asked.status == 201)
            #expect(asked.headers[.location] == "/v1/transfers/1")
            let again = try await client.post("/v1/withdrawals", as: .buyer, #"{"amount":300,"destination":"bc1q"}"#, key: "w")
            #expect(again["id"].int == 1)
            let balances = try await client.get("/v1/balances", as: .buyer)
            #expect(balances["available"].int == 700)
            #expect(balances["leaving"].int == 300)
            #expect(try await client.post("/v1/transfers/1/approve", as: .buyer, "{}").code == "roleMissing")
            #expect(try await client.post("/v1/transfers/1/complete", as: .finance, #"{"reference":"tx"}"#).code == "transferNotApproved")
            #expect(try await client.post("/v1/transfers/1/approve", as: .finance, "{}", key: "a")["status"].text == "approved")
            #expect(try await client.post("/v1/transfers/1/approve", as: .finance, "{}", key: "a")["status"].text == "approved")
            #expect(try await client.post("/v1/transfers/1/cancel", as: .buyer, "{}").code == "transferNotPending")
            let paid = try await client.post("/v1/transfers/1/complete", as: .finance, #"{"reference":"tx"}"#)
            #expect(paid["status"].text == "completed")
            #expect(paid["reference"].text == "tx")
            #expect(try await client.get("/v1/balances", as: .buyer)["leaving"].int == 0)
            let poor = try await client.post("/v1/withdrawals", as: .buyer, #"{"amount":701,"destination":"bc1q"}"#)
            #expect(poor.status == 402)
        }
    }

    @Test func nobodyApprovesTheirOwnWithdrawal() async throws {
        let world = world()
        world.deposit(1000, to: .finance)
        world.deposit(1000)
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/withdrawals", as: .finance, #"{"amount":300,"destination":"mine"}"#)
            #expect(try await client.post("/v1/transfers/1/approve", as: .finance, "{}").code == "ownTransfer")
            // Asked for by somebody else of finance, it is still the account's own.
            _ = try await client.post("/v1/withdrawals", as: .otherFinance, #"{"account":3,"amount":300,"destination":"mine"}"#)
            #expect(try await client.post("/v1/transfers/2/approve", as: .finance, "{}").code == "ownTransfer")
            #expect(try await client.post("/v1/transfers/2/approve", as: .otherFinance, "{}").code == "ownTransfer")
            #expect(try await client.post("/v1/transfers/2/approve", as: .admin, "{}").status == 200)
            #expect(try await client.post("/v1/transfers/2/complete", as: .finance, #"{"reference":"tx"}"#).code == "ownTransfer")
            let foreign = try await client.post("/v1/withdrawals", as: .seller, #"{"account":1,"amount":3,"destination":"mine"}"#)
            #expect(foreign.status == 403)
            #expect(foreign.code == "roleMissing")
        }
    }

    @Test func othersTransfersAreUnknown() async throws {
        let world = world()
        world.deposit(1000)
        try await world.run { (client) async throws in
            _ = try await client.post("/v1/withdrawals", as: .buyer, #"{"amount":300,"destination":"bc1q"}"#)
            #expect(try await client.get("/v1/transfers/1", as: .otherBuyer).status == 404)
            #expect(try await client.post("/v1/transfers/1/cancel", as: .otherBuyer, "{}").status == 404)
            #expect(try await client.get("/v1/transfers", as: .otherBuyer)["items"].items.isEmpty)
            #expect(try await client.get("/v1/transfers?account=1", as: .otherBuyer).status == 403)
            #expect(try await client.get("/v1/transfers/1", as: .buyer)["destination"].text == "bc1q")
            #expect(try await client.post("/v1/transfers/1/cancel", as: .buyer, "{}")["status"].text == "cancelled")
            #expect(try await client.get("/v1/transfers", as: .buyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/transfers?status=pending", as: .finance)["items"].items.isEmpty)
            #expect(try await client.get("/v1/transfers?kind=withdrawal&status=cancelled&account=1", as: .finance)["items"].items.count == 1)
            #expect(try await client.get("/v1/transfers?kind=loan", as: .finance).status == 400)
        }
    }

    @Test func listsHavePages() async throws {
        try await world().run { (client) async throws in
            for number in 1...5 { _ = try await deposit(client, 1, "w\(number)") }
            let first = try await client.get("/v1/transfers?limit=2", as: .finance)
            #expect(first["items"].items.map { $0["id"].int } == [1, 2])
            let next = try await client.get("/v1/transfers?limit=4&cursor=\(try #require(first["nextCursor"].text))", as: .finance)
            #expect(next["items"].items.map { $0["id"].int } == [3, 4, 5])
            #expect(next["nextCursor"] == .null)
        }
    }

    @Test func adjustmentsAndReversals() async throws {
        let world = world()
        world.deposit(1000)
        try await world.run { (client) async throws in
            let body = #"{"postings":[{"account":"available","owner":1,"amount":-40},{"account":"loss","amount":40}],"reason":"rounding"}"#
            #expect(try await client.post("/v1/adjustments", as: .finance, body).status == 201)
            #expect(try await client.post("/v1/transfers/1/approve", as: .finance, "{}").code == "ownTransfer")
            let booked = try await client.post("/v1/transfers/1/approve", as: .otherFinance, "{}")
            let entry = try #require(booked["entry"].int)
            #expect(try await available(client) == 960)
            let back = #"{"reverses":\#(entry),"reason":"wrong account"}"#
            #expect(try await client.post("/v1/adjustments", as: .otherFinance, back, key: "r")["reverses"].int == entry)
            #expect(try await client.post("/v1/adjustments", as: .otherFinance, back, key: "r")["id"].int == 2)
            #expect(try await client.post("/v1/adjustments", as: .otherFinance, back).code == "entryAlreadyReversed")
            #expect(try await client.post("/v1/transfers/2/approve", as: .finance, "{}")["status"].text == "completed")
            #expect(try await available(client) == 1000)
            for (body, field) in [
                (#"{"reverses":99,"reason":"r"}"#, "reverses"), (#"{"reason":"r"}"#, "postings"),
                (#"{"reverses":1,"postings":[],"reason":"r"}"#, "postings"), (#"{"postings":[],"reason":"r"}"#, "postings"),
                (#"{"postings":[{"account":"held","owner":1,"amount":1},{"account":"loss","amount":-1}],"reason":"r"}"#, "postings"),
                (#"{"postings":[{"account":"loss","owner":1,"amount":1},{"account":"fees","amount":-1}],"reason":"r"}"#, "postings[0].owner"),
                (#"{"postings":[{"account":"bank","amount":1},{"account":"fees","amount":-1}],"reason":"r"}"#, "postings[0].account"),
                (#"{"postings":[{"account":"available","owner":88,"amount":1},{"account":"loss","amount":-1}],"reason":"r"}"#, "account"),
            ] {
                let refused = try await client.post("/v1/adjustments", as: .finance, body)
                #expect(refused.status == 422, "\(body)")
                #expect(refused.field == field, "\(body)")
            }
        }
    }

    @Test func frozenAccounts() async throws {
        let world = World.furnished()
        try await world.run { (client) async throws in
            #expect(try await client.get("/v1/accounts/1/freeze", as: .finance)["isFrozen"].bool == false)
            #expect(try await client.put("/v1/accounts/1/freeze", as: .buyer, #"{"isFrozen":true,"reason":"r"}"#).status == 403)
            let frozen = try await client.put("/v1/accounts/1/freeze", as: .finance, #"{"isFrozen":true,"reason":"court order"}"#)
            #expect(frozen["isFrozen"].bool == true)
            #expect(frozen["reason"].text == "court order")
            #expect(frozen["by"].int == Caller.finance.account)
            #expect(try await client.get("/v1/bids/1", as: .buyer)["reason"].text == "accountFrozen")
            #expect(try await client.get("/v1/balances", as: .buyer)["isFrozen"].bool == true)
            let bid = try await client.post("/v1/bids", as: .buyer, #"{"price":500,"lots":4,"poolTargetIDs":[1]}"#)
            #expect(bid.status == 409)
            #expect(bid.code == "accountFrozen")
            #expect(try await client.post("/v1/withdrawals", as: .buyer, #"{"amount":1,"destination":"d"}"#).code == "accountFrozen")
            #expect(try await client.put("/v1/accounts/1/freeze", as: .otherFinance, #"{"isFrozen":false,"reason":"over"}"#)["isFrozen"].bool == false)
            #expect(try await client.post("/v1/bids", as: .buyer, #"{"price":500,"lots":4,"poolTargetIDs":[1]}"#).status == 201)
            #expect(try await client.get("/v1/accounts/99/freeze", as: .finance).status == 404)
            #expect(try await client.put("/v1/accounts/1/freeze", as: .finance, #"{"reason":"r"}"#).field == "isFrozen")
        }
    }

    // MARK: - The ledger

    @Test func theTrialBalanceIsOfAnyTime() async throws {
        let world = World()
        world.deposit(1000)
        world.market.advance(.seconds(86_400))
        world.deposit(500, to: .seller)
        try await world.run { (client) async throws in
            let now = try await client.get("/v1/ledger/trial-balance", as: .finance)
            #expect(now["total"].int == 0)
            #expect(now["credit"].int == 1500)
            #expect(now["debit"].int == 1500)
            #expect(now["accounts"].items.map { $0["account"].text } == ["available", "available", "custody"])
            for query in ["asOf=2027-01-15", "asOf=2027-01-15T23:00:00Z&basis=booked"] {
                let then = try await client.get("/v1/ledger/trial-balance?\(query)", as: .finance)
                #expect(then["credit"].int == 1000, "\(query)")
            }
            let table = try await client.get("/v1/ledger/trial-balance?format=csv&asOf=2027-01-15", as: .finance)
            #expect(table.text == "account,owner,debit_sat,credit_sat,balance_sat\r\navailable,1,0,1000,1000\r\ncustody,,1000,0,-1000\r\ntotal,2 accounts,1000,1000,0\r\n")
            #expect(try await client.get("/v1/balances?asOf=2027-01-15", as: .seller)["available"].int == 0)
            #expect(try await client.get("/v1/balances?asOf=2027-01-16", as: .seller)["available"].int == 500)
            #expect(try await client.get("/v1/balances?asOf=yesterday", as: .seller).field == "asOf")
            #expect(try await client.get("/v1/ledger/trial-balance", as: .seller).status == 403)
        }
    }

    @Test func everybodySeesTheirEntries() async throws {
        let world = World()
        world.deposit(1000)
        world.deposit(500, to: .seller)
        try await world.run { (client) async throws in
            let all = try await client.get("/v1/ledger/entries", as: .finance)["items"].items
            #expect(all.map { $0["entry"].int } == [1, 2])
            #expect(all[0]["postings"].items.count == 2)
            let own = try await client.get("/v1/ledger/entries", as: .seller)["items"].items
            #expect(own.map { $0["entry"].int } == [2])
            #expect(own[0]["postings"].items.map { $0["account"].text } == ["available"])
            #expect(try await client.get("/v1/ledger/entries?account=1", as: .seller).status == 403)
            #expect(try await client.get("/v1/ledger/entries?account=1", as: .finance)["items"].items.count == 1)
            let table = try await client.get("/v1/ledger/entries?format=csv", as: .finance).text.split(separator: "\r\n")
            #expect(table.count == 6)
            #expect(table.last == "total,,,2 entries,,,,,,0,")
        }
    }

    @Test func unreadableTablesAreNotTheCallersFault() async throws {
        let world = World()
        world.market.breakReports(true)
        try await world.run { (client) async throws in
            for path in ["/v1/transfers", "/v1/transfers/1", "/v1/ledger/entries", "/v1/ledger/entries?format=csv", "/v1/ledger/trial-balance"] {
                #expect(try await client.get(path, as: .finance).status == 503)
            }
        }
    }
}
