internal import Exchange
internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import Units

/// A page of a list.
struct Page<Item: Encodable>: Encodable {
    var items: [Item]
    /// Where the next page starts; null on the last one.
    var nextCursor: String?

    private enum CodingKeys: CodingKey { case items, nextCursor }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(nextCursor, forKey: .nextCursor)
    }

    /// Cuts `found`, one more than the limit at most, by number.
    init(_ found: [(number: Int64, item: Item)], limit: Int) {
        items = found.prefix(limit).map(\.item)
        nextCursor = found.count > limit ? String(found[limit - 1].number) : nil
    }
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok, location: String? = nil) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(value)
        var headers: HTTPFields = [.contentType: "application/json"]
        if let location { headers[.location] = location }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }
}

/// How hashrates and prices are written out for people.
enum UnitText {
    private static let prefixes: [(factor: Int64, name: String)] = [
        (1_000_000_000_000_000_000, "EH/s"), (1_000_000_000_000_000, "PH/s"), (1_000_000_000_000, "TH/s"),
        (1_000_000_000, "GH/s"), (1_000_000, "MH/s"), (1_000, "kH/s"),
    ]

    /// The largest unit that leaves a whole number: `1 TH/s`, `100 kH/s`.
    static func hashrate(_ hashrate: Hashrate) -> String {
        let (number, unit) = parts(hashrate)
        return "\(number) \(unit)"
    }

    private static func parts(_ hashrate: Hashrate) -> (Int64, String) {
        let n = hashrate.hashesPerSecond
        for (factor, name) in prefixes where n >= factor && n % factor == 0 { return (n / factor, name) }
        return (n, "H/s")
    }

    /// `satoshis per PH/s per day`
    static func price(_ rules: MarketRules) -> String {
        let (number, unit) = parts(rules.priceUnit)
        return "satoshis per \(number == 1 ? unit : "\(number) \(unit)") per day"
    }
}
