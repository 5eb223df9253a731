internal import Database
internal import Ledger

/// The ledger's hash chain, compared with the entries that the journal says: as far as the chain reaches. Entries from before
/// there was one are chained by and by.
struct ChainRows {
    private var rows: AddedRows
    private var previous = LedgerChain.root
    private var last: Int64?
    private let connection: any SQLConnection

    init(_ connection: any SQLConnection) {
        self.connection = connection
        rows = AddedRows("ledger_chain", ["entry", "hash"], keyCount: 1, connection)
    }

    mutating func expect(_ entry: LedgerEntry, _ findings: inout FindingList) throws {
        guard try entry.id <= end() else { return }
        previous = LedgerChain.hash(entry, after: previous)
        try rows.expect(SQLRow([.integer(entry.id), .blob(previous)]), &findings)
    }

    /// Rows of entries up to a number that the journal does not have.
    mutating func end(before bound: Int64, _ findings: inout FindingList) throws {
        try rows.end(before: min(bound, try end() + 1), &findings)
    }

    /// The last chained entry, as it was at first.
    private mutating func end() throws -> Int64 {
        if let last { return last }
        let found = try connection.queryOne("SELECT CAST(coalesce(max(entry), 0) AS BIGINT) FROM ledger_chain")?.int64(0) ?? 0
        last = found
        return found
    }
}
