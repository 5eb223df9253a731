public import Units

/// What pools have to be like.
public struct VerificationPolicy: Sendable {
    /// Lets pools have private, loopback and link-local addresses.
    public var allowPrivatePools = false
    /// What the market trades.
    public var algorithm = Algorithm.sha256d
    /// The market's lowest difficulty: a pool below it would get fewer shares than it asks for.
    public var minimumDifficulty = ShareDifficulty(units: 65_536)
    /// Time for each connection, from resolving to the first job.
    public var timeout = Interval.seconds(5)
    let trust: PoolTrust

    /// - Parameter caFile: PEM certificates of authorities that are trusted beside the system's
    public init(caFile: String? = nil) { trust = PoolTrust(extraFile: caFile) }
}

/// What a verification looks at, in this order.
public enum VerificationStep: String, Sendable, Hashable, CaseIterable {
    case address, resolve, addressAllowed, connect, tls, subscribe, authorize, firstJob, difficulty, extranonceSizes
    case versionMask, secondConnection
}

/// What a verified pool can do for rigs.
public struct PoolCapabilities: Sendable, Hashable {
    /// Bytes.
    public var extranonce2Size: Int
    /// Header bits that may be rolled; 0 is none.
    public var versionMask: UInt32
    public var difficulty: DecimalDifficulty
    /// Two connections get different extranonce1; otherwise only one may be used.
    public var uniqueExtranonce1: Bool

    public init(
        extranonce2Size: Int, versionMask: UInt32, difficulty: DecimalDifficulty, uniqueExtranonce1: Bool
    ) {
        self.extranonce2Size = extranonce2Size
        self.versionMask = versionMask
        self.difficulty = difficulty
        self.uniqueExtranonce1 = uniqueExtranonce1
    }
}

/// How a verification went, step by step, for the buyer to read.
public struct VerificationReport: Sendable, Hashable {
    public struct Outcome: Sendable, Hashable {
        public var step: VerificationStep
        public var isOK: Bool
        /// For people; safe to show.
        public var detail: String
    }

    /// Up to and including the first that failed.
    public var outcomes: [Outcome] = []
    /// nil unless every step that is needed went well.
    public var capabilities: PoolCapabilities?

    public var isUsable: Bool { capabilities != nil }
    /// Why the pool cannot be used.
    public var failure: Outcome? { outcomes.first { !$0.isOK } }

    mutating func add(_ step: VerificationStep, _ isOK: Bool, _ detail: String) {
        outcomes.append(Outcome(step: step, isOK: isOK, detail: detail))
    }
}
