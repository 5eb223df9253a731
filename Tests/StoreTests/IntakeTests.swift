import Database
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

/// Batches count exactly once, in whatever order and company they come.
@Suite("Intake")
struct IntakeTests {
    private func withMeter(
        _ engine: Engine, rawShares: Bool = true, _ body: (MeterStore, Storage) async throws -> Void
    ) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { try await body(MeterStore($0, rawShares: rawShares), storage) }
        }
    }

    /// Some batches of two edges, with replies in the same batch, in the next one, and two later.
    private func batches(seed: UInt64, perEdge: Int64 = 6) -> [DigestedBatch] {
        var random = SeededRandom(seed: seed)
        return (1...2 as ClosedRange<Int64>).flatMap { edge in
            var records = Records()
            var open: [ShareRecord] = []
            return (1...perEdge).map { sequence in
                var content: [MeterRecord] = [Records.job(sequence, target: 1)]
                for _ in 0..<random.int(0...30) {
                    let share = records.share(
                        rig: 10 * edge + random.int64(1...3), delivery: random.pick([nil, 1, 2]), job: sequence,
                        at: History.start + .seconds(random.int64(0...300)), verdict: random.pick(Verdict.allCases),
                        difficulty: random.int64(1...1 << 30), isForwarded: random.chance(60))
                    content.append(.share(share))
                    if share.isForwarded { open.append(share) }
                }
                open.shuffle(using: &random)
                let answered = sequence == perEdge ? open.count : random.int(0...open.count)
                for share in open.prefix(answered) {
                    content.append(Records.reply(share, random.pick([.accepted, .rejected, .unanswered]), code: random.int64(-3...3)))
                }
                open.removeFirst(answered)
                return DigestedBatch(.make(edge: edge, sequence, content), digest: [UInt8(edge), UInt8(sequence)])
            }
        }
    }

    private static let tables = ["meter_slots", "jobs", "shares", "waiting_replies"]

    private func dump(_ storage: Storage, _ tables: [String] = Self.tables) throws -> [String] {
        let batches = try storage.query("SELECT edge, epoch, sequence, digest, complete_until, records FROM batches")
        return try batches.map { "batches \($0)" }.sorted() + tables.flatMap { table in
            try storage.query("SELECT * FROM \(table)").map { "\(table) \($0)" }.sorted()
        }
    }

    /// What one transaction a batch, in order, leaves.
    private func expected(_ engine: Engine, _ batches: [DigestedBatch], rawShares: Bool = true) async throws -> [String] {
        var result: [String] = []
        try await withMeter(engine, rawShares: rawShares) { meter, storage in
            for item in batches { try await meter.apply(item.batch, digest: item.digest) }
            result = try dump(storage)
        }
        return result
    }

    /// In groups of any size.
    private func applyShuffled(_ batches: [DigestedBatch], _ meter: MeterStore, seed: UInt64) async throws -> [BatchOutcome] {
        var random = SeededRandom(seed: seed)
        var rest = batches.shuffled(using: &random)
        var outcomes: [BatchOutcome] = []
        while !rest.isEmpty {
            let group = Array(rest.prefix(random.int(1...5)))
            rest.removeFirst(group.count)
            outcomes += try await meter.apply(group)
        }
        return outcomes
    }

    @Test(arguments: Engine.allCases, Seeds.list(2))
    func anyOrderAndGroupingLeavesTheSame(_ engine: Engine, _ seed: UInt64) async throws {
        let batches = batches(seed: seed)
        let expected = try await expected(engine, batches)
        #expect(!expected.contains { $0.hasPrefix("waiting_replies") })
        try await withMeter(engine) { meter, storage in
            let outcomes = try await applyShuffled(batches + batches + batches, meter, seed: seed &+ 1)
            let applied = outcomes.count { $0 == .applied }
            #expect(applied + outcomes.count { $0 == .repeated } == 3 * batches.count)
            #expect(applied == batches.count)
            #expect(try dump(storage) == expected)
        }
    }

    @Test(arguments: Engine.allCases)
    func aRepliesShareMayComeLater(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var records = Records()
            let (first, second) = (records.share(isForwarded: true), records.share(isForwarded: true))
            let replies = DigestedBatch(
                .make(2, [Records.reply(first, .rejected, code: 21), Records.reply(second, .accepted)]), digest: [2])
            #expect(try await meter.apply([replies]) == [.applied])
            #expect(try storage.query("SELECT number FROM waiting_replies ORDER BY number") == [SQLRow([1]), SQLRow([2])])
            try await meter.apply(.make(1, [.share(first), .share(second)]), digest: [1])
            #expect(try storage.query("SELECT number, pool_reply, pool_error FROM shares ORDER BY number")
                == [SQLRow([1, 2, 21]), SQLRow([2, 1, 0])])
            #expect(try storage.query("SELECT count(*) FROM waiting_replies") == [SQLRow([0])])
        }
    }

    @Test(arguments: Engine.allCases)
    func aBadBatchDoesNotHoldUpTheOthers(_ engine: Engine) async throws {
        let batches = batches(seed: 5)
        let expected = try await expected(engine, batches)
        try await withMeter(engine) { meter, storage in
            try await meter.apply(batches[1].batch, digest: batches[1].digest)
            // Another content under a number that is taken, and shares that are there already under a number that is not.
            let conflicting = DigestedBatch(batches[1].batch, digest: [99])
            let share = batches[1].batch.records.compactMap { record -> ShareRecord? in
                guard case .share(let share) = record else { return nil }
                return share
            }.first
            var records = Records()
            let failing = DigestedBatch(
                .make(edge: 1, 50, [.share(records.share(rig: 77)), .share(try #require(share))]), digest: [50])
            let middle = batches.count / 2
            let sent = Array(batches[..<middle]) + [conflicting, failing] + Array(batches[middle...])
            let outcomes = try await meter.apply(sent)
            for (item, outcome) in zip(sent, outcomes) {
                switch outcome {
                case .applied: #expect(item.digest != batches[1].digest)
                case .repeated: #expect(item.digest == batches[1].digest)
                case .conflicting: #expect(item.digest == [99])
                case .failed(let error):
                    #expect(item.digest == [50])
                    guard case .constraintViolation(.unique, _) = error else {
                        Issue.record("refused for another reason: \(error)")
                        continue
                    }
                }
            }
            #expect(outcomes.count { $0 == .applied } == batches.count - 1)
            #expect(try dump(storage) == expected)
        }
    }

    @Test(arguments: Engine.allCases)
    func serversThatApplyTheSameCountOnce(_ engine: Engine) async throws {
        let batches = batches(seed: 6)
        let expected = try await expected(engine, batches)
        try await engine.withStorage { storage in
            let applied = try await withThrowingTaskGroup(of: Int.self) { group in
                for server in 1...4 as ClosedRange<UInt64> {
                    group.addTask {
                        try await storage.withTables { database in
                            var random = SeededRandom(seed: server)
                            return try await MeterStore(database).apply(batches.shuffled(using: &random)).count { $0 == .applied }
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(applied == batches.count)
            #expect(try dump(storage) == expected)
        }
    }

    /// The commit went through, but nobody heard of it: the connection was cut between the two.
    @Test func aLostCommitReplyIsMadeUpForByRepeating() async throws {
        let batches = batches(seed: 7)
        let expected = try await expected(.postgres, batches)
        try await Engine.postgres.withStorage { storage in
            // The commit ends the server's own session, once, when everything else is done.
            try storage.script(
                """
                CREATE TABLE cut (done INTEGER);
                CREATE FUNCTION cut() RETURNS TRIGGER LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    RETURN NULL;
                END $$;
                CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON batches DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION cut();
                """)
            try await storage.withTables { database in
                let meter = MeterStore(database)
                await #expect(throws: DatabaseError.self) { try await meter.apply(batches) }
                try storage.script("DROP TRIGGER cut ON batches")
                // Whether it had committed or not.
                let outcomes = try await meter.apply(batches)
                #expect(outcomes.allSatisfy { $0 == .applied || $0 == .repeated })
                #expect(try await meter.apply(batches).allSatisfy { $0 == .repeated })
                #expect(try dump(storage) == expected)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func withoutRawSharesThereAreSlotsOnly(_ engine: Engine) async throws {
        let batches = batches(seed: 8)
        var slots: [SQLRow] = []
        let columns = "delivery, rig, minute, valid_shares, valid_work, billable_work, stale_work, forwarded_shares, pool_accepted"
        try await withMeter(engine) { meter, storage in
            _ = try await meter.apply(batches)
            slots = try storage.query("SELECT \(columns) FROM meter_slots ORDER BY delivery, rig, minute")
            #expect(try storage.query("SELECT coalesce(sum(unlogged_shares), 0) = 0 FROM meter_slots").first?.bool(0) == true)
        }
        try await withMeter(engine, rawShares: false) { meter, storage in
            for _ in 1...2 { _ = try await meter.apply(batches) }
            #expect(try storage.query("SELECT \(columns) FROM meter_slots ORDER BY delivery, rig, minute") == slots)
            for table in ["shares", "jobs", "waiting_replies"] {
                #expect(try storage.query("SELECT count(*) FROM \(table)") == [SQLRow([0])])
            }
            let shares = batches.flatMap(\.batch.records).count { if case .share = $0 { true } else { false } }
            #expect(try storage.query("SELECT CAST(sum(unlogged_shares) AS BIGINT) FROM meter_slots") == [SQLRow([.init(shares)])])
        }
        // Slots of both kinds: the audit looks at those whose shares are all there.
        try await withMeter(engine) { meter, storage in
            try await storage.withTables { database in
                _ = try await meter.apply(Array(batches[..<4]))
                _ = try await MeterStore(database, rawShares: false).apply(Array(batches[4...]))
                let invariant = "every slot is the sum of its shares"
                #expect(try await Audit(database).run().first { $0.invariant == invariant }?.violations == 0)
                try storage.script("UPDATE meter_slots SET valid_work = valid_work + 1")
                let broken = try await Audit(database).run().first { $0.invariant == invariant }?.violations
                #expect(try storage.query("SELECT count(*) FROM meter_slots WHERE unlogged_shares = 0").first?.int64(0) == broken)
                #expect((broken ?? 0) > 0)
            }
        }
    }
}
