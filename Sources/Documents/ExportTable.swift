public import Units

/// A cell of an export.
public enum ExportValue: Hashable, Sendable {
    case empty
    case text(String)
    case integer(Int64)
    case wide(Int128)
    /// Digits with a point, exact.
    case decimal(String)
    case time(Timestamp)

    /// As CSV and PDF have it.
    public var text: String {
        switch self {
        case .empty: ""
        case .text(let text), .decimal(let text): text
        case .integer(let number): String(number)
        case .wide(let number): String(number)
        case .time(let time): time.description
        }
    }

    /// What a sum over the column counts.
    public var summand: Int128? {
        switch self {
        case .integer(let number): Int128(number)
        case .wide(let number): number
        case .empty: 0
        case .text, .decimal, .time: nil
        }
    }

    var isNumber: Bool {
        switch self {
        case .integer, .wide, .decimal: true
        case .empty, .text, .time: false
        }
    }
}

public struct ExportColumn: Hashable, Sendable {
    /// For programs: `charge_sat`.
    public var name: String
    /// For people; with the unit.
    public var title: String
    /// Whether the last row has its sum, which must be the ledger's.
    public var isSummed: Bool
    public var isNumber: Bool
    /// Share of a page's width, in thousandths; 0: not on paper.
    public var width: Int

    public init(_ name: String, _ title: String, isSummed: Bool = false, isNumber: Bool = false, width: Int = 0) {
        self.name = name
        self.title = title
        self.isSummed = isSummed
        self.isNumber = isNumber || isSummed
        self.width = width
    }
}

/// What is known of an export before its first row.
public struct ExportPlan: Hashable, Sendable {
    public var title: String
    /// What stands above the table: names and values.
    public var facts: [(String, String)] { factNames.indices.map { (factNames[$0], factValues[$0]) } }
    private var factNames: [String] = []
    private var factValues: [String] = []
    public var columns: [ExportColumn]
    public var rows: Int64
    /// The ledger's own sum of every column that is summed, by its name.
    public var totals: [String: Int128]
    /// When it was made.
    public var madeAt: Timestamp

    public init(
        title: String, facts: [(String, String)], columns: [ExportColumn], rows: Int64, totals: [String: Int128], madeAt: Timestamp
    ) {
        self.title = title
        self.columns = columns
        self.rows = rows
        self.totals = totals
        self.madeAt = madeAt
        (factNames, factValues) = (facts.map(\.0), facts.map(\.1))
    }
}

public enum ExportFormat: String, Sendable, CaseIterable {
    case csv, json, xlsx, pdf

    public var contentType: String {
        switch self {
        case .csv: "text/csv; charset=utf-8; header=present"
        case .json: "application/json"
        case .xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        case .pdf: "application/pdf"
        }
    }
}

/// Writes a table in one format.
protocol TableWriter: AnyObject {
    func row(_ values: [ExportValue]) throws
    /// The row of totals and the end of the file.
    func finish(_ totals: [ExportValue]) throws
}

/// An export under way: rows go through it to the file, and it does not finish unless rows and sums are those that the ledger has.
public final class TableExport {
    private let plan: ExportPlan
    private let writer: any TableWriter
    private var sums: [Int128]
    private var rows: Int64 = 0
    private let progress: (Int64, Int64) -> Void

    /// - Parameters:
    ///   - path: of the file, which is made anew
    ///   - progress: called now and then with the rows so far and in all
    public init(_ plan: ExportPlan, _ format: ExportFormat, path: String, progress: @escaping (Int64, Int64) -> Void = { _, _ in }) throws {
        self.plan = plan
        self.progress = progress
        sums = Array(repeating: 0, count: plan.columns.count)
        writer =
            switch format {
            case .csv: try CSVTableWriter(plan, path: path)
            case .json: try JSONTableWriter(plan, path: path)
            case .xlsx: try XLSXTableWriter(plan, path: path)
            case .pdf: try PDFTableWriter(plan, path: path)
            }
    }

    /// - Precondition: a value for each column
    public func row(_ values: [ExportValue]) throws {
        precondition(values.count == plan.columns.count, "a row has a value for each column")
        for (place, column) in plan.columns.enumerated() where column.isSummed {
            guard let summand = values[place].summand else { throw DocumentError("\(column.name) has something else than a number") }
            sums[place] += summand
        }
        try writer.row(values)
        rows += 1
        if rows.isMultiple(of: 10_000) { progress(rows, plan.rows) }
    }

    /// - Throws: when rows are missing, or a sum is not the ledger's; then the file is not to be used
    public func finish() throws {
        guard rows == plan.rows else { throw DocumentError("the export has \(rows) rows, the ledger \(plan.rows)") }
        for (place, column) in plan.columns.enumerated() where column.isSummed {
            guard let expected = plan.totals[column.name] else { throw DocumentError("the ledger has no sum of \(column.name)") }
            guard sums[place] == expected else {
                throw DocumentError("\(column.name) sums to \(sums[place]) in the export, to \(expected) in the ledger")
            }
        }
        var totals = plan.columns.enumerated().map { place, column in
            column.isSummed ? ExportValue.wide(sums[place]) : .empty
        }
        if let first = plan.columns.firstIndex(where: { !$0.isSummed }) { totals[first] = .text("total") }
        try writer.finish(totals)
        progress(rows, plan.rows)
    }
}
