import HTTPTypes
import HummingbirdTesting
import Market
import Testing
import Units
@testable import WebAPI

/// API keys by the API.
@Suite struct KeyTests {
    private func bearer(_ token: String) -> HTTPFields { [.authorization: "Bearer \(token)"] }

    private func create(_ client: Client, as caller: Caller = .buyer, _ body: String) async throws -> (id: Int64, token: String) {
        let reply = try await client.post("/v1/keys", as: caller, body)
        #expect(reply.status == 201, "\(reply.text)")
        return (reply["key", "id"].int ?? 0, reply["secret"].text ?? "")
    }

    @Test func aKeyIsMadeUsedListedAndRevoked() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let (id, token) = try await create(client, #"{"label":"bot","scopes":["read","trade"]}"#)
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(token)).status == 200)
            let key = try await client.get("/v1/keys/\(id)", as: .buyer)
            #expect(key["label"].text == "bot")
            #expect(key["scopes"].items.map(\.text) == ["read", "trade"])
            #expect(key["lastUsedAt"].text != nil)
            #expect(!key.text.contains(token))
            #expect(try await client.get("/v1/keys", as: .buyer)["items"].items.count == 2)
            #expect(try await client.get("/v1/keys", as: .otherBuyer)["items"].items.count == 1)
            #expect(try await client.get("/v1/keys/\(id)", as: .otherBuyer).code == "keyUnknown")
            #expect(try await client.delete("/v1/keys/\(id)", as: .otherBuyer).code == "keyUnknown")
            #expect(try await client.post("/v1/keys/\(id)/rotate", as: .otherBuyer, "{}").code == "keyUnknown")
            #expect(try await client.delete("/v1/keys/\(id)", as: .buyer).status == 204)
            // At once, though it is remembered for a while otherwise.
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(token)).code == "keyRevoked")
            #expect(try await client.delete("/v1/keys/\(id)", as: .buyer).status == 204)
            #expect(try await client.get("/v1/keys/\(id)", as: .buyer)["status"].text == "revoked")
            #expect(try await client.send(.post, "/v1/keys/\(id)/rotate", as: .buyer).code == "keyRevoked")
        }
    }

    @Test func aSigningKeyIsMadeAndSigns() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let reply = try await client.post("/v1/keys", as: .seller, #"{"label":"farm","kind":"signed","scopes":["rigs"]}"#)
            let signer = Signer(name: reply["key", "key"].text ?? "", secret: reply["secret"].text ?? "")
            #expect(signer.name.count == 36)
            #expect(signer.secret.count == 64)
            #expect(try await client.send(.get, "/v1/rigs", headers: signer.headers("GET", "/v1/rigs", nonce: "1")).status == 200)
            let asks = try await client.send(.get, "/v1/asks", headers: signer.headers("GET", "/v1/asks", nonce: "2"))
            #expect(asks.code == "scopeMissing")
        }
    }

    @Test func aKeyGivesNoMoreThanItsMaker() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let body = #"{"label":"a","scopes":["read","admin"],"networks":["192.0.2.0/24"],"expiresAt":"2027-02-01T00:00:00Z"}"#
            let limited = try await client.post("/v1/keys", as: .buyer, body)
            #expect(limited.status == 201)
            // Made by itself a key would be: stand in for it with one of the same scopes and no networks.
            let (_, token) = try await create(
                client, #"{"label":"b","scopes":["read","admin"],"expiresAt":"2027-02-01T00:00:00Z"}"#)
            func post(_ body: String) async throws -> Client.Reply {
                try await client.send(.post, "/v1/keys", body, headers: bearer(token))
            }
            #expect(try await post(#"{"label":"c","scopes":["trade"]}"#).field == "scopes")
            let longer = try await post(#"{"label":"c","scopes":["read"],"expiresAt":"2027-02-01T00:00:01Z"}"#)
            #expect(longer.code == "grantExceeded")
            #expect(longer.field == "expiresAt")
            let own = try await post(#"{"label":"c","scopes":["read"]}"#)
            #expect(own["key", "expiresAt"].text == "2027-02-01T00:00:00.000000Z")
            // Nor does it get a stronger key's secret by renewing that; it may end it.
            let (strong, _) = try await create(client, #"{"label":"d","scopes":["trade"]}"#)
            let stolen = try await client.send(.post, "/v1/keys/\(strong)/rotate", "{}", headers: bearer(token))
            #expect(stolen.code == "grantExceeded")
            #expect(try await client.send(.delete, "/v1/keys/\(strong)", headers: bearer(token)).status == 204)
            let (_, reader) = try await create(client, #"{"label":"e","scopes":["read"]}"#)
            #expect(try await client.send(.post, "/v1/keys", #"{"label":"f","scopes":["read"]}"#, headers: bearer(reader)).code
                == "scopeMissing")
            #expect(try await client.send(.get, "/v1/keys", headers: bearer(reader)).status == 200)
        }
    }

    @Test func expiryAndRotation() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let (id, old) = try await create(client, #"{"label":"a","scopes":["read"],"expiresAt":"2027-01-15T09:00:00Z"}"#)
            let rotated = try await client.post("/v1/keys/\(id)/rotate", as: .buyer, #"{"overlapSeconds":60}"#)
            #expect(rotated.status == 200)
            let new = try #require(rotated["secret"].text)
            for token in [old, new] { #expect(try await client.send(.get, "/v1/bids", headers: bearer(token)).status == 200) }
            world.market.pass(.seconds(59))
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(old)).status == 200)
            world.market.pass(.seconds(1))
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(old)).code == "secretReplaced")
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(new)).status == 200)
            let again = try await client.send(.post, "/v1/keys/\(id)/rotate", as: .buyer)
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(new)).code == "secretReplaced")
            let newest = try #require(again["secret"].text)
            world.market.pass(.seconds(3539))
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(newest)).status == 200)
            world.market.pass(.seconds(1))
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(newest)).code == "keyExpired")
        }
    }

    @Test func signingSecretsOverlap() async throws {
        let world = World()
        let id = world.sign()
        try await world.run { (client) async throws in
            func status(_ signer: Signer, _ nonce: String) async throws -> String {
                let reply = try await client.send(.get, "/v1/bids", headers: signer.headers("GET", "/v1/bids", nonce: nonce))
                return reply.code ?? "\(reply.status)"
            }
            let old = World.signer
            #expect(try await status(old, "1") == "200")
            let rotated = try await client.post("/v1/keys/\(id)/rotate", as: .buyer, #"{"overlapSeconds":30}"#)
            let new = Signer(name: old.name, secret: try #require(rotated["secret"].text))
            #expect(try await status(new, "2") == "200")
            #expect(try await status(old, "3") == "200")
            // The two secrets share the key's nonces.
            #expect(try await status(old, "2") == "nonceReused")
            world.market.pass(.seconds(30))
            #expect(try await status(old, "4") == "secretReplaced")
            #expect(try await status(new, "5") == "200")
        }
    }

    @Test func networks() async throws {
        var world = World()
        world.access.proxies = TrustedProxies([try #require(IPNetwork("127.0.0.0/8")), try #require(IPNetwork("::1"))])
        let grant = KeyGrant(scopes: .all, networks: [try #require(IPNetwork("192.0.2.0/24")), try #require(IPNetwork("2001:db8::/32"))])
        let token = APIKey.make(random: Array(repeating: 9, count: 32))
        _ = world.directory.add(grant, of: .buyer, secret: .digest(APIKey.digest(token)))
        try await world.run(.live) { (client) async throws in
            for (forwarded, isAllowed) in [
                ("192.0.2.7", true), ("2001:db8::7", true), ("203.0.113.1, 192.0.2.7", true), ("192.0.2.7, 127.0.0.1", true),
                ("192.0.2.7, 203.0.113.1", false), ("nonsense", false), ("::ffff:192.0.2.9", true), (nil, false),
            ] as [(String?, Bool)] {
                var headers = bearer(token)
                headers[.xForwardedFor] = forwarded
                let reply = try await client.send(.get, "/v1/bids", headers: headers)
                #expect(reply.status == (isAllowed ? 200 : 403), "\(forwarded ?? "none")")
                if !isAllowed { #expect(reply.code == "networkForbidden") }
            }
        }
        // Nobody vouches for the header without proxies.
        world.access.proxies = TrustedProxies()
        try await world.run(.live) { (client) async throws in
            var headers = bearer(token)
            headers[.xForwardedFor] = "192.0.2.7"
            #expect(try await client.send(.get, "/v1/bids", headers: headers).code == "networkForbidden")
        }
        // An address that is not known is none of the key's.
        try await world.run { (client) async throws in
            #expect(try await client.send(.get, "/v1/bids", headers: bearer(token)).code == "networkForbidden")
        }
    }

    @Test func repetitionsFindTheSameSecret() async throws {
        let world = World()
        try await world.run { (client) async throws in
            let body = #"{"label":"a","kind":"signed","scopes":["read"]}"#
            let first = try await client.post("/v1/keys", as: .buyer, body, key: "k")
            let second = try await client.post("/v1/keys", as: .buyer, body, key: "k")
            #expect(first.status == 201)
            #expect(first.text == second.text)
            let other = try await client.post("/v1/keys", as: .buyer, #"{"label":"b","scopes":["read"]}"#, key: "k")
            #expect(other.code == "idempotencyKeyReused")
            let foreign = try await client.post("/v1/keys", as: .seller, body, key: "k")
            #expect(foreign["secret"].text != first["secret"].text)
            let id = try #require(first["key", "id"].int)
            let rotation = try await client.send(.post, "/v1/keys/\(id)/rotate", as: .buyer, key: "r")
            #expect(rotation.text == (try await client.send(.post, "/v1/keys/\(id)/rotate", as: .buyer, key: "r")).text)
            #expect(rotation["secret"].text != first["secret"].text)
        }
    }

    @Test func keysAreBounded() async throws {
        let world = World()
        try await world.run { (client) async throws in
            for _ in 1..<KeyLimits.liveKeys { _ = try await create(client, #"{"label":"a","scopes":["read"]}"#) }
            #expect(try await client.post("/v1/keys", as: .buyer, #"{"label":"a","scopes":["read"]}"#).code == "keysTooMany")
            #expect(try await client.delete("/v1/keys/\(Caller.allCases.count + 1)", as: .buyer).status == 204)
            #expect(try await client.post("/v1/keys", as: .buyer, #"{"label":"a","scopes":["read"]}"#).status == 201)
        }
    }

    @Test func badFields() async throws {
        try await World().run { (client) async throws in
            for (body, code, field) in [
                (#"{"label":"a","scopes":[]}"#, "fieldWrongLength", "scopes"),
                (#"{"label":"a","scopes":["all"]}"#, "fieldOutOfRange", "scopes"),
                (#"{"label":"a","scopes":["read"],"networks":["192.0.2.1/24"]}"#, "networkInvalid", "networks[0]"),
                (#"{"label":"a","scopes":["read"],"networks":["::/129"]}"#, "networkInvalid", "networks[0]"),
                (#"{"label":"a","scopes":["read"],"expiresAt":"2026-01-01T00:00:00Z"}"#, "fieldOutOfRange", "expiresAt"),
            ] {
                let reply = try await client.post("/v1/keys", as: .buyer, body)
                #expect(reply.status == 422, "\(body)")
                #expect(reply.code == code)
                #expect(reply.field == field)
            }
            #expect(try await client.post("/v1/keys/1/rotate", as: .buyer, #"{"overlapSeconds":604801}"#).code == "fieldOutOfRange")
            #expect(try await client.get("/v1/keys/x", as: .buyer).status == 404)
        }
    }

    /// One write an hour, not one a request.
    @Test func usesAreNotedCoarsely() async throws {
        let world = World()
        try await world.run { (client) async throws in
            for _ in 1...5 { _ = try await client.get("/v1/bids", as: .buyer) }
            #expect(world.directory.useCount == 1)
            world.market.pass(Authenticator.lifetime)
            _ = try await client.get("/v1/bids", as: .buyer)
            #expect(world.directory.useCount == 1)
            world.market.pass(Authenticator.useResolution)
            for _ in 1...2 { _ = try await client.get("/v1/bids", as: .buyer) }
            #expect(world.directory.useCount == 2)
        }
    }
}
