internal import Foundation

/// What a benchmark's variant measured. Printed as one JSON object a line, or as a row of a table.
public struct BenchmarkReport: Sendable, Encodable, Equatable {
    public var bench: String
    public var variant: String
    /// Operations in one run.
    public var operations: Int
    /// Of the median run.
    public var opsPerSecond: Double
    /// Time of one operation with the timer's own, microseconds; nil where not measured.
    public var p50us: Double?
    public var p99us: Double?
    public var p999us: Double?
    /// Processor time of the process for one operation of the median run, microseconds.
    public var cpuUsPerOp: Double
    /// Resident memory of the whole process, what was read in included.
    public var rssBytes: Int
    /// What the benchmark computed, to be compared.
    public var check: String?
    /// Further figures by name.
    public var extras: [String: Double] = [:]

    public init(bench: String, variant: String, operations: Int, opsPerSecond: Double, cpuUsPerOp: Double, rssBytes: Int) {
        self.bench = bench
        self.variant = variant
        self.operations = operations
        self.opsPerSecond = opsPerSecond
        self.cpuUsPerOp = cpuUsPerOp
        self.rssBytes = rssBytes
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Extras stand beside the other fields.
    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        try fields.encode(bench, forKey: Key("bench"))
        try fields.encode(variant, forKey: Key("variant"))
        try fields.encode(operations, forKey: Key("operations"))
        try fields.encode(opsPerSecond, forKey: Key("opsPerSecond"))
        try fields.encodeIfPresent(p50us, forKey: Key("p50us"))
        try fields.encodeIfPresent(p99us, forKey: Key("p99us"))
        try fields.encodeIfPresent(p999us, forKey: Key("p999us"))
        try fields.encode(cpuUsPerOp, forKey: Key("cpuUsPerOp"))
        try fields.encode(rssBytes, forKey: Key("rssBytes"))
        try fields.encodeIfPresent(check, forKey: Key("check"))
        for (name, value) in extras { try fields.encode(value, forKey: Key(name)) }
    }

    /// One line, without its end.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// Rows under a heading, then the checks and extras of each.
    public static func table(_ reports: [BenchmarkReport]) -> String {
        func row(_ cells: [String]) -> String {
            zip(cells, [16, 12, 14, 10, 10, 10, 10, 10]).map { cell, width in
                String(repeating: " ", count: max(0, width - cell.count)) + cell
            }.joined(separator: " ")
        }
        func figure(_ value: Double?) -> String { value.map { String(format: "%.3f", $0) } ?? "-" }
        var lines = [row(["variant", "operations", "ops/s", "p50 us", "p99 us", "p99.9 us", "cpu us/op", "rss MB"])]
        for report in reports {
            lines.append(row([
                report.variant, "\(report.operations)", String(format: "%.0f", report.opsPerSecond), figure(report.p50us),
                figure(report.p99us), figure(report.p999us), String(format: "%.4f", report.cpuUsPerOp),
                "\(report.rssBytes >> 20)",
            ]))
        }
        for report in reports {
            let extras = report.extras.sorted { $0.key < $1.key }.map { "\($0.key)=\(String(format: "%g", $0.value))" }
            lines.append("\(report.variant): \(([report.check].compactMap { $0 } + extras).joined(separator: "\n    "))")
        }
        return lines.joined(separator: "\n")
    }
}
