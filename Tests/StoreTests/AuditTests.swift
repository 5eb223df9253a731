import MarketTestSupport
import Store
import Testing

@Suite("Audit")
struct AuditTests {
    @Test(arguments: Engine.allCases, [11, 12] as [UInt64])
    func holdsOnHonestBooks(_ engine: Engine, _ seed: UInt64) async throws {
        try await Books.with(engine, seed: seed) { books in
            let findings = try await Audit(books.database).run()
            #expect(findings.count == 11)
            #expect(findings.filter { $0.violations != 0 } == [])
        }
    }

    /// A violation to plant, and how to take it back.
    private struct Plant {
        var invariant: String
        var sql: String
        var undo: String
    }

    private static let share = """
        INSERT INTO shares (edge, epoch, number, received_at, rig, delivery, job, verdict, difficulty, billable, forwarded,
                            extranonce2, ntime, nonce, version, hash, pool_reply, pool_error)
        SELECT 99, epoch, number, received_at, rig, delivery, job, verdict, difficulty, billable, forwarded,
               extranonce2, ntime, nonce, version, hash, pool_reply, pool_error FROM shares WHERE number = 1 AND edge = 1
        """

    private static let plants = [
        Plant(
            invariant: "every ledger entry sums to zero", sql: "UPDATE ledger_postings SET amount = amount + 1000000000 WHERE entry = 1 AND line = 0",
            undo: "UPDATE ledger_postings SET amount = amount - 1000000000 WHERE entry = 1 AND line = 0"),
        Plant(
            invariant: "every ledger entry sums to zero",
            sql: "INSERT INTO ledger_entries (id, kind, at, reference) VALUES (1000000, 1, 0, 'empty')",
            undo: "DELETE FROM ledger_entries WHERE id = 1000000"),
        Plant(
            invariant: "all accounts together are zero", sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 3",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 3"),
        Plant(
            invariant: "every balance is the sum of its postings",
            sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 1 AND owner = 1",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 1 AND owner = 1"),
        Plant(
            invariant: "every balance is the sum of its postings",
            sql: "UPDATE ledger_balances SET owner = 77 WHERE kind = 1 AND owner = 1",
            undo: "UPDATE ledger_balances SET owner = 1 WHERE kind = 1 AND owner = 77"),
        Plant(
            invariant: "held funds are the sum of open holds",
            sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 2",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 2"),
        Plant(
            invariant: "no customer's balance is negative",
            sql: "INSERT INTO ledger_balances (kind, owner, balance) VALUES (1, 66, -1)",
            undo: "DELETE FROM ledger_balances WHERE owner = 66"),
        Plant(
            invariant: "batch sequences have no gap", sql: "UPDATE batches SET sequence = 3 WHERE sequence = 2",
            undo: "UPDATE batches SET sequence = 2 WHERE sequence = 3"),
        Plant(
            invariant: "every slot is the sum of its shares", sql: "UPDATE meter_slots SET valid_work = valid_work + 1",
            undo: "UPDATE meter_slots SET valid_work = valid_work - 1"),
        Plant(
            invariant: "every slot is the sum of its shares", sql: "UPDATE meter_slots SET rig = rig + 500",
            undo: "UPDATE meter_slots SET rig = rig - 500"),
        Plant(
            invariant: "every slot is the sum of its shares", sql: "UPDATE meter_slots SET stale_shares = stale_shares + 1",
            undo: "UPDATE meter_slots SET stale_shares = stale_shares - 1"),
        Plant(
            invariant: "every header is valid at most once", sql: share, undo: "DELETE FROM shares WHERE edge = 99"),
        Plant(
            invariant: "billed work is not above verified work",
            sql: "UPDATE meter_slots SET billable_work = billable_work - 1",
            undo: "UPDATE meter_slots SET billable_work = billable_work + 1"),
        Plant(
            invariant: "a delivery's settled work and charge are the sums of its lines",
            sql: "UPDATE deliveries SET charged = charged + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET charged = charged - 1 WHERE id = 1"),
        Plant(
            invariant: "a delivery's settled work and charge are the sums of its lines",
            sql: "UPDATE settlement_lines SET delivery = delivery + 100000",
            undo: "UPDATE settlement_lines SET delivery = delivery - 100000"),
        Plant(
            invariant: "fees are in the ledger as on the lines",
            sql: "UPDATE ledger_balances SET balance = balance + 1 WHERE kind = 4",
            undo: "UPDATE ledger_balances SET balance = balance - 1 WHERE kind = 4"),
    ]

    @Test(arguments: Engine.allCases)
    func findsEachPlantedViolation(_ engine: Engine) async throws {
        try await Books.with(engine, seed: 11) { books in
            if engine == .postgres {
                try books.storage.script(
                    """
                    ALTER TABLE ledger_balances DROP CONSTRAINT ledger_balances_check;
                    """)
            }
            let audit = Audit(books.database)
            let all = Set(try await audit.run().map(\.invariant))
            #expect(all == Set(Self.plants.map(\.invariant)), "a check without a planted violation")
            for plant in Self.plants {
                try books.storage.script(plant.sql)
                let found = try await audit.run().first { $0.invariant == plant.invariant }
                #expect((found?.violations ?? 0) > 0, "\(plant.invariant): \(plant.sql)")
                try books.storage.script(plant.undo)
            }
            #expect(try await audit.run().filter { $0.violations != 0 } == [])
        }
    }
}
