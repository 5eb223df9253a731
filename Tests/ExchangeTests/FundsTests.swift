import Exchange
import Ledger
import OrderBook
import Settlement
import Testing
import Units

/// The price is 1000 sat for a second of one lot's work, 15.26 units; a unit is 65.536 sat. A share has at most 30 units.
@Suite struct FundsTests {
    @Test func aDeliveryHoldsItsCappedChargeAndFee() {
        var s = Scenario(funds: 0)
        s.deposit(1, 200_000, at: 0)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, at: 2)
        // 961 units in 60 s x 1.05 and 20 shares: 1561 units are 102,302 sat, the fee is 1,024.
        let held: Int64 = 103_326
        #expect(s.held(1) == held)
        #expect(s.available(1) == 200_000 - held)
        s.cancel(2, at: 30)
        #expect(s.held(1) == held)
        s.advance(to: 629)
        #expect(s.held(1) == held)
        s.advance(to: 630)
        #expect(s.held(1) == 0)
        #expect(s.available(1) == 200_000)
        // What is reported late is charged to what is there.
        s.settle(1, seconds: 10, lots: 1, final: true, at: 640)
        #expect(s.available(1) == 200_000 - 9_961 - 99)
        #expect(s.state.deliveries.count == 0)
        #expect(s.state.orders.count == 1)
    }

    @Test func theTermShrinksToWhatCanBePaid() {
        var s = Scenario(funds: 0)
        s.deposit(1, 80_000, at: 0)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, at: 2)
        // 608 units in 38 s x 1.05 and 20 shares: 79,168 sat and 792; 39 s are 16 units more.
        #expect(s.news().last == "d1: o2 buys 1 of o1 at 86400000, 2 to 40 s")
    }

    @Test func aBidThatCanPayForNothingWaitsForMoney() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.rig(3, lots: 1)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.ask(3, rig: 2, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 2, at: 2)
        #expect(s.news().suffix(2) == ["d1: o3 buys 1 of o1 at 86400000, 2 to 62 s", "o3 suspended: insufficientFunds"])
        s.deposit(2, 1_000_000, at: 3)
        #expect(s.news() == [])
        s.deposit(1, 1_000_000, at: 4)
        #expect(s.news() == ["o3 resumed", "d2: o3 buys 1 of o2 at 86400000, 4 to 64 s"])
    }

    @Test func whatIsLeftOfAHoldBringsTheBidBack() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, at: 2)
        s.advance(to: 62)
        _ = s.news()
        s.settle(1, seconds: 30, lots: 1, final: true, at: 70)
        #expect(s.news() == [
            "d1 charged 29949", "d1 settled", "o2 resumed", "d2: o2 buys 1 of o1 at 86400000, 70 to 107 s",
        ])
    }

    @Test func aRigTooDearIsPassedOverForASmallerOne() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.rig(3, lots: 9)
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 9, at: 2)
        s.ask(3, rig: 2, 86_400_000, at: 3)
        #expect(s.news() == ["o1 placed", "o2 placed", "o3 placed", "d1: o2 buys 1 of o3 at 86400000, 3 to 63 s"])
    }

    @Test func moreMoneyBringsThePassedOverRigAfterAll() {
        var s = Scenario(funds: 0)
        s.deposit(1, 110_000, at: 0)
        s.rig(3, lots: 9)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 9, at: 2)
        s.deposit(1, 1_000_000, at: 3)
        #expect(s.news().last == "d1: o2 buys 9 of o1 at 86400000, 3 to 63 s")
    }

    @Test func aBudgetIsTheMostThatABidCosts() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, budget: 110_000, at: 2)
        #expect(s.held(1) == 103_326)
        s.settle(1, seconds: 60, lots: 1, at: 62)
        _ = s.news()
        s.settle(1, seconds: 1000, lots: 1, final: true, at: 63)
        // The cap is 1561 units. What is left does not pay for another ten seconds, and nothing is unsettled.
        #expect(s.news() == ["d1 charged 42336", "d1 settled", "o2 closed: budgetSpent"])
        #expect(s.available(1) >= 1_000_000_000 - 110_000)
        #expect(s.state.orders[OrderID(2)] == nil)
        #expect(s.state.billings.count == 0)
    }

    /// Lines of two deliveries of a pair in turn: rounding the pair's totals makes one pay for both.
    @Test func aBudgetHoldsHoweverLinesInterleave() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 659_180, at: 1)
        // A unit is half a satoshi; 1561 units are 781 sat and 8: the budget is two holds.
        s.bid(1, 659_180, 1, budget: 2 * 789, at: 2)
        s.advance(to: 122)
        #expect(s.held(1) == 2 * 789)
        for units in Int64(1)...900 {
            s.send(
                .settle(run: 1, chunk: units, (Int64(1)...2).map {
                    DeliveryTotal(delivery: DeliveryID($0), billableWork: Work(units: units), isFinal: false)
                }), at: 190)
        }
        #expect(s.available(1) == 1_000_000_000 - 2 * 789)
        s.settle(1, seconds: 1000, lots: 1, final: true, at: 191)
        s.settle(2, seconds: 1000, lots: 1, final: true, at: 192)
        #expect(s.available(1) + s.held(1) >= 1_000_000_000 - 2 * 789)
    }

    @Test func aSpentBidLeavesTheBookWithoutWaitingForAnAsk() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, budget: 60_000, at: 2)
        s.cancel(1, at: 20)
        s.settle(1, seconds: 18, lots: 1, final: true, at: 30)
        #expect(s.news().last == "o2 closed: budgetSpent")
    }
}

@Suite struct BillingTests {
    @Test func moneyGoesFromBuyerToSellerAndMarket() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 86_400_000, at: 1)
        s.bid(1, 86_400_000, 1, at: 2)
        s.settle(1, seconds: 30, lots: 1, at: 40)
        s.settle(1, seconds: 30, lots: 1, at: 41)
        s.settle(1, seconds: 20, lots: 1, at: 42)
        #expect(s.news().filter { $0.contains("charged") } == ["d1 charged 29949"])
        #expect(s.available(1) + s.held(1) == 1_000_000_000 - 29_949 - 299)
        #expect(s.available(3) == 1_000_000_000 + 29_949 - 299)
        #expect(s.state.balance(.fees) == Satoshis(598))
    }

    @Test func aRunningDeliveryIsNeverFinal() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 100, at: 1)
        s.bid(1, 100, 1, at: 2)
        s.settle(1, seconds: 1, lots: 1, final: true, at: 3)
        #expect(s.state.deliveries.count == 1)
    }

    @Test func totalsOfAPairAreForgottenWithEitherOrder() {
        var s = Scenario()
        s.rig(3, lots: 1)
        s.ask(3, rig: 1, 100, at: 1)
        s.bid(1, 100, 1, at: 2)
        s.rig(3, lots: 1)
        s.ask(3, rig: 2, 1000, at: 3)
        s.cancel(2, at: 30)
        #expect(s.state.billings.count == 1)
        s.settle(1, seconds: 28, lots: 1, final: true, at: 40)
        #expect(s.state.billings.count == 0)
        s.bid(1, 100, 1, at: 50)
        s.advance(to: 110)
        s.settle(2, seconds: 60, lots: 1, final: true, at: 120)
        #expect(s.state.billings.count == 1)
        s.cancel(4, at: 121)
        s.settle(3, seconds: 1, lots: 1, final: true, at: 122)
        #expect(s.state.billings.count == 0)
        #expect(s.state.orders.values.map(\.id).sorted() == [OrderID(1), OrderID(3)])
    }
}

@Suite struct IdempotencyTests {
    @Test func theSameKeyGetsTheFirstAnswerAndHappensOnce() {
        var s = Scenario()
        let key = AnswerKey(account: AccountID(1), key: "k")
        let deposit = Command.deposit(account: AccountID(1), amount: Satoshis(5), reference: "again")
        let first = s.send(deposit, key: .init(key: key, digest: [1]), at: 1)
        #expect(s.send(deposit, key: .init(key: key, digest: [1]), at: 2) == first)
        #expect(s.send(deposit, key: .init(key: key, digest: [2]), at: 3) == .rejected(.idempotencyKeyReused))
        #expect(s.send(deposit, at: 3) == .rejected(.duplicateReference))
        #expect(s.available(1) == 1_000_000_005)
    }

    @Test func keysOfDifferentAccountsDoNotMeet() {
        var s = Scenario()
        for account in Int64(1)...2 {
            let outcome = s.send(
                .deposit(account: AccountID(account), amount: Satoshis(5), reference: "x"),
                key: .init(key: AnswerKey(account: AccountID(account), key: "k"), digest: [UInt8(account)]), at: 1)
            #expect(outcome != .rejected(.idempotencyKeyReused))
        }
    }

    @Test func refusalsAreRemembered() {
        var s = Scenario(funds: 0)
        let bid = Command.placeBid(PlaceBid(
            account: AccountID(1), price: Price(100), lots: Lots(1), targets: [PoolTargetID(1)]))
        let key = CommandEnvelope.Idempotency(key: AnswerKey(account: AccountID(1), key: "k"), digest: [1])
        #expect(s.send(bid, key: key, at: 1) == .rejected(.insufficientFunds))
        s.deposit(1, 1_000_000, at: 2)
        #expect(s.send(bid, key: key, at: 3) == .rejected(.insufficientFunds))
        #expect(s.send(bid, at: 4) == .order(OrderID(1)))
    }
}
