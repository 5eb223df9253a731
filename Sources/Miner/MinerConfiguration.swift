public import Stratum
public import Units

/// How a ``Miner`` works.
public struct MinerConfiguration: Sendable {
    public var pool: PoolAddress
    /// PEM certificates of authorities that a pool with TLS may be from, beside the system's.
    public var authorities: String?
    public var user: String
    public var password: String
    /// What it hashes; the pool's jobs do not say.
    public var algorithm = Algorithm.sha256d
    public var userAgent = "hashspot-rig/1"
    /// Threads that hash, 1...256.
    public var threads = 1
    /// The most hashes a second over all threads; nil is as fast as possible.
    public var maximalHashrate: Int64?
    /// Ask for BIP 310 version rolling, and use it.
    public var rollsVersion = false
    public var suggestedDifficulty: DecimalDifficulty?
    /// Time for the connection to come up.
    public var connectTimeout = Duration.seconds(10)
    /// Time for subscribing and authorizing.
    public var handshakeTimeout = Duration.seconds(30)
    /// Without a line for so long the connection is given up.
    public var silenceTimeout = Duration.seconds(600)
    /// The wait before the first new attempt; it doubles up to ``maximalBackoff``, and a quarter either way is random.
    public var initialBackoff = Duration.seconds(1)
    public var maximalBackoff = Duration.seconds(60)
    /// How often the hashrate is logged; nil never.
    public var reportInterval: Duration? = .seconds(5)

    public init(pool: PoolAddress, user: String, password: String = "x") {
        self.pool = pool
        self.user = user
        self.password = password
    }

    var session: PoolSession.Configuration {
        var session = PoolSession.Configuration(user: user, password: password)
        session.userAgent = userAgent
        session.versionMask = rollsVersion ? VersionRolling.usualMask : 0
        session.suggestedDifficulty = suggestedDifficulty
        session.handshakeTimeout = handshakeTimeout.interval
        session.silenceTimeout = silenceTimeout.interval
        return session
    }
}

extension Duration {
    /// Rounded down to microseconds; for durations of up to a century.
    var interval: Interval {
        let (seconds, attoseconds) = components
        return Interval(microseconds: seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    var nanoseconds: Int64 { interval.microseconds * 1000 }
}
