internal import CHaru
internal import Foundation
internal import Units

/// A document by libharu, A4 across: title and facts on the first page, on each page the table's titles and "page x of y".
///
/// Memory: the pages' text (some 250 bytes a row) until the file is saved; hence at most ``mostRows``.
final class PDFTableWriter: TableWriter {
    /// Some 40 MB of memory a 100,000.
    static let mostRows: Int64 = 500_000

    private let plan: ExportPlan
    private let path: String
    private let pdf: HPDF_Doc
    private let font: HPDF_Font
    private let columns: [PDFColumn]
    private var page: HPDF_Page?
    private var pageNumber = 0
    private let pageCount: Int
    private var y: Float = 0
    private var isOpen = true
    /// Widths of ASCII characters in thousandths of the font's size.
    private let widths: [Float]

    private static let (width, height, margin, bottom): (Float, Float, Float, Float) = (841.89, 595.28, 36, 40)
    private static let (size, leading): (Float, Float) = (7, 10)

    /// Where distributions keep DejaVu Sans; `HASHSPOT_FONT` names another TrueType font.
    static func fontPath() throws -> String {
        let known = [
            ProcessInfo.processInfo.environment["HASHSPOT_FONT"], "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
            "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf", "/usr/share/fonts/TTF/DejaVuSans.ttf",
        ].compactMap(\.self)
        guard let path = known.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw DocumentError("PDF needs the font DejaVu Sans: install fonts-dejavu-core, or name a TrueType font in HASHSPOT_FONT")
        }
        return path
    }

    init(_ plan: ExportPlan, path: String) throws {
        guard plan.rows <= PDFTableWriter.mostRows else {
            throw DocumentError("\(plan.rows) rows are more than a PDF is made of (\(PDFTableWriter.mostRows)): export CSV or XLSX")
        }
        self.plan = plan
        self.path = path
        let fontPath = try PDFTableWriter.fontPath()
        guard let pdf = HPDF_New(nil, nil) else { throw DocumentError("PDF: no memory") }
        self.pdf = pdf
        HPDF_UseUTFEncodings(pdf)
        HPDF_SetCompressionMode(pdf, HPDF_UINT(HPDF_COMP_ALL))
        guard let name = HPDF_LoadTTFontFromFile(pdf, fontPath, 1), let font = HPDF_GetFont(pdf, name, "UTF-8") else {
            HPDF_Free(pdf)
            throw DocumentError("PDF: the font cannot be used")
        }
        self.font = font
        HPDF_SetInfoAttr(pdf, HPDF_INFO_TITLE, plan.title)
        HPDF_SetInfoAttr(pdf, HPDF_INFO_CREATOR, "Hashspot")
        columns = PDFColumn.layout(plan.columns, width: PDFTableWriter.width - 2 * PDFTableWriter.margin)
        widths = (0..<128).map { code in
            let text = [UInt8(code)]
            guard code >= 32 else { return 0 }
            return Float(HPDF_Font_TextWidth(font, text, 1).width)
        }
        let first = PDFTableWriter.rowsOnPage(facts: plan.facts.count, isFirst: true)
        let others = PDFTableWriter.rowsOnPage(facts: 0, isFirst: false)
        // The totals are a row, too.
        let rest = max(0, Int(plan.rows) + 1 - first)
        pageCount = 1 + (rest + others - 1) / others
        try addPage()
    }

    deinit { if isOpen { HPDF_Free(pdf) } }

    func row(_ values: [ExportValue]) throws {
        if y < PDFTableWriter.bottom + PDFTableWriter.leading { try addPage() }
        guard let page else { return }
        HPDF_Page_BeginText(page)
        for column in columns { draw(values[column.index].paperText, column) }
        HPDF_Page_EndText(page)
        y -= PDFTableWriter.leading
    }

    func finish(_ totals: [ExportValue]) throws {
        if y < PDFTableWriter.bottom + PDFTableWriter.leading { try addPage() }
        rule(y + PDFTableWriter.leading - 2)
        try row(totals)
        guard pageNumber == pageCount else { throw DocumentError("PDF: \(pageNumber) pages instead of \(pageCount)") }
        let error = HPDF_GetError(pdf)
        guard error == 0 else { throw DocumentError("PDF: error 0x\(String(error, radix: 16))") }
        let status = HPDF_SaveToFile(pdf, path)
        guard status == 0 else { throw DocumentError("\(path) cannot be written as PDF: error 0x\(String(status, radix: 16))") }
        HPDF_Free(pdf)
        isOpen = false
    }

    // MARK: - Pages

    /// The first line of the table's titles, from the top.
    private static func tableTop(facts: Int, isFirst: Bool) -> Float {
        isFirst ? height - margin - 26 - Float((facts + 1) / 2) * 11 - 8 : height - margin - 6
    }

    private static func rowsOnPage(facts: Int, isFirst: Bool) -> Int {
        var (rows, y) = (0, tableTop(facts: facts, isFirst: isFirst) - leading - 4)
        while y >= bottom + leading {
            rows += 1
            y -= leading
        }
        return max(1, rows)
    }

    private func addPage() throws {
        guard let page = HPDF_AddPage(pdf) else { throw DocumentError("PDF: no page") }
        self.page = page
        pageNumber += 1
        HPDF_Page_SetWidth(page, PDFTableWriter.width)
        HPDF_Page_SetHeight(page, PDFTableWriter.height)
        HPDF_Page_SetLineWidth(page, 0.5)
        HPDF_Page_BeginText(page)
        if pageNumber == 1 { drawHead(page) }
        HPDF_Page_SetFontAndSize(page, font, PDFTableWriter.size)
        let foot = "page \(pageNumber) of \(pageCount)"
        let right = PDFTableWriter.width - PDFTableWriter.margin
        HPDF_Page_TextOut(page, right - measure(foot), PDFTableWriter.bottom - 18, foot)
        HPDF_Page_TextOut(page, PDFTableWriter.margin, PDFTableWriter.bottom - 18, "\(plan.title), made \(plan.madeAt)")
        y = PDFTableWriter.tableTop(facts: plan.facts.count, isFirst: pageNumber == 1)
        for column in columns { draw(plan.columns[column.index].title, column) }
        HPDF_Page_EndText(page)
        rule(y - 4)
        y -= PDFTableWriter.leading + 4
    }

    /// Title and facts, these in two columns.
    private func drawHead(_ page: HPDF_Page) {
        HPDF_Page_SetFontAndSize(page, font, 14)
        HPDF_Page_TextOut(page, PDFTableWriter.margin, PDFTableWriter.height - PDFTableWriter.margin - 12, plan.title)
        HPDF_Page_SetFontAndSize(page, font, 8)
        let half = (plan.facts.count + 1) / 2
        for (place, fact) in plan.facts.enumerated() {
            let x = PDFTableWriter.margin + (place < half ? 0 : 390)
            let y = PDFTableWriter.height - PDFTableWriter.margin - 26 - Float(place % half) * 11 - 6
            HPDF_Page_TextOut(page, x, y, fact.0)
            HPDF_Page_TextOut(page, x + 90, y, fitted(fact.1, 290 * 7 / 8))
        }
    }

    private func rule(_ y: Float) {
        guard let page else { return }
        HPDF_Page_MoveTo(page, PDFTableWriter.margin, y)
        HPDF_Page_LineTo(page, PDFTableWriter.width - PDFTableWriter.margin, y)
        HPDF_Page_Stroke(page)
    }

    private func draw(_ text: String, _ column: PDFColumn) {
        guard let page, !text.isEmpty else { return }
        let text = fitted(text, column.width - 3)
        let left = PDFTableWriter.margin + column.left
        HPDF_Page_TextOut(page, column.isNumber ? left + column.width - 3 - measure(text) : left, y, text)
    }

    private func measure(_ text: String) -> Float {
        var sum: Float = 0
        for byte in text.utf8 {
            guard byte < 128 else { return Float(HPDF_Font_TextWidth(font, Array(text.utf8), HPDF_UINT(text.utf8.count)).width)
                * PDFTableWriter.size / 1000 }
            sum += widths[Int(byte)]
        }
        return sum * PDFTableWriter.size / 1000
    }

    /// Cut with an ellipsis where it is too wide. Figures are never cut: the columns are wide enough for them.
    private func fitted(_ text: String, _ width: Float) -> String {
        guard measure(text) > width else { return text }
        var short = text
        while !short.isEmpty, measure(short + "…") > width { short.removeLast() }
        return short + "…"
    }
}

/// A column's place on paper, in points from the margin.
private struct PDFColumn {
    var index: Int
    var left: Float
    var width: Float
    var isNumber: Bool

    static func layout(_ columns: [ExportColumn], width: Float) -> [PDFColumn] {
        let parts = Float(columns.reduce(0) { $0 + $1.width })
        var left: Float = 0
        return columns.enumerated().filter { $0.element.width > 0 }.map { index, column in
            let own = Float(column.width) / parts * width
            defer { left += own }
            return PDFColumn(index: index, left: left, width: own, isNumber: column.isNumber)
        }
    }
}

extension ExportValue {
    /// Times to the second.
    fileprivate var paperText: String {
        guard case .time(let time) = self else { return text }
        return String(time.description.prefix(19).replacing("T", with: " "))
    }
}
