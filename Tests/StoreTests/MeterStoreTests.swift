import Database
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import TestSupport
import Units

@Suite("Meter store")
struct MeterStoreTests {
    private func withMeter(_ engine: Engine, _ body: (MeterStore, Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { try await body(MeterStore($0), storage) }
        }
    }

    @Test(arguments: Engine.allCases)
    func aBatchCountsOnce(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var records = Records()
            let batch = SealedBatch.make(1, [
                Records.job(1, target: 1), .share(records.share(difficulty: 7)), .share(records.share(difficulty: 5)),
                .share(records.share(delivery: nil, difficulty: 100, isBillable: false)),
            ])
            for _ in 1...3 { try await meter.apply(batch, digest: [1, 2]) }
            #expect(try storage.query("SELECT delivery, valid_shares, valid_work, billable_work FROM meter_slots ORDER BY 1")
                == [SQLRow([0, 1, 100, 0]), SQLRow([1, 2, 12, 12])])
            #expect(try storage.query("SELECT count(*) FROM shares") == [SQLRow([3])])
            #expect(try storage.query("SELECT count(*) FROM batches") == [SQLRow([1])])

            await #expect(throws: BatchConflict.self) { try await meter.apply(batch, digest: [1, 3]) }
            #expect(try storage.query("SELECT count(*) FROM shares") == [SQLRow([3])])
            #expect(try storage.query("SELECT digest FROM batches") == [SQLRow([.blob([1, 2])])])
        }
    }

    @Test(arguments: Engine.allCases)
    func concurrentCopiesOfABatchCountOnce(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var records = Records()
            let batch = SealedBatch.make(1, [.share(records.share(difficulty: 7))])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 1...8 { group.addTask { try await meter.apply(batch, digest: [1]) } }
                try await group.waitForAll()
            }
            #expect(try storage.query("SELECT valid_work FROM meter_slots") == [SQLRow([7])])
        }
    }

    @Test(arguments: Engine.allCases)
    func slotsAreTheSumOfTheirBatches(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var random = SeededRandom(seed: 3)
            var records = Records()
            var expected = Meter()
            for sequence: Int64 in 1...15 {
                let batch = (0..<random.int(0...40)).map { _ in
                    MeterRecord.share(records.share(
                        rig: random.int64(1...3), delivery: random.pick([nil, 1, 2, .max]),
                        at: History.start + .seconds(random.int64(0...200)), verdict: random.pick(Verdict.allCases),
                        difficulty: random.int64(1...1 << 40), isBillable: random.chance(70), isForwarded: random.chance(50)))
                }
                for record in batch { expected.add(record) }
                try await meter.apply(.make(sequence, batch), digest: [UInt8(sequence)])
            }
            let rows = try storage.query(
                """
                SELECT delivery, rig, minute, valid_shares, valid_work, billable_work, stale_shares, stale_work,
                       duplicate_shares, low_difficulty_shares, invalid_shares, forwarded_shares FROM meter_slots
                ORDER BY delivery, rig, minute
                """)
            let wanted = expected.slots.sorted { $0.key < $1.key }.map { key, slot in
                SQLRow([
                    key.delivery?.rawValue ?? 0, key.rig.rawValue, key.minute, slot.validShares, slot.validWork.units,
                    slot.billableWork.units, slot.staleShares, slot.staleWork.units, slot.duplicateShares,
                    slot.lowDifficultyShares, slot.invalidShares, slot.forwardedShares,
                ].map { SQLValue.integer($0) })
            }
            #expect(rows == wanted)
            let work = try await meter.billableWork(from: DeliveryID(1), through: DeliveryID(2))
            for id in [DeliveryID(1), DeliveryID(2)] {
                let sum = expected.slots.filter { $0.key.delivery == id }.reduce(0) { $0 + $1.value.billableWork.units }
                #expect(work[id] == Work(units: sum))
            }
            #expect(work.count == 2)
            #expect(try await meter.credits(of: [DeliveryID(2)]).keys.sorted() == [DeliveryID(2)])
            #expect(try await meter.credits(of: []).isEmpty)
        }
    }

    @Test(arguments: Engine.allCases)
    func repliesFindTheirShares(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var records = Records()
            let shares = (0..<3).map { _ in records.share(isForwarded: true) }
            try await meter.apply(.make(1, shares.map { .share($0) } + [Records.reply(shares[0], .accepted)]), digest: [1])
            try await meter.apply(
                .make(2, [Records.reply(shares[1], .rejected, code: -23), Records.reply(shares[2], .unanswered)]),
                digest: [2])
            #expect(try storage.query("SELECT pool_reply, pool_error FROM shares ORDER BY number")
                == [SQLRow([1, 0]), SQLRow([2, -23]), SQLRow([3, 0])])
            #expect(try storage.query(
                "SELECT forwarded_shares, pool_accepted, pool_rejected, pool_unanswered FROM meter_slots")
                == [SQLRow([3, 1, 1, 1])])
        }
    }

    @Test(arguments: Engine.allCases)
    func theSlowestEdgeSetsTheWatermark(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, _ in
            func at(_ seconds: Int64) -> Timestamp { History.start + .seconds(seconds) }
            #expect(try await meter.watermark() == Timestamp(microseconds: 0))
            try await meter.apply(.make(edge: 1, 1, until: at(100), []), digest: [1])
            #expect(try await meter.watermark() == at(100))
            try await meter.apply(.make(edge: 2, 1, until: at(40), []), digest: [1])
            #expect(try await meter.watermark() == at(40))
            try await meter.apply(.make(edge: 2, 2, until: at(90), []), digest: [1])
            #expect(try await meter.watermark() == at(90))
            // A third edge has begun and shipped nothing: its shares since then are still to come.
            #expect(try await meter.allotEpoch(edge: EdgeID(3), at: at(60)) == 1)
            #expect(try await meter.watermark() == at(60))
            try await meter.apply(.make(edge: 3, 1, until: at(200), []), digest: [1])
            #expect(try await meter.watermark() == at(90))
            // A new spool of a known edge changes nothing until it ships.
            #expect(try await meter.allotEpoch(edge: EdgeID(2), at: at(300)) == 1)
            #expect(try await meter.watermark() == at(90))
        }
    }

    @Test(arguments: Engine.allCases)
    func epochsAndRunsAreNumbered(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var epochs: [Int64] = []
            for edge: Int64 in [7, 7, 7, 8] { epochs.append(try await meter.allotEpoch(edge: EdgeID(edge), at: History.start)) }
            #expect(epochs == [1, 2, 3, 1])
            var runs: [Int64] = []
            let run = SettlementRun(kind: .initial, startedAt: History.start, watermark: History.start)
            for _ in 1...3 { runs.append(try await meter.begin(run)) }
            #expect(runs == [1, 2, 3])
            #expect(try storage.query("SELECT count(*) FROM settlement_runs WHERE kind = 'initial'") == [SQLRow([3])])
        }
    }

    @Test(arguments: Engine.allCases)
    func aBatchThatCannotBeKeptLeavesNothing(_ engine: Engine) async throws {
        try await withMeter(engine) { meter, storage in
            var records = Records()
            let share = records.share()
            try await meter.apply(.make(1, [.share(share)]), digest: [1])
            // The same share number again in another batch.
            await #expect(throws: DatabaseError.self) {
                try await meter.apply(.make(2, [.share(records.share()), .share(share)]), digest: [2])
            }
            #expect(try storage.query("SELECT valid_shares FROM meter_slots") == [SQLRow([1])])
            #expect(try storage.query("SELECT count(*) FROM batches") == [SQLRow([1])])
        }
    }
}
