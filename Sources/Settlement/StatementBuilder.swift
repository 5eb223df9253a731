public import Units

/// Why a statement is not made.
public enum StatementFlaw: Error, Hashable, Sendable, CustomStringConvertible {
    /// A number, where it was found, and what it should be.
    case differs(String, expected: Int128, found: Int128)
    case outOfOrder(String)
    case outsidePeriod(String)
    /// A sum that does not fit 64 bits.
    case outOfRange(String)
    /// No rate for a day with movements.
    case rateMissing(AccountingPeriod, currency: String)

    public var description: String {
        switch self {
        case .differs(let what, let expected, let found): "\(what): \(expected) expected, \(found) found"
        case .outOfOrder(let what): "\(what) is not in its place"
        case .outsidePeriod(let what): "\(what) is not of the period"
        case .outOfRange(let what): "\(what) is out of range"
        case .rateMissing(let day, let currency): "there is no rate of \(currency) for \(day): import it first"
        }
    }
}

/// Sums of a statement's lines of one side and code, in satoshis and work units.
public struct StatementTotal: Hashable, Sendable {
    public var isBuyer: Bool
    public var code: ChargeCode
    public var lines: Int64 = 0
    public var work: Int128 = 0
    public var charge: Int128 = 0
    public var fee: Int128 = 0
    public var borne: Int128 = 0
    public var net: Int128 = 0

    fileprivate init(isBuyer: Bool, code: ChargeCode) {
        self.isBuyer = isBuyer
        self.code = code
    }

    fileprivate mutating func add(_ line: StatementLine, _ side: LineSide) {
        lines += 1
        work += Int128(line.work)
        charge += Int128(side.charge)
        fee += Int128(side.fee)
        borne += Int128(side.borne)
        net += Int128(side.net)
    }

    fileprivate var json: CanonicalJSON {
        .members([
            "role": .text(isBuyer ? "buyer" : "seller"), "code": .text(code.code), "lines": .integer(lines), "work": .wide(work),
            "charge": .wide(charge), "fee": .wide(fee), "borne": .wide(borne), "net": .wide(net),
        ])
    }
}

/// A day's sums: what fiat values are made of.
struct StatementDay: Hashable, Sendable {
    var bought: Int64 = 0
    var sold: Int64 = 0
    var fees: Int64 = 0
    /// Taken over by the market.
    var borne: Int64 = 0
    /// Deposits, withdrawals and all else that is not billed.
    var other: Int64 = 0

    var isEmpty: Bool { self == StatementDay() }
    var amounts: [(String, Int64)] { [("bought", bought), ("sold", sold), ("fees", fees), ("borne", borne), ("other", other)] }
}

/// Makes a statement's canonical bytes: a header, then a line for each entry, then one for each settlement line.
///
/// The header has the digest of the lines after it, so that its own digest stands for the whole. Feed entries by number, then lines by
/// number, then ask for the header. Memory: totals and days only.
public struct StatementBuilder: Sendable {
    private let account: AccountID
    private let algorithm: Algorithm
    private let range: Range<Timestamp>
    private var lastEntry: Int64 = 0
    private var lastLine: Int64 = 0
    public private(set) var entries: Int64 = 0
    public private(set) var lines: Int64 = 0
    private var byKind: [Int64: (entries: Int64, amount: Int128)] = [:]
    private var byCode: [Int: StatementTotal] = [:]
    private var days: [Int64: StatementDay] = [:]

    public init(account: AccountID, algorithm: Algorithm, range: Range<Timestamp>) {
        self.account = account
        self.algorithm = algorithm
        self.range = range
    }

    /// An entry's bytes, with a line's end.
    public mutating func add(_ entry: StatementEntry) throws(StatementFlaw) -> [UInt8] {
        guard entry.id > lastEntry, lines == 0 else { throw .outOfOrder("entry \(entry.id)") }
        guard range.contains(entry.valueAt), !EntryKindName.isBilled(entry.kind), entry.amount != 0 else {
            throw .outsidePeriod("entry \(entry.id)")
        }
        let day = StatementBuilder.day(entry.valueAt)
        let other = try StatementBuilder.sum(days[day]?.other ?? 0, entry.amount)
        lastEntry = entry.id
        entries += 1
        let sum = byKind[entry.kind] ?? (0, 0)
        byKind[entry.kind] = (sum.entries + 1, sum.amount + Int128(entry.amount))
        days[day, default: StatementDay()].other = other
        return StatementBuilder.line(entry.json)
    }

    /// A settlement line's bytes, with a line's end.
    public mutating func add(_ line: StatementLine) throws(StatementFlaw) -> [UInt8] {
        guard line.number > lastLine else { throw .outOfOrder("line \(line.number)") }
        guard range.contains(line.valueAt) else { throw .outsidePeriod("line \(line.number)") }
        let funded = Int128(line.fromHold) + Int128(line.fromAvailable) + Int128(line.fromLoss)
        let debit = Int128(line.amounts.debit.rawValue)
        guard funded == debit else { throw .differs("the funding of line \(line.number)", expected: debit, found: funded) }
        lastLine = line.number
        lines += 1
        let side = line.side(of: account)
        let place = Int(line.code.rawValue) * 2 + (side.isBuyer ? 0 : 1)
        byCode[place, default: StatementTotal(isBuyer: side.isBuyer, code: line.code)].add(line, side)
        try count(line, side)
        return StatementBuilder.line(json(line, side))
    }

    private mutating func count(_ line: StatementLine, _ side: LineSide) throws(StatementFlaw) {
        var day = days[StatementBuilder.day(line.valueAt)] ?? StatementDay()
        if side.isBuyer {
            day.bought = try StatementBuilder.sum(day.bought, side.charge)
        } else {
            day.sold = try StatementBuilder.sum(day.sold, side.charge)
        }
        day.fees = try StatementBuilder.sum(day.fees, side.fee)
        day.borne = try StatementBuilder.sum(day.borne, side.borne)
        days[StatementBuilder.day(line.valueAt)] = day
    }

    /// Files from elsewhere must not end the program.
    private static func sum(_ a: Int64, _ b: Int64) throws(StatementFlaw) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard !overflow else { throw .outOfRange("a day's sum") }
        return sum
    }

    private static func day(_ time: Timestamp) -> Int64 { time.microseconds / 86_400_000_000 }

    private static func line(_ json: CanonicalJSON) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(640)
        json.write(to: &bytes)
        bytes.append(0x0a)
        return bytes
    }

    private func json(_ line: StatementLine, _ side: LineSide) -> CanonicalJSON {
        let hashes = Int128(line.work) * Int128(algorithm.hashesPerUnit)
        let seconds = Int128(line.toMinute - line.fromMinute) * 60
        return .members([
            "type": .text("line"), "number": .integer(line.number), "delivery": .integer(line.delivery), "bid": .integer(line.bid),
            "ask": .integer(line.ask), "rig": .integer(line.rig), "run": .integer(line.run), "role": .text(side.role),
            "counterparty": .integer(side.counterparty), "at": .text(line.at.description), "valueAt": .text(line.valueAt.description),
            "code": .text(line.code.code), "from": .text(StatementBuilder.minute(line.fromMinute)),
            "to": .text(StatementBuilder.minute(line.toMinute)), "work": .integer(line.work),
            "exahashes": .text(ExactDecimal.short(hashes, scale: 18)),
            "averageHashrate": .integer(Int64(clamping: hashes / seconds)), "price": .integer(line.terms.price.rawValue),
            "priceUnit": .integer(line.terms.priceUnit.hashesPerSecond),
            "feePPM": .integer(side.isBuyer ? line.terms.buyerFee.rawValue : line.terms.sellerFee.rawValue),
            "charge": .integer(side.charge), "fee": .integer(side.fee), "borne": .integer(side.borne), "net": .integer(side.net),
            "credit": .optional(line.credit),
        ])
    }

    static func minute(_ minute: Int64) -> String { Timestamp(microseconds: minute * 60_000_000).description }

    // MARK: - The header

    /// The days with movements, of which values need rates.
    public var movedDays: [AccountingPeriod] {
        days.filter { !$0.value.isEmpty }.keys.sorted().compactMap {
            AccountingPeriod.day(of: Timestamp(microseconds: $0 * 86_400_000_000))
        }
    }

    /// The header's bytes, with a line's end, after all checks: opening and movements are the closing balance, and every sum is the
    /// ledger's.
    ///
    /// - Parameters:
    ///   - body: SHA-256 of all bytes of entries and lines
    ///   - rates: of the frame's currency, at least for ``movedDays``
    public func header(
        _ frame: StatementFrame, body: [UInt8], rates: [AccountingPeriod: FiatRate]
    ) throws(StatementFlaw) -> [UInt8] {
        try check(frame)
        let totals = byCode.sorted { $0.key < $1.key }.map(\.value)
        let json = CanonicalJSON.members([
            "format": .text("hashspot-document-1"), "kind": .text(DocumentKind.statement.code),
            "market": .text(frame.algorithm.rawValue), "hashesPerUnit": .integer(frame.algorithm.hashesPerUnit),
            "account": .integer(frame.account.rawValue), "period": .optional(frame.period?.description),
            "from": .text(frame.start.description), "to": .text(frame.end.description), "issue": frame.issue?.json ?? .null,
            "parties": .members(["market": frame.market?.json ?? .null, "account": frame.party?.json ?? .null]),
            "opening": frame.opening.json, "closing": frame.closing.json,
            "movements": .array(StatementBuilder.sorted(frame.movements).map { movement in
                .members([
                    "kind": .text(EntryKindName.name(movement.kind)), "kindNumber": .integer(movement.kind),
                    "entries": .integer(movement.entries), "amount": .integer(movement.amount),
                ])
            }),
            "entries": .integer(entries), "lines": .integer(lines), "totals": .array(totals.map(\.json)),
            "fiat": try fiat(frame, rates), "body": .text(HexText.encode(body)),
        ])
        return StatementBuilder.line(json)
    }

    private static func sorted(_ movements: [StatementFrame.Movement]) -> [StatementFrame.Movement] {
        movements.filter { $0.amount != 0 || !EntryKindName.isBilled($0.kind) }.sorted { $0.kind < $1.kind }
    }

    private func check(_ frame: StatementFrame) throws(StatementFlaw) {
        let billed = byCode.values.reduce(Int128(0)) { $0 + $1.net }
        let other = byKind.values.reduce(Int128(0)) { $0 + $1.amount }
        let ledgerBilled = frame.movements.filter { EntryKindName.isBilled($0.kind) }.reduce(Int128(0)) { $0 + Int128($1.amount) }
        guard billed == ledgerBilled else {
            throw .differs("the ledger's settlement against the sum of lines", expected: ledgerBilled, found: billed)
        }
        for movement in frame.movements where !EntryKindName.isBilled(movement.kind) {
            let found = byKind[movement.kind] ?? (0, 0)
            guard found.amount == Int128(movement.amount), found.entries == movement.entries else {
                throw .differs(
                    "the ledger's \(EntryKindName.name(movement.kind)) against the sum of entries", expected: Int128(movement.amount),
                    found: found.amount)
            }
        }
        let moved = frame.movements.reduce(Int128(0)) { $0 + Int128($1.amount) }
        guard moved == billed + other else { throw .differs("all movements", expected: billed + other, found: moved) }
        let closing = frame.opening.total + moved
        guard closing == frame.closing.total else {
            throw .differs("the closing balance", expected: closing, found: frame.closing.total)
        }
    }

    private func fiat(
        _ frame: StatementFrame, _ rates: [AccountingPeriod: FiatRate]
    ) throws(StatementFlaw) -> CanonicalJSON {
        guard let currency = frame.currency else { return .null }
        var sums: [String: Int128] = [:]
        var rows: [CanonicalJSON] = []
        for date in movedDays {
            guard let rate = rates[date] else { throw .rateMissing(date, currency: currency) }
            let amounts = (days[StatementBuilder.day(date.start)] ?? StatementDay()).amounts
            var members: [CanonicalJSON.Member] = [
                CanonicalJSON.Member(name: "date", value: .text(date.description)),
                CanonicalJSON.Member(name: "rate", value: .text(rate.description)),
            ]
            for (name, amount) in amounts {
                let value = rate.hundredths(Satoshis(amount))
                sums[name, default: 0] += Int128(value)
                members.append(CanonicalJSON.Member(name: name, value: .text(ExactDecimal.text(Int128(value), scale: 2))))
            }
            rows.append(.object(members.sorted { $0.name < $1.name }))
        }
        let totals = StatementDay().amounts.map { name, _ in
            CanonicalJSON.Member(name: name, value: .text(ExactDecimal.text(sums[name] ?? 0, scale: 2)))
        }
        return .members([
            "currency": .text(currency), "days": .array(rows), "totals": .object(totals.sorted { $0.name < $1.name }),
        ])
    }
}
