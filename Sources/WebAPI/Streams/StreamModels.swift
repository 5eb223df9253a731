internal import Exchange
internal import NIOCore
internal import Settlement
internal import Units

/// A delivery as its buyer and seller hear of it.
struct StreamedDelivery: Encodable {
    var id: Int64
    var bidID: Int64
    var askID: Int64
    var rigID: Int64
    var buyer: Int64
    var seller: Int64
    var price: Int64
    var lots: Int64
    var soldHashesPerSecond: Int64
    var openedAt: String
    var expiresAt: String
    var status: String
    var endedAt: String?
    var endCause: String?
    /// Work in the market's units.
    var settledWork: Int64
    /// Satoshis, without fees.
    var charged: Int64
    var held: Int64

    init(_ delivery: Delivery) {
        id = delivery.id.rawValue
        bidID = delivery.bid.rawValue
        askID = delivery.ask.rawValue
        rigID = delivery.rig.rawValue
        buyer = delivery.buyer.rawValue
        seller = delivery.seller.rawValue
        price = delivery.terms.price.rawValue
        lots = delivery.lots.rawValue
        soldHashesPerSecond = delivery.hashrate.hashesPerSecond
        openedAt = delivery.openedAt.description
        expiresAt = delivery.expiresAt.description
        settledWork = delivery.settledWork.units
        charged = delivery.charged.rawValue
        held = delivery.held.rawValue
        switch delivery.phase {
        case .running: status = "running"
        case .ended(let at, let cause): (status, endedAt, endCause) = ("ended", at.description, cause.code)
        }
    }
}

/// A rig as its owner hears of it.
struct StreamedRig: Encodable {
    var id: Int64
    var user: String
    var status: String
    /// Absent while online, and for a rig that never was.
    var offlineSince: String?
    /// Long average by verified shares; 0 before it is known.
    var measuredHashesPerSecond: Int64
    /// In running deliveries.
    var soldLots: Int64
    var soldHashesPerSecond: Int64
    /// Running ones, oldest first.
    var deliveryIDs: [Int64]
    var askID: Int64?
    var farmID: Int64?
    var isCurtailed: Bool

    init(_ rig: Rig, sold: [Delivery], isCut: Bool) {
        id = rig.id.rawValue
        user = rig.user
        switch rig.presence {
        case .online: status = "online"
        case .offline(let since):
            status = "offline"
            offlineSince = since.microseconds == 0 ? nil : since.description
        }
        measuredHashesPerSecond = rig.measured.hashesPerSecond
        soldLots = sold.reduce(0) { $0 + $1.lots.rawValue }
        soldHashesPerSecond = sold.reduce(0) { $0 + $1.hashrate.hashesPerSecond }
        deliveryIDs = sold.map(\.id.rawValue)
        askID = rig.ask?.rawValue
        farmID = rig.farm?.rawValue
        isCurtailed = isCut
    }
}

extension EventText {
    /// One event for a thing's image.
    mutating func event(_ image: TouchedImage, id: EventID?, _ rules: MarketRules) {
        switch image {
        case .order(let order): event("order", id: id) { $0.add(encoded: OrderModel(order, rules)) }
        case .delivery(let delivery): event("delivery", id: id) { $0.add(encoded: StreamedDelivery(delivery)) }
        case .rig(let rig, let sold, let isCut):
            event("rig", id: id) { $0.add(encoded: StreamedRig(rig, sold: sold, isCut: isCut)) }
        }
    }

    /// Events that belong together: a reader has seen all of them, or none.
    static func events(_ images: [TouchedImage], id: EventID, _ rules: MarketRules) -> ByteBuffer {
        var text = EventText()
        for (index, image) in images.enumerated() { text.event(image, id: index == images.count - 1 ? id : nil, rules) }
        return text.buffer
    }

    /// Trades, each with a number to resume from.
    static func events(_ trades: [Trade], epoch: Int64) -> ByteBuffer {
        var text = EventText()
        for trade in trades {
            text.event("trade", id: EventID(epoch: epoch, sequence: trade.delivery.rawValue)) { $0.add(trade) }
        }
        return text.buffer
    }

    mutating func add(_ trade: Trade) {
        add("{\"id\":")
        add(trade.delivery.rawValue)
        add(",\"at\":")
        add(trade.at)
        add(",\"price\":")
        add(trade.price.rawValue)
        add(",\"lots\":")
        add(trade.lots.rawValue)
        add("}")
    }
}
