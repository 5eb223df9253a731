public import Ledger
public import Units

/// The images of the entities that changed: what the projector writes.
public struct StateChanges: Sendable {
    public var rules: MarketRules?
    public var status: MarketStatus
    public var counters: Counters
    public var books: Books
    public var targets: [PoolTargetID: EntityChange<PoolTarget>] = [:]
    public var rigs: [RigID: EntityChange<Rig>] = [:]
    public var orders: [OrderID: EntityChange<Order>] = [:]
    public var deliveries: [DeliveryID: EntityChange<Delivery>] = [:]
    public var billings: [BillingKey: EntityChange<Billing>] = [:]
    public var balances: [LedgerAccount: EntityChange<Satoshis>] = [:]
    public var deposits: [DepositKey: EntityChange<Satoshis>] = [:]
    public var answers: [AnswerKey: EntityChange<RecordedAnswer>] = [:]
    public var farms: [FarmID: EntityChange<Farm>] = [:]
    public var silences: [AccountID: EntityChange<Timestamp>] = [:]
    public var farmLogins: [FarmID: EntityChange<FarmLogin>] = [:]
    public var curtailments: [FarmID: EntityChange<Curtailment>] = [:]
    public var cuts: [RigID: EntityChange<CutRig>] = [:]
    public var blocks: [BlockID: EntityChange<Block>] = [:]
}

extension MarketState {
    public mutating func takeChanges() -> StateChanges {
        var changes = freezeChanges()
        takeFrozen(.max, into: &changes)
        return changes
    }

    /// Fixes what changed since the last call as of this moment, to be taken by ``takeFrozen(_:into:)`` while the state goes
    /// on. O(1)
    ///
    /// - Returns: changes without entities yet
    public mutating func freezeChanges() -> StateChanges {
        targets.freezeChanges()
        rigs.freezeChanges()
        orders.freezeChanges()
        deliveries.freezeChanges()
        billings.freezeChanges()
        balances.freezeChanges()
        deposits.freezeChanges()
        answers.freezeChanges()
        farms.freezeChanges()
        silences.freezeChanges()
        farmLogins.freezeChanges()
        curtailments.freezeChanges()
        cuts.freezeChanges()
        blocks.freezeChanges()
        return StateChanges(rules: rules, status: status, counters: counters, books: books)
    }

    /// Takes the images of at most `most` entities of what was frozen.
    ///
    /// - Returns: whether all are taken
    @discardableResult
    public mutating func takeFrozen(_ most: Int, into changes: inout StateChanges) -> Bool {
        var left = most
        left -= targets.takeFrozen(left, into: &changes.targets)
        left -= rigs.takeFrozen(left, into: &changes.rigs)
        left -= orders.takeFrozen(left, into: &changes.orders)
        left -= deliveries.takeFrozen(left, into: &changes.deliveries)
        left -= billings.takeFrozen(left, into: &changes.billings)
        left -= balances.takeFrozen(left, into: &changes.balances)
        left -= deposits.takeFrozen(left, into: &changes.deposits)
        left -= answers.takeFrozen(left, into: &changes.answers)
        left -= farms.takeFrozen(left, into: &changes.farms)
        left -= silences.takeFrozen(left, into: &changes.silences)
        left -= farmLogins.takeFrozen(left, into: &changes.farmLogins)
        left -= curtailments.takeFrozen(left, into: &changes.curtailments)
        left -= cuts.takeFrozen(left, into: &changes.cuts)
        left -= blocks.takeFrozen(left, into: &changes.blocks)
        return left > 0
    }

    /// How many entities are frozen and not taken.
    public var frozenCount: Int {
        targets.frozenCount + rigs.frozenCount + orders.frozenCount + deliveries.frozenCount + billings.frozenCount
            + balances.frozenCount + deposits.frozenCount + answers.frozenCount + farms.frozenCount + silences.frozenCount
            + farmLogins.frozenCount + curtailments.frozenCount + cuts.frozenCount + blocks.frozenCount
    }
}
