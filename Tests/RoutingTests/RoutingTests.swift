import Routing
import Testing
import Units

@Suite struct RigRouteTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    private func update(
        _ position: Int64, delivery: Int64? = 1, until: Int64 = 100, maxWork: Int64 = 1000, targets: [Int64] = [1, 2]
    ) -> RouteUpdate {
        RouteUpdate(rig: RigID(1), position: position, route: delivery.map {
            Route(
                delivery: DeliveryID($0), bid: OrderID(1), targets: targets.map { PoolTargetID($0) }, validUntil: at(until),
                maxWork: Work(units: maxWork), maxDifficulty: ShareDifficulty(units: 1),
                hashrate: Hashrate(hashesPerSecond: 1_000_000))
        })
    }

    /// Where it works when all pools can be used.
    private func turn(_ rig: inout RigRoute, _ seconds: Int64) -> Party? { rig.turn(now: at(seconds)) { _ in true } }

    @Test func unsoldRigsFallBack() {
        var rig = RigRoute()
        #expect(turn(&rig, 0) == .fallback)
        #expect(!rig.isBillable(DeliveryID(1), now: at(0)))
    }

    @Test func aRigSoldWholeHasOnlyItsBuyer() {
        var rig = RigRoute()
        rig.apply(update(1), now: at(0))
        #expect(!rig.isShared)
        #expect(turn(&rig, 1) == .delivery(DeliveryID(1)))
        let turn = rig.turn(now: at(1)) { $0 == .fallback }
        #expect(turn == nil)
        #expect(rig.nextTurn(now: at(1)) == at(100))
    }

    @Test func olderPositionsAreIgnored() {
        var rig = RigRoute()
        let updates = [
            (update(0), true), (update(5, delivery: 2), true), (update(5, delivery: 3), false),
            (update(4, delivery: nil), false), (update(0, delivery: nil), false),
        ]
        for (update, isNew) in updates {
            let isTaken = rig.apply(update, now: at(0))
            #expect(isTaken == isNew, "position \(update.position)")
        }
        #expect(rig.routes.map(\.delivery) == [DeliveryID(2)])
        rig.apply(update(6, delivery: nil), now: at(2))
        #expect(rig.routes.isEmpty)
    }

    @Test func routesEndByThemselves() {
        var rig = RigRoute()
        rig.apply(update(1, until: 100, maxWork: 10), now: at(0))
        #expect(turn(&rig, 99) == .delivery(DeliveryID(1)))
        #expect(turn(&rig, 100) == .fallback)
        rig.credit(Work(units: 9), delivery: DeliveryID(1))
        rig.credit(Work(units: 99), delivery: DeliveryID(2))
        #expect(turn(&rig, 50) == .delivery(DeliveryID(1)))
        #expect(rig.isBillable(DeliveryID(1), now: at(50)))
        rig.credit(Work(units: 1), delivery: DeliveryID(1))
        #expect(turn(&rig, 50) == .fallback)
        #expect(!rig.isBillable(DeliveryID(1), now: at(50)))
    }

    @Test func graceIsFiveSecondsAfterTheEnd() {
        var rig = RigRoute()
        rig.apply(update(1, until: 100), now: at(0))
        #expect(rig.isBillable(DeliveryID(1), now: at(104)))
        #expect(!rig.isBillable(DeliveryID(1), now: at(105)))
        rig.apply(update(2, delivery: nil), now: at(50))
        #expect(rig.isBillable(DeliveryID(1), now: at(54)))
        #expect(!rig.isBillable(DeliveryID(1), now: at(55)))
    }

    @Test func anEndThatIsLearnedLateIsTheTermsEnd() {
        var rig = RigRoute()
        rig.apply(update(1, until: 100), now: at(0))
        rig.apply(update(2, delivery: nil), now: at(200))
        #expect(!rig.isBillable(DeliveryID(1), now: at(200)))
        #expect(rig.isBillable(DeliveryID(1), now: at(104)))
    }

    @Test func aRenewalStartsCountingAnew() {
        var rig = RigRoute()
        rig.apply(update(1, maxWork: 10), now: at(0))
        rig.credit(Work(units: 10), delivery: DeliveryID(1))
        rig.apply(update(2, delivery: 2, until: 200, maxWork: 10), now: at(60))
        #expect(turn(&rig, 60) == .delivery(DeliveryID(2)))
        #expect(rig.isBillable(DeliveryID(2), now: at(60)))
    }

    @Test func theGraceOfASpentDeliveryIsSpentToo() {
        var rig = RigRoute()
        rig.apply(update(1, maxWork: 10), now: at(0))
        rig.credit(Work(units: 10), delivery: DeliveryID(1))
        rig.apply(update(2, delivery: nil), now: at(60))
        #expect(!rig.isBillable(DeliveryID(1), now: at(61)))
    }

    @Test func newTargetsOfTheSameDeliveryKeepItsCount() {
        var rig = RigRoute()
        rig.apply(update(1, maxWork: 10), now: at(0))
        rig.credit(Work(units: 10), delivery: DeliveryID(1))
        rig.apply(update(2, maxWork: 10, targets: [2]), now: at(1))
        #expect(turn(&rig, 2) == .fallback)
    }

    @Test func creditIsRestoredAndNeverLowered() {
        var rig = RigRoute()
        rig.apply(update(1, maxWork: 10), now: at(0))
        rig.restoreCredit(Work(units: 9), delivery: DeliveryID(1))
        rig.restoreCredit(Work(units: 3), delivery: DeliveryID(1))
        rig.restoreCredit(Work(units: 30), delivery: DeliveryID(2))
        rig.credit(Work(units: 1), delivery: DeliveryID(1))
        #expect(!rig.isBillable(DeliveryID(1), now: at(1)))
    }

    @Test func manyShortDeliveriesKeepTheLatestGraces() {
        var rig = RigRoute()
        for delivery in Int64(1)...80 { rig.apply(update(delivery, delivery: delivery), now: at(10)) }
        rig.apply(update(81, delivery: nil), now: at(10))
        #expect(rig.isBillable(DeliveryID(80), now: at(11)))
        #expect(rig.isBillable(DeliveryID(17), now: at(11)))
        #expect(!rig.isBillable(DeliveryID(1), now: at(11)))
    }

    @Test func aRigLingersAtItsTermsEnd() {
        var rig = RigRoute()
        rig.apply(update(1, until: 100), now: at(0))
        #expect(!rig.isLingering(DeliveryID(1), now: at(99)))
        #expect(rig.isLingering(DeliveryID(1), now: at(100)))
        #expect(!rig.isLingering(DeliveryID(1), now: at(100) + RigRoute.linger))
        rig.apply(update(2, until: 200, maxWork: 10), now: at(100))
        rig.credit(Work(units: 10), delivery: DeliveryID(1))
        #expect(!rig.isLingering(DeliveryID(1), now: at(200)))
    }
}
