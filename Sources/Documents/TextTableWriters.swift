internal import Settlement
internal import Units

/// RFC 4180, UTF-8: a row of names, the rows, a row that starts with `total`.
final class CSVTableWriter: TableWriter {
    private let file: SpoolFile

    init(_ plan: ExportPlan, path: String) throws {
        file = try SpoolFile(writing: path)
        try file.write(CSVRow.bytes(plan.columns.map { .text($0.name) }))
    }

    func row(_ values: [ExportValue]) throws { try file.write(CSVRow.bytes(values)) }

    func finish(_ totals: [ExportValue]) throws {
        try row(totals)
        try file.flush()
    }
}

enum CSVRow {
    static func bytes(_ values: [ExportValue]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * 16)
        for (place, value) in values.enumerated() {
            if place > 0 { bytes.append(UInt8(ascii: ",")) }
            if case .text(let text) = value { write(text, to: &bytes) } else { bytes += value.text.utf8 }
        }
        bytes += [0x0d, 0x0a]
        return bytes
    }

    /// Quoted where needed. What a spreadsheet would take for a formula gets an apostrophe in front; so does what would become one when
    /// the spaces before it are cut off.
    private static func write(_ text: String, to bytes: inout [UInt8]) {
        let isFormula = text.unicodeScalars.first { $0 != " " && $0 != "\u{a0}" }
            .map { "=+-@|%\t\r\n\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".unicodeScalars.contains($0) } ?? false
        let needsQuotes = text.utf8.contains { $0 == 0x22 || $0 == 0x2c || $0 == 0x0a || $0 == 0x0d }
        if needsQuotes { bytes.append(0x22) }
        if isFormula { bytes.append(0x27) }
        for byte in text.utf8 {
            if byte == 0x22 { bytes.append(0x22) }
            bytes.append(byte)
        }
        if needsQuotes { bytes.append(0x22) }
    }
}

/// One object: title, facts, columns, rows as objects, totals. Sums that need more than 53 bits are still integers in digits.
final class JSONTableWriter: TableWriter {
    private let file: SpoolFile
    private let names: [[UInt8]]
    private var isFirst = true

    init(_ plan: ExportPlan, path: String) throws {
        file = try SpoolFile(writing: path)
        names = plan.columns.map { CanonicalJSON.text($0.name).bytes }
        var head = Array("{\"title\":".utf8) + CanonicalJSON.text(plan.title).bytes
        head += Array(",\"madeAt\":".utf8) + CanonicalJSON.text(plan.madeAt.description).bytes
        head += Array(",\"facts\":[".utf8)
        for (place, fact) in plan.facts.enumerated() {
            if place > 0 { head.append(UInt8(ascii: ",")) }
            head += CanonicalJSON.array([.text(fact.0), .text(fact.1)]).bytes
        }
        try file.write(head + Array("],\"rows\":[\n".utf8))
    }

    func row(_ values: [ExportValue]) throws {
        try file.write((isFirst ? [] : Array(",\n".utf8)) + object(values))
        isFirst = false
    }

    func finish(_ totals: [ExportValue]) throws {
        try file.write(Array("\n],\"totals\":".utf8) + object(totals) + Array("}\n".utf8))
        try file.flush()
    }

    private func object(_ values: [ExportValue]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for (place, value) in values.enumerated() where value != .empty {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            bytes += names[place]
            bytes.append(UInt8(ascii: ":"))
            switch value {
            case .empty: break
            case .integer, .wide: bytes += value.text.utf8
            case .text, .decimal, .time: CanonicalJSON.text(value.text).write(to: &bytes)
            }
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}
