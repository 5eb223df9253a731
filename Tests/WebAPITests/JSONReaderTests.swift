import Testing
@testable import WebAPI

@Suite struct JSONReaderTests {
    private func read(_ text: String, depth: Int = 8) throws(JSONSyntaxError) -> JSONValue {
        try JSONReader.read(Array(text.utf8), depthLimit: depth)
    }

    @Test func readsAllKinds() throws {
        let value = try read(" {\"a\": [1, -2.5e3, true, false, null, \"\\u00e9\\n\\ud83d\\ude00ü\"], \"b\":{}}\n")
        #expect(value["a"].items == [
            .number("1"), .number("-2.5e3"), .bool(true), .bool(false), .null, .string("é\n😀ü"),
        ])
        #expect(value["b"] == .object([]))
    }

    @Test(arguments: [
        ("", 0), ("{", 1), ("{\"a\"}", 4), ("{\"a\":1,}", 7), ("[1,]", 3), ("[1 2]", 3), ("01", 1), ("1.", 2), ("-", 1),
        ("1e", 2), ("+1", 0), ("NaN", 0), ("tru", 3), ("\"a", 2), ("\"\\x\"", 2), ("\"\\u12g4\"", 5), ("{} {}", 3),
        ("\"\\ud800\"", 2), ("\"\\udc00x\"", 2), ("\"\u{1}\"", 1), ("{\"a\":1,\"a\":2}", 7), ("{a:1}", 1), ("'a'", 0),
    ]) func refuses(text: String, offset: Int) {
        #expect { try read(text) } throws: { ($0 as? JSONSyntaxError)?.offset == offset }
    }

    @Test func boundsDepth() throws {
        _ = try read(String(repeating: "[", count: 8) + String(repeating: "]", count: 8))
        #expect { try read(String(repeating: "[", count: 60_000)) } throws: { ($0 as? JSONSyntaxError)?.isTooDeep == true }
        #expect { try read(String(repeating: "{\"a\":", count: 9)) } throws: { ($0 as? JSONSyntaxError)?.isTooDeep == true }
    }

    @Test func namesTheFirstByteThatIsNotUTF8() {
        let cases: [([UInt8], Int)] = [
            ([0x22, 0xff, 0x22], 1), ([0x22, 0xc3, 0xa9, 0xc3, 0x22], 3), ([0x22, 0xed, 0xa0, 0x80, 0x22], 1),
        ]
        for (bytes, offset) in cases {
            #expect { try JSONReader.read(bytes, depthLimit: 8) } throws: { ($0 as? JSONSyntaxError)?.offset == offset }
        }
    }

    @Test func everyBeginningIsIncomplete() {
        let text = Array(#"{"price":12,"ids":[1,2],"text":"a\u00e9b","x":{"y":null}}"#.utf8)
        for length in text.indices {
            #expect(throws: JSONSyntaxError.self) { try JSONReader.read(Array(text[..<length]), depthLimit: 8) }
        }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4]) func survivesDamage(seed: UInt64) {
        let text = Array(#"{"price":-12.5e+7,"ids":[1,2],"text":"a\u00e9\\b","x":{"y":null,"z":true}}"#.utf8)
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        for _ in 0..<5000 {
            var damaged = text
            for _ in 0...random(4) { damaged[random(damaged.count)] = UInt8(random(256)) }
            _ = try? JSONReader.read(damaged, depthLimit: 8)
        }
    }
}
