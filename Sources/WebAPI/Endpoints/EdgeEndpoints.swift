internal import Hummingbird
internal import Market
internal import Units

/// The edges that rigs connect to.
enum EdgeEndpoints {
    static let all: [Endpoint] = [.keyed(.get, "/v1/edges", [.admin], list)]

    private static func list(_ call: Call) async throws -> Response {
        _ = try call.query()
        let edges = await call.services.edge.edges()
        let now = call.services.now()
        return try .json(EdgesModel(items: edges.sorted { $0.edge < $1.edge }.map { EdgeModel($0, now) }))
    }
}

private struct EdgesModel: Encodable {
    var items: [EdgeModel]
}

private struct EdgeModel: Encodable {
    var id: Int64
    var name: String
    var isEmbedded: Bool
    var stratumURL: String
    var version: String
    var rigs: Int64
    var lastSeen: String
    /// Absent where there is no other clock.
    var clockAheadMicroseconds: Int64?
    var isSelling: Bool
    var waitingBatches: Int64

    init(_ edge: EdgeStatus, _ now: Timestamp) {
        id = edge.edge.rawValue
        name = edge.name
        isEmbedded = edge.isEmbedded
        stratumURL = edge.stratumURL
        version = edge.version
        rigs = edge.rigs
        lastSeen = (now - edge.silence).description
        clockAheadMicroseconds = edge.clockAhead?.microseconds
        isSelling = edge.isSelling
        waitingBatches = edge.backlog
    }
}
