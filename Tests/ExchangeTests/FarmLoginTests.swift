import Exchange
import Testing
import Units

extension Scenario {
    private static func digest(_ byte: UInt8) -> [UInt8] { Array(repeating: byte, count: 32) }

    @discardableResult
    fileprivate mutating func login(
        _ name: String? = "barn", password: UInt8? = 9, pool: Int64? = 3, most: Int64? = nil, farm: Int64 = 1, by owner: Int64 = 3,
        at seconds: Int64
    ) -> Outcome {
        send(
            .fleet(.setLogin(FarmID(farm), owner: AccountID(owner), FarmLoginChange(
                name: name, passwordDigest: password.map { Self.digest($0) }, fallback: pool.map { PoolTargetID($0) }, mostRigs: most))),
            at: seconds)
    }

    @discardableResult
    fileprivate mutating func worker(_ name: String, farm: Int64 = 1, at seconds: Int64) -> Outcome {
        send(.fleet(.registerWorker(FarmID(farm), worker: name)), at: seconds)
    }

    fileprivate static func farm() -> Scenario {
        var s = Scenario()
        s.send(.createFarm(owner: AccountID(3), name: "barn"), at: 0)
        _ = s.news()
        return s
    }
}

@Suite struct FarmLoginTests {
    @Test func aWorkerBecomesARigOfTheFarmOnce() {
        var s = Scenario.farm()
        #expect(s.login(at: 1) == .farm(FarmID(1)))
        #expect(s.worker("w1", at: 2) == .rig(RigID(1), user: "a3.barn.w1"))
        #expect(s.worker("w1", at: 2) == .rig(RigID(1), user: "a3.barn.w1"))
        #expect(s.worker("w2", at: 3) == .rig(RigID(2), user: "a3.barn.w2"))
        #expect(s.news() == ["farm 1 is a3.barn", "rig 1 joins farm 1", "rig 2 joins farm 1"])
        let rig = s.state.rig(user: "a3.barn.w1")
        #expect(rig?.owner == AccountID(3))
        #expect(rig?.fallback == PoolTargetID(3))
        #expect(rig?.passwordDigest == Array(repeating: 9, count: 32))
        #expect(s.state.farmLogin(user: "a3.barn")?.farm == FarmID(1))
        #expect(s.state.loginCount(of: FarmID(1)) == 2)
    }

    @Test func itIsOfferedWithTheFarmAndSellsWhenItHasShownItsHashrate() {
        var s = Scenario.farm()
        s.login(at: 1)
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(80))), at: 1)
        s.worker("w", at: 2)
        #expect(s.order(1)?.status == .suspended(.rigOffline))
        s.online(1, at: 3)
        s.measured(1, lots: 3, at: 4)
        s.bid(1, 90, 3, at: 5)
        #expect(s.running == ["o2 < 3 of o1"])
    }

    @Test func passwordAndPoolAreThoseOfAllItsRigs() {
        var s = Scenario.farm()
        s.login(at: 1)
        s.worker("w1", at: 2)
        s.rig(3, lots: 1, at: 2)
        s.pool(3, at: 3)
        s.login(nil, password: 8, pool: nil, at: 4)
        #expect(s.state.rigs[RigID(1)]?.passwordDigest == Array(repeating: 8, count: 32))
        s.login(nil, password: nil, pool: 5, at: 5)
        #expect(s.state.rigs[RigID(1)]?.fallback == PoolTargetID(5))
        // Another one is not of this login.
        #expect(s.state.rigs[RigID(2)]?.passwordDigest == Array(repeating: 1, count: 32))
        #expect(s.state.rigs[RigID(2)]?.fallback == PoolTargetID(3))
        _ = s.news()
        s.login(nil, password: nil, pool: nil, at: 6)
        #expect(s.news() == [])
    }

    @Test func thereIsACap() {
        var s = Scenario.farm()
        s.login(most: 2, at: 1)
        s.worker("a", at: 2)
        s.worker("b", at: 2)
        s.refused(.farmFull) { $0.worker("c", at: 3) }
        #expect(s.worker("b", at: 3) == .rig(RigID(2), user: "a3.barn.b"))
        // One that moves away still counts: its name is taken.
        s.send(.assignRig(RigID(1), owner: AccountID(3), nil), at: 4)
        s.refused(.farmFull) { $0.worker("c", at: 4) }
        s.login(nil, most: 3, at: 5)
        #expect(s.worker("c", at: 6) == .rig(RigID(3), user: "a3.barn.c"))
    }

    @Test func aWorkerOfACurtailedFarmIsCut() {
        var s = Scenario.farm()
        s.login(at: 1)
        s.send(.fleet(.curtail(FarmID(1), by: nil, cap: Lots(100), ramp: .zero, until: nil)), at: 2)
        s.worker("w", at: 3)
        #expect(s.state.cuts[RigID(1)] == CutRig(farm: FarmID(1)))
    }

    @Test func duringAHaltRigsAreMadeButNotOffered() {
        var s = Scenario.farm()
        s.login(at: 1)
        s.send(.offerFarm(FarmID(1), owner: AccountID(3), FarmOffer(price: Price(80))), at: 1)
        s.send(.setPhase(.halted), at: 2)
        #expect(s.worker("w", at: 3) == .rig(RigID(1), user: "a3.barn.w"))
        #expect(s.state.orders.count == 0)
        s.send(.setPhase(.open), at: 4)
        #expect(s.state.orders.count == 1)
    }

    @Test func refusals() {
        var s = Scenario.farm()
        s.send(.createFarm(owner: AccountID(3), name: "cellar"), at: 0)
        s.refused(.farmUnknown) { $0.login(by: 2, at: 1) }
        s.refused(.farmUnknown) { $0.login(farm: 9, at: 1) }
        s.refused(.farmLoginIncomplete) { $0.login(nil, at: 1) }
        s.refused(.farmLoginIncomplete) { $0.login(password: nil, at: 1) }
        s.refused(.farmLoginIncomplete) { $0.login(pool: nil, at: 1) }
        s.refused(.rigNameInvalid) { $0.login("a.b", at: 1) }
        s.refused(.poolTargetUnknown) { $0.login(pool: 1, at: 1) }
        s.refused(.mostRigsOutOfRange) { $0.login(most: 0, at: 1) }
        s.refused(.mostRigsOutOfRange) { $0.login(most: 100_001, at: 1) }
        s.refused(.farmLoginUnknown) { $0.worker("w", at: 1) }
        s.login(at: 2)
        s.refused(.farmLoginNameTaken) { $0.login(farm: 2, at: 3) }
        s.refused(.farmLoginNameFixed) { $0.login("shed", at: 3) }
        for name in ["", "a.b", "ä", String(repeating: "x", count: 33)] { s.refused(.rigNameInvalid) { $0.worker(name, at: 3) } }
    }

    @Test func namesApart() {
        #expect(FarmLogin.user(before: "a3.barn.w").map { [$0.user, $0.worker] } == ["a3.barn", "w"])
        #expect(FarmLogin.user(before: "a3.rig").map { [$0.user, $0.worker] } == ["a3", "rig"])
        #expect(FarmLogin.user(before: "rig") == nil)
        #expect(FarmLogin.user(before: ".w") == nil)
    }
}

@Suite struct BlockTests {
    private func report(_ byte: UInt8, rig: Int64 = 1, target: Int64 = 1, delivery: Int64? = 1, isForwarded: Bool = true) -> BlockReport {
        BlockReport(
            edge: EdgeID(1), receivedAt: Scenario.start, rig: RigID(rig), delivery: delivery.map { DeliveryID($0) },
            target: PoolTargetID(target), hash: Array(repeating: byte, count: 32), header: Array(repeating: byte, count: 80),
            poolJob: "j\0b", isForwarded: isForwarded)
    }

    @Test func aBlockIsRecordedOnceAndJudgedOnce() {
        var s = Scenario()
        s.sell(3, lots: 2, 80, at: 0)
        _ = s.news()
        s.send(.blockFound(report(7)), at: 1)
        s.send(.blockFound(report(7)), at: 2)
        s.send(.blockFound(report(8, target: 3, delivery: nil, isForwarded: false)), at: 3)
        let hash = [UInt8](repeating: 7, count: 32)
        s.send(.blockJudged(hash, .waiting, poolError: 0), at: 4)
        s.send(.blockJudged(hash, .rejected, poolError: 23), at: 4)
        s.send(.blockJudged(hash, .accepted, poolError: 0), at: 5)
        #expect(s.news() == [
            "block 1 by rig 1 for account 1: waiting", "block 2 by rig 1 for account 3: notForwarded", "block 1: rejected",
        ])
        let block = s.state.blocks[BlockID(1)]
        #expect(block?.seller == AccountID(3))
        #expect(block?.poolError == 23)
        #expect(block?.report.poolJob == "jb")
        #expect(block?.report.header.count == 80)
    }

    @Test func refusals() {
        var s = Scenario()
        s.sell(3, lots: 2, 80, at: 0)
        var short = report(1)
        short.hash.removeLast()
        s.refused(.blockInvalid) { $0.send(.blockFound(short), at: 1) }
        short = report(1)
        short.header.append(0)
        s.refused(.blockInvalid) { $0.send(.blockFound(short), at: 1) }
        s.refused(.rigUnknown) { $0.send(.blockFound(self.report(1, rig: 9)), at: 1) }
        s.refused(.poolTargetUnknown) { $0.send(.blockFound(self.report(1, target: 9)), at: 1) }
        s.refused(.blockInvalid) { $0.send(.blockJudged(Array(repeating: 1, count: 32), .accepted, poolError: 0), at: 1) }
    }
}
