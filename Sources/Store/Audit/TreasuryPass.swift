internal import Database
internal import Units

/// Money that comes in and goes out, beside the ledger.
struct TreasuryPass: AuditPass {
    let invariants = [
        AuditInvariant("ledger.leaving", "funds on their way out are the sum of open withdrawals"),
        AuditInvariant("ledger.suspense", "suspense is the sum of open deposits and of corrections"),
        AuditInvariant("transfer.approval", "nobody decided on their own transfer"),
    ]

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        let count = try connection.count("SELECT count(*) FROM transfers")
        for invariant in invariants { tally.looked(invariant.code, count) }
        try compareLeaving(connection, &tally)
        try compareSuspense(connection, &tally)
        try connection.forEach(
            """
            SELECT id, requested_by, decided_by FROM transfers
            WHERE status IN (2, 3) AND (decided_by IS NULL OR decided_by = requested_by OR decided_by = account) ORDER BY id
            """) { row in
                let decider = try row.optionalInt64(2).map { "decided by account \($0)" } ?? "decided by nobody"
                tally.broken(
                    "transfer.approval", "transfer \(try row.int64(0)), requested by account \(try row.int64(1))", found: decider)
            }
        return false
    }

    private func compareLeaving(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        try connection.forEach(
            """
            SELECT owner, sum(balance), sum(open) FROM (
                SELECT owner, balance, 0 AS open FROM ledger_balances WHERE kind = 7
                UNION ALL
                SELECT account, 0, amount FROM transfers WHERE kind = 2 AND live = 1
            ) AS both_sides GROUP BY owner HAVING sum(balance) <> sum(open) ORDER BY owner
            """) { row in
                let owner = try row.int64(0)
                tally.compare(
                    "ledger.leaving", AuditText.account(kind: 7, owner: owner), expected: try row.sum(2), found: try row.sum(1))
            }
    }

    private func compareSuspense(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        guard let row = try connection.queryOne(
            """
            SELECT (SELECT coalesce(sum(balance), 0) FROM ledger_balances WHERE kind = 6),
                   (SELECT coalesce(sum(amount), 0) FROM transfers WHERE kind = 1 AND live = 1)
                 + (SELECT coalesce(sum(p.amount), 0) FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id
                    WHERE e.kind IN (11, 12) AND p.account_kind = 6)
            """)
        else { return }
        tally.compare("ledger.suspense", "suspense", expected: try row.sum(1), found: try row.sum(0))
    }
}
