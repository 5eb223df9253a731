internal import Units

/// An extract's records: what a statement follows from, without what it says itself.
///
/// A file of canonical JSON, one record a line: `frame`, `rate`s, `entry`s, then for every bill that the statement touches an `opening`
/// record with its cumulative totals in front of its first line, `context` records of lines that belong to other periods but to the same
/// bills, and `line`s, which have work, price and terms but no charge or fee (credits, which people decide, have their amounts).
public enum ExtractRecord {
    public static let format = "hashspot-extract-1"

    public static func frame(_ frame: StatementFrame) -> CanonicalJSON {
        .members([
            "type": .text("frame"), "format": .text(format), "account": .integer(frame.account.rawValue),
            "market": .text(frame.algorithm.rawValue), "period": .optional(frame.period?.description),
            "from": .text(frame.start.description), "to": .text(frame.end.description), "opening": frame.opening.json,
            "closing": frame.closing.json, "issue": frame.issue?.json ?? .null, "marketParty": frame.market?.json ?? .null,
            "accountParty": frame.party?.json ?? .null,
            "movements": .array(frame.movements.map {
                .members(["kind": .integer($0.kind), "entries": .integer($0.entries), "amount": .integer($0.amount)])
            }),
        ])
    }

    public static func rate(_ date: AccountingPeriod, _ rate: FiatRate) -> CanonicalJSON {
        .members(["type": .text("rate"), "date": .text(date.description), "rate": .text(rate.description)])
    }

    public static func opening(_ key: BillKey, _ totals: BillingTotals) -> CanonicalJSON {
        .members([
            "type": .text("opening"), "bid": .integer(key.bid), "ask": .integer(key.ask), "rig": .integer(key.rig),
            "tariff": .integer(key.tariff), "weightedWork": .wide(totals.weightedWork), "charge": .integer(totals.charge.rawValue),
            "sellerFee": .integer(totals.sellerFee.rawValue), "buyerFee": .integer(totals.buyerFee.rawValue),
        ])
    }

    /// - Parameter isContext: of another period
    public static func line(_ line: StatementLine, isContext: Bool) -> CanonicalJSON {
        let isCredit = line.code == .credit
        return .members([
            "type": .text(isContext ? "context" : "line"), "number": .integer(line.number), "delivery": .integer(line.delivery),
            "bid": .integer(line.bid), "ask": .integer(line.ask), "rig": .integer(line.rig), "tariff": .integer(line.tariff),
            "run": .integer(line.run), "buyer": .integer(line.buyer), "seller": .integer(line.seller),
            "at": .text(line.at.description), "valueAt": .text(line.valueAt.description), "code": .integer(Int64(line.code.rawValue)),
            "fromMinute": .integer(line.fromMinute), "toMinute": .integer(line.toMinute), "work": .integer(line.work),
            "price": .integer(line.terms.price.rawValue), "priceUnit": .integer(line.terms.priceUnit.hashesPerSecond),
            "sellerFeePPM": .integer(line.terms.sellerFee.rawValue), "buyerFeePPM": .integer(line.terms.buyerFee.rawValue),
            "fromHold": .integer(line.fromHold), "fromAvailable": .integer(line.fromAvailable), "fromLoss": .integer(line.fromLoss),
            "sellerShort": .integer(line.sellerShort), "credit": .optional(line.credit),
            "charge": isCredit ? .integer(line.amounts.charge.rawValue) : .null,
            "sellerFee": isCredit ? .integer(line.amounts.sellerFee.rawValue) : .null,
            "buyerFee": isCredit ? .integer(line.amounts.buyerFee.rawValue) : .null,
        ])
    }
}

/// What is wrong with an extract.
public struct ExtractError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Line of the file, from 1 on.
    public var line: Int
    public var reason: String

    public var description: String { "line \(line) of the extract: \(reason)" }
}

/// Makes a statement again from an extract, without a database: every charge and fee from work and price by the design's formula.
public struct Recomputation: Sendable {
    private var frame: StatementFrame?
    private var builder: StatementBuilder?
    private var rates: [AccountingPeriod: FiatRate] = [:]
    private var bills: [BillKey: BillingTotals] = [:]
    private var line = 0

    /// Amounts beyond it are refused, so that sums and differences of a few of them fit 64 bits.
    private static let mostAmount = Satoshis.supply.rawValue * 100
    /// Minutes since 1970, until the year 3871: as microseconds they fit 64 bits.
    private static let minutes: ClosedRange<Int64> = 0...1_000_000_000

    public init() {}

    /// Takes the next record.
    ///
    /// - Returns: the statement's bytes of an entry or line; none for other records
    public mutating func add(_ record: ArraySlice<UInt8>) throws(ExtractError) -> [UInt8] {
        line += 1
        let json: CanonicalJSON
        do { json = try CanonicalJSON(record) } catch { throw flaw("\(error)") }
        guard let type = json["type"]?.text else { throw flaw("a record without type") }
        switch type {
        case "frame": try readFrame(json)
        case "rate": try readRate(json)
        case "entry": return try readEntry(json)
        case "opening": try readOpening(json)
        case "context": _ = try amounts(try readLine(json))
        case "line":
            var line = try readLine(json)
            line.amounts = try amounts(line)
            return try made { builder throws(StatementFlaw) in try builder.add(line) }
        default: throw flaw("an unknown type, \(type)")
        }
        return []
    }

    /// The header's bytes.
    ///
    /// - Parameter body: SHA-256 of what ``add(_:)`` returned
    public mutating func header(body: [UInt8]) throws(ExtractError) -> [UInt8] {
        guard let frame else { throw flaw("there is no frame") }
        let rates = rates
        return try made { builder throws(StatementFlaw) in try builder.header(frame, body: body, rates: rates) }
    }

    private func flaw(_ reason: String) -> ExtractError { ExtractError(line: line, reason: reason) }

    private mutating func made(
        _ body: (inout StatementBuilder) throws(StatementFlaw) -> [UInt8]
    ) throws(ExtractError) -> [UInt8] {
        guard var builder else { throw flaw("the frame does not come first") }
        defer { self.builder = builder }
        do throws(StatementFlaw) { return try body(&builder) } catch { throw flaw("\(error)") }
    }

    private mutating func readFrame(_ json: CanonicalJSON) throws(ExtractError) {
        guard frame == nil, line == 1, json["format"]?.text == ExtractRecord.format else { throw flaw("not a frame of this format") }
        guard let account = json["account"]?.integer, let algorithm = json["market"]?.text.flatMap({ Algorithm(rawValue: $0) }),
            let start = json["from"]?.text.flatMap(DocumentTime.read), let end = json["to"]?.text.flatMap(DocumentTime.read), start < end,
            let opening = json["opening"].flatMap({ CustomerFunds($0) }), let closing = json["closing"].flatMap({ CustomerFunds($0) })
        else { throw flaw("the frame is not whole") }
        let movements = (json["movements"]?.items ?? []).compactMap { item -> StatementFrame.Movement? in
            guard let kind = item["kind"]?.integer, let entries = item["entries"]?.integer, let amount = item["amount"]?.integer
            else { return nil }
            return StatementFrame.Movement(kind: kind, entries: entries, amount: amount)
        }
        let amounts = movements.map(\.amount) + [opening, closing].flatMap { [$0.available, $0.held, $0.leaving] }
        guard amounts.allSatisfy(Recomputation.isAmount) else { throw flaw("an amount of the frame is out of range") }
        let period = json["period"]?.text.flatMap { AccountingPeriod($0) }
        func optional<T>(_ name: String, _ read: (CanonicalJSON) -> T?) throws(ExtractError) -> T? {
            guard let value = json[name], value != .null else { return nil }
            guard let result = read(value) else { throw flaw("\(name) cannot be read") }
            return result
        }
        frame = StatementFrame(
            account: AccountID(account), algorithm: algorithm, period: period, start: start, end: end, opening: opening,
            closing: closing, movements: movements, market: try optional("marketParty") { LegalParty($0) },
            party: try optional("accountParty") { LegalParty($0) }, issue: try optional("issue") { DocumentIssue($0) })
        builder = StatementBuilder(account: AccountID(account), algorithm: algorithm, range: start..<end)
    }

    private mutating func readRate(_ json: CanonicalJSON) throws(ExtractError) {
        guard let date = json["date"]?.text.flatMap({ AccountingPeriod($0) }), let rate = json["rate"]?.text.flatMap({ FiatRate($0) })
        else { throw flaw("not a rate") }
        rates[date] = rate
    }

    private mutating func readEntry(_ json: CanonicalJSON) throws(ExtractError) -> [UInt8] {
        guard let entry = StatementEntry(json) else { throw flaw("not an entry") }
        guard Recomputation.isAmount(entry.amount) else { throw flaw("amount is out of range") }
        return try made { builder throws(StatementFlaw) in try builder.add(entry) }
    }

    private func integer(_ json: CanonicalJSON, _ name: String) throws(ExtractError) -> Int64 {
        guard let number = json[name]?.integer else { throw flaw("\(name) is not a number") }
        return number
    }

    private static func isAmount(_ number: Int64) -> Bool { number >= -mostAmount && number <= mostAmount }

    private func amount(_ json: CanonicalJSON, _ name: String) throws(ExtractError) -> Int64 {
        let number = try integer(json, name)
        guard Recomputation.isAmount(number) else { throw flaw("\(name) is out of range") }
        return number
    }

    private func readKey(_ json: CanonicalJSON) throws(ExtractError) -> BillKey {
        BillKey(
            bid: try integer(json, "bid"), ask: try integer(json, "ask"), rig: try integer(json, "rig"),
            tariff: try integer(json, "tariff"))
    }

    private mutating func readOpening(_ json: CanonicalJSON) throws(ExtractError) {
        let key = try readKey(json)
        guard bills[key] == nil, let weighted = json["weightedWork"]?.wide, weighted >= 0 else {
            throw flaw("not the opening of a bill")
        }
        bills[key] = BillingTotals(
            weightedWork: weighted, charge: Satoshis(try amount(json, "charge")),
            sellerFee: Satoshis(try amount(json, "sellerFee")), buyerFee: Satoshis(try amount(json, "buyerFee")))
    }

    private func readLine(_ json: CanonicalJSON) throws(ExtractError) -> StatementLine {
        guard let code = ChargeCode(rawValue: UInt8(clamping: try integer(json, "code"))) else { throw flaw("an unknown charge code") }
        guard let at = json["at"]?.text.flatMap(DocumentTime.read), let valueAt = json["valueAt"]?.text.flatMap(DocumentTime.read)
        else { throw flaw("a line without times") }
        let key = try readKey(json)
        let terms = Terms(
            price: Price(try integer(json, "price")), priceUnit: Hashrate(hashesPerSecond: try integer(json, "priceUnit")),
            sellerFee: PartsPerMillion(try integer(json, "sellerFeePPM")), buyerFee: PartsPerMillion(try integer(json, "buyerFeePPM")))
        let (from, to) = (try integer(json, "fromMinute"), try integer(json, "toMinute"))
        let rates = 0...1_000_000 as ClosedRange<Int64>
        guard terms.price.rawValue > 0, terms.priceUnit.hashesPerSecond > 0, rates.contains(terms.sellerFee.rawValue),
            rates.contains(terms.buyerFee.rawValue), Recomputation.minutes.contains(from), Recomputation.minutes.contains(to), from < to
        else { throw flaw("terms or interval out of range") }
        var amounts = LineAmounts(charge: .zero, sellerFee: .zero, buyerFee: .zero)
        if code == .credit {
            amounts = LineAmounts(
                charge: Satoshis(try amount(json, "charge")), sellerFee: Satoshis(try amount(json, "sellerFee")),
                buyerFee: Satoshis(try amount(json, "buyerFee")))
        }
        return StatementLine(
            number: try integer(json, "number"), delivery: try integer(json, "delivery"), bid: key.bid, ask: key.ask, rig: key.rig,
            tariff: key.tariff, run: try integer(json, "run"), buyer: try integer(json, "buyer"), seller: try integer(json, "seller"),
            at: at, valueAt: valueAt, code: code, fromMinute: from, toMinute: to, work: try integer(json, "work"), terms: terms,
            amounts: amounts, fromHold: try amount(json, "fromHold"), fromAvailable: try amount(json, "fromAvailable"),
            fromLoss: try amount(json, "fromLoss"), sellerShort: try amount(json, "sellerShort"),
            credit: json["credit"]?.integer)
    }

    /// By the design's section 4, "Amounts": floor of cumulative sums, minus what earlier lines charged.
    private mutating func amounts(_ line: StatementLine) throws(ExtractError) -> LineAmounts {
        guard line.code.isBilled else { return line.amounts }
        guard let frame, var bill = bills[line.key] else { throw flaw("line \(line.number) has no opening totals") }
        let (weighted, overflow) = bill.weightedWork.addingReportingOverflow(Int128(line.terms.price.rawValue) * Int128(line.work))
        let (product, isTooMuch) = weighted.multipliedReportingOverflow(by: Int128(frame.algorithm.hashesPerUnit / 128))
        let cost = product / (Int128(line.terms.priceUnit.hashesPerSecond) * (86_400 / 128))
        guard !overflow, !isTooMuch, weighted >= 0, cost <= Int128(Recomputation.mostAmount) else {
            throw flaw("the work of line \(line.number) is out of range")
        }
        bill.weightedWork = weighted
        let charge = Satoshis(Int64(cost))
        let sellerFee = Satoshis(Int64(Int128(charge.rawValue) * Int128(line.terms.sellerFee.rawValue) / 1_000_000))
        let buyerFee = Satoshis(Int64(Int128(charge.rawValue) * Int128(line.terms.buyerFee.rawValue) / 1_000_000))
        let amounts = LineAmounts(
            charge: charge - bill.charge, sellerFee: sellerFee - bill.sellerFee, buyerFee: buyerFee - bill.buyerFee)
        (bill.charge, bill.sellerFee, bill.buyerFee) = (charge, sellerFee, buyerFee)
        bills[line.key] = bill
        return amounts
    }
}
