import Database
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import Units

/// Work that comes long after its minute.
@Suite("Old work")
struct OldWorkTests {
    private func with(_ engine: Engine, _ body: (MeterStore, Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                try await body(MeterStore(database, clock: { History.start }), storage)
            }
        }
    }

    private func hours(_ hours: Int64) -> Timestamp { History.start - .seconds(hours * 3600) }

    @Test(arguments: Engine.allCases)
    func batchesSayWhatTheyHold(_ engine: Engine) async throws {
        try await with(engine) { meter, storage in
            var records = Records()
            let shares = [hours(1), hours(2), hours(0)].map { records.share(at: $0) }
            try await meter.apply(.make(1, [Records.job(1, target: 1)] + shares.map { .share($0) }), digest: [1])
            try await meter.apply(.make(2, [Records.reply(shares[1], .accepted)]), digest: [2])
            try await meter.apply(.make(3, []), digest: [3])
            let rows = try storage.query("SELECT first_share, last_share, first_minute FROM batches ORDER BY sequence")
            #expect(rows == [
                SQLRow([1, 3, .integer(hours(2).minute)]), SQLRow([.null, .null, .integer(hours(2).minute)]),
                SQLRow([.null, .null, .null]),
            ])
        }
    }

    @Test(arguments: Engine.allCases)
    func oldSlotsAreNotedUntilSomebodyHasLooked(_ engine: Engine) async throws {
        try await with(engine) { meter, storage in
            var records = Records()
            try await meter.apply(.make(1, [
                .share(records.share(delivery: 5, at: hours(22))), .share(records.share(delivery: nil, at: hours(30))),
            ]), digest: [1])
            #expect(try await meter.lateSlots(after: nil, limit: 10) == [])
            try await meter.apply(.make(2, [
                .share(records.share(delivery: 5, at: hours(24))), .share(records.share(rig: 2, delivery: 4, at: hours(400))),
            ]), digest: [2])
            let noted = try await meter.lateSlots(after: nil, limit: 10)
            #expect(noted.map(\.delivery) == [DeliveryID(4), DeliveryID(5)])
            #expect(noted.map(\.minute) == [hours(400).minute, hours(24).minute])
            #expect(try await meter.lateSlots(after: noted[0], limit: 10) == [noted[1]])
            // More came since it was read: the note stays.
            try await meter.apply(.make(3, [.share(records.share(delivery: 5, at: hours(24)))]), digest: [3])
            try await meter.forget(noted)
            #expect(try await meter.lateSlots(after: nil, limit: 10).map(\.delivery) == [DeliveryID(5)])
            try await meter.forget(try await meter.lateSlots(after: nil, limit: 10))
            #expect(try await meter.lateSlots(after: nil, limit: 10) == [])
            #expect(try storage.query("SELECT count(*) FROM meter_slots") == [SQLRow([4])])
        }
    }

    @Test(arguments: Engine.allCases)
    func workOfMinutesThatAreGoneIsKeptAside(_ engine: Engine) async throws {
        try await with(engine) { meter, storage in
            try storage.script("UPDATE retention SET kept_from = \(hours(48).microseconds) WHERE name = 'meter_slots'")
            var records = Records()
            let batch = SealedBatch.make(1, [
                .share(records.share(delivery: 5, at: hours(47), difficulty: 3)),
                .share(records.share(delivery: 5, at: hours(49), difficulty: 7)),
                .share(records.share(delivery: 5, at: hours(49), difficulty: 9, isBillable: false)),
                .share(records.share(delivery: nil, at: hours(50), difficulty: 2, isBillable: false)),
            ])
            for _ in 1...2 { try await meter.apply(batch, digest: [1]) }
            #expect(try storage.query("SELECT delivery, valid_work FROM meter_slots") == [SQLRow([5, 3])])
            let expired = try await meter.expiredWork(after: 0, limit: 10)
            #expect(expired.map(\.delivery) == [nil, DeliveryID(5)])
            #expect(expired.map(\.validWork) == [Work(units: 2), Work(units: 16)])
            #expect(expired.map(\.billableWork) == [.zero, Work(units: 7)])
            #expect(expired.allSatisfy { $0.appliedAt == History.start && $0.acknowledgedBy == nil })
            // Nobody is told to look at what is not there.
            #expect(try await meter.lateSlots(after: nil, limit: 10).map(\.minute) == [hours(47).minute])
            #expect(try await meter.acknowledgeExpired(appliedThrough: hours(1), by: AccountID(9), at: History.start) == 0)
            #expect(try await meter.acknowledgeExpired(appliedThrough: History.start, by: AccountID(9), at: History.start) == 2)
            #expect(try await meter.acknowledgeExpired(appliedThrough: History.start, by: AccountID(8), at: History.start) == 0)
            #expect(try await meter.expiredWork(after: 1, limit: 10).map(\.acknowledgedBy) == [AccountID(9)])
        }
    }
}
