public import Units

/// Who an account, or the market itself, is before the law.
public struct LegalParty: Hashable, Sendable {
    public var name: String
    /// 1 to 6 lines.
    public var address: [String]
    /// Two capital letters (ISO 3166-1).
    public var country: String
    /// Empty: none.
    public var taxID: String
    /// What statements give values in besides bitcoin; nil: none.
    public var currency: String?

    public init(name: String, address: [String], country: String, taxID: String, currency: String?) {
        self.name = name
        self.address = address
        self.country = country
        self.taxID = taxID
        self.currency = currency
    }

    /// What is wrong with it, for a person; nil if nothing is.
    public var flaw: String? {
        func isLine(_ text: String, _ bytes: ClosedRange<Int>) -> Bool {
            bytes.contains(text.utf8.count) && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        }
        if !isLine(name, 1...200) { return "the name is not 1 to 200 bytes without control characters" }
        if !(1...6).contains(address.count) || !address.allSatisfy({ isLine($0, 1...200) }) {
            return "the address is not 1 to 6 lines of 1 to 200 bytes"
        }
        if country.utf8.count != 2 || !country.utf8.allSatisfy({ (0x41...0x5a).contains($0) }) {
            return "the country is not two capital letters"
        }
        if !isLine(taxID, 0...64) { return "the tax number is longer than 64 bytes" }
        if let currency, !DailyRate.isCurrency(currency) { return "the currency is not three capital letters" }
        return nil
    }

    public var json: CanonicalJSON {
        .members([
            "name": .text(name), "address": .array(address.map { .text($0) }), "country": .text(country), "taxID": .text(taxID),
            "currency": .optional(currency),
        ])
    }

    public init?(_ json: CanonicalJSON) {
        guard let name = json["name"]?.text, let country = json["country"]?.text, let taxID = json["taxID"]?.text,
            let address = json["address"]?.items
        else { return nil }
        self.init(
            name: name, address: address.compactMap(\.text), country: country, taxID: taxID, currency: json["currency"]?.text)
        if flaw != nil { return nil }
    }
}

/// A party from a day on. Owner 0 is the market.
public struct EffectiveParty: Hashable, Sendable {
    public static let market = AccountID(0)

    public var account: AccountID
    /// The first instant that it holds for.
    public var effectiveAt: Timestamp
    public var party: LegalParty

    public init(account: AccountID, effectiveAt: Timestamp, party: LegalParty) {
        self.account = account
        self.effectiveAt = effectiveAt
        self.party = party
    }
}
