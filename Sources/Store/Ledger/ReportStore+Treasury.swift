internal import Database
public import Exchange
public import Ledger
public import Market
public import Units

extension ReportStore {
    public func transfers(_ filter: TransferFilter, after cursor: Int64, limit: Int) async throws -> [Transfer] {
        var conditions = ["id > $1"]
        var parameters: [SQLValue] = [.integer(cursor)]
        func add(_ column: String, _ value: Int64?) {
            guard let value else { return }
            parameters.append(.integer(value))
            conditions.append("\(column) = $\(parameters.count)")
        }
        add("account", filter.account?.rawValue)
        add("kind", filter.kind.map { Int64($0.rawValue) })
        add("status", filter.status.map { Int64($0.rawValue) })
        parameters.append(.integer(Int64(limit)))
        let sql = """
            SELECT \(TableColumns.transfer.joined(separator: ", ")) FROM transfers
            WHERE \(conditions.joined(separator: " AND ")) ORDER BY id LIMIT $\(parameters.count)
            """
        let values = parameters
        return try await database.read { connection in
            try connection.query(sql, values).map { try TableReader(connection).transfer($0) }
        }
    }

    public func transfer(_ id: TransferID) async throws -> Transfer? {
        try await database.read { connection in
            try connection.queryOne(
                "SELECT \(TableColumns.transfer.joined(separator: ", ")) FROM transfers WHERE id = $1", [.integer(id.rawValue)]
            ).map { try TableReader(connection).transfer($0) }
        }
    }

    public func ledgerEntry(_ number: Int64) async throws -> LedgerEntry? {
        try await database.read { connection in
            try LedgerChain.entries(after: number - 1, limit: 1, connection).first { $0.id == number }
        }
    }

    public func ledgerEntries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ChainedEntry] {
        try await database.read { connection in
            guard let account else { return try LedgerReader(connection).entries(after: cursor, limit: limit) }
            return try LedgerReader(connection).entries(of: account, after: cursor, limit: limit)
        }
    }

    public func newestLedgerEntry() async throws -> Int64 {
        try await database.read { connection in
            try connection.queryOne("SELECT coalesce(max(id), 0) FROM ledger_entries")?.int64(0) ?? 0
        }
    }

    public func ledgerTotals(account: AccountID?, after cursor: Int64, through end: Int64) async throws -> LedgerTotals {
        try await database.read { connection in
            guard let account else { return try LedgerReader(connection).totals(after: cursor, through: end) }
            return try LedgerReader(connection).totals(of: account, after: cursor, through: end)
        }
    }

    public func trialBalance(asOf: Timestamp?, _ basis: LedgerBasis) async throws -> [LedgerBalance] {
        try await database.read { connection in
            guard let asOf else { return try BalanceReader(connection, basis).present() }
            return try BalanceReader(connection, basis).balances(asOf: asOf)
        }
    }

    public func balances(of accounts: [LedgerAccount], asOf: Timestamp, _ basis: LedgerBasis) async throws -> [Satoshis] {
        try await database.read { connection in
            let reader = BalanceReader(connection, basis)
            return try accounts.map { try reader.balance(of: $0, asOf: asOf) }
        }
    }
}

/// Entries a page at a time.
private struct LedgerReader {
    let connection: any SQLConnection

    init(_ connection: any SQLConnection) { self.connection = connection }

    func entries(after cursor: Int64, limit: Int) throws -> [ChainedEntry] {
        let entries = try LedgerChain.entries(after: cursor, limit: Int64(limit), connection)
        guard let last = entries.last else { return [] }
        var hashes: [Int64: [UInt8]] = [:]
        try connection.forEach(
            "SELECT entry, hash FROM ledger_chain WHERE entry > $1 AND entry <= $2", [.integer(cursor), .integer(last.id)]
        ) { hashes[try $0.int64(0)] = try $0.blob(1) }
        return entries.map { ChainedEntry($0, hash: hashes[$0.id]) }
    }

    func totals(after cursor: Int64, through end: Int64) throws -> LedgerTotals {
        try totals(
            """
            SELECT (SELECT count(*) FROM ledger_entries e WHERE e.id > $1 AND e.id <= $2), count(*),
                   CAST(coalesce(sum(p.amount), 0) AS BIGINT)
            FROM ledger_postings p WHERE p.entry > $1 AND p.entry <= $2
            """, [.integer(cursor), .integer(end)])
    }

    func totals(of account: AccountID, after cursor: Int64, through end: Int64) throws -> LedgerTotals {
        try totals(
            """
            SELECT count(DISTINCT p.entry), count(*), CAST(coalesce(sum(p.amount), 0) AS BIGINT)
            FROM ledger_postings p
            WHERE p.entry > $1 AND p.entry <= $2 AND p.owner = $3 AND p.account_kind IN (1, 2, 7)
            """, [.integer(cursor), .integer(end), .integer(account.rawValue)])
    }

    private func totals(_ sql: String, _ parameters: [SQLValue]) throws -> LedgerTotals {
        guard let row = try connection.queryOne(sql, parameters) else { return LedgerTotals() }
        return LedgerTotals(entries: try row.int64(0), postings: try row.int64(1), sum: Int128(try row.int64(2)))
    }

    /// Each kind of account is looked up by its own part of the index: a page costs the same however long the account's
    /// history is.
    func entries(of account: AccountID, after cursor: Int64, limit: Int) throws -> [ChainedEntry] {
        let parts = [1, 2, 7].map { kind in
            """
            SELECT entry FROM (
                SELECT entry FROM ledger_postings WHERE owner = $1 AND account_kind = \(kind) AND entry > $2
                ORDER BY entry LIMIT $3
            ) AS part\(kind)
            """
        }
        var found: [ChainedEntry] = []
        try connection.forEach(
            """
            SELECT \(LedgerRows.entryColumns("e.")), c.hash, p.account_kind, p.owner, p.amount
            FROM (SELECT entry FROM (\(parts.joined(separator: " UNION "))) AS page ORDER BY entry LIMIT $3) AS n
            JOIN ledger_entries e ON e.id = n.entry
            JOIN ledger_postings p ON p.entry = n.entry AND p.owner = $1 AND p.account_kind IN (1, 2, 7)
            LEFT JOIN ledger_chain c ON c.entry = n.entry
            ORDER BY e.id, p.line
            """, [.integer(account.rawValue), .integer(cursor), .integer(Int64(limit))]
        ) { row in
            let first = LedgerRows.entryColumnCount
            if try found.last?.entry.id != row.int64(0) {
                found.append(ChainedEntry(try LedgerRows.entry(row), hash: try row.optionalBlob(first)))
            }
            found[found.count - 1].entry.postings.append(try LedgerRows.posting(row, from: first + 1))
        }
        return found
    }
}
