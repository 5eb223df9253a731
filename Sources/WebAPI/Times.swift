internal import Units

extension Timestamp {
    /// Reads a time with its date as RFC 3339 writes it, in UTC: `2026-01-31T12:00:00Z`, with `+00:00` for `Z` and up to nine
    /// digits of a second's fraction, of which the first six count.
    ///
    /// nil for anything else: other offsets, dates that do not exist, leap seconds, years before 1970.
    init?(rfc3339 text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.count <= 35, Digits.separators(of: bytes) else { return nil }
        let parts = [0..<4, 5..<7, 8..<10, 11..<13, 14..<16, 17..<19].compactMap { Digits.number(bytes[$0]) }
        guard parts.count == 6, let fraction = Timestamp.microseconds(afterSecond: bytes[19...]) else { return nil }
        let (year, month, day) = (parts[0], parts[1], parts[2])
        guard year >= 1970, let days = Timestamp.days(year: year, month: month, day: day), parts[3] < 24, parts[4] < 60,
            parts[5] < 60
        else { return nil }
        let seconds = ((days * 24 + parts[3]) * 60 + parts[4]) * 60 + parts[5]
        self.init(microseconds: seconds * 1_000_000 + fraction)
    }

    /// The fraction in front of the offset, which must be zero.
    private static func microseconds(afterSecond rest: ArraySlice<UInt8>) -> Int64? {
        let offset = rest.last == UInt8(ascii: "Z") ? rest.suffix(1) : rest.suffix(6)
        guard offset.count == 1 || offset.elementsEqual("+00:00".utf8) else { return nil }
        let fraction = rest.dropLast(offset.count)
        guard let point = fraction.first else { return 0 }
        let digits = fraction.dropFirst()
        guard point == UInt8(ascii: "."), (1...9).contains(digits.count), Digits.number(digits) != nil else { return nil }
        let sixth = Array(digits.prefix(6)) + Array(repeating: UInt8(ascii: "0"), count: max(0, 6 - digits.count))
        return Digits.number(sixth[...])
    }

    /// Days from 1970-01-01 to a date of the Gregorian calendar; nil if there is no such date.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...lengths[Int(month) - 1]).contains(day) else { return nil }
        // Leap days in the years before this one, 0 to year - 1, and those before 1970.
        let past = year - 1
        let leapDays = past / 4 - past / 100 + past / 400 - 477
        return (year - 1970) * 365 + leapDays + lengths.prefix(Int(month) - 1).reduce(0, +) + day - 1
    }
}

/// Times of day in minutes, as `06:30`.
enum TimeOfDay {
    /// 0 to 1440; nil for what is not `00:00` to `24:00`.
    static func minute(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 5, bytes[2] == UInt8(ascii: ":"), let hour = Digits.number(bytes[..<2]),
            let minute = Digits.number(bytes[3...]), minute < 60, hour * 60 + minute <= 1440
        else { return nil }
        return hour * 60 + minute
    }

    static func text(_ minute: Int64) -> String {
        func pad(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
        return "\(pad(minute / 60)):\(pad(minute % 60))"
    }
}

private enum Digits {
    /// nil if there is anything but 1 to 9 ASCII digits.
    static func number(_ bytes: ArraySlice<UInt8>) -> Int64? {
        guard (1...9).contains(bytes.count), bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return bytes.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    /// Whether `2026-01-31T12:00:00` has its separators in their places.
    static func separators(of bytes: [UInt8]) -> Bool {
        let expected: [(Int, UInt8)] = [
            (4, UInt8(ascii: "-")), (7, UInt8(ascii: "-")), (10, UInt8(ascii: "T")), (13, UInt8(ascii: ":")),
            (16, UInt8(ascii: ":")),
        ]
        return expected.allSatisfy { bytes[$0] == $1 }
    }
}
