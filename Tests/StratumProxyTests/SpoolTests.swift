import Database
import Metering
import NIOConcurrencyHelpers
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("The spool", .serialized)
struct SpoolTests {
    private func working() async throws -> (Setup, RigClient, PoolJob) {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        return (setup, rig, try await rig.job(after: 0))
    }

    @Test("batches the database did not take are shipped again after a restart, with the same bytes")
    func reshipping() async throws {
        let setup = try Setup { $0.spool.stopping = .milliseconds(300) }
        try await setup.pool(1)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        let job = try await rig.job(after: 0)
        #expect(try await rig.deliver(job, count: 2) == [nil, nil])
        try await eventually("first batches") { setup.sink.shares.count == 2 }
        setup.sink.refuse(true)
        #expect(try await rig.deliver(job, count: 2, skipping: 2) == [nil, nil])
        try await eventually("offer") { setup.sink.offered.contains { $0.sequence > setup.sink.batches.count } }
        let taken = setup.sink.batches.count
        try await setup.restart()
        setup.sink.refuse(false)
        let again = try await RigClient(port: setup.port, user: "farm.1")
        #expect(try await again.deliver(try await again.job(after: 0)) == [nil])
        try await eventually("the rest") { setup.sink.shares.count == 5 }
        let offers = Dictionary(grouping: setup.sink.offered, by: \.sequence)
        #expect(offers.contains { $0.key > Int64(taken) && $0.value.count > 1 })
        for (_, same) in offers { #expect(Set(same.map(\.encoded)).count == 1) }
        #expect(setup.sink.batches.map(\.sequence) == Array(1...Int64(setup.sink.batches.count)))
        #expect(setup.sink.batches.allSatisfy { $0.epoch == 3 && $0.edge == EdgeID(7) })
        #expect(Set(setup.sink.shares.map(\.number)).count == 5)
        #expect(Set(setup.sink.jobs.map(\.number)).count == setup.sink.jobs.count)
        let sessions = setup.reports.reports.compactMap { report -> Int64? in
            if case .online(_, let session, _) = report { session } else { nil }
        }
        #expect(sessions.count == 2 && sessions[0] < sessions[1])
        try await setup.stop()
    }

    @Test("no share is older than what an earlier batch promised")
    func completeUntil() async throws {
        let (setup, rig, job) = try await working()
        setup.sell(1, delivery: 11, to: [2])
        let sold = try await rig.job(after: 1)
        for skip in 0..<6 {
            _ = try await rig.deliver(job, skipping: skip)
            _ = try await rig.deliver(sold, skipping: skip)
            try await Task.sleep(for: .milliseconds(60))
        }
        try await eventually("records") { setup.sink.shares.count == 12 }
        // Heartbeats follow while the delivery runs.
        let count = setup.sink.batches.count
        try await eventually("heartbeats") { setup.sink.batches.count >= count + 2 }
        var promised = Timestamp(microseconds: 0)
        for batch in setup.sink.batches {
            for case .share(let share) in batch.records { #expect(!(share.receivedAt < promised)) }
            #expect(!(batch.completeUntil < promised))
            promised = batch.completeUntil
        }
        try await setup.stop()
    }

    @Test("when the spool fails, rigs are told 20, sold rigs fall back, and all is well again afterwards")
    func failure() async throws {
        let (setup, rig, _) = try await working()
        setup.sell(1, delivery: 11, to: [2])
        let sold = try await rig.job(after: 1)
        #expect(try await rig.deliver(sold) == [nil])
        let other = try Database.openConnection(.sqlite(path: setup.configuration.spoolPath))
        try other.script("CREATE TRIGGER broken BEFORE UPDATE ON spool BEGIN SELECT RAISE(ABORT, 'broken'); END")
        #expect(try await rig.deliver(sold, skipping: 1) == [20])
        try await rig.job(after: 2)
        #expect(try await setup.rig("farm.1")?.delivery == nil)
        #expect(await setup.edge.snapshot()?.spool.isHealthy == false)
        try other.script("DROP TRIGGER broken")
        let back = try await rig.job(after: 3)
        #expect(try await setup.rig("farm.1")?.delivery == DeliveryID(11))
        #expect(try await rig.deliver(back, count: 2) == [nil, nil])
        other.close()
        try await eventually("records") { setup.sink.total(11).validShares == 3 }
        try await eventually("replies") { setup.sink.total(11).poolAccepted == setup.sink.total(11).forwardedShares }
        let jobs = setup.sink.jobs.map(\.number)
        #expect(Set(setup.sink.shares.map(\.job)).isSubset(of: jobs))
        #expect(Set(jobs).count == jobs.count, "a job that is written twice is refused by the database, with its batch")
        try await setup.stop()
    }

    @Test("work that the spool still holds counts towards a route's limit after a restart")
    func credits() async throws {
        let setup = try Setup { $0.spool.stopping = .milliseconds(200) }
        try await setup.pool(1)
        try await setup.pool(2)
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        setup.sink.refuse(true)
        setup.sell(1, delivery: 11, to: [2], maxWork: 3)
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        #expect(try await rig.deliver(try await rig.job(after: 0), count: 2) == [nil, nil])
        try await setup.restart()
        setup.sell(1, delivery: 11, to: [2], maxWork: 3)
        let again = try await RigClient(port: setup.port, user: "farm.1")
        #expect(try await again.deliver(try await again.job(after: 0)) == [nil])
        try await again.job(after: 1)
        #expect(try await setup.rig("farm.1")?.delivery == nil)
        setup.sink.refuse(false)
        try await setup.stop()
    }

    @Test("a taken port and a spool of another edge are clear errors")
    func starting() async throws {
        let setup = try Setup()
        try await setup.start()
        var configuration = setup.configuration
        configuration.port = setup.port
        configuration.spoolPath = setup.folder.file("other.sqlite")
        let second = Edge(
            configuration: configuration, directory: setup.directory, reports: setup.reports, sink: setup.sink, logger: quiet)
        do {
            _ = try await second.start()
            Issue.record("started twice on one port")
        } catch {
            guard case .cannotListen(_, let port, _) = error else { throw error }
            #expect(port == setup.port)
        }
        configuration = setup.configuration
        configuration.edge = EdgeID(8)
        let third = Edge(
            configuration: configuration, directory: setup.directory, reports: setup.reports, sink: setup.sink, logger: quiet)
        await #expect(throws: EdgeError.spoolOfAnotherEdge) { try await third.start() }
        try await setup.stop()
    }
}
