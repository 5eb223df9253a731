import Database
import Documents
import Foundation
import MarketTestSupport
import Settlement
import Store
import TestSupport
import Testing
import Units

/// What a stranger can check without the market.
@Suite struct ProofTests {
    private func flaws(_ fixture: Fixture, _ lines: [[UInt8]], key: PublicSigningKey? = nil) throws -> [String]? {
        try? DocumentFile.verify(try fixture.file(lines), key: key ?? fixture.key.publicKey).flaws
    }

    @Test func everyChangeIsSeen() async throws {
        try await Fixture.with { fixture in
            let buyer = try #require(try fixture.pairs().first).buyer
            let lines = try await fixture.lines(try await fixture.issue(buyer))
            #expect(try flaws(fixture, lines) == [])
            #expect(try flaws(fixture, lines, key: PublicSigningKey(key: Array(repeating: 9, count: 32))) != [])
            var random = SeededRandom(seed: 5)
            for _ in 1...300 {
                var changed = lines
                let line = random.int(0...lines.count - 1)
                let place = random.int(0...lines[line].count - 1)
                changed[line][place] ^= UInt8(1 << random.int(0...6))
                // nil: it cannot even be read.
                #expect(try flaws(fixture, changed)?.isEmpty != true, "line \(line), byte \(place)")
            }
            for line in lines.indices {
                var fewer = lines
                fewer.remove(at: line)
                #expect(try flaws(fixture, fewer)?.isEmpty != true, "without line \(line)")
            }
            var swapped = lines
            swapped.swapAt(1, 2)
            #expect(try flaws(fixture, swapped)?.isEmpty != true)
        }
    }

    @Test func aForgedSealNeedsTheKey() async throws {
        try await Fixture.with { fixture in
            let document = try await fixture.issue(1)
            var lines = try await fixture.lines(document)
            let other = try SigningKey(making: fixture.folder.file("other.key"))
            lines[lines.count - 1] = DocumentSeal(
                digest: document.digest, signature: try other.sign(document.digest), key: other.publicKey).json.bytes
            #expect(try flaws(fixture, lines)?.count == 2)
            #expect(try DocumentFile.verify(try fixture.file(lines), key: nil).flaws == [])
            let verified = try DocumentFile.verify(
                try await fixture.documents.file(1), key: nil, previous: Array(repeating: 1, count: 32))
            #expect(verified.flaws.count == 1)
        }
    }

    @Test func keysAreKeptPrivateAndRotate() async throws {
        try await Fixture.with { fixture in
            let path = fixture.folder.file("signing.key")
            #expect(try SigningKey(file: path).publicKey == fixture.key.publicKey)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
            #expect(mode?.intValue == 0o600)
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
            #expect(throws: DocumentError.self) { try SigningKey(file: path) }
            _ = try await fixture.issue(1)
            let next = try SigningKey(making: fixture.folder.file("next.key"))
            let second = try await fixture.documents.issue(
                DocumentRequest(kind: .statement, account: AccountID(2), period: Fixture.day), closedThrough: Fixture.closed, key: next,
                by: AccountID(3), at: Fixture.later)
            #expect(Set(try await fixture.documents.keys().map(\.key)) == [fixture.key.publicKey, next.publicKey])
            #expect(try DocumentFile.verify(try await fixture.documents.file(1), key: fixture.key.publicKey).flaws == [])
            #expect(try DocumentFile.verify(try await fixture.documents.file(second.position), key: next.publicKey).flaws == [])
        }
    }

    @Test func aLostKeyIsNotReplacedSilently() async throws {
        try await Fixture.with { fixture in
            let first = fixture.folder.file("first.key")
            let made = try await fixture.documents.signingKey(file: first)
            #expect(try await fixture.documents.signingKey(file: first).publicKey == made.publicKey)
            // With it the market has a key.
            _ = try await fixture.issue(1)
            let lost = fixture.folder.file("lost.key")
            let error = await #expect(throws: DocumentError.self) { _ = try await fixture.documents.signingKey(file: lost) }
            #expect(error?.description.contains(lost) == true)
            #expect(error?.description.contains("--signing-key") == true)
            #expect(!SigningKey.isThere(lost))
            let rotated = try await fixture.documents.signingKey(file: lost, isNew: true)
            #expect(rotated.publicKey != fixture.key.publicKey)
            #expect(try await fixture.documents.signingKey(file: lost).publicKey == rotated.publicKey)
            // Never over a key that is there.
            await #expect(throws: DocumentError.self) { _ = try await fixture.documents.signingKey(file: lost, isNew: true) }
        }
    }

    /// RFC 8032, 7.1, test 1: the key is what others make of the same seed.
    @Test func theKeyIsEd25519() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.file("key")
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
        _ = FileManager.default.createFile(atPath: path, contents: Data(seed.utf8), attributes: [.posixPermissions: 0o600])
        #expect(HexText.encode(try SigningKey(file: path).publicKey.key)
            == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    }

    // MARK: - Recomputation

    @Test(arguments: Engine.allCases)
    func statementsAreRecomputedToTheByte(_ engine: Engine) async throws {
        try await Fixture.with(engine, seed: 12) { fixture in
            try await fixture.party(1, currency: "EUR")
            let days = try fixture.storage.query("SELECT DISTINCT value_at / 86400000000 FROM ledger_entries")
            let dates = try days.compactMap { AccountingPeriod.day(of: Timestamp(microseconds: try $0.int64(0) * 86_400_000_000)) }
            let rates = dates.map { "\($0),EUR,61234.50" }.joined(separator: "\n")
            _ = try await fixture.documents.importRates(Array(rates.utf8), reason: nil, by: nil, at: Fixture.later)
            var lines = 0
            var day: AccountingPeriod? = Fixture.day
            for _ in 1...2 {
                guard let period = day else { break }
                for account in Fixture.accounts {
                    let document = try await fixture.issue(account.rawValue, period)
                    lines += Int(try await fixture.header(document)["lines"]?.integer ?? 0)
                    let path = fixture.folder.file("extract")
                    try await fixture.documents.extract(document, path: path)
                    let made = try StatementRecomputation.run(extract: try SpoolFile(reading: path))
                    #expect(made.digest == document.digest)
                    try made.file.rewind()
                    let issued = try await fixture.documents.file(document.position)
                    #expect(try StatementRecomputation.difference(made.file, issued) == nil)
                }
                day = period.next
            }
            #expect(lines > 20)
        }
    }

    @Test(arguments: [("line", "toMinute"), ("line", "fromLoss"), ("opening", "charge"), ("opening", "buyerFee")])
    func numbersOutOfRangeAreRefused(_ type: String, _ name: String) async throws {
        try await Fixture.with { fixture in
            let buyer = try #require(try fixture.pairs().first).buyer
            let path = fixture.folder.file("extract")
            try await fixture.documents.extract(try await fixture.issue(buyer), path: path)
            var records: [String] = []
            try SpoolFile(reading: path).forEachLine { records.append(String(decoding: $0, as: UTF8.self)) }
            let place = try #require(records.firstIndex { $0.contains("\"type\":\"\(type)\"") })
            let number = try #require(try CanonicalJSON(Array(records[place].utf8)[...])[name]?.integer)
            for extreme in [Int64.min, Int64.max] {
                var changed = records
                changed[place] = records[place].replacing("\"\(name)\":\(number),", with: "\"\(name)\":\(extreme),")
                let file = try fixture.file(changed.map { Array($0.utf8) })
                let error = #expect(throws: ExtractError.self) { try StatementRecomputation.run(extract: file) }
                #expect(error?.line == place + 1)
            }
        }
    }

    @Test func aSatoshiIsNoticed() async throws {
        try await Fixture.with { fixture in
            let buyer = try #require(try fixture.pairs().first).buyer
            let document = try await fixture.issue(buyer)
            let path = fixture.folder.file("extract")
            try await fixture.documents.extract(document, path: path)
            let issued = try await fixture.lines(document)
            let place = try #require(issued.indices.first { place in
                guard let json = try? CanonicalJSON(issued[place][...]) else { return false }
                return json["type"]?.text == "line" && (json["charge"]?.integer ?? 0) > 1
            })
            let charge = try #require(try CanonicalJSON(issued[place][...])["charge"]?.integer)
            var forged = issued
            forged[place] = Array(String(decoding: issued[place], as: UTF8.self)
                .replacing("\"charge\":\(charge),", with: "\"charge\":\(charge + 1),").utf8)
            let made = try StatementRecomputation.run(extract: try SpoolFile(reading: path))
            try made.file.rewind()
            let difference = try StatementRecomputation.difference(made.file, try fixture.file(forged))
            #expect(difference?.hasPrefix("line \(place + 1): charge") == true)
            #expect(difference?.contains("\(charge + 1), recomputed \(charge)") == true)

            // A unit of work more in the extract, and the money does not meet any more.
            var records: [[UInt8]] = []
            try SpoolFile(reading: path).forEachLine { records.append(Array($0)) }
            let line = try #require(records.indices.first { place in
                guard let json = try? CanonicalJSON(records[place][...]) else { return false }
                return json["type"]?.text == "line" && (json["work"]?.integer ?? 0) > 0
            })
            let work = try #require(try CanonicalJSON(records[line][...])["work"]?.integer)
            records[line] = Array(String(decoding: records[line], as: UTF8.self)
                .replacing("\"work\":\(work)}", with: "\"work\":\(work * 3 + 1_000_000)}").utf8)
            let wrong = try fixture.file(records)
            #expect(throws: ExtractError.self) { try StatementRecomputation.run(extract: wrong) }
        }
    }
}
