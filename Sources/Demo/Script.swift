/// What the buyers do, and when.
enum Script {
    struct Act: Sendable {
        /// Part of the trading time that has passed.
        var at: Double
        var caption: String
        var play: @Sendable (Stage, inout Memory) async throws -> Void
    }

    /// What later acts refer to.
    struct Memory: Sendable {
        var bids: [String: Int64] = [:]
    }

    static let acts: [Act] = [
        Act(at: 0, caption: "buyer-a bids 900,000 for 25 lots; its pool allows no version rolling") {
            try await bid($0, &$1, "a1", 0, price: 900_000, lots: 25)
        },
        Act(at: 0.1, caption: "buyer-b bids 950,000 for 30 lots") {
            try await bid($0, &$1, "b1", 1, price: 950_000, lots: 30)
        },
        Act(at: 0.3, caption: "buyer-c outbids both for 24 lots; running deliveries go on to their term") {
            try await bid($0, &$1, "c1", 2, price: 1_200_000, lots: 24)
        },
        Act(at: 0.5, caption: "buyer-a cancels; its rigs are sold on, or go home") {
            try await cancel($0, $1, "a1", 0)
        },
        Act(at: 0.6, caption: "buyer-c cancels; buyer-a takes what is free at once (IOC)") {
            try await cancel($0, $1, "c1", 2)
            try await bid($0, &$1, "a2", 0, price: 1_000_000, lots: 30, "IOC")
        },
        Act(at: 0.7, caption: "buyer-c bids 980,000 for 12 lots with a budget of 2,000 sat") {
            try await bid($0, &$1, "c2", 2, price: 980_000, lots: 12, budget: 2000)
        },
    ]

    private static func bid(
        _ stage: Stage, _ memory: inout Memory, _ name: String, _ buyer: Int, price: Int64, lots: Int64,
        _ timeInForce: String = "GTC", budget: Int64? = nil
    ) async throws(DemoFailure) {
        var body: [String: any Sendable] = [
            "price": price, "lots": lots, "poolTargetIDs": [stage.targets[buyer]], "timeInForce": timeInForce,
            "clientOrderID": name,
        ]
        if let budget { body["budget"] = budget }
        memory.bids[name] = try await stage.buyers[buyer].client.post("/v1/bids", body)["id"].int
    }

    private static func cancel(
        _ stage: Stage, _ memory: Memory, _ name: String, _ buyer: Int
    ) async throws(DemoFailure) {
        guard let id = memory.bids[name] else { throw DemoFailure("bid \(name) has no number") }
        try await stage.buyers[buyer].client.delete("/v1/bids/\(id)")
    }
}
