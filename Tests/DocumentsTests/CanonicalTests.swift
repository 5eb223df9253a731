import Settlement
import Testing
import Units

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

/// The canonical bytes of a small statement: whoever changes them changes the format's name.
@Suite struct StatementGoldenTests {
    static let frame = StatementFrame(
        account: AccountID(3), algorithm: .sha256d, period: AccountingPeriod("2026-11-30"),
        start: AccountingPeriod("2026-11-30")!.start, end: AccountingPeriod("2026-11-30")!.end,
        opening: CustomerFunds(available: 1000, held: 50), closing: CustomerFunds(available: 1490, held: 48),
        movements: [.init(kind: 1, entries: 1, amount: 500), .init(kind: 3, entries: 1, amount: -12)],
        market: LegalParty(name: "M", address: ["a"], country: "DE", taxID: "", currency: nil),
        party: LegalParty(name: "P", address: ["b", "c"], country: "FR", taxID: "1", currency: "EUR"),
        issue: DocumentIssue(
            number: 7, version: 1, position: 9, previous: Array(repeating: 0xab, count: 32), issuedAt: AccountingPeriod("2026-12-01")!.start))

    static let entry = StatementEntry(
        id: 4, at: frame.start, valueAt: frame.start, kind: 1, reference: "deposit:x", reason: nil, amount: 500)

    static let line = StatementLine(
        number: 11, delivery: 5, bid: 1, ask: 2, rig: 8, tariff: 1, run: 3, buyer: 3, seller: 4, at: frame.start, valueAt: frame.start,
        code: .delivery, fromMinute: frame.start.minute, toMinute: frame.start.minute + 5, work: 15_258_789_063,
        terms: Terms(
            price: Price(1000), priceUnit: Hashrate(hashesPerSecond: 1_000_000_000_000_000), sellerFee: PartsPerMillion(10_000),
            buyerFee: PartsPerMillion(100_000)),
        amounts: LineAmounts(charge: Satoshis(11), sellerFee: .zero, buyerFee: Satoshis(1)), fromHold: 12, fromAvailable: 0, fromLoss: 0,
        sellerShort: 0, credit: nil)

    static let entryText = #"{"amount":500,"at":"2026-11-30T00:00:00.000000Z","kind":"deposit","kindNumber":1,"number":4,"reason":null,"#
        + #""reference":"deposit:x","type":"entry","valueAt":"2026-11-30T00:00:00.000000Z"}"# + "\n"

    static let lineText = #"{"ask":2,"at":"2026-11-30T00:00:00.000000Z","averageHashrate":3333333333442,"bid":1,"borne":0,"charge":11,"#
        + #""code":"delivery","counterparty":4,"credit":null,"delivery":5,"exahashes":"0.001000000000032768","fee":1,"feePPM":100000,"#
        + #""from":"2026-11-30T00:00:00.000000Z","net":-12,"number":11,"price":1000,"priceUnit":1000000000000000,"rig":8,"role":"buyer","#
        + #""run":3,"to":"2026-11-30T00:05:00.000000Z","type":"line","valueAt":"2026-11-30T00:00:00.000000Z","work":15258789063}"# + "\n"

    static let headerText = #"{"account":3,"body":"cdcd","closing":{"available":1490,"held":48,"leaving":0,"total":1538},"entries":1,"#
        + #""fiat":{"currency":"EUR","days":[{"borne":"0.00","bought":"0.01","date":"2026-11-30","fees":"0.00","other":"0.31","#
        + #""rate":"61234.5","sold":"0.00"}],"totals":{"borne":"0.00","bought":"0.01","fees":"0.00","other":"0.31","sold":"0.00"}},"#
        + #""format":"hashspot-document-1","from":"2026-11-30T00:00:00.000000Z","hashesPerUnit":65536,"#
        + #""issue":{"issuedAt":"2026-12-01T00:00:00.000000Z","number":7,"position":9,"#
        + #""previous":"abababababababababababababababababababababababababababababababab","supersedes":null,"version":1},"kind":"statement","#
        + #""lines":1,"market":"SHA256D","movements":[{"amount":500,"entries":1,"kind":"deposit","kindNumber":1},{"amount":-12,"entries":1,"#
        + #""kind":"settlement","kindNumber":3}],"opening":{"available":1000,"held":50,"leaving":0,"total":1050},"#
        + #""parties":{"account":{"address":["b","c"],"country":"FR","currency":"EUR","name":"P","taxID":"1"},"#
        + #""market":{"address":["a"],"country":"DE","currency":null,"name":"M","taxID":""}},"period":"2026-11-30","#
        + #""to":"2026-12-01T00:00:00.000000Z","totals":[{"borne":"0","charge":"11","code":"delivery","fee":"1","lines":1,"net":"-12","#
        + #""role":"buyer","work":"15258789063"}]}"# + "\n"

    private func made(_ frame: StatementFrame) throws -> [String] {
        var builder = StatementBuilder(account: frame.account, algorithm: frame.algorithm, range: frame.start..<frame.end)
        let entry = try builder.add(StatementGoldenTests.entry)
        let line = try builder.add(StatementGoldenTests.line)
        let rate = try #require(FiatRate("61234.5"))
        let header = try builder.header(frame, body: [0xcd, 0xcd], rates: [AccountingPeriod("2026-11-30")!: rate])
        return [header, entry, line].map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func golden() throws {
        #expect(try made(Self.frame) == [Self.headerText, Self.entryText, Self.lineText])
    }

    @Test func balancesAndSumsMustMeet() {
        for (name, change) in [
            ("closing", { $0.closing.available += 1 }), ("opening", { $0.opening.leaving += 1 }),
            ("billed", { $0.movements[1].amount -= 1 }), ("deposits", { $0.movements[0].amount += 1 }),
            ("entries", { $0.movements[0].entries += 1 }),
        ] as [(String, (inout StatementFrame) -> Void)] {
            var frame = Self.frame
            change(&frame)
            #expect((try? made(frame)) == nil, "\(name)")
        }
    }

    @Test func theOtherSideSeesItsOwn() throws {
        let side = Self.line.side(of: AccountID(4))
        #expect((side.role, side.counterparty, side.fee, side.net) == ("seller", 3, 0, 11))
    }
}
