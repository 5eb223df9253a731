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
        try upsert("pool_targets", key: ["id"], TableColumns.poolTarget, changes.targets.map { $1.row(TableColumns.values) })
        try upsert("rigs", key: ["id"], TableColumns.rig, changes.rigs.map { $1.row(TableColumns.values) })
        try upsert("orders", key: ["id"], TableColumns.order, changes.orders.map { $1.liveRow(TableColumns.values) })
        try upsert(
            "deliveries", key: ["id"], TableColumns.delivery, changes.deliveries.map { $1.liveRow(TableColumns.values) })
        try upsert("billings", key: ["bid", "ask", "rig", "tariff"], TableColumns.billing, changes.billings.map { key, change in
            change.liveRow { TableColumns.values(key, $0) }
        })
        try upsert("ledger_balances", key: ["kind", "owner"], ["kind", "owner", "balance"],
            changes.balances.map { account, change in
                change.row { [.integer(Int64(account.code.kind)), .integer(account.code.owner), .integer($0.rawValue)] }
            })
        try upsert("deposits", key: ["account", "reference"], ["account", "reference", "amount"],
            changes.deposits.map { key, change in
                change.row { [.integer(key.account.rawValue), .text(key.reference), .integer($0.rawValue)] }
            })
        try upsert("answers", key: ["account", "key"], ["account", "key", "number", "digest", "outcome", "live"],
            changes.answers.map { key, change in
                change.liveRow { answer in
                    [
                        .integer(key.account.rawValue), .text(key.key), .integer(answer.number), .blob(answer.digest),
                        .blob(answer.outcome.bytes),
                    ]
                }
            })
        try upsert("farms", key: ["id"], TableColumns.farm, changes.farms.map { $1.row(TableColumns.values) })
        try upsert("silences", key: ["account"], TableColumns.silence, changes.silences.map { account, change in
            change.liveRow { TableColumns.values(account, $0) }
        })
    }

    private func writeState(_ changes: StateChanges) throws {
        try upsert("market_state", key: ["id"], ["id", "symbol", "coding_version", "rules", "counters", "status"], [[
            .integer(1), changes.rules.map { .text($0.symbol) } ?? .null, .integer(Int64(CodingVersion.newest)),
            .blob(changes.rules.bytes), .blob(changes.counters.bytes), .blob(changes.status.bytes),
        ]])
    }

    func write(_ appended: Appended) throws {
        var entries: [[SQLValue]] = []
        var postings: [[SQLValue]] = []
        var lines: [[SQLValue]] = []
        for item in appended.entries {
            switch item.event {
            case .entryPosted(let entry):
                entries.append([
                    .integer(entry.id), .integer(Int64(entry.kind.rawValue)), .integer(entry.at.microseconds),
                    .text(entry.reference),
                ])
                for (line, posting) in entry.postings.enumerated() {
                    postings.append([
                        .integer(entry.id), .integer(Int64(line)), .integer(Int64(posting.account.code.kind)),
                        .integer(posting.account.code.owner), .integer(posting.amount.rawValue),
                    ])
                }
            case .lineSettled(let line):
                lines.append(TableColumns.values(line, number: item.sequence * 1_000_000 + Int64(item.place)))
            default: break
            }
        }
        try insert("ledger_entries", ["id", "kind", "at", "reference"], entries)
        try insert("ledger_postings", ["entry", "line", "account_kind", "owner", "amount"], postings)
        try insert("settlement_lines", TableColumns.line, lines)
    }

    private func insert(_ table: String, _ columns: [String], _ rows: [[SQLValue]]) throws {
        guard !rows.isEmpty else { return }
        try connection.executeMany(TableColumns.insert(table, columns), rows: rows)
    }

    private func upsert(_ table: String, key: [String], _ columns: [String], _ rows: [[SQLValue]]) throws {
        guard !rows.isEmpty else { return }
        let assignments = columns.filter { !key.contains($0) }.map { "\($0) = excluded.\($0)" }
        let sql = TableColumns.insert(table, columns)
            + " ON CONFLICT (\(key.joined(separator: ", "))) DO UPDATE SET \(assignments.joined(separator: ", "))"
        try connection.executeMany(sql, rows: rows)
    }
}

extension EntityChange {
    var image: Entity {
        switch self {
        case .live(let entity), .gone(let entity): entity
        }
    }

    func row(_ values: (Entity) -> [SQLValue]) -> [SQLValue] { values(image) }

    /// With the `live` column last.
    func liveRow(_ values: (Entity) -> [SQLValue]) -> [SQLValue] {
        switch self {
        case .live(let entity): values(entity) + [.integer(1)]
        case .gone(let entity): values(entity) + [.integer(0)]
        }
    }
}

extension BinaryCodable {
    var bytes: [UInt8] {
        var writer = BinaryWriter()
        encode(into: &writer)
        return writer.bytes
    }
}
