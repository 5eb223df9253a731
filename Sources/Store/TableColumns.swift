internal import Database
internal import Exchange
internal import Ledger
internal import OrderBook
internal import Settlement
internal import Units

/// The columns of each table, and an entity's values in their order.
enum TableColumns {
    static func insert(_ table: String, _ columns: [String]) -> String {
        let places = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(places))"
    }

    static let poolTarget = [
        "id", "owner", "name", "url", "pool_user", "pool_password", "status", "extranonce2_size", "version_mask",
        "difficulty", "failure",
    ]

    static func values(_ target: PoolTarget) -> [SQLValue] {
        let head: [SQLValue] = [
            .integer(target.id.rawValue), .integer(target.owner.rawValue), .text(target.name), .text(target.url),
            .text(target.user), .text(target.password),
        ]
        switch target.status {
        case .unverified: return head + [.integer(0), .null, .null, .null, .null]
        case .verified(let pool):
            return head + [
                .integer(1), .integer(pool.extranonce2Size), .integer(Int64(pool.versionMask)),
                .text(pool.difficulty), .null,
            ]
        case .failed(let reason): return head + [.integer(2), .null, .null, .null, .text(reason)]
        }
    }

    static let rig = [
        "id", "owner", "stratum_user", "password_digest", "fallback", "online", "offline_since", "edge", "session",
        "version_mask", "last_session", "measured", "ask", "farm",
    ]

    static func values(_ rig: Rig) -> [SQLValue] {
        let presence: [SQLValue] =
            switch rig.presence {
            case .offline(let since): [.integer(0), .integer(since.microseconds), .null, .null, .null]
            case .online(let edge, let session, let mask):
                [.integer(1), .null, .integer(edge.rawValue), .integer(session), .integer(Int64(mask))]
            }
        return [
            .integer(rig.id.rawValue), .integer(rig.owner.rawValue), .text(rig.user), .blob(rig.passwordDigest),
            .integer(rig.fallback.rawValue),
        ] + presence + [
            .integer(rig.lastSession), .integer(rig.measured.hashesPerSecond), SQLValue(rig.ask?.rawValue),
            SQLValue(rig.farm?.rawValue),
        ]
    }

    /// How an order, or each ask of a farm's offer, trades.
    static let instructions = [
        "time_in_force", "expires_at", "post_only", "minimum_fill", "displayed", "self_trade", "peg_reference", "peg_offset",
    ]

    static func values(_ instructions: Instructions) -> [SQLValue] {
        [
            .integer(Int64(instructions.timeInForce.rawValue)), SQLValue(instructions.expiresAt?.microseconds),
            SQLValue(instructions.isPostOnly), .integer(instructions.minimumFill.rawValue),
            SQLValue(instructions.displayed?.rawValue), .integer(Int64(instructions.selfTrade.rawValue)),
            SQLValue(instructions.peg.map { Int64($0.reference.rawValue) }), SQLValue(instructions.peg?.offset),
        ]
    }

    static let farm = ["id", "owner", "name", "price", "most", "schedule"] + instructions

    static func values(_ farm: Farm) -> [SQLValue] {
        let head: [SQLValue] = [.integer(farm.id.rawValue), .integer(farm.owner.rawValue), .text(farm.name)]
        guard let offer = farm.offer else { return head + Array(repeating: .null, count: TableColumns.farm.count - head.count) }
        return head + [
            .integer(offer.price.rawValue), SQLValue(offer.most?.rawValue), SQLValue(offer.schedule?.text),
        ] + values(offer.instructions)
    }

    static let silence = ["account", "deadline", "live"]

    static func values(_ account: AccountID, _ deadline: Timestamp) -> [SQLValue] {
        [.integer(account.rawValue), .integer(deadline.microseconds)]
    }

    static let order = [
        "id", "account", "client_order_id", "side", "price", "limit_price", "lots", "delivering", "shown", "stamp", "since",
        "status", "reason", "placed_at", "unsettled", "targets", "budget", "spent", "rig", "most", "schedule", "farm",
    ] + instructions + ["live"]

    static func values(_ order: Order) -> [SQLValue] {
        let status: [SQLValue] =
            switch order.status {
            case .active: [.integer(0), .null]
            case .suspended(let reason): [.integer(1), .integer(Int64(reason.rawValue))]
            case .closed(let reason): [.integer(2), .integer(Int64(reason.rawValue))]
            }
        let details: [SQLValue] =
            switch order.details {
            case .bid(let bid):
                [
                    .text(bid.targets.map { "\($0)" }.joined(separator: ",")), SQLValue(bid.budget?.rawValue),
                    .integer(bid.spent.rawValue), .null, .null, .null, .null,
                ]
            case .ask(let ask):
                [
                    .null, .null, .null, .integer(ask.rig.rawValue), SQLValue(ask.most?.rawValue),
                    SQLValue(ask.schedule?.text), SQLValue(ask.farm?.rawValue),
                ]
            }
        let head: [SQLValue] = [
            .integer(order.id.rawValue), .integer(order.account.rawValue), SQLValue(order.clientOrderID),
            .integer(Int64(order.side.rawValue)), .integer(order.price.rawValue), .integer(order.limit.rawValue),
            .integer(order.lots.rawValue), .integer(order.delivering.rawValue), .integer(order.shown.rawValue),
            .integer(order.stamp), .integer(order.since),
        ]
        return head + status + [.integer(order.placedAt.microseconds), .integer(order.unsettled)] + details
            + values(order.instructions)
    }

    static let delivery = [
        "id", "bid", "ask", "rig", "buyer", "seller", "lots", "hashrate", "price", "price_unit", "seller_fee_ppm",
        "buyer_fee_ppm", "tariff", "opened_at", "expires_at", "is_shortened", "max_difficulty", "allowance", "hold", "held",
        "settled_work", "charged", "ended_at", "end_cause", "live",
    ]

    static func values(_ delivery: Delivery) -> [SQLValue] {
        let phase: [SQLValue] =
            switch delivery.phase {
            case .running: [.null, .null]
            case .ended(let at, let cause): [.integer(at.microseconds), .integer(Int64(cause.rawValue))]
            }
        let numbers: [Int64] = [
            delivery.id.rawValue, delivery.bid.rawValue, delivery.ask.rawValue, delivery.rig.rawValue,
            delivery.buyer.rawValue, delivery.seller.rawValue, delivery.lots.rawValue,
            delivery.hashrate.hashesPerSecond, delivery.terms.price.rawValue,
            delivery.terms.priceUnit.hashesPerSecond, delivery.terms.sellerFee.rawValue,
            delivery.terms.buyerFee.rawValue, delivery.tariff, delivery.openedAt.microseconds,
            delivery.expiresAt.microseconds, delivery.isShortened ? 1 : 0, delivery.maxDifficulty.units, delivery.allowance.units,
            delivery.hold.rawValue, delivery.held.rawValue, delivery.settledWork.units, delivery.charged.rawValue,
        ]
        return numbers.map { .integer($0) } + phase
    }

    static let billing = [
        "bid", "ask", "rig", "tariff", "weighted_work", "charge", "seller_fee", "buyer_fee", "seller_fee_ppm",
        "buyer_fee_ppm", "unsettled", "live",
    ]

    static func values(_ key: BillingKey, _ billing: Billing) -> [SQLValue] {
        [
            .integer(key.bid.rawValue), .integer(key.ask.rawValue), .integer(key.rig.rawValue),
            .integer(key.tariff), .text("\(billing.totals.weightedWork)"), .integer(billing.totals.charge.rawValue),
            .integer(billing.totals.sellerFee.rawValue), .integer(billing.totals.buyerFee.rawValue),
            .integer(billing.sellerFee.rawValue), .integer(billing.buyerFee.rawValue), .integer(billing.unsettled),
        ]
    }

    static let line = [
        "number", "delivery", "run", "chunk", "at", "work", "charge", "seller_fee", "buyer_fee", "from_hold",
        "from_available", "from_loss",
    ]

    static func values(_ line: SettlementLine, number: Int64) -> [SQLValue] {
        let numbers: [Int64] = [
            number, line.delivery.rawValue, line.run, line.chunk, line.at.microseconds, line.work.units,
            line.amounts.charge.rawValue, line.amounts.sellerFee.rawValue, line.amounts.buyerFee.rawValue,
            line.fromHold.rawValue, line.fromAvailable.rawValue, line.fromLoss.rawValue,
        ]
        return numbers.map { .integer($0) }
    }
}

extension DailySchedule {
    /// Its windows as a column holds them: `0-360,1320-1440`.
    var text: String { windows.map { "\($0.from)-\($0.to)" }.joined(separator: ",") }

    /// nil when the text is not a schedule's.
    init?(text: String) {
        var windows: [Window] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let edges = part.split(separator: "-", omittingEmptySubsequences: false)
            guard edges.count == 2, let from = Int64(edges[0]), let to = Int64(edges[1]) else { return nil }
            windows.append(Window(from: from, to: to))
        }
        self.init(windows: windows)
    }
}
