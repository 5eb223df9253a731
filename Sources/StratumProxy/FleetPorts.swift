public import Metering
public import Units

/// A farm's login as the committed state knows it.
public struct FarmEntry: Sendable, Hashable {
    public var id: FarmID
    /// What stands before the worker's name.
    public var user: String
    /// SHA-256 of the password's bytes.
    public var passwordHash: [UInt8]

    public init(id: FarmID, user: String, passwordHash: [UInt8]) {
        self.id = id
        self.user = user
        self.passwordHash = passwordHash
    }
}

/// What came of making a rig of a farm's worker.
public enum WorkerRegistration: Sendable, Hashable {
    /// Committed; or it was there already.
    case registered
    /// For good; the text is for the miner.
    case refused(String)
    /// To be tried again.
    case busy
}

/// Makes rigs of farms' workers at their first login.
public protocol EdgeRegistrar: Sendable {
    /// Must not block; `answer` is called once, on any thread.
    func register(farm: FarmID, worker: String, answer: @escaping @Sendable (WorkerRegistration) -> Void)
}

/// A share that meets the network's target.
public struct FoundBlock: Sendable, Hashable {
    public var receivedAt: Timestamp
    public var rig: RigID
    /// nil: found while the rig was unsold.
    public var delivery: DeliveryID?
    public var target: PoolTargetID
    public var hash: Hash256
    /// 80 bytes.
    public var header: [UInt8]
    /// The pool's name for the job.
    public var poolJob: String
    public var isForwarded: Bool

    public init(
        receivedAt: Timestamp, rig: RigID, delivery: DeliveryID?, target: PoolTargetID, hash: Hash256, header: [UInt8],
        poolJob: String, isForwarded: Bool
    ) {
        self.receivedAt = receivedAt
        self.rig = rig
        self.delivery = delivery
        self.target = target
        self.hash = hash
        self.header = header
        self.poolJob = poolJob
        self.isForwarded = isForwarded
    }
}

extension EdgeDirectory {
    /// A directory without farms' logins.
    public func farm(user: String) -> FarmEntry? { nil }
}

extension EdgeReports {
    public func blockFound(_ block: FoundBlock) {}
    public func blockJudged(_ hash: Hash256, _ reply: PoolReply, code: Int64) {}
}
