import Settlement
import Testing
import Units

@Suite struct RateTests {
    @Test(arguments: [
        ("61234.50", 100_000_000, 6_123_450), ("0.01", 50_000_000, 0), ("0.01", 150_000_000, 2), ("0.01", -50_000_000, 0),
        ("0.01", -150_000_000, -2), ("0.01", 50_000_001, 1), ("1", 2_100_000_000_000_000, 2_100_000_000),
        ("999999999999", 2_100_000_000_000_000, 2_099_999_999_997_900_000_000 as Int128),
    ] as [(String, Int64, Int128)])
    func valuesAreRoundedToTheEvenHundredth(rate: String, amount: Int64, expected: Int128) throws {
        #expect(Int128(try #require(FiatRate(rate)).hundredths(Satoshis(amount))) == min(expected, Int128(Int64.max)))
    }

    @Test(arguments: ["", "0", "0.0", "-1", "+1", "1e5", "1,5", " 1", "1.", ".5", "1.123456789", "1234567890123", "٣"])
    func refuses(_ text: String) { #expect(FiatRate(text) == nil) }

    @Test func linesAreRefusedOneByOne() {
        let file = "date,currency,rate\n2026-11-30,EUR,61234.50\r\n2026-11-31,EUR,1\n2026-11,EUR,1\n2026-11-29,eur,1\n2026-11-28,EUR,x\n"
            + "2026-11-30,EUR,1\n\n\"2026-11-30\",\"USD\",\"70000\"\n2026-11-27,EUR\n"
        let (rates, flaws) = RateFile.read(Array(file.utf8))
        #expect(rates.map(\.line) == [2, 9])
        #expect(rates.map(\.rate.rate.description) == ["61234.50", "70000"])
        #expect(flaws.map(\.line) == [3, 4, 5, 6, 7, 10])
    }

    @Test func decimals() {
        #expect(ExactDecimal.text(-5, scale: 2) == "-0.05")
        #expect(ExactDecimal.short(1_500_000_000_000_000_000, scale: 18) == "1.5")
        #expect(ExactDecimal.short(0, scale: 18) == "0")
        #expect(ExactDecimal.halfEven(-25, by: 10) == -2)
        #expect(ExactDecimal.halfEven(35, by: 10) == 4)
    }
}
