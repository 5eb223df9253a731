import Benchmarks
import Foundation
import OrderBook
import TestSupport
import Testing
import Units

/// The book against the reference on random commands with every rule mixed.
@Suite struct ReferenceTests {
    /// Commands of each test; `HASHSPOT_COMMANDS` for more.
    private static let commands = ProcessInfo.processInfo.environment["HASHSPOT_COMMANDS"].flatMap(Int.init) ?? 60_000
    private static let seeds = 2

    private static func run(_ seed: UInt64, _ command: (inout BookPair, Int) throws -> Void) throws {
        let each = max(1, commands / Flavour.all.count / seeds)
        for flavour in Flavour.all {
            var pair = BookPair(flavour, seed: seed)
            for step in 0..<each {
                do {
                    try command(&pair, step)
                } catch {
                    Issue.record("HASHSPOT_SEED=\(seed), \(flavour.name), command \(step): \(error)")
                    return
                }
            }
        }
    }

    @Test(arguments: Seeds.list(seeds))
    func asAMarketOfItsOwn(_ seed: UInt64) throws {
        try Self.run(seed) { pair, step in
            try pair.submitReduceReplaceOrCancel()
            try pair.comparePosition(pair.anyID())
            if step % 4 == 0 { try pair.compare() }
        }
    }

    @Test(arguments: Seeds.list(seeds))
    func asTheExchangeWalksIt(_ seed: UInt64) throws {
        try Self.run(seed) { pair, step in
            if step % 4 == 0 {
                try pair.walkForATaker(OrderID(1_000_000))
            } else {
                try pair.submitReduceReplaceOrCancel()
            }
        }
    }

    /// Stamps in any order, as after a restart or when lots come back.
    @Test(arguments: Seeds.list(seeds))
    func withOldStamps(_ seed: UInt64) throws {
        var stamps: Set<Int64> = []
        try Self.run(seed) { pair, step in
            let id = pair.anyID()
            if pair.book[id] == nil, pair.random.chance(60) {
                var entry = pair.anyOrder(id)
                entry.stamp = pair.random.int64(-1_000_000_000...1_000_000_000)
                entry.shown = Lots(pair.random.int64(0...entry.lots.rawValue))
                guard stamps.insert(entry.stamp).inserted else { return }
                pair.book.insert(entry)
                pair.reference.insert(entry)
            } else {
                try pair.expect(pair.book.remove(id), pair.reference.remove(id), "remove \(id)")
            }
            try pair.comparePosition(pair.anyID())
            if step % 8 == 0 { try pair.compare() }
        }
    }

    @Test(arguments: Seeds.list(seeds))
    func copiesAreIndependent(_ seed: UInt64) throws {
        var copies: [BookPair] = []
        for flavour in Flavour.all {
            var pair = BookPair(flavour, seed: seed)
            for step in 0..<400 {
                try pair.submitReduceReplaceOrCancel()
                if step % 50 == 0 { copies.append(pair) }
            }
        }
        for copy in copies { try copy.compare() }
        for index in copies.indices {
            for _ in 0..<20 { try copies[index].submitReduceReplaceOrCancel() }
            try copies[index].compare()
        }
    }
}

@Suite struct WorkloadTests {
    @Test(arguments: Seeds.list(3), [WorkloadOrders.plain, .mixed])
    func bothBooksComeToTheSameResult(_ seed: UInt64, _ orders: WorkloadOrders) {
        let workload = Workload(.init(seed: seed, operations: 2_000, resting: 300, levels: 60))
        var book = OrderBook(), reference = ReferenceBook()
        let result = WorkloadResult(of: workload, on: &book, orders)
        #expect(result == WorkloadResult(of: workload, on: &reference, orders), "HASHSPOT_SEED=\(seed)")
        guard Seeds.isFixed(seed) else { return }
        #expect(result.trades > 100 && result.rejects > 10)
    }

    /// What the workload's own program says for these arguments.
    @Test func theGeneratorMakesTheKnownWorkload() {
        let workload = Workload(.init(seed: 1, operations: 20_000, resting: 1_000, levels: 100))
        var book = OrderBook()
        let result = WorkloadResult(of: workload, on: &book)
        #expect(result.description == "trades=3660 quantity=97300 notional=9728927129 hash=d0ef597018da2cd7 rejects=967 bid=99993 ask=99994 orders=1002 resting=48972")
    }

    @Test func aFileIsReadAsWritten() throws {
        let workload = Workload(.init(seed: 3, operations: 500, resting: 100, levels: 20))
        let path = NSTemporaryDirectory() + "hashspot-workload-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try workload.write(to: path)
        let read = try Workload(file: path)
        #expect(read.operations == workload.operations && read.preload == workload.preload)
        #expect(read.parameters == workload.parameters && read.endOfIDs == workload.endOfIDs)
        try Data(workload.bytes.dropLast()).write(to: URL(fileURLWithPath: path))
        #expect(throws: Workload.FileError.self) { try Workload(file: path) }
        #expect(throws: Workload.FileError.self) { try Workload(file: path + "-absent") }
    }
}
