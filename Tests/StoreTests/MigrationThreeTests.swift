import Database
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

/// A database of the second version, with books and metered work, becomes one of the third.
@Suite("Migration to the third version")
struct MigrationThreeTests {
    private static let minute: Int64 = 60_000_000
    private static let books = [
        "projector", "market_state", "pool_targets", "rigs", "orders", "deliveries", "billings", "ledger_balances", "ledger_entries",
        "ledger_postings", "deposits", "answers", "settlement_lines", "farms", "silences",
    ]
    private static let columns = [
        "shares": """
            edge, epoch, number, received_at, rig, delivery, job, verdict, difficulty, billable, forwarded, extranonce2, ntime, nonce,
            version, hash, pool_reply, pool_error
            """,
        "jobs": """
            edge, epoch, number, target, pool_job, coinbase_prefix, coinbase_suffix, branches, previous_hash, version, nbits, ntime
            """,
        "meter_slots": """
            delivery, rig, minute, valid_shares, valid_work, billable_work, stale_shares, stale_work, duplicate_shares,
            low_difficulty_shares, invalid_shares, forwarded_shares, pool_accepted, pool_rejected, pool_unanswered
            """,
        "batches": "edge, epoch, sequence, digest, complete_until, records, applied_at",
    ]

    /// One share a job and minute, at these times, with its slot: as the second version's program would have left them.
    private func fill(_ storage: Storage, _ times: [Int64]) throws {
        func bytes(_ hex: String) -> String { storage.tables.dialect == .sqlite ? "X'\(hex)'" : "'\\x\(hex)'" }
        var sql = "INSERT INTO batches VALUES (1, 1, 1, \(bytes("01")), 1, \(times.count), 1);\n"
        for (number, time) in zip(1..., times) {
            let hash = bytes(String(String(number + 0x1000_0000, radix: 16)))
            sql += """
                INSERT INTO jobs VALUES (1, 1, \(number), 1, \(bytes("0a")), \(bytes("")), \(bytes("0b")), \(bytes("0c")),
                                         \(bytes("0d")), 1, 2, 1700000000);
                INSERT INTO shares VALUES (1, 1, \(number), \(time), \(number), 7, \(number), 1, 5, 1, 1, \(bytes("0102")), 1, 2, 3,
                                           \(hash), \(number % 2 == 0 ? "1, 0" : "NULL, NULL"));
                INSERT INTO meter_slots VALUES (7, \(number), \(time / Self.minute), 1, 5, 5, 0, 0, 0, 0, 0, 1, \(number % 2 == 0 ? 1 : 0), 0, 0);

                """
        }
        // A job that nobody had a share for.
        sql += "INSERT INTO jobs SELECT edge, epoch, 1000, target, pool_job, coinbase_prefix, coinbase_suffix, branches, "
            + "previous_hash, version, nbits, ntime FROM jobs WHERE number = 1;"
        try storage.script(sql)
    }

    /// The columns that the books' tables have.
    private func bookColumns(_ storage: Storage) throws -> [String: String] {
        var result: [String: String] = [:]
        for table in Self.books {
            let sql =
                switch storage.tables.dialect {
                case .sqlite: "SELECT name FROM pragma_table_info('\(table)') ORDER BY cid"
                case .postgres:
                    """
                    SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                    WHERE table_name = '\(table)' AND table_schema = current_schema() ORDER BY ordinal_position
                    """
                }
            result[table] = try storage.query(sql).map { try $0.text(0) }.joined(separator: ", ")
        }
        return result
    }

    private func dump(_ storage: Storage, _ books: [String: String]) throws -> [String] {
        try Self.columns.merging(books) { $1 }.sorted { $0.key < $1.key }.flatMap { table, columns in
            try storage.query("SELECT \(columns) FROM \(table)").map { "\(table) \($0)" }.sorted()
        }
    }

    @Test(arguments: Engine.allCases)
    func nothingIsLost(_ engine: Engine) async throws {
        let now = MarketService.systemClock().microseconds
        let daysAgo: [Int64] = [0, 1, 2, 5, 29, 300, 5000]
        let times = daysAgo.map { now - $0 * 86_400_000_000 } + [0, .max]
        try await engine.withStorage(schema: 2) { storage in
            try StoredVersionTwo.load(into: storage)
            try fill(storage, times)
            let columns = try bookColumns(storage)
            let before = try dump(storage, columns)
            #expect(before.count > 100)

            try storage.migrate()
            #expect(try dump(storage, columns) == before)
            // A job is as old as its last share.
            #expect(try storage.query("SELECT sealed_at FROM jobs WHERE number < 1000 ORDER BY number")
                == times.map { SQLRow([.integer($0)]) })
            #expect(try storage.query("SELECT sealed_at FROM jobs WHERE number = 1000") == [SQLRow([1_700_000_000_000_000])])
            try await goesOn(storage, times)
            if engine == .postgres { try checkDays(storage, now) }
        }
    }

    /// Late answers find their shares, new batches their slots.
    private func goesOn(_ storage: Storage, _ times: [Int64]) async throws {
        try await storage.withTables { database in
            let old = Timestamp(microseconds: times[0])
            let reply = MeterRecord.poolReply(PoolReplyRecord(
                share: 1, shareReceivedAt: old, rig: RigID(1), delivery: DeliveryID(7), reply: .rejected, errorCode: 23))
            var records = Records()
            for _ in 0..<100 { _ = records.share() }
            let share = records.share(rig: 1, delivery: 7, at: old, difficulty: 6)
            try await MeterStore(database).apply(.make(2, [reply, .share(share)]), digest: [2])
            #expect(try storage.query("SELECT pool_reply, pool_error FROM shares WHERE number = 1") == [SQLRow([2, 23])])
            #expect(try storage.query("SELECT valid_work, pool_rejected FROM meter_slots WHERE delivery = 7 AND rig = 1")
                == [SQLRow([11, 1])])
            let invariants: Set = ["every slot is the sum of its shares", "every ledger entry sums to zero"]
            for finding in try await Audit(database).run() where invariants.contains(finding.invariant) {
                #expect(finding.violations == 0, "\(finding.invariant)")
            }
        }
    }

    /// Recent rows lie in their days, others in the default partition.
    private func checkDays(_ storage: Storage, _ now: Int64) throws {
        let places = try storage.query("SELECT CAST(CAST(tableoid AS REGCLASS) AS TEXT) FROM shares WHERE number < 100 ORDER BY number")
            .map { try $0.text(0) }
        let day = { (ago: Int64) in
            "shares_" + Timestamp(microseconds: now - ago * 86_400_000_000).description.prefix(10).filter { $0 != "-" }
        }
        #expect(places == [0, 1, 2, 5, 29].map(day) + Array(repeating: "shares_default", count: 4))
        let slots = try storage.query("SELECT count(*) FROM meter_slots_default")
        #expect(slots == [SQLRow([3])])
    }
}
