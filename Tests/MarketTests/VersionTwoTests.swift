import Database
import Foundation
import Market
import MarketTestSupport
import Store
import TestSupport
import Testing
import Units

/// A small market as the second version (schema 2, coding 2, rules 2) left it, with its journal's last rows not in the tables:
/// `Tests/Golden/market-2.sql`. Written by that version, never to be made again; its passwords and keys are invented.
private enum VersionTwo {
    static let schema = StoredVersionTwo.schema
    private static let tables = [
        "projector", "market_state", "pool_targets", "rigs", "farms", "orders", "deliveries", "billings", "ledger_balances",
        "ledger_entries", "ledger_postings", "deposits", "answers", "silences", "settlement_lines",
    ]
    private static let separator = StoredVersionTwo.separator
    private static let url = StoredVersionTwo.url

    /// As this program would leave one; only where the file is not there.
    static func make() async throws {
        guard GoldenFile.mayWrite, !FileManager.default.fileExists(atPath: url.path()) else { return }
        try await Engine.sqlite.withStorage(schema: schema) { storage in
            var seed: UInt64 = 20
            while !isVaried(seed) { seed += 1 }
            var history = History(seed: seed)
            var follower = Follower()
            let journal = try storage.openJournal()
            defer { journal.close() }
            let epoch = try journal.takeOver().epoch
            for number in 0..<14 {
                let row = follower.commit(history.batch(12), epoch: epoch, at: history.now)
                try journal.append(row, after: row.first - 1)
                let projection = number < 12 ? follower.projection(at: history.now) : nil
                if let projection { try await storage.withTables { try await TableStore($0).project(projection) } }
            }
            let sql = try tables.flatMap { try inserts($0, storage, storage.tables) }.joined()
                + separator + ["writer", "journal"].flatMap { try inserts($0, storage, storage.journal) }.joined()
            try sql.write(to: url, atomically: true, encoding: .utf8)
        }
    }

    /// Whether a history of these sizes has some of everything.
    private static func isVaried(_ seed: UInt64) -> Bool {
        var history = History(seed: seed)
        let events = (0..<12).flatMap { _ in history.batch(12) }.flatMap(\.events)
        let names = Dictionary(grouping: events, by: \.name).mapValues(\.count)
        let isBusy = ["lineSettled", "answerRecorded", "deliveryClosed"].allSatisfy { names[$0] ?? 0 > 3 }
        return isBusy && names["farmOffered"] != nil && names["silenceSet"] != nil && names["rulesChanged"] != nil
    }

    private static func inserts(_ table: String, _ storage: Storage, _ location: DatabaseLocation) throws -> [String] {
        let columns = try storage.query("PRAGMA table_info(\(table))", in: location).map { try $0.text(1) }.joined(separator: ", ")
        return try storage.query("SELECT \(columns) FROM \(table)", in: location).map { row in
            let values = (0..<row.count).map { literal(row[$0]) }.joined(separator: ", ")
            return "INSERT INTO \(table) (\(columns)) VALUES (\(values));\n"
        }
    }

    private static func literal(_ value: SQLValue) -> String {
        switch value {
        case .null: "NULL"
        case .integer(let number): "\(number)"
        case .text(let text): "'\(text.replacing("'", with: "''"))'"
        case .blob(let bytes): "X'\(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())'"
        }
    }
}

@Suite("Version two", .serialized)
struct VersionTwoTests {
    private func verify(_ storage: Storage) async throws -> StorageVerification {
        try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
    }

    @Test(arguments: Engine.allCases)
    func itsMarketIsReadAndGoesOn(_ engine: Engine) async throws {
        try await VersionTwo.make()
        try await engine.withStorage(schema: VersionTwo.schema) { storage in
            try StoredVersionTwo.load(into: storage)
            try storage.migrate()
            let report = try await verify(storage)
            #expect(report.findings == [])
            #expect(report.commands == 168)
            #expect(report.tables == 144)
            #expect(report.decided == (JournalBody.rulesVersion == 2 ? 168 : 0))
            for table in report.digests { #expect(table.rows > 3, "\(table)") }
            let clock = ManualClock()
            clock.now = History.start + .seconds(100_000)
            try await TestMarket.with(storage, clock: clock) { market in try await market.deposit("of a later version") }
            let after = try await verify(storage)
            #expect(after.findings == [])
            #expect(after.tables == after.journal)
            // The server does so at its start.
            try await storage.withTables { tables in _ = try await LedgerChain(tables).complete { _, _ in } }
            let dump = try storage.dump()
            try await TableRebuilder(tables: storage.tables, journal: storage.journal).run(deposing: true)
            #expect(try storage.dump() == dump)
        }
    }
}
