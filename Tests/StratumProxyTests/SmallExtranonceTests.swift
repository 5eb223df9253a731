import Metering
import MiningPool
import Stratum
import StratumProxy
import TestSupport
import Testing
import Units

@Suite("Pools of every extranonce2 size", .serialized)
struct SmallExtranonceTests {
    @Test("a rig that takes mining.set_extranonce works for each, and has its own layout again afterwards", arguments: 2...16)
    func everySize(_ size: Int) async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2) { $0.extranonce2Size = size }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1", takesExtranonce: true)
        let own = try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2])
        let sold = try await rig.job(after: 1)
        #expect(sold.extranonce2Size == (size < 6 ? [2: 2, 3: 3, 4: 3, 5: 4][size] : 4))
        #expect(try await rig.deliver(sold, count: 2) == [nil, nil])
        #expect(try await rig.deliver(own) == [nil], "what is found late keeps its job's layout")
        setup.release(1)
        let returned = try await rig.job(after: 2)
        #expect(returned.extranonce1 == own.extranonce1)
        #expect(returned.extranonce2Size == own.extranonce2Size)
        #expect(try await rig.deliver(returned) == [nil])
        #expect(try await rig.deliver(sold, skipping: 2) == [nil])
        try await setup.quiescent()
        #expect(try await setup.pools[2]?.snapshot().accepted == 3)
        #expect(try await setup.pools[1]?.snapshot().accepted == 2)
        let resets = await rig.log.filter { $0.contains("mining.set_extranonce") }.count
        #expect(resets == (size < 6 ? 2 : 0))
        try await setup.stop()
    }

    @Test("coming and going within one pool job repeats no work", arguments: [2, 3, 4, 5])
    func backAndForth(_ size: Int) async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2) { $0.extranonce2Size = size }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1", takesExtranonce: true)
        var count = 0
        for round in 0..<40 {
            let job = try await rig.job(after: count)
            count = await rig.jobs.count
            #expect(try await rig.deliver(job) == [nil])
            if round % 2 == 0 { setup.sell(1, delivery: Int64(100 + round), to: [2]) } else { setup.release(1) }
        }
        try await setup.quiescent()
        try await eventually("records") { setup.sink.shares.count == 40 }
        #expect(Set(setup.sink.shares.map(\.hash)).count == 40)
        #expect(setup.sink.shares.allSatisfy { $0.verdict == .valid })
        #expect(try await setup.pools[2]?.snapshot().accepted == 20)
        try await setup.stop()
    }

    @Test("rigs share a connection as far as the pool's extranonce2 lets them", arguments: [(3, 3), (4, 1)])
    func manyRigs(_ size: Int, connections: Int) async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2) { $0.extranonce2Size = size }
        for id in Int64(1)...3 { setup.directory.add(rig: id, user: "farm.\(id)", fallback: 1) }
        try await setup.start()
        var rigs: [RigClient] = []
        for id in Int64(1)...3 {
            let rig = try await RigClient(port: setup.port, user: "farm.\(id)", takesExtranonce: true)
            try await rig.job(after: 0)
            setup.sell(id, delivery: 10 + id, to: [2])
            rigs.append(rig)
        }
        for rig in rigs {
            let job = try await rig.job(after: 1)
            #expect(try await rig.deliver(job) == [nil])
        }
        let open = await setup.edge.snapshot()?.pools.filter { $0.user == "user2" && $0.state == .ready }
        #expect(open?.count == connections)
        #expect(open?.reduce(0) { $0 + $1.rigs } == 3)
        try await setup.quiescent()
        #expect(try await setup.pools[2]?.snapshot().accepted == 3)
        try await setup.stop()
    }

    @Test("a rig that does not ask for it is kept away, with the reason")
    func otherRigs() async throws {
        let setup = try Setup()
        try await setup.pool(1)
        try await setup.pool(2) { $0.extranonce2Size = 4 }
        setup.directory.add(rig: 1, user: "farm.1", fallback: 1)
        try await setup.start()
        let rig = try await RigClient(port: setup.port, user: "farm.1")
        try await rig.job(after: 0)
        setup.sell(1, delivery: 11, to: [2])
        try await eventually("a reason") {
            try await setup.rig("farm.1")?.skipped.contains { $0.reason.contains("set_extranonce") } == true
        }
        // The pool is good for the buyer's other rigs: the bid is not to suffer.
        #expect(!setup.reports.reports.contains { if case .unusable = $0 { true } else { false } })
        #expect(await rig.log.contains { $0.contains("mining.set_extranonce") } == false)
        try await setup.stop()
    }
}
