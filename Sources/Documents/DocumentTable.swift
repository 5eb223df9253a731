public import Settlement
public import Units

/// A document's content as a table, for CSV, JSON, XLSX and PDF.
public enum DocumentTable {
    static let statementColumns = [
        ExportColumn("number", "Number", width: 78),
        ExportColumn("type", "Type", width: 82),
        ExportColumn("value_at_utc", "Value time UTC", width: 96),
        ExportColumn("reference", "Reference", width: 88),
        ExportColumn("reason", "Reason"),
        ExportColumn("delivery", "Delivery", isNumber: true, width: 56),
        ExportColumn("rig", "Rig", isNumber: true, width: 44),
        ExportColumn("role", "Role", width: 36),
        ExportColumn("counterparty_account", "With", isNumber: true, width: 36),
        ExportColumn("from_utc", "From UTC"),
        ExportColumn("to_utc", "To UTC"),
        ExportColumn("work_units", "Work units", isSummed: true),
        ExportColumn("exahashes", "Exahashes", isNumber: true, width: 96),
        ExportColumn("average_hashrate_hps", "Average H/s", isNumber: true),
        ExportColumn("price_sat_per_unit_day", "Price", isNumber: true, width: 60),
        ExportColumn("price_unit_hps", "Price unit H/s", isNumber: true),
        ExportColumn("bought_sat", "Bought sat", isSummed: true, width: 76),
        ExportColumn("sold_sat", "Sold sat", isSummed: true, width: 76),
        ExportColumn("fee_sat", "Fee sat", isSummed: true, width: 60),
        ExportColumn("borne_by_market_sat", "Borne sat", isSummed: true, width: 52),
        ExportColumn("net_sat", "Net sat", isSummed: true, width: 84),
    ]

    static let invoiceColumns = [
        ExportColumn("code", "Charge code", width: 160),
        ExportColumn("role", "Role", width: 80),
        ExportColumn("lines", "Lines", isSummed: true, width: 80),
        ExportColumn("work_units", "Work units", isSummed: true, width: 160),
        ExportColumn("charge_sat", "Charge sat", isSummed: true, width: 160),
        ExportColumn("fee_sat", "Fee sat", isSummed: true, width: 120),
    ]

    /// The plan of a document, from its header.
    ///
    /// - Parameter madeAt: when drafts are made; issued documents know theirs
    public static func plan(_ header: CanonicalJSON, madeAt: Timestamp) throws -> ExportPlan {
        guard header["format"]?.text == "hashspot-document-1", let kind = header["kind"]?.text else {
            throw DocumentError("the document cannot be read")
        }
        let issue = header["issue"].flatMap { DocumentIssue($0) }
        let time = issue?.issuedAt ?? madeAt
        let name = issue.map { "\(titles[kind] ?? kind) \($0.number)" + ($0.version > 1 ? ", version \($0.version)" : "") }
        let title = name ?? "\(titles[kind] ?? kind), draft"
        guard kind == DocumentKind.statement.code else {
            let items = header["items"]?.items ?? []
            var totals = ["lines": Int128(0), "work_units": 0, "charge_sat": 0, "fee_sat": 0]
            for item in items {
                totals["lines", default: 0] += Int128(item["lines"]?.integer ?? 0)
                totals["work_units", default: 0] += item["work"]?.wide ?? 0
                totals["charge_sat", default: 0] += Int128(item["charge"]?.integer ?? 0)
                totals["fee_sat", default: 0] += Int128(item["fee"]?.integer ?? 0)
            }
            // The amount due was summed apart, when the document was made.
            let due = header["total"]?.wide ?? 0
            totals[kind == DocumentKind.note.code ? "charge_sat" : "fee_sat"] = due
            return ExportPlan(
                title: title, facts: facts(header, issue), columns: invoiceColumns, rows: Int64(items.count), totals: totals, madeAt: time)
        }
        return ExportPlan(
            title: title, facts: facts(header, issue), columns: statementColumns,
            rows: (header["entries"]?.integer ?? 0) + (header["lines"]?.integer ?? 0), totals: statementTotals(header), madeAt: time)
    }

    private static let titles = ["statement": "Statement", "invoice": "Invoice", "note": "Settlement note"]

    private static func statementTotals(_ header: CanonicalJSON) -> [String: Int128] {
        var totals = ["work_units": Int128(0), "bought_sat": 0, "sold_sat": 0, "fee_sat": 0, "borne_by_market_sat": 0]
        for item in header["totals"]?.items ?? [] {
            totals["work_units", default: 0] += item["work"]?.wide ?? 0
            totals[item["role"]?.text == "buyer" ? "bought_sat" : "sold_sat", default: 0] += item["charge"]?.wide ?? 0
            totals["fee_sat", default: 0] += item["fee"]?.wide ?? 0
            totals["borne_by_market_sat", default: 0] += item["borne"]?.wide ?? 0
        }
        let opening = header["opening"].flatMap { CustomerFunds($0) } ?? CustomerFunds()
        let closing = header["closing"].flatMap { CustomerFunds($0) } ?? CustomerFunds()
        totals["net_sat"] = closing.total - opening.total
        return totals
    }

    private static func facts(_ header: CanonicalJSON, _ issue: DocumentIssue?) -> [(String, String)] {
        var facts: [(String, String)] = [
            ("Market", header["market"]?.text ?? ""), ("Account", header["account"]?.integer.map { "\($0)" } ?? ""),
            ("From", header["from"]?.text ?? ""), ("To", header["to"]?.text ?? ""),
        ]
        for (name, label) in [("market", "Issued by"), ("account", "Issued to"), ("supplier", "Supplier"), ("customer", "Customer")] {
            if let party = header["parties"]?[name].flatMap({ LegalParty($0) }) { facts += lines(party, label) }
        }
        for (name, label) in [("opening", "Opening"), ("closing", "Closing")] {
            if let funds = header[name].flatMap({ CustomerFunds($0) }) {
                facts.append((label, "\(funds.total) sat (available \(funds.available), held \(funds.held), leaving \(funds.leaving))"))
            }
        }
        if let total = header["total"]?.text { facts.append(("Total", "\(total) sat")) }
        for movement in header["movements"]?.items ?? [] {
            let (amount, entries) = (movement["amount"]?.integer ?? 0, movement["entries"]?.integer ?? 0)
            facts.append((movement["kind"]?.text ?? "", "\(amount) sat in \(entries) entries"))
        }
        if let fiat = header["fiat"], let currency = fiat["currency"]?.text {
            let values = fiat["total"]?.text ?? ["bought", "sold", "fees", "borne", "other"].compactMap { name in
                fiat["totals"]?[name]?.text.map { "\(name) \($0)" }
            }.joined(separator: ", ")
            facts.append((currency, values))
        }
        if let issue {
            facts.append(("Issued", issue.issuedAt.description))
            if let old = issue.supersedes { facts.append(("Supersedes", "version \(old.version): \(old.reason)")) }
            facts.append(("Previous", String(HexText.encode(issue.previous).prefix(32)) + "…"))
        }
        return facts
    }

    private static func lines(_ party: LegalParty, _ label: String) -> [(String, String)] {
        let last = party.country + (party.taxID.isEmpty ? "" : ", tax number \(party.taxID)")
        return [(label, party.name), ("", party.address.joined(separator: ", ")), ("", last)]
    }

    /// The rows of an invoice or note.
    public static func invoiceRows(_ header: CanonicalJSON) -> [[ExportValue]] {
        (header["items"]?.items ?? []).map { item in
            [
                .text(item["code"]?.text ?? ""), item["role"]?.text.map { .text($0) } ?? .empty, number(item["lines"]),
                item["work"]?.wide.map { .wide($0) } ?? .empty, number(item["charge"]), number(item["fee"]),
            ]
        }
    }

    private static func number(_ json: CanonicalJSON?) -> ExportValue { json?.integer.map { .integer($0) } ?? .empty }

    private static func time(_ json: CanonicalJSON?) -> ExportValue { json?.text.flatMap(DocumentTime.read).map { .time($0) } ?? .empty }

    /// A statement's row, from a line of its body.
    public static func statementRow(_ record: CanonicalJSON) throws -> [ExportValue] {
        guard case .object(let members) = record else { throw DocumentError("the document has a line that is none") }
        // Looked up once: a record has some 25 members.
        let values = Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
        switch values["type"]?.text {
        case "entry":
            return [
                number(values["number"]), .text(values["kind"]?.text ?? ""), time(values["valueAt"]),
                .text(values["reference"]?.text ?? ""), values["reason"]?.text.map { .text($0) } ?? .empty,
            ] + Array(repeating: .empty, count: 15) + [number(values["amount"])]
        case "line":
            let isBuyer = values["role"]?.text == "buyer"
            return [
                number(values["number"]), .text(values["code"]?.text ?? ""), time(values["valueAt"]),
                .text("run:\(values["run"]?.integer ?? 0)"), .empty, number(values["delivery"]), number(values["rig"]),
                .text(values["role"]?.text ?? ""), number(values["counterparty"]), time(values["from"]), time(values["to"]),
                number(values["work"]), .decimal(values["exahashes"]?.text ?? ""), number(values["averageHashrate"]),
                number(values["price"]), number(values["priceUnit"]), isBuyer ? number(values["charge"]) : .empty,
                isBuyer ? .empty : number(values["charge"]), number(values["fee"]), number(values["borne"]), number(values["net"]),
            ]
        default: throw DocumentError("the document has a line of unknown type")
        }
    }

    /// Writes a document of the canonical form in another one.
    ///
    /// - Parameters:
    ///   - file: header, entries and lines, perhaps a seal; at its beginning
    ///   - madeAt: of drafts
    public static func export(
        _ file: SpoolFile, _ format: ExportFormat, path: String, madeAt: Timestamp,
        progress: @escaping (Int64, Int64) -> Void = { _, _ in }
    ) throws {
        var export: TableExport?
        try file.forEachLine { line in
            let json: CanonicalJSON
            do { json = try CanonicalJSON(line) } catch { throw DocumentError("\(error)") }
            guard let table = export else {
                let table = try TableExport(try plan(json, madeAt: madeAt), format, path: path, progress: progress)
                for row in invoiceRows(json) { try table.row(row) }
                export = table
                return
            }
            if json["type"]?.text != "seal" { try table.row(try statementRow(json)) }
        }
        guard let export else { throw DocumentError("the document is empty") }
        try export.finish()
    }
}
