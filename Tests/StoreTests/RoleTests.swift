import Database
import Exchange
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

/// Two roles beside the tables' owner: what a server may do, and what a reader sees.
@Suite("Roles")
struct RoleTests {
    private static let writer = "hashspot_writer"
    private static let reporting = "hashspot_reporting"

    private func query(_ storage: Storage, as role: String, account: Int64? = nil, _ sql: String) throws -> [SQLRow] {
        let connection = try Database.openConnection(try storage.connecting(as: role).tables)
        defer { connection.close() }
        if let account { try connection.script("SET hashspot.account = '\(account)'") }
        return try connection.query(sql)
    }

    private func isDenied(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch let error as DatabaseError {
            return error.detail.contains("permission denied") || error.detail.contains("must be owner")
        } catch {
            return false
        }
    }

    // MARK: - The server

    /// Journal, projection, intake, settlement and retention over connections of the role.
    @Test func aServerWorksAsWriter() async throws {
        try await Engine.postgres.withStorage { owned in
            let storage = try owned.connecting(as: Self.writer)
            #expect(try storage.query("SELECT CAST(current_user AS TEXT)") == [SQLRow([.text(Self.writer)])])
            try await storage.withTables { database in
                let store = TableStore(database)
                let journal = try storage.openJournal()
                defer { journal.close() }
                let epoch = try journal.takeOver().epoch
                var history = History(seed: 3)
                var follower = Follower()
                for _ in 0..<20 {
                    let row = follower.commit(history.commands(30), epoch: epoch, at: history.now)
                    try journal.append(row, after: row.first - 1)
                    try await store.project(follower.projection(at: history.now))
                }
                #expect(try MarketState(restoring: try await store.load().state).hash == history.state.hash)
                var rows = 0
                try journal.replay(after: 0) { _ in rows += 1 }
                #expect(rows == 20)

                try await meter(database, history)
                _ = try await RetentionStore(database).runOnce()
                let account = try await AccountStore(database).create(
                    name: "a", roles: [.buyer], keyDigest: [1], at: History.start)
                #expect(try await AccountStore(database).exists(account))
                #expect(try await Audit(database).run().filter { $0.violations != 0 } == [])
            }
        }
    }

    private func meter(_ database: Database, _ history: History) async throws {
        let meter = MeterStore(database)
        let epoch = try await meter.allotEpoch(edge: EdgeID(1), at: History.start)
        var records = Records()
        let billed = history.billed.sorted { $0.key < $1.key }.map { delivery, billed in
            records.share(
                rig: billed.rig.rawValue, delivery: delivery.rawValue, difficulty: billed.work.units, isForwarded: true)
        }
        #expect(!billed.isEmpty)
        let first = SealedBatch.make(epoch: epoch, 1, [Records.job(1, target: 1)] + billed.map { .share($0) })
        for _ in 1...2 { try await meter.apply(first, digest: [1]) }
        try await meter.apply(.make(epoch: epoch, 2, billed.map { Records.reply($0, .accepted) }), digest: [2])
        _ = try await meter.begin(SettlementRun(kind: .initial, startedAt: History.start, watermark: History.start))
        let work = try await meter.billableWork(from: DeliveryID(1), through: DeliveryID(.max))
        #expect(work == history.billed.mapValues(\.work))
        let counts = try await database.read { try $0.query("SELECT count(*) FROM shares WHERE pool_reply = 1") }
        #expect(counts == [SQLRow([.init(billed.count)])])
    }

    @Test func aWriterCannotRewriteHistory() async throws {
        try await Engine.postgres.withStorage { owned in
            let storage = try owned.connecting(as: Self.writer)
            for table in ["journal", "ledger_entries", "ledger_postings", "settlement_lines", "batches", "shares", "jobs"] {
                for statement in ["DELETE FROM \(table)", "TRUNCATE \(table)", "DROP TABLE \(table)"] {
                    #expect(isDenied { _ = try storage.query(statement) }, "\(statement)")
                }
            }
            for statement in [
                "UPDATE journal SET body = ''", "UPDATE ledger_entries SET kind = 1", "UPDATE ledger_postings SET amount = 1",
                "UPDATE settlement_lines SET charge = 0", "UPDATE batches SET digest = ''", "UPDATE shares SET hash = ''",
                "DELETE FROM meter_slots", "DELETE FROM orders", "INSERT INTO ledger_unchecked (first, last) VALUES (1, 1)",
                "UPDATE reporting_logins SET account = 1", "CREATE TABLE mine (x INTEGER)",
            ] {
                #expect(isDenied { _ = try storage.query(statement) }, "\(statement)")
            }
        }
    }

    // MARK: - Readers

    /// Tables, and which rows of them an account may see.
    private static let visible: [(table: String, rule: @Sendable (Int64) -> String)] = [
        ("orders", { "account = \($0)" }),
        ("deliveries", { "buyer = \($0) OR seller = \($0)" }),
        ("ledger_balances", { "kind IN (1, 2) AND owner = \($0)" }),
        ("ledger_postings", { "account_kind IN (1, 2) AND owner = \($0)" }),
        ("ledger_entries", { "id IN (SELECT entry FROM ledger_postings WHERE account_kind IN (1, 2) AND owner = \($0))" }),
        ("deposits", { "account = \($0)" }),
        ("settlement_lines", { "delivery IN (SELECT id FROM deliveries WHERE buyer = \($0) OR seller = \($0))" }),
        ("farms", { "owner = \($0)" }),
        ("blocks", { "owner = \($0) OR seller = \($0)" }),
        ("cut_rigs", { "rig IN (SELECT id FROM rigs WHERE owner = \($0))" }),
        ("curtailments", { "farm IN (SELECT id FROM farms WHERE owner = \($0))" }),
        ("billings", { "bid IN (SELECT id FROM orders WHERE account = \($0)) OR ask IN (SELECT id FROM orders WHERE account = \($0))" }),
        (
            "meter_slots",
            {
                "delivery IN (SELECT id FROM deliveries WHERE buyer = \($0) OR seller = \($0))"
                    + " OR rig IN (SELECT id FROM rigs WHERE owner = \($0))"
            }
        ),
        (
            "shares",
            {
                "delivery IN (SELECT id FROM deliveries WHERE buyer = \($0) OR seller = \($0))"
                    + " OR rig IN (SELECT id FROM rigs WHERE owner = \($0))"
            }
        ),
    ]

    @Test func aReaderSeesItsOwnRows() async throws {
        try await Books.with(.postgres, seed: 11) { books in
            let storage = books.storage
            var seen = 0
            for (table, rule) in Self.visible {
                #expect(try query(storage, as: Self.reporting, "SELECT count(*) FROM \(table)") == [SQLRow([0])], "\(table) without an account")
                for account: Int64 in 1...5 {
                    let own = try storage.query("SELECT * FROM \(table) WHERE \(rule(account))").map { "\($0)" }.sorted()
                    let found = try query(storage, as: Self.reporting, account: account, "SELECT * FROM \(table)").map { "\($0)" }.sorted()
                    #expect(found == own, "\(table) of account \(account)")
                    seen += found.count
                }
            }
            #expect(seen > 100)
            for account: Int64 in 1...5 {
                for (table, key) in [("rigs", "id, stratum_user, measured"), ("pool_targets", "id, name, url")] {
                    let own = try storage.query("SELECT \(key) FROM \(table) WHERE owner = \(account) ORDER BY id")
                    #expect(try query(storage, as: Self.reporting, account: account, "SELECT \(key) FROM \(table) ORDER BY id") == own)
                }
            }
        }
    }

    @Test func aReaderSeesNoSecretsAndChangesNothing() async throws {
        try await Books.with(.postgres, seed: 11) { books in
            for sql in [
                "SELECT pool_password FROM pool_targets", "SELECT * FROM pool_targets", "SELECT password_digest FROM rigs",
                "SELECT * FROM api_keys", "SELECT * FROM access_keys", "SELECT * FROM access_key_secrets", "SELECT * FROM journal", "SELECT * FROM answers", "SELECT * FROM reporting_logins",
                "DELETE FROM orders", "UPDATE orders SET lots = 1", "INSERT INTO deposits VALUES (1, 'x', 1)",
                "SELECT hashspot_make_day('shares', 1)", "SELECT hashspot_drop_day('shares', 1)",
                "SELECT * FROM shares_default", "SELECT * FROM meter_slots_default",
            ] {
                #expect(isDenied { _ = try query(books.storage, as: Self.reporting, account: 1, sql) }, "\(sql)")
            }
        }
    }

    @Test func aViewShowsWhatItsTablesShow() async throws {
        try await Books.with(.postgres, seed: 11) { books in
            for view in ["orders", "deliveries", "settlement_lines", "ledger_postings", "hashrate", "shares"] {
                let sql = "SELECT count(*) FROM report_\(view)"
                #expect(try query(books.storage, as: Self.reporting, sql) == [SQLRow([0])], "\(view)")
                let all = try books.storage.query(sql)[0].int64(0)
                let own = try (1...5).map { try query(books.storage, as: Self.reporting, account: $0, sql)[0].int64(0) }
                #expect(own.allSatisfy { $0 < all }, "\(view)")
                #expect(own.reduce(0, +) > 0, "\(view)")
            }
        }
    }

    /// A login that is bound to an account stays with it, whatever it sets.
    @Test func aLoginMayBeBoundToAnAccount() async throws {
        try await Books.with(.postgres, seed: 11) { books in
            let storage = books.storage
            let login = try storage.query("SELECT CAST(session_user AS TEXT)")[0].text(0)
            try storage.script("INSERT INTO reporting_logins VALUES ('\(login)', 2)")
            let own = try storage.query("SELECT count(*) FROM orders WHERE account = 2")
            #expect(own != [SQLRow([0])])
            for account: Int64? in [nil, 1, 2] {
                #expect(try query(storage, as: Self.reporting, account: account, "SELECT count(*) FROM orders") == own)
                #expect(try query(storage, as: Self.reporting, account: account, "SELECT count(*) FROM orders WHERE account <> 2") == [SQLRow([0])])
            }
        }
    }

    @Test(arguments: ["", "x", "-1", "1; DROP TABLE orders", "99999999999999999999999"])
    func anAccountThatIsNoNumberIsNobody(_ text: String) async throws {
        try await Books.with(.postgres, seed: 11) { books in
            let connection = try Database.openConnection(try books.storage.connecting(as: Self.reporting).tables)
            defer { connection.close() }
            _ = try connection.query("SELECT set_config('hashspot.account', $1, false)", [.text(text)])
            #expect(try connection.query("SELECT count(*) FROM orders") == [SQLRow([0])])
        }
    }
}
