public import OrderBook
public import Settlement
public import Units

/// What a pool turned out to be able to do when it was verified.
public struct PoolCapabilities: Hashable, Sendable {
    /// Bytes of extranonce2 that the pool gives.
    public var extranonce2Size: Int64
    /// Version bits that may be rolled (BIP 310); 0 when the pool does not know version rolling.
    public var versionMask: UInt32
    /// The difficulty it starts with, as it wrote it.
    public var difficulty: String

    public init(extranonce2Size: Int64, versionMask: UInt32, difficulty: String) {
        self.extranonce2Size = extranonce2Size
        self.versionMask = versionMask
        self.difficulty = difficulty
    }
}

/// Whether a pool target may be used.
public enum PoolStatus: Hashable, Sendable {
    case unverified
    case verified(PoolCapabilities)
    /// Verification failed, or the pool failed in use; the reason is for its owner.
    case failed(reason: String)
}

/// A pool's URL, user and password, as registered by an account.
public struct PoolTarget: Hashable, Sendable {
    public var id: PoolTargetID
    public var owner: AccountID
    public var name: String
    public var url: String
    public var user: String
    public var password: String
    public var status: PoolStatus

    public init(
        id: PoolTargetID, owner: AccountID, name: String, url: String, user: String, password: String,
        status: PoolStatus
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.url = url
        self.user = user
        self.password = password
        self.status = status
    }
}

/// Where a rig is connected.
public enum RigPresence: Hashable, Sendable {
    /// Not connected since `since`; 0 when it never was.
    case offline(since: Timestamp)
    /// Connected to `edge`. `versionMask` holds the version bits it rolls, fixed for the session, and what else it can do
    /// (`RigAbilities`).
    case online(edge: EdgeID, session: Int64, versionMask: UInt32)
}

/// A miner connection's identity and what is known of it.
public struct Rig: Hashable, Sendable {
    public var id: RigID
    public var owner: AccountID
    /// The Stratum user name, unique in the market.
    public var user: String
    /// SHA-256 of the Stratum password.
    public var passwordDigest: [UInt8]
    public var fallback: PoolTargetID
    public var presence: RigPresence
    /// The highest session number seen; reports of older sessions are ignored.
    public var lastSession: Int64
    /// Long average by verified shares; 0 before it is known.
    public var measured: Hashrate
    /// The rig's live ask.
    public var ask: OrderID?
    /// The group of rigs it belongs to.
    public var farm: FarmID?

    public init(
        id: RigID, owner: AccountID, user: String, passwordDigest: [UInt8], fallback: PoolTargetID,
        presence: RigPresence = .offline(since: Timestamp(microseconds: 0)), lastSession: Int64 = 0,
        measured: Hashrate = Hashrate(hashesPerSecond: 0), ask: OrderID? = nil, farm: FarmID? = nil
    ) {
        self.id = id
        self.owner = owner
        self.user = user
        self.passwordDigest = passwordDigest
        self.fallback = fallback
        self.presence = presence
        self.lastSession = lastSession
        self.measured = measured
        self.ask = ask
        self.farm = farm
    }

    public var isOnline: Bool {
        switch presence {
        case .online: true
        case .offline: false
        }
    }
}

/// Why an order is not in the book although it is alive.
public enum SuspensionReason: UInt8, Sendable, CaseIterable {
    /// The ask's rig is not connected.
    case rigOffline = 1
    /// The ask's rig has not shown its hashrate yet (30 shares), or hashes less than a lot.
    case rigUnmeasured = 2
    /// Neither the bid's budget nor the account can pay for the shortest delivery.
    case insufficientFunds = 3
    /// None of the bid's pools works; one must verify.
    case poolsUnusable = 4
    /// It is not for sale at this time of day.
    case outsideSchedule = 5
    /// The price that a pegged order follows is not there: nobody bids or asks at a fixed price, or there is no index.
    case noReference = 6
    /// All that the ask's rig hashes is still sold under an earlier ask that is closed.
    case rigBusy = 7
    /// Its farm is curtailed, and the rig is one of those that were cut.
    case curtailed = 8
}

/// Why an order ended.
public enum CloseReason: UInt8, Sendable, CaseIterable {
    case cancelled = 1
    /// The rest of an immediate-or-cancel order.
    case immediateRemainder = 2
    /// The budget is spent.
    case budgetSpent = 3
    /// It met an order of its own account.
    case selfTrade = 4
    /// Its date has come.
    case expired = 5
    /// Its account was silent for longer than it had agreed to (``Command/cancelAllAfter(_:_:)``).
    case silence = 6
    /// Its rig left the farm that it was offered with.
    case leftFarm = 7
}

/// Where an order is in its life.
public enum OrderStatus: Hashable, Sendable {
    /// In the book with its open lots, or wholly delivering.
    case active
    case suspended(SuspensionReason)
    /// Takes no more fills; deliveries may still be running out (immediate-or-cancel) or unsettled.
    case closed(CloseReason)
}

/// The bid's side of an order.
public struct BidDetails: Hashable, Sendable {
    /// The buyer's pools, first choice first; 1 to 8.
    public var targets: [PoolTargetID]
    /// The most that the bid may cost, fees included; nil: what the account has.
    public var budget: Satoshis?
    /// Charged so far, fees included.
    public var spent: Satoshis

    public init(targets: [PoolTargetID], budget: Satoshis?, spent: Satoshis = .zero) {
        self.targets = targets
        self.budget = budget
        self.spent = spent
    }
}

/// The ask's side of an order: one rig.
public struct AskDetails: Hashable, Sendable {
    public var rig: RigID
    /// The most lots to sell; nil: all that the rig measures.
    public var most: Lots?
    /// nil: at all times.
    public var schedule: DailySchedule?
    /// The farm whose offer it belongs to.
    public var farm: FarmID?

    public init(rig: RigID, most: Lots?, schedule: DailySchedule? = nil, farm: FarmID? = nil) {
        self.rig = rig
        self.most = most
        self.schedule = schedule
        self.farm = farm
    }
}

/// What a farm's owner asks for each of its rigs.
public struct FarmOffer: Hashable, Sendable {
    /// The reserve, or the floor of a pegged price.
    public var price: Price
    /// The most lots to sell of each rig; nil: all that it measures.
    public var most: Lots?
    public var instructions: Instructions
    public var schedule: DailySchedule?

    public init(
        price: Price, most: Lots? = nil, instructions: Instructions = Instructions(), schedule: DailySchedule? = nil
    ) {
        self.price = price
        self.most = most
        self.instructions = instructions
        self.schedule = schedule
    }
}

/// A seller's group of rigs.
public struct Farm: Hashable, Sendable {
    public var id: FarmID
    public var owner: AccountID
    public var name: String
    /// Stands for one ask on each of its rigs, also of those that join later; nil while it is not offered as a whole.
    public var offer: FarmOffer?

    public init(id: FarmID, owner: AccountID, name: String, offer: FarmOffer? = nil) {
        self.id = id
        self.owner = owner
        self.name = name
        self.offer = offer
    }
}

public enum OrderDetails: Hashable, Sendable {
    case bid(BidDetails)
    case ask(AskDetails)
}

/// An order to buy or sell hashrate.
///
/// lots = open + delivering while it is active. Hashrate comes back: when a delivery ends, its lots are open again.
public struct Order: Hashable, Sendable {
    public var id: OrderID
    public var account: AccountID
    public var clientOrderID: String?
    /// What it bids or asks now: the limit, or a pegged order's present price.
    public var price: Price
    /// The price it was given: of a pegged bid the cap, of a pegged ask the floor.
    public var limit: Price
    /// A bid's size; what an ask offers now (0 while its rig is unmeasured).
    public var lots: Lots
    /// Lots in running deliveries.
    public var delivering: Lots
    /// Of an iceberg's open lots, those that are displayed; of other orders 0 (all are).
    public var shown: Lots
    /// Time priority, lower first.
    public var stamp: Int64
    /// The stamp that it came, or came anew, with: of two orders the one with the lower counts as the resting one.
    /// An iceberg's next part has a later ``stamp``, but was there all the time.
    public var since: Int64
    public var instructions: Instructions
    public var status: OrderStatus
    public var details: OrderDetails
    public var placedAt: Timestamp
    /// Deliveries of this order that are not settled to the end.
    public var unsettled: Int64

    public init(
        id: OrderID, account: AccountID, clientOrderID: String? = nil, price: Price, limit: Price? = nil, lots: Lots,
        delivering: Lots = .zero, shown: Lots = .zero, stamp: Int64, since: Int64? = nil,
        instructions: Instructions = Instructions(), status: OrderStatus = .active, details: OrderDetails,
        placedAt: Timestamp, unsettled: Int64 = 0
    ) {
        self.id = id
        self.account = account
        self.clientOrderID = clientOrderID
        self.price = price
        self.limit = limit ?? price
        self.lots = lots
        self.delivering = delivering
        self.shown = shown
        self.stamp = stamp
        self.since = since ?? stamp
        self.instructions = instructions
        self.status = status
        self.details = details
        self.placedAt = placedAt
        self.unsettled = unsettled
    }

    public var side: Side {
        switch details {
        case .bid: .bid
        case .ask: .ask
        }
    }

    public var bid: BidDetails? {
        switch details {
        case .bid(let bid): bid
        case .ask: nil
        }
    }

    public var ask: AskDetails? {
        switch details {
        case .bid: nil
        case .ask(let ask): ask
        }
    }

    /// Lots that may be filled now.
    public var open: Lots {
        switch status {
        case .active: lots - delivering
        case .suspended, .closed: .zero
        }
    }

    public var isAlive: Bool {
        switch status {
        case .active, .suspended: true
        case .closed: false
        }
    }
}

/// Why a delivery ended.
public enum EndCause: UInt8, Sendable, CaseIterable {
    case term = 1
    case bidClosed = 2
    case askClosed = 3
    case rigAway = 4
    case underDelivery = 5
    case poolsUnusable = 6
    /// What the buyer could set aside is used up.
    case fundsSpent = 7
    /// The ask's daily schedule closed.
    case askPaused = 8
    /// Its rig was cut: the farm is curtailed.
    case curtailed = 9
}

/// Where a delivery is in its life.
public enum DeliveryPhase: Hashable, Sendable {
    case running
    /// Over; late reports may still come. The hold stands.
    case ended(at: Timestamp, cause: EndCause)
}

/// One rig's lots flowing to one buyer's pool, for at most one term.
public struct Delivery: Hashable, Sendable {
    public var id: DeliveryID
    public var bid: OrderID
    public var ask: OrderID
    public var rig: RigID
    public var buyer: AccountID
    public var seller: AccountID
    public var lots: Lots
    /// Sold hashrate.
    public var hashrate: Hashrate
    public var terms: Terms
    /// Number of the market's fees at the fill.
    public var tariff: Int64
    public var openedAt: Timestamp
    /// End of the term, or earlier for want of funds.
    public var expiresAt: Timestamp
    /// The buyer's funds allowed less time than the orders.
    public var isShortened: Bool
    /// The highest difficulty that may be assigned with its jobs.
    public var maxDifficulty: ShareDifficulty
    /// Work billed above sold hashrate x time x 1.05 at most: 20 shares of the highest difficulty.
    public var allowance: Work
    /// Set aside at the opening.
    public var hold: Satoshis
    /// What is left of the hold.
    public var held: Satoshis
    /// Billable work that is settled.
    public var settledWork: Work
    /// Of it, work during faults of the buyer's pool.
    public var settledFault: Work
    /// Charged so far, without fees. Lines that take work back may round the other way than those that billed it.
    public var charged: Satoshis
    /// Of the buyer's debits so far, what the market bore.
    public var unpaid: Satoshis
    /// Of proceeds that were taken back so far, what the market bore.
    public var unrecovered: Satoshis
    public var phase: DeliveryPhase

    public init(
        id: DeliveryID, bid: OrderID, ask: OrderID, rig: RigID, buyer: AccountID, seller: AccountID, lots: Lots,
        hashrate: Hashrate, terms: Terms, tariff: Int64 = 1, openedAt: Timestamp, expiresAt: Timestamp, isShortened: Bool = false,
        maxDifficulty: ShareDifficulty, allowance: Work, hold: Satoshis, held: Satoshis, settledWork: Work = .zero,
        settledFault: Work = .zero, charged: Satoshis = .zero, unpaid: Satoshis = .zero, unrecovered: Satoshis = .zero,
        phase: DeliveryPhase = .running
    ) {
        self.id = id
        self.bid = bid
        self.ask = ask
        self.rig = rig
        self.buyer = buyer
        self.seller = seller
        self.lots = lots
        self.hashrate = hashrate
        self.terms = terms
        self.tariff = tariff
        self.openedAt = openedAt
        self.expiresAt = expiresAt
        self.isShortened = isShortened
        self.maxDifficulty = maxDifficulty
        self.allowance = allowance
        self.hold = hold
        self.held = held
        self.settledWork = settledWork
        self.settledFault = settledFault
        self.charged = charged
        self.unpaid = unpaid
        self.unrecovered = unrecovered
        self.phase = phase
    }

    public var isRunning: Bool { phase == .running }

    /// The most work that is billed by `time`.
    public func workCap(at time: Timestamp, algorithm: Algorithm) -> Work {
        let until: Timestamp
        switch phase {
        case .running: until = min(time, expiresAt)
        case .ended(let end, _): until = min(time, end)
        }
        return Tariff.workCap(hashrate, elapsed: until - openedAt, allowance: allowance, algorithm: algorithm)
    }

    /// The most work over its whole term: what routes carry and what the hold covers.
    public func maxWork(algorithm: Algorithm) -> Work {
        Tariff.workCap(hashrate, elapsed: expiresAt - openedAt, allowance: allowance, algorithm: algorithm)
    }
}

/// Names the cumulative totals that billing rounds on: a bid, an ask and a rig under one tariff.
public struct BillingKey: Hashable, Comparable, Sendable {
    public var bid: OrderID
    public var ask: OrderID
    public var rig: RigID
    /// When fees change, deliveries of later fills have totals of their own.
    public var tariff: Int64

    public init(bid: OrderID, ask: OrderID, rig: RigID, tariff: Int64 = 1) {
        self.bid = bid
        self.ask = ask
        self.rig = rig
        self.tariff = tariff
    }

    public static func < (a: BillingKey, b: BillingKey) -> Bool {
        (a.bid, a.ask, a.rig, a.tariff) < (b.bid, b.ask, b.rig, b.tariff)
    }
}

/// Cumulative totals of one ``BillingKey``, with its fees.
public struct Billing: Hashable, Sendable {
    public var totals: BillingTotals
    public var sellerFee: PartsPerMillion
    public var buyerFee: PartsPerMillion
    /// Deliveries that are not settled to the end.
    public var unsettled: Int64

    public init(totals: BillingTotals, sellerFee: PartsPerMillion, buyerFee: PartsPerMillion, unsettled: Int64) {
        self.totals = totals
        self.sellerFee = sellerFee
        self.buyerFee = buyerFee
        self.unsettled = unsettled
    }
}

/// Names a deposit: the same money is never credited twice.
public struct DepositKey: Hashable, Comparable, Sendable {
    public var account: AccountID
    /// The payment's own name, e.g. a wire's or transaction's id; 1 to 128 bytes.
    public var reference: String

    public init(account: AccountID, reference: String) {
        self.account = account
        self.reference = reference
    }

    public static func < (a: DepositKey, b: DepositKey) -> Bool { (a.account, a.reference) < (b.account, b.reference) }
}

/// Names a remembered answer.
public struct AnswerKey: Hashable, Comparable, Sendable {
    public var account: AccountID
    /// The client's `Idempotency-Key`, at most 64 bytes.
    public var key: String

    public init(account: AccountID, key: String) {
        self.account = account
        self.key = key
    }

    public static func < (a: AnswerKey, b: AnswerKey) -> Bool { (a.account, a.key) < (b.account, b.key) }
}

/// The answer to a command that came with an idempotency key.
public struct RecordedAnswer: Hashable, Sendable {
    /// Order of recording, oldest first out.
    public var number: Int64
    /// Digest of the request's body.
    public var digest: [UInt8]
    public var outcome: Outcome

    public init(number: Int64, digest: [UInt8], outcome: Outcome) {
        self.number = number
        self.digest = digest
        self.outcome = outcome
    }
}

/// The next number of everything that is numbered; all start at 1.
public struct Counters: Hashable, Sendable {
    public var order: Int64 = 1
    public var delivery: Int64 = 1
    public var rig: Int64 = 1
    public var target: Int64 = 1
    public var entry: Int64 = 1
    public var stamp: Int64 = 1
    public var answer: Int64 = 1
    public var farm: Int64 = 1
    /// The present fees' number.
    public var tariff: Int64 = 1

    public init() {}
}

/// What the market lets people do.
public enum MarketPhase: UInt8, Sendable, CaseIterable {
    case open = 1
    /// Orders can be cancelled and made smaller; nothing is matched. Running deliveries go on to their ends.
    case cancelOnly = 2
    /// Orders cannot be touched. Running deliveries go on to their ends.
    case halted = 3
}

/// Rules that take effect later.
public struct ScheduledRules: Hashable, Sendable {
    public var rules: MarketRules
    public var effectiveAt: Timestamp

    public init(rules: MarketRules, effectiveAt: Timestamp) {
        self.rules = rules
        self.effectiveAt = effectiveAt
    }
}

/// A published index price.
public struct IndexPrice: Hashable, Sendable {
    public var price: Price
    /// The end of the time it was made from.
    public var at: Timestamp

    public init(price: Price, at: Timestamp) {
        self.price = price
        self.at = at
    }
}

/// Where the market as a whole stands.
public struct MarketStatus: Hashable, Sendable {
    public var phase: MarketPhase
    /// By time; at most ``mostScheduled``.
    public var scheduled: [ScheduledRules]
    public var index: IndexPrice?

    public init(phase: MarketPhase = .open, scheduled: [ScheduledRules] = [], index: IndexPrice? = nil) {
        self.phase = phase
        self.scheduled = scheduled
        self.index = index
    }

    static let mostScheduled = 16
}
