internal import Exchange
internal import OrderBook
internal import Units

/// How an order or an offer trades.
struct InstructionsModel: Encodable {
    struct PegModel: Encodable {
        var reference: String
        var offset: Int64
    }

    var timeInForce: String
    /// Of good-till-date orders.
    var expiresAt: String?
    var postOnly: Bool
    var minimumFill: Int64
    /// Of icebergs.
    var displayedLots: Int64?
    var selfTradePrevention: String
    /// Of pegged prices.
    var peg: PegModel?

    init(_ instructions: Instructions) {
        timeInForce = instructions.timeInForce.code
        expiresAt = instructions.expiresAt?.description
        postOnly = instructions.isPostOnly
        minimumFill = instructions.minimumFill.rawValue
        displayedLots = instructions.displayed?.rawValue
        selfTradePrevention = instructions.selfTrade.code
        peg = instructions.peg.map { PegModel(reference: $0.reference.code, offset: $0.offset) }
    }
}

/// The most lots that an ask sells, as it was placed.
enum MostModel: Encodable {
    case all
    case lots(Int64)

    init(_ most: Lots?) { self = most.map { .lots($0.rawValue) } ?? .all }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .all: try container.encode("all")
        case .lots(let number): try container.encode(number)
        }
    }
}

/// Times of day at which an ask is for sale.
struct WindowModel: Encodable {
    var from: String
    var to: String

    static func all(_ schedule: DailySchedule?) -> [WindowModel]? {
        schedule?.windows.map { WindowModel(from: TimeOfDay.text($0.from), to: TimeOfDay.text($0.to)) }
    }
}
