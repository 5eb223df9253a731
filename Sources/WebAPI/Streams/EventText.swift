internal import FoundationEssentials
internal import NIOCore
internal import OrderBook
internal import Units

/// Where a reader stands in a stream: which run of the server, and the last number seen of it.
///
/// Numbers grow from commit to commit, and so do epochs from start to start; a number of another epoch says nothing, because the
/// database may be an older one, restored.
struct EventID: Hashable, Sendable, CustomStringConvertible {
    var epoch: Int64
    var sequence: Int64

    var description: String { "\(epoch)-\(sequence)" }

    init(epoch: Int64, sequence: Int64) {
        self.epoch = epoch
        self.sequence = sequence
    }

    /// nil for anything that is not one of ours.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let epoch = EventID.number(parts[0]), let sequence = EventID.number(parts[1]) else { return nil }
        self.init(epoch: epoch, sequence: sequence)
    }

    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }
}

/// Writes events and their JSON into bytes, without a tree in between.
struct EventText {
    private(set) var buffer = ByteBuffer()

    /// A whole event. Without an id it does not move the place from which its reader resumes.
    static func event(_ name: StaticString, id: EventID?, _ data: (inout EventText) -> Void) -> ByteBuffer {
        var text = EventText()
        text.event(name, id: id, data)
        return text.buffer
    }

    /// Without its end, which no event needs: what proxies and readers take as a sign of life.
    static let heartbeat = ByteBuffer(string: ":\n\n")
    /// What a stream begins with: readers come back after a second.
    static let preamble = ByteBuffer(string: "retry: 1000\n\n")

    mutating func event(_ name: StaticString, id: EventID?, _ data: (inout EventText) -> Void) {
        if let id {
            add("id: ")
            buffer.writeString(id.description)
            add("\n")
        }
        add("event: ")
        add(name)
        add("\ndata: ")
        data(&self)
        add("\n\n")
    }

    mutating func add(_ text: StaticString) { buffer.writeStaticString(text) }

    /// Text that is JSON already.
    mutating func add(json: String) { buffer.writeString(json) }

    mutating func add(_ number: Int64) {
        guard number >= 0, number < 10 else {
            buffer.writeString(String(number))
            return
        }
        buffer.writeInteger(UInt8(ascii: "0") + UInt8(number))
    }

    mutating func add(_ number: Int128) { buffer.writeString(String(number)) }

    /// A time, quoted.
    mutating func add(_ time: Timestamp) { buffer.writeString("\"\(time.description)\"") }

    mutating func add(_ levels: [OrderBook.Depth]) {
        add("[")
        for (index, level) in levels.enumerated() {
            add(index == 0 ? "{\"price\":" : ",{\"price\":")
            add(level.price.rawValue)
            add(",\"lots\":")
            add(level.lots.rawValue)
            add(",\"orders\":")
            add(Int64(level.orders))
            add("}")
        }
        add("]")
    }

    /// - Precondition: it can be encoded
    mutating func add(encoded value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { preconditionFailure("a model is always encodable") }
        buffer.writeBytes(data)
    }
}
