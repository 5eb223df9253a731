import Exchange
import Testing
import Units
@testable import WebAPI

@Suite struct CSVTests {
    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""), ("a\r\nb", "\"a\r\nb\""),
        ("=1+1", "'=1+1"), ("+49", "'+49"), ("@x", "'@x"), ("-x", "'-x"), ("-12", "-12"), ("\tx", "'\tx"),
        ("=HYPERLINK(\"a\",\"b\")", "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\""), ("\r=1", "\"'\r=1\""), ("12", "12"),
    ]) func fields(text: String, written: String) {
        #expect(CSV.field(text) == written)
    }

    @Test func rowsEndAsTheRFCSays() {
        #expect(CSV.row(["a", "b"]) == "a,b\r\n")
    }

    @Test func unitsAreWrittenWhole() {
        #expect(UnitText.hashrate(Hashrate(hashesPerSecond: 1_000_000_000_000)) == "1 TH/s")
        #expect(UnitText.hashrate(Hashrate(hashesPerSecond: 100_000)) == "100 kH/s")
        #expect(UnitText.hashrate(Hashrate(hashesPerSecond: 1_500)) == "1500 H/s")
        #expect(UnitText.price(.sha256d) == "satoshis per PH/s per day")
    }

    @Test func base64AgreesWithTheRFC() {
        for (text, encoded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy")] {
            #expect(Base64URL.encode(text.utf8) == encoded)
        }
        #expect(Base64URL.encode([0xfb, 0xff]) == "-_8")
        #expect(APIKey.isWellFormed(APIKey.make(random: Array(repeating: 255, count: 32))))
    }

}
