internal import Foundation
#if canImport(FoundationNetworking)
internal import FoundationNetworking
#endif

/// Talks to the market's API as its customers do.
struct Client: Sendable {
    let base: String
    let key: String?

    /// An answer's body as a tree of JSON values.
    func get(_ path: String) async throws(DemoFailure) -> JSON { try JSON(await data("GET", path, nil), path) }

    func text(_ path: String) async throws(DemoFailure) -> String {
        String(decoding: try await data("GET", path, nil), as: UTF8.self)
    }

    func post(_ path: String, _ body: [String: any Sendable] = [:]) async throws(DemoFailure) -> JSON {
        try JSON(await data("POST", path, body), path)
    }

    func delete(_ path: String) async throws(DemoFailure) { _ = try await data("DELETE", path, nil) }

    /// All items of a paged list.
    func all(_ path: String) async throws(DemoFailure) -> [JSON] {
        var items: [JSON] = []
        var cursor: String?
        repeat {
            let page = try await get(path + "?limit=500" + (cursor.map { "&cursor=\($0)" } ?? ""))
            items += page["items"].array
            cursor = page["nextCursor"].string
        } while cursor != nil
        return items
    }

    private func data(_ method: String, _ path: String, _ body: [String: any Sendable]?) async throws(DemoFailure) -> Data {
        guard let url = URL(string: base + path) else { throw DemoFailure("no URL: \(base)\(path)") }
        var request = URLRequest(url: url, timeoutInterval: 30)
        request.httpMethod = method
        if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
        if let body {
            request.httpBody = try? JSONSerialization.data(withJSONObject: body)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        let answer: (Data, URLResponse)
        do { answer = try await URLSession.shared.data(for: request) } catch {
            throw DemoFailure("\(method) \(path): \(error.localizedDescription)")
        }
        let status = (answer.1 as? HTTPURLResponse)?.statusCode ?? 0
        guard (200..<300).contains(status) else {
            throw DemoFailure("\(method) \(path): \(status) \(String(decoding: answer.0, as: UTF8.self))")
        }
        return answer.0
    }
}

/// A JSON value that is looked into by name; what is missing is null.
struct JSON: Sendable {
    private nonisolated(unsafe) let value: Any?

    private init(value: Any?) { self.value = value }

    init(_ data: Data, _ name: String) throws(DemoFailure) {
        if data.isEmpty {
            value = nil
            return
        }
        do { value = try JSONSerialization.jsonObject(with: data) } catch {
            throw DemoFailure("\(name) did not answer JSON")
        }
    }

    subscript(name: String) -> JSON { JSON(value: (value as? [String: Any])?[name]) }
    var array: [JSON] { (value as? [Any])?.map { JSON(value: $0) } ?? [] }
    var object: [String: JSON] { (value as? [String: Any])?.mapValues { JSON(value: $0) } ?? [:] }
    var string: String? { value as? String }
    var int: Int64? { (value as? NSNumber)?.int64Value }
}
