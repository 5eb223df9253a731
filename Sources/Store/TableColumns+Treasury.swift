internal import BinaryCoding
internal import Database
internal import Exchange
internal import Ledger
internal import Units

extension TableColumns {
    static let transfer = [
        "id", "kind", "status", "account", "amount", "reference", "destination", "postings", "reverses", "reason", "note",
        "requested_by", "requested_at", "decided_by", "decided_at", "completed_by", "completed_at", "entry", "live",
    ]

    static func append(_ transfer: Transfer, to rows: inout SQLRows) {
        rows.append(transfer.id.rawValue, Int64(transfer.kind.rawValue), Int64(transfer.status.rawValue))
        rows.append(SQLValue(transfer.account?.rawValue))
        rows.append(transfer.amount.rawValue)
        rows.append(SQLValue(transfer.reference))
        rows.append(SQLValue(transfer.destination))
        rows.append(transfer.postings.isEmpty ? .null : .blob(transfer.postings.bytes))
        rows.append(SQLValue(transfer.reverses))
        rows.append(SQLValue(transfer.reason))
        rows.append(SQLValue(transfer.note))
        rows.append(transfer.requestedBy.rawValue, transfer.requestedAt.microseconds)
        rows.append(SQLValue(transfer.decidedBy?.rawValue))
        rows.append(SQLValue(transfer.decidedAt?.microseconds))
        rows.append(SQLValue(transfer.completedBy?.rawValue))
        rows.append(SQLValue(transfer.completedAt?.microseconds))
        rows.append(SQLValue(transfer.entry))
    }

    static let payment = ["kind", "reference", "transfer", "live"]
    static let freeze = ["account", "frozen_by", "frozen_at", "reason", "live"]
}

extension TableWriter {
    func writeTreasury(_ changes: StateChanges) throws {
        try upsert("transfers", key: ["id"], TableColumns.transfer, changes.transfers) { TableColumns.append($1, to: &$2) }
        try upsert("payment_references", key: ["kind", "reference"], TableColumns.payment, changes.payments) {
            $2.append(Int64($0.kind.rawValue))
            $2.append(.text($0.reference))
            $2.append($1.rawValue)
        }
        try upsert("account_freezes", key: ["account"], TableColumns.freeze, changes.freezes) {
            $2.append($0.rawValue, $1.by.rawValue, $1.at.microseconds)
            $2.append(.text($1.reason))
        }
    }
}

extension TableReader {
    func readTreasury(into state: inout StoredState) throws {
        state.transfers = try all("transfers", TableColumns.transfer, where: "live = 1", transfer)
        state.payments = try all("payment_references", TableColumns.payment, where: "live = 1") { row in
            (PaymentKey(try TableReader.raw(row, 0), try row.text(1)), TransferID(try row.int64(2)))
        }
        state.freezes = try all("account_freezes", TableColumns.freeze, where: "live = 1") { row in
            (
                AccountID(try row.int64(0)),
                Freeze(by: AccountID(try row.int64(1)), at: Timestamp(microseconds: try row.int64(2)), reason: try row.text(3))
            )
        }
    }

    /// Columns as in ``TableColumns/transfer``.
    func transfer(_ row: SQLRow) throws -> Transfer {
        func account(_ column: Int) throws -> AccountID? { try row.optionalInt64(column).map { AccountID($0) } }
        func time(_ column: Int) throws -> Timestamp? { try row.optionalInt64(column).map { Timestamp(microseconds: $0) } }
        return Transfer(
            id: TransferID(try row.int64(0)), kind: try TableReader.raw(row, 1), status: try TableReader.raw(row, 2),
            account: try account(3), amount: Satoshis(try row.int64(4)), reference: try row.optionalText(5),
            destination: try row.optionalText(6), postings: try row.optionalBlob(7).map { try decode([Posting].self, $0) } ?? [],
            reverses: try row.optionalInt64(8), reason: try row.optionalText(9), note: try row.optionalText(10),
            requestedBy: AccountID(try row.int64(11)), requestedAt: Timestamp(microseconds: try row.int64(12)),
            decidedBy: try account(13), decidedAt: try time(14), completedBy: try account(15), completedAt: try time(16),
            entry: try row.optionalInt64(17))
    }
}
