import Database
import Documents
import MarketTestSupport
import Settlement
import Store
import Testing
import Units

@Suite struct IssueTests {
    @Test(arguments: Engine.allCases)
    func statementsAreNumberedChainedAndSigned(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            var previous = Array(repeating: UInt8(0), count: 32)
            var billed = 0
            for (place, account) in Fixture.accounts.enumerated() {
                let document = try await fixture.issue(account.rawValue, Fixture.month)
                #expect(document.number == Int64(place + 1))
                #expect(document.position == Int64(place + 1))
                #expect(document.previous == previous)
                let found = try DocumentFile.verify(
                    try await fixture.documents.file(document.position), key: fixture.key.publicKey, previous: previous)
                #expect(found.flaws == [])
                #expect(found.digest == document.digest)
                let header = try await fixture.header(document)
                billed += Int(header["lines"]?.integer ?? 0)
                let closing = try #require(header["closing"].flatMap { CustomerFunds($0) })
                let balances = try fixture.storage.query("SELECT kind, balance FROM ledger_balances WHERE owner = \(account)")
                let known = Dictionary(uniqueKeysWithValues: try balances.map { (try $0.int64(0), try $0.int64(1)) })
                #expect(closing.available == known[1] ?? 0)
                #expect(closing.held == known[2] ?? 0)
                previous = document.digest
            }
            #expect(billed > 20)
            #expect(try await fixture.documents.keys().map(\.key) == [fixture.key.publicKey])
        }
    }

    @Test(arguments: Engine.allCases)
    func onlyClosedPeriodsAndOnlyOnce(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            let end = Fixture.day.end
            let early = Timestamp(microseconds: end.microseconds - 1)
            #expect(try await fixture.refusal(1, closedThrough: early) == .periodOpen(closedThrough: early))
            #expect(try await fixture.refusal(1, reason: "x") == .nothingToSupersede)
            #expect(try await fixture.refusal(9) == .accountUnknown)
            let first = try await fixture.issue(1, closedThrough: end)
            #expect(try await fixture.refusal(1) == .alreadyIssued(number: 1, version: 1))
            let second = try await fixture.issue(1, reason: "the address was wrong")
            #expect((second.number, second.version, second.position) == (1, 2, 2))
            let issue = try #require(try await fixture.header(second)["issue"].flatMap { DocumentIssue($0) })
            #expect(issue.supersedes == .init(version: 1, digest: first.digest, reason: "the address was wrong"))
            #expect(try await fixture.documents.find(.statement, 1)?.version == 2)
            #expect(try await fixture.documents.find(.statement, 1, version: 1) == first)
            let third = try await fixture.issue(2)
            #expect((third.number, third.version, third.position) == (2, 1, 3))
            #expect(try await fixture.documents.list([.statement], account: AccountID(1), after: 0, limit: 9) == [first, second])
        }
    }

    @Test(arguments: Engine.allCases)
    func nothingIssuedChanges(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            _ = try await fixture.issue(1)
            try await fixture.party(1)
            _ = try await fixture.documents.importRates(Array("2023-11-14,EUR,1".utf8), reason: nil, by: nil, at: Fixture.later)
            for table in ["documents", "document_parts", "signing_keys", "legal_parties", "fiat_rates"] {
                let column = ["document_parts": "part", "signing_keys": "first_used", "legal_parties": "recorded_at",
                    "fiat_rates": "imported_at"][table] ?? "version"
                for sql in ["UPDATE \(table) SET \(column) = \(column)", "DELETE FROM \(table)"] {
                    await #expect(throws: DatabaseError.self) { try await fixture.database.write { try $0.execute(sql) } }
                }
            }
        }
    }

    @Test func twoAtOnceGetTwoNumbers() async throws {
        try await Fixture.with { fixture in
            let numbers = try await withThrowingTaskGroup(of: Int64.self) { group in
                for account in 1...5 { group.addTask { try await fixture.issue(Int64(account)).number } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(numbers.sorted() == [1, 2, 3, 4, 5])
        }
    }

    /// A day's closing balance is the next one's opening balance, wherever entries lie.
    @Test func balancesMeet() async throws {
        try await Fixture.with { fixture in
            try fixture.storage.script(
                """
                INSERT INTO ledger_entries (id, kind, at, reference, value_at)
                VALUES (1000001, 1, \(Fixture.month.end.microseconds + 5), 'deposit:late', \(Fixture.month.end.microseconds));
                INSERT INTO ledger_postings (entry, line, account_kind, owner, amount) VALUES (1000001, 0, 1, 1, 77), (1000001, 1, 3, 0, -77);
                """)
            let first = try await fixture.header(try await fixture.issue(1, Fixture.month))
            let next = try await fixture.header(try await fixture.issue(1, Fixture.month.next!))
            #expect(first["closing"] == next["opening"])
            let closing = try #require(next["closing"].flatMap { CustomerFunds($0) })
            let opening = try #require(next["opening"].flatMap { CustomerFunds($0) })
            #expect(closing.total == opening.total + 77)
            #expect(next["entries"]?.integer == 1)
        }
    }

    @Test func refusesBooksThatContradictEachOther() async throws {
        try await Fixture.with { fixture in
            let buyer = try #require(try fixture.pairs().first).buyer
            try fixture.storage.dropTriggers()
            let number = try #require(try fixture.storage.query(
                "SELECT l.number FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE d.buyer = \(buyer) AND charge > 1").first)
            try fixture.storage.script(
                "UPDATE settlement_lines SET charge = charge - 1, from_hold = from_hold - 1 WHERE number = \(try number.int64(0))")
            let refusal = try await fixture.refusal(buyer)
            guard case .flaw(.differs) = refusal else {
                Issue.record("issued, or refused otherwise: \(String(describing: refusal))")
                return
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func invoicesAndNotesAddUp(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            let (buyer, seller, charge) = try #require(try fixture.pairs().first)
            #expect(try await fixture.refusal(buyer, kind: .note, seller: seller) == .partyMissing(AccountID(seller)))
            for account in [0, buyer, seller] { try await fixture.party(account) }
            #expect(try await fixture.refusal(buyer, kind: .note) == .counterpartyWrong)
            let note = try await fixture.issue(buyer, kind: .note, seller: seller, Fixture.month)
            #expect(try await fixture.header(note)["total"]?.wide == Int128(charge))
            #expect(note.number == 1)
            let invoice = try await fixture.issue(buyer, kind: .invoice, Fixture.month)
            let fees = try #require(try fixture.storage.query(
                """
                SELECT CAST(coalesce(sum(CASE WHEN d.buyer = \(buyer) THEN l.buyer_fee ELSE l.seller_fee END), 0) AS BIGINT)
                FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery WHERE \(buyer) IN (d.buyer, d.seller)
                """).first).int64(0)
            #expect(try await fixture.header(invoice)["total"]?.wide == Int128(fees))
            #expect((invoice.number, invoice.position, invoice.previous) == (1, 2, note.digest))
            for document in [note, invoice] {
                let found = try DocumentFile.verify(try await fixture.documents.file(document.position), key: fixture.key.publicKey)
                #expect(found.flaws == [])
            }
            // A note is the seller's, too.
            #expect(try await fixture.documents.list([.note], account: AccountID(seller), after: 0, limit: 9) == [note])
        }
    }

    @Test(arguments: Engine.allCases)
    func valuesNeedRates(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            try await fixture.party(1, currency: "EUR")
            let days = try fixture.storage.query("SELECT DISTINCT value_at / 86400000000 FROM ledger_entries ORDER BY 1")
            let dates = try days.compactMap { AccountingPeriod.day(of: Timestamp(microseconds: try $0.int64(0) * 86_400_000_000)) }
            let missing = try await fixture.refusal(1, Fixture.month)
            guard case .flaw(.rateMissing(_, "EUR")) = missing else {
                Issue.record("not refused for its rate: \(String(describing: missing))")
                return
            }
            let file = dates.map { "\($0),EUR,61234.50" }.joined(separator: "\n")
            let first = try await fixture.documents.importRates(Array(file.utf8), reason: nil, by: nil, at: Fixture.later)
            #expect(first.added == dates.count && first.flaws.isEmpty)
            let again = try await fixture.documents.importRates(Array(file.utf8), reason: nil, by: nil, at: Fixture.later)
            #expect(again.unchanged == dates.count && again.added == 0)
            let other = Array("2020-01-01,EUR,5\n\(dates[0]),EUR,61234.51".utf8)
            let refused = try await fixture.documents.importRates(other, reason: nil, by: nil, at: Fixture.later)
            #expect(refused.flaws.map(\.line) == [2])
            #expect(try await fixture.documents.rates(from: nil, limit: 100).count == dates.count)
            let corrected = try await fixture.documents.importRates(other, reason: "typing error", by: nil, at: Fixture.later)
            #expect((corrected.added, corrected.corrected) == (1, 1))
            let header = try await fixture.header(try await fixture.issue(1, Fixture.month))
            #expect(header["fiat"]?["currency"]?.text == "EUR")
            #expect(header["fiat"]?["days"]?.items.first?["rate"]?.text == "61234.51")
        }
    }
}
