internal import Database
internal import Ledger
internal import Units

/// The ledger's rows, read back.
enum LedgerRows {
    /// - Parameter prefix: of the table, with its point, or nothing
    static func entryColumns(_ prefix: String) -> String {
        TableColumns.entry.map { prefix + $0 }.joined(separator: ", ")
    }

    static var entryColumnCount: Int { TableColumns.entry.count }

    /// An entry without its postings.
    static func entry(_ row: SQLRow) throws -> LedgerEntry {
        guard let raw = UInt8(exactly: try row.int64(1)), let kind = EntryKind(rawValue: raw) else {
            throw DatabaseError.decoding("unknown kind of ledger entry")
        }
        return LedgerEntry(
            id: try row.int64(0), kind: kind, at: Timestamp(microseconds: try row.int64(2)),
            valueAt: Timestamp(microseconds: try row.int64(4)), reference: try row.text(3), postings: [],
            by: try row.optionalInt64(5).map { AccountID($0) }, reason: try row.optionalText(6))
    }

    /// Columns: kind and owner of the account, amount.
    static func posting(_ row: SQLRow, from first: Int) throws -> Posting {
        Posting(try account(row, from: first), Satoshis(try row.int64(first + 2)))
    }

    static func account(_ row: SQLRow, from first: Int) throws -> LedgerAccount {
        guard let kind = UInt8(exactly: try row.int64(first)),
            let account = LedgerAccount(kind: kind, owner: try row.int64(first + 1))
        else { throw DatabaseError.decoding("unknown ledger account") }
        return account
    }
}
