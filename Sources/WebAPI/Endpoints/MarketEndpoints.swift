internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import Units

/// What anybody may know: the rules, and whether all is well.
enum MarketEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/market", market),
        .open(.get, "/v1/health", health),
        .open(.get, "/openapi.yaml", document),
    ]

    private static func market(_ call: OpenCall) throws -> Response {
        _ = try Query(call.request, known: [])
        return try .json(call.services.marketModel())
    }

    private static func health(_ call: OpenCall) throws -> Response {
        let market = call.services.market
        let isOpen = market.read { $0.rules != nil }
        let status = !isOpen ? "marketUndefined" : market.isHealthy ? "ok" : "databaseUnavailable"
        return try .json(HealthModel(status: status), status: status == "ok" ? .ok : .serviceUnavailable)
    }

    private static func document(_ call: OpenCall) throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/yaml"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_yaml)))
    }
}

private struct HealthModel: Encodable {
    var status: String
}
