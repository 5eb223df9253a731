internal import BinaryCoding
internal import Database
internal import Exchange
internal import Ledger
internal import Market
internal import Settlement
internal import Units

/// Writes images of entities as upserts, and appended rows as inserts.
struct TableWriter {
    let connection: any SQLConnection

    init(_ connection: any SQLConnection) { self.connection = connection }

    func write(_ changes: StateChanges) throws {
        try writeState(changes)
        try upsert("pool_targets", key: ["id"], TableColumns.poolTarget, changes.targets) { TableColumns.append($1, to: &$2) }
        try upsert("rigs", key: ["id"], TableColumns.rig, changes.rigs) { TableColumns.append($1, to: &$2) }
        try upsert("orders", key: ["id"], TableColumns.order, changes.orders) { TableColumns.append($1, to: &$2) }
        try upsert("deliveries", key: ["id"], TableColumns.delivery, changes.deliveries) { TableColumns.append($1, to: &$2) }
        try upsert("billings", key: ["bid", "ask", "rig", "tariff"], TableColumns.billing, changes.billings) {
            TableColumns.append($0, $1, to: &$2)
        }
        try upsert("ledger_balances", key: ["kind", "owner"], ["kind", "owner", "balance"], changes.balances) {
            $2.append(Int64($0.code.kind), $0.code.owner, $1.rawValue)
        }
        try upsert("deposits", key: ["account", "reference"], ["account", "reference", "amount"], changes.deposits) {
            $2.append($0.account.rawValue)
            $2.append(.text($0.reference))
            $2.append($1.rawValue)
        }
        try upsert("answers", key: ["account", "key"], TableWriter.answer, changes.answers) {
            $2.append($0.account.rawValue)
            $2.append(.text($0.key))
            $2.append($1.number)
            $2.append(.blob($1.digest))
            $2.append(.blob($1.outcome.bytes))
        }
        try upsert("farms", key: ["id"], TableColumns.farm, changes.farms) { TableColumns.append($1, to: &$2) }
        try upsert("silences", key: ["account"], TableColumns.silence, changes.silences) {
            $2.append($0.rawValue, $1.microseconds)
        }
        try upsert("farm_logins", key: ["farm"], TableColumns.farmLogin, changes.farmLogins) { TableColumns.append($1, to: &$2) }
        try upsert("curtailments", key: ["farm"], TableColumns.curtailment, changes.curtailments) {
            TableColumns.append($1, to: &$2)
        }
        try upsert("cut_rigs", key: ["rig"], TableColumns.cutRig, changes.cuts) {
            $2.append($0.rawValue, $1.farm.rawValue)
            $2.append(SQLValue($1.returnsAt?.microseconds))
        }
        try upsert("blocks", key: ["id"], TableColumns.block, changes.blocks) { TableColumns.append($1, to: &$2) }
    }

    private static let answer = ["account", "key", "number", "digest", "outcome", "live"]

    private func writeState(_ changes: StateChanges) throws {
        var rows = SQLRows(columns: 7)
        rows.append(.integer(1))
        rows.append(SQLValue(changes.rules?.symbol))
        rows.append(.integer(Int64(CodingVersion.newest)))
        for bytes in [changes.rules.bytes, changes.counters.bytes, changes.status.bytes, changes.books.bytes] { rows.append(.blob(bytes)) }
        let columns = ["id", "symbol", "coding_version", "rules", "counters", "status", "books"]
        try connection.upsert(into: "market_state", columns, key: ["id"], rows)
    }

    /// Images of entities, by key so that neighbours in a table are written one after the other.
    ///
    /// - Parameter append: adds an entity's row, but for the column `live`, which says whether the exchange still holds it
    private func upsert<Key: EntityKey, Entity>(
        _ table: String, key: [String], _ columns: [String], _ changes: [Key: EntityChange<Entity>],
        _ append: (Key, Entity, inout SQLRows) -> Void
    ) throws {
        guard !changes.isEmpty else { return }
        let tellsLife = columns.last == "live"
        var rows = SQLRows(columns: columns.count, reservingCapacity: min(changes.count, TableWriter.rowsAtOnce))
        for entityKey in changes.keys.sorted() {
            guard let change = changes[entityKey] else { continue }
            switch change {
            case .live(let entity):
                append(entityKey, entity, &rows)
                if tellsLife { rows.append(1) }
            case .gone(let entity):
                append(entityKey, entity, &rows)
                if tellsLife { rows.append(0) }
            }
            if rows.count == TableWriter.rowsAtOnce {
                try connection.upsert(into: table, columns, key: key, rows)
                rows.removeAll()
            }
        }
        if !rows.isEmpty { try connection.upsert(into: table, columns, key: key, rows) }
    }

    /// Few enough to stay in the processor's cache, many enough for a statement in bulk.
    private static let rowsAtOnce = 2048

    func write(_ appended: Appended) throws {
        let count = appended.entries.count
        var entries = SQLRows(columns: TableColumns.entry.count, reservingCapacity: count)
        var postings = SQLRows(columns: 5, reservingCapacity: 2 * count)
        var lines = SQLRows(columns: TableColumns.line.count)
        for item in appended.entries {
            switch item.event {
            case .entryPosted(let entry):
                TableColumns.append(entry, to: &entries)
                for (line, posting) in entry.postings.enumerated() {
                    let (kind, owner) = posting.account.code
                    postings.append(entry.id, Int64(line), Int64(kind), owner, posting.amount.rawValue)
                }
            case .lineSettled(let line):
                TableColumns.append(line, number: item.sequence * 1_000_000 + Int64(item.place), to: &lines)
            default: break
            }
        }
        try connection.insert(into: "ledger_entries", TableColumns.entry, entries)
        try connection.insert(into: "ledger_postings", ["entry", "line", "account_kind", "owner", "amount"], postings)
        try connection.insert(into: "settlement_lines", TableColumns.line, lines)
    }
}

extension BinaryCodable {
    var bytes: [UInt8] {
        var writer = BinaryWriter()
        encode(into: &writer)
        return writer.bytes
    }
}
