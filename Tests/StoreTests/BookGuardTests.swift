import Database
import MarketTestSupport
import Store
import Testing

/// What the database itself refuses, whoever asks.
@Suite("Guards of the books")
struct BookGuardTests {
    /// Runs statements as the tables' owner, in one transaction, with all triggers.
    private func run(_ storage: Storage, _ statements: [String]) throws {
        let connection = try Database.openConnection(storage.tables)
        defer { connection.close() }
        try connection.transaction { for statement in statements { try connection.execute(statement) } }
    }

    private func isRefused(_ storage: Storage, _ statements: [String]) -> Bool {
        do {
            try run(storage, statements)
            return false
        } catch DatabaseError.constraintViolation {
            return true
        } catch {
            Issue.record("refused for another reason: \(error)")
            return true
        }
    }

    @Test(arguments: Engine.allCases)
    func whatIsBookedIsNeverChanged(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            let tables = ["ledger_entries", "ledger_postings", "settlement_lines", "batches"]
            let before = try tables.map { try books.storage.query("SELECT count(*) FROM \($0)") }
            #expect(before.allSatisfy { $0 != [SQLRow([0])] })
            for (table, column) in zip(tables, ["at", "amount", "charge", "records"]) {
                #expect(isRefused(books.storage, ["UPDATE \(table) SET \(column) = \(column) + 1"]), "\(table) was updated")
                #expect(isRefused(books.storage, ["DELETE FROM \(table)"]), "\(table) was deleted")
                guard engine == .postgres else { continue }
                #expect(isRefused(books.storage, ["TRUNCATE \(table)"]), "\(table) was truncated")
            }
            #expect(try tables.map { try books.storage.query("SELECT count(*) FROM \($0)") } == before)
        }
    }

    private func entry(_ id: Int) -> String { "INSERT INTO ledger_entries (id, kind, at, value_at, reference) VALUES (\(id), 1, 0, 0, 'x')" }

    private func posting(_ entry: Int, _ line: Int, _ amount: Int) -> String {
        "INSERT INTO ledger_postings (entry, line, account_kind, owner, amount) VALUES (\(entry), \(line), 1, 1, \(amount))"
    }

    @Test func entriesSumToZeroAtCommit() async throws {
        try await Engine.postgres.withStorage { storage in
            // In whatever order and statements.
            try run(storage, [entry(1), posting(1, 0, 5), entry(2), posting(2, 0, 7), posting(1, 1, -5), posting(2, 1, -7)])
            #expect(isRefused(storage, [entry(3)]), "an entry without postings")
            #expect(isRefused(storage, [entry(3), posting(3, 0, 5)]))
            #expect(isRefused(storage, [entry(3), posting(3, 0, 5), posting(3, 1, -4)]))
            #expect(isRefused(storage, [posting(9, 0, 5), posting(9, 1, -5)]), "postings without an entry")
            #expect(isRefused(storage, [posting(1, 2, 5)]), "a posting more on an old entry")
            // One of many, between others that are right.
            let many = (10...60).flatMap { [entry($0), posting($0, 0, 1), posting($0, 1, $0 == 33 ? -2 : -1)] }
            #expect(isRefused(storage, many))
            try run(storage, [posting(1, 2, 5), posting(1, 3, -5)])
            #expect(try storage.query("SELECT count(*) FROM ledger_entries") == [SQLRow([2])])
            #expect(try storage.query("SELECT count(*) FROM ledger_unchecked") == [SQLRow([0])])
        }
    }

    @Test func bulkEntriesAreCheckedToo() async throws {
        try await Engine.postgres.withStorage { storage in
            func fill(_ last: String) throws {
                try run(storage, [
                    "INSERT INTO ledger_entries (id, kind, at, value_at, reference) SELECT g, 1, 0, 0, 'x' FROM generate_series(1, 1000) g",
                    """
                    INSERT INTO ledger_postings
                    SELECT g, l, 1, 1, CASE l WHEN 0 THEN g ELSE -g END + CASE WHEN g = 777 AND l = 1 THEN \(last) ELSE 0 END
                    FROM generate_series(1, 1000) g, generate_series(0, 1) l
                    """,
                ])
            }
            #expect(throws: DatabaseError.self) { try fill("1") }
            try fill("0")
            #expect(try storage.query("SELECT count(*) FROM ledger_entries") == [SQLRow([1000])])
        }
    }
}
