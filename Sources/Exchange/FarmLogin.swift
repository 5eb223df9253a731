public import Units

/// A farm's Stratum login: miners that authorize as `user.worker` with its password are rigs of the farm, and become so at
/// their first login.
public struct FarmLogin: Hashable, Sendable {
    public var farm: FarmID
    /// What stands before the worker's name, e.g. `a7.barn`; unique in the market, and never changed.
    public var user: String
    /// SHA-256 of the Stratum password, also of each rig that came by this login.
    public var passwordDigest: [UInt8]
    /// Where its rigs work while unsold.
    public var fallback: PoolTargetID
    /// Rigs that may come by this login.
    public var mostRigs: Int64

    public init(farm: FarmID, user: String, passwordDigest: [UInt8], fallback: PoolTargetID, mostRigs: Int64) {
        self.farm = farm
        self.user = user
        self.passwordDigest = passwordDigest
        self.fallback = fallback
        self.mostRigs = mostRigs
    }

    public static let usualMostRigs: Int64 = 5000
    public static let mostRigsEver: Int64 = 100_000

    /// What stands before the worker's name in a Stratum user; nil when it has no worker's name.
    public static func user(before worker: String) -> (user: String, worker: String)? {
        guard let dot = worker.lastIndex(of: "."), dot != worker.startIndex else { return nil }
        return (String(worker[..<dot]), String(worker[worker.index(after: dot)...]))
    }
}

/// What is changed of a farm's login; nil leaves as it is.
public struct FarmLoginChange: Hashable, Sendable {
    /// 1 to 32 letters, digits, dashes or underscores; needed for a new login, and fixed from then on.
    public var name: String?
    /// SHA-256 of the Stratum password; needed for a new login.
    public var passwordDigest: [UInt8]?
    /// Needed for a new login.
    public var fallback: PoolTargetID?
    public var mostRigs: Int64?

    public init(
        name: String? = nil, passwordDigest: [UInt8]? = nil, fallback: PoolTargetID? = nil, mostRigs: Int64? = nil
    ) {
        self.name = name
        self.passwordDigest = passwordDigest
        self.fallback = fallback
        self.mostRigs = mostRigs
    }
}

/// What can be asked of the exchange about fleets: farms whose rigs come by themselves, and are sent away for a while.
public enum FleetCommand: Hashable, Sendable {
    /// Gives a farm its login, or changes it.
    case setLogin(FarmID, owner: AccountID, FarmLoginChange)
    /// A miner came by a farm's login as a worker that is not known yet. Of several only the first makes a rig.
    case registerWorker(FarmID, worker: String)
    /// Keeps the farm's hashrate at or below `cap`. `by` is nil for the market's staff.
    case curtail(FarmID, by: AccountID?, cap: Lots, ramp: Interval, until: Timestamp?)
    /// Lets the rigs that were cut back in, over the curtailment's ramp.
    case liftCurtailment(FarmID, by: AccountID?)
}

/// What happened to fleets.
public enum FleetEvent: Hashable, Sendable {
    /// The rigs that came by this login have its password and fallback from now on.
    case loginSet(FarmLogin)
    case curtailed(Curtailment)
    /// All rigs are back.
    case curtailmentEnded(FarmID)
    case rigsCut(FarmID, [RigID])
    /// When rigs that were cut come back; nil: not yet known.
    case returnsPlanned(FarmID, [RigReturn])
    case rigsReadmitted(FarmID, [RigID])
}
