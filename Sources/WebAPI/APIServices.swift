public import Market
public import Units

/// What the API stands on: the market's writer, the tables, the edge, and sources of time and chance.
public struct APIServices: Sendable {
    public var market: any MarketGateway
    public var directory: any AccountDirectory
    public var keys: any KeyDirectory
    public var reports: any MarketReports
    public var control: any ControlRecords
    public var edge: any LiveEdge
    public var verifier: any PoolVerifying
    /// What is behind settlement lines; nil: not here.
    public var evidence: (any SettlementEvidence)?
    /// Statements and what belongs to them; nil: such requests are answered 503.
    public var documents: (any DocumentDesk)?
    /// How requests are admitted.
    public var access: AccessSettings
    /// Fed by the market; ``buildApplication(_:configuration:logger:onServerRunning:extend:)`` looks after them.
    public let streams: MarketStreams
    /// At least 32 random bytes, the same after a restart: rig passwords of repeatable requests derive from it.
    public var secret: [UInt8]
    /// For the lifetime of cached API keys, and for what depends on the time of day.
    public var now: @Sendable () -> Timestamp
    /// Whether one person may credit a deposit; otherwise another must approve it.
    public var singlePersonDeposits: Bool
    /// Cryptographically secure random bytes.
    public var randomBytes: @Sendable (Int) -> [UInt8]
    /// nil: settlement is made elsewhere.
    public var settlement: (any SettlementDesk)?

    /// - Precondition: `secret` has at least 32 bytes
    public init(
        market: any MarketGateway, directory: any AccountDirectory, keys: any KeyDirectory, reports: any MarketReports,
        control: any ControlRecords, edge: any LiveEdge, verifier: any PoolVerifying, access: AccessSettings = AccessSettings(),
        secret: [UInt8], now: @escaping @Sendable () -> Timestamp,
        singlePersonDeposits: Bool = false,
        randomBytes: @escaping @Sendable (Int) -> [UInt8] = APIServices.systemRandomBytes,
        settlement: (any SettlementDesk)? = nil,
        streams: MarketStreams.Configuration = MarketStreams.Configuration()
    ) {
        precondition(secret.count >= 32, "the API's secret is too short")
        self.market = market
        self.directory = directory
        self.keys = keys
        self.access = access
        self.reports = reports
        self.control = control
        self.edge = edge
        self.verifier = verifier
        self.secret = secret
        self.now = now
        self.singlePersonDeposits = singlePersonDeposits
        self.randomBytes = randomBytes
        self.settlement = settlement
        self.streams = MarketStreams(market: market, epoch: now().microseconds / 1000, configuration: streams)
    }

    /// The operating system's generator.
    public static let systemRandomBytes: @Sendable (Int) -> [UInt8] = { count in
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
