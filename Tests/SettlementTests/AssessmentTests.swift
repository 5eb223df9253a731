import Settlement
import TestSupport
import Testing
import Units

@Suite struct AssessmentTests {
    private let limit = Work(units: 30)
    private let enough = Work(units: 1 << 50)

    private func slot(_ minute: Int64, _ work: Int64, _ forwarded: Int64 = 100, failed: Int64 = 0) -> SlotWork {
        SlotWork(minute: minute, billable: Work(units: work), forwarded: forwarded, rejected: failed / 2, unanswered: failed - failed / 2)
    }

    @Test func soundWorkIsBilledWhole() {
        let assessed = Assessment([slot(1, 100), slot(2, 50)], limit: limit, cap: enough)
        #expect(assessed.billable == Work(units: 150))
        #expect(assessed.fault == .zero)
        #expect(assessed.overDelivery == .zero)
        #expect(assessed.faultExcess == .zero)
    }

    @Test func faultWorkIsTheFailedPartRoundedDown() {
        #expect(slot(1, 100, 3, failed: 1).fault == Work(units: 33))
        #expect(slot(1, 100, 3, failed: 3).fault == Work(units: 100))
        // Replies that came before their shares.
        #expect(slot(1, 100, 2, failed: 9).fault == Work(units: 100))
        #expect(slot(1, 100, 0, failed: 9).fault == .zero)
        #expect(slot(1, 1 << 52, 1 << 40, failed: 1 << 39).fault == Work(units: 1 << 51))
    }

    @Test func fivePercentIsAnIncident() {
        #expect(!slot(1, 100, 100, failed: 4).isIncident)
        #expect(slot(1, 100, 100, failed: 5).isIncident)
        #expect(!slot(1, 100, 101, failed: 5).isIncident)
        #expect(!slot(1, 100, 0, failed: 5).isIncident)
        #expect(!slot(1, 100, 100).isIncident)
    }

    @Test func anIncidentBillsHalfAMinuteAtMost() {
        let slots = [slot(10, 20, failed: 100), slot(11, 20, failed: 100), slot(12, 20)]
        let assessed = Assessment(slots, limit: limit, cap: enough)
        #expect(assessed.faultExcess == Work(units: 10))
        #expect(assessed.billable == Work(units: 50))
        #expect(assessed.fault == limit)
    }

    @Test func aSoundMinuteOrAGapEndsAnIncident() {
        let sound = [slot(10, 20, failed: 100), slot(11, 20, failed: 100), slot(12, 100, failed: 4), slot(13, 25, failed: 100)]
        let assessed = Assessment(sound, limit: limit, cap: enough)
        #expect(assessed.faultExcess == Work(units: 10))
        // The minute below 5 % is fault work without a limit.
        #expect(assessed.fault == Work(units: 30 + 4 + 25))
        let gap = [slot(10, 40, failed: 100), slot(12, 40, failed: 100)]
        #expect(Assessment.faultExcess(gap, limit: limit) == Work(units: 20))
    }

    @Test func workAboveTheCapIsOverDelivery() {
        let assessed = Assessment([slot(1, 100, failed: 100)], limit: limit, cap: Work(units: 20))
        #expect(assessed.faultExcess == Work(units: 70))
        #expect(assessed.overDelivery == Work(units: 10))
        #expect(assessed.billable == Work(units: 20))
        #expect(assessed.fault == Work(units: 20))
    }

    /// The sums that a database makes decide without the slots whether an incident may be over its limit.
    @Test(arguments: Seeds.list(20)) func sumsSayWhenSlotsMatter(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 1...200 {
            var minute: Int64 = 100
            let slots = (0..<random.int(0...8)).map { _ in
                minute += random.pick([1, 1, 1, 2, 5])
                let forwarded = random.int64(0...40)
                return slot(minute, random.int64(0...60), forwarded, failed: random.chance(50) ? random.int64(0...forwarded + 3) : 0)
            }
            let excess = Assessment.faultExcess(slots, limit: limit)
            if !SlotSums(slots).mayExceed(limit: limit) { #expect(excess == .zero, "seed \(seed)") }
            let assessed = Assessment(slots, limit: limit, cap: Work(units: random.int64(0...200)))
            let all = assessed.billable + assessed.overDelivery + assessed.faultExcess
            #expect(all == SlotSums(slots).billable, "seed \(seed)")
            #expect(assessed.fault <= assessed.billable && assessed.fault >= .zero, "seed \(seed)")
            // One minute more never takes back what was billed.
            let before = Assessment(Array(slots.dropLast()), limit: limit, cap: enough)
            #expect(before.billable <= Assessment(slots, limit: limit, cap: enough).billable, "seed \(seed)")
        }
    }
}

@Suite struct LateSharesTests {
    private func slot(_ minute: Int64, _ work: Int64) -> SlotWork { SlotWork(minute: minute, billable: Work(units: work), forwarded: 0) }
    private func interval(_ from: Int64, _ to: Int64, _ work: Int64) -> IntervalWork {
        IntervalWork(from: from, to: to, work: Work(units: work))
    }

    private func split(_ late: Int64, _ slots: [SlotWork], _ settled: [IntervalWork]) -> [IntervalWork] {
        LateShares.split(Work(units: late), slots: slots, settled: settled, width: 5)
    }

    @Test func lateWorkNamesItsInterval() {
        let slots = [slot(10, 7), slot(14, 3), slot(15, 20)]
        #expect(split(4, slots, [interval(10, 15, 6), interval(15, 20, 20)]) == [interval(10, 15, 4)])
        #expect(split(0, slots, [interval(10, 15, 6)]) == [])
    }

    @Test func neverBilledMinutesLieOnTheGrid() {
        #expect(split(13, [slot(11, 7), slot(12, 1), slot(16, 5)], []) == [interval(10, 15, 8), interval(15, 20, 5)])
    }

    @Test func intervalsThatOverlapAreOne() {
        let settled = [interval(10, 20, 5), interval(15, 25, 6), interval(10, 20, -1)]
        #expect(split(3, [slot(11, 7), slot(21, 6)], settled) == [interval(10, 25, 3)])
    }

    @Test func theCapIsOfTheDelivery() {
        // The first interval was billed less than its slots hold, for its cap: what is late is no more than said.
        let slots = [slot(10, 50), slot(15, 9)]
        #expect(split(4, slots, [interval(10, 15, 50), interval(15, 20, 7)]) == [interval(15, 20, 4)])
        #expect(split(4, slots, [interval(10, 15, 60), interval(15, 20, 10)]) == [interval(15, 20, 4)])
    }

    @Test func thereAreNotManyParts() {
        let slots = (0..<200).map { slot(Int64($0) * 5, 1) }
        let parts = split(200, slots, [])
        #expect(parts.count == LateShares.most)
        #expect(parts.last == interval(63 * 5, 1000, 137))
        #expect(parts.reduce(0) { $0 + $1.work.units } == 200)
    }
}
