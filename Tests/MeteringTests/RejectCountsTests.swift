import Metering
import Testing

@Suite struct RejectCountsTests {
    @Test func reasonsAreCountedApartAndSummed() {
        var counts = RejectCounts()
        #expect(counts.total == 0)
        for (times, reason) in RejectReason.allCases.enumerated() {
            for _ in 0...times { counts.count(reason) }
        }
        var sum = RejectCounts()
        sum += counts
        sum += RejectCounts()
        sum += counts
        for (times, reason) in RejectReason.allCases.enumerated() { #expect(sum[reason] == Int64(2 * (times + 1))) }
        #expect(sum.total == 2 * counts.total)
        #expect(Set(RejectReason.allCases.map(\.code)).count == RejectReason.allCases.count)
    }
}
