internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import OrderBook
internal import Units

/// All orders of an account at once.
enum AccountOrderEndpoints {
    private static let roles: Set<Role> = [.buyer, .seller]

    static let all: [Endpoint] = [
        .keyed(.delete, "/v1/orders", roles, cancelAll),
        .keyed(.get, "/v1/orders/cancel-after", roles, getTimer),
        .keyed(.put, "/v1/orders/cancel-after", roles, setTimer),
    ]

    private static func cancelAll(_ call: Call) async throws -> Response {
        let side = try call.query(["side"]).choice("side", Side.byCode)
        try call.noFields()
        guard case .cancelled(let count) = try await call.submit(.cancelAll(call.account, side)) else {
            throw Problem.internalError
        }
        return try .json(CancelledModel(cancelled: count))
    }

    private static func getTimer(_ call: Call) async throws -> Response {
        _ = try call.query()
        return try .json(timer(call))
    }

    private static func setTimer(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["seconds"])
        try fields.checkPresent("seconds")
        // As many seconds as an interval can count; what the market allows is up to it.
        let silence = try fields.optionalInteger("seconds", in: 1...Int64.max / 1_000_000).map { Interval.seconds($0) }
        _ = try await call.submit(.cancelAllAfter(call.account, silence))
        return try .json(timer(call))
    }

    private static func timer(_ call: Call) -> TimerModel {
        TimerModel(cancelAt: call.services.market.read { $0.silences[call.account] }?.description)
    }
}

/// How many orders a request ended.
struct CancelledModel: Encodable {
    var cancelled: Int64
}

private struct TimerModel: Encodable {
    /// null while it is not set.
    var cancelAt: String?

    private enum CodingKeys: CodingKey { case cancelAt }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(cancelAt, forKey: .cancelAt)
    }
}
