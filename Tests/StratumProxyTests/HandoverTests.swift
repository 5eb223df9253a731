import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("How soon a sold rig has its buyer's job", .serialized)
struct HandoverTests {
    private static let rounds = 30

    private func print(_ name: String, _ times: [Duration]) {
        let sorted = times.sorted()
        let last = sorted[sorted.count - 1]
        Swift.print("\(name): \(sorted.count) sales, median \(sorted[sorted.count / 2]), longest \(last)")
    }

    /// Sells a rig and waits for the job: its deliveries' pools alternate, so that each sale is a switch.
    private func measure(_ setup: Setup, _ rig: RigClient, _ targets: [Int64]) async throws -> [Duration] {
        var times: [Duration] = []
        for (round, target) in targets.enumerated() {
            let count = await rig.jobs.count
            let start = ContinuousClock.now
            setup.sell(1, delivery: Int64(100 + round), to: [target])
            let job = try await rig.job(after: count)
            times.append(ContinuousClock.now - start)
            #expect(job.job.cleanJobs)
            #expect(try await setup.rig("farm.1")?.target == PoolTargetID(target))
        }
        return times
    }

    @Test("with the pool's connection open already, and with none")
    func sales() async throws {
        let setup = try Setup()
        let cold = Array(Int64(4)..<Int64(4 + HandoverTests.rounds))
        for id in Array(1...3) + cold { try await setup.pool(id) }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        print("cold pool", try await measure(setup, rig, cold))
        _ = try await measure(setup, rig, [2, 3])
        print("warm pool", try await measure(setup, rig, (0..<HandoverTests.rounds).map { Int64(2 + $0 % 2) }))
        try await setup.stop()
    }
}
