import StratumProxy
import Testing
import Units

@Suite("Clock watch")
struct ClockWatchTests {
    private static let noon = Timestamp(microseconds: 1_800_000_000_000_000)

    /// Compares at a steady time of 1,000 s; the clock is ahead by so many ms, the round trip takes so many.
    private func compare(_ watch: inout ClockWatch, ahead: Int64, roundTrip: Int64 = 0, steady: Int64 = 1_000_000_000) -> Bool {
        watch.compared(
            sent: Self.noon + .milliseconds(ahead), sentSteady: steady, receivedSteady: steady + roundTrip * 1000,
            database: Self.noon + .milliseconds(roundTrip / 2))
    }

    @Test func whoKnowsNothingSells() {
        var watch = ClockWatch()
        #expect(watch.isSelling)
        #expect(watch.ahead == nil)
        let changed1 = watch.looked(at: Self.noon, steady: 1)
        #expect(!changed1)
        #expect(watch.isSelling)
    }

    /// Stops beyond 2 s in either direction, and sells again below 1 s.
    @Test(arguments: [1, -1] as [Int64])
    func hasTwoLimits(_ sign: Int64) {
        var watch = ClockWatch()
        let changed2 = compare(&watch, ahead: 2000 * sign)
        #expect(!changed2)
        #expect(watch.isSelling)
        let changed3 = compare(&watch, ahead: 2001 * sign)
        #expect(changed3)
        #expect(!watch.isSelling)
        #expect(watch.ahead == .milliseconds(2001 * sign))
        let changed4 = compare(&watch, ahead: 1000 * sign)
        #expect(!changed4)
        #expect(!watch.isSelling)
        let changed5 = compare(&watch, ahead: 999 * sign)
        #expect(changed5)
        #expect(watch.isSelling)
        let changed6 = compare(&watch, ahead: 2000 * sign)
        #expect(!changed6)
    }

    /// Half of the round trip is what a comparison cannot know.
    @Test func aSlowAnswerSaysLittle() {
        var watch = ClockWatch()
        let changed7 = compare(&watch, ahead: 2900, roundTrip: 2000)
        #expect(!changed7)
        #expect(watch.isSelling)
        #expect(watch.ahead == .milliseconds(2900))
        let changed8 = compare(&watch, ahead: 3100, roundTrip: 2000)
        #expect(changed8)
        let changed9 = compare(&watch, ahead: 0, roundTrip: 2000)
        #expect(!changed9)
        #expect(!watch.isSelling, "it may still be off by a second")
        let changed10 = compare(&watch, ahead: 0, roundTrip: 1000)
        #expect(changed10)
    }

    /// The database's time lies in the middle of the round trip.
    @Test func aRoundTripIsHalved() {
        var watch = ClockWatch()
        _ = watch.compared(
            sent: Self.noon, sentSteady: 5, receivedSteady: 400_005, database: Self.noon + .milliseconds(150))
        #expect(watch.ahead == .milliseconds(50))
    }

    /// A clock that is set while the database is away is noticed by the steady one.
    @Test func aClockThatIsSetIsNoticed() {
        var watch = ClockWatch()
        _ = compare(&watch, ahead: 100)
        let changed11 = watch.looked(at: Self.noon + .milliseconds(100) + .seconds(3600), steady: 4_600_000_000)
        #expect(!changed11)
        #expect(watch.ahead == .milliseconds(100))
        let changed12 = watch.looked(at: Self.noon + .milliseconds(100) + .seconds(3610), steady: 4_600_000_000)
        #expect(changed12)
        #expect(!watch.isSelling)
        #expect(watch.ahead == .milliseconds(10_100))
        let changed13 = watch.looked(at: Self.noon + .milliseconds(100) + .seconds(3601), steady: 4_601_000_000)
        #expect(changed13)
        #expect(watch.isSelling)
    }
}
