/// A point in time: microseconds since 1970-01-01T00:00:00Z, UTC, without leap seconds.
@frozen
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var microseconds: Int64

    @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
    public static let distantFuture = Timestamp(microseconds: .max)
    @inlinable public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
    @inlinable public static func + (a: Timestamp, b: Interval) -> Timestamp {
        Timestamp(microseconds: a.microseconds + b.microseconds)
    }
    @inlinable public static func - (a: Timestamp, b: Interval) -> Timestamp {
        Timestamp(microseconds: a.microseconds - b.microseconds)
    }
    @inlinable public static func - (a: Timestamp, b: Timestamp) -> Interval {
        Interval(microseconds: a.microseconds - b.microseconds)
    }

    /// The start of this time's minute, as minutes since 1970.
    @inlinable public var minute: Int64 { microseconds / 60_000_000 }

    /// Whole seconds since 1970, rounded down; times before 1970 do not occur.
    @inlinable public var seconds: Int64 { microseconds / 1_000_000 }

    /// RFC 3339, UTC, with microseconds: `2026-01-31T12:00:00.000000Z`.
    public var description: String {
        let day = Int64(86_400_000_000)
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: day)
        let (days, inDay) = rest < 0 ? (whole - 1, rest + day) : (whole, rest)
        let (year, month, dayOfMonth) = Timestamp.civil(fromDays: days)
        func pad(_ n: Int64, _ width: Int) -> String {
            let text = String(n)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let second = inDay / 1_000_000
        return pad(year, 4) + "-" + pad(month, 2) + "-" + pad(dayOfMonth, 2) + "T"
            + pad(second / 3600, 2) + ":" + pad(second / 60 % 60, 2) + ":" + pad(second % 60, 2)
            + "." + pad(inDay % 1_000_000, 6) + "Z"
    }

    /// Days since 1970-01-01 to a proleptic Gregorian date, by counting 400-year eras that start in March.
    static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

/// A span of time in microseconds.
@frozen
public struct Interval: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var microseconds: Int64

    @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }
    @inlinable public static func milliseconds(_ n: Int64) -> Interval { Interval(microseconds: n * 1000) }
    @inlinable public static func seconds(_ n: Int64) -> Interval { Interval(microseconds: n * 1_000_000) }
    @inlinable public static func < (a: Interval, b: Interval) -> Bool { a.microseconds < b.microseconds }
    public static let zero = Interval(microseconds: 0)
    public static let day = Interval.seconds(86_400)
    public var description: String { "\(microseconds) us" }
}
