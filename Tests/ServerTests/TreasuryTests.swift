import Foundation
import Market
import Server
import TestSupport
import Testing

/// Two people's deposits and withdrawals through a whole server that ends in between.
@Suite(.serialized) struct TreasuryTests {
    @Test(arguments: Engine.allCases) func decisionsOutliveARestart(_ engine: Engine) async throws {
        let market = try await TestMarket(engine)
        market.configuration.singlePersonDeposits = false
        try await market.start()
        let (clerk, boss) = (try await market.customer("clerk", .finance), try await market.customer("boss", .finance))
        let buyer = try await market.customer("buyer", .buyer)
        let deposit = try await market.api.call("POST", "/v1/deposits", clerk, ["amount": 1000, "reference": "wire"])
        #expect(deposit.status == 201)
        #expect(deposit.text("status") == "pending")
        let id = try #require(deposit.int("id"))
        await market.stop()
        try await market.start()
        let own = try await market.api.call("POST", "/v1/transfers/\(id)/approve", clerk, ["account": buyer.account])
        #expect(own.text("code") == "ownTransfer")
        let approved = try await market.api.call("POST", "/v1/transfers/\(id)/approve", boss, ["account": buyer.account])
        #expect(approved.text("status") == "completed", "\(approved)")
        let asked = try await market.api.call("POST", "/v1/withdrawals", buyer, ["amount": 400, "destination": "bc1q"])
        let out = try #require(asked.int("id"), "\(asked)")
        _ = try await market.api.call("POST", "/v1/transfers/\(out)/approve", boss, [:])
        await market.stop()
        try await market.start()
        #expect(try await market.api.call("GET", "/v1/balances", buyer).int("leaving") == 400)
        let paid = try await market.api.call("POST", "/v1/transfers/\(out)/complete", clerk, ["reference": "tx"])
        #expect(paid.text("status") == "completed", "\(paid)")
        let balances = try await market.api.call("GET", "/v1/balances", buyer)
        #expect(balances.int("available") == 600)
        #expect(balances.int("leaving") == 0)
        let trial = try await market.api.call("GET", "/v1/ledger/trial-balance", clerk)
        #expect(trial.int("total") == 0)
        #expect(trial.int("credit") == 600)
        let entries = try await market.api.call("GET", "/v1/ledger/entries", clerk).items
        #expect(entries.count == 4)
        #expect(entries.allSatisfy { ($0["hash"] as? String)?.count == 64 })
        let twice = try await market.api.call("POST", "/v1/deposits", boss, ["amount": 5, "reference": "wire"])
        #expect(twice.text("code") == "duplicateReference")
        await market.stop()
    }
}
