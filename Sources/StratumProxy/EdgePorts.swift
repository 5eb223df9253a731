public import Metering
public import Routing
public import Units

/// A rig as the committed state knows it.
public struct RigEntry: Sendable, Hashable {
    public var id: RigID
    /// What the rig authorizes as.
    public var user: String
    /// SHA-256 of the password's bytes.
    public var passwordHash: [UInt8]
    /// Where the rig works while unsold.
    public var fallback: PoolTargetID
    /// Rigs of one owner may log in on one connection; nil: each needs its own.
    public var owner: AccountID?
    /// Its farm draws less power for a while, and this rig is one of those that may not hash.
    public var isCurtailed: Bool

    public init(
        id: RigID, user: String, passwordHash: [UInt8], fallback: PoolTargetID, owner: AccountID? = nil, isCurtailed: Bool = false
    ) {
        self.id = id
        self.user = user
        self.passwordHash = passwordHash
        self.fallback = fallback
        self.owner = owner
        self.isCurtailed = isCurtailed
    }
}

/// A pool target as the committed state knows it. Printing it does not show the password.
public struct PoolTargetEntry: Sendable, Hashable, CustomStringConvertible {
    public var id: PoolTargetID
    /// `stratum+tcp://host:port`, or just `host:port`.
    public var url: String
    public var user: String
    public var password: String

    public init(id: PoolTargetID, url: String, user: String, password: String) {
        self.id = id
        self.url = url
        self.user = user
        self.password = password
    }

    public var description: String { "pool target \(id): \(url)" }
}

/// Committed state that an edge looks things up in, at any time and from its event loop: it must answer at once.
public protocol EdgeDirectory: Sendable {
    func rig(user: String) -> RigEntry?
    func poolTarget(_ id: PoolTargetID) -> PoolTargetEntry?
    /// The farm with this login.
    func farm(user: String) -> FarmEntry?
    /// The route of a rig that the edge meets for the first time; nil where the edge is told all routes.
    func route(of rig: RigID) -> RouteUpdate?
}

extension EdgeDirectory {
    public func route(of rig: RigID) -> RouteUpdate? { nil }
}

/// What an edge tells the exchange: called in order, on the edge's event loop, and must not block.
public protocol EdgeReports: Sendable {
    /// A rig is connected and authorized; again for the same session if it changed its version mask since, or can do more.
    ///
    /// - Parameter versionMask: with what else it can do: a `RigAbilities` word
    func rigOnline(_ rig: RigID, session: Int64, versionMask: UInt32, at: Timestamp)
    func rigOffline(_ rig: RigID, session: Int64, at: Timestamp)
    /// A long average of verified work, from at least 30 shares; only when it moved by more than 2 sigma.
    func rigMeasured(_ rig: RigID, session: Int64, hashrate: Hashrate, at: Timestamp)
    /// No target of the delivery's route can be used.
    func poolsUnusable(delivery: DeliveryID, reason: String, at: Timestamp)
    /// The rig delivered less than 80 % over at least 10 minutes and 60 expected shares.
    func underDelivered(delivery: DeliveryID, hashrate: Hashrate, at: Timestamp)
    /// A share met the network's target.
    func blockFound(_ block: FoundBlock)
    /// What the pool said to it.
    func blockJudged(_ hash: Hash256, _ reply: PoolReply, code: Int64)
}

/// Where sealed batches go: at least once each, in order, so that taking them must be idempotent.
public protocol BatchSink: Sendable {
    /// - Parameters:
    ///   - encoded: `batch.encoded()`, the same bytes at every attempt
    ///   - digest: SHA-256 of `encoded`
    func deliver(_ batch: SealedBatch, encoded: [UInt8], digest: [UInt8]) async throws
}

/// Tells the time of day.
public protocol WallClock: Sendable {
    func now() -> Timestamp
}
