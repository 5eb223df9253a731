import Exchange
import OrderBook
import Testing
import Units

/// Second 0 is 22:13:20 UTC: minute 1334 of the day begins at 40 s, 1335 at 100 s, and midnight is at 6400 s.
@Suite struct ScheduleTests {
    private static func windows(_ windows: (Int64, Int64)...) -> DailySchedule {
        DailySchedule(windows: windows.map { DailySchedule.Window(from: $0.0, to: $0.1) })
    }

    /// o1 sells two lots at 90 by a schedule, o2 wants them.
    private func market(_ schedule: DailySchedule, bidAt: Int64 = 50) -> Scenario {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, schedule: schedule, at: 1)
        s.bid(1, 100, 2, at: bidAt)
        return s
    }

    @Test func anAskClosesAtTheMinuteAndOpensAgain() {
        var s = market(Self.windows((0, 1335)))
        s.advance(to: 99)
        #expect(s.news() == ["o1 placed", "o2 placed", "d1: o2 buys 2 of o1 at 90, 50 to 100 s"])
        s.advance(to: 100)
        #expect(s.news() == ["d1 ended at 100 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped"])
        s.advance(to: 6399)
        #expect(s.news() == ["d1 hold released"])
        #expect(s.market.exchange.nextDeadline.map(Scenario.seconds) == 6400)
        s.advance(to: 6400)
        #expect(s.news() == ["o1 resumed", "d2: o2 buys 2 of o1 at 100, 6400 to 6460 s"])
    }

    @Test func overMidnight() {
        var s = market(Self.windows((1335, 10)))
        #expect(s.order(1)?.status == .suspended(.outsideSchedule))
        _ = s.news()
        s.advance(to: 100)
        #expect(s.news() == ["o1 resumed", "d1: o2 buys 2 of o1 at 100, 100 to 160 s"])
        s.cancel(2, at: 101)
        s.bid(2, 100, 2, at: 6980)
        s.advance(to: 7000)
        #expect(s.news().suffix(4) == [
            "d2: o3 buys 2 of o1 at 90, 6980 to 7000 s", "d2 ended at 7000 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped",
        ])
    }

    @Test func windowsThatTouchOrOverlapAreOne() {
        var s = market(Self.windows((1334, 1336), (1336, 1338), (1337, 1339)), bidAt: 130)
        #expect(s.news().last == "d1: o2 buys 2 of o1 at 90, 130 to 190 s")
        s.advance(to: 190)
        s.advance(to: 250)
        s.advance(to: 310)
        s.advance(to: 340)
        #expect(s.news().filter { $0.hasPrefix("d") } == [
            "d1 ended at 190 s: term", "d2: o2 buys 2 of o1 at 90, 190 to 250 s",
            "d2 ended at 250 s: term", "d3: o2 buys 2 of o1 at 90, 250 to 310 s",
            "d3 ended at 310 s: term", "d4: o2 buys 2 of o1 at 90, 310 to 340 s",
            "d4 ended at 340 s: askPaused",
        ])
    }

    @Test func severalWindows() {
        var s = market(Self.windows((1335, 1336), (0, 1334)), bidAt: 2)
        for second in [40, 100, 160] as [Int64] { s.advance(to: second) }
        #expect(s.news() == [
            "o1 placed", "o2 placed", "d1: o2 buys 2 of o1 at 90, 2 to 40 s",
            "d1 ended at 40 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped",
            "o1 resumed", "d2: o2 buys 2 of o1 at 100, 100 to 160 s",
            "d2 ended at 160 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped",
        ])
    }

    @Test func nothingIsSoldThatClosesBeforeTheShortestTerm() throws {
        var s = market(Self.windows((0, 1335)), bidAt: 91)
        #expect(s.news() == ["o1 placed", "o2 placed"])
        let bid = try #require(s.order(2)), ask = try #require(s.order(1)), rig = try #require(s.state.rigs[RigID(1)])
        #expect(s.state.passedOver(bid, ask, rig, at: Scenario.start + .seconds(91)) == .endsTooSoon)
        #expect(s.state.passedOver(bid, ask, rig, at: Scenario.start + .seconds(90)) == nil)
    }

    @Test func allDayNeverCloses() {
        for schedule in [Self.windows((0, 1440)), Self.windows((600, 599), (598, 600)), Self.windows((0, 720), (720, 1440))] {
            var s = market(schedule, bidAt: 6390)
            #expect(s.news().last == "d1: o2 buys 2 of o1 at 90, 6390 to 6450 s")
        }
    }

    @Test func anAskThatOpensAgainIsBehindTheOthers() {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.ask(3, rig: 1, 90, schedule: Self.windows((1335, 1336)), at: 1)
        s.sell(4, lots: 2, 90, at: 2)
        s.advance(to: 100)
        #expect(s.book(.ask) == ["o2: 2 at 90", "o1: 2 at 90"])
    }

    /// It closed at 100 s and opened at 160 s, and nobody looked before 170 s.
    @Test func aLateClockDoesNotMissAClosing() {
        var s = market(Self.windows((0, 1335), (1336, 1440)))
        _ = s.news()
        s.advance(to: 170)
        #expect(s.news() == ["d1 ended at 100 s: askPaused", "o1 restamped", "d2: o2 buys 2 of o1 at 100, 170 to 230 s"])
    }

    /// d1's term is at 70 s, the ask closes at 100 s, and the clock comes by at 120 s: it is not sold again.
    @Test func aLateClockSellsNothingThatIsClosedByNow() {
        var s = market(Self.windows((0, 1335)), bidAt: 10)
        _ = s.news()
        s.advance(to: 120)
        #expect(s.news() == ["d1 ended at 70 s: term", "o1 suspended: outsideSchedule"])
    }

    @Test func aRigThatIsAwayIsTheReasonFirst() {
        var s = market(Self.windows((0, 1334)))
        s.offline(1, at: 51)
        #expect(s.order(1)?.status == .suspended(.rigOffline))
        s.online(1, at: 52)
        #expect(s.order(1)?.status == .suspended(.outsideSchedule))
        s.amend(1, .schedule(nil), at: 53)
        #expect(s.news().suffix(3) == ["o1 amended: 2 at 90", "o1 resumed", "d1: o2 buys 2 of o1 at 100, 53 to 113 s"])
    }

    @Test func anAmendedScheduleIsFollowed() {
        var s = market(Self.windows((0, 1335)))
        s.amend(1, .schedule(Self.windows((0, 1337))), at: 60)
        s.advance(to: 100)
        // The delivery keeps its end; the ask does not close.
        #expect(s.news().suffix(2) == ["d1 ended at 100 s: term", "d2: o2 buys 2 of o1 at 90, 100 to 160 s"])
        s.advance(to: 160)
        s.advance(to: 220)
        #expect(s.news().suffix(3) == ["d3 ended at 220 s: askPaused", "o1 suspended: outsideSchedule", "o1 restamped"])
    }

    @Test(arguments: [
        [], Array(repeating: (0, 10), count: 9), [(5, 5)], [(-1, 5)], [(0, 1441)], [(1440, 5)], [(.min, .max)], [(.max, .min)],
        [(0, 10), (3, .max)], [(0, -1)],
    ] as [[(Int64, Int64)]])
    func schedulesThatCannotBe(_ windows: [(Int64, Int64)]) {
        var s = Scenario()
        s.rig(3, lots: 2)
        let schedule = DailySchedule(windows: windows.map { .init(from: $0.0, to: $0.1) })
        s.refused(.scheduleInvalid) { $0.ask(3, rig: 1, 90, schedule: schedule, at: 1) }
    }

    @Test(arguments: [Instructions.ioc, .fok])
    func immediateAsksHaveNone(_ how: Instructions) {
        var s = Scenario()
        s.rig(3, lots: 2)
        s.refused(.instructionsContradict) { $0.ask(3, rig: 1, 90, how, schedule: Self.windows((0, 10)), at: 1) }
    }
}
