import Database
import Market
import MarketTestSupport
import Testing
import TestSupport
import Units

/// Random histories against a second settlement in plain SQL over the raw shares: equal to the satoshi.
@Suite("Proof of settlement", .serialized)
struct SettlementProofTests {
    struct Case: CustomStringConvertible, Sendable {
        var engine: Engine
        var seed: UInt64
        var description: String { "\(engine), seed \(seed)" }
    }

    static let cases = Seeds.list(3).flatMap { seed in Engine.allCases.map { Case(engine: $0, seed: seed) } }

    /// - Returns: charges and fees by billing key
    private func play(_ example: Case, arrival: UInt64, steps: Int = 240) async throws -> [SQLRow] {
        var money: [SQLRow] = []
        try await example.engine.withStorage { storage in
            let interval: Duration = arrival % 3 == 2 ? .seconds(3) : .seconds(300)
            let scene = try await SettlementScene(storage, life: example.seed, arrival: arrival, interval: interval)
            do {
                try await scene.open()
                for step in 1...steps {
                    try await scene.step()
                    try await scene.disturb()
                    if step == steps / 2 { try await scene.jump(.seconds(2400)) }
                }
                try await scene.close()
                try await settleToTheEnd(scene)
                try await scene.deliverLate(60)
                try await scene.jump(.seconds(86_400 + 900))
                try await scene.allFinal()
                try await check(scene, storage, "after the final run, \(example), arrival \(arrival)")
                // What comes a day later is noted, and a true-up finds it.
                try await scene.deliverLate(100)
                #expect(scene.isAllDelivered)
                try await scene.trueUp()
                try await check(scene, storage, "after the true-up, \(example), arrival \(arrival)")
                #expect(try await scene.run(.trueUp) == nil)
                money = try NaiveSettlement.billedMoney(storage)
                if steps == 240, Seeds.isFixed(example.seed) { try checkVariety(storage) }
            } catch {
                await scene.stop()
                throw error
            }
            await scene.stop()
        }
        return money
    }

    private func settleToTheEnd(_ scene: SettlementScene) async throws {
        for _ in 1...3 {
            try await scene.jump(.seconds(300))
            try await scene.silent()
            try await scene.initial()
        }
        #expect(scene.openDeliveries() == 0)
    }

    private func check(_ scene: SettlementScene, _ storage: Storage, _ place: String) async throws {
        await scene.projected()
        let naive = try NaiveSettlement.work(storage), billed = try NaiveSettlement.billedWork(storage)
        #expect(billed.count > 1, "\(place)")
        #expect(naive.count == billed.count)
        for (wanted, found) in zip(naive, billed) {
            for column in 0...2 { #expect(wanted[column] == found[column], "\(place): \(wanted) \(found)") }
            // What is not billed is noted once, and added to: what became an excess later stays noted as over-delivery, too.
            for column in 3...4 { #expect(try found.int64(column) >= wanted.int64(column), "\(place): \(wanted) \(found)") }
        }
        #expect(try NaiveSettlement.money(storage) == NaiveSettlement.billedMoney(storage), "\(place)")
        let violations = try await scene.violations()
        #expect(violations == [], "\(place)")
        let lost = try storage.query("SELECT count(*) FROM settlement_runs WHERE note LIKE '%refused%'")
        #expect(lost == [SQLRow([0])], "\(place)")
    }

    /// The proof is worth something: there was work of most codes, and runs of all kinds.
    private func checkVariety(_ storage: Storage) throws {
        let codes = try storage.query("SELECT DISTINCT code FROM settlement_lines ORDER BY code").map { try $0.int64(0) }
        #expect(codes.count > 3)
        #expect(try storage.query("SELECT count(DISTINCT kind) FROM settlement_runs")[0].int64(0) > 2)
    }

    @Test(arguments: cases)
    func theBillsAreWhatPlainSQLSays(_ example: Case) async throws {
        let one = try await play(example, arrival: example.seed * 3)
        #expect(!one.isEmpty)
        // The same life, reported and settled in another order.
        let other = try await play(example, arrival: example.seed * 3 + 1)
        #expect(one == other, "\(example)")
        let uncut = try await play(example, arrival: example.seed * 3 + 2, steps: 60)
        #expect(!uncut.isEmpty)
    }
}
