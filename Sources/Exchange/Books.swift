internal import Settlement
public import Units

/// What is asked of the market's books (design, section 8).
public enum BooksCommand: Hashable, Sendable {
    /// Bills what is new; takes nothing back.
    case settle(SettlementChunk)
    /// Bills the difference of every total to what is settled, up or down. Of the deliveries that it names, those that are
    /// closed are brought back for it and closed again; `reopenings` is ``Books/reopenings`` as it was where they were read.
    case trueUp(SettlementChunk, [ClosedDelivery], reopenings: Int64)
    /// Books a dispute's outcome.
    case credit(Credit)
    /// Closes the books: nothing gets a value date before `through` any more.
    case closePeriod(through: Timestamp, by: AccountID)
}

/// What happened to the market's books, beside lines and entries.
public enum BooksEvent: Hashable, Sendable {
    /// Closed deliveries are back, with what the state did not have of their orders and totals; until ``Event/deliveryClosed(_:)``.
    case reopened([ClosedDelivery])
    case periodClosed(through: Timestamp, by: AccountID)
}

/// Totals of some deliveries, assessed by one run.
public struct SettlementChunk: Hashable, Sendable {
    public var run: Int64
    public var chunk: Int64
    /// The time that its lines count for: the end of the settled interval less a microsecond. Later than now, it is now; in a
    /// period that is closed, it is that period's end.
    public var valueAt: Timestamp
    /// At most ``mostTotals``; of one delivery's totals the first one counts.
    public var totals: [AssessedTotal]

    public static let mostTotals = 1000

    public init(run: Int64, chunk: Int64, valueAt: Timestamp, totals: [AssessedTotal]) {
        self.run = run
        self.chunk = chunk
        self.valueAt = valueAt
        self.totals = totals
    }
}

/// A delivery's work so far, as assessed.
public struct AssessedTotal: Hashable, Sendable {
    public var delivery: DeliveryID
    /// The interval of what is new and not late, minutes since 1970, the end excluded.
    public var fromMinute: Int64
    public var toMinute: Int64
    /// Cumulative since the delivery's opening.
    public var billable: Work
    /// Cumulative, a part of `billable`: work that the pool refused or did not answer.
    public var fault: Work
    /// Of what is new and no fault, what came after its interval was settled; at most ``mostLate``.
    public var late: [LateWork]
    /// Work that is not billed, to be noted now.
    public var overDelivery: Work
    public var faultExcess: Work
    /// Nothing more is expected: the rest of the hold is free, if the delivery is over.
    public var isFinal: Bool

    public static let mostLate = 64

    public init(
        delivery: DeliveryID, fromMinute: Int64, toMinute: Int64, billable: Work, fault: Work = .zero, late: [LateWork] = [],
        overDelivery: Work = .zero, faultExcess: Work = .zero, isFinal: Bool = false
    ) {
        self.delivery = delivery
        self.fromMinute = fromMinute
        self.toMinute = toMinute
        self.billable = billable
        self.fault = fault
        self.late = late
        self.overDelivery = overDelivery
        self.faultExcess = faultExcess
        self.isFinal = isFinal
    }

    /// Whether its parts contradict each other or no interval is one.
    public var isInconsistent: Bool {
        let intervals = [(fromMinute, toMinute)] + late.map { ($0.fromMinute, $0.toMinute) }
        return billable < .zero || fault < .zero || fault > billable || overDelivery < .zero || faultExcess < .zero
            || late.count > AssessedTotal.mostLate || late.contains { $0.work <= .zero }
            || intervals.contains { !Books.isInterval($0.0, $0.1) }
    }
}

/// Work that came after its interval was settled.
public struct LateWork: Hashable, Sendable {
    /// Minutes since 1970, the end excluded.
    public var fromMinute: Int64
    public var toMinute: Int64
    /// More than zero.
    public var work: Work

    public init(fromMinute: Int64, toMinute: Int64, work: Work) {
        self.fromMinute = fromMinute
        self.toMinute = toMinute
        self.work = work
    }
}

/// A delivery that left the state, with what it is billed by, as the tables have them.
///
/// All of it is read in one transaction, together with ``Books/reopenings``: rows of closed deliveries, and of orders that are
/// closed with nothing to settle, are changed by nothing but another reopening.
public struct ClosedDelivery: Hashable, Sendable {
    /// Ended, nothing held.
    public var delivery: Delivery
    public var key: BillingKey
    public var billing: Billing
    /// nil: still in the state when it was read.
    public var bid: Order?
    public var ask: Order?

    public init(delivery: Delivery, key: BillingKey, billing: Billing, bid: Order?, ask: Order?) {
        self.delivery = delivery
        self.key = key
        self.billing = billing
        self.bid = bid
        self.ask = ask
    }

    /// Whether its parts do not belong together, or are of something that is not over.
    var isInconsistent: Bool {
        delivery.isRunning || delivery.held != .zero || key != delivery.billingKey
            || [(bid, delivery.bid, delivery.buyer), (ask, delivery.ask, delivery.seller)].contains { order, id, owner in
                guard let order else { return false }
                return order.id != id || order.account != owner || order.isAlive || order.unsettled != 0
            }
            || bid?.ask != nil || ask?.bid != nil
    }
}

/// A dispute's outcome in money. No work is billed by it.
public struct Credit: Hashable, Sendable {
    /// ``Books/credits`` + 1: every credit is booked exactly once.
    public var number: Int64
    public var run: Int64
    public var delivery: DeliveryID
    public var buyer: AccountID
    public var seller: AccountID
    /// The interval in dispute, minutes since 1970, the end excluded.
    public var fromMinute: Int64
    public var toMinute: Int64
    /// Above zero the buyer pays the seller, below it the seller the buyer.
    public var charge: Satoshis
    /// The market pays in place of the one who would.
    public var isBorneByMarket: Bool
    public var dispute: Int64
    public var by: AccountID
    /// 1 to 1,000 bytes.
    public var reason: String

    public init(
        number: Int64, run: Int64, delivery: DeliveryID, buyer: AccountID, seller: AccountID, fromMinute: Int64, toMinute: Int64,
        charge: Satoshis, isBorneByMarket: Bool = false, dispute: Int64, by: AccountID, reason: String
    ) {
        self.number = number
        self.run = run
        self.delivery = delivery
        self.buyer = buyer
        self.seller = seller
        self.fromMinute = fromMinute
        self.toMinute = toMinute
        self.charge = charge
        self.isBorneByMarket = isBorneByMarket
        self.dispute = dispute
        self.by = by
        self.reason = reason
    }
}

/// Until when books are closed, and what keeps corrections from being made twice.
public struct Books: Hashable, Sendable {
    /// Nothing gets a value date before it.
    public var closedThrough: Timestamp
    /// How often closed deliveries were brought back.
    public var reopenings: Int64
    /// The number of the last credit.
    public var credits: Int64

    public init(closedThrough: Timestamp = Timestamp(microseconds: 0), reopenings: Int64 = 0, credits: Int64 = 0) {
        self.closedThrough = closedThrough
        self.reopenings = reopenings
        self.credits = credits
    }

    /// The time that something counts for which is said to be of `wanted` and booked at `now`.
    func valueAt(_ wanted: Timestamp, now: Timestamp) -> Timestamp { max(min(wanted, now), closedThrough) }

    /// Whether minutes since 1970 are an interval of this age of the world.
    static func isInterval(_ from: Int64, _ to: Int64) -> Bool { 0 <= from && from < to && to <= 1_000_000_000 }
}
