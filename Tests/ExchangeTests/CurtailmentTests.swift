import Exchange
import OrderBook
import Testing
import TestSupport
import Units

extension Scenario {
    @discardableResult
    fileprivate mutating func curtail(
        _ cap: Int64, ramp: Int64 = 0, until: Int64? = nil, by owner: Int64? = 3, at seconds: Int64
    ) -> Outcome {
        send(
            .fleet(.curtail(
                FarmID(1), by: owner.map { AccountID($0) }, cap: Lots(cap), ramp: .seconds(ramp),
                until: until.map { Self.start + .seconds($0) })), at: seconds)
    }

    @discardableResult
    fileprivate mutating func lift(by owner: Int64? = 3, at seconds: Int64) -> Outcome {
        send(.fleet(.liftCurtailment(FarmID(1), by: owner.map { AccountID($0) })), at: seconds)
    }

    /// Farm 1 of account 3 with so many rigs of two lots, offered at 80.
    fileprivate static func farming(_ rigs: Int64) -> Scenario {
        var s = Scenario()
        s.send(.createFarm(owner: AccountID(3), name: "barn"), at: 0)
        for rig in 1...rigs {
            s.rig(3, lots: 2)
            s.send(.assignRig(RigID(rig), owner: AccountID(3), FarmID(1)), at: 0)
        }
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(80))), at: 0)
        _ = s.news()
        return s
    }

    fileprivate var cut: [Int64] { state.cuts.keys.map(\.rawValue).sorted() }
}

@Suite struct CurtailmentTests {
    @Test func unsoldRigsAreCutFirstThenTheCheapestSold() {
        var s = Scenario.farming(4)
        s.bid(1, 90, 2, at: 1)
        s.bid(2, 100, 2, at: 2)
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(95))), at: 3)
        _ = s.news()
        #expect(s.running == ["o5 < 2 of o1", "o6 < 2 of o2"])
        #expect(s.curtail(5, at: 4) == .farm(FarmID(1)))
        #expect(s.news() == ["farm 1 at most 5", "cut r3 r4", "o3 suspended: curtailed", "o4 suspended: curtailed"])
        #expect(s.running == ["o5 < 2 of o1", "o6 < 2 of o2"])
        // Both were sold at 80, the sellers' price: among equals the lower number goes on.
        s.curtail(3, at: 5)
        #expect(s.cut == [2, 3, 4])
        #expect(s.running == ["o5 < 2 of o1"])
        #expect(s.news() == [
            "farm 1 at most 3", "cut r2", "d2 ended at 5 s: curtailed", "o2 suspended: curtailed", "o2 restamped",
        ])
        s.curtail(0, at: 6)
        #expect(s.cut == [1, 2, 3, 4])
        #expect(s.running == [])
    }

    @Test func theDearestSoldStays() {
        var s = Scenario.farming(2)
        s.bid(1, 90, 2, at: 1)
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(120))), at: 2)
        s.bid(2, 130, 2, at: 3)
        #expect(s.running == ["o3 < 2 of o1", "o4 < 2 of o2"])
        s.curtail(2, at: 4)
        #expect(s.cut == [1])
    }

    @Test func liftedRigsComeBackEvenlyAndInOrder() {
        var s = Scenario.farming(4)
        s.curtail(0, ramp: 40, at: 1)
        for rig in Int64(1)...4 { s.offline(rig, at: 2) }
        _ = s.news()
        s.lift(at: 10)
        #expect(s.news() == ["farm 1 lifted", "return r1 20 s, r2 30 s, r3 40 s, r4 50 s"])
        s.advance(to: 19)
        #expect(s.cut == [1, 2, 3, 4])
        s.advance(to: 20)
        #expect(s.cut == [2, 3, 4])
        #expect(s.news() == ["back r1", "o1 suspended: rigOffline"])
        s.online(1, at: 21)
        #expect(s.news() == ["o1 resumed"])
        s.advance(to: 45)
        #expect(s.cut == [4])
        s.advance(to: 50)
        #expect(s.cut == [])
        #expect(s.news().last == "farm 1 is whole")
        #expect(s.state.curtailments.count == 0)
    }

    @Test func itsEndLiftsItByItself() {
        var s = Scenario.farming(2)
        s.curtail(0, ramp: 10, until: 100, at: 1)
        _ = s.news()
        s.advance(to: 99)
        #expect(s.news() == [])
        s.advance(to: 300)
        // Also after a pause: the ramp ran from the end on.
        #expect(s.news().prefix(3) == ["farm 1 lifted", "return r1 105 s, r2 110 s", "back r1"])
        #expect(s.cut == [])
    }

    @Test func withoutRampAllAreBackAtOnce() {
        var s = Scenario.farming(2)
        s.curtail(0, at: 1)
        _ = s.news()
        s.lift(at: 2)
        #expect(s.news() == ["farm 1 lifted", "back r1 r2", "o1 resumed", "o2 resumed", "farm 1 is whole"])
    }

    @Test func aHigherCapLetsSomeBackOverTheRampALowerOneKeepsThem() {
        var s = Scenario.farming(4)
        s.curtail(0, ramp: 20, at: 1)
        s.curtail(4, ramp: 20, at: 2)
        #expect(s.news().suffix(2) == ["farm 1 at most 4", "return r1 12 s, r2 22 s"])
        s.curtail(2, ramp: 20, at: 3)
        #expect(s.news() == ["farm 1 at most 2", "return r2 later", "return r1 12 s"])
        s.advance(to: 12)
        #expect(s.cut == [2, 3, 4])
        s.advance(to: 100)
        #expect(s.cut == [2, 3, 4])
    }

    @Test func growthAndNewRigsStayUnderTheCap() {
        var s = Scenario.farming(2)
        s.curtail(4, at: 1)
        #expect(s.cut == [])
        s.measured(2, lots: 3, at: 2)
        // The first still fits.
        #expect(s.cut == [2])
        s.rig(3, lots: 2, at: 3)
        s.send(.assignRig(RigID(3), owner: AccountID(3), FarmID(1)), at: 3)
        #expect(s.cut == [2])
        s.rig(3, lots: 1, at: 4)
        s.send(.assignRig(RigID(4), owner: AccountID(3), FarmID(1)), at: 4)
        #expect(s.cut == [2, 4])
        // One that has shown nothing might be anything.
        s.send(
            .registerRig(owner: AccountID(3), name: "x", passwordDigest: Array(repeating: 1, count: 32), fallback: PoolTargetID(3)), at: 5)
        s.send(.assignRig(RigID(5), owner: AccountID(3), FarmID(1)), at: 5)
        #expect(s.cut == [2, 4, 5])
        // One that leaves is free.
        s.send(.assignRig(RigID(2), owner: AccountID(3), nil), at: 6)
        #expect(s.cut == [4, 5])
    }

    @Test func aCutRigsAskWaits() {
        var s = Scenario.farming(1)
        s.curtail(0, at: 1)
        s.send(.withdrawFarm(FarmID(1), owner: AccountID(3)), at: 2)
        s.ask(3, rig: 1, 70, at: 3)
        s.bid(1, 90, 2, at: 4)
        #expect(s.running == [])
        #expect(s.order(2)?.status == .suspended(.curtailed))
        s.lift(at: 5)
        #expect(s.running == ["o3 < 2 of o2"])
    }

    @Test func itHoldsWhileTheMarketIsHalted() {
        var s = Scenario.farming(1)
        s.bid(1, 90, 2, at: 1)
        s.send(.setPhase(.halted), at: 2)
        #expect(s.curtail(0, by: nil, at: 3) == .farm(FarmID(1)))
        #expect(s.running == [])
    }

    @Test func refusals() {
        var s = Scenario.farming(1)
        s.refused(.farmUnknown) { $0.curtail(0, by: 2, at: 1) }
        s.refused(.curtailmentOutOfRange) { $0.curtail(-1, at: 1) }
        s.refused(.curtailmentOutOfRange) { $0.curtail(0, ramp: -1, at: 1) }
        s.refused(.curtailmentOutOfRange) { $0.curtail(0, ramp: 86_401, at: 1) }
        s.refused(.curtailmentOutOfRange) { $0.curtail(0, until: 1, at: 1) }
        s.refused(.farmNotCurtailed) { $0.lift(at: 1) }
        s.curtail(0, ramp: 10, at: 2)
        s.refused(.farmUnknown) { $0.lift(by: 2, at: 3) }
        s.lift(at: 4)
        s.refused(.farmNotCurtailed) { $0.lift(at: 4) }
    }

    // MARK: - Who goes on, and who comes back

    private func candidate(_ rig: Int64, _ hashrate: Int64, _ price: Int64?, isOnline: Bool = true) -> CurtailmentPlan.Candidate {
        CurtailmentPlan.Candidate(
            rig: RigID(rig), hashrate: Hashrate(hashesPerSecond: hashrate), price: price.map { Price($0) }, isOnline: isOnline)
    }

    @Test func thePlanKeepsAsManyAsFit() {
        func kept(_ cap: Int64, _ candidates: [CurtailmentPlan.Candidate]) -> [Int64] {
            CurtailmentPlan(candidates, cap: Hashrate(hashesPerSecond: cap)).kept.map(\.rawValue).sorted()
        }
        let farm = [
            candidate(1, 5, nil), candidate(2, 5, 90), candidate(3, 9, 100), candidate(4, 0, nil), candidate(5, 1, nil, isOnline: false),
        ]
        #expect(kept(0, farm) == [])
        #expect(kept(1, farm) == [5])
        #expect(kept(9, farm) == [3])
        #expect(kept(8, farm) == [2, 5])
        #expect(kept(14, farm) == [2, 3])
        #expect(kept(19, farm) == [1, 2, 3])
        #expect(kept(.max, farm) == [1, 2, 3, 5])
        #expect(kept(5, [candidate(8, 5, 90), candidate(7, 5, 90)]) == [7])
    }

    @Test(arguments: Seeds.list(5)) func thePlanDoesNotDependOnTheOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var farm = (1...40).map { candidate($0, random.int64(0...9), random.pick([nil, 80, 90]), isOnline: random.chance(70)) }
        let cap = Hashrate(hashesPerSecond: random.int64(0...150))
        let first = CurtailmentPlan(farm, cap: cap)
        farm.shuffle(using: &random)
        #expect(CurtailmentPlan(farm, cap: cap).kept == first.kept, "seed \(seed)")
        let sum = farm.filter { first.kept.contains($0.rig) }.reduce(Int64(0)) { $0 + $1.hashrate.hashesPerSecond }
        #expect(sum <= cap.hashesPerSecond, "seed \(seed)")
        // Nobody who was cut would have fitted beside them.
        let left = cap.hashesPerSecond - sum
        #expect(farm.allSatisfy { first.kept.contains($0.rig) || $0.hashrate.hashesPerSecond == 0 || $0.hashrate.hashesPerSecond > left })
    }

    @Test func theRampIsEven() {
        let start = Timestamp(microseconds: 1_000_000_000)
        let rigs = (1...1000).map { RigID($0) }
        let returns = ReturnRamp(start: start, length: .seconds(600)).returns(of: rigs)
        #expect(returns.map(\.rig) == rigs)
        for (place, planned) in returns.enumerated() {
            let seconds = ((planned.at ?? start) - start).microseconds / 1_000_000
            // Linear, on whole seconds, never early.
            let due = Int64(place + 1) * 600
            #expect(seconds * 1000 >= due && (seconds - 1) * 1000 < due)
        }
        #expect(ReturnRamp(start: start, length: .zero).returns(of: [RigID(1)]).first?.at == start)
        #expect(ReturnRamp(start: start, length: .seconds(1)).returns(of: []).isEmpty)
    }
}
