public import OrderBook
public import Units

/// What a pegged order's price follows. Best prices are those of fixed-price orders only, so that pegs never chase pegs.
public enum PegReference: UInt8, Sendable, CaseIterable {
    case bestBid = 1
    case bestAsk = 2
    /// The market's published index.
    case index = 3
}

/// A price that follows the market: reference + offset, re-priced once a second, never beyond the order's limit.
public struct Peg: Hashable, Sendable {
    public var reference: PegReference
    /// Added to the reference, in price units; may be negative. At most 10^15 either way.
    public var offset: Int64

    public init(reference: PegReference, offset: Int64) {
        self.reference = reference
        self.offset = offset
    }

    static let mostOffset: Int64 = 1_000_000_000_000_000
}

/// How an order trades, on either side (design, section 4).
public struct Instructions: Hashable, Sendable {
    public var timeInForce: TimeInForce
    /// When a good-till-date order ends; nil for all others.
    public var expiresAt: Timestamp?
    /// Refused instead of placed when it would match at once.
    public var isPostOnly: Bool
    /// Fills have at least so many lots; a remainder below it may fill whole. At least 1.
    public var minimumFill: Lots
    /// Iceberg: so many lots are shown at a time; nil shows all.
    public var displayed: Lots?
    public var selfTrade: SelfTradePrevention
    /// nil: the price is fixed.
    public var peg: Peg?

    public init(
        timeInForce: TimeInForce = .goodTillCancelled, expiresAt: Timestamp? = nil, isPostOnly: Bool = false,
        minimumFill: Lots = Lots(1), displayed: Lots? = nil, selfTrade: SelfTradePrevention = .cancelIncoming,
        peg: Peg? = nil
    ) {
        self.timeInForce = timeInForce
        self.expiresAt = expiresAt
        self.isPostOnly = isPostOnly
        self.minimumFill = minimumFill
        self.displayed = displayed
        self.selfTrade = selfTrade
        self.peg = peg
    }
}

/// A field of an amendment.
public enum Change<Value: Hashable & Sendable>: Hashable, Sendable {
    case keep
    /// Back to none.
    case clear
    case set(Value)

    func applied(to value: Value?) -> Value? {
        switch self {
        case .keep: value
        case .clear: nil
        case .set(let new): new
        }
    }
}

/// What to change about a live order; what is nil or `keep` stays.
///
/// Fewer lots, a bid's lower price and new pool targets keep the order's priority. A higher price, more lots, more
/// displayed lots and any new price of an ask lose it.
public struct Amendment: Hashable, Sendable {
    /// The fixed price, or a pegged order's limit.
    public var price: Price?
    /// A bid's lots in all, delivering ones included.
    public var lots: Lots?
    /// The most lots an ask sells; `clear` sells all.
    public var most: Change<Lots>
    public var targets: [PoolTargetID]?
    public var budget: Change<Satoshis>
    /// `set` makes the order good till date, `clear` good till cancelled.
    public var expiresAt: Change<Timestamp>
    public var minimumFill: Lots?
    public var displayed: Change<Lots>
    public var schedule: Change<DailySchedule>
    /// A pegged order's offset.
    public var offset: Int64?

    public init(
        price: Price? = nil, lots: Lots? = nil, most: Change<Lots> = .keep, targets: [PoolTargetID]? = nil,
        budget: Change<Satoshis> = .keep, expiresAt: Change<Timestamp> = .keep, minimumFill: Lots? = nil,
        displayed: Change<Lots> = .keep, schedule: Change<DailySchedule> = .keep, offset: Int64? = nil
    ) {
        self.price = price
        self.lots = lots
        self.most = most
        self.targets = targets
        self.budget = budget
        self.expiresAt = expiresAt
        self.minimumFill = minimumFill
        self.displayed = displayed
        self.schedule = schedule
        self.offset = offset
    }
}
