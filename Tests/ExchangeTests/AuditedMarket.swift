import BinaryCoding
import Exchange
import ExchangeTestSupport
import Ledger
import Testing
import Units

/// An exchange whose every command and event goes through its binary form, a replica and an ``Auditor``.
struct AuditedMarket {
    private(set) var exchange = Exchange()
    private(set) var auditor = Auditor()
    /// What left the state.
    private(set) var closed = ClosedRows()
    private var complaintsSeen = 0
    private var pending: StateChanges?

    var state: MarketState { exchange.state }

    @discardableResult
    mutating func apply(
        _ envelope: CommandEnvelope, at now: Timestamp, _ location: SourceLocation = #_sourceLocation
    ) -> (outcome: Outcome, events: [Event]) {
        #expect(BinaryForm.decoded(envelope) == envelope, sourceLocation: location)
        exchange.settleHashes()
        let before = exchange.state.hash
        let isRepeated = envelope.idempotency.map { exchange.state.answers[$0.key] != nil } ?? false
        auditor.beginCommand(isRepeated ? .advance : envelope.command)
        let result = exchange.apply(envelope, at: now)
        for event in result.events {
            guard let decoded: Event = BinaryForm.decoded(event) else {
                Issue.record("\(event) has no binary form", sourceLocation: location)
                continue
            }
            #expect(decoded == event, sourceLocation: location)
            auditor.see(decoded, at: exchange.time)
        }
        if result.events.isEmpty { #expect(exchange.state.hash == before, sourceLocation: location) }
        exchange.settleHashes()
        auditor.inspect(exchange.state, at: exchange.time)
        if case .rejected = result.outcome {} else { auditor.inspectPieces(of: exchange.state, at: exchange.time) }
        let changes = auditor.takeChanges()
        closed.take(changes)
        if pending == nil { pending = changes } else { pending?.merge(changes) }
        for complaint in auditor.complaints.dropFirst(complaintsSeen) {
            Issue.record("\(complaint), after \(envelope.command) at \(now)", sourceLocation: location)
        }
        complaintsSeen = auditor.complaints.count
        return result
    }

    mutating func takeChanges() -> StateChanges {
        defer { pending = nil }
        return pending ?? auditor.takeChanges()
    }
}

/// Values to bytes and back.
enum BinaryForm {
    static func decoded<T: BinaryCodable>(_ value: T) -> T? {
        var writer = BinaryWriter()
        value.encode(into: &writer)
        var reader = BinaryReader(writer.bytes)
        guard let back = try? T(from: &reader), (try? reader.finish()) != nil else { return nil }
        return back
    }
}

extension StoredState {
    /// The rows of a state's tables.
    init(_ state: MarketState) {
        self.init()
        rules = state.rules
        status = state.status
        counters = state.counters
        books = state.books
        treasury = state.treasury
        transfers = Array(state.transfers.values)
        payments = state.payments.keys.compactMap { key in state.payments[key].map { (key, $0) } }
        freezes = state.freezes.keys.compactMap { key in state.freezes[key].map { (key, $0) } }
        targets = Array(state.targets.values)
        rigs = Array(state.rigs.values)
        orders = Array(state.orders.values)
        deliveries = Array(state.deliveries.values)
        billings = state.billings.keys.compactMap { key in state.billings[key].map { (key, $0) } }
        balances = state.balances.keys.compactMap { key in state.balances[key].map { (key, $0) } }
        deposits = state.deposits.keys.compactMap { key in state.deposits[key].map { (key, $0) } }
        answers = state.answers.keys.compactMap { key in state.answers[key].map { (key, $0) } }
        farms = Array(state.farms.values)
        trades = state.trades.last(RecentTrades.most)
        silences = state.silences.keys.compactMap { key in state.silences[key].map { (key, $0) } }
        farmLogins = Array(state.farmLogins.values)
        curtailments = Array(state.curtailments.values)
        cuts = state.cuts.keys.compactMap { key in state.cuts[key].map { (key, $0) } }
        blocks = Array(state.blocks.values)
    }

    mutating func shuffle(using random: inout some RandomNumberGenerator) {
        targets.shuffle(using: &random)
        rigs.shuffle(using: &random)
        orders.shuffle(using: &random)
        deliveries.shuffle(using: &random)
        billings.shuffle(using: &random)
        balances.shuffle(using: &random)
        deposits.shuffle(using: &random)
        answers.shuffle(using: &random)
        farms.shuffle(using: &random)
        silences.shuffle(using: &random)
        farmLogins.shuffle(using: &random)
        curtailments.shuffle(using: &random)
        cuts.shuffle(using: &random)
        blocks.shuffle(using: &random)
        transfers.shuffle(using: &random)
        payments.shuffle(using: &random)
        freezes.shuffle(using: &random)
    }
}

/// What a projector's tables hold after some changes.
struct ProjectedTables {
    private var rules: MarketRules?
    private var status = MarketStatus()
    private var counters = Counters()
    private var books = Books()
    private var treasury = Treasury()
    private var transfers: [TransferID: Transfer] = [:]
    private var payments: [PaymentKey: TransferID] = [:]
    private var freezes: [AccountID: Freeze] = [:]
    private var targets: [PoolTargetID: PoolTarget] = [:]
    private var rigs: [RigID: Rig] = [:]
    private var orders: [OrderID: Order] = [:]
    private var deliveries: [DeliveryID: Delivery] = [:]
    private var billings: [BillingKey: Billing] = [:]
    private var balances: [LedgerAccount: Satoshis] = [:]
    private var deposits: [DepositKey: Satoshis] = [:]
    private var answers: [AnswerKey: RecordedAnswer] = [:]
    private var farms: [FarmID: Farm] = [:]
    private var silences: [AccountID: Timestamp] = [:]
    private var farmLogins: [FarmID: FarmLogin] = [:]
    private var curtailments: [FarmID: Curtailment] = [:]
    private var cuts: [RigID: CutRig] = [:]
    private var blocks: [BlockID: Block] = [:]

    mutating func apply(_ changes: StateChanges) {
        rules = changes.rules
        status = changes.status
        counters = changes.counters
        books = changes.books
        treasury = changes.treasury
        Self.apply(changes.transfers, to: &transfers)
        Self.apply(changes.payments, to: &payments)
        Self.apply(changes.freezes, to: &freezes)
        Self.apply(changes.targets, to: &targets)
        Self.apply(changes.rigs, to: &rigs)
        Self.apply(changes.orders, to: &orders)
        Self.apply(changes.deliveries, to: &deliveries)
        Self.apply(changes.billings, to: &billings)
        Self.apply(changes.balances, to: &balances)
        Self.apply(changes.deposits, to: &deposits)
        Self.apply(changes.answers, to: &answers)
        Self.apply(changes.farms, to: &farms)
        Self.apply(changes.silences, to: &silences)
        Self.apply(changes.farmLogins, to: &farmLogins)
        Self.apply(changes.curtailments, to: &curtailments)
        Self.apply(changes.cuts, to: &cuts)
        Self.apply(changes.blocks, to: &blocks)
    }

    private static func apply<K, V>(_ changes: [K: EntityChange<V>], to rows: inout [K: V]) {
        for (key, change) in changes {
            switch change {
            case .live(let row): rows[key] = row
            case .gone: rows[key] = nil
            }
        }
    }

    var stored: StoredState {
        var stored = StoredState()
        stored.rules = rules
        stored.status = status
        stored.counters = counters
        stored.books = books
        stored.treasury = treasury
        stored.transfers = Array(transfers.values)
        stored.payments = payments.map { ($0, $1) }
        stored.freezes = freezes.map { ($0, $1) }
        stored.targets = Array(targets.values)
        stored.rigs = Array(rigs.values)
        stored.orders = Array(orders.values)
        stored.deliveries = Array(deliveries.values)
        stored.billings = billings.map { ($0, $1) }
        stored.balances = balances.map { ($0, $1) }
        stored.deposits = deposits.map { ($0, $1) }
        stored.answers = answers.map { ($0, $1) }
        stored.farms = Array(farms.values)
        stored.silences = silences.map { ($0, $1) }
        stored.farmLogins = Array(farmLogins.values)
        stored.curtailments = Array(curtailments.values)
        stored.cuts = cuts.map { ($0, $1) }
        stored.blocks = Array(blocks.values)
        return stored
    }
}
