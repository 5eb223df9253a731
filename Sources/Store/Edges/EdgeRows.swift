public import Routing
public import Units

/// A rig as edges need to know it.
public struct EdgeRigRow: Hashable, Sendable {
    public var rig: RigID
    public var user: String
    public var passwordDigest: [UInt8]
    public var fallback: PoolTargetID
    /// Rigs of one owner may log in on one connection; nil: each needs its own.
    public var owner: AccountID?
    /// Its farm draws less power for a while, and this rig is one of those that may not hash.
    public var isCurtailed: Bool

    public init(
        rig: RigID, user: String, passwordDigest: [UInt8], fallback: PoolTargetID, owner: AccountID? = nil, isCurtailed: Bool = false
    ) {
        self.rig = rig
        self.user = user
        self.passwordDigest = passwordDigest
        self.fallback = fallback
        self.owner = owner
        self.isCurtailed = isCurtailed
    }
}

/// A farm's login as edges need to know it.
public struct EdgeFarmRow: Hashable, Sendable {
    public var farm: FarmID
    /// What stands before the worker's name.
    public var user: String
    public var passwordDigest: [UInt8]

    public init(farm: FarmID, user: String, passwordDigest: [UInt8]) {
        self.farm = farm
        self.user = user
        self.passwordDigest = passwordDigest
    }
}

/// A pool target as edges need to know it. Printing it does not show the password.
public struct EdgePoolRow: Hashable, Sendable, CustomStringConvertible {
    public var target: PoolTargetID
    public var url: String
    public var user: String
    public var password: String

    public init(target: PoolTargetID, url: String, user: String, password: String) {
        self.target = target
        self.url = url
        self.user = user
        self.password = password
    }

    public var description: String { "pool target \(target): \(url)" }
}

/// Rigs, farms' logins, pools and routes that changed, or all of them.
public struct EdgeChanges: Hashable, Sendable {
    public var rigs: [EdgeRigRow] = []
    public var farms: [EdgeFarmRow] = []
    public var pools: [EdgePoolRow] = []
    public var routes: [RouteUpdate] = []

    public init() {}

    public var isEmpty: Bool { rigs.isEmpty && farms.isEmpty && pools.isEmpty && routes.isEmpty }
}

/// The market's rules for shares, as edges need to know them.
public struct EdgeRules: Hashable, Sendable {
    public var minimumDifficulty: ShareDifficulty
    public var startDifficulty: ShareDifficulty
    public var shareInterval: Interval
    public var algorithm: Algorithm
    /// The longest time a delivery runs.
    public var term: Interval

    public init(
        minimumDifficulty: ShareDifficulty, startDifficulty: ShareDifficulty, shareInterval: Interval,
        algorithm: Algorithm = .sha256d, term: Interval = .seconds(3600)
    ) {
        self.minimumDifficulty = minimumDifficulty
        self.startDifficulty = startDifficulty
        self.shareInterval = shareInterval
        self.algorithm = algorithm
        self.term = term
    }
}

/// How far an edge has followed.
public struct EdgeFeedMark: Hashable, Sendable {
    /// Of the last publication; 0: nothing is known.
    public var serial: Int64
    /// In the journal.
    public var position: Int64

    public init(serial: Int64 = 0, position: Int64 = 0) {
        self.serial = serial
        self.position = position
    }
}

/// What a look at the feed found.
public struct EdgeFeedLook: Sendable {
    public var mark: EdgeFeedMark
    /// nil while no server has ever published.
    public var rules: EdgeRules?
    /// Everything since the mark that was asked for.
    public var changes: EdgeChanges
    /// How long ago the publisher gave its last sign of life, by the database's clock.
    public var silence: Interval
}
