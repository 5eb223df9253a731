public import BinaryCoding
public import Ledger
public import Units

/// What an ``EntityTable`` finds its entities by.
public protocol EntityKey: Hashable, Comparable, Sendable, BinaryCodable {
    /// Equal keys have equal hashes; the upper bits are the ones that must be spread.
    ///
    /// Seeded per process unless a type says otherwise. Only keys that the market makes up itself may do so: strangers
    /// could choose theirs to collide.
    var indexHash: UInt64 { get }
}

extension EntityKey {
    public var indexHash: UInt64 { UInt64(bitPattern: Int64(hashValue)) }
}

extension Identifier: EntityKey {
    public var indexHash: UInt64 { SlotIndex.hash(rawValue) }
}

extension LedgerAccount: EntityKey {}

/// The balances of a market's state are its ledger.
extension EntityTable: LedgerBalances where Key == LedgerAccount, Entity == Satoshis {
    public func balance(of account: LedgerAccount) -> Satoshis { self[account] ?? .zero }

    public mutating func add(_ amount: Satoshis, to account: LedgerAccount) {
        update(account, default: .zero) { $0 += amount }
    }
}

extension BillingKey: EntityKey {
    public var indexHash: UInt64 {
        SlotIndex.hash(ask.rawValue &+ rig.rawValue &<< 32 &+ tariff, after: SlotIndex.hash(bid.rawValue))
    }
}

extension DepositKey: EntityKey {}
extension AnswerKey: EntityKey {}
