import Database
import MarketTestSupport
@testable import Store
import Synchronization
import Testing
import Units

@Suite("Audit")
struct AuditTests {
    @Test(arguments: Engine.allCases, [11, 12] as [UInt64])
    func holdsOnHonestBooks(_ engine: Engine, _ seed: UInt64) async throws {
        try await Books.with(engine, seed: seed) { books in
            let findings = try await Audit(books.database).run()
            #expect(findings.map(\.code) == Audit.invariants.map(\.code))
            // It looked at something, but for what a history may have none of.
            let empty = Self.elsewhere.union(["ledger.snapshots", "ledger.leaving", "ledger.suspense", "transfer.approval"])
            for finding in findings where !empty.contains(finding.code) { #expect(finding.rows > 0, "\(finding)") }
            #expect(findings.filter { $0.violations != 0 } == [])
        }
    }

    /// A violation to plant, and how to take it back.
    private struct Plant {
        var code: String
        var sql: String
        var undo: String
        /// What one of the violations says.
        var names = ""
    }

    /// Planted by other tests.
    private static let elsewhere: Set = ["document.chain", "document.seal", "statement.balance", "trail.chain"]

    private static let share = """
        INSERT INTO shares (edge, epoch, number, received_at, rig, delivery, job, verdict, difficulty, billable, forwarded,
                            extranonce2, ntime, nonce, version, hash, pool_reply, pool_error)
        SELECT 99, epoch, number, received_at, rig, delivery, job, verdict, difficulty, billable, forwarded,
               extranonce2, ntime, nonce, version, hash, pool_reply, pool_error FROM shares WHERE number = 1 AND edge = 1
        """

    private static let plants = [
        Plant(
            code: "ledger.entrySum", sql: "UPDATE ledger_postings SET amount = amount + 1000000000 WHERE entry = 1 AND line = 0",
            undo: "UPDATE ledger_postings SET amount = amount - 1000000000 WHERE entry = 1 AND line = 0"),
        Plant(
            code: "ledger.entrySum",
            sql: "INSERT INTO ledger_entries (id, kind, at, value_at, reference) VALUES (1000000, 1, 0, 0, 'empty')",
            undo: "DELETE FROM ledger_entries WHERE id = 1000000"),
        Plant(
            code: "ledger.total", sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 3",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 3"),
        Plant(
            code: "ledger.balance",
            sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 1 AND owner = 1",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 1 AND owner = 1"),
        Plant(
            code: "ledger.balance",
            sql: "UPDATE ledger_balances SET owner = 77 WHERE kind = 1 AND owner = 1",
            undo: "UPDATE ledger_balances SET owner = 1 WHERE kind = 1 AND owner = 77"),
        Plant(
            code: "ledger.held",
            sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 2",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 2"),
        Plant(
            code: "ledger.negative",
            sql: "INSERT INTO ledger_balances (kind, owner, balance) VALUES (1, 66, -1)",
            undo: "DELETE FROM ledger_balances WHERE owner = 66"),
        Plant(
            code: "batch.gap", sql: "UPDATE batches SET sequence = 3 WHERE sequence = 2",
            undo: "UPDATE batches SET sequence = 2 WHERE sequence = 3"),
        Plant(
            code: "slot.shares", sql: "UPDATE meter_slots SET valid_work = valid_work + 1",
            undo: "UPDATE meter_slots SET valid_work = valid_work - 1"),
        Plant(
            code: "slot.shares", sql: "UPDATE meter_slots SET rig = rig + 500",
            undo: "UPDATE meter_slots SET rig = rig - 500"),
        Plant(
            code: "slot.shares", sql: "UPDATE meter_slots SET stale_shares = stale_shares + 1",
            undo: "UPDATE meter_slots SET stale_shares = stale_shares - 1"),
        Plant(
            code: "share.header", sql: share, undo: "DELETE FROM shares WHERE edge = 99"),
        Plant(
            code: "delivery.verified",
            sql: "UPDATE meter_slots SET billable_work = billable_work - 1",
            undo: "UPDATE meter_slots SET billable_work = billable_work + 1"),
        Plant(
            code: "delivery.lines",
            sql: "UPDATE deliveries SET charged = charged + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET charged = charged - 1 WHERE id = 1"),
        Plant(
            code: "delivery.lines",
            sql: "UPDATE settlement_lines SET delivery = delivery + 100000",
            undo: "UPDATE settlement_lines SET delivery = delivery - 100000"),
        Plant(
            code: "ledger.entryGap", sql: "UPDATE ledger_entries SET id = 900000 WHERE id = 3",
            undo: "UPDATE ledger_entries SET id = 3 WHERE id = 900000", names: "entry 4 ("),
        Plant(
            code: "ledger.entryGap", sql: "UPDATE ledger_entries SET at = at - 1000000000000 WHERE id = 3",
            undo: "UPDATE ledger_entries SET at = at + 1000000000000 WHERE id = 3", names: "entry 3 ("),
        Plant(
            code: "ledger.entrySum",
            sql: "INSERT INTO ledger_postings (entry, line, account_kind, owner, amount) VALUES (777777, 0, 3, 0, 5)",
            undo: "DELETE FROM ledger_postings WHERE entry = 777777", names: "posting 777777/0 of 5"),
        Plant(
            code: "ledger.valueDate", sql: "UPDATE ledger_entries SET value_at = at + 1 WHERE id = 2",
            undo: "UPDATE ledger_entries SET value_at = at WHERE id = 2", names: "entry 2 ("),
        Plant(
            code: "ledger.settlement", sql: "UPDATE ledger_postings SET amount = amount - 1 WHERE \(feePosting)",
            undo: "UPDATE ledger_postings SET amount = amount + 1 WHERE \(feePosting)", names: "fees: the entry moves -1 more"),
        Plant(
            code: "ledger.settlement",
            sql: "UPDATE settlement_lines SET charge = charge + 1, from_loss = from_loss + 1 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET charge = charge - 1, from_loss = from_loss - 1 WHERE number = \(line)"),
        Plant(
            code: "ledger.settlement", sql: "UPDATE settlement_lines SET run = run + 100000 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET run = run - 100000 WHERE number = \(line)", names: "run:1000"),
        Plant(
            code: "ledger.settlement", sql: "UPDATE settlement_lines SET value_at = value_at - 1 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET value_at = value_at + 1 WHERE number = \(line)", names: "different times"),
        Plant(
            code: "line.parts", sql: "UPDATE settlement_lines SET from_hold = from_hold + 1 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET from_hold = from_hold - 1 WHERE number = \(line)", names: "from its sources"),
        Plant(
            code: "line.parts", sql: "UPDATE settlement_lines SET code = 4 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET code = 1 WHERE number = \(line)", names: "no charge for overDelivery"),
        Plant(
            code: "line.parts", sql: "UPDATE settlement_lines SET credit = 1 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET credit = NULL WHERE number = \(line)", names: "a credit's number"),
        Plant(
            code: "line.delivery", sql: "UPDATE settlement_lines SET delivery = delivery + 100000 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET delivery = delivery - 100000 WHERE number = \(line)", names: "there is no such delivery"),
        Plant(
            code: "line.delivery", sql: "UPDATE settlement_lines SET to_minute = to_minute - 5000 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET to_minute = to_minute + 5000 WHERE number = \(line)", names: "its interval is empty"),
        Plant(
            code: "line.formula", sql: "UPDATE settlement_lines SET work = work + 100000 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET work = work - 100000 WHERE number = \(line)", names: "of delivery"),
        Plant(
            code: "line.formula",
            sql: "UPDATE settlement_lines SET charge = charge - 1, from_available = from_available - 1 WHERE number = \(line)",
            undo: "UPDATE settlement_lines SET charge = charge + 1, from_available = from_available + 1 WHERE number = \(line)",
            names: "charge of line"),
        Plant(
            code: "line.formula", sql: "UPDATE deliveries SET price = price * 2", undo: "UPDATE deliveries SET price = price / 2",
            names: "charge of line"),
        Plant(
            code: "billing.totals", sql: "UPDATE billings SET weighted_work = weighted_work || '0' WHERE charge > 0",
            undo: "UPDATE billings SET weighted_work = substr(weighted_work, 1, length(weighted_work) - 1) WHERE charge > 0",
            names: "weighted work of bid"),
        Plant(
            code: "billing.totals", sql: "UPDATE billings SET weighted_work = weighted_work || 'x'",
            undo: "UPDATE billings SET weighted_work = substr(weighted_work, 1, length(weighted_work) - 1)", names: "is no number"),
        Plant(
            code: "billing.totals", sql: "UPDATE billings SET tariff = tariff + 50",
            undo: "UPDATE billings SET tariff = tariff - 50", names: "it has lines and no totals"),
        Plant(
            code: "delivery.lines", sql: "UPDATE deliveries SET settled_fault = settled_fault + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET settled_fault = settled_fault - 1 WHERE id = 1", names: "work during faults of delivery 1"),
        Plant(
            code: "delivery.lines", sql: "UPDATE deliveries SET unpaid = unpaid + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET unpaid = unpaid - 1 WHERE id = 1", names: "unpaid charge of delivery 1"),
        Plant(
            code: "delivery.cap", sql: "UPDATE deliveries SET settled_work = settled_work + 1000000000000000 WHERE id = 1",
            undo: "UPDATE deliveries SET settled_work = settled_work - 1000000000000000 WHERE id = 1", names: "delivery 1: "),
        Plant(
            code: "delivery.hold", sql: "UPDATE deliveries SET held = held + 7 WHERE live = 0",
            undo: "UPDATE deliveries SET held = held - 7 WHERE live = 0", names: "instead of nothing held"),
        Plant(
            code: "delivery.hold", sql: "UPDATE deliveries SET hold = hold - 1000000000 WHERE id = 1",
            undo: "UPDATE deliveries SET hold = hold + 1000000000 WHERE id = 1", names: "delivery 1: "),
        Plant(
            code: "batch.shares", sql: "UPDATE batches SET first_share = 1, last_share = 2",
            undo: "UPDATE batches SET first_share = NULL, last_share = NULL", names: "edge 1, epoch 1, batch 2: 1 to 2"),
        Plant(
            code: "slot.shares", sql: "UPDATE meter_slots SET delivery = delivery + 500000 WHERE delivery > 0",
            undo: "UPDATE meter_slots SET delivery = delivery - 500000 WHERE delivery > 0", names: "slot of delivery 500"),
        Plant(
            code: "slot.shares", sql: "UPDATE shares SET delivery = 0 WHERE number = 1",
            undo: "UPDATE shares SET delivery = \(delivery) WHERE number = 1", names: "slot of delivery 0, "),
        Plant(
            code: "slot.counts", sql: "UPDATE meter_slots SET pool_rejected = pool_rejected + 5",
            undo: "UPDATE meter_slots SET pool_rejected = pool_rejected - 5", names: "answers to"),
        Plant(
            code: "slot.counts", sql: "UPDATE meter_slots SET billable_work = valid_work + 1 WHERE delivery > 0",
            undo: "UPDATE meter_slots SET billable_work = valid_work WHERE delivery > 0", names: "billable"),
        Plant(
            code: "ledger.leaving", sql: "INSERT INTO ledger_balances (kind, owner, balance) VALUES (7, 1000, 5)",
            undo: "DELETE FROM ledger_balances WHERE kind = 7 AND owner = 1000", names: "leaving funds of account 1000: 5 instead of 0"),
        Plant(
            code: "ledger.suspense",
            sql: "INSERT INTO transfers (id, kind, status, amount, requested_by, requested_at, live) VALUES (99999, 1, 1, 7, 1, 1, 1)",
            undo: "DELETE FROM transfers WHERE id = 99999", names: "suspense: "),
        Plant(
            code: "transfer.approval",
            sql: """
                INSERT INTO transfers (id, kind, status, account, amount, requested_by, requested_at, decided_by, decided_at, live)
                VALUES (99999, 1, 3, 5, 7, 1, 1, 5, 1, 0)
                """,
            undo: "DELETE FROM transfers WHERE id = 99999", names: "decided by account 5"),
        Plant(
            code: "ledger.chain", sql: "UPDATE ledger_chain SET hash = (SELECT hash FROM ledger_chain WHERE entry = 1) WHERE entry = 2",
            undo: "UPDATE ledger_chain SET hash = \(secondHash) WHERE entry = 2", names: "ledger entry 2"),
        Plant(
            code: "ledger.snapshots",
            sql: "INSERT INTO balance_snapshots (basis, until, kind, owner, balance) VALUES (1, 1600000000000000, 1, 1, 5)",
            undo: "DELETE FROM balance_snapshots", names: "available funds of account 1"),
        Plant(
            code: "billing.fees", sql: "UPDATE billings SET seller_fee_ppm = seller_fee_ppm + 900000",
            undo: "UPDATE billings SET seller_fee_ppm = seller_fee_ppm - 900000"),
        Plant(
            code: "billing.fees", sql: "UPDATE billings SET buyer_fee = buyer_fee + 1 WHERE charge > 50",
            undo: "UPDATE billings SET buyer_fee = buyer_fee - 1 WHERE charge > 50"),
        Plant(
            code: "delivery.tariff",
            sql: "UPDATE deliveries SET buyer_fee_ppm = buyer_fee_ppm + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET buyer_fee_ppm = buyer_fee_ppm - 1 WHERE id = 1"),
        Plant(
            code: "delivery.tariff", sql: "UPDATE deliveries SET tariff = tariff + 100 WHERE id = 1",
            undo: "UPDATE deliveries SET tariff = tariff - 100 WHERE id = 1"),
        Plant(
            code: "billing.totals", sql: "UPDATE billings SET charge = charge + 1",
            undo: "UPDATE billings SET charge = charge - 1"),
        Plant(
            code: "billing.totals",
            sql: "UPDATE settlement_lines SET buyer_fee = buyer_fee + 1, from_loss = from_loss + 1",
            undo: "UPDATE settlement_lines SET buyer_fee = buyer_fee - 1, from_loss = from_loss - 1"),
        Plant(
            code: "order.spent", sql: "UPDATE orders SET spent = spent + 1 WHERE side = 0",
            undo: "UPDATE orders SET spent = spent - 1 WHERE side = 0"),
        Plant(
            code: "order.delivering",
            sql: "UPDATE orders SET delivering = delivering + 1 WHERE live = 1",
            undo: "UPDATE orders SET delivering = delivering - 1 WHERE live = 1"),
        // On an order that is forgotten.
        Plant(
            code: "order.delivering",
            sql: """
                INSERT INTO deliveries (id, bid, ask, rig, buyer, seller, lots, hashrate, price, price_unit, seller_fee_ppm,
                                        buyer_fee_ppm, tariff, opened_at, expires_at, is_shortened, max_difficulty, allowance,
                                        hold, held, settled_work, charged, live)
                VALUES (1000000, 1000001, 1000002, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1)
                """,
            undo: "DELETE FROM deliveries WHERE id = 1000000"),
        Plant(
            code: "order.lots",
            sql: "UPDATE orders SET delivering = delivering + 1000 WHERE live = 1",
            undo: "UPDATE orders SET delivering = delivering - 1000 WHERE live = 1"),
        Plant(
            code: "order.unsettled",
            sql: "UPDATE orders SET unsettled = unsettled + 1 WHERE live = 1",
            undo: "UPDATE orders SET unsettled = unsettled - 1 WHERE live = 1"),
        Plant(
            code: "rig.asks", sql: "UPDATE rigs SET ask = ask + 1000000",
            undo: "UPDATE rigs SET ask = ask - 1000000"),
        Plant(
            code: "rig.asks",
            sql: "UPDATE rigs SET farm = -1 - coalesce(farm, 0)",
            undo: "UPDATE rigs SET farm = CASE WHEN farm = -1 THEN NULL ELSE -1 - farm END"),
    ]

    @Test(arguments: Engine.allCases)
    func findsEachPlantedViolation(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            if engine == .postgres {
                try books.storage.script(
                    """
                    DO $$
                    DECLARE
                        old RECORD;
                    BEGIN
                        FOR old IN
                            SELECT c.conrelid::regclass AS relation, c.conname AS name FROM pg_constraint c
                            WHERE c.contype = 'c' AND c.coninhcount = 0 AND c.conrelid <> 0
                              AND c.connamespace = current_schema()::regnamespace
                        LOOP
                            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old.relation, old.name);
                        END LOOP;
                    END $$;
                    """)
            }
            try books.storage.dropTriggers()
            let audit = Audit(books.database)
            let codes = Set(Audit.invariants.map(\.code)).subtracting(Self.elsewhere)
            #expect(codes == Set(Self.plants.map(\.code)), "a check without a planted violation")
            let line = try books.number(
                "SELECT number FROM settlement_lines WHERE seller_fee + buyer_fee > 0 AND code = 1 ORDER BY number LIMIT 1")
            let places = [
                Self.line: "\(line)", Self.feePosting: Self.feePostingOf(line),
                Self.delivery: "\(try books.number("SELECT delivery FROM shares WHERE number = 1"))",
                Self.secondHash: books.storage.blob(try books.storage.query("SELECT hash FROM ledger_chain WHERE entry = 2")[0].blob(0)),
            ]
            for plant in Self.plants {
                func script(_ sql: String) throws {
                    try books.storage.script(places.reduce(sql) { $0.replacing($1.key, with: $1.value) })
                }
                try script(plant.sql)
                let found = try await audit.run(AuditOptions(only: [plant.code]))
                #expect(found.map(\.code) == [plant.code])
                #expect((found.first?.violations ?? 0) > 0, "\(plant.code): \(plant.sql)")
                let named = found.first?.named ?? []
                #expect(named.contains { "\($0)".contains(plant.names) }, "\(plant.names): \(named)")
                try script(plant.undo)
            }
            #expect(try await audit.run().filter { $0.violations != 0 } == [])
        }
    }

    // Stand in the plants for what the history has.
    private static let line = "{line}"
    private static let feePosting = "{feePosting}"
    private static let delivery = "{delivery}"
    private static let secondHash = "{secondHash}"

    /// Of the entry that books a line's chunk.
    private static func feePostingOf(_ line: Int64) -> String {
        """
        account_kind = 4 AND entry = (
            SELECT e.id FROM ledger_entries e JOIN settlement_lines l ON e.reference = 'run:' || l.run || '/' || l.chunk
            WHERE l.number = \(line))
        """
    }

    // MARK: - Options

    @Test(arguments: Engine.allCases)
    func namesAtMostWhatIsAskedForAndTellsAllToItsObserver(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 12) { books in
            try books.storage.dropTriggers()
            try books.storage.script("UPDATE settlement_lines SET work = work + 1000000")
            let lines = try books.number("SELECT count(*) FROM settlement_lines WHERE code BETWEEN 1 AND 3")
            let told = AuditEvents()
            var options = AuditOptions(only: ["line.formula"])
            options.mostNamed = 3
            let findings = try await Audit(books.database).run(options) { told.add($0) }
            let finding = try #require(findings.first)
            #expect(findings.count == 1)
            #expect(finding.rows == lines)
            #expect(finding.violations >= lines)
            #expect(finding.named.count == 3)
            #expect(told.violations == Int(finding.violations))
            #expect(told.findings == 1)
        }
    }

    @Test(arguments: Engine.allCases)
    func sinceLooksAtWhatIsBookedLater(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            try books.storage.dropTriggers()
            // The first line of all is wrong, and was booked before.
            let line = try books.number("SELECT min(number) FROM settlement_lines")
            try books.storage.script("UPDATE settlement_lines SET seller_fee = seller_fee + 1 WHERE number = \(line)")
            let first = try books.number("SELECT min(at) FROM settlement_lines")
            let codes: Set = ["line.formula", "ledger.settlement"]
            let all = try await Audit(books.database).run(AuditOptions(only: codes))
            #expect(all.allSatisfy { $0.violations > 0 })
            let later = AuditOptions(only: codes, since: Timestamp(microseconds: first + 1))
            let some = try await Audit(books.database).run(later)
            #expect(some.allSatisfy { $0.violations == 0 }, "\(some)")
            for (some, all) in zip(some, all) {
                #expect(some.rows < all.rows, "\(some.code)")
                #expect(some.rows > 0, "\(some.code)")
            }
            let none = try await Audit(books.database).run(AuditOptions(only: codes, since: Timestamp(microseconds: .max / 2)))
            #expect(none.allSatisfy { $0.rows == 0 })
        }
    }

    /// What crosses pages: hashes in many ranges, with neighbours in each.
    @Test(arguments: Engine.allCases)
    func headersAreFoundInWhateverRange(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            try books.storage.script(Self.share)
            for most in [1, 2, 1000] as [Int64] {
                let finding = try await Audit(books.database).findings(of: HeaderPass(most: most)).first
                #expect(finding?.violations == 1)
                #expect(finding?.rows == (try books.number("SELECT count(*) FROM shares WHERE verdict = 1")))
            }
        }
    }
}

/// What an audit told its observer.
private final class AuditEvents: Sendable {
    private let counts = Mutex((violations: 0, findings: 0))

    var violations: Int { counts.withLock { $0.violations } }
    var findings: Int { counts.withLock { $0.findings } }

    func add(_ event: AuditEvent) {
        counts.withLock { counts in
            switch event {
            case .violation: counts.violations += 1
            case .finding: counts.findings += 1
            case .progress: break
            }
        }
    }
}

extension Books {
    /// A whole number out of the tables.
    func number(_ sql: String) throws -> Int64 { try storage.query(sql)[0].int64(0) }
}

extension Storage {
    /// Bytes as SQL writes them.
    func blob(_ bytes: [UInt8]) -> String {
        let hex = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return switch tables.dialect {
        case .sqlite: "x'\(hex)'"
        case .postgres: "decode('\(hex)', 'hex')"
        }
    }
}
