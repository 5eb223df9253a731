public import Units

/// What is issued: numbered by kind, chained and signed together.
public enum DocumentKind: UInt8, Sendable, CaseIterable {
    /// All that happened on an account in a period.
    case statement = 1
    /// The market's fees of an account in a period.
    case invoice = 2
    /// What a buyer bought of one seller in a period, drawn up by the market for the seller.
    case note = 3

    /// Stable, for programs and in the documents themselves.
    public var code: String { "\(self)" }
}

/// A customer's funds, in satoshis, by where they are in the books.
public struct CustomerFunds: Hashable, Sendable {
    public var available: Int64 = 0
    public var held: Int64 = 0
    /// On their way out.
    public var leaving: Int64 = 0

    public init(available: Int64 = 0, held: Int64 = 0, leaving: Int64 = 0) {
        self.available = available
        self.held = held
        self.leaving = leaving
    }

    public var total: Int128 { Int128(available) + Int128(held) + Int128(leaving) }

    public var json: CanonicalJSON {
        .members([
            "available": .integer(available), "held": .integer(held), "leaving": .integer(leaving),
            "total": .integer(Int64(clamping: total)),
        ])
    }

    public init?(_ json: CanonicalJSON) {
        guard let available = json["available"]?.integer, let held = json["held"]?.integer, let leaving = json["leaving"]?.integer,
            json["total"]?.integer == Int64(clamping: Int128(available) + Int128(held) + Int128(leaving))
        else { return nil }
        self.init(available: available, held: held, leaving: leaving)
    }
}

/// Names of the ledger's kinds of entries, as in exports.
public enum EntryKindName {
    private static let names: [Int64: String] = [
        1: "deposit", 2: "hold", 3: "settlement", 4: "release", 5: "depositRecorded", 6: "depositApproved", 7: "depositReturned",
        8: "withdrawalRequested", 9: "withdrawalPaid", 10: "withdrawalReturned", 11: "adjustment", 12: "reversal", 13: "credit",
    ]

    /// A kind that is not known here has its number.
    public static func name(_ kind: Int64) -> String { names[kind] ?? "kind\(kind)" }

    /// Whether settlement lines say what such an entry moves.
    public static func isBilled(_ kind: Int64) -> Bool { kind == 3 || kind == 13 }
}

/// A ledger entry that changed what a customer has in all, and is not explained by settlement lines.
public struct StatementEntry: Hashable, Sendable {
    public var id: Int64
    public var at: Timestamp
    public var valueAt: Timestamp
    /// As in the ledger.
    public var kind: Int64
    public var reference: String
    public var reason: String?
    /// What the customer has more, or less, in satoshis.
    public var amount: Int64

    public init(id: Int64, at: Timestamp, valueAt: Timestamp, kind: Int64, reference: String, reason: String?, amount: Int64) {
        self.id = id
        self.at = at
        self.valueAt = valueAt
        self.kind = kind
        self.reference = reference
        self.reason = reason
        self.amount = amount
    }

    public var json: CanonicalJSON {
        .members([
            "type": .text("entry"), "number": .integer(id), "at": .text(at.description), "valueAt": .text(valueAt.description),
            "kind": .text(EntryKindName.name(kind)), "kindNumber": .integer(kind), "reference": .text(reference),
            "reason": .optional(reason), "amount": .integer(amount),
        ])
    }

    public init?(_ json: CanonicalJSON) {
        guard let id = json["number"]?.integer, let at = json["at"]?.text.flatMap(DocumentTime.read),
            let valueAt = json["valueAt"]?.text.flatMap(DocumentTime.read), let kind = json["kindNumber"]?.integer,
            let reference = json["reference"]?.text, let amount = json["amount"]?.integer
        else { return nil }
        self.init(
            id: id, at: at, valueAt: valueAt, kind: kind, reference: reference, reason: json["reason"]?.text, amount: amount)
    }
}

/// A settlement line with its delivery's terms: all that its charge and fees follow from, and what they were.
public struct StatementLine: Hashable, Sendable {
    public var number: Int64
    public var delivery, bid, ask, rig, tariff, run: Int64
    public var buyer, seller: Int64
    public var at, valueAt: Timestamp
    public var code: ChargeCode
    /// Minutes since 1970, the end excluded.
    public var fromMinute, toMinute: Int64
    /// In units of the market's algorithm.
    public var work: Int64
    public var terms: Terms
    public var amounts: LineAmounts
    /// Where the buyer's debit came from; the last was borne by the market.
    public var fromHold, fromAvailable, fromLoss: Int64
    /// Of negative proceeds, what the market bears.
    public var sellerShort: Int64
    /// Number of the credit that it books.
    public var credit: Int64?

    public init(
        number: Int64, delivery: Int64, bid: Int64, ask: Int64, rig: Int64, tariff: Int64, run: Int64, buyer: Int64, seller: Int64,
        at: Timestamp, valueAt: Timestamp, code: ChargeCode, fromMinute: Int64, toMinute: Int64, work: Int64, terms: Terms,
        amounts: LineAmounts, fromHold: Int64, fromAvailable: Int64, fromLoss: Int64, sellerShort: Int64, credit: Int64?
    ) {
        self.number = number
        (self.delivery, self.bid, self.ask, self.rig, self.tariff, self.run) = (delivery, bid, ask, rig, tariff, run)
        (self.buyer, self.seller, self.at, self.valueAt) = (buyer, seller, at, valueAt)
        (self.code, self.fromMinute, self.toMinute, self.work) = (code, fromMinute, toMinute, work)
        (self.terms, self.amounts) = (terms, amounts)
        (self.fromHold, self.fromAvailable, self.fromLoss) = (fromHold, fromAvailable, fromLoss)
        (self.sellerShort, self.credit) = (sellerShort, credit)
    }

    /// Which cumulative totals its rounding belongs to.
    public var key: BillKey { BillKey(bid: bid, ask: ask, rig: rig, tariff: tariff) }

    /// The line as one of its parties sees it.
    public func side(of account: AccountID) -> LineSide {
        if buyer == account.rawValue {
            return LineSide(
                isBuyer: true, counterparty: seller, charge: amounts.charge.rawValue, fee: amounts.buyerFee.rawValue, borne: fromLoss)
        }
        return LineSide(
            isBuyer: false, counterparty: buyer, charge: amounts.charge.rawValue, fee: amounts.sellerFee.rawValue, borne: sellerShort)
    }
}

/// (bid, ask, rig) under one tariff.
public struct BillKey: Hashable, Sendable {
    public var bid, ask, rig, tariff: Int64

    public init(bid: Int64, ask: Int64, rig: Int64, tariff: Int64) {
        (self.bid, self.ask, self.rig, self.tariff) = (bid, ask, rig, tariff)
    }
}

/// A line's amounts for one party, in satoshis.
public struct LineSide: Hashable, Sendable {
    public var isBuyer: Bool
    public var counterparty: Int64
    /// What the work cost.
    public var charge: Int64
    /// The party's own fee.
    public var fee: Int64
    /// What the market took over because the party's funds were spent.
    public var borne: Int64

    public var role: String { isBuyer ? "buyer" : "seller" }

    /// What the party has more, or less.
    public var net: Int64 { isBuyer ? borne - charge - fee : charge - fee + borne }
}

/// Times in documents: RFC 3339 as ``Timestamp`` writes it, nothing else.
public enum DocumentTime {
    public static func read(_ text: String) -> Timestamp? {
        let bytes = Array(text.utf8)
        guard bytes.count == 27, let day = AccountingPeriod(String(decoding: bytes[..<10], as: UTF8.self)) else { return nil }
        let digits = [11..<13, 14..<16, 17..<19, 20..<26].map { Int64(String(decoding: bytes[$0], as: UTF8.self)) }
        guard let hour = digits[0], let minute = digits[1], let second = digits[2], let fraction = digits[3] else { return nil }
        let time = Timestamp(
            microseconds: day.start.microseconds + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
        return time.description == text ? time : nil
    }
}
