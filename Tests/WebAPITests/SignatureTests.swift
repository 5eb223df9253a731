import Crypto
import Foundation
import HTTPTypes
import Market
import TestSupport
import Testing
import Units
@testable import WebAPI

/// A client that signs, as its own code would: what is joined is written down here once more.
struct Signer: Sendable {
    var name: String
    var secret: String
    var organization = ""
    /// The time of `MemoryMarket`'s start, in milliseconds.
    var time: Int64 = 1_800_000_000_000

    func headers(_ method: String, _ path: String, query: String = "", body: String = "", nonce: String) -> HTTPFields {
        var fields = [name, "\(time)", nonce, "", organization, "", method, path, query]
        if !body.isEmpty { fields.append(body) }
        return headers(signing: fields.joined(separator: "\0"), nonce: nonce)
    }

    func headers(signing text: String, nonce: String) -> HTTPFields {
        let code = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: SymmetricKey(data: Data(secret.utf8)))
        var headers: HTTPFields = [
            .xTime: "\(time)", .xNonce: nonce, .xAuth: name + ":" + code.map { String(format: "%02x", $0) }.joined(),
        ]
        headers[HTTPField.Name("X-Request-Id")!] = "r-1"
        if !organization.isEmpty { headers[.xOrganization] = organization }
        return headers
    }
}

extension World {
    static let signer = Signer(name: "0b7f7f5c-0000-4000-8000-000000000001", secret: "a secret to sign with")

    /// Gives a caller a key that signs.
    @discardableResult
    func sign(as caller: Caller = .buyer, _ grant: KeyGrant = .all) -> KeyID {
        directory.add(grant, of: caller, name: World.signer.name, secret: .signing(Array(World.signer.secret.utf8)))
    }
}

@Suite struct SignatureTests {
    private let signer = World.signer

    /// NiceHash's published example of a signed request.
    @Test func knownAnswer() throws {
        struct Example: Decodable {
            var key, secret, time, nonce, organizationId, method, path, query, body, digest: String
        }
        let example = try JSONDecoder().decode(Example.self, from: Data(nicehash.utf8))
        let text = SignedText(
            key: example.key, time: example.time, nonce: example.nonce, organization: example.organizationId, method: example.method,
            path: example.path, query: example.query, body: Array(example.body.utf8))
        let secret = SymmetricKey(data: Array(example.secret.utf8))
        #expect(Hex.encode(text.sign(secret)) == example.digest)
        #expect(text.isSigned(try #require(Hex.bytes(example.digest, count: 32)), by: secret))
    }

    @Test func aSignedRequestIsItsKeys() async throws {
        let world = World()
        world.sign()
        try await world.run { (client) async throws in
            let plain = signer.headers("GET", "/v1/balances", nonce: "1")
            #expect(try await client.send(.get, "/v1/balances", headers: plain)["account"].int == Caller.buyer.account)
            var own = signer
            own.organization = "\(Caller.buyer.account)"
            let query = own.headers("GET", "/v1/bids", query: "limit=5&cursor=%30", nonce: "2")
            #expect(try await client.send(.get, "/v1/bids?limit=5&cursor=%30", headers: query).status == 200)
            let body = #"{"name":"é","url":"stratum+tcp://pool.example:3333","user":"u"}"#
            let post = signer.headers("POST", "/v1/pool-targets", body: body, nonce: "3")
            #expect(try await client.send(.post, "/v1/pool-targets", body, headers: post).status == 201)
            let head = signer.headers("HEAD", "/v1/balances", nonce: "4")
            #expect(try await client.send(.head, "/v1/balances", headers: head).status == 200)
        }
    }

    /// Each part of what is signed, changed on the way.
    @Test func tampering() async throws {
        let world = World()
        world.sign()
        let body = #"{"name":"n","url":"stratum+tcp://pool.example:3333","user":"u"}"#
        try await world.run { (client) async throws in
            func send(
                _ method: HTTPRequest.Method = .post, _ path: String = "/v1/pool-targets", _ text: String = body,
                _ change: (inout HTTPFields) -> Void = { _ in }
            ) async throws -> Client.Reply {
                var headers = signer.headers("POST", "/v1/pool-targets", query: "", body: body, nonce: "n")
                change(&headers)
                return try await client.send(method, path, text, headers: headers)
            }
            let other = Array("0123456789abcdef").shuffled()
            let wrong: [Client.Reply] = [
                try await send(.put, "/v1/orders/cancel-after"), try await send(.post, "/v1/bids"),
                try await send(.post, "/v1/pool-targets?limit=1"), try await send(.post, "/v1/pool-targets", body + " "),
                try await send(.post, "/v1/pool-targets", ""),
                try await send { $0[.xTime] = "1800000000001" }, try await send { $0[.xNonce] = "m" },
                try await send { $0[.xOrganization] = "1" },
                try await send { headers in
                    let auth = headers[.xAuth]!
                    let last = auth.last!
                    headers[.xAuth] = auth.dropLast() + String(other.first { $0 != last }!)
                },
            ]
            for (index, reply) in wrong.enumerated() {
                #expect(reply.status == 401, "\(index)")
                #expect(reply.code == "signatureWrong", "\(index)")
                #expect(!reply.text.contains(signer.secret))
            }
            // None of these used up the nonce.
            #expect(try await send().status == 201)
            #expect(try await send().code == "nonceReused")
        }
    }

    /// What is signed wrongly is named to who has the secret.
    @Test func mistakesAreExplained() async throws {
        let world = World()
        world.sign()
        let start = "\(signer.name)\0\(signer.time)\0n\0\0\0\0"
        try await world.run { (client) async throws in
            for (text, advice) in [
                ("GET\0/v1/bids\0", "without its query"), ("GET\0/v1/bids\0?limit=%35", "question mark"),
                ("GET\0/v1/bids?limit=%35\0", "path and query in one"), ("get\0/v1/bids\0limit=%35", "lower case"),
                ("GET\0/v1/bids\0limit=5", "decoded"), ("GET\0/v1/bids\0limit=%35\0", "without a body there is none"),
            ] {
                let headers = signer.headers(signing: start + text, nonce: "n")
                let reply = try await client.send(.get, "/v1/bids?limit=%35", headers: headers)
                #expect(reply.code == "signatureWrong")
                #expect(reply["detail"].text?.contains(advice) == true, "\(advice): \(reply["detail"].text ?? "")")
            }
            let headers = signer.headers(signing: start + "POST\0/v1/pool-targets\0", nonce: "n")
            #expect(try await client.send(.post, "/v1/pool-targets", "{}", headers: headers)["detail"].text?.contains("its body") == true)
        }
    }

    @Test func clocksMayBeSomewhatOff() async throws {
        let world = World()
        world.sign()
        world.market.pass(.seconds(10_000))
        let now = signer.time + 10_000_000
        // As if the server had started at the market's first time.
        var settled = world
        settled.access.start = Timestamp(microseconds: signer.time * 1000)
        try await settled.run { (client) async throws in
            for (offset, isTaken) in [
                (-300_000, true), (300_000, true), (0, true), (-300_001, false), (300_001, false),
            ] as [(Int64, Bool)] {
                var late = signer
                late.time = now + offset
                let reply = try await client.send(.get, "/v1/bids", headers: late.headers("GET", "/v1/bids", nonce: "\(offset)"))
                #expect(reply.status == (isTaken ? 200 : 401), "\(offset)")
                if isTaken { continue }
                #expect(reply.code == "signatureTime")
                #expect(reply.field == "X-Time")
                #expect(reply.headers[.xServerTime] == "\(now)")
                #expect(reply["detail"].text?.contains("\(now)") == true)
            }
        }
    }

    @Test func aNonceIsTakenOnceEvenAfterARestart() async throws {
        let world = World()
        world.sign()
        let headers = signer.headers("GET", "/v1/bids", nonce: "x")
        try await world.run { (client) async throws in
            #expect(try await client.send(.get, "/v1/bids", headers: headers).status == 200)
            world.market.pass(.seconds(299))
            #expect(try await client.send(.get, "/v1/bids", headers: headers).code == "nonceReused")
            world.market.pass(.seconds(2))
            #expect(try await client.send(.get, "/v1/bids", headers: headers).code == "signatureTime")
        }
        let later = World()
        later.sign()
        later.market.pass(.seconds(1))
        try await later.run { (client) async throws in
            let old = try await client.send(.get, "/v1/bids", headers: headers)
            #expect(old.code == "signatureTime")
            #expect(old["detail"].text?.contains("sign it anew") == true)
            var fresh = signer
            fresh.time += 1000
            #expect(try await client.send(.get, "/v1/bids", headers: fresh.headers("GET", "/v1/bids", nonce: "x")).status == 200)
        }
    }

    @Test func badHeaders() async throws {
        let world = World()
        world.sign()
        let digits = String(repeating: "a", count: 64)
        try await world.run { (client) async throws in
            func send(_ changes: (HTTPField.Name, String?)...) async throws -> Client.Reply {
                var headers = signer.headers("GET", "/v1/bids", nonce: "n")
                for (name, value) in changes { headers[name] = value }
                return try await client.send(.get, "/v1/bids", headers: headers)
            }
            for auth in ["", ":", "x:" + digits.dropLast(), "x:" + digits + "a", "x:" + digits.dropLast() + "g", digits, ":" + digits,
                "a:b:" + digits, String(repeating: "k", count: 65) + ":" + digits]
            {
                let reply = try await send((.xAuth, auth))
                #expect(reply.code == "signatureMalformed", "\(auth)")
                #expect(reply.field == "X-Auth")
            }
            for time in ["", "x", "-1", "1.5", "12345678901234567", "+1"] {
                #expect(try await send((.xTime, time)).code == "signatureMalformed", "\(time)")
            }
            for nonce in ["", "a b", String(repeating: "n", count: 65)] {
                #expect(try await send((.xNonce, nonce)).code == "signatureMalformed", "\(nonce)")
            }
            #expect(try await send((.xTime, "9999999999999999")).code == "signatureTime")
            #expect(try await send((.xTime, nil)).code == "signatureHeaderMissing")
            #expect(try await send((.xNonce, nil)).code == "signatureHeaderMissing")
            #expect(try await send((.authorization, "Bearer \(Caller.buyer.key)")).code == "credentialsAmbiguous")
            #expect(try await send((.xAuth, "nobody:" + digits)).code == "invalidCredentials")
            #expect(try await send((.xOrganization, "a b")).code == "signatureMalformed")
            var foreign = signer
            foreign.organization = "da41b3bc-3d0b-4226-b7ea-aee73f94a518"
            let headers = foreign.headers("GET", "/v1/bids", nonce: "o")
            #expect(try await client.send(.get, "/v1/bids", headers: headers).code == "organizationWrong")
        }
    }

    /// What a key may not is told only to who has its secret.
    @Test func theSignatureComesFirst() async throws {
        let world = World()
        world.sign(as: .buyer, KeyGrant(scopes: [.rigs], expiresAt: world.market.time))
        try await world.run { (client) async throws in
            var stranger = signer
            stranger.secret = "another"
            let headers = stranger.headers("GET", "/v1/bids", nonce: "1")
            #expect(try await client.send(.get, "/v1/bids", headers: headers).code == "signatureWrong")
            let own = signer.headers("GET", "/v1/bids", nonce: "2")
            #expect(try await client.send(.get, "/v1/bids", headers: own).code == "keyExpired")
        }
    }
}

private let nicehash = """
    {"key": "4ebd366d-76f4-4400-a3b6-e51515d054d6",
     "secret": "fd8a1652-728b-42fe-82b8-f623e56da8850750f5bf-ce66-4ca7-8b84-93651abc723b",
     "time": "1543597115712", "nonce": "9675d0f8-1325-484b-9594-c9d6d3268890",
     "organizationId": "da41b3bc-3d0b-4226-b7ea-aee73f94a518", "method": "GET", "path": "/main/api/v2/hashpower/orderBook",
     "query": "algorithm=X16R&page=0&size=100", "body": "",
     "digest": "21e6a16f6eb34ac476d59f969f548b47fffe3fea318d9c99e77fc710d2fed798"}
    """
