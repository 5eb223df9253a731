import HTTPTypes
import HummingbirdTesting
import NIOCore
import Testing
@testable import WebAPI

/// Sends requests, and holds every answer against the OpenAPI document.
struct Client: Sendable {
    let raw: any TestClientProtocol

    struct Reply {
        var status: Int
        var headers: HTTPFields
        var text: String
        var json: JSONValue

        subscript(path: String...) -> JSONValue { path.reduce(json) { $0[$1] } }
        var code: String? { json["code"].text }
        var field: String? { json["field"].text }
    }

    @discardableResult
    func send(
        _ method: HTTPRequest.Method, _ path: String, as caller: Caller? = nil, _ body: String? = nil,
        key: String? = nil, headers: HTTPFields = [:], location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        var headers = headers
        if let caller { headers[.authorization] = "Bearer \(caller.key)" }
        if let key { headers[.idempotencyKey] = key }
        if body != nil, headers[.contentType] == nil { headers[.contentType] = "application/json" }
        return try await sendBytes(method, path, body.map { Array($0.utf8) }, headers, location)
    }

    func sendBytes(
        _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]?, _ headers: HTTPFields,
        _ location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        let response = try await raw.execute(
            uri: path, method: method, headers: headers, body: body.map { ByteBuffer(bytes: $0) })
        let bytes = Array(buffer: response.body)
        let type = response.headers[.contentType] ?? ""
        let json = type.contains("json") && !bytes.isEmpty ? try JSONReader.read(bytes, depthLimit: 16) : .null
        let reply = Reply(
            status: response.status.code, headers: response.headers, text: String(decoding: bytes, as: UTF8.self),
            json: json)
        let flaws = Document.shared.flaws(of: reply, to: method, path)
        #expect(flaws.isEmpty, "\(method) \(path): \(flaws)", sourceLocation: location)
        return reply
    }

    func get(_ path: String, as caller: Caller? = nil, location: SourceLocation = #_sourceLocation) async throws -> Reply {
        try await send(.get, path, as: caller, location: location)
    }

    func post(
        _ path: String, as caller: Caller? = nil, _ body: String, key: String? = nil,
        location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        try await send(.post, path, as: caller, body, key: key, location: location)
    }

    func put(
        _ path: String, as caller: Caller? = nil, _ body: String, key: String? = nil,
        location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        try await send(.put, path, as: caller, body, key: key, location: location)
    }

    func patch(
        _ path: String, as caller: Caller? = nil, _ body: String, key: String? = nil,
        location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        try await send(.patch, path, as: caller, body, key: key, location: location)
    }

    func delete(
        _ path: String, as caller: Caller? = nil, key: String? = nil, location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        try await send(.delete, path, as: caller, key: key, location: location)
    }
}

extension JSONValue {
    subscript(name: String) -> JSONValue {
        guard case .object(let members) = self else { return .null }
        return members.first { $0.name == name }?.value ?? .null
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }
    var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    var int: Int64? { if case .number(let digits) = self { Int64(digits) } else { nil } }
    var items: [JSONValue] { if case .array(let items) = self { items } else { [] } }
}
