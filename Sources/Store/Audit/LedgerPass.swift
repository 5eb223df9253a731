internal import Database
internal import Ledger
internal import Units

/// Entries, postings and balances.
struct LedgerPass: AuditPass {
    let invariants = [
        AuditInvariant("ledger.entrySum", "every ledger entry sums to zero"),
        AuditInvariant("ledger.entryGap", "entries are numbered without a gap, in the order of their time"),
        AuditInvariant("ledger.total", "all accounts together are zero"),
        AuditInvariant("ledger.balance", "every balance is the sum of its postings"),
        AuditInvariant("ledger.held", "held funds are the sum of open holds"),
        AuditInvariant("ledger.negative", "no customer's balance is negative"),
    ]

    private struct Account: Hashable, Comparable {
        var kind: Int64
        var owner: Int64

        static func < (a: Account, b: Account) -> Bool { (a.kind, a.owner) < (b.kind, b.owner) }
    }

    private static let page: Int64 = 10_000

    private var hasBegun = false
    private var lastEntry: Int64 = 0
    private var lastTime = Int64.min
    private var firstChecked: Int64 = 0
    private var sums: [Account: Int128] = [:]

    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        if !hasBegun { try begin(connection, &tally) }
        if try readEntries(connection, &tally) { return true }
        try findStrays(connection, &tally)
        try compareBalances(connection, &tally)
        try compareHolds(connection, &tally)
        return false
    }

    private mutating func begin(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        hasBegun = true
        let last = try connection.count("SELECT max(id) FROM ledger_entries")
        tally.expected = last
        guard let since = tally.since else { return }
        firstChecked = try connection.firstNumber(
            "SELECT id, at FROM ledger_entries WHERE id >= $1 ORDER BY id LIMIT 1", reaching: since.microseconds, through: last + 1)
        guard !tally.wants("ledger.balance") else { return }
        lastEntry = max(0, firstChecked - 1)
    }

    // MARK: - Entries

    private struct Entry {
        var id: Int64
        var at: Int64
        var reference: String
        var sum: Int128 = 0
        var postings = 0
    }

    private mutating func readEntries(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool {
        let end = try connection.queryOne(
            "SELECT max(id) FROM (SELECT id FROM ledger_entries WHERE id > $1 ORDER BY id LIMIT $2) AS page",
            [.integer(lastEntry), .integer(LedgerPass.page)])?.optionalInt64(0)
        guard let end else { return false }
        let rows = try connection.query(
            """
            SELECT e.id, e.at, e.reference, p.account_kind, p.owner, p.amount
            FROM ledger_entries e LEFT JOIN ledger_postings p ON p.entry = e.id
            WHERE e.id > $1 AND e.id <= $2 ORDER BY e.id, p.line
            """, [.integer(lastEntry), .integer(end)])
        var entry: Entry?
        for row in rows {
            let id = try row.int64(0)
            if entry?.id != id {
                if let entry { check(entry, &tally) }
                entry = Entry(id: id, at: try row.int64(1), reference: try row.text(2))
            }
            guard let amount = try row.optionalInt64(5) else { continue }
            entry?.sum += Int128(amount)
            entry?.postings += 1
            sums[Account(kind: try row.int64(3), owner: try row.int64(4)), default: 0] += Int128(amount)
        }
        if let entry { check(entry, &tally) }
        return true
    }

    private mutating func check(_ entry: Entry, _ tally: inout AuditTally) {
        defer { (lastEntry, lastTime) = (entry.id, entry.at) }
        tally.read()
        guard entry.id >= firstChecked else { return }
        let subject = "entry \(entry.id) (\(entry.reference))"
        tally.looked("ledger.entrySum")
        if entry.postings == 0 {
            tally.broken("ledger.entrySum", subject, found: "no postings")
        } else {
            tally.compare("ledger.entrySum", subject, expected: 0, found: entry.sum)
        }
        tally.looked("ledger.entryGap")
        if entry.id != lastEntry + 1 {
            tally.broken("ledger.entryGap", subject, expected: "\(lastEntry + 1)", found: "\(entry.id)")
        } else if entry.at < lastTime {
            tally.broken(
                "ledger.entryGap", subject, expected: "\(Timestamp(microseconds: lastTime)) or later",
                found: "\(Timestamp(microseconds: entry.at))")
        }
    }

    private func findStrays(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        guard tally.wants("ledger.entrySum") else { return }
        var strays: [String] = []
        try connection.forEach(
            """
            SELECT p.entry, p.line, p.amount FROM ledger_postings p
            WHERE p.entry >= $1 AND NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.id = p.entry)
            ORDER BY p.entry, p.line LIMIT 1000
            """, [.integer(firstChecked)]) { row in
                strays.append("posting \(try row.int64(0))/\(try row.int64(1)) of \(try row.int64(2))")
            }
        for stray in strays { tally.broken("ledger.entrySum", stray, found: "it belongs to no entry") }
    }

    // MARK: - Balances

    private mutating func compareBalances(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        var total: Int128 = 0
        var count: Int64 = 0
        var left = sums
        try connection.forEach("SELECT kind, owner, balance FROM ledger_balances ORDER BY kind, owner") { row in
            let account = Account(kind: try row.int64(0), owner: try row.int64(1))
            let balance = Int128(try row.int64(2))
            count += 1
            total += balance
            tally.compare(
                "ledger.balance", LedgerPass.name(account), expected: left.removeValue(forKey: account) ?? 0, found: balance)
            // Available, held, fees earned, and what is leaving.
            if [1, 2, 4, 7].contains(account.kind), balance < 0 {
                tally.broken("ledger.negative", LedgerPass.name(account), found: "\(balance)")
            }
        }
        for (account, sum) in left.filter({ $0.value != 0 }).sorted(by: { $0.key < $1.key }) {
            tally.broken("ledger.balance", LedgerPass.name(account), expected: "\(sum)", found: "no balance")
        }
        for code in ["ledger.balance", "ledger.negative", "ledger.total"] { tally.looked(code, count) }
        tally.compare("ledger.total", "all accounts", expected: 0, found: total)
        sums = [:]
    }

    private func compareHolds(_ connection: any SQLConnection, _ tally: inout AuditTally) throws {
        guard tally.wants("ledger.held") else { return }
        tally.looked("ledger.held", try connection.count("SELECT count(*) FROM deliveries WHERE live = 1"))
        try connection.forEach(
            """
            SELECT owner, CAST(sum(balance) AS BIGINT), CAST(sum(held) AS BIGINT) FROM (
                SELECT owner, balance, 0 AS held FROM ledger_balances WHERE kind = 2
                UNION ALL
                SELECT buyer, 0, held FROM deliveries WHERE live = 1
            ) AS both_sides GROUP BY owner HAVING sum(balance) <> sum(held) ORDER BY owner
            """) { row in
                let owner = try row.int64(0)
                tally.compare(
                    "ledger.held", "held funds of account \(owner)", expected: Int128(try row.int64(2)), found: Int128(try row.int64(1)))
            }
    }

    private static func name(_ account: Account) -> String { AuditText.account(kind: account.kind, owner: account.owner) }
}

/// Names as finance staff know them.
enum AuditText {
    static func account(kind: Int64, owner: Int64) -> String {
        let names = [1: "available", 2: "held", 3: "custody", 4: "fees", 5: "loss", 6: "suspense", 7: "leaving"]
        let name = names[Int(kind)] ?? "unknown kind \(kind)"
        return owner == 0 ? name : "\(name) funds of account \(owner)"
    }
}
