internal import Database
public import Documents
internal import Settlement
public import Units

/// How far an export is: rows so far, and in all.
public typealias ExportProgress = @Sendable (Int64, Int64) -> Void

extension DocumentStore {
    static let postingColumns = [
        ExportColumn("entry", "Entry", isNumber: true, width: 60),
        ExportColumn("line", "Line", isNumber: true, width: 30),
        ExportColumn("at_utc", "Booked UTC", width: 100),
        ExportColumn("value_at_utc", "Value time UTC", width: 100),
        ExportColumn("kind", "Kind", width: 90),
        ExportColumn("reference", "Reference", width: 130),
        ExportColumn("reason", "Reason", width: 110),
        ExportColumn("ledger_account", "Ledger account", width: 80),
        ExportColumn("account", "Account", isNumber: true, width: 50),
        ExportColumn("account_name", "Name", width: 100),
        ExportColumn("amount_sat", "Amount sat", isSummed: true, width: 110),
    ]

    private static let rangeText = "FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry"
    private static let rangeRule = """
        WHERE e.value_at >= $2 AND e.value_at < $3
            AND (CAST($1 AS BIGINT) = 0 OR (p.owner = $1 AND p.account_kind IN (1, 2, 7)))
        """

    private static func parameters(_ account: AccountID?, _ range: Range<Timestamp>) -> [SQLValue] {
        [
            .integer(account?.rawValue ?? 0), .integer(range.lowerBound.microseconds),
            .integer(range.upperBound.microseconds),
        ]
    }

    private static func facts(_ account: AccountID?, _ range: Range<Timestamp>) -> [(String, String)] {
        [("From", range.lowerBound.description), ("To", range.upperBound.description), ("Account", account.map { "\($0)" } ?? "all")]
    }

    /// The ledger's postings of a time by value; an account's own, or all.
    public func exportLedger(
        _ account: AccountID?, _ range: Range<Timestamp>, _ format: ExportFormat, path: String, at: Timestamp,
        progress: @escaping ExportProgress = { _, _ in }
    ) async throws {
        try await database.read { connection in
            let parameters = DocumentStore.parameters(account, range)
            let sums = try connection.queryOne(
                """
                SELECT CAST(count(*) AS BIGINT), CAST(coalesce(sum(p.amount), 0) AS BIGINT)
                \(DocumentStore.rangeText) \(DocumentStore.rangeRule)
                """, parameters)
            let total = Int128(try sums?.int64(1) ?? 0)
            guard account != nil || total == 0 else { throw DocumentError("the ledger's entries do not sum to zero: see `hashspot audit`") }
            let plan = ExportPlan(
                title: "Ledger", facts: DocumentStore.facts(account, range), columns: DocumentStore.postingColumns,
                rows: try sums?.int64(0) ?? 0, totals: ["amount_sat": total], madeAt: at)
            let table = try TableExport(plan, format, path: path, progress: progress)
            try connection.forEach(
                """
                SELECT e.id, p.line, e.at, e.value_at, e.kind, e.reference, e.reason, p.account_kind, p.owner, a.name, p.amount
                \(DocumentStore.rangeText) LEFT JOIN accounts a ON a.id = p.owner AND p.account_kind IN (1, 2, 7)
                \(DocumentStore.rangeRule) ORDER BY e.id, p.line
                """, parameters
            ) { try table.row(try DocumentStore.posting($0)) }
            try table.finish()
        }
    }

    private static let accountNames: [Int64: String] = [
        1: "available", 2: "held", 3: "custody", 4: "fees", 5: "loss", 6: "suspense", 7: "leaving",
    ]

    private static func posting(_ row: SQLRow) throws -> [ExportValue] {
        let (kind, owner) = (try row.int64(7), try row.int64(8))
        return [
            .integer(try row.int64(0)), .integer(try row.int64(1)), .time(Timestamp(microseconds: try row.int64(2))),
            .time(Timestamp(microseconds: try row.int64(3))), .text(EntryKindName.name(try row.int64(4))), .text(try row.text(5)),
            try row.optionalText(6).map { .text($0) } ?? .empty, .text(accountNames[kind] ?? "kind\(kind)"),
            owner == 0 ? .empty : .integer(owner), try row.optionalText(9).map { .text($0) } ?? .empty, .integer(try row.int64(10)),
        ]
    }

    static let lineColumnsOfExport = [
        ExportColumn("line", "Line", isNumber: true, width: 78), ExportColumn("value_at_utc", "Value time UTC", width: 92),
        ExportColumn("booked_at_utc", "Booked UTC"), ExportColumn("code", "Code", width: 70), ExportColumn("run", "Run", isNumber: true),
        ExportColumn("delivery", "Delivery", isNumber: true, width: 60), ExportColumn("bid", "Bid", isNumber: true),
        ExportColumn("ask", "Ask", isNumber: true), ExportColumn("rig", "Rig", isNumber: true, width: 44),
        ExportColumn("buyer_account", "Buyer", isNumber: true, width: 40),
        ExportColumn("seller_account", "Seller", isNumber: true, width: 40), ExportColumn("from_utc", "From UTC"),
        ExportColumn("to_utc", "To UTC"), ExportColumn("work_units", "Work units", isSummed: true, width: 110),
        ExportColumn("price_sat_per_unit_day", "Price", isNumber: true, width: 60),
        ExportColumn("price_unit_hps", "Price unit H/s", isNumber: true),
        ExportColumn("charge_sat", "Charge sat", isSummed: true, width: 84),
        ExportColumn("buyer_fee_sat", "Buyer fee sat", isSummed: true, width: 70),
        ExportColumn("seller_fee_sat", "Seller fee sat", isSummed: true, width: 70),
        ExportColumn("from_hold_sat", "From hold sat", isSummed: true),
        ExportColumn("from_available_sat", "From available sat", isSummed: true),
        ExportColumn("borne_by_market_sat", "Borne sat", isSummed: true, width: 60),
    ]

    /// Settlement lines of a time by value; an account's, or all. Buyers' and sellers' sides both: for finance.
    public func exportLines(
        _ account: AccountID?, _ range: Range<Timestamp>, _ format: ExportFormat, path: String, at: Timestamp,
        progress: @escaping ExportProgress = { _, _ in }
    ) async throws {
        try await database.read { connection in
            let totals = try DocumentStore.lineTotals(connection, DocumentStore.parameters(account, range))
            let plan = ExportPlan(
                title: "Settlement lines", facts: DocumentStore.facts(account, range), columns: DocumentStore.lineColumnsOfExport,
                rows: totals.rows, totals: totals.sums, madeAt: at)
            let table = try TableExport(plan, format, path: path, progress: progress)
            try StatementSource(connection: connection).forEachLine(account, range) { try table.row(DocumentStore.row($0)) }
            try table.finish()
        }
    }

    /// Sums made by the database itself. Work in two halves: all of a market's may not fit 64 bits.
    private static func lineTotals(
        _ connection: any SQLConnection, _ parameters: [SQLValue]
    ) throws -> (rows: Int64, sums: [String: Int128]) {
        let names = ["charge", "buyer_fee", "seller_fee", "from_hold", "from_available"]
        let row = try connection.queryOne(
            """
            SELECT CAST(count(*) AS BIGINT), CAST(coalesce(sum(l.work / 1048576), 0) AS BIGINT),
                CAST(coalesce(sum(l.work % 1048576), 0) AS BIGINT),
                \(names.map { "CAST(coalesce(sum(l.\($0)), 0) AS BIGINT)" }.joined(separator: ", ")),
                CAST(coalesce(sum(l.from_loss + l.seller_short), 0) AS BIGINT)
            FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
            WHERE l.value_at >= $2 AND l.value_at < $3 AND (CAST($1 AS BIGINT) = 0 OR d.buyer = $1 OR d.seller = $1)
            """, parameters)
        guard let row else { return (0, [:]) }
        var sums = ["work_units": Int128(try row.int64(1)) * 1_048_576 + Int128(try row.int64(2))]
        for (place, name) in names.enumerated() { sums["\(name)_sat"] = Int128(try row.int64(3 + place)) }
        sums["borne_by_market_sat"] = Int128(try row.int64(3 + names.count))
        return (try row.int64(0), sums)
    }

    private static func row(_ line: StatementLine) -> [ExportValue] {
        func minute(_ minute: Int64) -> ExportValue { .time(Timestamp(microseconds: minute * 60_000_000)) }
        return [
            .integer(line.number), .time(line.valueAt), .time(line.at), .text(line.code.code), .integer(line.run), .integer(line.delivery),
            .integer(line.bid), .integer(line.ask), .integer(line.rig), .integer(line.buyer), .integer(line.seller),
            minute(line.fromMinute), minute(line.toMinute), .integer(line.work), .integer(line.terms.price.rawValue),
            .integer(line.terms.priceUnit.hashesPerSecond), .integer(line.amounts.charge.rawValue),
            .integer(line.amounts.buyerFee.rawValue), .integer(line.amounts.sellerFee.rawValue), .integer(line.fromHold),
            .integer(line.fromAvailable), .integer(line.fromLoss + line.sellerShort),
        ]
    }

    // MARK: - Beancount

    /// The whole ledger of a time as a beancount journal, with balances before it and assertions behind it.
    public func exportBeancount(
        _ range: Range<Timestamp>, path: String, progress: @escaping ExportProgress = { _, _ in }
    ) async throws {
        try await database.read { connection in
            let journal = try BeancountJournal(
                path: path, title: "Hashspot, \(range.lowerBound) to \(range.upperBound)")
            let before = try DocumentStore.balances(connection, before: range.lowerBound)
            let after = try DocumentStore.balances(connection, before: range.upperBound)
            let accounts = Set(before.keys).union(after.keys).union(try DocumentStore.accounts(connection))
            try journal.open(accounts.sorted { $0.name < $1.name })
            if before.contains(where: { $0.value != 0 }) {
                try journal.entry(nil, at: range.lowerBound, kind: "opening", reference: "balances", reason: nil)
                for (account, balance) in before.sorted(by: { $0.key.name < $1.key.name }) where balance != 0 {
                    try journal.posting(account, balance)
                }
            }
            let parameters = DocumentStore.parameters(nil, range)
            let rows = try connection.queryOne(
                "SELECT CAST(count(*) AS BIGINT) \(DocumentStore.rangeText) \(DocumentStore.rangeRule)", parameters)
            try DocumentStore.writeEntries(connection, parameters, to: journal, rows: try rows?.int64(0) ?? 0, progress)
            try journal.finish(after, end: range.upperBound)
        }
    }

    private static func writeEntries(
        _ connection: any SQLConnection, _ parameters: [SQLValue], to journal: BeancountJournal, rows: Int64, _ progress: ExportProgress
    ) throws {
        var last: Int64 = 0
        var done: Int64 = 0
        try connection.forEach(
            """
            SELECT e.id, e.value_at, e.kind, e.reference, e.reason, p.account_kind, p.owner, p.amount
            \(rangeText) \(rangeRule) ORDER BY e.id, p.line
            """, parameters
        ) { row in
            let id = try row.int64(0)
            if id != last {
                try journal.entry(
                    id, at: Timestamp(microseconds: try row.int64(1)), kind: EntryKindName.name(try row.int64(2)),
                    reference: try row.text(3), reason: try row.optionalText(4))
                last = id
            }
            try journal.posting(.init(kind: try row.int64(5), owner: try row.int64(6)), try row.int64(7))
            done += 1
            if done.isMultiple(of: 10_000) { progress(done, rows) }
        }
    }

    private static func balances(
        _ connection: any SQLConnection, before time: Timestamp
    ) throws -> [BeancountJournal.Account: Int64] {
        let rows = try connection.query(
            """
            SELECT p.account_kind, p.owner, CAST(sum(p.amount) AS BIGINT) \(rangeText)
            WHERE e.value_at < $1 GROUP BY p.account_kind, p.owner
            """, [.integer(time.microseconds)])
        var balances: [BeancountJournal.Account: Int64] = [:]
        for row in rows { balances[.init(kind: try row.int64(0), owner: try row.int64(1))] = try row.int64(2) }
        return balances
    }

    private static func accounts(_ connection: any SQLConnection) throws -> [BeancountJournal.Account] {
        try connection.query("SELECT kind, owner FROM ledger_balances").map { .init(kind: try $0.int64(0), owner: try $0.int64(1)) }
    }
}
