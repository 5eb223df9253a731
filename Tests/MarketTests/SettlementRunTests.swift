import Database
import Exchange
import Logging
import Market
import MarketTestSupport
import Metering
import Settlement
import Store
import Testing
import Units

/// Runs of intervals, corrections and periods, one thing at a time.
@Suite("Settlement runs")
struct SettlementRunTests {
    /// One delivery of a real market, and an edge that reports what the test says.
    final class Bench {
        let market: TestMarket
        let storage: Storage
        let schedule: SettlementSchedule
        private var sequence: Int64 = 0
        private var number: Int64 = 0

        init(_ market: TestMarket, _ storage: Storage, _ schedule: SettlementSchedule) {
            self.market = market
            self.storage = storage
            self.schedule = schedule
        }

        var meter: MeterStore {
            let clock = market.clock
            return MeterStore(market.database, clock: { clock.now })
        }

        var worker: SettlementWorker {
            let clock = market.clock
            return SettlementWorker(
                gateway: market.writer, meter: meter, schedule: schedule,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: { clock.now })
        }

        /// A batch with a valid share of some work at each of these times.
        func meter(_ delivery: DeliveryID, _ work: [(at: Timestamp, units: Int64)], until: Timestamp? = nil) async throws {
            sequence += 1
            let shares = work.map { work -> MeterRecord in
                number += 1
                let number = number
                return .share(ShareRecord(
                    number: number, receivedAt: work.at, rig: RigID(1), delivery: delivery, job: 1, verdict: .valid,
                    difficulty: Work(units: work.units), isBillable: true, isForwarded: false, extranonce2: [], ntime: 0, nonce: 0,
                    version: 0, hash: (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }))
            }
            try await meter.apply(
                SealedBatch(
                    edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: until ?? market.clock.now, records: shares),
                digest: [UInt8(truncatingIfNeeded: sequence)])
        }

        /// Code, from, to, work of all lines.
        func lines() async throws -> [SQLRow] {
            await market.service.projected()
            return try storage.query("SELECT code, from_minute, to_minute, work FROM settlement_lines ORDER BY number")
        }

        func runs() throws -> [SQLRow] {
            try storage.query(
                "SELECT kind, from_minute, to_minute, CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END FROM settlement_runs ORDER BY run")
        }
    }

    private func with(
        _ engine: Engine, start: Timestamp = SettlementScene.start, _ body: (Bench, DeliveryID) async throws -> Void
    ) async throws {
        try await engine.withStorage { storage in
            let clock = ManualClock()
            clock.now = start
            var rules = SettlementScene.rules
            rules.term = .seconds(3600)
            try await TestMarket.with(storage, clock: clock, rules: rules) { market in
                let delivery = try await market.openDelivery()
                try await body(Bench(market, storage, SettlementSchedule()), delivery)
            }
        }
    }

    private static let first = SettlementScene.start.minute

    private func at(_ minute: Int64, _ second: Int64 = 30) -> Timestamp {
        Timestamp(microseconds: (Self.first + minute) * 60_000_000 + second * 1_000_000)
    }

    private func row(_ code: Int64, _ from: Int64, _ to: Int64, _ work: Int64) -> SQLRow {
        SQLRow([.integer(code), .integer(Self.first + from), .integer(Self.first + to), .integer(work)])
    }

    @Test(arguments: Engine.allCases)
    func anIntervalIsCutAndWhatComesLaterIsLate(_ engine: Engine) async throws {
        try await with(engine) { bench, delivery in
            bench.market.clock.now = at(5, 5)
            try await bench.meter(delivery, [(at(1), 10), (at(4), 20), (at(5, 2), 3)])
            // The edges still have their time.
            #expect(try await bench.worker.runOnce() == nil)
            bench.market.clock.now = at(5, 20)
            #expect(try await bench.worker.runOnce() != nil)
            #expect(try await bench.lines() == [row(1, 0, 5, 30)])
            #expect(try await bench.worker.runOnce() == nil)

            // A batch of the first interval, and one of the next.
            try await bench.meter(delivery, [(at(2), 7), (at(6), 40)])
            bench.market.clock.now = at(10, 20)
            try await bench.worker.runOnce()
            #expect(try await bench.lines() == [row(1, 0, 5, 30), row(2, 0, 5, 7), row(1, 5, 10, 43)])

            // The server was away for three intervals: one run makes up for them.
            try await bench.meter(delivery, [(at(12), 1), (at(18), 2)])
            bench.market.clock.now = at(25, 20)
            try await bench.worker.runOnce()
            #expect(try await bench.lines().last == row(1, 10, 25, 3))
            let intervals = try bench.runs().map { [try $0.int64(1) - Self.first, try $0.int64(2) - Self.first] }
            #expect(intervals == [[0, 5], [5, 10], [10, 25]])
        }
    }

    @Test(arguments: Engine.allCases)
    func aRunThatBrokeOffIsMadeUpForOnce(_ engine: Engine) async throws {
        try await with(engine) { bench, delivery in
            bench.market.clock.now = at(5, 20)
            try await bench.meter(delivery, [(at(1), 10)])
            bench.market.faults.set { $0.before = 1 }
            await #expect(throws: GatewayError.unavailable) { try await bench.worker.runOnce() }
            #expect(try bench.runs().map { try $0.int64(3) } == [0])
            try await bench.meter(delivery, [(at(7), 5)])
            bench.market.clock.now = at(10, 20)
            try await bench.worker.runOnce()
            #expect(try await bench.lines() == [row(1, 0, 5, 10), row(1, 5, 10, 5)])
            #expect(try bench.runs().map { try $0.int64(3) } == [1, 1])
            // Committed, but nobody heard of it.
            try await bench.meter(delivery, [(at(11), 9)])
            bench.market.faults.set { $0.after = 1 }
            bench.market.clock.now = at(15, 20)
            _ = await gatewayError { try await bench.worker.runOnce() }
            bench.market.faults.set { $0 = JournalFaults.State() }
            bench.market.clock.now = at(20, 20)
            try await bench.worker.runOnce()
            #expect(try await bench.lines().last == row(1, 10, 15, 9))
            #expect(try await bench.lines().count == 3)
        }
    }

    @Test(arguments: Engine.allCases)
    func aDayIsClosedWhenItIsFinal(_ engine: Engine) async throws {
        try await with(engine) { bench, delivery in
            let worker = bench.worker
            let day = try #require(AccountingPeriod.day(of: SettlementScene.start))
            let finance = AccountID(9)
            #expect(try await worker.close(day, by: finance) == .notEnded)
            bench.market.clock.now = at(5, 20)
            try await bench.meter(delivery, [(at(1), 10)])
            try await worker.runOnce()
            try await bench.market.submit(.cancelOrder(OrderID(2), by: AccountID(1)))
            bench.market.clock.now = day.end + .seconds(60)
            #expect(try await worker.close(day, by: finance) == .notFinal(through: nil))
            // The edge is silent, and is waited for as long as there may be disputes.
            bench.market.clock.now = at(5, 20) + .seconds(86_000)
            try await worker.runOnce()
            #expect(bench.market.writer.read { $0.deliveries.count } == 1)
            if case .notFinal = try await worker.close(day, by: finance) {} else { Issue.record("closed with an open delivery") }
            bench.market.clock.now = day.end + .seconds(90_000)
            try await bench.market.submit(.advance)
            try await worker.runOnce()
            #expect(bench.market.writer.read { $0.deliveries.count } == 0)
            while try await worker.runFinal() != nil {}
            await bench.market.service.projected()
            #expect(try await worker.periods(byDay: true).first { $0.period == day }?.state == .closable)
            #expect(try await worker.close(try #require(day.next), by: finance) == .earlierOpen)
            #expect(try await worker.close(day, by: finance) == nil)
            #expect(try await worker.close(day, by: finance) == .alreadyClosed)
            #expect(bench.market.writer.read { $0.books.closedThrough } == day.end)

            // Late work of the closed day is booked in the open one, and names its interval.
            try await bench.meter(delivery, [(at(2), 4)])
            #expect(try await worker.run(.trueUp, by: finance, note: "late batch")?.totals == 1)
            #expect(try await bench.lines().last == row(2, 0, 5, 4))
            let dates = try bench.storage.query("SELECT value_at FROM settlement_lines ORDER BY number")
            #expect(try dates.map { day.contains(Timestamp(microseconds: try $0.int64(0))) } == [true, false])
            #expect(try bench.storage.query("SELECT count(*) FROM late_slots") == [SQLRow([0])])
        }
    }

    /// Daylight saving in Europe and America, the ends of a year, a month and a leap February: all are only minutes.
    @Test(arguments: [
        "2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2027-01-01T00:00", "2026-12-01T00:00",
        "2028-03-01T00:00", "2028-02-29T00:00",
    ]) func everySlotIsBilledOnceInOnePeriod(_ text: String) async throws {
        let day = try #require(AccountingPeriod(String(text.prefix(10))))
        let hour = try #require(Int64(text.dropFirst(11).prefix(2)))
        let border = day.start + .seconds(hour * 3600)
        let start = border - .seconds(600)
        try await with(.sqlite, start: start) { bench, delivery in
            var units: [Int64: Int64] = [:]
            for minute in 0..<20 as Range<Int64> {
                let time = start + .seconds(minute * 60 + 7)
                bench.market.clock.now = time
                units[time.minute] = minute + 1
                try await bench.meter(delivery, [(time, minute + 1)])
                try await bench.worker.runOnce()
            }
            bench.market.clock.now = start + .seconds(1220)
            try await bench.worker.runOnce()
            await bench.market.service.projected()
            let rows = try bench.storage.query(
                "SELECT from_minute, to_minute, work, value_at FROM settlement_lines ORDER BY number")
            var covered: Set<Int64> = []
            for row in rows {
                let minutes = try row.int64(0)..<row.int64(1)
                #expect(covered.isDisjoint(with: minutes))
                covered.formUnion(minutes)
                #expect(try row.int64(2) == minutes.reduce(0) { $0 + (units[$1] ?? 0) })
                // The interval lies in one day, and counts for that day.
                let value = Timestamp(microseconds: try row.int64(3))
                let first = try #require(AccountingPeriod.day(of: Timestamp(microseconds: minutes.lowerBound * 60_000_000)))
                #expect(first.contains(value))
                #expect(first.contains(Timestamp(microseconds: minutes.upperBound * 60_000_000 - 1)))
            }
            #expect(Set(units.keys).isSubset(of: covered))
        }
    }

    @Test(arguments: Engine.allCases)
    func aClockThatJumpsBillsNothingTwice(_ engine: Engine) async throws {
        try await with(engine) { bench, delivery in
            bench.market.clock.now = at(5, 20)
            // The edge's clock is ahead by a quarter of an hour, then behind.
            try await bench.meter(delivery, [(at(1), 10), (at(20), 3)])
            try await bench.worker.runOnce()
            try await bench.meter(delivery, [(at(-3), 2)])
            bench.market.clock.now = at(40, 20)
            try await bench.worker.runOnce()
            try await bench.market.submit(.cancelOrder(OrderID(2), by: AccountID(1)))
            bench.market.clock.now = at(50, 20)
            try await bench.meter(delivery, [(at(90), 1)])
            try await bench.worker.runOnce()
            #expect(bench.market.writer.read { $0.deliveries.count } == 0)
            let work = try await bench.lines().map { try $0.int64(3) }
            #expect(work.reduce(0, +) == 16)
        }
    }
}
