import Crypto
import Logging
import NIOCore
import NIOPosix
import Routing
import Stratum
import Units

/// Where a rig can work now.
struct Placement {
    var connection: PoolConnection
    var delivery: DeliveryID?
    var target: PoolTargetID
}

/// What came of looking for a place.
struct Choice {
    /// nil: stay where you are for now.
    var destination: Placement?
    var skipped: [SkippedTarget] = []
}

enum LoginOutcome {
    case accepted(Rig)
    case refused(StratumError)
}

/// All state of an edge. Lives on one event loop, so that nothing in it needs a lock.
final class EdgeCore {
    let configuration: EdgeConfiguration
    let directory: any EdgeDirectory
    let reports: any EdgeReports
    let logger: Logger
    let loop: any EventLoop
    let flushes: FlushQueue
    let spaces: SearchSpaces
    let feed: SpoolFeed
    private let clock: any WallClock
    private let resolver: AddressResolver
    private var latest = Timestamp(microseconds: 0)

    private(set) var rigs: [RigID: Rig] = [:]
    private(set) var miners: [ObjectIdentifier: MinerConnection] = [:]
    private(set) var upstreams: [UpstreamKey: Upstream] = [:]
    private var credits: [DeliveryID: Work] = [:]
    private var retiring: [(work: PoolWork, at: Timestamp)] = []
    private var ended: [PoolConnectionSnapshot] = []
    private var jobNames: UInt64 = 0
    private var accepted = 0
    private var listener: (any Channel)?
    private var hasStopped = false
    private var ticks = 0
    private(set) var isStopping = false
    private var isSelling = true
    /// When there was a route last, used up or not.
    private(set) var lastDelivery: Timestamp?

    /// Dead jobs' search spaces are remembered for this long: pools repeat themselves after a reconnection.
    private static let retirement = Interval.seconds(120)

    init(
        configuration: EdgeConfiguration, directory: any EdgeDirectory, reports: any EdgeReports,
        clock: any WallClock, logger: Logger, loop: any EventLoop, resolver: AddressResolver, spool: SpoolThread
    ) {
        self.configuration = configuration
        self.directory = directory
        self.reports = reports
        self.clock = clock
        self.logger = logger
        self.loop = loop
        self.resolver = resolver
        flushes = FlushQueue(loop: loop)
        spaces = SearchSpaces(firstPrefix: configuration.firstPrefix, firstEpoch: configuration.firstPaddingEpoch)
        feed = SpoolFeed(spool: spool, loop: loop, times: configuration.spool, edgeLimits: configuration.limits)
    }

    /// Never runs backwards.
    func now() -> Timestamp {
        latest = max(latest, clock.now())
        return latest
    }

    var linkEnvironment: LinkEnvironment {
        LinkEnvironment(
            loop: loop, resolver: resolver, flushes: flushes, now: { [unowned self] in now() },
            connectTimeout: configuration.pools.handshake, outputLimit: configuration.limits.outputBytes)
    }

    func nextJobName() -> String {
        jobNames += 1
        return String(jobNames, radix: 16)
    }

    // MARK: starting and stopping

    func opened(_ state: SpoolState) {
        latest = max(latest, state.completeUntil)
        feed.opened(state, core: self)
        for part in state.unshipped {
            for (delivery, work) in part.work { credits[delivery, default: .zero] += work }
        }
    }

    func started(_ listener: any Channel) {
        self.listener = listener
        // Deliveries that ended while no edge ran wait for a report that says so.
        lastDelivery = now()
        scheduleTick()
    }

    private func scheduleTick() {
        loop.assumeIsolated().scheduleTask(in: .milliseconds(100)) {
            guard !self.hasStopped else { return }
            self.tick()
            self.scheduleTick()
        }
    }

    /// Closes the listener and all miners; pools may still answer.
    func beginStop() {
        isStopping = true
        listener?.close(promise: nil)
        for miner in Array(miners.values) { miner.close("the edge stops") }
    }

    var hasForwards: Bool {
        upstreams.values.contains { $0.connections.contains { !$0.forwards.isEmpty } }
    }

    func endStop() {
        for upstream in upstreams.values { upstream.closeAll() }
        hasStopped = true
    }

    // MARK: miners

    func accept(_ channel: any Channel) throws {
        guard !isStopping, miners.count < configuration.limits.minerConnections else {
            return channel.close(promise: nil)
        }
        accepted += 1
        let miner = MinerConnection(core: self, channel: channel, turn: accepted % 10, now: now())
        try miner.start(on: channel)
        miners[ObjectIdentifier(miner)] = miner
    }

    func closed(_ miner: MinerConnection) {
        miners[ObjectIdentifier(miner)] = nil
        guard let rig = miner.rig else { return }
        let now = now()
        if rig.connection === miner {
            rig.mark(isWorking: miner.isWorking, now: now)
            rig.connection = nil
        }
        reports.rigOffline(rig.id, session: miner.number, at: now)
    }

    /// Checks user and password; the same time passes whether the user or the password is wrong.
    func login(_ login: MinerSession.Login, on miner: MinerConnection) -> LoginOutcome {
        let digest = Array(SHA256.hash(data: Array(login.password.utf8)))
        let entry = directory.rig(user: login.user)
        let isRight = EdgeCore.isEqual(digest, entry?.passwordHash ?? Array(repeating: 0, count: 32))
        guard let entry, isRight else { return .refused(.unauthorized) }
        if let present = miner.rig, present.id != entry.id {
            return .refused(StratumError(code: 24, text: "Another rig is on this connection"))
        }
        let rig = self.rig(entry.id)
        rig.entry = entry
        return .accepted(rig)
    }

    /// In constant time for equal lengths.
    private static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func rig(_ id: RigID) -> Rig {
        if let known = rigs[id] { return known }
        let now = now()
        let made = Rig(id: id, now: now)
        rigs[id] = made
        if let update = directory.route(of: id) { take(update, made, now: now) }
        return made
    }

    func nextSession() -> Int64? { feed.nextSession() }

    /// An authorized connection takes its rig over from an earlier one.
    func began(_ miner: MinerConnection, rig: Rig, now: Timestamp) {
        rig.connection?.close("the rig has connected again")
        rig.connection = miner
        rig.startSession(miner.number, now: now)
        reports.rigOnline(rig.id, session: miner.number, versionMask: miner.versionMask, at: now)
    }

    // MARK: routes

    func apply(_ updates: [RouteUpdate]) {
        let now = now()
        for update in updates {
            let rig = rig(update.rig)
            if take(update, rig, now: now) { rig.connection?.evaluate() }
        }
    }

    /// False if a newer route is known.
    @discardableResult
    private func take(_ update: RouteUpdate, _ rig: Rig, now: Timestamp) -> Bool {
        guard rig.route.apply(update, now: now) else { return false }
        lastDelivery = now
        if let route = update.route, let credit = credits[route.delivery] {
            rig.route.restoreCredit(credit, delivery: route.delivery)
        }
        rig.reportedUnusable = nil
        return true
    }

    /// Work that the database has, beside what the spool still held when it was opened.
    func restore(_ known: [DeliveryID: Work]) {
        for (delivery, work) in known { credits[delivery, default: .zero] += work }
        takeCredits()
    }

    /// Work that all edges have delivered so far, at least.
    func raiseCredits(_ known: [DeliveryID: Work]) {
        for (delivery, work) in known { credits[delivery] = max(credits[delivery] ?? .zero, work) }
        takeCredits()
    }

    private func takeCredits() {
        for rig in rigs.values {
            guard let delivery = rig.route.route?.delivery, let credit = credits[delivery] else { continue }
            rig.route.restoreCredit(credit, delivery: delivery)
            rig.connection?.evaluate()
        }
    }

    func maxDifficulty(of miner: MinerConnection) -> ShareDifficulty? {
        guard let delivery = miner.delivery, let route = miner.rig?.route.route, route.delivery == delivery else {
            return nil
        }
        return route.maxDifficulty
    }

    /// Where a rig should work now; what cannot be used is skipped with its reason.
    func choose(for rig: Rig, on miner: MinerConnection, now: Timestamp) -> Choice {
        var choice = Choice()
        var isOpening = false
        if feed.isHealthy, isSelling, let route = rig.route.routeInForce(now: now) {
            for target in route.targets {
                switch standing(of: target, for: miner, now: now) {
                case .ready(let connection):
                    choice.destination = Placement(connection: connection, delivery: route.delivery, target: target)
                    rig.reportedUnusable = nil
                    return choice
                case .opening(let since):
                    // The buyer's order counts: a first target that is just opening is waited for.
                    if now - since < configuration.pools.patience { return choice }
                    isOpening = true
                case .unusable(let reason):
                    choice.skipped.append(SkippedTarget(target: target, reason: reason))
                }
            }
            if isOpening { return choice }
            reportUnusable(route, rig, choice, now: now)
        }
        chooseFallback(for: rig, on: miner, now: now, &choice)
        return choice
    }

    private func reportUnusable(_ route: Route, _ rig: Rig, _ choice: Choice, now: Timestamp) {
        guard rig.reportedUnusable != route.delivery else { return }
        rig.reportedUnusable = route.delivery
        let reason = choice.skipped.map { "\($0.target): \($0.reason)" }.joined(separator: "; ")
        reports.poolsUnusable(delivery: route.delivery, reason: reason, at: now)
    }

    private func chooseFallback(for rig: Rig, on miner: MinerConnection, now: Timestamp, _ choice: inout Choice) {
        guard let entry = rig.entry else { return }
        switch standing(of: entry.fallback, for: miner, now: now) {
        case .ready(let connection):
            choice.destination = Placement(connection: connection, delivery: nil, target: entry.fallback)
        case .opening: break
        case .unusable(let reason): choice.skipped.append(SkippedTarget(target: entry.fallback, reason: reason))
        }
    }

    private func standing(of target: PoolTargetID, for miner: MinerConnection, now: Timestamp) -> PoolStanding {
        guard let entry = directory.poolTarget(target) else { return .unusable("unknown pool target") }
        let key = UpstreamKey(url: entry.url, user: entry.user, password: entry.password)
        let upstream = upstreams[key] ?? Upstream(core: self, key: key, now: now)
        upstreams[key] = upstream
        return upstream.standing(for: miner, now: now)
    }

    // MARK: jobs

    /// A pool job is stale, pushed out or lost: its space is forgotten after a while.
    func retire(_ work: PoolWork, now: Timestamp) { retiring.append((work, now + EdgeCore.retirement)) }

    func remember(_ snapshot: PoolConnectionSnapshot) {
        ended.append(snapshot)
        if ended.count > 32 { ended.removeFirst() }
    }

    // MARK: time

    private func tick() {
        let now = now()
        ticks += 1
        for (key, upstream) in upstreams where !upstream.tick(now: now) { upstreams[key] = nil }
        for miner in Array(miners.values) {
            if miner.isWaiting && ticks % 3 == 0 || miner.routeEnds.map({ !(now < $0) }) ?? false { miner.evaluate() }
        }
        // A tenth of the miners at each tick: each gets its turn once a second.
        for miner in Array(miners.values) where miner.turn == ticks % 10 { everySecond(miner, now) }
        if ticks % 10 == 0 {
            forgetDeadJobs(now)
            // Also of rigs that are away: settlement waits for word beyond each delivery's end.
            if rigs.values.contains(where: { $0.route.route != nil }) { lastDelivery = now }
        }
        feed.tick()
    }

    private func forgetDeadJobs(_ now: Timestamp) {
        let due = retiring.prefix { !(now < $0.at) }.count
        for entry in retiring.prefix(due) { spaces.close(entry.work.space) }
        retiring.removeFirst(due)
    }

    private func everySecond(_ miner: MinerConnection, _ now: Timestamp) {
        miner.timeouts(now: now)
        guard let rig = miner.rig, !miner.isClosed else { return }
        guard let known = rig.entry.flatMap({ directory.rig(user: $0.user) }), known.id == rig.id,
            known.passwordHash == rig.entry?.passwordHash
        else { return miner.close("the rig is no longer known by this name and password") }
        rig.entry = known
        miner.everySecond(now: now)
        report(rig, miner, now: now)
    }

    private func report(_ rig: Rig, _ miner: MinerConnection, now: Timestamp) {
        if let hashrate = rig.measurementToReport(now: now) {
            reports.rigMeasured(rig.id, session: miner.number, hashrate: hashrate, at: now)
        }
        if let under = rig.underDelivery(difficulty: miner.jobs.last?.difficulty, now: now) {
            reports.underDelivered(delivery: under.delivery, hashrate: under.hashrate, at: now)
        }
    }

    /// The spool failed or works again: sold rigs go to their fallback pools, or come back.
    func spoolChanged(isHealthy: Bool) {
        if isHealthy {
            logger.notice("the spool works again")
        } else {
            logger.error("the spool has failed: sold rigs go to their fallback pools")
        }
        for miner in Array(miners.values) { miner.evaluate() }
    }

    /// Without a good clock nothing is sold: sold rigs go to their fallback pools, or come back.
    func setSelling(_ isSelling: Bool) {
        guard self.isSelling != isSelling else { return }
        self.isSelling = isSelling
        for miner in Array(miners.values) { miner.evaluate() }
    }

    /// Seals what was received until now; with nothing, only a heartbeat while deliveries run or have ended lately.
    func seal(heartbeat: Bool) -> EventLoopFuture<Bool> {
        let now = now()
        let isRunning = lastDelivery.map { now - $0 < configuration.spool.heartbeatAfterDelivery } ?? false
        return feed.seal(until: now, isHeartbeat: heartbeat && isRunning)
    }

    // MARK: snapshot

    func snapshot() -> EdgeSnapshot {
        let now = now()
        let pools = upstreams.values.flatMap { $0.connections.map(\.snapshot) } + ended
        return EdgeSnapshot(
            at: now, rigs: rigs.values.map { snapshot(of: $0, now: now) }.sorted { $0.rig < $1.rig },
            pools: pools.sorted { ($0.url, $0.user) < ($1.url, $1.user) },
            unusablePools: upstreams.values.compactMap { upstream in
                upstream.trouble(now: now).map {
                    UnusablePool(url: upstream.key.url, user: upstream.key.user, reason: $0)
                }
            }, minerConnections: miners.count, spool: feed.snapshot)
    }

    private func snapshot(of rig: Rig, now: Timestamp) -> RigSnapshot {
        let miner = rig.connection
        return RigSnapshot(
            rig: rig.id, user: rig.entry?.user ?? "", isOnline: miner != nil, session: rig.lastSession,
            userAgent: miner?.session.userAgent, connectedSince: miner?.connectedAt, versionMask: miner?.versionMask ?? 0,
            target: miner?.target, delivery: miner?.delivery, difficulty: miner?.jobs.last?.difficulty,
            hashrate1Minute: rig.hashrate(seconds: 60, now: now), hashrate5Minutes: rig.hashrate(seconds: 300, now: now),
            measured: rig.measured(now: now).map { Hashrate(rounding: $0.hashrate) }, shares: rig.counts,
            switches: rig.switches, skipped: miner?.skipped ?? [])
    }
}
