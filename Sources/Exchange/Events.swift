public import Ledger
public import Settlement
public import Units

/// What happened: the only thing that changes the market's state.
public enum Event: Hashable, Sendable {
    case marketDefined(MarketRules)
    case entryPosted(LedgerEntry)
    case poolTargetCreated(PoolTarget)
    case poolTargetChanged(PoolTargetID, PoolStatus)
    case rigRegistered(Rig)
    case rigOnline(RigID, edge: EdgeID, session: Int64, versionMask: UInt32)
    case rigOffline(RigID, at: Timestamp)
    case rigMeasured(RigID, Hashrate)
    case orderPlaced(Order)
    /// An ask offers so many lots from now on.
    case askOffered(OrderID, Lots)
    case orderSuspended(OrderID, SuspensionReason)
    /// Back in the book; a new stamp when its own side caused the absence.
    case orderResumed(OrderID, stamp: Int64)
    /// Time priority was lost.
    case orderStamped(OrderID, stamp: Int64)
    case orderClosed(OrderID, CloseReason)
    case deliveryOpened(Delivery)
    case deliveryEnded(DeliveryID, at: Timestamp, EndCause)
    case lineSettled(SettlementLine)
    /// Settled to the end; nothing of the hold is left.
    case deliveryClosed(DeliveryID)
    case answerRecorded(AnswerKey, RecordedAnswer)
    /// The order as it is now.
    case orderAmended(Order)
    /// Pegged orders' new prices, by order.
    case ordersRepriced([Repricing])
    case phaseChanged(MarketPhase)
    case rulesScheduled(ScheduledRules)
    /// Planned rules took effect.
    case rulesChanged(ScheduledRules)
    case indexPublished(IndexPrice)
    case farmCreated(Farm)
    case rigAssigned(RigID, FarmID?)
    case farmOffered(FarmID, FarmOffer?)
    /// What was left of a delivery's hold went back; it is not settled to the end yet.
    case holdReleased(DeliveryID)
    /// When an account's orders are cancelled unless it is heard of; nil: never.
    case silenceSet(AccountID, Timestamp?)
    case fleet(FleetEvent)
    case blockFound(Block)
    case blockJudged(BlockID, BlockVerdict, poolError: Int64)
    case books(BooksEvent)
}

/// A pegged order's new price and place.
public struct Repricing: Hashable, Sendable {
    public var order: OrderID
    public var price: Price
    public var stamp: Int64

    public init(order: OrderID, price: Price, stamp: Int64) {
        self.order = order
        self.price = price
        self.stamp = stamp
    }
}

/// An interval's work of a delivery, priced; or a credit.
public struct SettlementLine: Hashable, Sendable {
    public var delivery: DeliveryID
    public var run: Int64
    public var chunk: Int64
    /// When it was booked.
    public var at: Timestamp
    /// The time that it counts for: says its period.
    public var valueAt: Timestamp
    public var code: ChargeCode
    /// The interval of the work, minutes since 1970, the end excluded.
    public var fromMinute: Int64
    public var toMinute: Int64
    /// Newly billed work, below zero when it is taken back; work that is not billed, when the code says so.
    public var work: Work
    public var amounts: LineAmounts
    /// Of the buyer's debit: out of the delivery's hold, out of available funds (below zero: given back), and borne by the
    /// market (below zero: what the market had borne and need not any more).
    public var fromHold: Satoshis
    public var fromAvailable: Satoshis
    public var fromLoss: Satoshis
    /// Of proceeds that are taken back, what the market bears (below zero: what it gets back out of later proceeds). The seller's
    /// available funds change by the proceeds and this.
    public var sellerShort: Satoshis
    /// The number of the credit, with that code.
    public var credit: Int64?

    /// - Parameters: without a value date or an interval, those of the booking
    public init(
        delivery: DeliveryID, run: Int64, chunk: Int64, at: Timestamp, valueAt: Timestamp? = nil, code: ChargeCode = .delivery,
        fromMinute: Int64? = nil, toMinute: Int64? = nil, work: Work, amounts: LineAmounts, fromHold: Satoshis,
        fromAvailable: Satoshis, fromLoss: Satoshis, sellerShort: Satoshis = .zero, credit: Int64? = nil
    ) {
        self.delivery = delivery
        self.run = run
        self.chunk = chunk
        self.at = at
        self.valueAt = valueAt ?? at
        self.code = code
        self.fromMinute = fromMinute ?? at.minute
        self.toMinute = toMinute ?? at.minute + 1
        self.work = work
        self.amounts = amounts
        self.fromHold = fromHold
        self.fromAvailable = fromAvailable
        self.fromLoss = fromLoss
        self.sellerShort = sellerShort
        self.credit = credit
    }
}
