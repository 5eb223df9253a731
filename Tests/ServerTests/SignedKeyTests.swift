import Crypto
import Foundation
import Market
import Server
import Store
import Testing
import Units
import WebAPI

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Signed requests to a whole server, over a restart.
@Suite(.serialized) struct SignedKeyTests {
    private struct Signed {
        var name: String
        var secret: String

        func request(_ port: Int, _ path: String, nonce: String) -> URLRequest {
            let time = "\(MarketService.systemClock().microseconds / 1000)"
            let text = [name, time, nonce, "", "", "", "GET", path, ""].joined(separator: "\0")
            let code = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: SymmetricKey(data: Data(secret.utf8)))
            var request = URLRequest(url: URL(string: "http://127.0.0.1:\(port)\(path)")!, timeoutInterval: 20)
            request.setValue(time, forHTTPHeaderField: "X-Time")
            request.setValue(nonce, forHTTPHeaderField: "X-Nonce")
            request.setValue(name + ":" + code.map { String(format: "%02x", $0) }.joined(), forHTTPHeaderField: "X-Auth")
            return request
        }
    }

    private func send(_ request: URLRequest) async throws -> (status: Int, code: String?) {
        let (data, response) = try await URLSession.shared.data(for: request)
        let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, object?["code"] as? String)
    }

    @Test(arguments: Engine.allCases) func aSignedKeyOutlivesARestartAndAReplayDoesNot(engine: Engine) async throws {
        let market = try await TestMarket(engine)
        try await market.start()
        let buyer = try await market.customer("buyer", .buyer)
        let made = try await market.api.call(
            "POST", "/v1/keys", buyer, ["label": "bot", "kind": "signed", "scopes": ["read"], "networks": ["127.0.0.0/8"]])
        #expect(made.status == 201)
        let key = try #require(made.body["key"] as? [String: Any])
        let signed = Signed(name: try #require(key["key"] as? String), secret: try #require(made.text("secret")))
        let first = signed.request(market.configuration.apiPort, "/v1/bids", nonce: "1")
        #expect(try await send(first).status == 200)
        #expect(try await send(first).code == "nonceReused")
        await market.stop()
        try await market.start()
        #expect(try await send(first).code == "signatureTime")
        #expect(try await send(signed.request(market.configuration.apiPort, "/v1/bids", nonce: "2")).status == 200)
        // Another master key opens nothing, and says so in the log, not to the client.
        await market.stop()
        try FileManager.default.removeItem(atPath: market.configuration.dataFolder + "/secrets.key")
        try await market.start()
        #expect(try await send(signed.request(market.configuration.apiPort, "/v1/bids", nonce: "3")).status == 503)
        #expect(try await market.api.call("GET", "/v1/bids", buyer).status == 200)
        await market.end()
    }
}
