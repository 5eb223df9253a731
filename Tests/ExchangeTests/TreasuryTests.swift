import Exchange
import Ledger
import OrderBook
import TestSupport
import Testing
import Units

/// Money in and out by two people, corrections, frozen accounts.
@Suite struct TreasuryTests {
    private static let clerk = AccountID(8), boss = AccountID(9)

    private func balances(_ s: Scenario, _ account: Int64 = 1) -> [Int64] {
        let owner = AccountID(account)
        return [.available(owner), .leaving(owner), .suspense, .custody].map { s.state.balance($0).rawValue }
    }

    @discardableResult
    private func record(
        _ s: inout Scenario, _ account: Int64? = 1, _ amount: Int64 = 100, _ name: String = "wire", at seconds: Int64 = 1
    ) -> Outcome {
        s.send(.treasury(.recordDeposit(
            account: account.map { AccountID($0) }, amount: Satoshis(amount), reference: name, by: Self.clerk)), at: seconds)
    }

    @discardableResult
    private func approve(_ s: inout Scenario, _ id: Int64, _ account: Int64? = nil, by: AccountID = boss) -> Outcome {
        s.send(.treasury(.approve(TransferID(id), account: account.map { AccountID($0) }, by: by)), at: 2)
    }

    @discardableResult
    private func withdraw(_ s: inout Scenario, _ amount: Int64, by: Int64 = 1) -> Outcome {
        s.send(.treasury(.requestWithdrawal(
            account: AccountID(1), amount: Satoshis(amount), destination: "bc1q", by: AccountID(by))), at: 1)
    }

    // MARK: - Deposits

    @Test func aDepositIsCreditedByASecondPerson() {
        var s = Scenario(funds: 0)
        #expect(record(&s) == .transfer(TransferID(1)))
        #expect(balances(s) == [0, 0, 100, -100])
        s.refused(.ownTransfer) { approve(&$0, 1, by: Self.clerk) }
        s.refused(.ownTransfer) { approve(&$0, 1, by: AccountID(1)) }
        s.refused(.transferAccountInvalid) { approve(&$0, 1, 2) }
        #expect(approve(&s, 1) == .transfer(TransferID(1)))
        #expect(balances(s) == [100, 0, 0, -100])
        #expect(s.news() == ["deposit 1 of 100 for 1: pending", "deposit 1 of 100 for 1: completed"])
        #expect(s.state.transfers.count == 0)
        s.refused(.transferNotPending) { approve(&$0, 1) }
        s.refused(.transferUnknown) { approve(&$0, 2) }
    }

    @Test func entriesSayWhoAndWhy() throws {
        var s = Scenario(funds: 0)
        record(&s)
        approve(&s, 1)
        var entries: [LedgerEntry] = []
        for case .entryPosted(let entry) in s.lastEvents { entries.append(entry) }
        let entry = try #require(entries.first)
        #expect(entry.kind == .depositApproved)
        #expect(entry.by == Self.boss)
        #expect(entry.reason == "wire")
        #expect(entry.reference == "transfer:1")
    }

    @Test func anUnknownDepositGetsItsAccountLater() {
        var s = Scenario(funds: 0)
        record(&s, nil)
        s.refused(.transferAccountInvalid) { approve(&$0, 1) }
        s.refused(.ownTransfer) { approve(&$0, 1, 9) }
        approve(&s, 1, 2)
        #expect(balances(s, 2) == [100, 0, 0, -100])
    }

    @Test func aRejectedDepositCanBeRecordedAnew() {
        var s = Scenario(funds: 0)
        record(&s)
        s.refused(.duplicateReference) { record(&$0, 2) }
        s.send(.treasury(.reject(TransferID(1), reason: "wrong amount", by: Self.boss)), at: 2)
        #expect(balances(s) == [0, 0, 0, 0])
        #expect(record(&s, 1, 10) == .transfer(TransferID(2)))
        s.send(.treasury(.cancel(TransferID(2), by: Self.clerk)), at: 2)
        #expect(balances(s) == [0, 0, 0, 0])
        record(&s, 1, 11)
        approve(&s, 3)
        s.refused(.duplicateReference) { record(&$0, 2) }
        #expect(balances(s) == [11, 0, 0, -11])
    }

    @Test func onePersonsAndTwoPeoplesDepositsShareTheirNames() {
        var s = Scenario(funds: 0)
        s.send(.deposit(account: AccountID(1), amount: Satoshis(5), reference: "a"), at: 1)
        s.refused(.duplicateReference) { record(&$0, 1, 5, "a") }
        record(&s, 1, 5, "b")
        s.refused(.duplicateReference) { $0.send(.deposit(account: AccountID(1), amount: Satoshis(5), reference: "b"), at: 1) }
        record(&s, nil, 5, "a")
        s.refused(.duplicateReference) { approve(&$0, 2, 1) }
        approve(&s, 2, 2)
        #expect(balances(s, 2)[0] == 5)
    }

    @Test func whatArrivesRevivesBids() {
        var s = Scenario(funds: 1000)
        #expect(s.bid(1, 100, 5, at: 1) != .done)
        withdraw(&s, s.state.balance(.available(AccountID(1))).rawValue)
        s.rig(2, lots: 5)
        s.ask(2, rig: 1, 100, at: 1)
        #expect(s.state.orders.values.first { $0.account == AccountID(1) }?.status == .suspended(.insufficientFunds))
        s.send(.treasury(.cancel(TransferID(1), by: AccountID(1))), at: 2)
        #expect(s.state.deliveries.count == 1)
    }

    // MARK: - Withdrawals

    @Test func aWithdrawalGoesOutInThreeSteps() {
        var s = Scenario(funds: 1000)
        let before = s.state.balance(.custody).rawValue
        #expect(withdraw(&s, 300) == .transfer(TransferID(1)))
        #expect(balances(s)[...1] == [700, 300])
        s.refused(.ownTransfer) { approve(&$0, 1, by: AccountID(1)) }
        s.refused(.transferNotApproved) { $0.send(.treasury(.complete(TransferID(1), reference: "tx", by: Self.boss)), at: 1) }
        approve(&s, 1)
        #expect(balances(s)[...1] == [700, 300])
        s.refused(.transferNotPending) { $0.send(.treasury(.cancel(TransferID(1), by: AccountID(1))), at: 1) }
        s.refused(.ownTransfer) { $0.send(.treasury(.complete(TransferID(1), reference: "tx", by: AccountID(1))), at: 1) }
        s.send(.treasury(.complete(TransferID(1), reference: "tx", by: Self.boss)), at: 3)
        #expect(balances(s)[...1] == [700, 0])
        #expect(s.state.balance(.custody).rawValue == before + 300)
        withdraw(&s, 1)
        approve(&s, 2)
        s.refused(.duplicateReference) { $0.send(.treasury(.complete(TransferID(2), reference: "tx", by: Self.boss)), at: 1) }
    }

    @Test func whatIsNotPaidComesBack() {
        var s = Scenario(funds: 1000)
        withdraw(&s, 300)
        s.refused(.transferUnknown) { $0.send(.treasury(.cancel(TransferID(1), by: AccountID(2))), at: 1) }
        s.send(.treasury(.cancel(TransferID(1), by: AccountID(1))), at: 1)
        withdraw(&s, 200, by: 8)
        s.refused(.ownTransfer) { approve(&$0, 2, by: Self.clerk) }
        approve(&s, 2)
        // It may be paid by now.
        s.refused(.ownTransfer) { $0.send(.treasury(.reject(TransferID(2), reason: "never mind", by: Self.clerk)), at: 1) }
        s.send(.treasury(.reject(TransferID(2), reason: "bounced", by: Self.boss)), at: 1)
        #expect(balances(s)[...1] == [1000, 0])
        s.refused(.insufficientFunds) { withdraw(&$0, 1001) }
        s.refused(.amountOutOfRange) { withdraw(&$0, 0) }
    }

    // MARK: - Corrections

    @Test func anAdjustmentIsBookedOnApproval() {
        var s = Scenario(funds: 1000)
        let postings = [Posting(.available(AccountID(1)), Satoshis(-40)), Posting(.loss, Satoshis(40))]
        s.send(.treasury(.proposeAdjustment(postings, reason: "rounding", by: Self.clerk)), at: 1)
        #expect(balances(s)[0] == 1000)
        s.refused(.ownTransfer) { approve(&$0, 1, by: Self.clerk) }
        s.refused(.ownTransfer) { approve(&$0, 1, by: AccountID(1)) }
        approve(&s, 1)
        #expect(balances(s)[0] == 960)
        #expect(s.state.balance(.loss) == Satoshis(40))
    }

    @Test(arguments: [
        [], [Posting(.loss, Satoshis(1))], [Posting(.loss, Satoshis(1)), Posting(.suspense, Satoshis(-2))],
        [Posting(.loss, .zero), Posting(.suspense, .zero)], [Posting(.loss, Satoshis(1)), Posting(.loss, Satoshis(-1))],
        [Posting(.held(AccountID(1)), Satoshis(1)), Posting(.loss, Satoshis(-1))],
        [Posting(.leaving(AccountID(1)), Satoshis(1)), Posting(.loss, Satoshis(-1))],
        [Posting(.loss, Satoshis(.min)), Posting(.suspense, Satoshis(.min))],
    ]) func badPostings(_ postings: [Posting]) {
        var s = Scenario(funds: 1000)
        s.refused(.postingsInvalid) { $0.send(.treasury(.proposeAdjustment(postings, reason: "r", by: Self.clerk)), at: 1) }
    }

    @Test func nobodyIsAdjustedBelowZero() {
        var s = Scenario(funds: 10)
        let postings = [Posting(.available(AccountID(1)), Satoshis(-11)), Posting(.loss, Satoshis(11))]
        s.send(.treasury(.proposeAdjustment(postings, reason: "r", by: Self.clerk)), at: 1)
        s.refused(.insufficientFunds) { approve(&$0, 1) }
        s.deposit(1, 1, at: 2)
        approve(&s, 1)
        #expect(balances(s)[0] == 0)
    }

    @Test func anEntryIsReversedOnce() {
        var s = Scenario(funds: 1000)
        let postings = [Posting(.available(AccountID(1)), Satoshis(1000)), Posting(.custody, Satoshis(-1000))]
        func reverse(_ s: inout Scenario) -> Outcome {
            s.send(.treasury(.proposeReversal(entry: 1, kind: .deposit, postings, reason: "twice", by: Self.clerk)), at: 1)
        }
        #expect(reverse(&s) == .transfer(TransferID(1)))
        s.refused(.entryAlreadyReversed) { reverse(&$0) }
        s.send(.treasury(.reject(TransferID(1), reason: "not yet", by: Self.boss)), at: 1)
        #expect(reverse(&s) == .transfer(TransferID(2)))
        withdraw(&s, 1)
        s.refused(.insufficientFunds) { approve(&$0, 2) }
        s.send(.treasury(.cancel(TransferID(3), by: AccountID(1))), at: 1)
        approve(&s, 2)
        #expect(balances(s)[0] == 0)
        s.refused(.entryAlreadyReversed) { reverse(&$0) }
    }

    @Test(arguments: EntryKind.allCases) func onlySomeEntriesAreReversible(_ kind: EntryKind) {
        var s = Scenario(funds: 1000)
        let postings = [Posting(.available(AccountID(1)), Satoshis(5)), Posting(.loss, Satoshis(-5))]
        let outcome = s.send(.treasury(.proposeReversal(entry: 1, kind: kind, postings, reason: "r", by: Self.clerk)), at: 1)
        let isReversible = [EntryKind.deposit, .depositApproved, .adjustment, .reversal].contains(kind)
        #expect(outcome == (isReversible ? .transfer(TransferID(1)) : .rejected(.entryNotReversible)))
    }

    // MARK: - Frozen accounts

    private func freeze(_ s: inout Scenario, _ account: Int64, _ isFrozen: Bool = true, by: AccountID = boss) -> Outcome {
        s.send(.treasury(.freeze(AccountID(account), isFrozen, reason: "court", by: by)), at: 5)
    }

    @Test(arguments: [1, 2] as [Int64]) func aFrozenAccountsTradeEnds(_ account: Int64) {
        var s = Scenario()
        s.rig(2, lots: 5)
        s.bid(1, 100, 5, at: 1)
        s.ask(2, rig: 1, 100, at: 1)
        _ = s.news()
        #expect(freeze(&s, account) == .done)
        let cause = account == 1 ? "bidClosed" : "askClosed"
        #expect(s.news().prefix(3) == ["account \(account) frozen", "o\(account) closed: accountFrozen", "d1 ended at 5 s: \(cause)"])
        #expect(freeze(&s, account) == .done)
        s.refused(.accountFrozen) { account == 1 ? $0.bid(1, 100, 5, at: 6) : $0.ask(2, rig: 1, 100, at: 6) }
        #expect(s.settle(1, seconds: 4, lots: 5, final: true, at: 10) == .done)
        s.deposit(account, 5, at: 11)
        s.refused(.ownTransfer) { freeze(&$0, account, false, by: AccountID(account)) }
        #expect(freeze(&s, account, false) == .done)
        #expect(account == 1 ? s.bid(1, 100, 5, at: 12) == .order(OrderID(3)) : s.ask(2, rig: 1, 100, at: 12) == .order(OrderID(3)))
    }

    @Test func aFrozenFarmOffersNothing() {
        var s = Scenario()
        s.rig(1, lots: 5)
        s.send(.createFarm(owner: AccountID(1), name: "f"), at: 1)
        s.send(.offerFarm(FarmID(1), owner: AccountID(1), FarmOffer(price: Price(100))), at: 1)
        #expect(freeze(&s, 1) == .done)
        s.send(.assignRig(RigID(1), owner: AccountID(1), FarmID(1)), at: 6)
        #expect(s.state.orders.count == 0)
        s.refused(.accountFrozen) { $0.send(.offerFarm(FarmID(1), owner: AccountID(1), FarmOffer(price: Price(100))), at: 7) }
    }

    @Test func aFrozenAccountTakesNothingOut() {
        var s = Scenario(funds: 1000)
        withdraw(&s, 10)
        withdraw(&s, 20)
        approve(&s, 2)
        #expect(freeze(&s, 1) == .done)
        s.refused(.accountFrozen) { withdraw(&$0, 1) }
        s.refused(.accountFrozen) { approve(&$0, 1) }
        #expect(s.send(.treasury(.complete(TransferID(2), reference: "tx", by: Self.boss)), at: 6) == .transfer(TransferID(2)))
        record(&s, 1, 5, at: 7)
        approve(&s, 3)
        #expect(balances(s)[...1] == [975, 10])
    }

    @Test func freezingWorksWhileTheMarketIsHalted() {
        var s = Scenario()
        s.bid(1, 100, 5, at: 1)
        s.send(.setPhase(.halted), at: 2)
        #expect(freeze(&s, 1) == .done)
        #expect(s.state.orders.count == 0)
    }

    @Test func keysMakeRequestsRepeatable() {
        var s = Scenario(funds: 1000)
        let key = CommandEnvelope.Idempotency(key: AnswerKey(account: AccountID(1), key: "k"), digest: [1])
        let command = Command.treasury(.requestWithdrawal(
            account: AccountID(1), amount: Satoshis(5), destination: "d", by: AccountID(1)))
        #expect(s.send(command, key: key, at: 1) == .transfer(TransferID(1)))
        #expect(s.send(command, key: key, at: 1) == .transfer(TransferID(1)))
        #expect(s.state.transfers.count == 1)
        #expect(balances(s)[...1] == [995, 5])
    }
}
