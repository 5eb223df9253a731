import Crypto
import Database
import Foundation
import MarketTestSupport
import Store
import Testing

/// Issued documents as the audit finds them, made by hand.
@Suite("Audit of documents")
struct DocumentAuditTests {
    private static let codes: Set = ["document.chain", "document.seal", "statement.balance"]

    /// The tables, where the schema has none, and a chain of three statements: two of account 1 in a row, one of account 2.
    private func withDocuments(_ engine: Engine, _ body: (Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try makeTables(storage)
            let key = Curve25519.Signing.PrivateKey()
            let publicKey = storage.blob(Array(key.publicKey.rawRepresentation))
            try storage.script("INSERT INTO signing_keys (id, public_key, first_used) VALUES ('k', \(publicKey), 1)")
            var previous = [UInt8](repeating: 0, count: 32)
            let statements: [(account: Int, start: Int, opening: Int, moved: [Int])] = [
                (1, 100, 0, [50, -20]), (2, 100, 7, [1]), (1, 200, 30, [5]),
            ]
            for (place, statement) in statements.enumerated() {
                previous = try add(
                    position: place + 1, account: statement.account, start: statement.start, opening: statement.opening,
                    moved: statement.moved, previous: previous, key: key, storage)
            }
            try await body(storage)
        }
    }

    private func makeTables(_ storage: Storage) throws {
        let bytes = storage.tables.dialect == .sqlite ? "BLOB" : "BYTEA"
        try storage.script(
            """
            CREATE TABLE IF NOT EXISTS signing_keys (id TEXT PRIMARY KEY, public_key \(bytes) NOT NULL, first_used BIGINT NOT NULL);
            CREATE TABLE IF NOT EXISTS documents (
                position BIGINT PRIMARY KEY, kind INTEGER NOT NULL, number BIGINT NOT NULL, version BIGINT NOT NULL,
                account BIGINT NOT NULL, counterparty BIGINT NOT NULL, period TEXT NOT NULL, start_at BIGINT NOT NULL,
                end_at BIGINT NOT NULL, header \(bytes) NOT NULL, body_bytes BIGINT NOT NULL, digest \(bytes) NOT NULL,
                previous \(bytes) NOT NULL, signature \(bytes) NOT NULL, signing_key TEXT NOT NULL, issued_at BIGINT NOT NULL);
            CREATE TABLE IF NOT EXISTS document_parts (
                position BIGINT NOT NULL, part BIGINT NOT NULL, content \(bytes) NOT NULL, PRIMARY KEY (position, part));
            """)
    }

    /// - Returns: its digest
    private func add(
        position: Int, account: Int, start: Int, opening: Int, moved: [Int], previous: [UInt8], key: Curve25519.Signing.PrivateKey,
        _ storage: Storage
    ) throws -> [UInt8] {
        let lines = moved.enumerated().map { place, amount in
            place == 0 ? #"{"amount":\#(amount),"type":"entry"}"# : #"{"net":\#(amount),"type":"line"}"#
        }
        let body = Array(lines.map { $0 + "\n" }.joined().utf8)
        let closing = opening + moved.reduce(0, +)
        let hex = SHA256.hash(data: body).map { String(format: "%02x", $0) }.joined()
        func funds(_ total: Int) -> String { #"{"available":\#(total - 1),"held":1}"# }
        let header = Array((#"{"body":"\#(hex)","closing":\#(funds(closing)),"opening":\#(funds(opening))}"# + "\n").utf8)
        let digest = Array(SHA256.hash(data: header))
        let signature = Array(try key.signature(for: Array("hashspot-document-1\n".utf8) + digest))
        // In two pieces, cut within a line.
        let parts = [body.prefix(5), body.dropFirst(5)].enumerated().map { part, bytes in
            "(\(position), \(part), \(storage.blob(Array(bytes))))"
        }
        try storage.script(
            """
            INSERT INTO documents (position, kind, number, version, account, counterparty, period, start_at, end_at, header, body_bytes,
                digest, previous, signature, signing_key, issued_at)
            VALUES (\(position), 1, \(position), 1, \(account), 0, 'p\(start)', \(start), \(start + 100), \(storage.blob(header)),
                \(body.count), \(storage.blob(digest)), \(storage.blob(previous)), \(storage.blob(signature)), 'k', \(position));
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
                #expect(findings[code]?.rows == 3)
                #expect(findings[code]?.named == [])
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func whateverIsChangedIsNamed(_ engine: Engine) async throws {
        let cut = engine == .sqlite ? "CAST(substr(header, 1, length(header) - 1) AS BLOB)" : "substr(header, 1, length(header) - 1)"
        let changes = [
            (
                "document.chain", "DELETE FROM document_parts WHERE position = 2; DELETE FROM documents WHERE position = 2",
                "position 3 instead of"
            ),
            ("document.chain", "UPDATE documents SET previous = digest WHERE position = 2", "statement 2"),
            ("document.seal", "UPDATE documents SET header = \(cut) WHERE position = 2", "its header is not what was digested"),
            ("document.seal", "UPDATE document_parts SET part = part + 7 WHERE part = 0 AND position = 1", "its entries and lines"),
            ("document.seal", "UPDATE documents SET signature = digest WHERE position = 2", "signature is not valid"),
            ("document.seal", "UPDATE documents SET signing_key = 'x' WHERE position = 3", "its signing key is not there"),
            ("statement.balance", "DELETE FROM document_parts WHERE part = 1 AND position = 1", "statement 1"),
            ("statement.balance", "UPDATE documents SET account = 1, period = 'x' WHERE position = 2", "opening of statement 3"),
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
        try await engine.withStorage { storage in
            let findings = try await findings(storage)
            #expect(findings.values.allSatisfy { $0.rows == 0 && $0.violations == 0 })
        }
    }
}
