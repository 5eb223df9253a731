import Testing
import Units
@testable import WebAPI

@Suite struct TimesTests {
    @Test(arguments: [
        0, 1, 999_999, 951_782_400_000_000, 1_709_164_799_999_999, 1_709_164_800_000_000, 1_800_000_000_000_000,
        4_107_542_400_000_000, 253_402_300_799_999_999,
    ] as [Int64]) func agreesWithWhatIsWritten(microseconds: Int64) {
        let time = Timestamp(microseconds: microseconds)
        #expect(Timestamp(rfc3339: time.description) == time)
    }

    @Test func everyDayOfFourCenturies() {
        for day in 0..<Int64(146_097) {
            let time = Timestamp(microseconds: day * 86_400_000_000)
            #expect(Timestamp(rfc3339: time.description) == time)
        }
    }

    @Test(arguments: [
        ("1970-01-01T00:00:01Z", 1_000_000), ("1970-01-01T00:00:00.5Z", 500_000), ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-02T00:00:00+00:00", 86_400_000_000), ("2027-01-15T08:00:00Z", 1_800_000_000_000_000),
    ] as [(String, Int64)]) func forms(text: String, microseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31t12:00:00z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:60Z", "1969-12-31T23:59:59Z", "2026-01-31T12:00:00+01:00",
        "2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890Z", "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00ZZ", "+026-01-31T12:00:00Z", "2026-01-31T12:00:00.5", "２026-01-31T12:00:00Z", "2026-01-31T12:00:00.-1Z",
    ]) func others(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func timesOfDay() {
        for minute in 0...Int64(1440) { #expect(TimeOfDay.minute(TimeOfDay.text(minute)) == minute) }
        for text in ["", "6:00", "06:60", "24:01", "25:00", "06-00", "06:00:00", "-1:00", "0６:00"] {
            #expect(TimeOfDay.minute(text) == nil, "\(text)")
        }
    }
}
