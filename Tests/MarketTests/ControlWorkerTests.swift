import Database
import Exchange
import Ledger
import Logging
import Market
import MarketTestSupport
import Metering
import Settlement
import Store
import Testing
import Units

/// Credits of disputes are booked, and the index is published.
@Suite("Control workers")
struct ControlWorkerTests {
    private func meter(
        _ market: TestMarket, _ sequence: Int64, _ delivery: DeliveryID?, work: Int64, at time: Timestamp, until: Timestamp
    ) async throws {
        var records: [MeterRecord] = []
        if let delivery {
            records.append(.share(ShareRecord(
                number: sequence, receivedAt: time, rig: RigID(1), delivery: delivery, job: 1, verdict: .valid,
                difficulty: Work(units: work), isBillable: true, isForwarded: false, extranonce2: [], ntime: 0, nonce: 0, version: 0,
                hash: (0..<32).map { UInt8(truncatingIfNeeded: sequence >> (8 * min($0, 7))) })))
        }
        try await MeterStore(market.database).apply(
            SealedBatch(edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: until, records: records), digest: [UInt8(sequence)])
    }

    // MARK: - Credits

    @Test(arguments: Engine.allCases) func creditsAreBookedOnceAndInOrder(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let delivery = try await market.openDelivery()
                await market.service.projected()
                let store = ControlStore(market.database)
                let queue = CreditQueue(gateway: market.writer, records: store, logger: Logger(label: "test"))
                #expect(try await queue.runOnce() == 0)
                // The clock stands: nothing else happens on the accounts.
                let now = market.clock.now
                let minute = now.minute
                // Something was billed that can be credited.
                _ = try await market.database.write { connection in
                    try connection.execute(
                        """
                        INSERT INTO settlement_lines (number, delivery, run, chunk, at, value_at, code, from_minute, to_minute,
                            work, charge, seller_fee, buyer_fee, from_hold, from_available, from_loss, seller_short)
                        VALUES (1, $1, 1, 0, $2, $2, 1, $3, $4, 1, 170, 0, 0, 170, 0, 0, 0)
                        """, [.integer(delivery.rawValue), .integer(now.microseconds), .integer(minute), .integer(minute + 1)])
                }
                for (claimant, bearer, amount): (Int64, CreditBearer, Int64) in [(1, .market, 70), (2, .buyer, 30), (1, .seller, 100)] {
                    let dispute = try await store.open(
                        NewDispute(
                            subject: .interval(delivery, minutes: minute..<minute + 1), by: AccountID(claimant), isFinance: false,
                            claimant: nil, claimed: Satoshis(100), reason: "x"), once: nil, at: now)
                    try await store.step(
                        .credit(amount: Satoshis(amount), bearer: bearer, note: "n"), in: dispute, by: AccountID(9), isFinance: true,
                        once: nil, at: now)
                }
                let (buyer, seller) = (market.available(1), market.available(2))
                #expect(seller == .zero)
                // The answer to the first one is lost.
                market.faults.set { $0.after = 1 }
                let lost = await gatewayError { _ = try await queue.runOnce() }
                #expect(lost == .unavailable || lost == nil)
                var rounds = 0
                while market.writer.read({ $0.books.credits }) < 3, rounds < 20 {
                    _ = await gatewayError { _ = try await queue.runOnce() }
                    rounds += 1
                }
                #expect(market.writer.read { $0.books.credits } == 3)
                // 70 from the market, 30 to the seller, who can give back only that of 100: the market bears the rest.
                #expect(market.available(1) == buyer + Satoshis(70 - 30 + 100))
                #expect(market.available(2) == .zero)
                #expect(market.writer.read { $0.balance(.loss) } == Satoshis(-70 - 70))
                #expect(try await queue.runOnce() == 0)
                await market.service.projected()
                let booked = try storage.query(
                    "SELECT credit, charge, from_loss + seller_short FROM settlement_lines WHERE code = 6 ORDER BY number")
                #expect(booked == [SQLRow([1, -70, 70]), SQLRow([2, 30, 0]), SQLRow([3, -100, 70])])
                #expect(try await store.disputes(of: nil, after: 0, limit: 10).allSatisfy { $0.credit?.isBooked == true })
            }
        }
    }

    // MARK: - Index

    /// One run, with everything in the tables.
    private func publish(_ market: TestMarket) async throws -> Int64? {
        await market.service.projected()
        return try await IndexWorker(
            gateway: market.writer, meter: MeterStore(market.database), index: ControlStore(market.database),
            timing: IndexWorker.Timing(lag: .seconds(60)), logger: Logger(label: "test"), clock: { market.clock.now }
        ).runOnce()
    }

    @Test(arguments: Engine.allCases) func minutesAreOutOnceTheirReportsAreIn(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let store = ControlStore(market.database)
                #expect(try await publish(market) == nil)
                let delivery = try await market.openDelivery()
                let start = market.clock.now
                try await meter(market, 1, delivery, work: 1000, at: start, until: start + .seconds(1))
                let first = start.minute
                func end(_ minutes: Int64) -> Timestamp { Timestamp(microseconds: (first + minutes) * 60_000_000) }
                // Its reports are not complete, and then not for long enough.
                market.clock.now = end(3)
                #expect(try await publish(market) == first - 1)
                try await meter(market, 2, nil, work: 0, at: start, until: end(2) - .seconds(1))
                #expect(try await publish(market) == first)
                try await meter(market, 3, nil, work: 0, at: start, until: end(2))
                #expect(try await publish(market) == first + 1)
                let minute = try #require(try await store.newestIndex(.minute))
                #expect(minute.place == first)
                #expect(minute.value == Price(1_000_000))
                #expect(minute.price.work == 1000)
                #expect(market.writer.read { $0.status.index } == IndexPrice(price: Price(1_000_000), at: end(1)))
                // The same price is not told twice.
                #expect(try await publish(market) == first + 1)
                let told = try market.journalled().count { command in
                    if case .publishIndex = command.envelope.command { true } else { false }
                }
                #expect(told == 1)
                // An edge that is gone holds nothing up for ever.
                market.clock.now = end(200)
                #expect(try await publish(market) == first + 200 - 61)
                #expect(try await store.index(.minute, after: 0, limit: 100) == [minute])
            }
        }
    }

    @Test func timing() {
        let timing = IndexWorker.Timing(lag: .seconds(90), longestWait: .seconds(600))
        func end(_ complete: Int64, _ now: Int64) -> Int64 {
            timing.end(
                complete: Timestamp(microseconds: complete * 1_000_000), now: Timestamp(microseconds: now * 1_000_000))
        }
        #expect(end(6090, 6100) == 100)
        #expect(end(6089, 6100) == 99)
        #expect(end(0, 6690) == 100)
        // A mark in the future is no reason to publish what is not over.
        #expect(end(999_999, 6090) == 100)
    }
}
