import Foundation
import Stratum
import TestSupport
import Testing
import Units

@testable import StratumProxy

@Suite("Difficulty of a rig, simulated with shares by chance")
struct DifficultyTests {
    private static let start = ShareDifficulty(units: 65_536 * 8192)

    /// A rig whose shares come by chance, looked at every second as the edge does.
    private struct Simulation {
        var wish: DifficultyWish
        /// Units of work a second.
        let speed: Double
        var random: SeededRandom
        /// When the wish changed, in seconds.
        var changes: [Int] = []
        var shares = 0

        init(speed: Double, random: SeededRandom) {
            wish = DifficultyWish(
                start: DifficultyTests.start, minimum: ShareDifficulty(units: 65_536), interval: .seconds(5),
                now: Timestamp(microseconds: 0))
            self.speed = speed
            self.random = random
        }

        mutating func run(seconds: Range<Int>, poolLimit: ShareDifficulty = DifficultyWish.ceiling(.sha256d)) {
            for second in seconds {
                let assigned = min(wish.difficulty, poolLimit)
                var rest = 1.0
                while true {
                    let wait = -log(1 - Double.random(in: 0..<1, using: &random)) * Double(assigned.units) / speed
                    rest -= wait
                    guard rest > 0 else { break }
                    wish.observe(assigned)
                    shares += 1
                }
                if wish.adjust(now: Timestamp(microseconds: Int64(second + 1) * 1_000_000)) { changes.append(second + 1) }
            }
        }
    }

    @Test("a rig's speed is learned within a minute and kept to, from a sixtieth to a thousand times the start's", arguments: [
        1.0 / 60, 0.1, 0.5, 1, 3, 20, 150, 1000,
    ])
    func learning(times: Double) {
        var random = SeededRandom(of: "difficulty")
        let ideal = Double(DifficultyTests.start.units) * times
        var changesLater = 0
        let rigs = 40
        for _ in 0..<rigs {
            var simulation = Simulation(speed: ideal / 5, random: SeededRandom(seed: random.next()))
            simulation.run(seconds: 0..<60)
            let learned = Double(simulation.wish.difficulty.units) / ideal
            #expect((0.06...16).contains(learned), "after a minute: \(learned) of the ideal")
            simulation.run(seconds: 60..<600)
            let settled = Double(simulation.wish.difficulty.units) / ideal
            #expect((0.25...4).contains(settled), "after ten minutes: \(settled) of the ideal")
            let before = (changes: simulation.changes.count, shares: simulation.shares)
            simulation.run(seconds: 600..<4200)
            changesLater += simulation.changes.count - before.changes
            let rate = Double(simulation.shares - before.shares) / 3600 * 5
            #expect((0.25...4).contains(rate), "a share every \(5 / rate) s")
        }
        #expect(changesLater <= rigs, "\(changesLater) changes in \(rigs) hours")
    }

    @Test("a pool's lower difficulty is no reason to change the wish")
    func lowPool() {
        var random = SeededRandom(of: "difficulty below the wish")
        for _ in 0..<40 {
            var simulation = Simulation(speed: Double(DifficultyTests.start.units) / 5, random: SeededRandom(seed: random.next()))
            simulation.run(seconds: 0..<3600, poolLimit: ShareDifficulty(units: DifficultyTests.start.units / 32))
            let settled = Double(simulation.wish.difficulty.units) / Double(DifficultyTests.start.units)
            #expect((0.5...2).contains(settled))
        }
    }
}
