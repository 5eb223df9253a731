import Database
import Market
import MarketTestSupport
import Store
import TestSupport
import Testing
import Units

@Suite("Key store")
struct KeyStoreTests {
    private static let box = SecretBox(masterKeys: [Array(repeating: 1, count: 32)])
    private let start = History.start

    private func with(_ engine: Engine, _ body: (KeyStore, AccountID, Storage, Database) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let account = try await AccountStore(database).create(
                    name: "a", roles: [.buyer, .seller], keyDigest: [9], at: start)
                try await body(KeyStore(database, sealing: Self.box), account, storage, database)
            }
        }
    }

    private func new(_ account: AccountID, _ secret: NewSecret, name: String? = nil, _ grant: KeyGrant = .all) -> NewAccessKey {
        NewAccessKey(account: account, name: name, label: "läbel", grant: grant, secret: secret, createdBy: KeyID(1))
    }

    private func error(_ body: () async throws -> Void) async -> KeyError? {
        do { try await body() } catch { return error as? KeyError }
        return nil
    }

    @Test(arguments: Engine.allCases)
    func aBearerKeyIsFoundByItsDigest(_ engine: Engine) async throws {
        try await with(engine) { keys, account, _, _ in
            let grant = KeyGrant(
                scopes: [.read, .finance], networks: [try #require(IPNetwork("192.0.2.0/24")), try #require(IPNetwork("2001:db8::/32"))],
                expiresAt: start + .seconds(5))
            let made = try await keys.create(new(account, .digest([1, 2]), grant), request: nil, at: start)
            #expect(made.grant == grant)
            #expect(made.kind == .bearer)
            let found = try #require(try await keys.credential(digest: [1, 2]))
            #expect(found.key == made)
            #expect(found.roles == [.buyer, .seller])
            #expect(found.accountName == "a")
            #expect(found.secrets.isEmpty)
            #expect(try await keys.credential(digest: [3]) == nil)
            #expect(try await keys.credential(name: "x") == nil)
            let first = try #require(try await keys.credential(digest: [9]))
            #expect(first.key.grant == .all)
            #expect(try await keys.keys(of: account, after: 0, limit: 9).map(\.id) == [first.key.id, made.id])
            #expect(try await keys.keys(of: account, after: first.key.id.rawValue, limit: 1) == [made])
            #expect(try await keys.key(made.id, of: AccountID(99)) == nil)
        }
    }

    @Test(arguments: Engine.allCases)
    func aSigningSecretIsSealedAndFound(_ engine: Engine) async throws {
        try await with(engine) { keys, account, storage, database in
            let secret = Array("the secret to sign with".utf8)
            let made = try await keys.create(new(account, .signing(secret), name: "n"), request: nil, at: start)
            #expect(try await keys.credential(name: "n")?.secrets == [SigningSecret(bytes: secret)])
            let stored = try #require(try storage.query("SELECT sealed FROM access_key_secrets WHERE key = \(made.id)").first).blob(0)
            #expect(!stored.contains(secret))
            // A sealed secret in another row, and another master key.
            try storage.script("INSERT INTO access_keys SELECT 77, account, 'm', label, scopes, networks, NULL, 0, NULL, NULL, NULL "
                + "FROM access_keys WHERE id = \(made.id)")
            try storage.script(
                "INSERT INTO access_key_secrets SELECT 77, 1, NULL, sealed, 0, NULL FROM access_key_secrets WHERE key = \(made.id)")
            await #expect(throws: SecretBoxError.damaged) { _ = try await keys.credential(name: "m") }
            let stranger = KeyStore(database, sealing: SecretBox(masterKeys: [Array(repeating: 2, count: 32)]))
            await #expect(throws: SecretBoxError.unknownMasterKey) { _ = try await stranger.credential(name: "n") }
        }
    }

    @Test(arguments: Engine.allCases)
    func aRotationKeepsOneSecretForAWhile(_ engine: Engine) async throws {
        try await with(engine) { keys, account, storage, _ in
            let made = try await keys.create(new(account, .signing([1]), name: "n"), request: nil, at: start)
            let until = start + .seconds(60)
            let rotated = try await keys.rotate(
                made.id, of: account, to: .signing([2]), previousUntil: until, request: nil, at: start + .seconds(1))
            #expect(rotated.previousUntil == until)
            #expect(rotated.rotatedAt == start + .seconds(1))
            #expect(try await keys.credential(name: "n")?.secrets == [SigningSecret(bytes: [2]), SigningSecret(bytes: [1], until: until)])
            _ = try await keys.rotate(made.id, of: account, to: .signing([3]), previousUntil: until, request: nil, at: start)
            #expect(try await keys.credential(name: "n")?.secrets == [SigningSecret(bytes: [3]), SigningSecret(bytes: [2], until: until)])
            #expect(try storage.query("SELECT count(*) FROM access_key_secrets WHERE key = \(made.id)") == [SQLRow([2])])
            let bearer = try await keys.create(new(account, .digest([5])), request: nil, at: start)
            _ = try await keys.rotate(bearer.id, of: account, to: .digest([6]), previousUntil: until, request: nil, at: start)
            #expect(try await keys.credential(digest: [5])?.bearerUntil == until)
            #expect(try #require(try await keys.credential(digest: [6])).bearerUntil == nil)
            #expect(await error { _ = try await keys.rotate(
                KeyID(99), of: account, to: .digest([7]), previousUntil: until, request: nil, at: start) } == .unknown)
        }
    }

    @Test(arguments: Engine.allCases)
    func aRevokedKeyStaysRevoked(_ engine: Engine) async throws {
        try await with(engine) { keys, account, _, _ in
            let made = try await keys.create(new(account, .digest([1])), request: nil, at: start)
            try await keys.revoke(made.id, of: account, at: start + .seconds(1))
            try await keys.revoke(made.id, of: account, at: start + .seconds(2))
            #expect(try await keys.credential(digest: [1])?.key.revokedAt == start + .seconds(1))
            #expect(await error { try await keys.revoke(made.id, of: AccountID(99), at: start) } == .unknown)
            #expect(await error { _ = try await keys.rotate(
                made.id, of: account, to: .digest([7]), previousUntil: start, request: nil, at: start) } == .revoked)
        }
    }

    @Test(arguments: Engine.allCases)
    func repetitionsAndBounds(_ engine: Engine) async throws {
        try await with(engine) { keys, account, storage, _ in
            let request = KeyRequest(key: "k", digest: [1])
            let made = try await keys.create(new(account, .digest([1])), request: request, at: start)
            #expect(try await keys.create(new(account, .digest([1])), request: request, at: start) == made)
            let other = KeyRequest(key: "k", digest: [2])
            #expect(await error { _ = try await keys.create(new(account, .digest([2])), request: other, at: start) } == .requestReused)
            #expect(await error { _ = try await keys.rotate(
                made.id, of: account, to: .digest([3]), previousUntil: start, request: other, at: start) } == .requestReused)
            // A day later it is forgotten.
            let later = start + KeyStore.requestLifetime + .seconds(1)
            #expect(try await keys.create(new(account, .digest([4])), request: other, at: later) != made)
            #expect(try storage.query("SELECT count(*) FROM access_key_requests") == [SQLRow([1])])
            #expect(await error { _ = try await keys.create(new(AccountID(99), .digest([5])), request: nil, at: start) } == .accountUnknown)
            for n in 3..<UInt8(KeyLimits.liveKeys) { _ = try await keys.create(new(account, .digest([n, n])), request: nil, at: start) }
            #expect(await error { _ = try await keys.create(new(account, .digest([6])), request: nil, at: start) } == .tooMany)
            try await keys.revoke(made.id, of: account, at: start)
            _ = try await keys.create(new(account, .digest([6])), request: nil, at: start)
        }
    }

    @Test(arguments: Engine.allCases)
    func usesOnlyGoForward(_ engine: Engine) async throws {
        try await with(engine) { keys, account, _, _ in
            let id = try await keys.create(new(account, .digest([1])), request: nil, at: start).id
            for seconds: Int64 in [5, 9, 7] { try await keys.noteUse(id, at: start + .seconds(seconds)) }
            #expect(try await keys.key(id, of: account)?.lastUsedAt == start + .seconds(9))
        }
    }

    @Test(arguments: Engine.allCases)
    func changesAtOnceAreAllKept(_ engine: Engine) async throws {
        try await with(engine) { keys, account, storage, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for n: UInt8 in 0..<20 {
                    group.addTask { _ = try await keys.create(new(account, .digest([7, n])), request: nil, at: start) }
                }
                try await group.waitForAll()
            }
            #expect(try storage.query("SELECT count(*), max(id) FROM access_keys") == [SQLRow([21, 21])])
        }
    }

    @Test(arguments: Engine.allCases)
    func theMasterKeyIsReplaced(_ engine: Engine) async throws {
        try await with(engine) { keys, account, _, database in
            _ = try await keys.create(new(account, .signing([1, 2, 3]), name: "n"), request: nil, at: start)
            let (old, fresh) = (Array<UInt8>(repeating: 1, count: 32), Array<UInt8>(repeating: 5, count: 32))
            let both = KeyStore(database, sealing: SecretBox(masterKeys: [fresh, old]))
            #expect(try await both.credential(name: "n")?.secrets == [SigningSecret(bytes: [1, 2, 3])])
            #expect(try await both.reseal() == 1)
            #expect(try await both.reseal() == 0)
            let alone = KeyStore(database, sealing: SecretBox(masterKeys: [fresh]))
            #expect(try await alone.credential(name: "n")?.secrets == [SigningSecret(bytes: [1, 2, 3])])
            await #expect(throws: SecretBoxError.unknownMasterKey) { _ = try await keys.credential(name: "n") }
            // What it cannot open it leaves.
            #expect(try await keys.reseal() == 0)
        }
    }

    @Test(arguments: Engine.allCases)
    func keysOfTheVersionBeforeGoOn(_ engine: Engine) async throws {
        try await engine.withStorage(schema: 9) { storage in
            try storage.script("INSERT INTO accounts VALUES (1, 'a', 'buyer', 0), (2, 'b', 'seller,finance', 0)")
            let form = engine == .sqlite ? "X'0%d'" : "'\\x0%d'"
            func digest(_ n: Int) -> String { form.replacing("%d", with: "\(n)") }
            try storage.script(
                "INSERT INTO api_keys VALUES (\(digest(1)), 2, 7, NULL), (\(digest(2)), 1, 5, NULL), (\(digest(3)), 1, 6, 9)")
            try storage.migrate()
            try await storage.withTables { database in
                let keys = KeyStore(database, sealing: Self.box)
                let first = try #require(try await keys.credential(digest: [1]))
                #expect(first.roles == [.seller, .finance])
                #expect(first.key.grant == .all)
                #expect(first.key.createdAt == Timestamp(microseconds: 7))
                #expect(try await keys.credential(digest: [2])?.key.account == AccountID(1))
                #expect(try await keys.credential(digest: [3])?.key.revokedAt == Timestamp(microseconds: 9))
                #expect(try storage.query("SELECT count(*) FROM api_keys") == [SQLRow([0])])
                #expect(try await AccountStore(database).create(name: "c", roles: [], keyDigest: [4], at: start) == AccountID(3))
            }
        }
    }

    // MARK: - The master key's file

    @Test func aSealedSecretIsNotChangedUnnoticed() throws {
        let sealed = Self.box.seal([1, 2, 3], context: "c")
        #expect(try Self.box.open(sealed, context: "c") == [1, 2, 3])
        #expect(Self.box.seal([1, 2, 3], context: "c") != sealed)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SecretBoxError.self) { try Self.box.open(changed, context: "c") }
        }
        for length in sealed.indices {
            #expect(throws: SecretBoxError.self) { try Self.box.open(Array(sealed.prefix(length)), context: "c") }
        }
        #expect(throws: SecretBoxError.damaged) { try Self.box.open(sealed, context: "d") }
    }

    @Test func theFileIsMadeOnceForItsOwner() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.file("secrets.key")
        #expect(throws: SecretsKeyError.self) { _ = try SecretsKeyFile.open(path, making: false) }
        let sealed = try SecretsKeyFile.open(path, making: true).seal([1], context: "")
        #expect(try SecretsKeyFile.open(path, making: true).open(sealed, context: "") == [1])
        #expect(try mode(path) == 0o600)
        try setMode(path, 0o644)
        #expect(throws: SecretsKeyError.self) { _ = try SecretsKeyFile.open(path, making: true) }
        for (number, text) in ["", "abc", String(repeating: "0", count: 63) + "g", String(repeating: "0", count: 66)].enumerated() {
            let bad = folder.file("bad-\(number)")
            try write(text, bad)
            #expect(throws: SecretsKeyError.self, "\(text)") { _ = try SecretsKeyFile.open(bad, making: true) }
        }
        let two = folder.file("two")
        try write("# newest\n\(String(repeating: "5", count: 64))\n\n\(String(repeating: "01", count: 32))\r\n", two)
        #expect(try SecretsKeyFile.open(two, making: false).open(Self.box.seal([8], context: ""), context: "") == [8])
    }
}
