import Foundation
import Routing
import TestSupport
import Testing
import Units

@Suite("A rig that is sold in parts")
struct SliceTests {
    /// Layouts of one seed; `HASHSPOT_LAYOUTS` asks for more.
    private static let count = ProcessInfo.processInfo.environment["HASHSPOT_LAYOUTS"].flatMap { Int($0) } ?? 15

    /// Runs random layouts, and has each delivery looked at that ran to its end.
    private func run(
        hours: Int = 3, shortest: Int = 3600, _ adjust: (inout Layout, inout SeededRandom) -> Void = { _, _ in },
        _ look: (Layout, SliceOutcome, Planned, _ place: String) -> Void
    ) {
        for seed in Seeds.list(3) {
            var random = SeededRandom(seed: seed)
            for number in 0..<SliceTests.count {
                var layout = Layout.random(&random, hours: hours, shortest: shortest)
                adjust(&layout, &random)
                var simulation = SliceSimulation(layout, seed: random.next())
                let outcome = simulation.run()
                #expect(outcome.faults.isEmpty, "seed \(seed), layout \(number): \(outcome.faults.first ?? "")")
                for planned in layout.deliveries where planned.end <= Layout.start + layout.length {
                    look(layout, outcome, planned, "seed \(seed), layout \(number), delivery \(planned.id)")
                }
            }
        }
    }

    @Test("of a rig that hashes evenly every buyer gets what it bought within 1 % over an hour, and nothing unpaid")
    func evenRigs() {
        var worst = 0.0
        run { layout, outcome, planned, place in
            let sold = layout.work(layout.sold(planned), planned.until - planned.from)
            let got = outcome.work[planned.id] ?? 0
            worst = max(worst, abs(got / sold - 1))
            #expect(abs(got / sold - 1) < 0.01, "\(place): \(got) of \(sold)")
            #expect(got <= layout.cap(planned, at: planned.end), "\(place): more than is billed")
        }
        print("even rigs: within \(worst * 100) %")
    }

    @Test("over shorter terms it is within 1 % and a slice")
    func shortTerms() {
        run(shortest: 300) { layout, outcome, planned, place in
            let sold = layout.work(layout.sold(planned), planned.until - planned.from)
            let got = outcome.work[planned.id] ?? 0
            let tolerance = sold * 0.01 + layout.work(layout.hashrate, .seconds(61))
            #expect(abs(got - sold) < tolerance, "\(place): \(got) of \(sold)")
        }
    }

    @Test("of a rig whose shares are random, each buyer gets its part of the metered work, and what it bought but for luck")
    func randomRigs() {
        var (beyond, all, worst) = (0, 0, 0.0)
        run(hours: 2, { layout, random in
            let unit = Algorithm.sha256d.hashesPerUnit
            layout.hashesPerShare = layout.hashrate.hashesPerSecond / unit * unit * random.int64(1...5)
        }, { layout, outcome, planned, place in
            let (got, fair) = (outcome.work[planned.id] ?? 0, outcome.fair[planned.id] ?? 0)
            let whole = fair * 100 / Double(planned.percent)
            let slice = layout.work(layout.hashrate, layout.times.length)
            worst = max(worst, abs(got - fair) / slice)
            #expect(abs(got - fair) <= whole * 0.01 + slice, "\(place): \(got), its part was \(fair)")
            let sold = layout.work(layout.sold(planned), planned.until - planned.from)
            let sigma = 1 / Double(max(1, outcome.shares[planned.id] ?? 0)).squareRoot()
            all += 1
            if abs(got / sold - 1) > 3 * sigma { beyond += 1 }
            #expect(abs(got / sold - 1) < 5 * sigma, "\(place): \(got) of \(sold)")
        })
        // 0.27 % of all are beyond 3 sigma by luck alone.
        #expect(beyond <= 3 + all / 100, "\(beyond) of \(all)")
        print("random rigs: \(beyond) of \(all) beyond 3 sigma; split within \(worst) slices")
    }

    @Test("whatever happens, somebody is served, slices are not shorter than agreed, and nobody is starved")
    func disturbedRigs() {
        var (lost, switches, seconds, longest) = (Interval.zero, 0, Int64(0), 0.0)
        for seed in Seeds.list(3) {
            var random = SeededRandom(seed: seed)
            for number in 0..<SliceTests.count {
                var layout = Layout.random(&random, shortest: 60)
                layout.disturb(&random)
                if random.chance(50) { layout.hashesPerShare = layout.hashrate.hashesPerSecond }
                var simulation = SliceSimulation(layout, seed: seed)
                let outcome = simulation.run()
                let place: Comment = "seed \(seed), layout \(number)"
                #expect(outcome.faults.isEmpty, "seed \(seed), layout \(number): \(outcome.faults.first ?? "")")
                #expect(outcome.shortestSlice >= .seconds(15), place)
                let disturbances = layout.deliveries.reduce(0) { $0 + ($1.outage == nil ? 2 : 4) }
                let most = Int(layout.length.microseconds / layout.times.least.microseconds) + 2 * disturbances
                #expect(outcome.switches <= most, place)
                longest = max(longest, outcome.longestWait)
                lost = Interval(microseconds: lost.microseconds + outcome.lost.microseconds)
                switches += outcome.switches
                seconds += layout.length.microseconds / 1_000_000
            }
        }
        print("""
            disturbed rigs: \(switches) switches in \(seconds / 3600) h, \(lost.microseconds / 1_000_000) s lost; \
            longest wait \(longest) slices beyond four times the usual
            """)
        #expect(longest < 15)
    }
}
