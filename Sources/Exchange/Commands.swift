public import OrderBook
public import Units

/// A command with the key that makes it safe to repeat.
public struct CommandEnvelope: Hashable, Sendable {
    public var command: Command
    public var idempotency: Idempotency?

    public struct Idempotency: Hashable, Sendable {
        public var key: AnswerKey
        /// Digest of the request's body; the same key with another digest is refused.
        public var digest: [UInt8]

        public init(key: AnswerKey, digest: [UInt8]) {
            self.key = key
            self.digest = digest
        }
    }

    public init(_ command: Command, idempotency: Idempotency? = nil) {
        self.command = command
        self.idempotency = idempotency
    }
}

/// What can be asked of the market's single writer.
public enum Command: Hashable, Sendable {
    /// Fixes the market's rules; the first command of a journal.
    case defineMarket(MarketRules)
    /// Credits money that arrived in custody. `reference` is unique with its payer (wire or transaction id).
    case deposit(account: AccountID, amount: Satoshis, reference: String)
    case createPoolTarget(owner: AccountID, name: String, url: String, user: String, password: String)
    /// What verification found out. A verified target revives bids that waited for it.
    case recordVerification(target: PoolTargetID, status: PoolStatus)
    /// `passwordDigest`: SHA-256 of the Stratum password.
    case registerRig(owner: AccountID, name: String, passwordDigest: [UInt8], fallback: PoolTargetID)
    case placeBid(PlaceBid)
    case placeAsk(PlaceAsk)
    /// `by` is nil for the market's staff.
    case cancelOrder(OrderID, by: AccountID?)
    case rigOnline(RigID, edge: EdgeID, session: Int64, versionMask: UInt32)
    case rigOffline(RigID, session: Int64)
    /// A long average by verified shares, sent on material change only.
    case rigMeasured(RigID, session: Int64, Hashrate)
    /// The edge found none of the delivery's pools usable.
    case poolsUnusable(DeliveryID, reason: String)
    /// The edge measured less than 80 % of what was sold over 10 minutes.
    case underDelivered(DeliveryID, Hashrate)
    /// The edge's process began anew: all its rigs are away until they say otherwise.
    case edgeStarted(EdgeID)
    /// Cumulative billable work of some deliveries, at most 1,000. As before there were charge codes; ``BooksCommand/settle(_:)``
    /// says more.
    case settle(run: Int64, chunk: Int64, [DeliveryTotal])
    /// Lets time pass: terms, absences, expiries, schedules, new prices of pegged orders, and holds that are due.
    case advance
    /// `by` is nil for the market's staff.
    case amendOrder(OrderID, by: AccountID?, Amendment)
    /// Cancels all live orders of an account, or those of one side.
    case cancelAll(AccountID, Side?)
    /// Cancels all orders of an account unless this is sent again in time; nil disarms it.
    case cancelAllAfter(AccountID, Interval?)
    case setPhase(MarketPhase)
    /// Rules from a later time on; what prices and lots mean must stay. Replaces what was planned for that time.
    case scheduleRules(MarketRules, effectiveAt: Timestamp)
    case publishIndex(IndexPrice)
    case createFarm(owner: AccountID, name: String)
    /// Puts a rig into a farm of its owner, or takes it out of any.
    case assignRig(RigID, owner: AccountID, FarmID?)
    /// Asks for each rig of the farm that has no ask of its own; offered again, changes those asks.
    case offerFarm(FarmID, owner: AccountID, FarmOffer)
    /// Cancels the farm's offer and its rigs' asks that came from it.
    case withdrawFarm(FarmID, owner: AccountID?)
    case fleet(FleetCommand)
    /// A share met the network's target.
    case blockFound(BlockReport)
    /// What the pool said to it, by the header's hash.
    case blockJudged([UInt8], BlockVerdict, poolError: Int64)
    case books(BooksCommand)
}

public struct PlaceBid: Hashable, Sendable {
    public var account: AccountID
    public var clientOrderID: String?
    /// The fixed price, or the cap of a pegged one.
    public var price: Price
    public var lots: Lots
    public var targets: [PoolTargetID]
    public var budget: Satoshis?
    public var instructions: Instructions

    public init(
        account: AccountID, clientOrderID: String? = nil, price: Price, lots: Lots, targets: [PoolTargetID],
        budget: Satoshis? = nil, instructions: Instructions = Instructions()
    ) {
        self.account = account
        self.clientOrderID = clientOrderID
        self.price = price
        self.lots = lots
        self.targets = targets
        self.budget = budget
        self.instructions = instructions
    }
}

public struct PlaceAsk: Hashable, Sendable {
    public var account: AccountID
    public var clientOrderID: String?
    /// The reserve, or the floor of a pegged price.
    public var price: Price
    public var rig: RigID
    /// The most lots to sell; nil: all that the rig measures.
    public var most: Lots?
    public var instructions: Instructions
    public var schedule: DailySchedule?

    public init(
        account: AccountID, clientOrderID: String? = nil, price: Price, rig: RigID, most: Lots? = nil,
        instructions: Instructions = Instructions(), schedule: DailySchedule? = nil
    ) {
        self.account = account
        self.clientOrderID = clientOrderID
        self.price = price
        self.rig = rig
        self.most = most
        self.instructions = instructions
        self.schedule = schedule
    }
}

/// A delivery's billable work so far, as metered and capped.
public struct DeliveryTotal: Hashable, Sendable {
    public var delivery: DeliveryID
    /// Cumulative since its opening.
    public var billableWork: Work
    /// The edge's reports have passed the delivery's end: nothing more comes, the rest of the hold is free.
    public var isFinal: Bool

    public init(delivery: DeliveryID, billableWork: Work, isFinal: Bool) {
        self.delivery = delivery
        self.billableWork = billableWork
        self.isFinal = isFinal
    }
}

/// What came of a command.
public enum Outcome: Hashable, Sendable {
    case done
    case poolTarget(PoolTargetID)
    case rig(RigID, user: String)
    case order(OrderID)
    /// A ledger entry, by its number.
    case entry(Int64)
    case farm(FarmID)
    /// So many orders were cancelled.
    case cancelled(Int64)
    case rejected(Rejection)
}

/// Why a command was refused; nothing was changed. The raw values are stored, the codes are public and stable.
public enum Rejection: UInt8, Error, Hashable, Sendable, CaseIterable {
    case marketUndefined = 1
    case marketAlreadyDefined = 2
    case rulesInvalid = 3
    case amountOutOfRange = 4
    case duplicateReference = 5
    case textTooLong = 6
    case poolTargetUnknown = 7
    case poolTargetUnverified = 8
    case targetCountOutOfRange = 9
    case rigUnknown = 10
    case rigNameTaken = 11
    case rigNameInvalid = 12
    case rigAlreadyOffered = 13
    case priceOutsideBand = 14
    case priceOffTick = 15
    case lotsOutOfRange = 16
    case orderValueTooSmall = 17
    case budgetOutOfRange = 18
    case insufficientFunds = 19
    case duplicateClientOrderID = 20
    case orderUnknown = 21
    case orderClosed = 22
    case deliveryUnknown = 23
    case staleSession = 24
    case idempotencyKeyReused = 25
    case tooManyTotals = 26
    case passwordInvalid = 27
    case marketCancelOnly = 28
    case marketHalted = 29
    case wouldMatch = 30
    case cannotFillWhole = 31
    case minimumFillOutOfRange = 32
    case displayedOutOfRange = 33
    case expiryOutOfRange = 34
    case instructionsContradict = 35
    case offsetOutOfRange = 36
    case lotsBelowDelivering = 37
    case tooManyOrders = 38
    case scheduleInvalid = 39
    case farmUnknown = 40
    case farmNotOffered = 41
    case silenceOutOfRange = 42
    case effectiveTimeOutOfRange = 43
    case nothingToAmend = 44
    case amendmentNotApplicable = 45
    case tooManyPoolTargets = 46
    case tooManyRigs = 47
    case tooManyFarms = 48
    case farmLoginUnknown = 60
    case farmLoginIncomplete = 61
    case farmLoginNameTaken = 62
    case farmLoginNameFixed = 63
    case farmFull = 64
    case mostRigsOutOfRange = 65
    case curtailmentOutOfRange = 66
    case farmNotCurtailed = 67
    case blockInvalid = 68
    case totalInconsistent = 70
    case staleReopening = 71
    case reopeningInvalid = 72
    case creditOutOfOrder = 73
    case creditInvalid = 74
    case closingTimeInvalid = 75
    case deliveriesUnsettled = 76

    /// Stable code for people and programs.
    public var code: String { "\(self)" }

    /// What to do about it, in a sentence.
    public var explanation: String {
        switch self {
        case .marketUndefined: "The market has no rules yet."
        case .marketAlreadyDefined: "The market's rules are fixed already."
        case .rulesInvalid: "The market's rules contradict each other."
        case .amountOutOfRange: "The amount must be at least 1 satoshi and at most 21 million bitcoin in all."
        case .duplicateReference: "A deposit with this reference is booked already."
        case .textTooLong: "A name, URL, user, password or key is empty, too long, or has a NUL character."
        case .poolTargetUnknown: "The account has no such pool target."
        case .poolTargetUnverified: "None of the pool targets is verified; verify one first."
        case .targetCountOutOfRange: "A bid names 1 to 8 different pool targets."
        case .rigUnknown: "The account has no such rig."
        case .rigNameTaken: "The account has a rig of this name already."
        case .rigNameInvalid: "A rig's name has 1 to 32 letters, digits, dashes or underscores."
        case .rigAlreadyOffered: "The rig has a live ask; cancel it first."
        case .priceOutsideBand: "The price is not from the market's lowest price to its highest price."
        case .priceOffTick: "The price is not a multiple of the market's tick."
        case .lotsOutOfRange: "The lots must be at least 1 and at most the market's most lots of an order."
        case .orderValueTooSmall: "The order is worth less over a term than the market's minimum order value."
        case .budgetOutOfRange: "The budget must be at least 1 satoshi, and not below what the bid has spent and holds."
        case .insufficientFunds: "The available funds or the budget do not pay for the shortest delivery of the order."
        case .duplicateClientOrderID: "A live order of the account has this client order id."
        case .orderUnknown: "The account has no such order."
        case .orderClosed: "The order is closed already."
        case .deliveryUnknown: "There is no such delivery that could still change."
        case .staleSession: "A newer session of the rig is known."
        case .idempotencyKeyReused: "This idempotency key was used with another request."
        case .tooManyTotals: "A settlement chunk has at most 1,000 totals."
        case .passwordInvalid: "A password digest has 32 bytes."
        case .marketCancelOnly: "The market only takes cancellations and changes that keep an order's priority at the moment."
        case .marketHalted: "The market is halted; orders cannot be changed at the moment."
        case .wouldMatch: "The order is post-only and would match at once; nothing was placed."
        case .cannotFillWhole: "The order cannot be filled as a whole now; nothing was placed."
        case .minimumFillOutOfRange: "The minimum fill must be at least 1 lot and at most the order's lots."
        case .displayedOutOfRange: "The displayed lots must be at least the minimum fill and at most the order's lots."
        case .expiryOutOfRange: "The expiry must be at least the shortest term and at most ten years from now."
        case .instructionsContradict:
            """
            Instructions exclude each other: good-till-date needs an expiry and others have none; immediate orders are not \
            post-only, not iceberg and not pegged; pegged orders are not post-only; asks with a schedule or of a farm are not immediate.
            """
        case .offsetOutOfRange: "The offset of a pegged price is too large."
        case .lotsBelowDelivering: "The order delivers more lots than that; cancel it, or wait for deliveries to end."
        case .tooManyOrders: "The account has as many live orders as the market allows."
        case .scheduleInvalid: "A daily schedule has 1 to 8 windows of minutes 0 to 1440, none of them empty."
        case .farmUnknown: "The account has no such farm."
        case .farmNotOffered: "The farm is not offered."
        case .silenceOutOfRange: "The time until all orders are cancelled must be 1 second to 1 day."
        case .effectiveTimeOutOfRange: """
            Rules take effect in the future, within ten years, and at most 16 times are planned; an index is of the last day.
            """
        case .nothingToAmend: "The amendment changes nothing."
        case .tooManyPoolTargets: "The account has as many pool targets as the market allows: 1,000."
        case .tooManyRigs: "The account has as many rigs as the market allows it orders, and at least 100."
        case .tooManyFarms: "The account has as many farms as the market allows: 1,000."
        case .farmLoginUnknown: "The farm has no login of its own."
        case .farmLoginIncomplete: "A farm's new login needs a name, a password and a fallback pool target."
        case .farmLoginNameTaken: "The account has a farm with a login of this name already."
        case .farmLoginNameFixed: "The name of a farm's login cannot be changed: its rigs are named after it."
        case .farmFull: "The farm has as many rigs as its login allows."
        case .mostRigsOutOfRange: "A farm's login allows 1 to 100,000 rigs."
        case .curtailmentOutOfRange: """
            A curtailment's cap is at least 0 lots, its ramp at most a day, and its end in the future, within ten years.
            """
        case .farmNotCurtailed: "The farm is not curtailed."
        case .blockInvalid: "A block has a hash of 32 bytes and a header of 80 bytes, and is judged after it was found."
        case .totalInconsistent: "A total's work or intervals contradict each other."
        case .staleReopening: "Closed deliveries were corrected since these were read; read them again."
        case .reopeningInvalid: "A delivery to be corrected is not a closed one, or its orders or totals are not its own."
        case .creditOutOfOrder: "Credits are booked one after the other, each exactly once; this is not the next one."
        case .creditInvalid: "A credit names a delivery with its buyer and seller, and an interval."
        case .closingTimeInvalid: "Books are closed through a whole minute in the past that is later than where they are closed."
        case .deliveriesUnsettled: "Deliveries of the period are not settled to the end."
        case .amendmentNotApplicable: "The amendment names a field that this order does not have."
        }
    }
}
