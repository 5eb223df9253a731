import Ledger
import TestSupport
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
        for account in [one, held, .custody, .fees, .loss, .suspense, .leaving(AccountID(1))] as [LedgerAccount] {
            #expect(LedgerAccount(kind: account.code.kind, owner: account.code.owner) == account)
        }
        for (kind, owner) in [(0, 0), (1, 0), (2, -1), (3, 1), (5, 7), (6, 1), (7, 0), (8, 0), (255, 1)] as [(UInt8, Int64)] {
            #expect(LedgerAccount(kind: kind, owner: owner) == nil)
        }
    }
}

/// The rules on plain dictionaries.
private struct PlainLedger {
    var balances: [LedgerAccount: Int128] = [:]

    /// All that is wrong with an entry; any account of those that it overdraws.
    func flaws(_ postings: [Posting]) -> Set<LedgerError> {
        guard !postings.isEmpty else { return [.empty] }
        guard postings.reduce(Int128(0), { $0 + Int128($1.amount.rawValue) }) == 0 else { return [.unbalanced] }
        var sums = balances
        for posting in postings {
            sums[posting.account, default: 0] += Int128(posting.amount.rawValue)
            guard Int64(exactly: sums[posting.account, default: 0]) != nil else { return [.overflow] }
        }
        let changed = Set(postings.map(\.account))
        return Set(changed.filter { $0.mustNotBeNegative && sums[$0, default: 0] < 0 }.map { .overdrawn($0) })
    }

    mutating func post(_ postings: [Posting]) {
        for posting in postings { balances[posting.account, default: 0] += Int128(posting.amount.rawValue) }
    }
}

@Suite struct RandomLedgerTests {
    /// Entries short and long, many of them wrong, with accounts that occur several times.
    @Test(arguments: Seeds.list(8))
    func keepsTheRules(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var ledger = Ledger(), plain = PlainLedger()
        var refused: Set<LedgerError> = [], posted: Set<Int> = []
        for step in 0..<3000 {
            let postings = Self.postings(using: &random)
            let flaws = plain.flaws(postings)
            let before = ledger.balances
            do {
                try ledger.post(postings)
                try #require(flaws.isEmpty, "seed \(seed), step \(step): \(postings)")
                plain.post(postings)
                posted.insert(postings.count)
            } catch let error as LedgerError {
                try #require(flaws.contains(error), "seed \(seed), step \(step): \(postings), \(flaws)")
                try #require(ledger.balances == before, "seed \(seed), step \(step)")
                refused.insert(error)
            }
            try #require(ledger.balances.mapValues { Int128($0.rawValue) } == plain.balances, "seed \(seed), step \(step)")
            try #require(ledger.total == 0)
        }
        guard Seeds.isFixed(seed) else { return }
        #expect(refused.isSuperset(of: [.empty, .unbalanced, .overflow, .overdrawn(.fees)]), "seed \(seed)")
        #expect(posted.contains(2) && posted.contains { $0 > 16 }, "seed \(seed)")
    }

    private static func postings(using random: inout SeededRandom) -> [Posting] {
        let accounts: [LedgerAccount] = [
            .available(AccountID(1)), .held(AccountID(1)), .available(AccountID(2)), .held(AccountID(.max)), .custody, .fees, .loss,
        ]
        let count = random.pick([0, 1, 2, 2, 3, 4, 7, 16, 17, 40])
        guard count > 0 else { return [] }
        let isHostile = random.chance(20)
        var postings = (1..<max(2, count)).map { _ in
            let amount = isHostile ? random.hostileInt64() : random.int64(-200...1000)
            return Posting(random.pick(accounts), Satoshis(amount))
        }
        let rest = postings.reduce(Int128(0)) { $0 - Int128($1.amount.rawValue) }
        if count > 1, random.chance(95), let amount = Int64(exactly: rest) {
            postings.append(Posting(random.pick([.custody, .loss, random.pick(accounts)]), Satoshis(amount)))
        }
        return postings.shuffled(using: &random)
    }
}
