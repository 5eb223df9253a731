public import Routing
public import Units

/// How an edge listens, measures and bounds itself.
public struct EdgeConfiguration: Sendable {
    public var host: String
    /// 0 takes any free port.
    public var port: Int
    public var spoolPath: String
    public var edge: EdgeID
    /// Allots a new epoch when a spool is created; the spool keeps it.
    public var allotEpoch: @Sendable () async throws -> Int64

    /// What the market trades.
    public var algorithm = Algorithm.sha256d
    /// The market's lowest difficulty: no job is ever assigned less.
    public var minimumDifficulty = ShareDifficulty(units: 65_536)
    /// What a rig starts with that states no wish of its own.
    public var startDifficulty = ShareDifficulty(units: 65_536 * 8192)
    /// The time between two shares of a rig that its difficulty is raised or lowered towards.
    public var shareInterval = Interval.seconds(5)
    /// Shares of a job are valid this long after the edge read the pool's next clean job.
    public var staleWindow = Interval.seconds(2)
    /// Any hash is a share of any difficulty: for benchmarks, which then need not search. Never in a market.
    public var takesAnyHash = false
    /// Lets pools have private, loopback and link-local addresses.
    public var allowPrivatePools = false
    /// PEM certificates of authorities that pools' certificates may be from, beside the system's.
    public var poolAuthorities: String?

    /// A second listener, for rigs that speak TLS.
    public var tls: TLSListener?
    /// How often it is looked whether its files have changed.
    public var certificateCheck = Interval.seconds(5)
    /// Load balancers: their connections begin with a PROXY header that says who is behind them, and must.
    public var trustedProxies: [AddressBlock] = []
    public var bans = BanPolicy()
    /// Time for subscribing and logging in.
    public var handshake = Interval.seconds(60)
    /// A rig that has said nothing for so long, and for ten times as long as its shares take, is closed.
    public var idle = Interval.seconds(600)
    /// How long the session of a connection that ended may be resumed: its prefix rests for it.
    public var sessionRest = Interval.seconds(300)

    /// How long a rig that is sold in parts works for one buyer before it turns to another.
    public var slices = SliceTimes()

    public var limits = Limits()
    public var pools = PoolTimes()
    public var spool = SpoolTimes()

    /// Where numbering starts; other than 0 only in tests that replay recordings.
    public var firstPrefix: UInt16 = 0
    public var firstPaddingEpoch: UInt64 = 0

    public init(
        host: String, port: Int, spoolPath: String, edge: EdgeID, allotEpoch: @escaping @Sendable () async throws -> Int64
    ) {
        self.host = host
        self.port = port
        self.spoolPath = spoolPath
        self.edge = edge
        self.allotEpoch = allotEpoch
    }

    /// Where rigs connect by TLS. The files are PEM, and read again when they change.
    public struct TLSListener: Sendable, Hashable {
        /// 0 takes any free port.
        public var port: Int
        /// The certificate, then those between it and its authority.
        public var certificatePath: String
        public var keyPath: String

        public init(port: Int, certificatePath: String, keyPath: String) {
            self.port = port
            self.certificatePath = certificatePath
            self.keyPath = keyPath
        }
    }

    /// Bounds. What happens at each is said beside it.
    public struct Limits: Sendable {
        /// Connections of miners, authorized or not; further ones are closed at once.
        public var minerConnections = 60_000
        /// New connections of miners that are served each second, and after a pause at once; the others wait, unread.
        public var connectionsPerSecond = 6000
        public var connectionsAtOnce = 6000
        /// Connections that wait for that; further ones are closed.
        public var connectionsWaiting = 60_000
        /// Rigs on one pool connection; the next rig opens another one.
        public var rigsPerPoolConnection = 256
        /// Connections to one pool as one user; further rigs find the pool unusable.
        public var connectionsPerPool = 64
        /// Jobs of one pool connection whose shares are still taken; the oldest becomes stale.
        public var jobsPerPoolConnection = 64
        /// A pool that sends more jobs a minute than this is unhealthy.
        public var jobsPerMinute = 600
        /// Jobs remembered for one rig; shares for older ones are answered 21.
        public var jobsPerRig = 128
        /// Shares remembered for one coinbase, to find duplicates; further ones are refused with 20.
        public var sharesPerCoinbase = 1 << 19
        /// Sessions that rest; the one that rests longest makes room.
        public var restingSessions = 8192
        /// Workers of farms that are being made rigs at one time; the others wait.
        public var registrationsInFlight = 256
        /// Logins that wait for that; further ones are refused with 20.
        public var registrationsWaiting = 20_000
        /// Failed logins before a connection is closed.
        public var failedLogins = 5
        /// Shares in a row that are malformed, for unknown jobs, duplicates or too easy, before a connection is closed.
        public var invalidSharesInARow = 500
        /// A rig that would find more shares than this at a pool's difficulty is not sent there; the pool is asked for more.
        public var sharesPerRigAndSecond = 20
        /// Shares of one connection in the long run, thirty times as many at once; it is closed.
        public var sharesPerConnectionAndSecond = 60
        /// Bytes waiting for a peer that does not read; it is closed.
        public var outputBytes = 256 * 1024
        /// Shares waiting for their commit; further ones are answered 20.
        public var sharesWaiting = 100_000

        public init() {}
    }

    /// How pool connections are made, watched and given up.
    public struct PoolTimes: Sendable {
        /// From connecting to the first job.
        public var handshake = Interval.seconds(5)
        /// Between attempts, doubled from the first to the last.
        public var firstRetry = Interval.milliseconds(500)
        public var lastRetry = Interval.seconds(30)
        /// How long a lost connection may take to come back before the pool counts as unhealthy.
        public var outage = Interval.seconds(5)
        /// How long a rig waits for the first target to open although a later one is ready.
        public var patience = Interval.seconds(1)
        /// A connection that no rig has wanted for this long is closed.
        public var idle = Interval.seconds(60)
        /// Time for the answer to a share; three overdue in a row are as bad as refusals.
        public var answer = Interval.seconds(20)
        /// How long a pool that refuses shares is left alone.
        public var refusalPause = Interval.seconds(60)
        /// Shares for jobs of a lost connection are valid for this long.
        public var lostJobs = Interval.seconds(30)
        /// A pool that has shares to answer and says nothing at all for so long is left, for as long as it stays silent.
        public var silence = Interval.seconds(3)
        /// A pool that failed must have been well for so long before rigs that work elsewhere return; twice as long after
        /// each further failure.
        public var recovery = Interval.seconds(5)
        /// Lets `client.reconnect` name another port of the same host.
        public var followsPorts = false

        public init() {}
    }

    /// The rhythm of commits and batches.
    public struct SpoolTimes: Sendable {
        /// How long shares are collected for one commit when none is running. Miners do not mind when they are answered: the
        /// work of a commit is shared by more of them.
        public var commitDelay = Interval.milliseconds(8)
        public var sealing = Interval.milliseconds(250)
        public var heartbeat = Interval.seconds(1)
        /// Heartbeats go on for this long after the last delivery.
        public var heartbeatAfterDelivery = Interval.seconds(60)
        /// Records in one batch.
        public var recordsPerBatch = 20_000
        /// Bytes kept while the database is away; at the bound the spool fails.
        public var maximalBytes: Int64 = 8 << 30
        public var firstRetry = Interval.milliseconds(100)
        public var lastRetry = Interval.seconds(10)
        /// How long a stop waits for pools' answers, and then for the last batches.
        public var stopping = Interval.seconds(5)

        public init() {}
    }
}
