/// A number that names one thing of one kind. Allotted from 1 upwards; 0 is never allotted.
@frozen
public struct Identifier<Kind>: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}

/// The kinds of ``Identifier``.
public enum Kind {
    public enum Account {}
    public enum Order {}
    public enum Rig {}
    public enum PoolTarget {}
    public enum Delivery {}
    public enum Edge {}
    public enum Farm {}
    public enum Block {}
    public enum Transfer {}
}

/// A customer (buyer, seller or both) or a member of staff.
public typealias AccountID = Identifier<Kind.Account>
/// A bid or an ask.
public typealias OrderID = Identifier<Kind.Order>
/// A miner connection's identity.
public typealias RigID = Identifier<Kind.Rig>
/// A pool's URL, user and password, as registered by an account.
public typealias PoolTargetID = Identifier<Kind.PoolTarget>
/// One rig's lots flowing to one buyer's pool for at most one term.
public typealias DeliveryID = Identifier<Kind.Delivery>
/// A process that holds Stratum connections.
public typealias EdgeID = Identifier<Kind.Edge>
/// A seller's group of rigs.
public typealias FarmID = Identifier<Kind.Farm>
/// A block that a rig found.
public typealias BlockID = Identifier<Kind.Block>
/// Money that comes in, goes out, or is moved by people.
public typealias TransferID = Identifier<Kind.Transfer>
