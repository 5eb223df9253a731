internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import NIOCore
internal import ServiceLifecycle
internal import Units

/// Server-sent events (WHATWG HTML, section 9.2): a snapshot, then what changes.
enum StreamEndpoints {
    static let all: [Endpoint] = [
        .open(.get, "/v1/stream/book") { try open($0, .book) },
        .open(.get, "/v1/stream/trades") { try open($0, .trades) },
        .keyed(.get, "/v1/stream/orders") { try keyed($0, .orders($0.account)) },
        .keyed(.get, "/v1/stream/rigs", [.seller]) { try keyed($0, .rigs($0.account)) },
    ]

    private static func open(_ call: OpenCall, _ topic: MarketStreams.Topic) throws -> Response {
        try answer(call.request, call.services.streams, topic, call.address.map(StreamOwner.address) ?? .unknown)
    }

    private static func keyed(_ call: Call, _ topic: MarketStreams.Topic) throws -> Response {
        try answer(call.request, call.services.streams, topic, .account(call.account.rawValue))
    }

    private static func answer(
        _ request: Request, _ streams: MarketStreams, _ topic: MarketStreams.Topic, _ owner: StreamOwner
    ) throws -> Response {
        _ = try Query(request, known: [])
        let headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .connection: "close", .proxyBuffering: "no",
        ]
        // Its body would not be written, and nobody would leave.
        if request.method == .head { return Response(status: .ok, headers: headers) }
        let last = try lastEvent(request.headers)
        let reader = try streams.join(topic, owner: owner, after: last)
        return Response(status: .ok, headers: headers, body: ResponseBody { writer in
            reader.begin()
            defer { streams.leave(reader, topic) }
            try await withGracefulShutdownHandler {
                try await write(reader, to: &writer)
            } onGracefulShutdown: {
                reader.end(.shutdown)
            }
        })
    }

    /// Where the reader was; a text that is not one of our ids is refused, an old one is not.
    private static func lastEvent(_ headers: HTTPFields) throws(Problem) -> EventID? {
        guard let text = headers[.lastEventID], !text.isEmpty else { return nil }
        guard let id = EventID(text) else {
            throw Problem(
                .badRequest, "eventIDInvalid", "This is not the id of an event of ours.", field: "Last-Event-ID")
        }
        return id
    }

    private static func write(_ reader: StreamReader, to writer: inout any ResponseBodyWriter) async throws {
        while true {
            switch await reader.next() {
            case .events(let events):
                if events.count == 1 { try await writer.write(events[0]) } else { try await writer.write(contentsOf: events) }
            case .over(let ending):
                try await writer.write(EventText.event("dropped", id: nil) {
                    $0.add("{\"reason\":\"")
                    $0.add(json: ending.rawValue)
                    $0.add("\",\"detail\":\"")
                    $0.add(ending.detail)
                    $0.add("\"}")
                })
                return try await writer.finish(nil)
            }
        }
    }
}

extension HTTPField.Name {
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
    /// Keeps nginx from holding events back.
    static let proxyBuffering = HTTPField.Name("X-Accel-Buffering")!
}
