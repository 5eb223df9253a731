internal import Exchange
internal import OrderBook
internal import Units

/// A bid or an ask.
struct OrderModel: Encodable {
    /// An ask whose price the bid crosses, but whose rig it cannot take.
    struct PassedOverModel: Encodable {
        var price: Int64
        /// Those that are displayed.
        var lots: Int64
        var reason: String
    }

    /// What is ahead of an order in the book.
    struct QueueModel: Encodable {
        var ordersAhead: Int64
        /// Displayed ones.
        var lotsAhead: Int64
    }

    /// Where an order stands in the book.
    struct Standing {
        var queue: QueueModel?
        var passedOver: [PassedOverModel]?
    }

    fileprivate struct Facts: Encodable {
        var id: Int64
        var account: Int64
        var side: String
        var clientOrderID: String?
        /// Present price.
        var price: Int64
        /// As it was given: the cap or floor of a pegged price.
        var limit: Int64
        var priceUnit: String
        /// A bid's size; what an ask offers now.
        var lots: Int64
        var lotUnit: String
        var open: Int64
        /// Open lots that the book displays.
        var shownLots: Int64
        var delivering: Int64
        var status: String
        /// Why it is suspended or closed.
        var reason: String?
        /// Absent only for an order that was over at once and is not in the tables yet.
        var placedAt: String?
        var queue: QueueModel?

        // Of bids.
        var poolTargetIDs: [Int64]?
        var budget: Int64?
        var spent: Int64?
        var passedOver: [PassedOverModel]?

        // Of asks.
        var rigID: Int64?
        var most: MostModel?
        var schedule: [WindowModel]?
        var farmID: Int64?
    }

    fileprivate var facts: Facts
    private let instructions: InstructionsModel

    var side: String { facts.side }

    init(_ order: Order, _ rules: MarketRules, _ standing: Standing = Standing()) {
        facts = Facts(order, rules)
        facts.queue = standing.queue
        facts.passedOver = standing.passedOver
        instructions = InstructionsModel(order.instructions)
    }

    /// An order that was over at once: when and why is in the tables, which have not got it yet.
    init(overAtOnce order: Order, _ rules: MarketRules) {
        self.init(order, rules)
        (facts.reason, facts.placedAt) = (nil, nil)
    }

    func encode(to encoder: any Encoder) throws {
        try facts.encode(to: encoder)
        try instructions.encode(to: encoder)
    }
}

extension OrderModel.Facts {
    fileprivate init(_ order: Order, _ rules: MarketRules) {
        id = order.id.rawValue
        account = order.account.rawValue
        side = order.side.code
        clientOrderID = order.clientOrderID
        price = order.price.rawValue
        limit = order.limit.rawValue
        priceUnit = UnitText.price(rules)
        lots = order.lots.rawValue
        lotUnit = UnitText.hashrate(rules.lot)
        open = order.open.rawValue
        shownLots = order.instructions.displayed == nil ? order.open.rawValue : order.shown.rawValue
        delivering = order.delivering.rawValue
        placedAt = order.placedAt.description
        switch order.status {
        case .active: status = "active"
        case .suspended(let why): (status, reason) = ("suspended", why.code)
        case .closed(let why): (status, reason) = ("closed", why.code)
        }
        switch order.details {
        case .bid(let bid):
            poolTargetIDs = bid.targets.map(\.rawValue)
            budget = bid.budget?.rawValue
            spent = bid.spent.rawValue
        case .ask(let ask):
            rigID = ask.rig.rawValue
            most = MostModel(ask.most)
            schedule = WindowModel.all(ask.schedule)
            farmID = ask.farm?.rawValue
        }
    }
}
