internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Ledger
internal import Logging
internal import Market
internal import NIOCore
internal import Units

/// The ledger: its accounts as of any time, its entries one by one.
enum LedgerEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/ledger/trial-balance", [.finance], trialBalance),
        .keyed(.get, "/v1/ledger/entries", [], entries),
    ]

    // MARK: - Trial balance

    private static func trialBalance(_ call: Call) async throws -> Response {
        let query = try call.query(["asOf", "basis", "format"])
        let asOf = try query.endOfTime("asOf")
        let basis = try query.choice("basis", LedgerBasis.byCode) ?? .value
        let isTable = try query.isTable()
        _ = await call.services.market.isProjected()
        let lines = try await call.report { try await $0.trialBalance(asOf: asOf, basis) }
        return isTable ? table(lines, asOf, basis) : try .json(TrialBalanceModel(lines, asOf, basis))
    }

    private static func table(_ lines: [LedgerBalance], _ asOf: Timestamp?, _ basis: LedgerBasis) -> Response {
        var text = CSV.row(["account", "owner", "debit_sat", "credit_sat", "balance_sat"])
        for line in lines {
            let owner = line.account.code.owner
            let (debit, credit) = line.sides
            text += CSV.row([
                line.account.kindCode, owner > 0 ? "\(owner)" : "", "\(debit)", "\(credit)", "\(line.balance.rawValue)",
            ])
        }
        let totals = TrialBalanceModel(lines, asOf, basis)
        text += CSV.row(["total", "\(lines.count) accounts", "\(totals.debit)", "\(totals.credit)", "\(totals.total)"])
        return Response(status: .ok, headers: csvHeaders("trial-balance.csv"), body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private static func csvHeaders(_ name: String) -> HTTPFields {
        [.contentType: "text/csv; charset=utf-8; header=present", .contentDisposition: "attachment; filename=\"\(name)\""]
    }

    // MARK: - Entries

    private static func entries(_ call: Call) async throws -> Response {
        let query = try call.query(PageRequest.parameters.union(["account", "format"]))
        let page = try PageRequest(query)
        let number = try query.integer("account", in: 1...Int64.max)
        let isTable = try query.isTable()
        var account = number.map { AccountID($0) }
        if !call.principal.may(.finance) { account = try await TreasuryEndpoints.owner(number, call) }
        _ = await call.services.market.isProjected()
        let scope = account
        if isTable { return try await table(of: scope, after: page.after, call) }
        let found = try await call.report {
            try await $0.ledgerEntries(account: scope, after: page.after, limit: page.limit + 1)
        }
        return try .json(Page(found.map { ($0.entry.id, EntryModel($0)) }, limit: page.limit))
    }

    /// All entries from the cursor to the newest of now, page by page as the reader takes them, and a row of totals.
    ///
    /// The totals are checked against the tables. A table without the last row is not whole: reading went wrong on the way.
    private static func table(of account: AccountID?, after cursor: Int64, _ call: Call) async throws -> Response {
        // Both are read before the answer starts, so that unreadable tables are a 503.
        let end = try await call.report { try await $0.newestLedgerEntry() }
        let first = try await listed(of: account, after: cursor, through: end, call)
        return Response(status: .ok, headers: csvHeaders("ledger.csv"), body: ResponseBody { writer in
            var table = EntryTable()
            var page = first
            try await writer.write(ByteBuffer(string: EntryTable.header))
            while let last = page.last {
                try await writer.write(ByteBuffer(string: table.rows(page)))
                page = try await listed(of: account, after: last.entry.id, through: end, call)
            }
            let stored = try await call.report { try await $0.ledgerTotals(account: account, after: cursor, through: end) }
            if stored == table.written {
                try await writer.write(ByteBuffer(string: table.totals))
            } else {
                call.logger.error("a ledger table is not whole", metadata: ["written": "\(table.written)", "stored": "\(stored)"])
            }
            try await writer.finish(nil)
        })
    }

    /// The next page of a table that ends with the entry `end`.
    private static func listed(
        of account: AccountID?, after cursor: Int64, through end: Int64, _ call: Call
    ) async throws(Problem) -> [ChainedEntry] {
        guard cursor < end else { return [] }
        let page = try await call.report {
            try await $0.ledgerEntries(account: account, after: cursor, limit: Limits.reportPage)
        }
        return page.filter { $0.entry.id <= end }
    }
}

extension Query {
    /// A point in time as RFC 3339 has it, or a date: then its last microsecond.
    func endOfTime(_ name: String) throws(Problem) -> Timestamp? {
        guard let text = text(name) else { return nil }
        if text.utf8.count == 10, let midnight = Timestamp(rfc3339: text + "T00:00:00Z") {
            return midnight + .day - Interval(microseconds: 1)
        }
        guard let time = Timestamp(rfc3339: text) else {
            throw Problem(
                .badRequest, "parameterOutOfRange",
                "This must be a date, such as 2026-01-31, or a time in UTC, such as 2026-01-31T12:00:00Z.", field: name)
        }
        return time
    }

    /// Whether the answer is to be a table rather than JSON.
    func isTable() throws(Problem) -> Bool { try choice("format", ["json": false, "csv": true]) ?? false }
}

extension LedgerBalance {
    /// The balance on its side.
    fileprivate var sides: (debit: Int64, credit: Int64) { (max(0, -balance.rawValue), max(0, balance.rawValue)) }
}

/// In satoshis. Balances are credits minus debits.
private struct TrialBalanceModel: Encodable {
    struct Line: Encodable {
        var account: String
        var owner: Int64?
        var debit: Int64
        var credit: Int64
    }

    var asOf: String?
    var basis: String
    var accounts: [Line]
    var debit: Int64
    var credit: Int64
    /// Zero.
    var total: Int64

    init(_ lines: [LedgerBalance], _ asOf: Timestamp?, _ basis: LedgerBasis) {
        self.asOf = asOf?.description
        self.basis = basis.code
        accounts = lines.map { line in
            let owner = line.account.code.owner
            return Line(
                account: line.account.kindCode, owner: owner > 0 ? owner : nil, debit: line.sides.debit, credit: line.sides.credit)
        }
        var debit = Int128(0), credit = Int128(0)
        for line in lines {
            debit += Int128(line.sides.debit)
            credit += Int128(line.sides.credit)
        }
        self.debit = Int64(clamping: debit)
        self.credit = Int64(clamping: credit)
        total = Int64(clamping: credit - debit)
    }
}

private struct EntryModel: Encodable {
    var entry: Int64
    var kind: String
    var bookedAt: String
    /// The time that it counts for: says its period.
    var valueAt: String
    var reference: String
    /// The account of who asked for it; absent for the market itself.
    var by: Int64?
    var reason: String?
    var postings: [PostingModel]
    /// SHA-256 over the entry and the hash before it, in hex.
    var hash: String?

    init(_ chained: ChainedEntry) {
        let entry = chained.entry
        self.entry = entry.id
        kind = entry.kind.code
        bookedAt = entry.at.description
        valueAt = entry.valueAt.description
        reference = entry.reference
        by = entry.by?.rawValue
        reason = entry.reason
        postings = entry.postings.map { PostingModel($0) }
        hash = chained.hash.map { Base16.encode($0) }
    }
}

/// Entries as rows, one for each posting.
private struct EntryTable {
    /// What was written so far.
    private(set) var written = LedgerTotals()

    static let header = CSV.row([
        "entry", "booked_at_utc", "value_at_utc", "kind", "reference", "by_account", "reason", "account", "owner", "amount_sat", "hash",
    ])

    mutating func rows(_ page: [ChainedEntry]) -> String {
        var text = ""
        for chained in page {
            let entry = chained.entry
            written.entries += 1
            written.postings += Int64(entry.postings.count)
            for posting in entry.postings {
                let owner = posting.account.code.owner
                written.sum += Int128(posting.amount.rawValue)
                text += CSV.row([
                    "\(entry.id)", entry.at.description, entry.valueAt.description, entry.kind.code, entry.reference,
                    entry.by.map { "\($0)" } ?? "", entry.reason ?? "", posting.account.kindCode,
                    owner > 0 ? "\(owner)" : "", "\(posting.amount.rawValue)", chained.hash.map { Base16.encode($0) } ?? "",
                ])
            }
        }
        return text
    }

    var totals: String { CSV.row(["total", "", "", "\(written.entries) entries", "", "", "", "", "", "\(written.sum)", ""]) }
}
