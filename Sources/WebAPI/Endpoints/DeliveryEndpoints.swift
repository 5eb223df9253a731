internal import Exchange
internal import HTTPTypes
internal import Hummingbird
internal import Market
internal import Metering
internal import Settlement
internal import Units

/// Deliveries, running and ended.
enum DeliveryEndpoints {
    static let all: [Endpoint] = [
        .keyed(.get, "/v1/deliveries", [], list),
        .keyed(.get, "/v1/deliveries/{id}", [], get),
    ]

    private static func list(_ call: Call) async throws -> Response {
        let page = try PageRequest(try call.query(PageRequest.parameters))
        let account = call.principal.scope(unless: .finance).account
        var rows = try await call.report {
            try await $0.deliveries(account: account, after: page.after, limit: page.limit + 1)
        }
        refresh(&rows, call)
        let rules = try call.rules()
        let live = rows.contains { $0.delivery.isRunning } ? await call.services.edge.deliveries() : [:]
        let models = rows.map { row in
            (row.delivery.id.rawValue, DeliveryModel(row, live[row.delivery.id], rules))
        }
        return try .json(Page(models, limit: page.limit))
    }

    /// The tables may trail what is committed.
    private static func refresh(_ rows: inout [DeliveryRow], _ call: Call) {
        let ids = rows.map(\.delivery.id)
        let current = call.services.market.read { state in ids.map { state.deliveries[$0] } }
        for (index, delivery) in current.enumerated() {
            if let delivery { rows[index].delivery = delivery }
        }
    }

    private static func get(_ call: Call) async throws -> Response {
        _ = try call.query()
        let id = DeliveryID(try call.pathNumber())
        guard let row = try await row(id, call), visible(row.delivery, to: call.principal) else {
            throw Problem(.notFound, "deliveryUnknown", "The account has no such delivery.")
        }
        let live = row.delivery.isRunning ? await call.services.edge.deliveries()[id] : nil
        return try .json(DeliveryModel(row, live, try call.rules()))
    }

    private static func row(_ id: DeliveryID, _ call: Call) async throws(Problem) -> DeliveryRow? {
        var rows = try await call.report {
            try await $0.deliveries(account: nil, after: id.rawValue - 1, limit: 1)
        }.filter { $0.delivery.id == id }
        if rows.isEmpty, let fresh = call.services.market.read({ $0.deliveries[id] }) {
            rows = [DeliveryRow(delivery: fresh, metered: SlotCounts())]
        }
        refresh(&rows, call)
        return rows.first
    }

    private static func visible(_ delivery: Delivery, to principal: Principal) -> Bool {
        let scope = principal.scope(unless: .finance)
        return scope.covers(delivery.buyer) || scope.covers(delivery.seller)
    }
}

private struct DeliveryModel: Encodable {
    struct Live: Encodable {
        var hashesPerSecond: Int64
    }

    /// Shares by the market's verdict, and what the pool answered to those that were forwarded.
    struct Shares: Encodable {
        var valid: Int64
        var stale: Int64
        var duplicate: Int64
        var lowDifficulty: Int64
        var invalid: Int64
        var forwarded: Int64
        var poolAccepted: Int64
        var poolRejected: Int64
        var poolUnanswered: Int64
    }

    var id: Int64
    var bidID: Int64
    var askID: Int64
    var rigID: Int64
    var buyer: Int64
    var seller: Int64
    var price: Int64
    var priceUnit: String
    var lots: Int64
    var lotUnit: String
    var soldHashesPerSecond: Int64
    var openedAt: String
    var expiresAt: String
    var status: String
    var endedAt: String?
    var endCause: String?
    /// Work in the market's units.
    var validWork: Int64
    var billableWork: Int64
    var settledWork: Int64
    /// Satoshis, without fees.
    var charged: Int64
    var held: Int64
    var shares: Shares
    var live: Live?

    init(_ row: DeliveryRow, _ live: LiveDelivery?, _ rules: MarketRules) {
        let delivery = row.delivery
        id = delivery.id.rawValue
        bidID = delivery.bid.rawValue
        askID = delivery.ask.rawValue
        rigID = delivery.rig.rawValue
        buyer = delivery.buyer.rawValue
        seller = delivery.seller.rawValue
        price = delivery.terms.price.rawValue
        priceUnit = UnitText.price(rules)
        lots = delivery.lots.rawValue
        lotUnit = UnitText.hashrate(rules.lot)
        soldHashesPerSecond = delivery.hashrate.hashesPerSecond
        openedAt = delivery.openedAt.description
        expiresAt = delivery.expiresAt.description
        validWork = row.metered.validWork.units
        billableWork = row.metered.billableWork.units
        shares = Shares(row.metered)
        settledWork = delivery.settledWork.units
        charged = delivery.charged.rawValue
        held = delivery.held.rawValue
        switch delivery.phase {
        case .running:
            status = "running"
            self.live = live.map(Live.init)
        case .ended(let at, let cause):
            status = "ended"
            endedAt = at.description
            endCause = cause.code
        }
    }
}

extension DeliveryModel.Live {
    init(_ live: LiveDelivery) {
        hashesPerSecond = live.hashrate.hashesPerSecond
    }
}

extension DeliveryModel.Shares {
    init(_ counts: SlotCounts) {
        valid = counts.validShares
        stale = counts.staleShares
        duplicate = counts.duplicateShares
        lowDifficulty = counts.lowDifficultyShares
        invalid = counts.invalidShares
        forwarded = counts.forwardedShares
        poolAccepted = counts.poolAccepted
        poolRejected = counts.poolRejected
        poolUnanswered = counts.poolUnanswered
    }
}
