import Database
import Market
import MarketTestSupport
import Store
import Testing
import Units

@Suite("Account store")
struct AccountStoreTests {
    private func withAccounts(_ engine: Engine, _ body: (AccountStore, KeyStore, Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { database in
                let box = SecretBox(masterKeys: [Array(repeating: 1, count: 32)])
                try await body(AccountStore(database), KeyStore(database, sealing: box), storage)
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func aKeyNamesItsOwner(_ engine: Engine) async throws {
        try await withAccounts(engine) { accounts, keys, _ in
            let (alice, bob) = (Array<UInt8>(repeating: 1, count: 32), Array<UInt8>(repeating: 2, count: 32))
            let first = try await accounts.create(name: "älice", roles: [.seller, .buyer], keyDigest: alice, at: History.start)
            let second = try await accounts.create(name: "bob", roles: [], keyDigest: bob, at: History.start)
            #expect((first, second) == (AccountID(1), AccountID(2)))
            let found = try #require(try await keys.credential(digest: alice))
            #expect(found.key.account == first)
            #expect(found.accountName == "älice")
            #expect(found.roles == [.buyer, .seller])
            #expect(found.key.grant == .all)
            #expect(try await keys.credential(digest: bob)?.roles == [])
            #expect(try await keys.credential(digest: Array(repeating: 3, count: 32)) == nil)
            #expect(try await keys.credential(digest: []) == nil)
            #expect(try await accounts.exists(second))
            #expect(try await !accounts.exists(AccountID(3)))
        }
    }

    @Test(arguments: Engine.allCases)
    func takenNamesAndKeysAreRefusedAndLeaveNothing(_ engine: Engine) async throws {
        try await withAccounts(engine) { accounts, _, storage in
            _ = try await accounts.create(name: "a", roles: [.admin], keyDigest: [1], at: History.start)
            for (name, key) in [("a", [UInt8(2)]), ("b", [1])] {
                do {
                    _ = try await accounts.create(name: name, roles: [], keyDigest: key, at: History.start)
                    Issue.record("\(name) was taken")
                } catch DatabaseError.constraintViolation(.unique, _) {}
            }
            #expect(try storage.query("SELECT count(*) FROM accounts") == [SQLRow([1])])
            #expect(try storage.query("SELECT count(*) FROM access_keys") == [SQLRow([1])])
        }
    }
}
