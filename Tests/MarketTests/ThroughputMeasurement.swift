import Database
import Exchange
import Foundation
import Market
import MarketTestSupport
import Synchronization
import Testing
import Units

/// Not a test: `HASHSPOT_MEASURE=1 swift test --filter ThroughputMeasurement`.
@Suite("Throughput", .serialized, .enabled(if: ProcessInfo.processInfo.environment["HASHSPOT_MEASURE"] != nil))
struct ThroughputMeasurement {
    @Test(arguments: Engine.allCases, [64, 1024])
    func commands(_ engine: Engine, _ submitters: Int) async throws {
        try await engine.withStorage { storage in
            try await TestMarket.with(storage) { market in
                let each = 20_000 / submitters
                let clock = ContinuousClock()
                let started = clock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for submitter in 1...submitters {
                        group.addTask {
                            for number in 1...each { try await market.deposit("\(submitter)/\(number)", account: Int64(submitter)) }
                        }
                    }
                    try await group.waitForAll()
                }
                let time = (clock.now - started) / .seconds(1)
                let rows = try storage.query("SELECT count(*) FROM journal", in: storage.journal)[0].int64(0)
                let drain = clock.now
                await market.service.projected()
                let count = submitters * each
                print(
                    "\(engine), \(submitters) submitters: \(Int(Double(count) / time)) commands/s,",
                    "\(count / Int(rows)) commands a commit, \(Int(Double(rows) / time)) commits/s,",
                    "projected \((clock.now - drain) / .milliseconds(1)) ms later")
            }
        }
    }
}
