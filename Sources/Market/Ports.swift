public import Exchange
public import Metering
public import Settlement
public import Units

/// Why a command got no answer from the exchange.
public enum GatewayError: Error, Hashable, Sendable {
    /// The queue is full: try again later.
    case busy
    /// The journal could not be written, or the market is shutting down: nothing happened, or it is not known yet.
    case unavailable
}

/// The way to the market's single writer and to its committed state.
public protocol MarketGateway: MarketFeed {
    /// Queues a command and answers after its commit.
    func submit(_ envelope: CommandEnvelope) async throws(GatewayError) -> Outcome

    /// Looks at the committed state. `body` must be short: it holds up the publication of the next commit.
    func read<T>(_ body: (MarketState) -> T) -> T

    /// Waits until the tables have everything that is committed by now; false if that takes a second or more.
    func isProjected() async -> Bool

    /// Whether the database took, or would take, the last commit.
    var isHealthy: Bool { get }
}

/// What an API key may do.
public enum Role: String, Sendable, CaseIterable {
    case buyer
    case seller
    case finance
    case admin
}

/// Who is calling, by their API key.
public struct Principal: Hashable, Sendable {
    public var account: AccountID
    public var name: String
    /// Those that the key carries.
    public var roles: Set<Role>
    /// The key; nil where there is none.
    public var key: KeyID?
    public var grant = KeyGrant.all

    public init(account: AccountID, name: String, roles: Set<Role>) {
        self.account = account
        self.name = name
        self.roles = roles
    }
}

/// Accounts, in the database.
public protocol AccountDirectory: Sendable {
    /// Whether an account of this number exists.
    func exists(_ account: AccountID) async throws -> Bool
}

/// One row of the settlement report: a line, joined with its delivery.
public struct ReportLine: Hashable, Sendable {
    public var number: Int64
    public var settledAt: Timestamp
    /// The time that it counts for.
    public var valueAt: Timestamp
    public var code: ChargeCode
    /// The interval whose work it bills, minutes since 1970.
    public var minutes: Range<Int64>
    public var run: Int64
    public var delivery: DeliveryID
    public var bid: OrderID
    public var ask: OrderID
    public var rig: RigID
    public var buyer: AccountID
    public var seller: AccountID
    public var price: Price
    public var lots: Lots
    public var openedAt: Timestamp
    /// Newly billed work of the line.
    public var work: Work
    public var charge: Satoshis
    public var buyerFee: Satoshis
    public var sellerFee: Satoshis

    public init(
        number: Int64, settledAt: Timestamp, valueAt: Timestamp, code: ChargeCode, minutes: Range<Int64>, run: Int64,
        delivery: DeliveryID, bid: OrderID, ask: OrderID, rig: RigID, buyer: AccountID, seller: AccountID, price: Price, lots: Lots,
        openedAt: Timestamp, work: Work, charge: Satoshis, buyerFee: Satoshis, sellerFee: Satoshis
    ) {
        self.number = number
        self.settledAt = settledAt
        self.valueAt = valueAt
        self.code = code
        self.minutes = minutes
        self.run = run
        self.delivery = delivery
        self.bid = bid
        self.ask = ask
        self.rig = rig
        self.buyer = buyer
        self.seller = seller
        self.price = price
        self.lots = lots
        self.openedAt = openedAt
        self.work = work
        self.charge = charge
        self.buyerFee = buyerFee
        self.sellerFee = sellerFee
    }
}

/// A row of the deliveries table, ended ones included.
public struct DeliveryRow: Hashable, Sendable {
    public var delivery: Delivery
    /// Metered so far: the sum of its slots.
    public var metered: SlotCounts

    public init(delivery: Delivery, metered: SlotCounts) {
        self.delivery = delivery
        self.metered = metered
    }
}

/// What is read from the projected tables.
public protocol MarketReports: TreasuryReports {
    /// Settlement lines by number, after `cursor`, at most `limit`; of one account (as buyer or seller) or of all.
    func settlementLines(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ReportLine]
    /// Deliveries by number, after `cursor`; of one account (as buyer or seller) or of all.
    func deliveries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DeliveryRow]
    /// An order's last image, closed and settled ones included; nil when there is no such order.
    func order(_ id: OrderID) async throws -> Order?
    /// Fills before that of a delivery, newest first, at most `limit`.
    func trades(before: DeliveryID, limit: Int) async throws -> [Trade]
}

extension MarketReports {
    /// Where no tables are kept.
    public func trades(before: DeliveryID, limit: Int) async throws -> [Trade] { [] }
}

/// Live figures of the embedded edge.
public struct LiveDelivery: Hashable, Sendable {
    /// The rig's average over the last minute, by verified shares.
    public var hashrate: Hashrate

    public init(hashrate: Hashrate) { self.hashrate = hashrate }
}

/// What a rig is doing right now.
public struct LiveRig: Hashable, Sendable {
    public var hashrate: Hashrate
    /// URL of the pool it works for.
    public var pool: String?
    public var userAgent: String?
    public var connectedSince: Timestamp?
    public var switches: Int64
    /// nil where the edge keeps none.
    public var figures: LiveFigures?

    public init(
        hashrate: Hashrate, pool: String?, userAgent: String?, connectedSince: Timestamp?, switches: Int64,
        figures: LiveFigures? = nil
    ) {
        self.hashrate = hashrate
        self.pool = pool
        self.userAgent = userAgent
        self.connectedSince = connectedSince
        self.switches = switches
        self.figures = figures
    }
}

public protocol LiveEdge: Sendable {
    func deliveries() async -> [DeliveryID: LiveDelivery]
    func rigs() async -> [RigID: LiveRig]
    /// Where rigs connect: `stratum+tcp://host:port`.
    var stratumURL: String { get }
    /// All that there are.
    func edges() async -> [EdgeStatus]
}

extension LiveEdge {
    public func edges() async -> [EdgeStatus] { [] }
}

/// One step of a pool's verification.
public struct VerificationStep: Hashable, Sendable {
    public var name: String
    public var isOK: Bool
    /// What was found, or why it failed, in a sentence.
    public var detail: String

    public init(name: String, isOK: Bool, detail: String) {
        self.name = name
        self.isOK = isOK
        self.detail = detail
    }
}

public struct VerificationResult: Hashable, Sendable {
    public var steps: [VerificationStep]
    /// nil when a step failed.
    public var capabilities: PoolCapabilities?

    public init(steps: [VerificationStep], capabilities: PoolCapabilities?) {
        self.steps = steps
        self.capabilities = capabilities
    }
}

/// Tries a pool out before an order may use it.
public protocol PoolVerifying: Sendable {
    func verify(url: String, user: String, password: String) async -> VerificationResult
    /// Why a URL cannot be a pool's; nil when it can.
    func flaw(inURL url: String) -> String?
}
