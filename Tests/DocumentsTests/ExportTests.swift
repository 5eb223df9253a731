import Database
import Documents
import Foundation
import MarketTestSupport
import Settlement
import Store
import TestSupport
import Testing
import Units

@Suite struct ExportTests {
    private static let range = Fixture.month.start..<Fixture.month.end

    private func text(_ path: String) throws -> String { String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self) }

    /// Fields of RFC 4180, read by another program than the one that wrote them.
    private func rows(_ csv: String) -> [[String]] {
        var rows: [[String]] = [[]]
        var field = ""
        var isQuoted = false
        var scalars = Array(csv.unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            switch (scalar, isQuoted) {
            case ("\"", true) where scalars.first == "\"":
                scalars.removeFirst()
                field.unicodeScalars.append("\"")
            case ("\"", _): isQuoted.toggle()
            case (",", false):
                rows[rows.count - 1].append(field)
                field = ""
            case ("\r", false): break
            case ("\n", false):
                rows[rows.count - 1].append(field)
                field = ""
                rows.append([])
            default: field.unicodeScalars.append(scalar)
            }
        }
        return rows.dropLast()
    }

    @Test(arguments: Engine.allCases)
    func theLedgerAsCSVHasTheLedgersTotals(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            let path = fixture.folder.file("ledger.csv")
            try await fixture.documents.exportLedger(nil, Self.range, .csv, path: path, at: Fixture.later)
            let rows = rows(try text(path))
            let postings = try fixture.storage.query("SELECT count(*) FROM ledger_postings")
            #expect(rows.count - 2 == (try postings.first?.int(0)))
            #expect(rows.last?.first == "total")
            #expect(rows.last?.last == "0")
            #expect(Set(rows.map(\.count)) == [11])
            // A name that is a formula stays text.
            #expect(rows.contains { $0[9] == "'=cmd()" })
            #expect(rows.contains { $0[9] == "東京 \"株式会社\"" })
            for account in Fixture.accounts {
                try await fixture.documents.exportLedger(account, Self.range, .csv, path: path, at: Fixture.later)
                let own = self.rows(try text(path))
                let balance = try fixture.storage.query(
                    "SELECT CAST(coalesce(sum(balance), 0) AS BIGINT) FROM ledger_balances WHERE owner = \(account)").first?.int64(0)
                #expect(own.last?.last == "\(balance ?? 0)")
            }
        }
    }

    @Test func formulasAreDefusedAndNumbersAreNot() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let texts = ["=1+1", "+1", "-1", "@x", "\t=1", "|x", "%x", " =1", "＝1", "a=1", "", "a\"b,c\r\nd"]
        let plan = ExportPlan(
            title: "t", facts: [], columns: [ExportColumn("a", "a"), ExportColumn("n", "n", isSummed: true)], rows: Int64(texts.count),
            totals: ["n": Int128(-7 * texts.count)], madeAt: Fixture.later)
        let export = try TableExport(plan, .csv, path: folder.file("x.csv"))
        for text in texts { try export.row([.text(text), .integer(-7)]) }
        try export.finish()
        let read = rows(try text(folder.file("x.csv"))).dropFirst().dropLast()
        #expect(read.map { $0[0] } == texts.enumerated().map { $0 < 9 ? "'" + $1 : $1 })
        #expect(read.allSatisfy { $0[1] == "-7" })
    }

    @Test(arguments: ExportFormat.allCases)
    func refusesToEndWithOtherTotals(_ format: ExportFormat) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        func finished(total: Int128, rows: Int64) throws -> Bool {
            let plan = ExportPlan(
                title: "t", facts: [("a", "b")], columns: [ExportColumn("n", "n", isSummed: true, width: 10)], rows: rows,
                totals: ["n": total], madeAt: Fixture.later)
            let export = try TableExport(plan, format, path: folder.file("x"))
            try export.row([.integer(5)])
            do { try export.finish() } catch is DocumentError { return false }
            return true
        }
        #expect(try finished(total: 5, rows: 1))
        #expect(try !finished(total: 6, rows: 1))
        #expect(try !finished(total: 5, rows: 2))
    }

    @Test(arguments: Engine.allCases)
    func statementsGoIntoEveryFormat(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            try await fixture.party(0)
            try await fixture.party(1)
            let document = try await fixture.issue(1)
            let header = try await fixture.header(document)
            let moved = try #require(header["closing"].flatMap { CustomerFunds($0) }).total
                - (try #require(header["opening"].flatMap { CustomerFunds($0) }).total)
            for format in ExportFormat.allCases {
                let path = fixture.folder.file("statement.\(format.rawValue)")
                try DocumentTable.export(
                    try await fixture.documents.file(document.position), format, path: path, madeAt: Fixture.later)
            }
            let rows = rows(try text(fixture.folder.file("statement.csv")))
            #expect(rows.last?.last == "\(moved)")
            #expect(Int64(rows.count) == 2 + (header["lines"]?.integer ?? 0) + (header["entries"]?.integer ?? 0))
            let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: fixture.folder.file("statement.json"))))
            let object = try #require(json as? [String: Any])
            #expect(((object["totals"] as? [String: Any])?["net_sat"] as? NSNumber)?.int64Value == Int64(moved))
            #expect((object["rows"] as? [Any])?.count == rows.count - 2)
            try checkWorkbook(fixture.folder.file("statement.xlsx"), net: Int64(moved), rows: rows.count)
            try checkPDF(fixture.folder.file("statement.pdf"), net: "\(moved)")
            // A draft of the same days is the same but for its place.
            let draft = try await fixture.documents.draft(AccountID(1), Fixture.day.start..<Fixture.day.end)
            try DocumentTable.export(draft, .csv, path: fixture.folder.file("draft.csv"), madeAt: Fixture.later)
            #expect(self.rows(try text(fixture.folder.file("draft.csv"))) == rows)
        }
    }

    /// Opened with a zip and XML reader that knows nothing of how it was made.
    private func checkWorkbook(_ path: String, net: Int64, rows: Int) throws {
        let program = """
            import sys, zipfile, xml.etree.ElementTree as tree
            book = zipfile.ZipFile(sys.argv[1])
            assert book.testzip() is None
            ns = '{http://schemas.openxmlformats.org/spreadsheetml/2006/main}'
            sheet = tree.fromstring(book.read('xl/worksheets/sheet1.xml'))
            rows = sheet.findall(f'.//{ns}row')
            pane = sheet.find(f'.//{ns}pane')
            titles = int(pane.get('ySplit'))
            cells = lambda row: {c.get('r').rstrip('0123456789'): c for c in row.findall(f'{ns}c')}
            last = cells(rows[-1])
            numbers = [int(float(cells(r)['U'].find(f'{ns}v').text)) for r in rows[titles:-1] if 'U' in cells(r)]
            print(int(float(last['U'].find(f'{ns}v').text)), sum(numbers), len(rows) - titles + 1, last['A'].get('t'))
            """
        let result = try output(of: ["python3", "-c", program, path])
        #expect(result.status == 0, "\(result.text)")
        #expect(result.text == "\(net) \(net) \(rows) inlineStr\n")
    }

    private func checkPDF(_ path: String, net: String) throws {
        let result = try output(of: ["pdftotext", "-layout", path, "-"])
        #expect(result.status == 0, "\(result.text)")
        let pages = result.text.split(separator: "\u{c}")
        for (place, page) in pages.enumerated() {
            #expect(page.contains("page \(place + 1) of \(pages.count)"))
            #expect(page.contains("Value time UTC"), "the table's titles are on each page")
        }
        let total = result.text.split(separator: "\n").first { $0.contains("total") }
        #expect(total?.hasSuffix(" " + net) == true, "\(total ?? "")")
        #expect(result.text.contains("Party 1 ÄÖ"))
    }

    @Test(arguments: Engine.allCases)
    func linesHaveTheLedgersTotals(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            let path = fixture.folder.file("lines.csv")
            try await fixture.documents.exportLines(nil, Self.range, .csv, path: path, at: Fixture.later)
            let rows = rows(try text(path))
            let charge = try #require(rows.first?.firstIndex(of: "charge_sat"))
            let sum = try fixture.storage.query("SELECT CAST(sum(charge) AS BIGINT) FROM settlement_lines").first?.int64(0)
            #expect(rows.last?[charge] == "\(sum ?? -1)")
            #expect(rows.dropFirst().dropLast().reduce(0) { $0 + (Int64($1[charge]) ?? 0) } == sum)
        }
    }

    /// beancount itself reads the journal: `HASHSPOT_BEAN_CHECK` is set by Scripts/test.
    @Test(arguments: Engine.allCases)
    func beancountTakesTheJournal(_ engine: Engine) async throws {
        try await Fixture.with(engine) { fixture in
            let whole = fixture.folder.file("whole.beancount")
            let second = fixture.folder.file("second.beancount")
            try await fixture.documents.exportBeancount(Self.range, path: whole)
            let day = Fixture.day.next!
            try await fixture.documents.exportBeancount(day.start..<day.end, path: second)
            #expect(try text(whole).contains(" balance Assets:Custody "))
            #expect(try text(second).contains("opening balances"))
            guard let check = ProcessInfo.processInfo.environment["HASHSPOT_BEAN_CHECK"] else { return }
            for path in [whole, second] {
                let result = try output(of: [check, path])
                #expect(result.status == 0, "\(result.text.prefix(2000))")
            }
            // And it is beancount that refuses a wrong satoshi.
            let journal = try text(whole)
            let posting = try #require(journal.range(of: #"  Assets:Custody  [0-9]+ SATS"#, options: .regularExpression))
            let wrong = journal.replacingCharacters(in: posting, with: "  Assets:Custody  1 SATS")
            try Data(wrong.utf8).write(to: URL(fileURLWithPath: second))
            #expect(try output(of: [check, second]).status != 0)
        }
    }

    @Test func largeExportsAreWhole() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let columns = (0..<20).map { ExportColumn("c\($0)", "c", isSummed: $0 == 0) }
        func write(_ rows: Int64) throws {
            let plan = ExportPlan(title: "t", facts: [], columns: columns, rows: rows, totals: ["c0": Int128(rows)], madeAt: Fixture.later)
            for format in [ExportFormat.csv, .json] {
                let export = try TableExport(plan, format, path: folder.file("x"))
                for row in 0..<rows { try export.row([.integer(1)] + Array(repeating: .text("some text of row \(row)"), count: 19)) }
                try export.finish()
            }
        }
        try write(60_000)
        let size = try FileManager.default.attributesOfItem(atPath: folder.file("x"))[.size] as? NSNumber
        #expect((size?.intValue ?? 0) > 30_000_000)
    }
}
