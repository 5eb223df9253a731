import Foundation
import Logging
import TestSupport
import Testing
import Units

@testable import Miner
@testable import MiningPool
@testable import Stratum

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// 43,000 hashes a share: a few milliseconds of one thread.
let tiny = DecimalDifficulty(mantissa: 1, scale: 5) ?? DecimalDifficulty(ShareDifficulty(units: 1))

func poolConfiguration(_ change: (inout MiningPoolConfiguration) -> Void = { _ in }) -> MiningPoolConfiguration {
    var configuration = MiningPoolConfiguration()
    configuration.difficulty = tiny
    configuration.jobInterval = .milliseconds(150)
    configuration.blockInterval = .milliseconds(500)
    configuration.reportInterval = nil
    change(&configuration)
    return configuration
}

func minerConfiguration(_ port: Int, _ change: (inout MinerConfiguration) -> Void = { _ in }) -> MinerConfiguration {
    var configuration = MinerConfiguration(pool: PoolAddress(host: "127.0.0.1", port: port), user: "alice.rig1")
    configuration.maximalHashrate = 4_000_000
    configuration.initialBackoff = .milliseconds(50)
    configuration.maximalBackoff = .milliseconds(200)
    configuration.reportInterval = nil
    change(&configuration)
    return configuration
}

/// Runs a miner against a pool while `body` does; returns what each counted at last.
func mine(
    _ pool: MiningPoolConfiguration, _ change: (inout MinerConfiguration) -> Void = { _ in },
    _ body: (MiningPool, Miner) async throws -> Void
) async throws -> (miner: MinerStatistics, pool: MiningPoolSnapshot) {
    let pool = MiningPool(pool, logger: quiet)
    let ports = try await pool.start()
    let miner = Miner(minerConfiguration(ports.stratum, change), logger: quiet)
    let running = Task { try await miner.run() }
    do {
        try await body(pool, miner)
    } catch {
        running.cancel()
        _ = await running.result
        _ = try await pool.stop()
        throw error
    }
    running.cancel()
    try await running.value
    let snapshot = try #require(try await pool.stop())
    return (miner.statistics, snapshot)
}

@Suite(.serialized) struct MinerAgainstPoolTests {
    @Test(arguments: [6, 8, 12], [false, true])
    func sharesAreAcceptedAcrossJobsAndBlocks(extranonce2Size: Int, rolls: Bool) async throws {
        let result = try await mine(poolConfiguration { $0.extranonce2Size = extranonce2Size }) {
            $0.rollsVersion = rolls
            $0.threads = 2
        } _: { _, miner in
            try await eventually { miner.statistics.accepted >= 60 && miner.statistics.jobs >= 6 }
        }
        let worker = try #require(result.pool.workers["alice.rig1"])
        // Only a share that was on its way when a block came may be refused.
        #expect(Set(worker.rejected.keys).isSubset(of: ["21"]))
        #expect(Set(result.miner.rejected.keys).isSubset(of: [21]))
        // What the miner still waited for at its end may or may not have reached the pool.
        #expect(worker.accepted >= result.miner.accepted)
        #expect(worker.accepted <= result.miner.accepted + result.miner.unanswered)
        #expect(worker.acceptedByDifficulty == [tiny.description: worker.accepted])
        #expect(worker.acceptedUnits == Int64(worker.accepted) * 65_536 / 100_000)
        #expect(result.miner.connects == 1)
        #expect(result.miner.hashes > 0)
    }

    @Test func aMinerWithoutVersionRollingWorksOnAPoolWithoutIt() async throws {
        let result = try await mine(poolConfiguration { $0.versionMask = 0 }) { $0.rollsVersion = true } _: { _, miner in
            try await eventually { miner.statistics.accepted >= 20 }
        }
        #expect(Set(result.miner.rejected.keys).isSubset(of: [21]))
    }

    @Test func refusedSharesAreCountedOnBothSides() async throws {
        let result = try await mine(poolConfiguration()) { pool, miner in
            try await pool.set(.refuse(percent: 100))
            try await eventually { miner.statistics.rejected[20, default: 0] >= 10 }
            try await pool.set(MiningPoolFault.none)
            try await eventually { miner.statistics.accepted >= 10 }
        }
        let worker = try #require(result.pool.workers["alice.rig1"])
        #expect(worker.refusedByFault >= 10)
        #expect(worker.refusedByFault == worker.rejected["20"])
    }

    @Test func aClosedConnectionIsDialledAgain() async throws {
        let result = try await mine(poolConfiguration()) { pool, miner in
            try await eventually { miner.statistics.accepted >= 5 }
            try await pool.set(.close)
            try await Task.sleep(for: .milliseconds(300))
            let before = miner.statistics.accepted
            try await pool.set(MiningPoolFault.none)
            try await eventually { miner.statistics.accepted >= before + 5 }
        }
        #expect(result.miner.connects >= 2)
        #expect(result.miner.sessions >= 2)
        #expect(result.pool.connects >= 2)
    }

    @Test func aSilentPoolIsLeft() async throws {
        let result = try await mine(poolConfiguration()) {
            $0.silenceTimeout = .milliseconds(600)
            $0.handshakeTimeout = .milliseconds(300)
        } _: { pool, miner in
            try await eventually { miner.statistics.accepted >= 5 }
            try await pool.set(.silent)
            try await eventually { miner.statistics.connects >= 3 }
            try await pool.set(MiningPoolFault.none)
            let before = miner.statistics.accepted
            try await eventually { miner.statistics.accepted >= before + 5 }
        }
        #expect(result.miner.unanswered > 0)
    }

    @Test func newExtranoncesAndDifficultiesAreObeyed() async throws {
        let half = try #require(DecimalDifficulty(mantissa: 5, scale: 6))
        let result = try await mine(poolConfiguration { $0.blockInterval = .seconds(100) }) { pool, miner in
            try await eventually { miner.statistics.accepted >= 10 }
            try await pool.changeExtranonces()
            try await pool.set(half)
            let before = miner.statistics.accepted
            try await eventually { miner.statistics.accepted >= before + 20 }
        }
        #expect(Set(result.miner.rejected.keys).isSubset(of: [21]))
        #expect(result.miner.connects == 1)
        #expect(result.pool.workers["alice.rig1"]?.acceptedByDifficulty.keys.contains("0.000005") == true)
    }

    @Test func askedToReconnectItDialsTheSameAddress() async throws {
        let result = try await mine(poolConfiguration()) { pool, miner in
            try await eventually { miner.statistics.accepted >= 3 }
            try await pool.askToReconnect()
            try await eventually { miner.statistics.sessions >= 2 }
        }
        #expect(result.pool.connects >= 2)
    }

    @Test func theHashrateIsKeptTo() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let result = try await mine(poolConfiguration()) { $0.maximalHashrate = 400_000 } _: { _, _ in
            try await Task.sleep(for: .seconds(1.5))
        }
        let seconds = (clock.now - start) / .seconds(1)
        // Up to 200 ms of lost time may be made up for, and one chunk may be over.
        #expect(Double(result.miner.hashes) <= 400_000 * (seconds + 0.3))
        #expect(result.miner.hashes > 0)
    }

    @Test func cancellingEndsAMinerThatCannotConnect() async throws {
        let miner = Miner(minerConfiguration(1) { $0.pool = PoolAddress(host: "192.0.2.1", port: 9) }, logger: quiet)
        let running = Task { try await miner.run() }
        try await Task.sleep(for: .milliseconds(100))
        let clock = ContinuousClock()
        let time = try await clock.measure {
            running.cancel()
            try await running.value
        }
        #expect(time < .seconds(5))
    }

    @Test func aUsedPortIsNamed() async throws {
        let first = MiningPool(poolConfiguration(), logger: quiet)
        let port = try await first.start().stratum
        let second = MiningPool(poolConfiguration { $0.port = port }, logger: quiet)
        await #expect(throws: MiningPool.StartError.portInUse(host: "127.0.0.1", port: port)) { try await second.start() }
        try await first.stop()
    }

    @Test func accountsAreServedAsJSON() async throws {
        let pool = MiningPool(poolConfiguration { $0.httpPort = 0 }, logger: quiet)
        let ports = try await pool.start()
        let http = try #require(ports.http)
        let miner = Miner(minerConfiguration(ports.stratum), logger: quiet)
        let running = Task { try await miner.run() }
        try await eventually { miner.statistics.accepted >= 5 }
        let body = try await get(port: http, path: "/")
        let snapshot = try JSONDecoder().decode(MiningPoolSnapshot.self, from: Data(body.body.utf8))
        #expect(body.head.contains("200 OK"))
        #expect((snapshot.workers["alice.rig1"]?.accepted ?? 0) >= 5)
        #expect(try await get(port: http, path: "/other").head.contains("404"))
        running.cancel()
        try await running.value
        try await pool.stop()
    }
}
