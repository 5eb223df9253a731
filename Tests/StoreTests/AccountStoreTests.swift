import Database
import Market
import MarketTestSupport
import Store
import Testing
import Units

@Suite("Account store")
struct AccountStoreTests {
    private func withAccounts(_ engine: Engine, _ body: (AccountStore, Storage) async throws -> Void) async throws {
        try await engine.withStorage { storage in
            try await storage.withTables { try await body(AccountStore($0), storage) }
        }
    }

    @Test(arguments: Engine.allCases)
    func aKeyNamesItsOwner(_ engine: Engine) async throws {
        try await withAccounts(engine) { accounts, _ in
            let (alice, bob) = (Array<UInt8>(repeating: 1, count: 32), Array<UInt8>(repeating: 2, count: 32))
            let first = try await accounts.create(name: "älice", roles: [.seller, .buyer], keyDigest: alice, at: History.start)
            let second = try await accounts.create(name: "bob", roles: [], keyDigest: bob, at: History.start)
            #expect((first, second) == (AccountID(1), AccountID(2)))
            #expect(try await accounts.principal(keyDigest: alice)
                == Principal(account: first, name: "älice", roles: [.buyer, .seller]))
            #expect(try await accounts.principal(keyDigest: bob)?.roles == [])
            #expect(try await accounts.principal(keyDigest: Array(repeating: 3, count: 32)) == nil)
            #expect(try await accounts.principal(keyDigest: []) == nil)
            #expect(try await accounts.exists(second))
            #expect(try await !accounts.exists(AccountID(3)))
        }
    }

    @Test(arguments: Engine.allCases)
    func aRevokedKeyNamesNobody(_ engine: Engine) async throws {
        try await withAccounts(engine) { accounts, storage in
            let id = try await accounts.create(name: "a", roles: [.admin], keyDigest: [1], at: History.start)
            try storage.script("UPDATE api_keys SET revoked_at = 5")
            #expect(try await accounts.principal(keyDigest: [1]) == nil)
            #expect(try await accounts.exists(id))
        }
    }

    @Test(arguments: Engine.allCases)
    func takenNamesAndKeysAreRefusedAndLeaveNothing(_ engine: Engine) async throws {
        try await withAccounts(engine) { accounts, storage in
            _ = try await accounts.create(name: "a", roles: [.admin], keyDigest: [1], at: History.start)
            for (name, key) in [("a", [UInt8(2)]), ("b", [1])] {
                do {
                    _ = try await accounts.create(name: name, roles: [], keyDigest: key, at: History.start)
                    Issue.record("\(name) was taken")
                } catch DatabaseError.constraintViolation(.unique, _) {}
            }
            #expect(try storage.query("SELECT count(*) FROM accounts") == [SQLRow([1])])
            #expect(try storage.query("SELECT count(*) FROM api_keys") == [SQLRow([1])])
        }
    }
}
