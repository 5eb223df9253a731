import Foundation

/// The API over one connection that is kept open; for one thread.
///
/// A request is sent once and never repeated silently: what becomes of it when the connection breaks is not known.
final class HTTPConnection {
    struct Answer {
        var status: Int
        var contentType: String
        var body: [String: Any]

        func int(_ name: String) -> Int64? { (body[name] as? NSNumber)?.int64Value }
        func text(_ name: String) -> String? { body[name] as? String }
        func object(_ name: String) -> [String: Any]? { body[name] as? [String: Any] }
    }

    private let port: Int
    private let apiKey: String?
    private var socket: Socket?

    init(port: Int, apiKey: String?) {
        self.port = port
        self.apiKey = apiKey
    }

    /// - Throws: ``Socket/Ended``, or ``Socket/TimedOut`` when there is no answer in time; ``Broken`` when it is not HTTP
    func call(
        _ method: String, _ path: String, _ body: String? = nil, idempotencyKey: String? = nil, within seconds: Double = 30
    ) throws -> Answer {
        do {
            let socket = try self.socket ?? Socket.connect(port: port)
            self.socket = socket
            try socket.send(request(method, path, body, idempotencyKey).utf8)
            return try answer(socket, deadline: ContinuousClock.now + .milliseconds(Int(seconds * 1000)))
        } catch {
            socket = nil
            throw error
        }
    }

    private func request(_ method: String, _ path: String, _ body: String?, _ idempotencyKey: String?) -> String {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1:\(port)"]
        if let apiKey { lines.append("Authorization: Bearer \(apiKey)") }
        if let idempotencyKey { lines.append("Idempotency-Key: \(idempotencyKey)") }
        if body != nil { lines.append("Content-Type: application/json") }
        lines.append("Content-Length: \(body?.utf8.count ?? 0)")
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
    }

    private func answer(_ socket: Socket, deadline: ContinuousClock.Instant) throws -> Answer {
        var bytes: [UInt8] = []
        func more() throws {
            let left = deadline - .now
            guard left > .zero else { throw Socket.TimedOut() }
            bytes += try socket.receive(within: Double(left.components.seconds) + Double(left.components.attoseconds) * 1e-18)
        }
        let end = Array("\r\n\r\n".utf8)
        var head: Range<Int>?
        while true {
            head = bytes.firstRange(of: end)
            if head != nil { break }
            try more()
        }
        guard let head, let fields = Fields(bytes[..<head.lowerBound]) else { throw Broken("not HTTP: \(bytes.prefix(80))") }
        while bytes.count < head.upperBound + fields.length { try more() }
        let content = Data(bytes[head.upperBound..<(head.upperBound + fields.length)])
        let object = content.isEmpty ? nil : try? JSONSerialization.jsonObject(with: content)
        if fields.closes { self.socket = nil }
        return Answer(status: fields.status, contentType: fields.contentType, body: object as? [String: Any] ?? [:])
    }

    private struct Fields {
        var status = 0
        var length = 0
        var contentType = ""
        var closes = false

        init?(_ bytes: ArraySlice<UInt8>) {
            let lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
            let words = lines[0].split(separator: " ")
            guard words.count >= 2, let status = Int(words[1]) else { return nil }
            self.status = status
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                guard parts.count == 2 else { continue }
                switch parts[0].lowercased() {
                case "content-length": length = Int(parts[1]) ?? 0
                case "content-type": contentType = parts[1]
                case "connection": closes = parts[1].lowercased() == "close"
                case "transfer-encoding": return nil
                default: break
                }
            }
        }
    }
}
