internal import Crypto
internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import Settlement
internal import Units

/// The published price of delivered work.
enum IndexEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/index", newest),
        .open(.get, "/v1/index/minutes") { call in try await list(.minute, call) },
        .open(.get, "/v1/index/days") { call in try await list(.day, call) },
    ]

    private static func newest(_ call: OpenCall) async throws -> Response {
        _ = try Query(call.request, known: [])
        let (minute, day) = try await call.services.control(call.logger) {
            (try await $0.newestIndex(.minute), try await $0.newestIndex(.day))
        }
        let rules = try call.services.rules()
        return try .json(NewestModel(
            symbol: rules.symbol, priceUnit: UnitText.price(rules), minute: minute.map { IndexModel($0, .minute) },
            day: day.map { IndexModel($0, .day) }))
    }

    private static func list(_ span: IndexSpan, _ call: OpenCall) async throws -> Response {
        let query = try Query(call.request, known: PageRequest.parameters.union(["from", "to", "format"]))
        let page = try PageRequest(query)
        let length = span.length * 60_000_000
        // The first place that begins at the time or after it.
        let from = try query.time("from").map { ($0.microseconds + length - 1) / length } ?? 0
        let end = try query.time("to").map { ($0.microseconds + length - 1) / length }
        let isCSV = try query.isCSV()
        @Sendable func values(_ after: Int64, _ limit: Int) async throws -> [IndexValue] {
            try await call.services.control(call.logger) { try await $0.index(span, after: after, limit: limit) }
                .filter { value in end.map { value.place < $0 } ?? true }
        }
        let start = max(page.after, from - 1)
        // A table is all of it, whatever page is asked for.
        let found = try await values(start, isCSV ? Limits.reportPage : page.limit + 1)
        let response =
            isCSV
            ? Response.csv(
                "index-\(span)s", header: IndexModel.columns, first: found, limit: Limits.reportPage, number: \.place,
                row: { IndexModel.row($0, span) }, next: values)
            : try .json(Page(found.map { ($0.place, IndexModel($0, span)) }, limit: page.limit))
        return try await cached(response, call, span, from: start + 1, end: end, found)
    }

    /// What lies in complete days never changes: it may be kept.
    private static func cached(
        _ response: Response, _ call: OpenCall, _ span: IndexSpan, from: Int64, end: Int64?, _ found: [IndexValue]
    ) async throws -> Response {
        var response = response
        let position = try await call.services.control(call.logger) { try await $0.indexPosition() } ?? 0
        let limit = position / 1440 * 1440 / span.length
        guard let end, end <= limit, from < end else {
            response.headers[.cacheControl] = "no-cache"
            return response
        }
        var hash = SHA256()
        let query = call.request.uri.query ?? ""
        hash.update(data: Array("\(call.request.uri.path)?\(query)\n".utf8))
        for value in found { hash.update(data: Array("\(value.place) \(value.value) \(value.price.numerator)\n".utf8) + value.inputs) }
        let tag = "\"\(Hex.encode(Array(hash.finalize()).prefix(16)))\""
        let headers: HTTPFields = [.cacheControl: "public, max-age=86400, immutable", .eTag: tag]
        let asked = call.request.headers[.ifNoneMatch]?.split(separator: ",").map { $0.filter { $0 != " " } } ?? []
        if asked.contains(where: { $0 == tag || $0 == "*" || $0 == "W/" + tag }) { return Response(status: .notModified, headers: headers) }
        response.headers[.cacheControl] = headers[.cacheControl]
        response.headers[.eTag] = tag
        return response
    }
}

private struct NewestModel: Encodable {
    var symbol: String
    var priceUnit: String
    /// Absent: nothing was delivered yet.
    var minute: IndexModel?
    var day: IndexModel?
}

private struct IndexModel: Encodable {
    var from: String
    var to: String
    var price: Int64
    /// Decimal digits, as they may be longer than a 64-bit number.
    var numerator: String
    var work: String
    var lowest: Int64
    var highest: Int64
    var deliveries: Int64
    var minutes: Int64?
    var inputsSHA256: String
    var publishedAt: String

    init(_ value: IndexValue, _ span: IndexSpan) {
        let length = span.length * 60_000_000
        from = Timestamp(microseconds: value.place * length).description
        to = Timestamp(microseconds: (value.place + 1) * length).description
        price = value.value.rawValue
        numerator = "\(value.price.numerator)"
        work = "\(value.price.work)"
        lowest = value.price.lowest?.rawValue ?? price
        highest = value.price.highest?.rawValue ?? price
        deliveries = value.deliveries
        minutes = value.minutes
        inputsSHA256 = Hex.encode(value.inputs)
        publishedAt = value.publishedAt.description
    }

    static let columns = [
        "from_utc", "to_utc", "price_sat_per_unit_day", "numerator", "work", "lowest", "highest", "deliveries", "minutes",
        "inputs_sha256", "published_at_utc",
    ]

    static func row(_ value: IndexValue, _ span: IndexSpan) -> [String] {
        let model = IndexModel(value, span)
        return [
            model.from, model.to, "\(model.price)", model.numerator, model.work, "\(model.lowest)", "\(model.highest)",
            "\(model.deliveries)", model.minutes.map { "\($0)" } ?? "", model.inputsSHA256, model.publishedAt,
        ]
    }
}
