import MarketTestSupport
import Store
import Testing

@Suite("Audit")
struct AuditTests {
    @Test(arguments: Engine.allCases, [11, 12] as [UInt64])
    func holdsOnHonestBooks(_ engine: Engine, _ seed: UInt64) async throws {
        try await Books.with(engine, seed: seed) { books in
            let findings = try await Audit(books.database).run()
            #expect(findings.count == 22)
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
            sql: "INSERT INTO ledger_entries (id, kind, at, value_at, reference) VALUES (1000000, 1, 0, 0, 'empty')",
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
            invariant: "funds on their way out are the sum of open withdrawals",
            sql: "INSERT INTO ledger_balances (kind, owner, balance) VALUES (7, 66, 5)",
            undo: "DELETE FROM ledger_balances WHERE owner = 66"),
        Plant(
            invariant: "suspense is the sum of open deposits and of corrections",
            sql: "INSERT INTO ledger_balances (kind, owner, balance) VALUES (6, 0, 5)",
            undo: "DELETE FROM ledger_balances WHERE kind = 6"),
        Plant(
            invariant: "nobody decided on their own transfer",
            sql: """
                INSERT INTO transfers (id, kind, status, account, amount, requested_by, requested_at, decided_by, decided_at, live)
                VALUES (1000000, 1, 3, 5, 1, 6, 0, 5, 0, 0)
                """,
            undo: "DELETE FROM transfers WHERE id = 1000000"),
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
        Plant(
            invariant: "fees follow from a tariff's charges", sql: "UPDATE billings SET seller_fee_ppm = seller_fee_ppm + 900000",
            undo: "UPDATE billings SET seller_fee_ppm = seller_fee_ppm - 900000"),
        Plant(
            invariant: "fees follow from a tariff's charges", sql: "UPDATE billings SET buyer_fee = buyer_fee + 1 WHERE charge > 50",
            undo: "UPDATE billings SET buyer_fee = buyer_fee - 1 WHERE charge > 50"),
        Plant(
            invariant: "deliveries have the fees of their tariff",
            sql: "UPDATE deliveries SET buyer_fee_ppm = buyer_fee_ppm + 1 WHERE id = 1",
            undo: "UPDATE deliveries SET buyer_fee_ppm = buyer_fee_ppm - 1 WHERE id = 1"),
        Plant(
            invariant: "deliveries have the fees of their tariff", sql: "UPDATE deliveries SET tariff = tariff + 100 WHERE id = 1",
            undo: "UPDATE deliveries SET tariff = tariff - 100 WHERE id = 1"),
        Plant(
            invariant: "a tariff's totals are the sums of its lines", sql: "UPDATE billings SET charge = charge + 1",
            undo: "UPDATE billings SET charge = charge - 1"),
        Plant(
            invariant: "a tariff's totals are the sums of its lines",
            sql: "UPDATE settlement_lines SET buyer_fee = buyer_fee + 1, from_loss = from_loss + 1",
            undo: "UPDATE settlement_lines SET buyer_fee = buyer_fee - 1, from_loss = from_loss - 1"),
        Plant(
            invariant: "a bid's spending is the sum of its lines", sql: "UPDATE orders SET spent = spent + 1 WHERE side = 0",
            undo: "UPDATE orders SET spent = spent - 1 WHERE side = 0"),
        Plant(
            invariant: "running deliveries are those that live orders count",
            sql: "UPDATE orders SET delivering = delivering + 1 WHERE live = 1",
            undo: "UPDATE orders SET delivering = delivering - 1 WHERE live = 1"),
        // On an order that is forgotten.
        Plant(
            invariant: "running deliveries are those that live orders count",
            sql: """
                INSERT INTO deliveries (id, bid, ask, rig, buyer, seller, lots, hashrate, price, price_unit, seller_fee_ppm,
                                        buyer_fee_ppm, tariff, opened_at, expires_at, is_shortened, max_difficulty, allowance,
                                        hold, held, settled_work, charged, live)
                VALUES (1000000, 1000001, 1000002, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1)
                """,
            undo: "DELETE FROM deliveries WHERE id = 1000000"),
        Plant(
            invariant: "no order delivers more lots than it has",
            sql: "UPDATE orders SET delivering = delivering + 1000 WHERE live = 1",
            undo: "UPDATE orders SET delivering = delivering - 1000 WHERE live = 1"),
        Plant(
            invariant: "unsettled deliveries are those that live orders count",
            sql: "UPDATE orders SET unsettled = unsettled + 1 WHERE live = 1",
            undo: "UPDATE orders SET unsettled = unsettled - 1 WHERE live = 1"),
        Plant(
            invariant: "rigs and farms know the asks on them", sql: "UPDATE rigs SET ask = ask + 1000000",
            undo: "UPDATE rigs SET ask = ask - 1000000"),
        Plant(
            invariant: "rigs and farms know the asks on them",
            sql: "UPDATE rigs SET farm = -1 - coalesce(farm, 0)",
            undo: "UPDATE rigs SET farm = CASE WHEN farm = -1 THEN NULL ELSE -1 - farm END"),
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
            try books.storage.dropTriggers()
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
