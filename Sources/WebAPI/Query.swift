internal import HTTPTypes
internal import Hummingbird

/// A request's query parameters; unknown, repeated and malformed ones are refused by name.
struct Query {
    private var values: [String: String] = [:]

    init(_ request: Request, known: Set<String>) throws(Problem) {
        for (name, value) in request.uri.queryParameters {
            let name = String(name)
            guard known.contains(name) else {
                let list = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
                throw Query.flaw("parameterUnknown", String(name.prefix(64)), "No such query parameter here. Known: \(list).")
            }
            guard values.updateValue(String(value), forKey: name) == nil else {
                throw Query.flaw("parameterRepeated", name, "This query parameter may be given once.")
            }
        }
    }

    private static func flaw(_ code: String, _ field: String, _ detail: String) -> Problem {
        Problem(.badRequest, code, detail, field: field)
    }

    func text(_ name: String) -> String? { values[name] }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let text = values[name] else { return nil }
        guard let number = Int64(text), range.contains(number), text.utf8.first != UInt8(ascii: "+") else {
            throw Query.flaw(
                "parameterOutOfRange", name, "This must be an integer from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    func choice<T>(_ name: String, _ choices: [String: T]) throws(Problem) -> T? {
        guard let text = values[name] else { return nil }
        guard let choice = choices[text] else {
            throw Query.flaw(
                "parameterOutOfRange", name, "This must be one of \(choices.keys.sorted().joined(separator: ", ")).")
        }
        return choice
    }
}

/// Which part of a list is asked for: what follows `after`, at most `limit`.
struct PageRequest {
    var after: Int64
    var limit: Int

    static let parameters: Set<String> = ["cursor", "limit"]

    init(_ query: Query) throws(Problem) {
        after = try query.integer("cursor", in: 0...Int64.max) ?? 0
        limit = Int(try query.integer("limit", in: 1...Int64(Limits.listLimit)) ?? Int64(Limits.defaultListLimit))
    }
}

extension PageRequest {
    /// The page's items by number, and one more when there are more. O(n log n) in the items that match.
    func select<Item>(
        _ items: some Sequence<Item>, number: KeyPath<Item, Int64>, where matches: (Item) -> Bool
    ) -> [Item] {
        var found = items.filter { $0[keyPath: number] > after && matches($0) }
        found.sort { $0[keyPath: number] < $1[keyPath: number] }
        return Array(found.prefix(limit + 1))
    }
}
