import Settlement
import Testing

@Suite struct CanonicalTests {
    @Test func golden() throws {
        let json = CanonicalJSON.members([
            "b": .integer(-5), "a": .text("\"x\\\n é"), "c": .array([.null, .bool(true), .members([:])]),
        ])
        let text = #"{"a":"\"x\\\u000a é","b":-5,"c":[null,true,{}]}"#
        #expect(String(decoding: json.bytes, as: UTF8.self) == text)
        #expect(try CanonicalJSON(Array(text.utf8)[...]) == json)
    }

    @Test(arguments: [
        #"{"b":1,"a":2}"#, #"{"a":1,"a":2}"#, #"{"a": 1}"#, "01", "+1", "1.0", #""\u0041""#, #""\n""#, "[1,]", "", "nul", #"{"a":1}x"#,
        "99999999999999999999", "[[[[[[[[[1]]]]]]]]]", "\"\u{1}\"",
    ])
    func refusesOtherForms(_ text: String) {
        #expect((try? CanonicalJSON(Array(text.utf8)[...])) == nil)
    }
}
