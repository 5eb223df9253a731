import Ledger
import Testing
import Units

@Suite struct LedgerTests {
    private let one = LedgerAccount.available(AccountID(1)), held = LedgerAccount.held(AccountID(1))

    private func funded(_ amount: Int64) throws -> Ledger {
        var ledger = Ledger()
        try ledger.post([Posting(one, Satoshis(amount)), Posting(.custody, Satoshis(-amount))])
        return ledger
    }

    @Test func entriesMoveMoney() throws {
        var ledger = try funded(100)
        try ledger.post([Posting(one, Satoshis(-60)), Posting(held, Satoshis(60))])
        #expect(ledger[one] == Satoshis(40))
        #expect(ledger[held] == Satoshis(60))
        #expect(ledger[.custody] == Satoshis(-100))
        #expect(ledger[.fees] == .zero)
        #expect(ledger.total == 0)
    }

    @Test func aRefusedEntryChangesNothing() throws {
        let refused: [([Posting], LedgerError)] = [
            ([], .empty),
            ([Posting(one, Satoshis(1))], .unbalanced),
            ([Posting(one, Satoshis(-101)), Posting(held, Satoshis(101))], .overdrawn(one)),
            ([Posting(held, Satoshis(-1)), Posting(one, Satoshis(1))], .overdrawn(held)),
            ([Posting(.fees, Satoshis(-1)), Posting(one, Satoshis(1))], .overdrawn(.fees)),
            ([Posting(one, Satoshis(.max)), Posting(.loss, Satoshis(-.max))], .overflow),
            ([Posting(one, Satoshis(.max)), Posting(.loss, Satoshis(.min)), Posting(.fees, Satoshis(1))], .overflow),
        ]
        for (postings, error) in refused {
            var ledger = try funded(100)
            #expect(throws: error) { try ledger.post(postings) }
            #expect(ledger.balances == (try funded(100)).balances)
        }
    }

    @Test func severalPostingsOnOneAccountCountTogether() throws {
        var ledger = try funded(10)
        try ledger.post([Posting(one, Satoshis(-15)), Posting(one, Satoshis(5)), Posting(.fees, Satoshis(10))])
        #expect(ledger[one] == .zero)
        #expect(ledger[.fees] == Satoshis(10))
    }

    @Test func lossMayGrowWithoutEnd() throws {
        var ledger = Ledger()
        try ledger.post([Posting(.loss, Satoshis(-5)), Posting(one, Satoshis(5))])
        #expect(ledger[.loss] == Satoshis(-5))
    }

    @Test func restoresOnlyWhatIsInOrder() throws {
        #expect(try Ledger(balances: funded(7).balances)[one] == Satoshis(7))
        #expect(throws: LedgerError.unbalanced) { try Ledger(balances: [self.one: Satoshis(1)]) }
        #expect(throws: LedgerError.overdrawn(one)) {
            try Ledger(balances: [self.one: Satoshis(-1), self.held: Satoshis(1)])
        }
    }

    @Test func codesComeBackAndNothingElseDoes() {
        for account in [one, held, .custody, .fees, .loss] as [LedgerAccount] {
            #expect(LedgerAccount(kind: account.code.kind, owner: account.code.owner) == account)
        }
        for (kind, owner) in [(0, 0), (1, 0), (2, -1), (3, 1), (5, 7), (6, 0), (255, 1)] as [(UInt8, Int64)] {
            #expect(LedgerAccount(kind: kind, owner: owner) == nil)
        }
    }
}
