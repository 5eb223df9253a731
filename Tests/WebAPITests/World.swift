import Crypto
import Exchange
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Ledger
import Logging
import Market
import Metering
import NIOCore
import Settlement
import Synchronization
import Units
@testable import WebAPI

/// A market in memory: a real exchange whose events feed the tables that reports read.
final class MemoryMarket: MarketGateway, MarketReports {
    struct Inside {
        var exchange = Exchange()
        var time = Timestamp(microseconds: 1_800_000_000_000_000)
        /// Follows the events, as the projector does.
        var mirror = MarketState()
        var orders: [OrderID: Order] = [:]
        /// What the tables are still to hear of orders; nil while they are told at once.
        var unprojected: [OrderID: Order]?
        var deliveries: [DeliveryID: Delivery] = [:]
        var lines: [ReportLine] = []
        let ledger = MemoryLedger()
        var failure: GatewayError?
        var isBroken = false
        var position: Int64 = 0
        var followers: [@Sendable (FeedNews) -> Void] = []
    }

    struct Broken: Error {}

    private let inside: Mutex<Inside>

    var isHealthy: Bool { inside.withLock { $0.failure != .unavailable } }

    init(_ rules: MarketRules?) {
        var start = Inside()
        start.mirror.trackChanges()
        inside = Mutex(start)
        if let rules { _ = apply(CommandEnvelope(.defineMarket(rules))) }
    }

    @discardableResult
    func apply(_ envelope: CommandEnvelope) -> Outcome {
        let (outcome, news, followers) = inside.withLock { inside in
            let (outcome, events) = inside.exchange.apply(envelope, at: inside.time)
            var news = FeedNews()
            for event in events {
                news.note(event, in: inside.mirror)
                inside.mirror.evolve(event)
                MemoryMarket.project(event, &inside)
            }
            inside.position += events.isEmpty ? 0 : 1
            news.close(at: inside.position)
            return (outcome, events.isEmpty ? nil : news, inside.followers)
        }
        if let news { for follower in followers { follower(news) } }
        return outcome
    }

    private static func project(_ event: Event, _ inside: inout Inside) {
        inside.ledger.take(event)
        let changes = inside.mirror.takeChanges()
        for (id, change) in changes.orders {
            switch change {
            case .live(let order), .gone(let order):
                if inside.unprojected == nil { inside.orders[id] = order } else { inside.unprojected?[id] = order }
            }
        }
        for (id, change) in changes.deliveries {
            switch change { case .live(let delivery), .gone(let delivery): inside.deliveries[id] = delivery }
        }
        guard case .lineSettled(let line) = event, let d = inside.deliveries[line.delivery] else { return }
        inside.lines.append(ReportLine(
            number: Int64(inside.lines.count + 1), settledAt: line.at, valueAt: line.valueAt, code: line.code,
            minutes: line.fromMinute..<line.toMinute, run: line.run, delivery: d.id, bid: d.bid, ask: d.ask, rig: d.rig,
            buyer: d.buyer, seller: d.seller, price: d.terms.price, lots: d.lots, openedAt: d.openedAt, work: line.work,
            charge: line.amounts.charge, buyerFee: line.amounts.buyerFee, sellerFee: line.amounts.sellerFee))
    }

    /// From here on the tables hear of orders when somebody waits for it.
    func holdTablesBack() { inside.withLock { $0.unprojected = $0.unprojected ?? [:] } }

    func isProjected() async -> Bool {
        inside.withLock { inside in
            inside.orders.merge(inside.unprojected ?? [:]) { $1 }
            if inside.unprojected != nil { inside.unprojected = [:] }
            return true
        }
    }

    /// Lets time pass, and what is due happen.
    func advance(_ interval: Interval) {
        pass(interval)
        apply(CommandEnvelope(.advance))
    }

    func pass(_ interval: Interval) { inside.withLock { $0.time = $0.time + interval } }
    func fail(with error: GatewayError?) { inside.withLock { $0.failure = error } }
    func breakReports(_ isBroken: Bool) { inside.withLock { $0.isBroken = isBroken } }
    var time: Timestamp { inside.withLock { $0.time } }

    func submit(_ envelope: CommandEnvelope) async throws(GatewayError) -> Outcome {
        if let failure = inside.withLock({ $0.failure }) { throw failure }
        return apply(envelope)
    }

    func read<T>(_ body: (MarketState) -> T) -> T { body(inside.withLock { $0.exchange.state }) }

    var position: Int64 { inside.withLock { $0.position } }

    func committed<T>(_ body: (MarketState, Int64) -> T) -> T {
        let (state, position) = inside.withLock { ($0.exchange.state, $0.position) }
        return body(state, position)
    }

    func onFeed(_ body: @escaping @Sendable (FeedNews) -> Void) { inside.withLock { $0.followers.append(body) } }

    /// The tables of orders and deliveries.
    var tables: (orders: [Order], deliveries: [Delivery]) {
        inside.withLock { (Array($0.orders.values), Array($0.deliveries.values)) }
    }

    func table<T: Sendable>(_ body: (Inside) -> T) throws -> T {
        try inside.withLock {
            if $0.isBroken { throw Broken() }
            return body($0)
        }
    }

    func settlementLines(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [ReportLine] {
        try table { inside in
            Array(inside.lines.lazy.filter {
                $0.number > cursor && (account == nil || $0.buyer == account || $0.seller == account)
            }.prefix(limit))
        }
    }

    func deliveries(account: AccountID?, after cursor: Int64, limit: Int) async throws -> [DeliveryRow] {
        try table { inside in
            inside.deliveries.values.filter {
                $0.id.rawValue > cursor && (account == nil || $0.buyer == account || $0.seller == account)
            }.sorted { $0.id < $1.id }.prefix(limit).map {
                DeliveryRow(delivery: $0, metered: metered($0.settledWork))
            }
        }
    }

    func order(_ id: OrderID) async throws -> Order? { try table { $0.orders[id] } }
}

struct MemoryEdge: LiveEdge {
    private static let figures: LiveFigures = {
        var rejects = RejectCounts()
        for _ in 1...3 { rejects.count(.stale) }
        rejects.count(.unknownJob)
        return LiveFigures(
            hashrate5Minutes: Hashrate(hashesPerSecond: 5), hashrate60Minutes: Hashrate(hashesPerSecond: 60),
            hashrate24Hours: Hashrate(hashesPerSecond: 24), online24Hours: .seconds(3600), bestUnits: 77, valid: 90, stale: 3,
            duplicate: 0, lowDifficulty: 0, invalid: 1, notKept: 0, blocks: 1,
            firmware: FirmwareFigures(userAgent: "cgminer/4.12", accepted: 90, rejects: rejects))
    }()

    var stratumURL: String { "stratum+tcp://market.example:3333" }

    func edges() async -> [EdgeStatus] {
        [
            EdgeStatus(
                edge: EdgeID(2), name: "berlin-1", isEmbedded: false, stratumURL: "stratum+tcp://berlin.example:3333", version: "1",
                rigs: 12, silence: .milliseconds(500), clockAhead: .milliseconds(-2500), isSelling: false, backlog: 3),
            EdgeStatus(
                edge: EdgeID(1), name: "embedded", isEmbedded: true, stratumURL: stratumURL, version: "1", rigs: 1, silence: .zero,
                clockAhead: nil, isSelling: true, backlog: 0),
        ]
    }

    func deliveries() async -> [DeliveryID: LiveDelivery] {
        [DeliveryID(1): LiveDelivery(hashrate: Hashrate(hashesPerSecond: 98_765))]
    }

    func rigs() async -> [RigID: LiveRig] {
        [RigID(1): LiveRig(
            hashrate: Hashrate(hashesPerSecond: 98_765), pool: "stratum+tcp://pool.example:3333",
            userAgent: "cgminer/4.12", connectedSince: Timestamp(microseconds: 1_800_000_000_000_000), switches: 2,
            figures: MemoryEdge.figures)]
    }
}

/// Pools whose URL says `dead` do not answer; those that say `slow` answer when they are let go.
final class MemoryVerifier: PoolVerifying {
    private let count = Mutex(0)
    private let gate = Mutex<(waiting: [CheckedContinuation<Void, Never>], isOpen: Bool)>(([], false))

    var runs: Int { count.withLock { $0 } }

    func release() {
        let waiting = gate.withLock { gate in
            gate.isOpen = true
            defer { gate.waiting = [] }
            return gate.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func verify(url: String, user: String, password: String) async -> VerificationResult {
        count.withLock { $0 += 1 }
        if url.contains("slow") {
            await withCheckedContinuation { continuation in
                let isOpen = gate.withLock { gate in
                    if !gate.isOpen { gate.waiting.append(continuation) }
                    return gate.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }
        if url.contains("dead") {
            return VerificationResult(
                steps: [VerificationStep(name: "connect", isOK: false, detail: "Nobody answers.")], capabilities: nil)
        }
        let size: Int64 = url.contains("small") ? 4 : 8
        return VerificationResult(
            steps: ["connect", "subscribe", "authorize"].map { VerificationStep(name: $0, isOK: true, detail: "ok") },
            capabilities: PoolCapabilities(extranonce2Size: size, versionMask: 0x1fff_e000, difficulty: "512"))
    }

    func flaw(inURL url: String) -> String? {
        url.hasPrefix("stratum+tcp://") ? nil : "The URL must start with stratum+tcp://."
    }
}

/// Everybody who calls.
enum Caller: String, CaseIterable {
    case buyer, seller, finance, admin, otherBuyer, otherSeller, roleless, otherFinance

    var account: Int64 { Int64(Caller.allCases.firstIndex(of: self)! + 1) }
    var roles: Set<Role> {
        switch self {
        case .buyer, .otherBuyer: [.buyer]
        case .seller, .otherSeller: [.seller]
        case .finance, .otherFinance: [.finance]
        case .admin: [.admin]
        case .roleless: []
        }
    }
    var key: String { APIKey.make(random: Array(SHA256.hash(data: Array(rawValue.utf8)))) }
}

/// A market, its surroundings and its API.
struct World: Sendable {
    let market: MemoryMarket
    let directory = MemoryDirectory()
    let verifier = MemoryVerifier()
    let singlePersonDeposits: Bool
    var documents: MemoryDesk?
    let trail = MemoryControl()
    /// Instead of the trail alone.
    var control: (any ControlRecords)?
    let desk = MemorySettlement()
    var access = AccessSettings()
    /// Publishes at once, and ends streams after what they begin with.
    var streams: MarketStreams.Configuration = {
        var configuration = MarketStreams.Configuration()
        (configuration.pause, configuration.pausePerReader, configuration.lifetime) = (.zero, .zero, .zero)
        return configuration
    }()

    init(_ rules: MarketRules? = minuteTerms, singlePersonDeposits: Bool = true) {
        self.singlePersonDeposits = singlePersonDeposits
        market = MemoryMarket(rules)
        for caller in Caller.allCases {
            directory.add(caller.key, Principal(
                account: AccountID(caller.account), name: caller.rawValue, roles: caller.roles))
        }
    }

    var services: APIServices {
        var services = APIServices(
            market: market, directory: directory, keys: directory, reports: market, control: control ?? trail, edge: MemoryEdge(),
            verifier: verifier, access: access,
            secret: Array(repeating: 7, count: 32), now: { market.time },
            singlePersonDeposits: singlePersonDeposits, settlement: desk, streams: streams)
        services.documents = documents
        return services
    }

    func run(_ setup: TestingSetup = .router, _ body: @Sendable (Client) async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = buildApplication(
            services, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await app.test(setup) { try await body(Client(raw: $0)) }
    }

    // MARK: - Short ways to a state

    /// A buyer with money and pool 1, a seller with pool 2, rig 1, rig 2 with an ask and farm 1 with rig 3. The bid is order 1,
    /// the ask order 2; both are pegged to an index that is not there yet.
    static func furnished() -> World {
        let world = World()
        let (buyer, seller) = (AccountID(Caller.buyer.account), AccountID(Caller.seller.account))
        world.deposit(1_000_000_000)
        world.target(of: .buyer)
        let fallback = world.target(of: .seller)
        for name in ["r", "s", "t"] { _ = world.rig(name, fallback: fallback) }
        let pegged = Instructions(peg: Peg(reference: .index, offset: 0))
        world.market.apply(CommandEnvelope(.placeBid(PlaceBid(
            account: buyer, price: Price(600), lots: Lots(4), targets: [PoolTargetID(1)], instructions: pegged))))
        world.market.apply(CommandEnvelope(.placeAsk(PlaceAsk(account: seller, price: Price(900), rig: RigID(2), instructions: pegged))))
        world.market.apply(CommandEnvelope(.createFarm(owner: seller, name: "barn")))
        world.market.apply(CommandEnvelope(.assignRig(RigID(3), owner: seller, FarmID(1))))
        return world
    }

    func deposit(_ amount: Int64, to caller: Caller = .buyer) {
        market.apply(CommandEnvelope(.deposit(
            account: AccountID(caller.account), amount: Satoshis(amount), reference: "seed \(amount)")))
    }

    @discardableResult
    func target(of caller: Caller, url: String = "stratum+tcp://pool.example:3333", size: Int64 = 8) -> Int64 {
        let outcome = market.apply(CommandEnvelope(.createPoolTarget(
            owner: AccountID(caller.account), name: "pool", url: url, user: "u", password: "hush-hush")))
        guard case .poolTarget(let id) = outcome else { preconditionFailure("no target: \(outcome)") }
        market.apply(CommandEnvelope(.recordVerification(target: id, status: .verified(PoolCapabilities(
            extranonce2Size: size, versionMask: 0x1fff_e000, difficulty: "512")))))
        return id.rawValue
    }

    /// A rig that is online and measures so many lots.
    func rig(_ name: String, of caller: Caller = .seller, fallback: Int64, lots: Int64 = 5) -> Int64 {
        let outcome = market.apply(CommandEnvelope(.registerRig(
            owner: AccountID(caller.account), name: name, passwordDigest: Array(repeating: 1, count: 32),
            fallback: PoolTargetID(fallback))))
        guard case .rig(let id, _) = outcome else { preconditionFailure("no rig: \(outcome)") }
        goOnline(id.rawValue, lots: lots)
        return id.rawValue
    }

    func goOnline(_ rig: Int64, lots: Int64) {
        market.apply(CommandEnvelope(.rigOnline(RigID(rig), edge: EdgeID(1), session: 1, versionMask: 0x1fff_e000)))
        market.apply(CommandEnvelope(.rigMeasured(
            RigID(rig), session: 1, Hashrate(hashesPerSecond: lots * 100_000 + 50_000))))
    }

    /// Bills a delivery so much work, in a run of its own.
    func settle(_ delivery: Int64, work: Int64, run: Int64, isFinal: Bool = false) {
        market.apply(CommandEnvelope(.settle(run: run, chunk: 0, [DeliveryTotal(
            delivery: DeliveryID(delivery), billableWork: Work(units: work), isFinal: isFinal)])))
    }
}

/// A delivery's slots that hold just this work.
private func metered(_ work: Work) -> SlotCounts {
    var counts = SlotCounts()
    counts.validWork = work
    counts.billableWork = work
    return counts
}

/// The demonstration's market with terms of a minute: tests advance time by half of that.
let minuteTerms: MarketRules = {
    var rules = MarketRules.demo
    rules.term = .seconds(60)
    rules.shortestTerm = .seconds(10)
    rules.shareInterval = .seconds(1)
    return rules
}()
