public import Units

/// Makes invoices and notes: one header without lines after it.
///
/// An *invoice* is the market's, for the fees that an account paid in a period, as buyer and as seller. A *note* is about what a buyer
/// bought of one seller in a period; the market draws it up for the seller and is no party to it. Both are in bitcoin, with values at the
/// daily rates, and name no tax: what is due where is for the parties, who are named with their tax numbers.
public struct InvoiceBuilder: Sendable {
    private let kind: DocumentKind
    private let account: AccountID
    private let seller: AccountID?
    private let range: Range<Timestamp>
    private var items: [Int: Item] = [:]
    private var days: [Int64: Int64] = [:]

    private struct Item {
        var code: ChargeCode
        var role: String?
        var lines: Int64 = 0
        var work: Int128 = 0
        var charge: Int64 = 0
        var fee: Int64 = 0
    }

    /// - Parameter seller: of a note; nil for an invoice
    public init(account: AccountID, seller: AccountID?, range: Range<Timestamp>) {
        kind = seller == nil ? .invoice : .note
        self.account = account
        self.seller = seller
        self.range = range
    }

    /// Counts a line, if it is of these parties.
    public mutating func add(_ line: StatementLine) {
        guard range.contains(line.valueAt) else { return }
        if let seller, line.buyer != account.rawValue || line.seller != seller.rawValue { return }
        let side = line.side(of: account)
        let isNote = seller != nil
        let place = Int(line.code.rawValue) * 2 + (side.isBuyer ? 0 : 1)
        var item = items[place] ?? Item(code: line.code, role: isNote ? nil : side.role)
        item.lines += 1
        item.work += Int128(line.work)
        item.charge += side.charge
        item.fee += isNote ? 0 : side.fee
        items[place] = item
        days[line.valueAt.microseconds / 86_400_000_000, default: 0] += isNote ? side.charge : side.fee
    }

    /// Whether there is nothing to bill.
    public var isEmpty: Bool { items.values.allSatisfy { $0.fee == 0 && $0.charge == 0 } }

    public var movedDays: [AccountingPeriod] {
        days.filter { $0.value != 0 }.keys.sorted().compactMap {
            AccountingPeriod.day(of: Timestamp(microseconds: $0 * 86_400_000_000))
        }
    }

    /// The header's bytes, with a line's end.
    public func header(
        algorithm: Algorithm, period: AccountingPeriod, supplier: LegalParty, customer: LegalParty, issue: DocumentIssue?,
        body: [UInt8], rates: [AccountingPeriod: FiatRate]
    ) throws(StatementFlaw) -> [UInt8] {
        let sorted = items.sorted { $0.key < $1.key }.map(\.value)
        let total = sorted.reduce(Int128(0)) { $0 + Int128(seller == nil ? $1.fee : $1.charge) }
        let json = CanonicalJSON.members([
            "format": .text("hashspot-document-1"), "kind": .text(kind.code), "market": .text(algorithm.rawValue),
            "hashesPerUnit": .integer(algorithm.hashesPerUnit), "account": .integer(account.rawValue),
            "counterparty": .optional(seller?.rawValue), "period": .text(period.description), "from": .text(range.lowerBound.description),
            "to": .text(range.upperBound.description), "issue": issue?.json ?? .null,
            "parties": .members(["supplier": supplier.json, "customer": customer.json]),
            "items": .array(sorted.map { item in
                .members([
                    "code": .text(item.code.code), "role": .optional(item.role), "lines": .integer(item.lines), "work": .wide(item.work),
                    "charge": .integer(item.charge), "fee": seller == nil ? .integer(item.fee) : .null,
                ])
            }),
            "total": .wide(total), "fiat": try fiat(customer.currency ?? supplier.currency, rates),
            "body": .text(HexText.encode(body)),
        ])
        return json.bytes + [0x0a]
    }

    private func fiat(
        _ currency: String?, _ rates: [AccountingPeriod: FiatRate]
    ) throws(StatementFlaw) -> CanonicalJSON {
        guard let currency else { return .null }
        var rows: [CanonicalJSON] = []
        var sum: Int128 = 0
        for date in movedDays {
            guard let rate = rates[date] else { throw .rateMissing(date, currency: currency) }
            let amount = days[date.start.microseconds / 86_400_000_000] ?? 0
            let value = Int128(rate.hundredths(Satoshis(amount)))
            sum += value
            rows.append(.members([
                "date": .text(date.description), "rate": .text(rate.description), "satoshis": .integer(amount),
                "amount": .text(ExactDecimal.text(value, scale: 2)),
            ]))
        }
        return .members([
            "currency": .text(currency), "days": .array(rows), "total": .text(ExactDecimal.text(sum, scale: 2)),
        ])
    }
}

/// An issued document among the others.
public struct DocumentSummary: Hashable, Sendable {
    public var position: Int64
    public var kind: DocumentKind
    public var number: Int64
    public var version: Int64
    public var account: AccountID
    /// The seller of a note.
    public var counterparty: AccountID?
    public var period: String
    public var start: Timestamp
    public var end: Timestamp
    public var digest: [UInt8]
    public var previous: [UInt8]
    public var keyID: String
    public var issuedAt: Timestamp
    public var issuedBy: AccountID?
    /// Why it takes the place of the version before.
    public var reason: String?

    public init(
        position: Int64, kind: DocumentKind, number: Int64, version: Int64, account: AccountID, counterparty: AccountID?,
        period: String, start: Timestamp, end: Timestamp, digest: [UInt8], previous: [UInt8], keyID: String, issuedAt: Timestamp,
        issuedBy: AccountID?, reason: String?
    ) {
        self.position = position
        self.kind = kind
        self.number = number
        self.version = version
        self.account = account
        self.counterparty = counterparty
        self.period = period
        self.start = start
        self.end = end
        self.digest = digest
        self.previous = previous
        self.keyID = keyID
        self.issuedAt = issuedAt
        self.issuedBy = issuedBy
        self.reason = reason
    }
}

/// What is to be issued.
public struct DocumentRequest: Hashable, Sendable {
    public var kind: DocumentKind
    public var account: AccountID
    /// The seller of a note.
    public var counterparty: AccountID?
    public var period: AccountingPeriod
    /// Why an issued one is to be superseded; nil: there is none yet.
    public var reason: String?

    public init(
        kind: DocumentKind, account: AccountID, counterparty: AccountID? = nil, period: AccountingPeriod, reason: String? = nil
    ) {
        self.kind = kind
        self.account = account
        self.counterparty = counterparty
        self.period = period
        self.reason = reason
    }
}

/// Why a document is not issued.
public enum DocumentRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case periodOpen(closedThrough: Timestamp)
    case alreadyIssued(number: Int64, version: Int64)
    case nothingToSupersede
    case partyMissing(AccountID)
    case nothingToBill
    case flaw(StatementFlaw)
    case marketUndefined
    case accountUnknown
    case counterpartyWrong

    public var description: String {
        switch self {
        case .periodOpen(let time): "the period is not closed: books are closed through \(time)"
        case .alreadyIssued(let number, let version):
            "it is issued as number \(number), version \(version): a correction needs a reason"
        case .nothingToSupersede: "there is nothing issued that could be corrected"
        case .partyMissing(let account):
            account == EffectiveParty.market ? "the market has no legal party" : "account \(account) has no legal party"
        case .nothingToBill: "there is nothing to bill"
        case .flaw(let flaw): "\(flaw)"
        case .marketUndefined: "the market has no rules yet"
        case .accountUnknown: "there is no such account"
        case .counterpartyWrong: "a note, and no other document, has a counterparty: the seller"
        }
    }
}
