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
    case treasury(TreasuryEvent)
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

/// An interval's billable work of a delivery, priced.
public struct SettlementLine: Hashable, Sendable {
    public var delivery: DeliveryID
    public var run: Int64
    public var chunk: Int64
    public var at: Timestamp
    /// Newly billed work.
    public var work: Work
    public var amounts: LineAmounts
    /// Of the buyer's debit: out of the delivery's hold, out of available funds, and borne by the market.
    public var fromHold: Satoshis
    public var fromAvailable: Satoshis
    public var fromLoss: Satoshis

    public init(
        delivery: DeliveryID, run: Int64, chunk: Int64, at: Timestamp, work: Work, amounts: LineAmounts,
        fromHold: Satoshis, fromAvailable: Satoshis, fromLoss: Satoshis
    ) {
        self.delivery = delivery
        self.run = run
        self.chunk = chunk
        self.at = at
        self.work = work
        self.amounts = amounts
        self.fromHold = fromHold
        self.fromAvailable = fromAvailable
        self.fromLoss = fromLoss
    }
}
