import Database
import Market
import MarketTestSupport
import Store
import Synchronization
import TestSupport
import Testing

/// What a replay told of its progress.
final class Told: Sendable {
    private let seen = Mutex<[ReplayProgress]>([])

    var all: [ReplayProgress] { seen.withLock { $0 } }

    func add(_ progress: ReplayProgress) { seen.withLock { $0.append(progress) } }
}

@Suite("Rebuilder")
struct RebuilderTests {
    private func rebuilder(_ chronicle: Chronicle, perTransaction: Int64 = 50) -> TableRebuilder {
        TableRebuilder(
            tables: chronicle.storage.tables, journal: chronicle.storage.journal, commandsPerTransaction: perTransaction)
    }

    /// The derived tables of the whole history, as the projector wrote them.
    private func expected(_ engine: Engine, seed: UInt64) async throws -> [String] {
        var dump: [String] = []
        try await Chronicle.with(engine, seed: seed, tail: 0) { dump = try $0.storage.dump() }
        return dump
    }

    private static let ruin = """
        DELETE FROM ledger_postings WHERE entry > 3;
        UPDATE orders SET price = price + 1, limit_price = limit_price + 1;
        DELETE FROM rigs;
        INSERT INTO settlement_lines VALUES (1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, NULL);
        UPDATE projector SET last = last - 1;
        """

    @Test(arguments: ProjectionTests.cases)
    func ruinedTablesComeBackAsTheyWere(_ example: ProjectionTests.Case) async throws {
        let expected = try await expected(example.engine, seed: example.seed)
        try await Chronicle.with(example.engine, seed: example.seed) { chronicle in
            try chronicle.storage.damage(Self.ruin)
            let told = Told()
            #expect(try await rebuilder(chronicle).run { told.add($0) } == chronicle.ends.last)
            #expect(try chronicle.storage.dump() == expected)
            #expect(try await chronicle.verify().findings == [])
            #expect(told.all.count > 3)
            #expect(told.all.last?.position == chronicle.ends.last)
            // Once more, over what is right.
            #expect(try await rebuilder(chronicle).run() == chronicle.ends.last)
            #expect(try chronicle.storage.dump() == expected)
        }
    }

    @Test(arguments: Engine.allCases)
    func whatEdgesMeteredAndOperatorsMadeStays(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            let kept = ["accounts", "api_keys", "edge_epochs", "batches", "meter_slots", "jobs", "shares", "settlement_runs"]
            try books.storage.script("INSERT INTO accounts VALUES (1, 'a', 'buyer', 0); INSERT INTO api_keys VALUES ('k', 1, 0, NULL)")
            func counts() throws -> [Int64] {
                try kept.map { try books.storage.query("SELECT count(*) FROM \($0)")[0].int64(0) }
            }
            let before = try counts()
            #expect(before.reduce(0, +) > 5)
            try await TableRebuilder(tables: books.storage.tables, journal: books.storage.journal).run(deposing: true)
            #expect(try counts() == before)
            #expect(try books.storage.query("SELECT count(*) FROM orders")[0].int64(0) == 0)
            // No table is forgotten.
            let all = engine == .sqlite
                ? "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                : "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            // What staff, parties of disputes and the index's publisher made.
            let control: Set<String> = [
                "audit_trail", "control_answers", "custody_statements", "custody_items", "pool_statements", "reconciliations",
                "reconciliation_breaks", "break_events", "disputes", "dispute_events", "credits", "index_minutes", "index_days",
                "index_position",
            ]
            // What was issued to customers, and what it rests on.
            let documents: Set<String> = ["documents", "document_parts", "signing_keys", "legal_parties", "fiat_rates"]
            let names = Set(try books.storage.query(all).map { try $0.text(0) }).subtracting(control).subtracting(documents)
            #expect(names.subtracting(TableRebuilder.derivedTables).subtracting(kept)
                .subtracting(["schema_migrations", "projector", "writer", "journal"])
                // Of later schemas: what retention needs, notes within a transaction, logins, partitions.
                .subtracting(["access_keys", "access_key_secrets", "access_key_requests"])
                .subtracting(["retention", "waiting_replies", "ledger_unchecked", "reporting_logins"])
                // What the meter notes for settlement: work that came late, or too late.
                .subtracting(["late_slots", "expired_work"])
                // What edges are told, what they report and where rigs have been.
                .filter { $0 != "edges" && !$0.hasPrefix("edge_") }
                .filter { name in !["shares_", "jobs_", "meter_slots_"].contains { name.hasPrefix($0) } } == [])
        }
    }

    /// Stops at a row that cannot be read, and goes on when it can.
    @Test(arguments: Engine.allCases)
    func anInterruptedRebuildIsContinued(_ engine: Engine) async throws {
        let expected = try await expected(engine, seed: 6)
        try await Chronicle.with(engine, seed: 6) { chronicle in
            let row = chronicle.ends[12]
            let (storage, journal) = (chronicle.storage, chronicle.storage.journal)
            try storage.damage(Self.ruin)
            try storage.script("UPDATE journal SET rules_version = 77 WHERE last = \(row)", in: journal)
            await #expect(throws: RebuildError.self) { try await rebuilder(chronicle).run() }
            let reached = try chronicle.number("SELECT last FROM projector")
            #expect(reached > 0 && reached < row)
            // What is there is right.
            let half = try await chronicle.verify()
            #expect(half.findings.map(\.code) == ["journal.newerRules"])
            #expect(half.tables == reached)
            try storage.script("UPDATE journal SET rules_version = \(JournalBody.rulesVersion) WHERE last = \(row)", in: journal)
            let told = Told()
            #expect(try await rebuilder(chronicle).run(continuing: true) { told.add($0) } == chronicle.ends.last)
            #expect(told.all.allSatisfy { $0.position > reached })
            #expect(try storage.dump() == expected)
        }
    }

    @Test(arguments: Engine.allCases)
    func ruinIsNotContinued(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 6) { chronicle in
            try chronicle.storage.script("UPDATE rigs SET measured = measured + 1")
            await #expect(throws: RebuildError.self) { try await rebuilder(chronicle).run(continuing: true) }
            try await rebuilder(chronicle).run()
            #expect(try await chronicle.verify().findings == [])
        }
    }

    /// Triggers that keep the books are no obstacle, and guard them again afterwards.
    @Test(arguments: Engine.allCases)
    func guardedTablesAreRebuiltAndGuardedAgain(_ engine: Engine) async throws {
        try await Chronicle.with(engine, seed: 6) { chronicle in
            let storage = chronicle.storage
            switch engine {
            case .sqlite:
                try storage.script("CREATE TRIGGER books BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'kept'); END")
            case .postgres:
                try storage.script(
                    """
                    CREATE FUNCTION keep() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept'; END $$;
                    CREATE TRIGGER books BEFORE DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION keep();
                    CREATE TRIGGER books_whole BEFORE TRUNCATE ON ledger_entries EXECUTE FUNCTION keep();
                    """)
            }
            try await rebuilder(chronicle).run()
            #expect(try await chronicle.verify().findings == [])
            let connection = try Database.openConnection(storage.tables)
            defer { connection.close() }
            #expect(throws: DatabaseError.self) { try connection.execute("DELETE FROM ledger_entries WHERE id = 1") }
        }
    }

    @Test func aServerOnPostgresIsDeposedOnlyWhenAsked() async throws {
        try await Chronicle.with(.postgres, seed: 6) { chronicle in
            let writer = try chronicle.storage.openJournal()
            defer { writer.close() }
            let position = try writer.takeOver()
            let before = try chronicle.storage.dump()
            await #expect(throws: RebuildError.self) { try await rebuilder(chronicle).run() }
            #expect(try writer.position() == position)
            #expect(try chronicle.storage.dump() == before)
            try await rebuilder(chronicle).run(deposing: true)
            #expect(try writer.position().epoch == position.epoch + 1)
            #expect(try await chronicle.verify().findings == [])
        }
    }
}
