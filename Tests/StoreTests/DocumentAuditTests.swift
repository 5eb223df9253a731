import Crypto
import Database
import Foundation
import Market
import MarketTestSupport
import Settlement
import Store
import Testing
import Units

/// Issued documents as the audit finds them, made by hand.
@Suite("Audit of documents")
struct DocumentAuditTests {
    private static let codes: Set = ["document.chain", "document.seal", "statement.balance"]

    /// A statement of 100 microseconds.
    private struct Planned {
        var number, account, start, opening: Int
        var moved: [Int]
        /// Where the version is that it takes the place of.
        var supersedes: Int?

        var version: Int { supersedes == nil ? 1 : 2 }
        var end: Int { start + 100 }
        var closing: Int { opening + moved.reduce(0, +) }

        /// As real ones are, with two entries or lines.
        var body: [UInt8] {
            let lines = moved.enumerated().map { place, amount in
                place == 0 ? #"{"amount":\#(amount),"type":"entry"}"# : #"{"net":\#(amount),"type":"line"}"#
            }
            return Array(lines.map { $0 + "\n" }.joined().utf8)
        }

        /// As far as real ones are read, with a line's end.
        func header(_ issue: DocumentIssue) -> [UInt8] {
            let json = CanonicalJSON.members([
                "format": .text("hashspot-document-1"), "kind": .text("statement"), "account": .integer(Int64(account)),
                "period": .text("p\(start)"), "from": .text(Planned.time(start).description), "to": .text(Planned.time(end).description),
                "issue": issue.json, "opening": Planned.funds(opening).json, "closing": Planned.funds(closing).json,
                "body": .text(HexText.encode(Array(SHA256.hash(data: body)))),
            ])
            return json.bytes + [0x0a]
        }

        static func time(_ microseconds: Int) -> Timestamp { Timestamp(microseconds: Int64(microseconds)) }

        private static func funds(_ total: Int) -> CustomerFunds {
            CustomerFunds(available: Int64(total) - 2, held: 1, leaving: 1)
        }
    }

    /// Two statements of account 1 in a row; one of account 2, that was wrong, and what took its place.
    private static let statements = [
        Planned(number: 1, account: 1, start: 100, opening: 0, moved: [50, -20]),
        Planned(number: 2, account: 2, start: 100, opening: 7, moved: [1]),
        Planned(number: 3, account: 1, start: 200, opening: 30, moved: [5]),
        Planned(number: 2, account: 2, start: 100, opening: 6, moved: [1], supersedes: 2),
    ]

    /// What they say is booked, at the edges of their times.
    private static let ledger = """
        INSERT INTO ledger_entries (id, kind, at, value_at, reference) VALUES
            (1, 1, 0, 0, 'a'), (2, 1, 99, 99, 'b'), (3, 1, 100, 100, 'c'), (4, 1, 199, 199, 'd'), (5, 1, 200, 200, 'e');
        INSERT INTO ledger_postings (entry, line, account_kind, owner, amount) VALUES
            (1, 0, 1, 1, -2), (1, 1, 2, 1, 1), (1, 2, 7, 1, 1), (2, 0, 1, 2, 4), (2, 1, 2, 2, 1), (2, 2, 7, 2, 1),
            (3, 0, 1, 1, 30), (4, 0, 1, 2, 1), (5, 0, 1, 1, 5), (5, 1, 5, 1, -5);
        """

    /// The chain of documents, and the ledger that they are of.
    private func withDocuments(_ engine: Engine, _ body: (Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try storage.dropTriggers()
            try storage.script(Self.ledger)
            let key = Curve25519.Signing.PrivateKey()
            let publicKey = storage.blob(Array(key.publicKey.rawRepresentation))
            try storage.script("INSERT INTO signing_keys (id, public_key, first_used) VALUES ('k', \(publicKey), 1)")
            // By position.
            var digests = [[UInt8](repeating: 0, count: 32)]
            for statement in Self.statements { digests.append(try add(statement, after: digests, key: key, storage)) }
            try await body(storage)
        }
    }

    /// - Returns: its digest
    private func add(
        _ statement: Planned, after digests: [[UInt8]], key: Curve25519.Signing.PrivateKey, _ storage: Storage
    ) throws -> [UInt8] {
        let (position, previous, body) = (digests.count, digests[digests.count - 1], statement.body)
        let header = statement.header(DocumentIssue(
            number: Int64(statement.number), version: Int64(statement.version), position: Int64(position), previous: previous,
            issuedAt: Planned.time(position),
            supersedes: statement.supersedes.map { DocumentIssue.Superseded(version: 1, digest: digests[$0], reason: "r") }))
        let digest = Array(SHA256.hash(data: header))
        let signature = Array(try key.signature(for: Array("hashspot-document-1\n".utf8) + digest))
        // In two pieces, cut within a line.
        let parts = [body.prefix(5), body.dropFirst(5)].enumerated().map { part, bytes in
            "(\(position), \(part), \(storage.blob(Array(bytes))))"
        }
        try storage.script(
            """
            INSERT INTO documents (position, kind, number, version, account, counterparty, period, start_at, end_at, header, body_bytes,
                digest, previous, signature, signing_key, issued_at, reason)
            VALUES (\(position), 1, \(statement.number), \(statement.version), \(statement.account), 0, 'p\(statement.start)',
                \(statement.start), \(statement.end), \(storage.blob(header)), \(body.count), \(storage.blob(digest)),
                \(storage.blob(previous)), \(storage.blob(signature)), 'k', \(position), \(statement.version > 1 ? "'r'" : "NULL"));
            INSERT INTO document_parts (position, part, content) VALUES \(parts.joined(separator: ", "));
            """)
        return digest
    }

    private func findings(_ storage: Storage) async throws -> [String: AuditFinding] {
        try await storage.withTables { database in
            let findings = try await Audit(database).run(AuditOptions(only: Self.codes))
            return Dictionary(uniqueKeysWithValues: findings.map { ($0.code, $0) })
        }
    }

    @Test(arguments: Engine.allCases)
    func anHonestChainHolds(_ engine: Engine) async throws {
        try await withDocuments(engine) { storage in
            let findings = try await findings(storage)
            for code in Self.codes {
                #expect(findings[code]?.rows == 4)
                #expect(findings[code]?.named == [])
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func whateverIsChangedIsNamed(_ engine: Engine) async throws {
        let cut = engine == .sqlite ? "CAST(substr(header, 1, length(header) - 1) AS BLOB)" : "substr(header, 1, length(header) - 1)"
        let changes: [(code: String, change: String, name: String)] = [
            (
                "document.chain", "DELETE FROM document_parts WHERE position = 2; DELETE FROM documents WHERE position = 2",
                "position 3 instead of"
            ),
            ("document.chain", "UPDATE documents SET previous = digest WHERE position = 2", "statement 2"),
            ("document.chain", "UPDATE documents SET number = 9 WHERE position = 3", "number 9 instead of number 3"),
            ("document.chain", "UPDATE documents SET version = 2, reason = 'r' WHERE position = 3", "version 2 instead of version 1"),
            (
                "document.chain", "UPDATE documents SET digest = signature WHERE position = 2",
                "statement 2 version 2 (position 4, account 2): it does not name the version before it"
            ),
            // The last one moves into the place of one that is gone.
            (
                "document.seal",
                """
                DELETE FROM document_parts WHERE position = 4; DELETE FROM documents WHERE position = 4;
                DELETE FROM document_parts WHERE position = 2; DELETE FROM documents WHERE position = 2;
                UPDATE documents SET position = 2, number = 2, previous = (SELECT digest FROM documents WHERE position = 1)
                WHERE position = 3; UPDATE document_parts SET position = 2 WHERE position = 3
                """, "its position is not the one that was signed"
            ),
            ("document.seal", "UPDATE documents SET account = 7 WHERE position = 3", "its account is not the one that was signed"),
            ("document.seal", "UPDATE documents SET period = 'x' WHERE position = 3", "its period is not the one that was signed"),
            ("document.seal", "UPDATE documents SET end_at = 400 WHERE position = 3", "its end is not the one that was signed"),
            ("document.seal", "UPDATE documents SET header = \(cut) WHERE position = 2", "its header is not what was digested"),
            ("document.seal", "UPDATE document_parts SET part = part + 7 WHERE part = 0 AND position = 1", "its entries and lines"),
            ("document.seal", "UPDATE documents SET signature = digest WHERE position = 2", "signature is not valid"),
            ("document.seal", "UPDATE documents SET signing_key = 'x' WHERE position = 3", "its signing key is not there"),
            ("statement.balance", "DELETE FROM document_parts WHERE part = 1 AND position = 1", "statement 1"),
            ("statement.balance", "UPDATE documents SET account = 1, period = 'x' WHERE position = 2", "as statement 2 version 1"),
            (
                "statement.balance", "UPDATE ledger_postings SET amount = amount + 1 WHERE entry = 5 AND line = 0",
                "35 (available 33, held 1, leaving 1) instead of 36 (available 34, held 1, leaving 1) in the ledger"
            ),
            ("statement.balance", "UPDATE ledger_entries SET at = 100, value_at = 100 WHERE id = 2", "opening of statement 2 version 2"),
        ]
        for (code, change, name) in changes {
            try await withDocuments(engine) { storage in
                try storage.dropTriggers()
                try storage.script(change)
                let found = try await findings(storage)[code]
                #expect(found?.named.contains { "\($0)".contains(name) } == true, "\(change): \(found?.named ?? [])")
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func withoutTablesThereIsNothingToLookAt(_ engine: Engine) async throws {
        try await engine.withStorage(schema: 7) { storage in
            let findings = try await findings(storage)
            #expect(findings.values.allSatisfy { $0.rows == 0 && $0.violations == 0 })
        }
    }

    @Test(arguments: Engine.allCases)
    func aChangedTrailIsNamed(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                for number in 1...3 {
                    let act = AuditAct(
                        actor: AccountID(3), actorName: "c", action: "POST /v1/x", subject: "/v1/x", request: "{}",
                        digest: Array(repeating: UInt8(number), count: 32), requestID: "r\(number)")
                    _ = try await ControlStore(database).begin(act, at: Timestamp(microseconds: Int64(number)))
                }
                let honest = try await Audit(database).run(AuditOptions(only: ["trail.chain"]))
                #expect(honest.map(\.rows) == [3])
                #expect(honest.map(\.violations) == [0])
                try storage.dropTriggers()
                try storage.script("UPDATE audit_trail SET request = '[]' WHERE number = 2")
                let changed = try await Audit(database).run(AuditOptions(only: ["trail.chain"]))
                #expect(changed.flatMap(\.named).map(\.subject) == ["row 2 of the audit trail"])
            }
        }
    }
}
