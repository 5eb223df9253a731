import Settlement
import Testing
import Units

@Suite("Accounting periods")
struct AccountingPeriodTests {
    /// Every day from 1970 to 2105, with its month, against plain counting.
    @Test func daysFollowEachOther() throws {
        var (year, month, day) = (1970, 1, 1)
        for number in Int64(0)..<49_500 {
            let start = Timestamp(microseconds: number * 86_400_000_000)
            let last = Timestamp(microseconds: start.microseconds + 86_399_999_999)
            let period = try #require(AccountingPeriod(year: year, month: month, day: day))
            #expect(AccountingPeriod.day(of: start) == period && AccountingPeriod.day(of: last) == period)
            #expect(period.start == start && period.end.microseconds == last.microseconds + 1)
            let whole = try #require(AccountingPeriod(year: year, month: month))
            #expect(AccountingPeriod.month(of: start) == whole && whole.contains(last))
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let length = month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
            #expect(whole.end.microseconds - whole.start.microseconds == Int64(length) * 86_400_000_000)
            day += 1
            if day > length { (month, day) = (month + 1, 1) }
            if month > 12 { (year, month) = (year + 1, 1) }
        }
    }

    /// Each interval of five minutes lies in one day and in one month, also where clocks are put forward or back, at a month's end and
    /// around leap seconds.
    @Test(arguments: [
        "2026-03-29", "2026-10-25", "2026-11-01", "2026-12-31", "2027-01-01", "2016-12-31", "2017-01-01", "2028-02-29",
    ])
    func intervalsHaveOnePeriod(_ text: String) throws {
        let day = try #require(AccountingPeriod(text))
        let month = try #require(AccountingPeriod(String(text.prefix(7))))
        var intervals = 0
        for start in stride(from: day.start.microseconds, to: day.end.microseconds, by: 300_000_000) {
            for instant in [start, start + 299_999_999] {
                #expect(AccountingPeriod.day(of: Timestamp(microseconds: instant)) == day)
                #expect(AccountingPeriod.month(of: Timestamp(microseconds: instant)) == month)
            }
            intervals += 1
        }
        #expect(intervals == 288)
    }

    @Test func textsGoThereAndBack() throws {
        for text in ["1970-01", "2026-11", "2028-02-29", "9999-12-31"] { #expect(AccountingPeriod(text)?.description == text) }
        for text in ["", "2026", "2026-13", "2026-00", "2026-02-29", "2026-11-31", "2026-11-1", "2026/11", "1969-12", "２０２６-11", "2026-1é"] {
            #expect(AccountingPeriod(text) == nil, "\(text)")
        }
        #expect(AccountingPeriod.month(of: Timestamp(microseconds: -1)) == nil)
    }

    @Test func neighboursTouch() throws {
        let month = try #require(AccountingPeriod("2026-12"))
        #expect(month.next?.description == "2027-01" && month.previous?.description == "2026-11")
        #expect(month.next?.start == month.end)
        #expect(AccountingPeriod("2027-03-01")?.previous?.description == "2027-02-28")
        #expect(AccountingPeriod("1970-01")?.previous == nil && AccountingPeriod("9999-12")?.next == nil)
    }
}
