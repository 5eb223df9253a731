import Foundation
import HTTPTypes
import Logging
import Market
import Testing
import Units
@testable import WebAPI

/// What it costs to let a request in. For numbers: `HASHSPOT_MEASURE=1 swift test -c release --filter SigningMeasurement`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["HASHSPOT_MEASURE"] != nil)) struct SigningMeasurement {
    @Test func aSignedOrder() async throws {
        let world = World()
        world.sign()
        let body = #"{"price":700000,"lots":9,"poolTargetIDs":[1],"clientOrderID":"bot-17-000001","timeInForce":"GTC"}"#
        let headers = (0..<20_000).map { World.signer.headers("POST", "/v1/bids", body: body, nonce: "9675d0f8-1325-484b-9594-\($0)") }
        try await measure("signed", headers, body, Gate(world.services))
    }

    @Test func aBearerOrder() async throws {
        let world = World()
        let headers: HTTPFields = [.authorization: "Bearer \(Caller.buyer.key)"]
        try await measure("bearer", Array(repeating: headers, count: 20_000), "{}", Gate(world.services))
    }

    private func measure(_ name: String, _ headers: [HTTPFields], _ body: String, _ gate: Gate) async throws {
        let bytes = Array(body.utf8)
        let logger = Logger(label: "measure")
        let start = ContinuousClock.now
        for headers in headers {
            let knock = Knock(
                headers: headers, method: .post, path: "/v1/bids", query: "", peer: IPAddress("127.0.0.1"), endpoint: "/v1/bids",
                roles: [.buyer], isRead: false)
            _ = try await gate.admit(knock, logger: logger) { bytes }
        }
        let spent = (ContinuousClock.now - start) / headers.count
        print("\(name): \(spent) a request")
    }
}
