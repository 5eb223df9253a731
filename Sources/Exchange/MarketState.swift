public import Ledger
public import OrderBook
public import Units
internal import BinaryCoding
internal import Settlement

/// Everything that a market's single writer holds. Only events change it (``evolve(_:)``).
///
/// The entities are stored in tables; the rest is derived from them and rebuilt by ``init(restoring:)``.
public struct MarketState: Sendable {
    public internal(set) var rules: MarketRules?
    /// What the market trades; without rules there is nothing that depends on it.
    public var algorithm: Algorithm { rules?.algorithm ?? .sha256d }
    public internal(set) var status = MarketStatus()
    public internal(set) var counters = Counters()
    public internal(set) var books = Books()
    public internal(set) var targets = EntityTable<PoolTargetID, PoolTarget>()
    public internal(set) var rigs = EntityTable<RigID, Rig>()
    /// Orders that are alive, or have deliveries to settle.
    public internal(set) var orders = EntityTable<OrderID, Order>()
    /// Deliveries that are running, or not settled to the end.
    public internal(set) var deliveries = EntityTable<DeliveryID, Delivery>()
    public internal(set) var billings = EntityTable<BillingKey, Billing>()
    public internal(set) var balances = EntityTable<LedgerAccount, Satoshis>()
    public internal(set) var deposits = EntityTable<DepositKey, Satoshis>()
    public internal(set) var answers = EntityTable<AnswerKey, RecordedAnswer>()
    public internal(set) var farms = EntityTable<FarmID, Farm>()
    /// When the orders of accounts are cancelled that asked for it and are not heard of until then.
    public internal(set) var silences = EntityTable<AccountID, Timestamp>()

    public internal(set) var farmLogins = EntityTable<FarmID, FarmLogin>()
    public internal(set) var curtailments = EntityTable<FarmID, Curtailment>()
    /// Rigs that may not hash now.
    public internal(set) var cuts = EntityTable<RigID, CutRig>()
    /// The last blocks that were found.
    public internal(set) var blocks = EntityTable<BlockID, Block>()

    // Derived.
    public internal(set) var book = OrderBook()
    var rigByUser: [String: RigID] = [:]
    var orderByClientID: [AccountID: [String: OrderID]] = [:]
    var deliveriesByBid = Multimap<OrderID, DeliveryID>()
    var deliveriesByAsk = Multimap<OrderID, DeliveryID>()
    /// Those that are running.
    var deliveriesByRig = Multimap<RigID, DeliveryID>()
    var rigsByFarm = Multimap<FarmID, RigID>()
    var farmByLogin: [String: FarmID] = [:]
    /// Rigs that came by a farm's login, whatever farm they are in now.
    var rigsByLogin = Multimap<FarmID, RigID>()
    var cutsByFarm = Multimap<FarmID, RigID>()
    var blockByHash: [[UInt8]: BlockID] = [:]
    /// The highest number of a block.
    var lastBlock: Int64 = 0
    var targetsByAccount = Multimap<AccountID, PoolTargetID>()
    var rigsByAccount = Multimap<AccountID, RigID>()
    var farmsByAccount = Multimap<AccountID, FarmID>()
    /// Orders that are alive.
    var ordersByAccount = Multimap<AccountID, OrderID>()
    /// Bids that are suspended for want of funds.
    var unfundedBids = Multimap<AccountID, OrderID>()
    /// Orders that are alive and whose price follows the market.
    var pegged: Set<OrderID> = []
    /// Asks that are alive and have a daily schedule.
    var scheduledAsks: Set<OrderID> = []
    /// The last fills.
    public internal(set) var trades = RecentTrades()
    /// Sum of what is left of the holds of a bid's deliveries.
    var heldByBid = KeyedValues<OrderID, Satoshis>()
    var billingsByBid = Multimap<OrderID, BillingKey>()
    var billingsByAsk = Multimap<OrderID, BillingKey>()
    var answerNumbers: AnswerQueue = AnswerQueue()
    var timers = TimerQueue()

    /// How many answers to keyed commands are remembered.
    public static let mostAnswers = 1_000_000

    public init() {}

    /// A number that two equal states share, whatever way they came about.
    public var hash: UInt64 {
        var writer = BinaryWriter(reservingCapacity: 200)
        counters.encode(into: &writer)
        rules.encode(into: &writer)
        status.encode(into: &writer)
        books.encode(into: &writer)
        return Hash64.of(writer.bytes) &+ targets.hash &+ rigs.hash &+ orders.hash &+ deliveries.hash
            &+ billings.hash &+ balances.hash &+ deposits.hash &+ answers.hash &+ farms.hash &+ silences.hash
            &+ farmLogins.hash &+ curtailments.hash &+ cuts.hash &+ blocks.hash
    }

    public func balance(_ account: LedgerAccount) -> Satoshis { balances.balance(of: account) }

    /// The sum of all ledger accounts: zero.
    public var ledgerTotal: Int128 { balances.values.reduce(0) { $0 + Int128($1.rawValue) } }

    public func rig(user: String) -> Rig? { rigByUser[user].flatMap { rigs[$0] } }

    /// Deliveries of an order that are running or not settled to the end, oldest first.
    public func deliveries(of order: OrderID) -> [Delivery] {
        (deliveriesByBid.members(of: order) + deliveriesByAsk.members(of: order)).compactMap { deliveries[$0] }
    }

    /// Running deliveries of a rig, oldest first.
    public func deliveries(on rig: RigID) -> [Delivery] {
        deliveriesByRig.members(of: rig).compactMap { deliveries[$0] }
    }

    /// Whether an order has open lots.
    func isOpen(_ order: OrderID) -> Bool { orders.with(order) { $0.open > .zero } ?? false }

    /// Lots that a rig delivers under other asks than one.
    func lots(soldOf rig: RigID, besides ask: OrderID) -> Lots {
        var sum = Lots.zero
        deliveriesByRig.forEach(of: rig) { id in
            sum += deliveries.with(id) { $0.ask == ask ? .zero : $0.lots } ?? .zero
        }
        return sum
    }

    /// An account's orders that are alive, by number.
    public func orders(of account: AccountID) -> [Order] {
        ordersByAccount.members(of: account).compactMap { orders[$0] }
    }

    /// An account's bids that are alive, by stamp.
    public func bids(of account: AccountID) -> [Order] {
        orders(of: account).filter { $0.side == .bid }.sorted { $0.stamp < $1.stamp }
    }

    /// How many orders of an account are alive.
    public func orderCount(of account: AccountID) -> Int { ordersByAccount.count(of: account) }

    /// A farm's rigs, by number.
    public func rigs(of farm: FarmID) -> [Rig] { rigsByFarm.members(of: farm).sorted().compactMap { rigs[$0] } }

    /// What is ahead of an order in the book; nil when it is not in it.
    public func queuePosition(of id: OrderID) -> OrderBook.QueuePosition? { book.position(of: id) }

    /// What is left of the holds of a bid's deliveries.
    public func held(by bid: OrderID) -> Satoshis { heldByBid[bid] ?? .zero }

    /// Records all changes of entities from now on, for the projector.
    public mutating func trackChanges() {
        targets.trackChanges()
        rigs.trackChanges()
        orders.trackChanges()
        deliveries.trackChanges()
        billings.trackChanges()
        balances.trackChanges()
        deposits.trackChanges()
        answers.trackChanges()
        farms.trackChanges()
        silences.trackChanges()
        farmLogins.trackChanges()
        curtailments.trackChanges()
        cuts.trackChanges()
        blocks.trackChanges()
    }

    /// This state, not recording changes.
    public func untracked() -> MarketState {
        var copy = self
        copy.targets.stopTrackingChanges()
        copy.rigs.stopTrackingChanges()
        copy.orders.stopTrackingChanges()
        copy.deliveries.stopTrackingChanges()
        copy.billings.stopTrackingChanges()
        copy.balances.stopTrackingChanges()
        copy.deposits.stopTrackingChanges()
        copy.answers.stopTrackingChanges()
        copy.farms.stopTrackingChanges()
        copy.silences.stopTrackingChanges()
        copy.farmLogins.stopTrackingChanges()
        copy.curtailments.stopTrackingChanges()
        copy.cuts.stopTrackingChanges()
        copy.blocks.stopTrackingChanges()
        return copy
    }
}

/// The live rows of all tables, as the projector left them.
public struct StoredState: Sendable {
    public var rules: MarketRules?
    public var status = MarketStatus()
    public var counters = Counters()
    public var books = Books()
    public var targets: [PoolTarget] = []
    public var rigs: [Rig] = []
    public var orders: [Order] = []
    public var deliveries: [Delivery] = []
    public var billings: [(BillingKey, Billing)] = []
    public var balances: [(LedgerAccount, Satoshis)] = []
    public var deposits: [(DepositKey, Satoshis)] = []
    public var answers: [(AnswerKey, RecordedAnswer)] = []
    public var farms: [Farm] = []
    public var silences: [(AccountID, Timestamp)] = []
    public var farmLogins: [FarmLogin] = []
    public var curtailments: [Curtailment] = []
    public var cuts: [(RigID, CutRig)] = []
    public var blocks: [Block] = []
    /// The last fills, also of deliveries that are over; at most ``RecentTrades/most``.
    public var trades: [Trade] = []

    public init() {}
}

extension MarketState {
    /// Rebuilds a state from its tables.
    ///
    /// - Throws: ``LedgerError`` if the balances do not sum to zero, or a customer's is below it.
    public init(restoring stored: StoredState) throws(LedgerError) {
        rules = stored.rules
        status = stored.status
        counters = stored.counters
        books = stored.books
        _ = try Ledger(balances: Dictionary(stored.balances.map { ($0.0, $0.1) }) { $1 })
        for target in stored.targets {
            targets.set(target.id, target)
            targetsByAccount.insert(target.id, of: target.owner)
        }
        for login in stored.farmLogins { set(login) }
        for rig in stored.rigs {
            rigs.set(rig.id, rig)
            rigByUser[rig.user] = rig.id
            rigsByAccount.insert(rig.id, of: rig.owner)
            linkLogin(of: rig)
            if let farm = rig.farm { rigsByFarm.insert(rig.id, of: farm) }
        }
        for farm in stored.farms {
            farms.set(farm.id, farm)
            farmsByAccount.insert(farm.id, of: farm.owner)
        }
        for (account, deadline) in stored.silences {
            silences.set(account, deadline)
            timers.schedule(.silence(account), at: deadline)
        }
        for (rig, cut) in stored.cuts.sorted(by: { $0.0 < $1.0 }) { self.cut(rig, cut) }
        for curtailment in stored.curtailments {
            curtailments.set(curtailment.farm, curtailment)
            scheduleTimer(of: curtailment)
        }
        for block in stored.blocks.sorted(by: { $0.id < $1.id }) { add(block) }
        for planned in status.scheduled { timers.schedule(.rules, at: planned.effectiveAt) }
        for (account, amount) in stored.balances { balances.set(account, amount) }
        for (key, amount) in stored.deposits { deposits.set(key, amount) }
        for (key, billing) in stored.billings {
            billings.set(key, billing)
            linkDerived(key)
        }
        for (key, answer) in stored.answers.sorted(by: { $0.1.number < $1.1.number }) {
            answers.set(key, answer)
            answerNumbers.append(key)
        }
        for delivery in stored.deliveries.sorted(by: { $0.id < $1.id }) {
            deliveries.set(delivery.id, delivery)
            if delivery.isRunning { deliveriesByRig.insert(delivery.id, of: delivery.rig) }
            deliveriesByBid.insert(delivery.id, of: delivery.bid)
            deliveriesByAsk.insert(delivery.id, of: delivery.ask)
            heldByBid.update(delivery.bid, default: .zero) { $0 += delivery.held }
            scheduleTimer(of: delivery)
        }
        for trade in stored.trades.sorted(by: { $0.delivery < $1.delivery }) { trades.append(trade) }
        for order in stored.orders.sorted(by: { $0.id < $1.id }) {
            orders.set(order.id, order)
            linkDerived(order)
        }
        for rig in rigs.values { scheduleTimer(of: rig) }
    }
}
