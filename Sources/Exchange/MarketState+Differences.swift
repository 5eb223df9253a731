internal import BinaryCoding
internal import Ledger
internal import Units

/// One thing in which two states differ, in words for an operator.
public struct StateDifference: Hashable, Sendable, CustomStringConvertible {
    /// What differs, e.g. `order 12`.
    public var entity: String
    /// Which of its fields; nil when one of the states does not have it at all.
    public var field: String?
    /// nil: it is not there.
    public var expected: String?
    public var found: String?

    public var description: String {
        "\(entity)\(field.map { ", \($0)" } ?? ""): expected \(expected ?? "none"), found \(found ?? "none")"
    }
}

extension MarketState {
    /// In what `other` is not what this state says, by kind and key; at most `most` differences. O(state) when there are any.
    ///
    /// Secrets are named, not shown.
    public func differences(in other: MarketState, most: Int) -> [StateDifference] {
        var list = DifferenceList(most: most)
        list.compareFields("rules", rules, other.rules)
        list.compareFields("status", status, other.status)
        list.compareFields("counters", counters, other.counters)
        list.compareFields("books", books, other.books)
        list.compare("pool target", targets, other.targets)
        list.compare("rig", rigs, other.rigs)
        list.compare("order", orders, other.orders)
        list.compare("delivery", deliveries, other.deliveries)
        list.compare("billing", billings, other.billings)
        list.compare("balance", balances, other.balances)
        list.compare("deposit", deposits, other.deposits)
        list.compare("answer", answers, other.answers)
        list.compare("farm", farms, other.farms)
        list.compare("silence", silences, other.silences)
        list.compare("farm login", farmLogins, other.farmLogins)
        list.compare("curtailment", curtailments, other.curtailments)
        list.compare("cut rig", cuts, other.cuts)
        list.compare("block", blocks, other.blocks)
        let trades = (trades.last(RecentTrades.most), other.trades.last(RecentTrades.most))
        if trades.0 != trades.1 { list.compareTrades(trades.0, trades.1) }
        return list.found
    }
}

extension Exchange {
    /// ``MarketState/takeChanges()`` of its state, if that tracks its changes.
    public mutating func takeChanges() -> StateChanges { state.takeChanges() }
}

private struct DifferenceList {
    let most: Int
    var found: [StateDifference] = []

    private mutating func add(_ entity: String, _ field: String?, _ expected: String?, _ other: String?) {
        if found.count < most { found.append(StateDifference(entity: entity, field: field, expected: expected, found: other)) }
    }

    mutating func compare<Key, Entity>(_ kind: String, _ expected: EntityTable<Key, Entity>, _ other: EntityTable<Key, Entity>) {
        guard expected.hash != other.hash || expected.count != other.count else { return }
        for key in Set(expected.keys).union(other.keys).sorted() {
            guard found.count < most else { return }
            let name = "\(kind) \(DifferenceList.text(of: key))"
            switch (expected[key], other[key]) {
            case (nil, nil): break
            case (_?, nil): add(name, nil, "there", nil)
            case (nil, _?): add(name, nil, nil, "there")
            case (let entity?, let image?): compareFields(name, entity, image)
            }
        }
    }

    mutating func compareFields<Entity: BinaryCodable>(_ name: String, _ expected: Entity, _ other: Entity) {
        guard DifferenceList.bytes(expected) != DifferenceList.bytes(other) else { return }
        let fields = DifferenceList.fields(of: expected), others = DifferenceList.fields(of: other)
        guard fields.count == others.count, !fields.isEmpty else {
            return add(name, nil, fields.isEmpty ? nil : "there", others.isEmpty ? nil : "there")
        }
        for (field, otherField) in zip(fields, others) where field.value != otherField.value {
            let isSecret = DifferenceList.secrets.contains(field.label)
            add(name, field.label, isSecret ? "a secret" : field.value, isSecret ? "another" : otherField.value)
        }
    }

    mutating func compareTrades(_ expected: [Trade], _ other: [Trade]) {
        for (trade, image) in zip(expected, other) where trade != image {
            return add("recent trades", nil, "\(trade)", "\(image)")
        }
        add("recent trades", "count", "\(expected.count)", "\(other.count)")
    }

    private static let secrets: Set<String> = ["password", "passwordDigest"]

    private static func fields(of entity: some Any) -> [(label: String, value: String)] {
        let mirror = Mirror(reflecting: entity)
        if mirror.displayStyle == .optional {
            guard let content = mirror.children.first?.value else { return [] }
            return fields(of: content)
        }
        return mirror.children.map { ($0.label ?? "value", String(describing: $0.value)) }
    }

    /// A key's parts, e.g. `1/wire 17`.
    private static func text(of key: some Any) -> String {
        if let account = key as? LedgerAccount { return "\(account.code.kind)/\(account.code.owner)" }
        if let named = key as? any CustomStringConvertible { return named.description }
        return Mirror(reflecting: key).children.map { String(describing: $0.value) }.joined(separator: "/")
    }

    private static func bytes(_ entity: some BinaryCodable) -> [UInt8] {
        var writer = BinaryWriter()
        entity.encode(into: &writer)
        return writer.bytes
    }
}
