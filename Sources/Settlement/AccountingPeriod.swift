public import Units

/// A calendar day or month, UTC: what books are closed by and statements are made for.
///
/// Days have 86,400 seconds (POSIX time has no leap seconds), whatever clocks elsewhere do: every instant from 1970 to 9999 belongs to
/// exactly one day and one month.
public struct AccountingPeriod: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let year: Int
    /// 1 to 12
    public let month: Int
    /// nil: the whole month
    public let day: Int?

    /// nil unless there is such a day or month, from 1970 to 9999.
    public init?(year: Int, month: Int, day: Int? = nil) {
        guard (1970...9999).contains(year), (1...12).contains(month) else { return nil }
        if let day, !(1...AccountingPeriod.days(year: year, month: month)).contains(day) { return nil }
        (self.year, self.month, self.day) = (year, month, day)
    }

    /// As `2026-11` or `2026-11-30`; nil for anything else.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 7 || bytes.count == 10, bytes[4] == UInt8(ascii: "-") else { return nil }
        guard let year = AccountingPeriod.number(bytes[0..<4]), let month = AccountingPeriod.number(bytes[5..<7]) else { return nil }
        guard bytes.count == 10 else {
            self.init(year: year, month: month)
            return
        }
        guard bytes[7] == UInt8(ascii: "-"), let day = AccountingPeriod.number(bytes[8..<10]) else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// The month of an instant; nil before 1970 and after 9999.
    public static func month(of time: Timestamp) -> AccountingPeriod? {
        day(of: time).flatMap { AccountingPeriod(year: $0.year, month: $0.month) }
    }

    /// The day of an instant; nil before 1970 and after 9999.
    public static func day(of time: Timestamp) -> AccountingPeriod? {
        guard time.microseconds >= 0 else { return nil }
        let (year, month, day) = civil(daysSince1970: time.microseconds / microsecondsPerDay)
        return AccountingPeriod(year: year, month: month, day: day)
    }

    /// The first instant.
    public var start: Timestamp { Timestamp(microseconds: firstDay * AccountingPeriod.microsecondsPerDay) }

    /// The first instant after it.
    public var end: Timestamp { Timestamp(microseconds: (firstDay + dayCount) * AccountingPeriod.microsecondsPerDay) }

    public func contains(_ time: Timestamp) -> Bool { start <= time && time < end }

    public var next: AccountingPeriod? {
        day == nil ? AccountingPeriod.month(of: end) : AccountingPeriod.day(of: end)
    }

    public var previous: AccountingPeriod? {
        let last = Timestamp(microseconds: start.microseconds - 1)
        return day == nil ? AccountingPeriod.month(of: last) : AccountingPeriod.day(of: last)
    }

    public var description: String {
        let text = AccountingPeriod.padded(year, 4) + "-" + AccountingPeriod.padded(month, 2)
        return day.map { text + "-" + AccountingPeriod.padded($0, 2) } ?? text
    }

    /// By their starts; a month before its first day.
    public static func < (a: AccountingPeriod, b: AccountingPeriod) -> Bool {
        (a.year, a.month, a.day ?? 0) < (b.year, b.month, b.day ?? 0)
    }

    private static let microsecondsPerDay: Int64 = 86_400_000_000

    private var firstDay: Int64 { AccountingPeriod.daysSince1970(year: year, month: month, day: day ?? 1) }

    private var dayCount: Int64 { day == nil ? Int64(AccountingPeriod.days(year: year, month: month)) : 1 }

    private static func days(year: Int, month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Gregorian. Years are counted from March on, so that a leap day ends one: 400 of them have 146,097 days.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int64 {
        let marchYear = Int64(month > 2 ? year : year - 1)
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    }

    private static func civil(daysSince1970: Int64) -> (year: Int, month: Int, day: Int) {
        let days = daysSince1970 + 719_468
        let dayOfCentury = days % 146_097
        let yearOfEra = (dayOfCentury - dayOfCentury / 1460 + dayOfCentury / 36_524 - dayOfCentury / 146_096) / 365
        let dayOfYear = dayOfCentury - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let place = (5 * dayOfYear + 2) / 153
        let month = place < 10 ? place + 3 : place - 9
        let year = yearOfEra + days / 146_097 * 400 + (month <= 2 ? 1 : 0)
        return (Int(year), Int(month), Int(dayOfYear - (153 * place + 2) / 5 + 1))
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
