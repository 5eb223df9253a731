import Routing
import Testing
import Units

@Suite("Turns of a shared rig")
struct SharedRigTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    /// A rig of 100 work units a second, with parts in percent.
    private func update(
        _ position: Int64, _ parts: [(delivery: Int64, bid: Int64, percent: Int64)], until: Int64 = 3600, unsold: Int64 = 0
    ) -> RouteUpdate {
        RouteUpdate(
            rig: RigID(1), position: position,
            routes: parts.map {
                Route(
                    delivery: DeliveryID($0.delivery), bid: OrderID($0.bid), targets: [PoolTargetID(1)], validUntil: at(until),
                    maxWork: Work(units: $0.percent * 3600 * 2), maxDifficulty: ShareDifficulty(units: 1),
                    hashrate: Hashrate(hashesPerSecond: $0.percent * 65_536), allowance: Work(units: $0.percent * 200))
            }, unsold: Hashrate(hashesPerSecond: unsold * 65_536))
    }

    /// Works second by second; whom it worked for.
    private func work(
        _ rig: inout RigRoute, _ seconds: Range<Int64>, isUsable: (Party) -> Bool = { _ in true },
        produces: (Party) -> Bool = { _ in true }
    ) -> [Party?] {
        seconds.map { second in
            let party = rig.turn(now: at(second), isUsable: isUsable)
            guard let party, produces(party) else { return party }
            switch party {
            case .delivery(let id): rig.meter(Work(units: 100), delivery: id)
            case .fallback: rig.meter(Work(units: 100), delivery: nil)
            }
            return party
        }
    }

    private func switches(_ turns: [Party?]) -> Int { zip(turns, turns.dropFirst()).count { $0 != $1 } }

    private let first = Party.delivery(DeliveryID(1)), second = Party.delivery(DeliveryID(2))

    @Test("a rig sold whole never switches, nor one whose rest is not worth a slice")
    func whole() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 95)]), now: at(0))
        #expect(work(&rig, 0..<3600) == Array(repeating: first, count: 3600))
    }

    @Test("slices are of a minute or more, and an hour's are as sold")
    func twoParts() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 60), (2, 2, 40)]), now: at(0))
        let turns = work(&rig, 0..<3600)
        #expect(turns.first == first)
        #expect((2140...2180).contains(turns.count { $0 == first }))
        #expect(switches(turns) <= 60)
    }

    @Test("a renewal at a term's end switches nothing, whoever's slice it is")
    func renewal() {
        var ends: Set<Party> = []
        for end in Int64(600)..<720 {
            var rig = RigRoute()
            rig.apply(update(1, [(1, 1, 60), (2, 2, 40)], until: end), now: at(0))
            guard let last = work(&rig, 0..<end).last ?? nil else { continue }
            ends.insert(last)
            rig.apply(update(2, [(3, 1, 60), (4, 2, 40)], until: 2 * end), now: at(end))
            let next = rig.turn(now: at(end)) { _ in true }
            #expect(next == (last == first ? .delivery(DeliveryID(3)) : .delivery(DeliveryID(4))), "at \(end) s")
        }
        #expect(ends == [first, second])
    }

    @Test("two deliveries of one bid are renewed one by one")
    func twins() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 60), (2, 1, 40)], until: 100), now: at(0))
        _ = work(&rig, 0..<100)
        rig.apply(update(2, [(3, 1, 60), (4, 1, 40)], until: 800), now: at(100))
        let turns = work(&rig, 100..<800)
        #expect(abs(turns.count { $0 == .delivery(DeliveryID(3)) } - 420) < 10)
    }

    @Test("a buyer who comes while the rig works unsold is served at once, one who comes in another's slice after it")
    func newcomers() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 40)], unsold: 60), now: at(0))
        let turns = work(&rig, 0..<100)
        #expect(turns.first == first)
        #expect(turns.last == .fallback)
        rig.apply(update(2, [(1, 1, 40), (2, 2, 40)], unsold: 20), now: at(100))
        #expect(work(&rig, 100..<101) == [second])
        rig = RigRoute()
        rig.apply(update(1, [(1, 1, 60)], unsold: 40), now: at(0))
        _ = work(&rig, 0..<10)
        rig.apply(update(2, [(1, 1, 60), (2, 2, 40)]), now: at(10))
        let later = work(&rig, 10..<100)
        #expect(later.first == first)
        #expect(later.firstIndex(of: second).map { (19...21).contains($0) } == true, "after the least slice")
    }

    @Test("a small part is not served far ahead of its share: what it got would not be paid for if it ended")
    func inArrears() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 5)], unsold: 95), now: at(0))
        let turns = work(&rig, 0..<1800)
        #expect(turns.first == .fallback)
        var served: Int64 = 0
        for (second, turn) in turns.enumerated() where turn == first {
            served += 100
            #expect(served <= Int64(second + 1) * 5 + 1000 + 100, "at \(second) s")
        }
        #expect(served > 0)
    }

    @Test("a buyer whose pool was away is not given back more than two slices, and others are served meanwhile")
    func outage() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 50), (2, 2, 50)]), now: at(0))
        let away = work(&rig, 0..<1200, isUsable: { $0 != first })
        #expect(away.allSatisfy { $0 == second })
        let after = work(&rig, 1200..<2400)
        let waiting = after.prefix { $0 == second }.count
        let run = after.dropFirst(waiting).prefix { $0 == first }.count
        #expect(waiting < 120, "the slice that ran")
        #expect((100...400).contains(run), "\(run) s")
        #expect(after.suffix(600).contains(first))
        #expect(after.suffix(600).contains(second))
    }

    @Test("a buyer for whom the rig finds nothing does not keep the rig for ever")
    func barren() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 50), (2, 2, 50)]), now: at(0))
        let turns = work(&rig, 0..<3000, produces: { [first] in $0 != first })
        #expect(turns.count { $0 == second } >= 90)
    }

    @Test("nobody is served after its time or its work is used up, and the rest goes to the fallback pool")
    func ends() {
        var rig = RigRoute()
        rig.apply(update(1, [(1, 1, 60), (2, 2, 40)], until: 300), now: at(0))
        #expect(work(&rig, 0..<400)[300...].allSatisfy { $0 == .fallback })
        rig = RigRoute()
        rig.apply(update(1, [(1, 1, 60), (2, 2, 40)]), now: at(0))
        rig.credit(Work(units: 60 * 3600 * 2), delivery: DeliveryID(1))
        let turns = work(&rig, 0..<600)
        #expect(!turns.contains(first))
        #expect(turns.contains(second))
        #expect(turns.contains(.fallback))
    }

    @Test("hostile numbers do not trap")
    func hostile() {
        for value in [Int64.max, Int64.max / 2, 1] {
            var rig = RigRoute()
            let routes = (Int64(1)...3).map {
                Route(
                    delivery: DeliveryID($0), bid: OrderID($0), targets: [PoolTargetID(1)], validUntil: at(1 << 40),
                    maxWork: Work(units: .max), maxDifficulty: ShareDifficulty(units: .max),
                    hashrate: Hashrate(hashesPerSecond: value), allowance: Work(units: .max))
            }
            rig.apply(
                RouteUpdate(rig: RigID(1), position: 1, routes: routes, unsold: Hashrate(hashesPerSecond: value)), now: at(0))
            for second in Int64(0)..<300 {
                rig.meter(Work(units: .max), delivery: DeliveryID(1))
                rig.meter(Work(units: .max), delivery: nil)
                #expect(rig.turn(now: at(second)) { _ in true } != nil)
            }
        }
    }
}
