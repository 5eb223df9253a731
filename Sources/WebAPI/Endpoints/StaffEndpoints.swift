internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Units

/// What the market's staff decide. All answer the market as it is afterwards.
enum StaffEndpoints {
    static let all: [Endpoint] = [
        .keyed(.put, "/v1/market/phase", [.admin], setPhase),
        .keyed(.post, "/v1/market/rules", [.admin], planRules),
        .keyed(.put, "/v1/market/index", [.admin], publishIndex),
    ]

    private static func setPhase(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["phase"])
        guard let phase = try fields.choice("phase", MarketPhase.byCode) else {
            throw fields.flaw("phase", "fieldMissing", "This field is required.")
        }
        _ = try await call.submit(.setPhase(phase))
        return try .json(call.services.marketModel())
    }

    private static func planRules(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(Fields.changeableRules.union(["effectiveAt"]))
        let effectiveAt = try fields.time("effectiveAt")
        let rules = try fields.rules(basedOn: rulesBefore(effectiveAt, call))
        do { _ = try await call.submit(.scheduleRules(rules, effectiveAt: effectiveAt)) } catch {
            guard error.code == Rejection.rulesInvalid.code, let flaw = rules.flaw else { throw error }
            throw Problem(error.status, error.code, "These rules contradict each other: \(flaw).")
        }
        return try .json(call.services.marketModel(), status: .created, location: "/v1/market")
    }

    /// The rules that will be in force until `time`.
    private static func rulesBefore(_ time: Timestamp, _ call: Call) throws(Problem) -> MarketRules {
        let present = try call.rules()
        return call.services.market.read { $0.status.scheduled.last { $0.effectiveAt < time } }?.rules ?? present
    }

    private static func publishIndex(_ call: Call) async throws -> Response {
        _ = try call.query()
        let fields = try call.fields(["price", "at"])
        let price = try fields.price("price")
        let now = call.services.now()
        let at = try fields.optionalTime("at") ?? now
        // Nothing later could be published until then.
        guard at <= now else { throw fields.flaw("at", "fieldOutOfRange", "An index price is made from the past.") }
        guard at >= now - .day else { throw fields.flaw("at", "fieldOutOfRange", "An index price is of the last day.") }
        _ = try await call.submit(.publishIndex(IndexPrice(price: price, at: at)))
        return try .json(call.services.marketModel())
    }
}

extension Fields {
    /// All but what prices and lots mean, what edges are started with, and the parts of rigs, which edges cannot slice yet.
    fileprivate static let changeableRules: Set<String> = [
        "tick", "lowestPrice", "highestPrice", "mostLots", "minimumOrderValue", "termSeconds", "shortestTermSeconds",
        "sellerFeePPM", "buyerFeePPM", "mostOrders", "awayLimitSeconds", "holdLimitSeconds",
    ]

    private static let mostPrice: Int64 = 1_000_000_000_000_000
    private static let mostSeconds: Int64 = 366 * 86_400

    /// The rules with what the body names changed.
    fileprivate func rules(basedOn rules: MarketRules) throws(Problem) -> MarketRules {
        var new = rules
        func set<T>(
            _ path: WritableKeyPath<MarketRules, T>, _ name: String, _ range: ClosedRange<Int64>, _ make: (Int64) -> T
        ) throws(Problem) {
            if let number = try optionalInteger(name, in: range) { new[keyPath: path] = make(number) }
        }
        try set(\.tick, "tick", 1...Fields.mostPrice) { $0 }
        try set(\.lowestPrice, "lowestPrice", 1...Fields.mostPrice) { Price($0) }
        try set(\.highestPrice, "highestPrice", 1...Fields.mostPrice) { Price($0) }
        try set(\.mostLots, "mostLots", 1...1_000_000_000_000) { Lots($0) }
        try set(\.minimumOrderValue, "minimumOrderValue", 0...Satoshis.supply.rawValue) { Satoshis($0) }
        try set(\.term, "termSeconds", 1...86_400) { .seconds($0) }
        try set(\.shortestTerm, "shortestTermSeconds", 1...86_400) { .seconds($0) }
        try set(\.sellerFee, "sellerFeePPM", 0...1_000_000) { PartsPerMillion($0) }
        try set(\.buyerFee, "buyerFeePPM", 0...1_000_000) { PartsPerMillion($0) }
        try set(\.mostOrders, "mostOrders", 1...1_000_000) { $0 }
        try set(\.awayLimit, "awayLimitSeconds", 0...Fields.mostSeconds) { .seconds($0) }
        try set(\.holdLimit, "holdLimitSeconds", 0...Fields.mostSeconds) { .seconds($0) }
        return new
    }
}
