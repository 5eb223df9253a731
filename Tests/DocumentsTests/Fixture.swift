import Database
import Documents
import Exchange
import Foundation
import Ledger
import Market
import MarketTestSupport
import Settlement
import Store
import TestSupport
import Units

/// A market's tables after a random history of some hours, whose books are closed.
struct Fixture {
    let storage: Storage
    let database: Database
    let documents: DocumentStore
    let folder: TemporaryFolder
    let key: SigningKey

    /// The day of ``History/start``.
    static let day = AccountingPeriod(year: 2023, month: 11, day: 14)!
    static let month = AccountingPeriod(year: 2023, month: 11)!
    static let later = Timestamp(microseconds: 1_800_000_000_000_000)
    /// All accounts of the history are 1 to 5.
    static let accounts = (1...5).map { AccountID($0) }
    static let closed = Timestamp(microseconds: 1_750_000_000_000_000)

    static func with(
        _ engine: Engine = .sqlite, seed: UInt64 = 11, commands: Int = 3000, _ body: (Fixture) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                var history = History(seed: seed)
                var follower = Follower()
                _ = follower.commit(history.commands(commands), epoch: 1, at: history.now)
                try await TableStore(database).project(follower.projection(at: history.now))
                for account in accounts {
                    _ = try await AccountStore(database).create(
                        name: ["=cmd()", "Müller & Söhne, KG", "東京 \"株式会社\"", "four", "five"][Int(account.rawValue) - 1],
                        roles: [.buyer], keyDigest: [UInt8(account.rawValue)], at: History.start)
                }
                try await body(Fixture(
                    storage: storage, database: database, documents: DocumentStore(database), folder: folder,
                    key: try SigningKey(making: folder.file("signing.key"))))
            }
        }
    }

    func issue(
        _ account: Int64, kind: DocumentKind = .statement, seller: Int64? = nil, _ period: AccountingPeriod = day, reason: String? = nil,
        closedThrough: Timestamp = closed
    ) async throws -> DocumentSummary {
        try await documents.issue(
            DocumentRequest(
                kind: kind, account: AccountID(account), counterparty: seller.map { AccountID($0) }, period: period, reason: reason),
            closedThrough: closedThrough, key: key, by: nil, at: Fixture.later)
    }

    /// Why it is not issued; nil if it is.
    func refusal(
        _ account: Int64, kind: DocumentKind = .statement, seller: Int64? = nil, _ period: AccountingPeriod = day, reason: String? = nil,
        closedThrough: Timestamp = closed
    ) async throws -> DocumentRefusal? {
        do {
            _ = try await issue(account, kind: kind, seller: seller, period, reason: reason, closedThrough: closedThrough)
            return nil
        } catch let refusal as DocumentRefusal {
            return refusal
        }
    }

    func lines(_ document: DocumentSummary) async throws -> [[UInt8]] {
        var lines: [[UInt8]] = []
        try await documents.file(document.position).forEachLine { lines.append(Array($0)) }
        return lines
    }

    func header(_ document: DocumentSummary) async throws -> CanonicalJSON { try CanonicalJSON(try await lines(document)[0][...]) }

    /// The document's file with other lines.
    func file(_ lines: [[UInt8]]) throws -> SpoolFile {
        let file = try SpoolFile()
        for line in lines { try file.write(line + [0x0a]) }
        try file.rewind()
        return file
    }

    func party(_ account: Int64, currency: String? = nil) async throws {
        try await documents.record(
            EffectiveParty(account: AccountID(account), effectiveAt: Timestamp(microseconds: 0), party: LegalParty(
                name: "Party \(account) ÄÖ 東京", address: ["Street \(account)", "City"], country: "DE", taxID: "DE\(account)",
                currency: currency)),
            by: nil, at: Fixture.later)
    }

    /// Pairs that traded, and what was charged.
    func pairs() throws -> [(buyer: Int64, seller: Int64, charge: Int64)] {
        try storage.query(
            """
            SELECT d.buyer, d.seller, CAST(sum(l.charge) AS BIGINT) FROM settlement_lines l JOIN deliveries d ON d.id = l.delivery
            GROUP BY d.buyer, d.seller HAVING sum(l.charge) > 0 ORDER BY d.buyer, d.seller
            """
        ).map { (try $0.int64(0), try $0.int64(1), try $0.int64(2)) }
    }
}

/// A command's standard output; traps when it fails.
func output(of command: [String]) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}
