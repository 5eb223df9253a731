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

    static func append(_ target: PoolTarget, to rows: inout SQLRows) {
        rows.append(target.id.rawValue, target.owner.rawValue)
        for text in [target.name, target.url, target.user, target.password] { rows.append(.text(text)) }
        switch target.status {
        case .unverified:
            rows.append(.integer(0))
            rows.appendNulls(4)
        case .verified(let pool):
            rows.append(1, pool.extranonce2Size, Int64(pool.versionMask))
            rows.append(.text(pool.difficulty))
            rows.append(.null)
        case .failed(let reason):
            rows.append(.integer(2))
            rows.appendNulls(3)
            rows.append(.text(reason))
        }
    }

    static let rig = [
        "id", "owner", "stratum_user", "password_digest", "fallback", "online", "offline_since", "edge", "session",
        "version_mask", "last_session", "measured", "ask", "farm",
    ]

    static func append(_ rig: Rig, to rows: inout SQLRows) {
        rows.append(rig.id.rawValue, rig.owner.rawValue)
        rows.append(.text(rig.user))
        rows.append(.blob(rig.passwordDigest))
        rows.append(rig.fallback.rawValue)
        switch rig.presence {
        case .offline(let since):
            rows.append(0, since.microseconds)
            rows.appendNulls(3)
        case .online(let edge, let session, let mask):
            rows.append(.integer(1))
            rows.append(.null)
            rows.append(edge.rawValue, session, Int64(mask))
        }
        rows.append(rig.lastSession, rig.measured.hashesPerSecond)
        rows.append(SQLValue(rig.ask?.rawValue))
        rows.append(SQLValue(rig.farm?.rawValue))
    }

    /// How an order, or each ask of a farm's offer, trades.
    static let instructions = [
        "time_in_force", "expires_at", "post_only", "minimum_fill", "displayed", "self_trade", "peg_reference", "peg_offset",
    ]

    static func append(_ instructions: Instructions, to rows: inout SQLRows) {
        rows.append(Int64(instructions.timeInForce.rawValue))
        rows.append(SQLValue(instructions.expiresAt?.microseconds))
        rows.append(SQLValue(instructions.isPostOnly))
        rows.append(instructions.minimumFill.rawValue)
        rows.append(SQLValue(instructions.displayed?.rawValue))
        rows.append(Int64(instructions.selfTrade.rawValue))
        rows.append(SQLValue(instructions.peg.map { Int64($0.reference.rawValue) }))
        rows.append(SQLValue(instructions.peg?.offset))
    }

    static let farm = ["id", "owner", "name", "price", "most", "schedule"] + instructions

    static func append(_ farm: Farm, to rows: inout SQLRows) {
        rows.append(farm.id.rawValue, farm.owner.rawValue)
        rows.append(.text(farm.name))
        guard let offer = farm.offer else { return rows.appendNulls(TableColumns.farm.count - 3) }
        rows.append(offer.price.rawValue)
        rows.append(SQLValue(offer.most?.rawValue))
        rows.append(SQLValue(offer.schedule?.text))
        append(offer.instructions, to: &rows)
    }

    static let silence = ["account", "deadline", "live"]

    static let farmLogin = ["farm", "stratum_user", "password_digest", "fallback", "most_rigs"]

    static func append(_ login: FarmLogin, to rows: inout SQLRows) {
        rows.append(login.farm.rawValue)
        rows.append(.text(login.user))
        rows.append(.blob(login.passwordDigest))
        rows.append(login.fallback.rawValue, login.mostRigs)
    }

    static let curtailment = ["farm", "cap", "ramp", "since", "until_at", "lifted_at", "live"]

    static func append(_ curtailment: Curtailment, to rows: inout SQLRows) {
        rows.append(
            curtailment.farm.rawValue, curtailment.cap.rawValue, curtailment.ramp.microseconds, curtailment.since.microseconds)
        rows.append(SQLValue(curtailment.until?.microseconds))
        rows.append(SQLValue(curtailment.liftedAt?.microseconds))
    }

    static let cutRig = ["rig", "farm", "returns_at", "live"]

    static let block = [
        "id", "owner", "seller", "edge", "received_at", "rig", "delivery", "target", "hash", "header", "pool_job", "forwarded",
        "verdict", "pool_error", "live",
    ]

    static func append(_ block: Block, to rows: inout SQLRows) {
        let report = block.report
        rows.append(
            block.id.rawValue, block.owner.rawValue, block.seller.rawValue, report.edge.rawValue,
            report.receivedAt.microseconds, report.rig.rawValue)
        rows.append(SQLValue(report.delivery?.rawValue))
        rows.append(report.target.rawValue)
        rows.append(.blob(report.hash))
        rows.append(.blob(report.header))
        rows.append(.text(report.poolJob))
        rows.append(report.isForwarded ? 1 : 0, Int64(block.verdict.rawValue), block.poolError)
    }

    static let order = [
        "id", "account", "client_order_id", "side", "price", "limit_price", "lots", "delivering", "shown", "stamp", "since",
        "status", "reason", "placed_at", "unsettled", "targets", "budget", "spent", "rig", "most", "schedule", "farm",
    ] + instructions + ["live"]

    static func append(_ order: Order, to rows: inout SQLRows) {
        rows.append(order.id.rawValue, order.account.rawValue)
        rows.append(SQLValue(order.clientOrderID))
        rows.append(
            Int64(order.side.rawValue), order.price.rawValue, order.limit.rawValue, order.lots.rawValue,
            order.delivering.rawValue, order.shown.rawValue, order.stamp, order.since)
        switch order.status {
        case .active:
            rows.append(.integer(0))
            rows.append(.null)
        case .suspended(let reason): rows.append(1, Int64(reason.rawValue))
        case .closed(let reason): rows.append(2, Int64(reason.rawValue))
        }
        rows.append(order.placedAt.microseconds, order.unsettled)
        append(order.details, to: &rows)
        append(order.instructions, to: &rows)
    }

    private static func append(_ details: OrderDetails, to rows: inout SQLRows) {
        switch details {
        case .bid(let bid):
            rows.append(.text(text(bid.targets)))
            rows.append(SQLValue(bid.budget?.rawValue))
            rows.append(bid.spent.rawValue)
            rows.appendNulls(4)
        case .ask(let ask):
            rows.appendNulls(3)
            rows.append(ask.rig.rawValue)
            rows.append(SQLValue(ask.most?.rawValue))
            rows.append(SQLValue(ask.schedule?.text))
            rows.append(SQLValue(ask.farm?.rawValue))
        }
    }

    private static func text(_ targets: [PoolTargetID]) -> String {
        guard let only = targets.first, targets.count == 1 else {
            return targets.map { String($0.rawValue) }.joined(separator: ",")
        }
        return String(only.rawValue)
    }

    static let delivery = [
        "id", "bid", "ask", "rig", "buyer", "seller", "lots", "hashrate", "price", "price_unit", "seller_fee_ppm",
        "buyer_fee_ppm", "tariff", "opened_at", "expires_at", "is_shortened", "max_difficulty", "allowance", "hold", "held",
        "settled_work", "settled_fault", "charged", "unpaid", "unrecovered", "ended_at", "end_cause", "live",
    ]

    static func append(_ delivery: Delivery, to rows: inout SQLRows) {
        rows.append(
            delivery.id.rawValue, delivery.bid.rawValue, delivery.ask.rawValue, delivery.rig.rawValue,
            delivery.buyer.rawValue, delivery.seller.rawValue, delivery.lots.rawValue,
            delivery.hashrate.hashesPerSecond, delivery.terms.price.rawValue,
            delivery.terms.priceUnit.hashesPerSecond, delivery.terms.sellerFee.rawValue,
            delivery.terms.buyerFee.rawValue, delivery.tariff, delivery.openedAt.microseconds,
            delivery.expiresAt.microseconds, delivery.isShortened ? 1 : 0, delivery.maxDifficulty.units, delivery.allowance.units,
            delivery.hold.rawValue, delivery.held.rawValue, delivery.settledWork.units, delivery.settledFault.units,
            delivery.charged.rawValue, delivery.unpaid.rawValue, delivery.unrecovered.rawValue)
        switch delivery.phase {
        case .running: rows.appendNulls(2)
        case .ended(let at, let cause): rows.append(at.microseconds, Int64(cause.rawValue))
        }
    }

    static let billing = [
        "bid", "ask", "rig", "tariff", "weighted_work", "charge", "seller_fee", "buyer_fee", "seller_fee_ppm",
        "buyer_fee_ppm", "unsettled", "live",
    ]

    static func append(_ key: BillingKey, _ billing: Billing, to rows: inout SQLRows) {
        rows.append(key.bid.rawValue, key.ask.rawValue, key.rig.rawValue, key.tariff)
        rows.append(.text("\(billing.totals.weightedWork)"))
        rows.append(
            billing.totals.charge.rawValue, billing.totals.sellerFee.rawValue, billing.totals.buyerFee.rawValue,
            billing.sellerFee.rawValue, billing.buyerFee.rawValue, billing.unsettled)
    }

    static let entry = ["id", "kind", "at", "reference", "value_at", "booked_by", "reason"]

    static func append(_ entry: LedgerEntry, to rows: inout SQLRows) {
        rows.append(entry.id, Int64(entry.kind.rawValue), entry.at.microseconds)
        rows.append(.text(entry.reference))
        rows.append(entry.valueAt.microseconds)
        rows.append(SQLValue(entry.by?.rawValue))
        rows.append(SQLValue(entry.reason))
    }

    static let line = [
        "number", "delivery", "run", "chunk", "at", "work", "charge", "seller_fee", "buyer_fee", "from_hold",
        "from_available", "from_loss", "value_at", "code", "from_minute", "to_minute", "seller_short", "credit",
    ]

    static func append(_ line: SettlementLine, number: Int64, to rows: inout SQLRows) {
        rows.append(
            number, line.delivery.rawValue, line.run, line.chunk, line.at.microseconds, line.work.units,
            line.amounts.charge.rawValue, line.amounts.sellerFee.rawValue, line.amounts.buyerFee.rawValue,
            line.fromHold.rawValue, line.fromAvailable.rawValue, line.fromLoss.rawValue, line.valueAt.microseconds,
            Int64(line.code.rawValue), line.fromMinute, line.toMinute, line.sellerShort.rawValue)
        rows.append(SQLValue(line.credit))
    }
}

extension SQLRows {
    @inline(__always)
    mutating func append(_ integers: Int64...) { for integer in integers { append(.integer(integer)) } }

    mutating func appendNulls(_ count: Int) { for _ in 0..<count { append(.null) } }
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
