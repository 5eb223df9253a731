internal import CXLSXWriter
internal import Foundation
internal import Units

/// A workbook by libxlsxwriter, row by row in constant memory: facts, a frozen row of titles, the rows, a row of totals.
///
/// Numbers are numbers and times dates; what a double cannot hold exactly is text.
final class XLSXTableWriter: TableWriter {
    private let book: UnsafeMutablePointer<lxw_workbook>
    private let sheet: UnsafeMutablePointer<lxw_worksheet>
    private let whole, date, bold, boldWhole: UnsafeMutablePointer<lxw_format>?
    private var next: UInt32 = 0
    private var isClosed = false

    init(_ plan: ExportPlan, path: String) throws {
        // What fits on a sheet, with facts, titles and totals.
        guard plan.rows < 1_048_000 else {
            throw DocumentError("\(plan.rows) rows are more than a sheet of XLSX holds (1,048,000): export CSV, or a shorter time")
        }
        var options = lxw_workbook_options()
        options.constant_memory = 1
        guard let book = workbook_new_opt(path, &options), let sheet = workbook_add_worksheet(book, "Hashspot") else {
            throw DocumentError("\(path) cannot be written as XLSX")
        }
        (self.book, self.sheet) = (book, sheet)
        whole = workbook_add_format(book)
        date = workbook_add_format(book)
        bold = workbook_add_format(book)
        boldWhole = workbook_add_format(book)
        format_set_num_format(whole, "#,##0")
        format_set_num_format(date, "yyyy-mm-dd hh:mm:ss")
        format_set_bold(bold)
        format_set_bold(boldWhole)
        format_set_num_format(boldWhole, "#,##0")
        for (place, column) in plan.columns.enumerated() {
            worksheet_set_column(sheet, UInt16(place), UInt16(place), column.isNumber ? 16 : 22, nil)
        }
        try check(worksheet_write_string(sheet, 0, 0, plan.title, bold))
        next = 1
        for fact in plan.facts {
            try check(worksheet_write_string(sheet, next, 0, fact.0, bold))
            try check(worksheet_write_string(sheet, next, 1, XLSXTableWriter.clipped(fact.1), nil))
            next += 1
        }
        for (place, column) in plan.columns.enumerated() {
            try check(worksheet_write_string(sheet, next, UInt16(place), column.title, bold))
        }
        next += 1
        worksheet_freeze_panes(sheet, next, 0)
    }

    deinit { if !isClosed { workbook_close(book) } }

    func row(_ values: [ExportValue]) throws {
        for (place, value) in values.enumerated() { try cell(value, UInt16(place), whole, nil) }
        next += 1
    }

    func finish(_ totals: [ExportValue]) throws {
        for (place, value) in totals.enumerated() { try cell(value, UInt16(place), boldWhole, bold) }
        isClosed = true
        try check(workbook_close(book))
    }

    private func cell(
        _ value: ExportValue, _ column: UInt16, _ number: UnsafeMutablePointer<lxw_format>?, _ text: UnsafeMutablePointer<lxw_format>?
    ) throws {
        switch value {
        case .empty: break
        case .text(let string): try check(worksheet_write_string(sheet, next, column, XLSXTableWriter.clipped(string), text))
        case .decimal(let digits):
            // Up to 15 digits a double is exact enough to come out as it went in.
            if digits.utf8.count <= 16, let double = Double(digits) {
                try check(worksheet_write_number(sheet, next, column, double, text))
            } else {
                try check(worksheet_write_string(sheet, next, column, digits, text))
            }
        case .integer, .wide:
            guard let amount = value.summand else { break }
            if amount.magnitude <= 1 << 53 {
                try check(worksheet_write_number(sheet, next, column, Double(Int64(amount)), number))
            } else {
                try check(worksheet_write_string(sheet, next, column, String(amount), text))
            }
        case .time(let time):
            // Days since 1899-12-30; whole seconds.
            let days = Double(time.microseconds / 1_000_000) / 86_400 + 25_569
            try check(worksheet_write_number(sheet, next, column, days, date))
        }
    }

    /// A cell's text has at most 32,767 characters.
    private static func clipped(_ text: String) -> String { text.utf8.count <= 32_000 ? text : String(text.prefix(8_000)) }

    private func check(_ error: lxw_error) throws {
        guard error != LXW_NO_ERROR else { return }
        throw DocumentError("XLSX: \(lxw_strerror(error).map { String(cString: $0) } ?? "error \(error.rawValue)")")
    }
}
