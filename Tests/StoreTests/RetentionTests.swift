import Database
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

@Suite("Retention")
struct RetentionTests {
    private static let day: Int64 = 86_400_000_000
    /// Noon of a day.
    private static let today: Int64 = 20_000

    private static func noon(_ day: Int64) -> Timestamp { Timestamp(microseconds: day * RetentionTests.day + RetentionTests.day / 2) }

    // MARK: - The decision

    private func plan(
        settled: Int64 = today, oldest: Int64? = nil, _ days: [MeteredTable: ClosedRange<Int64>] = [:]
    ) -> RetentionPlan {
        RetentionPlan(RetentionPolicy(), RetentionFacts(
            now: Self.noon(Self.today), settledUntil: Self.noon(settled), oldestOpen: oldest.map { Self.noon($0) },
            days: Set(days.flatMap { table, days in days.map { TableDay(table, $0) } })))
    }

    @Test func daysAreMadeAhead() {
        let plan = plan([.shares: 19_990...20_001])
        #expect(plan.make.filter { $0.table == .shares }.map(\.day) == [20_002, 20_003])
        #expect(plan.make.filter { $0.table == .slots }.map(\.day) == [19_999, 20_000, 20_001, 20_002, 20_003])
        #expect(plan.drop == [])
    }

    @Test func whatIsOldAndSettledGoes() {
        let plan = plan([.shares: 19_960...20_003, .jobs: 19_960...20_003, .slots: 19_590...20_003])
        #expect(plan.make == [])
        #expect(plan.drop.filter { $0.table == .shares }.map(\.day) == Array(19_960...19_969))
        #expect(plan.drop.filter { $0.table == .jobs }.map(\.day) == Array(19_960...19_967))
        #expect(plan.drop.filter { $0.table == .slots }.map(\.day) == Array(19_590...19_599))
        #expect(plan.keptFrom == [.shares: 19_970, .jobs: 19_968, .slots: 19_600])
    }

    @Test func whatIsNotSettledStays() {
        #expect(plan(settled: 19_965, [.shares: 19_930...20_003]).drop.map(\.day) == Array(19_930...19_934))
        #expect(plan(settled: 0, [.shares: 19_000...20_003, .slots: 19_000...20_003]).drop == [])
        // A delivery from long ago keeps its slots and all later ones, with a day's margin.
        let plan = plan(oldest: 19_500, [.slots: 19_490...20_003, .shares: 19_960...20_003])
        #expect(plan.drop.filter { $0.table == .slots }.map(\.day) == Array(19_490...19_498))
        #expect(plan.drop.filter { $0.table == .shares }.count == 10)
    }

    @Test func aClockThatRunsAheadDropsNothing() {
        let facts = RetentionFacts(
            now: Self.noon(90_000), settledUntil: Self.noon(Self.today),
            days: Set((19_970...20_003).map { TableDay(.shares, $0) }))
        #expect(RetentionPlan(RetentionPolicy(), facts).drop == [])
    }

    @Test func policiesHaveBounds() {
        var policy = RetentionPolicy()
        #expect(policy.flaw == nil)
        policy.slotDays = 29
        #expect(policy.flaw != nil)
        policy = RetentionPolicy()
        policy.shareDays = 0
        #expect(policy.flaw != nil)
    }

    // MARK: - Carried out

    /// A share each noon of these days, on a delivery and unsold, with its job.
    private func fill(_ database: Database, _ days: ClosedRange<Int64>, delivery: Int64) async throws {
        let meter = MeterStore(database)
        var records = Records()
        for (index, day) in days.enumerated() {
            let at = Self.noon(day)
            try await meter.apply(
                .make(Int64(index) + 1, until: at, [
                    Records.job(Int64(index) + 1, target: 1),
                    .share(records.share(delivery: delivery, job: Int64(index) + 1, at: at, difficulty: 7)),
                    .share(records.share(delivery: nil, at: at, difficulty: 100, isBillable: false)),
                ]), digest: [UInt8(truncatingIfNeeded: day)])
        }
    }

    private func insertDelivery(_ storage: Storage, _ id: Int64, openedOn day: Int64, live: Bool) throws {
        let opened = Self.noon(day).microseconds
        try storage.script(
            """
            INSERT INTO deliveries (id, bid, ask, rig, buyer, seller, lots, hashrate, price, price_unit, seller_fee_ppm,
                                    buyer_fee_ppm, tariff, opened_at, expires_at, is_shortened, max_difficulty, allowance,
                                    hold, held, settled_work, charged, ended_at, end_cause, live)
            VALUES (\(id), 1, 2, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1, \(opened), \(opened + 1), 0, 1, 1, 0, 0, 0, 0, \(opened + 1), 1,
                    \(live ? 1 : 0))
            """)
    }

    private func keptDays(_ storage: Storage, _ table: String, _ column: String, per day: Int64) throws -> [Int64] {
        try storage.query("SELECT DISTINCT \(column) / \(day) FROM \(table) ORDER BY 1").map { try $0.int64(0) }
    }

    private func checkDays(_ storage: Storage, shares: ClosedRange<Int64>, slots: ClosedRange<Int64>) throws {
        #expect(try keptDays(storage, "shares", "received_at", per: Self.day) == Array(shares))
        #expect(try keptDays(storage, "jobs", "sealed_at", per: Self.day) == Array(max(slots.lowerBound, shares.lowerBound - 2)...shares.upperBound))
        #expect(try keptDays(storage, "meter_slots", "minute", per: 1440) == Array(slots))
    }

    private func retention(_ database: Database, shareDays: Int64 = 3, slotDays: Int64 = 8) -> RetentionStore {
        var policy = RetentionPolicy()
        (policy.shareDays, policy.slotDays) = (shareDays, slotDays)
        return RetentionStore(database, policy: policy, clock: { Self.noon(Self.today) })
    }

    @Test(arguments: Engine.allCases)
    func oldRowsGoOnceTheyAreSettled(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                // On Postgres these days have partitions when their shares come, but for the first five.
                if engine == .postgres {
                    for day in 19_985...20_000 as ClosedRange<Int64> {
                        for table in MeteredTable.allCases {
                            _ = try storage.query("SELECT hashspot_make_day('\(table.rawValue)', \(day))")
                        }
                    }
                }
                try await fill(database, 19_980...20_000, delivery: 1)
                try insertDelivery(storage, 1, openedOn: 19_980, live: true)
                let audit = Audit(database)
                let store = retention(database)

                // Nothing is settled yet.
                var report = try await store.runOnce()
                #expect(report.dropped == [])
                #expect(report.deleted == 0)
                try checkDays(storage, shares: 19_980...20_000, slots: 19_980...20_000)

                // A run has seen all, but the delivery is open: its slots stay.
                _ = try await MeterStore(database).begin(
                    SettlementRun(kind: .initial, startedAt: Self.noon(20_000), watermark: Self.noon(19_999)))
                report = try await store.runOnce()
                try checkDays(storage, shares: 19_996...20_000, slots: 19_980...20_000)
                #expect(try await audit.run().first { $0.invariant == "every slot is the sum of its shares" }?.violations == 0)

                // It is settled to its end: days are counted back from what edges have reported.
                try storage.script("UPDATE deliveries SET live = 0, settled_work = 147")
                report = try await store.runOnce()
                try checkDays(storage, shares: 19_997...20_000, slots: 19_992...20_000)
                #expect(report.deleted > 0 || engine == .postgres)
                #expect(engine == .sqlite || report.dropped.contains(TableDay(.slots, 19_991)))
                for invariant in ["every slot is the sum of its shares", "billed work is not above verified work"] {
                    #expect(try await audit.run().first { $0.invariant == invariant }?.violations == 0)
                }
                #expect(try storage.query("SELECT kept_from FROM retention WHERE name = 'shares'")
                    == [SQLRow([.integer(19_997 * Self.day)])])

                // Again: nothing is left to do.
                report = try await store.runOnce()
                #expect(report.dropped == [])
                #expect(report.deleted == 0)
                #expect(report.made == [])
            }
        }
    }

    @Test func manyRowsGoInChunks() async throws {
        try await Engine.sqlite.withStorage { storage in
            try await storage.withTables { database in
                var records = Records()
                let at = Self.noon(19_900)
                for sequence: Int64 in 1...3 {
                    let shares = (0..<9000).map { _ in MeterRecord.share(records.share(delivery: nil, at: at)) }
                    try await MeterStore(database).apply(.make(sequence, until: at, shares), digest: [1])
                }
                let last = MeterRecord.share(records.share(delivery: nil, at: Self.noon(20_000)))
                try await MeterStore(database).apply(.make(4, until: Self.noon(20_000), [last]), digest: [1])
                #expect(try await retention(database).runOnce().deleted == 27_001)
                #expect(try storage.query("SELECT number FROM shares") == [SQLRow([27_001])])
            }
        }
    }

    @Test func strayRowsAreKeptReportedAndMovedIntoTheirDay() async throws {
        try await Engine.postgres.withStorage { storage in
            try await storage.withTables { database in
                var records = Records()
                let ahead = records.share(delivery: nil, at: Self.noon(20_002))
                let far = records.share(delivery: nil, at: Timestamp(microseconds: .max))
                try await MeterStore(database).apply(
                    .make(1, until: Self.noon(20_000), [.share(ahead), .share(far)]), digest: [1])
                #expect(try storage.query("SELECT count(*) FROM shares_default") == [SQLRow([2])])
                let report = try await retention(database).runOnce()
                #expect(report.strays == [.shares: 1, .slots: 1])
                #expect(report.made.contains(TableDay(.shares, 20_002)))
                #expect(try storage.query("SELECT number FROM shares_default") == [SQLRow([2])])
                #expect(try storage.query("SELECT number FROM shares_\(Self.name(20_002))") == [SQLRow([1])])
                #expect(try storage.query("SELECT count(*) FROM shares") == [SQLRow([2])])
            }
        }
    }

    /// As in the name of its partition.
    private static func name(_ day: Int64) -> String {
        String(noon(day).description.prefix(10).filter { $0 != "-" })
    }

    @Test func theDatabaseItselfRefusesToDropWhatIsNotSettled() async throws {
        try await Engine.postgres.withStorage { storage in
            for table in ["shares", "meter_slots"] { _ = try storage.query("SELECT hashspot_make_day('\(table)', 19990)") }
            try insertDelivery(storage, 1, openedOn: 19_990, live: true)
            for table in ["shares", "meter_slots"] {
                #expect(throws: DatabaseError.self) { try storage.query("SELECT hashspot_drop_day('\(table)', 19990)") }
            }
            try storage.script("INSERT INTO settlement_runs VALUES (1, 'initial', 0, \(19_991 * Self.day))")
            #expect(try storage.query("SELECT hashspot_drop_day('shares', 19990)") == [SQLRow([1])])
            #expect(throws: DatabaseError.self) { try storage.query("SELECT hashspot_drop_day('meter_slots', 19990)") }
            try storage.script("UPDATE deliveries SET live = 0")
            #expect(try storage.query("SELECT hashspot_drop_day('meter_slots', 19990)") == [SQLRow([1])])
        }
    }

    @Test func serversAtOnceDoItOnce() async throws {
        try await Engine.postgres.withStorage { storage in
            let reports = try await withThrowingTaskGroup(of: RetentionReport.self) { group in
                for _ in 1...4 {
                    group.addTask { try await storage.withTables { try await retention($0).runOnce() } }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            // Each made what the others were not just making; what all skipped comes at the next run.
            _ = try await storage.withTables { try await retention($0).runOnce() }
            let made = reports.flatMap(\.made)
            #expect(made.count == Set(made).count)
            for table in MeteredTable.allCases {
                let days = try storage.query("SELECT hashspot_days('\(table.rawValue)')").map { try $0.int64(0) }
                #expect(days.filter { $0 <= 20_003 } == Array(19_999...20_003))
            }
        }
    }

    @Test func aReplyIsLookedForInItsDayOnly() async throws {
        try await Engine.postgres.withStorage { storage in
            try await storage.withTables { database in
                for day in 19_985...20_000 as ClosedRange<Int64> { _ = try storage.query("SELECT hashspot_make_day('shares', \(day))") }
                try await fill(database, 19_990...20_000, delivery: 1)
                let plan = try storage.query(
                    """
                    EXPLAIN UPDATE shares SET pool_reply = 1
                    WHERE edge = 1 AND epoch = 1 AND number = 3 AND received_at = \(Self.noon(19_991).microseconds)
                    """).map { try $0.text(0) }
                #expect(plan.contains { $0.contains("shares_\(Self.name(19_991))") })
                #expect(!plan.contains { $0.contains("shares_\(Self.name(19_992))") })
            }
        }
    }
}
