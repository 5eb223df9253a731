import Database
import Exchange
import Ledger
import Logging
import Market
import MarketTestSupport
import Metering
import Store
import Testing
import Units

@Suite("Settlement worker")
struct SettlementWorkerTests {
    private func worker(_ market: TestMarket) -> SettlementWorker {
        SettlementWorker(
            gateway: market.writer, meter: MeterStore(market.database), logger: Logger(label: "test"),
            clock: { market.clock.now })
    }

    private func meter(
        _ market: TestMarket, _ sequence: Int64, _ delivery: DeliveryID, _ work: [Int64], until: Timestamp
    ) async throws {
        let shares = work.enumerated().map { place, work in
            let number = sequence * 1000 + Int64(place)
            return MeterRecord.share(ShareRecord(
                number: number, receivedAt: market.clock.now, rig: RigID(1), delivery: delivery, job: 1, verdict: .valid,
                difficulty: Work(units: work), isBillable: true, isForwarded: false, extranonce2: [], ntime: 0, nonce: 0,
                version: 0, hash: (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }))
        }
        try await MeterStore(market.database).apply(
            SealedBatch(edge: EdgeID(1), epoch: 1, sequence: sequence, completeUntil: until, records: shares),
            digest: [UInt8(sequence)])
    }

    @Test(arguments: Engine.allCases)
    func billsWhatWasMeteredOnce(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let worker = worker(market)
                #expect(try await worker.runOnce() == nil)
                let delivery = try await market.openDelivery()
                let hold = try #require(market.writer.read { $0.deliveries[delivery]?.hold })
                #expect(hold > .zero)

                market.clock.now = market.clock.now + .seconds(10)
                try await meter(market, 1, delivery, [10, 20, 3], until: market.clock.now)
                #expect(try await worker.runOnce() == 1)
                #expect(market.writer.read { $0.deliveries[delivery]?.settledWork } == Work(units: 33))
                let hash = market.hash
                #expect(try await worker.runOnce() == 2)
                #expect(market.hash == hash)

                try await meter(market, 2, delivery, [5], until: market.clock.now)
                try await market.submit(.cancelOrder(OrderID(2), by: AccountID(1)))
                // Not final before the edge's reports are past the end and the grace.
                try await meter(market, 3, delivery, [], until: market.clock.now + .seconds(5))
                try await worker.runOnce()
                #expect(market.writer.read { $0.deliveries[delivery]?.settledWork } == Work(units: 38))
                try await meter(market, 4, delivery, [], until: market.clock.now + .milliseconds(5001))
                try await worker.runOnce()
                #expect(market.writer.read { $0.deliveries[delivery] } == nil)
                #expect(market.writer.read { $0.balance(.held(AccountID(1))) } == .zero)
                #expect(market.writer.read { $0.ledgerTotal } == 0)
                #expect(try await worker.runOnce() == nil)

                await market.service.projected()
                #expect(try await Audit(market.database).run().filter { $0.violations != 0 } == [])
                let lines = try await ReportStore(market.database).settlementLines(account: nil, after: 0, limit: 100)
                #expect(lines.map(\.work) == [Work(units: 33), Work(units: 5)])
                #expect(lines.map(\.run) == [1, 3])
                let charge = lines.reduce(Satoshis.zero) { $0 + $1.charge + $1.buyerFee }
                #expect(charge > .zero)
                #expect(market.available(1) == Satoshis(1_000_000) - charge)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aRunThatGotNoAnswerIsMadeUpFor(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let delivery = try await market.openDelivery()
                market.clock.now = market.clock.now + .seconds(10)
                try await meter(market, 1, delivery, [10], until: market.clock.now)
                market.faults.set { $0.before = 1 }
                await #expect(throws: GatewayError.unavailable) { try await worker(market).runOnce() }
                #expect(market.writer.read { $0.deliveries[delivery]?.settledWork } == .zero)
                try await worker(market).runOnce()
                #expect(market.writer.read { $0.deliveries[delivery]?.settledWork } == Work(units: 10))
                await market.service.projected()
                #expect(try await Audit(market.database).run().filter { $0.violations != 0 } == [])
            }
        }
    }
}
