import Foundation
import HTTPTypes
import NIOCore
import NIOPosix
import Testing
import Units
@testable import WebAPI

/// An event as a reader sees it.
struct ReadEvent: Equatable {
    var id: EventID?
    var name = ""
    var data: JSONValue = .null

    static func all(in text: String) throws -> [ReadEvent] {
        try text.components(separatedBy: "\n\n").compactMap { block in
            var event = ReadEvent()
            for line in block.split(separator: "\n") where !line.hasPrefix(":") {
                let parts = line.split(separator: ":", maxSplits: 1)
                let value = String(parts[1].dropFirst())
                switch parts[0] {
                case "id":
                    event.id = EventID(value)
                    #expect(event.id != nil, "not an id: \(value)")
                case "event": event.name = value
                case "data": event.data = try JSONReader.read(Array(value.utf8), depthLimit: 16)
                case "retry": break
                default: Issue.record("no such line: \(line)")
                }
            }
            return event.name.isEmpty ? nil : event
        }
    }

    static func all(in buffers: [ByteBuffer]) throws -> [ReadEvent] {
        try all(in: buffers.map { String(buffer: $0) }.joined())
    }

    /// What the document says of it.
    func flaws(on path: String) -> [String] {
        let schemas = ["change": "BookChange", "trade": "Trade", "order": "Order", "delivery": "StreamedDelivery", "rig": "StreamedRig"]
        let snapshots = ["book": "BookSnapshot", "trades": "TradesSnapshot", "orders": "OrdersSnapshot", "rigs": "RigsSnapshot"]
        let schema = name == "dropped" ? "StreamDropped" : name == "snapshot" ? snapshots[path] : schemas[name]
        guard let schema, let node = Document.shared.root["components"]?["schemas"]?[schema] else { return ["no schema for \(name)"] }
        return Document.shared.flaws(data, node, at: schema)
    }
}

/// A reader of a stream inside the process.
struct StreamFollower {
    let reader: StreamReader
    let topic: MarketStreams.Topic
    var events: [ReadEvent] = []
    var ending: StreamEnding?

    init(_ streams: MarketStreams, _ topic: MarketStreams.Topic, owner: StreamOwner = .unknown, after: EventID? = nil) throws {
        reader = try streams.join(topic, owner: owner, after: after)
        self.topic = topic
    }

    var lastID: EventID? { events.last { $0.id != nil }?.id }

    /// Reads what is there, waiting for something.
    mutating func read() async throws {
        switch await reader.next() {
        case .events(let buffers): events += try ReadEvent.all(in: buffers)
        case .over(let ending): self.ending = ending
        }
    }
}

/// A book that is put together from events.
struct FollowedBook: Equatable {
    var sequence: Int64 = -1
    var bids: [Int64: [Int64]] = [:]
    var asks: [Int64: [Int64]] = [:]

    init() {}

    init(_ book: JSONValue) {
        sequence = book["sequence"].int ?? -2
        FollowedBook.set(book["bids"].items, in: &bids)
        FollowedBook.set(book["asks"].items, in: &asks)
    }

    mutating func follow(_ event: ReadEvent) {
        switch event.name {
        case "snapshot": self = FollowedBook(event.data)
        case "change":
            #expect(event.data["previous"].int == sequence, "a change is missing")
            sequence = event.data["sequence"].int ?? -2
            FollowedBook.set(event.data["bids"].items, in: &bids)
            FollowedBook.set(event.data["asks"].items, in: &asks)
        default: Issue.record("no such event: \(event.name)")
        }
    }

    private static func set(_ levels: [JSONValue], in side: inout [Int64: [Int64]]) {
        for level in levels {
            guard let price = level["price"].int, let lots = level["lots"].int, let orders = level["orders"].int else { continue }
            side[price] = orders == 0 ? nil : [lots, orders]
        }
    }
}

/// A reader of a stream over a real socket.
enum SocketReader {
    typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// Sends a request and gives `body` all bytes of the answer so far, again and again, until it returns a value or the
    /// connection ends.
    static func read<T: Sendable>(
        port: Int, _ path: String, as caller: Caller? = nil, headers: [String] = [],
        until body: @Sendable (String) async throws -> T?
    ) async throws -> T? {
        let connection: Connection = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
            }
        return try await connection.executeThenClose { inbound, outbound in
            var lines = ["GET \(path) HTTP/1.1", "Host: localhost"] + headers
            if let caller { lines.append("Authorization: Bearer \(caller.key)") }
            try await outbound.write(ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n"))
            var text = ""
            for try await part in inbound {
                text += String(buffer: part)
                if let found = try await body(text) { return found }
            }
            return try await body(text + "\u{0}")
        }
    }
}
