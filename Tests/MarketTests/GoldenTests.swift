import BinaryCoding
import Exchange
import Foundation
import Market
import TestSupport
import Testing
import Units

/// The binary forms of one coding version as that version's encoder wrote them: a name and hexadecimal bytes a line. Lines are
/// added, never changed: with HASHSPOT_WRITE_GOLDEN set, those that are missing are.
struct GoldenFile {
    let version: UInt8
    let url: URL
    private(set) var lines: [String: [UInt8]] = [:]

    init(version: UInt8) throws {
        self.version = version
        url = URL(filePath: #filePath).appending(path: "../../Golden/coding-\(version).txt").standardizedFileURL
        guard FileManager.default.fileExists(atPath: url.path()) else { return }
        for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
            let parts = line.split(separator: " ")
            guard parts.count == 2, let bytes = unhex(parts[1]) else {
                Issue.record("not a golden line: \(line)")
                continue
            }
            #expect(lines.updateValue(bytes, forKey: String(parts[0])) == nil, "twice: \(parts[0])")
        }
    }

    static var mayWrite: Bool { ProcessInfo.processInfo.environment["HASHSPOT_WRITE_GOLDEN"] != nil }

    /// An older version's lines are all there.
    var mayWrite: Bool { Self.mayWrite && version == CodingVersion.newest }

    mutating func add(_ name: String, _ bytes: [UInt8]) throws {
        lines[name] = bytes
        let text = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        try (text + "\(name) \(hex)\n").write(to: url, atomically: true, encoding: .utf8)
    }
}

@Suite("Golden files", .serialized)
struct GoldenTests {
    private func bytes(_ value: some BinaryCodable) -> [UInt8] {
        var writer = BinaryWriter()
        value.encode(into: &writer)
        return writer.bytes
    }

    /// That the line's bytes mean this value, and that the newest version, if it is this one, writes them so.
    private func check<T: BinaryCodable & Equatable>(_ name: String, _ value: T, _ file: inout GoldenFile) throws {
        if file.lines[name] == nil, file.mayWrite { try file.add(name, bytes(value)) }
        guard let known = file.lines[name] else {
            Issue.record("no line \(name) in \(file.url.lastPathComponent): run with HASHSPOT_WRITE_GOLDEN=1 once")
            return
        }
        var reader = BinaryReader(known, version: file.version)
        #expect(try T(from: &reader) == value, "\(name) means something else now")
        try reader.finish()
        if CodingVersion.newest == file.version { #expect(bytes(value) == known, "\(name) is written in another form now") }
    }

    private func named<T>(_ values: [T], _ name: (T) -> String) -> [(name: String, value: T)] {
        var counts: [String: Int] = [:]
        return values.map { value in
            let name = name(value)
            counts[name, default: 0] += 1
            return ("\(name)#\(counts[name] ?? 0)", value)
        }
    }

    private var commands: [(name: String, value: Command)] {
        named(GoldenExamples.commands) { "command.\(GoldenExamples.CommandCase($0).rawValue)" }
    }

    private var events: [(name: String, value: Event)] {
        named(GoldenExamples.events) { "event.\(GoldenExamples.EventCase($0).rawValue)" }
    }

    private var laterCommands: [(name: String, value: Command)] {
        named(GoldenExamples.laterCommands) { "later.command.\(GoldenExamples.CommandCase($0).rawValue)" }
    }

    private var laterEvents: [(name: String, value: Event)] {
        named(GoldenExamples.laterEvents) { "later.event.\(GoldenExamples.EventCase($0).rawValue)" }
    }

    @Test func everyCaseHasAnExample() {
        let commands = GoldenExamples.commands + GoldenExamples.laterCommands + GoldenExamples.booksCommands.map(\.value)
        #expect(Set(commands.map { GoldenExamples.CommandCase($0) }) == Set(GoldenExamples.CommandCase.allCases))
        let events = GoldenExamples.events + GoldenExamples.laterEvents + GoldenExamples.booksEvents.map(\.value)
        #expect(Set(events.map { GoldenExamples.EventCase($0) }) == Set(GoldenExamples.EventCase.allCases))
        #expect(GoldenExamples.CommandCase.allCases.count == 30)
        #expect(GoldenExamples.EventCase.allCases.count == 34)
    }

    @Test(arguments: [CodingVersion.everyRule, CodingVersion.books])
    func everyLineMeansWhatItMeant(_ version: UInt8) throws {
        var file = try GoldenFile(version: version)
        for (name, command) in commands { try check(name, command, &file) }
        for (name, event) in events { try check(name, event, &file) }
        for (number, outcome) in GoldenExamples.outcomes.enumerated() { try check("outcome#\(number + 1)", outcome, &file) }
        for (name, command) in laterCommands { try check(name, command, &file) }
        for (name, event) in laterEvents { try check(name, event, &file) }
        for (number, outcome) in GoldenExamples.laterOutcomes.enumerated() {
            try check("later.outcome#\(number + 1)", outcome, &file)
        }
        try check("counters", GoldenExamples.counters, &file)
        try check("rules", Optional(GoldenExamples.rules), &file)
        try check("rules.none", MarketRules?.none, &file)
        for (number, status) in GoldenExamples.statuses.enumerated() { try check("status#\(number + 1)", status, &file) }
        try checkBody(&file)
        let books = version >= CodingVersion.books ? try checkBooks(&file) : []
        let names = Set(commands.map(\.name) + events.map(\.name) + GoldenExamples.outcomes.indices.map { "outcome#\($0 + 1)" })
            .union((laterCommands.map(\.name) + laterEvents.map(\.name)))
            .union(GoldenExamples.laterOutcomes.indices.map { "later.outcome#\($0 + 1)" })
            .union(["counters", "rules", "rules.none", "status#1", "status#2", "journal"]).union(books)
        #expect(Set(file.lines.keys) == names, "a line without an example, or the other way round")
    }

    /// What only the third version has.
    ///
    /// - Returns: its lines' names
    private func checkBooks(_ file: inout GoldenFile) throws -> [String] {
        for (name, command) in GoldenExamples.booksCommands { try check("books.command.\(name)", command, &file) }
        for (name, event) in GoldenExamples.booksEvents { try check("books.event.\(name)", event, &file) }
        for (name, outcome) in GoldenExamples.booksOutcomes { try check("books.outcome.\(name)", outcome, &file) }
        try check("books", GoldenExamples.books, &file)
        return GoldenExamples.booksCommands.map { "books.command.\($0.name)" } + GoldenExamples.booksEvents.map { "books.event.\($0.name)" }
            + GoldenExamples.booksOutcomes.map { "books.outcome.\($0.name)" } + ["books"]
    }

    /// A journal row's body with every command and every event, its checksum and its version.
    private func checkBody(_ file: inout GoldenFile) throws {
        let key = CommandEnvelope.Idempotency(key: AnswerKey(account: AccountID(3), key: "k"), digest: GoldenExamples.digest)
        var batch = commands.enumerated().map { number, command in
            JournalledCommand(envelope: CommandEnvelope(command.value, idempotency: number.isMultiple(of: 3) ? key : nil), events: [])
        }
        for (number, event) in events.enumerated() { batch[number % batch.count].events.append(event.value) }
        if file.lines["journal"] == nil, file.mayWrite { try file.add("journal", JournalBody.encode(batch)) }
        let known = try #require(file.lines["journal"], "no line journal")
        #expect(known.first == file.version)
        let decoded = try JournalBody.decode(known)
        try #require(decoded.count == batch.count)
        for (found, expected) in zip(decoded, batch) {
            #expect(found.envelope == expected.envelope)
            #expect(found.events == expected.events)
        }
        if CodingVersion.newest == file.version { #expect(JournalBody.encode(batch) == known) }
    }
}
