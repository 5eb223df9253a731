import HTTPTypes
import Yams
@testable import WebAPI

/// The OpenAPI document, and a checker for the part of JSON Schema that it uses.
final class Document: Sendable {
    static let shared = Document()

    /// Yams' tree as a value.
    indirect enum Node: Sendable {
        case map([String: Node])
        case list([Node])
        case text(String)
        case int(Int)
        case bool(Bool)
        case null

        init(_ any: Any) {
            switch any {
            case let map as [String: Any]: self = .map(map.mapValues(Node.init))
            case let list as [Any]: self = .list(list.map(Node.init))
            case let bool as Bool: self = .bool(bool)
            case let int as Int: self = .int(int)
            case let text as String: self = .text(text)
            default: self = .null
            }
        }

        subscript(name: String) -> Node? { if case .map(let map) = self { map[name] } else { nil } }
        var keys: [String] { if case .map(let map) = self { map.keys.sorted() } else { [] } }
        var items: [Node] { if case .list(let items) = self { items } else { [] } }
        var text: String? { if case .text(let text) = self { text } else { nil } }
        var int: Int? { if case .int(let int) = self { int } else { nil } }
        var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
        var isList: Bool { if case .list = self { true } else { false } }
    }

    let root: Node

    private init() {
        let text = String(decoding: PackageResources.openapi_yaml, as: UTF8.self)
        guard let tree = try? Yams.load(yaml: text) else { preconditionFailure("the document is not YAML") }
        root = Node(tree)
    }

    static let methods = ["get", "post", "put", "patch", "delete"]

    /// `get /v1/market`, and so on.
    var operations: [String: Node] {
        var all: [String: Node] = [:]
        for path in root["paths"]?.keys ?? [] {
            for method in Document.methods {
                if let operation = root["paths"]?[path]?[method] { all["\(method) \(path)"] = operation }
            }
        }
        return all
    }

    func resolved(_ node: Node) -> Node {
        guard let path = node["$ref"]?.text else { return node }
        var found = root
        for part in path.split(separator: "/").dropFirst() { found = found[String(part)] ?? .null }
        return resolved(found)
    }

    // MARK: - Answers

    /// What is wrong with an answer, by the document.
    func flaws(of reply: Client.Reply, to method: HTTPRequest.Method, _ uri: String) -> [String] {
        let path = String(uri.split(separator: "?")[0])
        let name = method == .head ? "get" : method.rawValue.lowercased()
        let endpoint = Endpoint.all.first { $0.matches(path) && $0.method.rawValue.lowercased() == name }
        let response: Node
        if let endpoint {
            guard let operation = operations["\(name) \(endpoint.path)"] else { return ["not in the document"] }
            guard let found = operation["responses"]?["\(reply.status)"] ?? operation["responses"]?["default"] else {
                return ["no response for \(reply.status)"]
            }
            response = resolved(found)
        } else {
            response = resolved(.map(["$ref": .text("#/components/responses/Problem")]))
        }
        if method == .head { return [] }
        guard let content = response["content"] else { return reply.text.isEmpty ? [] : ["a body, but none is described"] }
        let type = String((reply.headers[.contentType] ?? "").split(separator: ";").first ?? "")
        guard let schema = content[type]?["schema"] else { return ["content type \(type) is not described"] }
        return type.hasSuffix("json") ? flaws(reply.json, schema, at: "") : []
    }

    // MARK: - Schemas

    func flaws(_ value: JSONValue, _ schema: Node, at place: String) -> [String] {
        var found: [String] = []
        if schema["$ref"] != nil { found += flaws(value, resolved(schema), at: place) }
        if let types = schema["type"] {
            let names = types.isList ? types.items.compactMap(\.text) : [types.text ?? ""]
            if !names.contains(where: { matches(value, type: $0) }) { found.append("\(place) is not \(names)") }
        }
        if let choices = schema["enum"]?.items.compactMap(\.text), !choices.contains(value.text ?? "") {
            found.append("\(place) is not one of \(choices)")
        }
        if let minimum = schema["minimum"]?.int, let number = value.int, number < minimum { found.append("\(place) < \(minimum)") }
        if let maximum = schema["maximum"]?.int, let number = value.int, number > maximum { found.append("\(place) > \(maximum)") }
        if let most = schema["maxItems"]?.int, value.items.count > most { found.append("\(place) has more than \(most) items") }
        if let constant = schema["const"]?.int, value.int != Int64(constant) { found.append("\(place) is not \(constant)") }
        if let options = schema["oneOf"]?.items, options.count(where: { flaws(value, $0, at: place).isEmpty }) != 1 {
            found.append("\(place) is not one of its kinds")
        }
        if let items = schema["items"] {
            for (index, item) in value.items.enumerated() { found += flaws(item, items, at: "\(place)[\(index)]") }
        }
        if case .object(let members) = value { found += flaws(members, schema, at: place) }
        return found
    }

    private func flaws(_ members: [JSONValue.Member], _ schema: Node, at place: String) -> [String] {
        var found: [String] = []
        for name in schema["required"]?.items.compactMap(\.text) ?? [] where !members.contains(where: { $0.name == name }) {
            found.append("\(place).\(name) is missing")
        }
        for member in members {
            if let property = schema["properties"]?[member.name] {
                found += flaws(member.value, property, at: "\(place).\(member.name)")
            } else if schema["additionalProperties"]?.bool == false
                || schema["unevaluatedProperties"]?.bool == false && !describes(member.name, schema)
            {
                found.append("\(place).\(member.name) is not described")
            }
        }
        return found
    }

    /// Whether a member is among the schema's properties, or those of the schema that it builds on.
    private func describes(_ name: String, _ schema: Node) -> Bool {
        schema["properties"]?[name] != nil || schema["$ref"] != nil && describes(name, resolved(schema))
    }

    private func matches(_ value: JSONValue, type: String) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object): true
        case ("integer", .number(let digits)): Int64(digits) != nil
        default: false
        }
    }
}
