import TestSupport
import Testing
import Units

@Suite struct TargetTests {
    @Test func difficultyOneIsTheUsualTarget() {
        let one = ShareDifficulty(units: 65_536)
        #expect(one.target.description == "00000000ffff0000000000000000000000000000000000000000000000000000")
        #expect(Target(nbits: 0x1d00_ffff) == one.target)
        #expect(DecimalDifficulty(mantissa: 1, scale: 0)?.target == one.target)
    }

    @Test func oneUnitIsTheEasiestAssignableDifficulty() {
        #expect(ShareDifficulty(units: 1).target.description
            == "0000ffff00000000000000000000000000000000000000000000000000000000")
        #expect(ShareDifficulty(units: 1).decimal == "0.0000152587890625")
        #expect(ShareDifficulty(units: 16).decimal == "0.000244140625")
        #expect(ShareDifficulty(units: 65_536 * 1000).decimal == "1000")
    }

    @Test func nbitsRefusesWhatIsNoTarget() {
        #expect(Target(nbits: 0) == nil)
        #expect(Target(nbits: 0x1d80_0001) == nil)
        #expect(Target(nbits: 0xff00_ffff) == nil)
        #expect(Target(nbits: 0x0100_0012) == nil)
        #expect(Target(nbits: 0x0300_0012)?.l0 == 0x12)
        #expect(Target(nbits: 0x207f_ffff)?.l3 == 0x7fff_ff00_0000_0000)
    }

    @Test func fractionsAreExact() throws {
        let thousandth = try #require(DecimalDifficulty(mantissa: 1, scale: 3))
        #expect(thousandth.wholeUnits == 65)
        // 0xffff x 2^208 x 1000
        #expect(thousandth.target.description == "000003e7fc180000000000000000000000000000000000000000000000000000")
        #expect(thousandth.description == "0.001")
        #expect(DecimalDifficulty(mantissa: 1, scale: 18)?.target == .max)
        #expect(DecimalDifficulty(mantissa: 1, scale: 18)?.wholeUnits == 0)
        #expect(DecimalDifficulty(mantissa: 0, scale: 0) == nil)
    }
}

@Suite struct TimeTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        (1_785_542_399_999_999, "2026-07-31T23:59:59.999999Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ] as [(Int64, String)])
    func printsRFC3339(_ microseconds: Int64, _ text: String) {
        #expect(Timestamp(microseconds: microseconds).description == text)
    }
}

@Suite struct RoundingTests {
    @Test func namesItsDirection() {
        #expect(Rounding.down(7, by: 2) == 3)
        #expect(Rounding.up(7, by: 2) == 4)
        #expect(Rounding.up(8, by: 2) == 4)
        #expect(Rounding.up(0, by: 2) == 0)
    }
}
