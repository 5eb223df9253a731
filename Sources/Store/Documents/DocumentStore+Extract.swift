internal import Database
internal import Documents
public import Settlement
internal import Units

extension DocumentStore {
    /// Writes what an issued statement follows from, for `hashspot recompute`.
    public func extract(_ document: DocumentSummary, path: String) async throws {
        guard document.kind == .statement else { throw DocumentError("an extract is made of a statement") }
        try await database.read { connection in
            guard let row = try connection.queryOne("SELECT header FROM documents WHERE position = $1", [.integer(document.position)]),
                let header = try? CanonicalJSON(try row.blob(0).dropLast()), let issue = header["issue"].flatMap({ DocumentIssue($0) })
            else { throw DocumentError("the statement cannot be read") }
            let file = try SpoolFile(writing: path)
            try ExtractWriter(source: StatementSource(connection: connection), file: file).write(document, header, issue)
            try file.flush()
        }
    }
}

private struct ExtractWriter {
    let source: StatementSource
    let file: SpoolFile

    private func record(_ json: CanonicalJSON) throws { try file.write(json.bytes + [0x0a]) }

    func write(_ document: DocumentSummary, _ header: CanonicalJSON, _ issue: DocumentIssue) throws {
        let (account, range) = (document.account, document.start..<document.end)
        // Parties and rates as they were when it was issued; a later correction of them belongs to a later version.
        let parties = header["parties"]
        try record(ExtractRecord.frame(StatementFrame(
            account: account, algorithm: try source.algorithm(), period: AccountingPeriod(document.period), start: document.start,
            end: document.end, opening: try source.funds(account, before: document.start),
            closing: try source.funds(account, before: document.end), movements: try source.movements(account, range),
            market: parties?["market"].flatMap { LegalParty($0) }, party: parties?["account"].flatMap { LegalParty($0) }, issue: issue)))
        for day in header["fiat"]?["days"]?.items ?? [] {
            guard let date = day["date"]?.text.flatMap({ AccountingPeriod($0) }), let rate = day["rate"]?.text.flatMap({ FiatRate($0) })
            else { throw DocumentError("the statement's rates cannot be read") }
            try record(ExtractRecord.rate(date, rate))
        }
        try source.forEachEntry(account, range) { try record($0.json) }
        try writeLines(account, range)
    }

    /// One pass over the account's lines since its first: sums for bills that the statement has not touched yet, records afterwards.
    private func writeLines(_ account: AccountID, _ range: Range<Timestamp>) throws {
        guard let last = try lastLine(account, range) else { return }
        var sums: [BillKey: BillingTotals] = [:]
        var written: Set<BillKey> = []
        try source.forEachLine(of: account, through: last) { line in
            let isOurs = range.contains(line.valueAt)
            if isOurs, line.code.isBilled, written.insert(line.key).inserted {
                try record(ExtractRecord.opening(line.key, sums[line.key] ?? BillingTotals()))
                sums[line.key] = nil
            }
            if isOurs {
                try record(ExtractRecord.line(line, isContext: false))
            } else if line.code.isBilled, written.contains(line.key) {
                try record(ExtractRecord.line(line, isContext: true))
            } else if line.code.isBilled {
                sums[line.key, default: BillingTotals()].count(line)
            }
        }
    }

    private func lastLine(_ account: AccountID, _ range: Range<Timestamp>) throws -> Int64? {
        try source.connection.queryOne(
            """
            SELECT max(l.number) FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
            WHERE l.value_at >= $2 AND l.value_at < $3 AND (d.buyer = $1 OR d.seller = $1)
            """,
            [.integer(account.rawValue), .integer(range.lowerBound.microseconds), .integer(range.upperBound.microseconds)]
        )?.optionalInt64(0)
    }
}

extension BillingTotals {
    /// Adds what a line says that it moved.
    fileprivate mutating func count(_ line: StatementLine) {
        weightedWork += Int128(line.terms.price.rawValue) * Int128(line.work)
        charge += line.amounts.charge
        sellerFee += line.amounts.sellerFee
        buyerFee += line.amounts.buyerFee
    }
}
