import Crypto
import HeapModule
import Logging
import NIOCore
import NIOPosix
import NIOSSL
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
    /// The miner hears of it later.
    case waiting
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
    private let registrar: (any EdgeRegistrar)?
    private(set) lazy var doorway = Doorway(configuration.limits, now: now())
    private(set) lazy var farmLogins = FarmLogins(core: self, registrar: registrar)
    private let resolver: AddressResolver
    private let trust: PoolTrust
    private let certificates: MinerCertificates?
    /// Who gets in.
    private(set) var door: Door
    private var shelf: SessionShelf
    /// Connections by the name of their session.
    private var named: [UInt64: MinerConnection] = [:]
    /// Load balancers' connections whose header has not been read.
    private var awaitingHeader = 0
    private var latest = Timestamp(microseconds: 0)

    private(set) var rigs: [RigID: Rig] = [:]
    private(set) var miners: [ObjectIdentifier: MinerConnection] = [:]
    private(set) var upstreams: [UpstreamKey: Upstream] = [:]
    /// Miners by the tick of a second that is their own.
    private var turns: [[ObjectIdentifier: MinerConnection]] = Array(repeating: [:], count: 10)
    /// Miners that should work elsewhere, or at all, and cannot yet.
    private var waiting: [ObjectIdentifier: MinerConnection] = [:]
    private var wakes = Heap<Wake>()
    /// Pools by target, as the directory had them during this second.
    private var places: [PoolTargetID: Upstream] = [:]
    private var difficulties: [ShareDifficulty: AssignedDifficulty] = [:]
    /// Pool connections whose unsold rigs have yet to get the present job.
    private var owing: [PoolConnection] = []
    private var credits: [DeliveryID: Work] = [:]
    private var retiring: [(work: PoolWork, at: Timestamp)] = []
    private var ended: [PoolConnectionSnapshot] = []
    private var jobNames: UInt64 = 0
    private var accepted = 0
    private var listeners: [any Channel] = []
    private var hasStopped = false
    private var ticks = 0
    private(set) var isStopping = false
    private(set) var isSelling = true
    /// When there was a route last, used up or not.
    private(set) var lastDelivery: Timestamp?

    /// Dead jobs' search spaces are remembered for this long: pools repeat themselves after a reconnection.
    static let retirement = Interval.seconds(120)

    /// When a miner wants to be looked at. The miner may be gone by then.
    private struct Wake: Comparable {
        var at: Timestamp
        var miner: ObjectIdentifier

        static func < (a: Wake, b: Wake) -> Bool { a.at < b.at }
    }

    init(
        configuration: EdgeConfiguration, directory: any EdgeDirectory, reports: any EdgeReports,
        registrar: (any EdgeRegistrar)? = nil, clock: any WallClock, logger: Logger, loop: any EventLoop,
        resolver: AddressResolver, trust: PoolTrust, certificates: MinerCertificates?, spool: SpoolThread
    ) {
        self.configuration = configuration
        self.directory = directory
        self.reports = reports
        self.registrar = registrar
        self.clock = clock
        self.logger = logger
        self.loop = loop
        self.resolver = resolver
        self.trust = trust
        self.certificates = certificates
        door = Door(configuration.bans)
        shelf = SessionShelf(limit: configuration.limits.restingSessions, rest: configuration.sessionRest)
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
            loop: loop, resolver: resolver, trust: trust, flushes: flushes, now: { [unowned self] in now() },
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

    func started(_ listeners: [any Channel]) {
        self.listeners = listeners
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
        for listener in listeners { listener.close(promise: nil) }
        doorway.closeAll()
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

    /// A connection has come in; where a whole fleet does, it waits for its turn.
    func arrived(_ channel: any Channel, usesTLS: Bool) throws {
        guard !isStopping, miners.count + awaitingHeader + doorway.waiting < configuration.limits.minerConnections else {
            return channel.close(promise: nil)
        }
        // Those that may not come in at all must not keep others waiting.
        if let peer = SourceAddress(channel.remoteAddress), !isTrustedProxy(peer), case .refused = door.admission(of: peer, now: now()) {
            return channel.close(promise: nil)
        }
        if try doorway.admits(channel, usesTLS: usesTLS, now: now()) { try enter(channel, usesTLS: usesTLS) }
    }

    private func isTrustedProxy(_ peer: SourceAddress) -> Bool { configuration.trustedProxies.contains { $0.contains(peer) } }

    /// A load balancer's connection says first who is behind it.
    private func enter(_ channel: any Channel, usesTLS: Bool) throws {
        let peer = SourceAddress(channel.remoteAddress)
        guard let peer, isTrustedProxy(peer) else { return try admit(channel, source: peer, usesTLS: usesTLS) }
        awaitingHeader += 1
        try channel.pipeline.syncOperations.addHandler(ProxyHandler(core: self) { [unowned self] header in
            try admit(channel, source: header.source, usesTLS: usesTLS)
        })
    }

    func proxyHeaderEnded() { awaitingHeader -= 1 }

    private func admit(_ channel: any Channel, source: SourceAddress?, usesTLS: Bool) throws {
        let admission = isStopping ? .refused("stopping") : door.admission(of: source, now: now())
        if case .refused(let why) = admission {
            logger.debug("miner refused: \(why)", metadata: ["address": "\(source?.description ?? "")"])
            return channel.close(promise: nil)
        }
        if usesTLS, let certificates {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: certificates.context))
        } else {
            try channel.pipeline.syncOperations.addHandler(PlainTextGuard())
        }
        accepted += 1
        let miner = MinerConnection(
            core: self, channel: channel, source: source, isStrict: admission == .strict, turn: accepted % 10, now: now())
        try miner.start(on: channel)
        door.entered(source)
        miners[ObjectIdentifier(miner)] = miner
        turns[miner.turn][ObjectIdentifier(miner)] = miner
    }

    func closed(_ miner: MinerConnection) {
        miners[ObjectIdentifier(miner)] = nil
        turns[miner.turn][ObjectIdentifier(miner)] = nil
        waiting[ObjectIdentifier(miner)] = nil
        let now = now()
        leave(miner, now: now)
        guard let rig = miner.rig else { return }
        if rig.connection === miner {
            rig.mark(isWorking: miner.isWorking, now: now)
            rig.connection = nil
        }
        reports.rigOffline(rig.id, session: miner.number, at: now)
    }

    private func leave(_ miner: MinerConnection, now: Timestamp) {
        door.left(miner.source)
        putAside(miner, now: now)
        // A rig that is banned or curtailed is not held against its address.
        let wasShort = miner.loggedInAt.map { now - $0 < .seconds(5) } ?? !miner.isIdentified
        if wasShort, !isStopping { count(.churn, miner, now: now) }
    }

    /// Checks user and password; the same time passes whether the user or the password is wrong.
    func outcome(of login: MinerSession.Login, id: MessageID, on miner: MinerConnection) -> LoginOutcome {
        let now = now()
        guard door.ban(ofLogin: login.user, from: miner.source, now: now) == nil else {
            return .refused(StratumError(code: 24, text: "Too many failed logins; try again later"))
        }
        let digest = Array(SHA256.hash(data: Array(login.password.utf8)))
        let entry = directory.rig(user: login.user)
        let farm = entry == nil ? farmLogins.farm(of: login.user) : nil
        let known = entry?.passwordHash ?? farm?.farm.passwordHash
        let isRight = EdgeCore.isEqual(digest, known ?? Array(repeating: 0, count: 32))
        guard known != nil, isRight else {
            tell(door.failedLogin(user: login.user, from: miner.source, now: now))
            return .refused(.unauthorized)
        }
        miner.isIdentified = true
        door.loggedIn(from: miner.source)
        guard let entry else {
            return farm.map { farmLogins.admit($0.farm, $0.worker, login, id: id, on: miner) } ?? .refused(.unauthorized)
        }
        guard door.ban(of: entry.id, now: now) == nil else {
            return .refused(StratumError(code: 24, text: "Too many faults of this rig; try again later"))
        }
        guard !entry.isCurtailed else {
            return .refused(StratumError(code: 24, text: "Curtailed: the farm's owner has sent this rig away"))
        }
        if let present = miner.rig, present.id != entry.id {
            guard let owner = present.entry?.owner, owner == entry.owner else {
                return .refused(StratumError(code: 24, text: "A rig of another owner is on this connection"))
            }
            return .accepted(present)
        }
        let rig = self.rig(entry.id)
        rig.entry = entry
        return .accepted(rig)
    }

    /// A connection's offence: against its rig, or its address as long as nobody has logged in.
    func count(_ offence: Offence, _ miner: MinerConnection, now: Timestamp) {
        if let ban = door.count(offence, rig: miner.rig?.id, from: miner.source, now: now) { tell([ban]) }
    }

    private func tell(_ bans: [NewBan]) {
        for ban in bans { logger.warning("banned for \(ban.reason)", metadata: ["who": "\(ban.subject)", "until": "\(ban.until)"]) }
    }

    // MARK: sessions

    /// The session with this name if it may be resumed, else a new one; nil when there is no room.
    func session(resuming name: String?, on miner: MinerConnection) -> RigSession? {
        let now = now()
        if let id = name.flatMap({ RigSession.id(named: $0) }) {
            // Whoever knows the name is the miner that it was told: its earlier connection is dead.
            named[id]?.close("its session is resumed on another connection")
            if let session = shelf.take(id, now: now) {
                named[id] = miner
                return session
            }
        }
        guard let counter = nextSession().map({ $0 & 0xffff_ffff }), let prefix = freePrefix(at: counter) else { return nil }
        let session = RigSession(id: UInt64.random(in: .min ... .max), prefix: prefix)
        named[session.id] = miner
        return session
    }

    private func freePrefix(at counter: Int64) -> UInt16? {
        if let prefix = spaces.takePrefix(at: counter) { return prefix }
        // A few only: each costs a search, and sessions of which jobs live free nothing.
        for _ in 0..<4 {
            guard let rested = shelf.dropOldest() else { break }
            spaces.release(prefix: rested)
            let counter = (Int64(rested) - Int64(configuration.firstPrefix) + 65_536) % 65_536 + 1
            if let prefix = spaces.takePrefix(at: counter) { return prefix }
        }
        return nil
    }

    /// A session that did something may come back; another one's prefix is free at once.
    private func putAside(_ miner: MinerConnection, now: Timestamp) {
        guard let session = miner.restingSession else { return }
        named[session.id] = nil
        let freed = session.earlier == nil ? [session.prefix] : shelf.put(session, now: now)
        for prefix in freed { spaces.release(prefix: prefix) }
    }

    /// In constant time for equal lengths.
    private static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func rig(_ id: RigID) -> Rig {
        if let known = rigs[id] { return known }
        let now = now()
        let made = Rig(id: id, algorithm: configuration.algorithm, now: now, slices: configuration.slices)
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
        rig.figures.begin(userAgent: miner.session.userAgent)
        // Some ask for extranonces only after their login: what the rig could do before it can until it says otherwise.
        var abilities = miner.abilities
        if let before = rig.reportedAbilities, before.takesExtranonce, before.versionMask == abilities.versionMask {
            abilities = before
        }
        rig.reportedAbilities = abilities
        reports.rigOnline(rig.id, session: miner.number, versionMask: abilities.word, at: now)
    }

    // MARK: routes

    func apply(_ updates: [RouteUpdate]) {
        let now = now()
        // A changed pool target comes with the routes that it changes.
        places = [:]
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
        for route in update.routes {
            if let credit = credits[route.delivery] { rig.route.restoreCredit(credit, delivery: route.delivery) }
        }
        rig.reportedUnusable = []
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
            let restored = rig.route.routes.map(\.delivery).filter { credits[$0] != nil }
            for delivery in restored { rig.route.restoreCredit(credits[delivery] ?? .zero, delivery: delivery) }
            if !restored.isEmpty { rig.connection?.evaluate() }
        }
    }

    func maxDifficulty(of miner: MinerConnection) -> ShareDifficulty? {
        miner.delivery.flatMap { miner.rig?.route.route(of: $0)?.maxDifficulty }
    }

    func chooseFallback(for rig: Rig, on miner: MinerConnection, now: Timestamp, _ choice: inout Choice) {
        guard let entry = rig.entry else { return }
        switch standing(of: entry.fallback, for: miner, now: now) {
        case .ready(let connection):
            choice.destination = Placement(connection: connection, delivery: nil, target: entry.fallback)
        case .opening: break
        case .unusable(let reason), .unfit(let reason):
            choice.skipped.append(SkippedTarget(target: entry.fallback, reason: reason))
        }
    }

    func standing(of target: PoolTargetID, for miner: MinerConnection, now: Timestamp) -> PoolStanding {
        if let known = places[target] { return known.standing(for: miner, now: now) }
        guard let entry = directory.poolTarget(target) else { return .unusable("unknown pool target") }
        let key = UpstreamKey(url: entry.url, user: entry.user, password: entry.password)
        let upstream = upstreams[key] ?? Upstream(core: self, key: key, now: now)
        upstreams[key] = upstream
        places[target] = upstream
        return upstream.standing(for: miner, now: now)
    }

    /// A difficulty and its target; each is computed once.
    func assigned(_ difficulty: ShareDifficulty) -> AssignedDifficulty {
        if let known = difficulties[difficulty] { return known }
        if difficulties.count >= 4096 { difficulties = [:] }
        let made = AssignedDifficulty(
            difficulty, target: configuration.takesAnyHash ? .max : configuration.algorithm.target(of: difficulty))
        difficulties[difficulty] = made
        return made
    }

    // MARK: jobs

    /// A pool job is stale, pushed out or lost: its space is forgotten after a while.
    func retire(_ work: PoolWork, now: Timestamp) { retiring.append((work, now + EdgeCore.retirement)) }

    /// Unsold rigs of a pool connection get their job after the sold ones of all: one connection at each turn of the loop.
    func owes(_ connection: PoolConnection) {
        owing.append(connection)
        if owing.count == 1 { scheduleOwed() }
    }

    private func scheduleOwed() {
        loop.assumeIsolated().execute {
            guard let first = self.owing.first else { return }
            self.owing.removeFirst()
            first.payOwed()
            if !self.owing.isEmpty { self.scheduleOwed() }
        }
    }

    func remember(_ snapshot: PoolConnectionSnapshot) {
        ended.append(snapshot)
        if ended.count > 32 { ended.removeFirst() }
    }

    // MARK: time

    /// The miner wants to be looked at again and again, or no longer.
    func waits(_ miner: MinerConnection, _ isWaiting: Bool) {
        waiting[ObjectIdentifier(miner)] = isWaiting && !miner.isClosed ? miner : nil
    }

    /// The miner wants to be looked at at that time.
    func wakes(_ miner: MinerConnection, at time: Timestamp) {
        wakes.insert(Wake(at: time, miner: ObjectIdentifier(miner)))
    }

    private func tick() {
        let now = now()
        ticks += 1
        for (key, upstream) in upstreams where !upstream.tick(now: now) { upstreams[key] = nil }
        if ticks % 3 == 0 { for miner in Array(waiting.values) { miner.evaluate() } }
        while let first = wakes.min, !(now < first.at) {
            wakes.removeMin()
            miners[first.miner]?.evaluate()
        }
        // A tenth of the miners at each tick: each gets its turn once a second.
        for miner in Array(turns[ticks % 10].values) { everySecond(miner, now) }
        if ticks % 36_000 == 0 {
            let running = Set(rigs.values.flatMap { $0.route.routes.map(\.delivery) })
            credits = credits.filter { running.contains($0.key) }
        }
        if ticks % 10 == 0 {
            places = [:]
            forgetDeadJobs(now)
            for prefix in shelf.expire(now: now) { spaces.release(prefix: prefix) }
            // Also of rigs that are away: settlement waits for word beyond each delivery's end.
            if rigs.values.contains(where: { !$0.route.routes.isEmpty }) { lastDelivery = now }
        }
        feed.tick()
        farmLogins.tick(now: now)
        if !isStopping { doorway.letIn(now: now) { try enter($0, usesTLS: $1) } }
    }

    private func forgetDeadJobs(_ now: Timestamp) {
        let due = retiring.prefix { !(now < $0.at) }.count
        for entry in retiring.prefix(due) { spaces.close(entry.work.space) }
        retiring.removeFirst(due)
    }

    private func everySecond(_ miner: MinerConnection, _ now: Timestamp) {
        miner.timeouts(now: now)
        guard let rig = miner.rig, !miner.isClosed else { return }
        // What costs more is done for a quarter of the rigs each second.
        let isThorough = ticks / 10 % 4 == Int(truncatingIfNeeded: rig.id.rawValue & 3)
        if isThorough {
            rig.figures.mark(now: now)
            guard let known = rig.entry.flatMap({ directory.rig(user: $0.user) }), known.id == rig.id,
                known.passwordHash == rig.entry?.passwordHash
            else { return miner.close("the rig is no longer known by this name and password") }
            guard !known.isCurtailed else { return miner.close("the rig is curtailed") }
            rig.entry = known
        }
        miner.everySecond(isThorough: isThorough, now: now)
        if isThorough { report(rig, miner, now: now) }
    }

    private func report(_ rig: Rig, _ miner: MinerConnection, now: Timestamp) {
        if let hashrate = rig.measurementToReport(now: now) {
            reports.rigMeasured(rig.id, session: miner.number, hashrate: hashrate, at: now)
        }
        for under in rig.underDeliveries(difficulty: miner.jobs.last?.difficulty, now: now) {
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

    /// Sold rigs work for their buyers.
    var isServing: Bool { feed.isHealthy && isSelling }

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
            }, minerConnections: miners.count, restingSessions: shelf.count, bans: door.bans.current(limit: 100, now: now),
            spool: feed.snapshot)
    }

    private func snapshot(of rig: Rig, now: Timestamp) -> RigSnapshot {
        let miner = rig.connection
        return RigSnapshot(
            rig: rig.id, user: rig.entry?.user ?? "", isOnline: miner != nil, session: rig.lastSession,
            userAgent: miner?.session.userAgent, address: miner?.source, connectedSince: miner?.connectedAt,
            versionMask: miner?.versionMask ?? 0,
            target: miner?.target, delivery: miner?.delivery, difficulty: miner?.jobs.last?.difficulty,
            hashrate1Minute: rig.hashrate(seconds: 60, now: now), hashrate5Minutes: rig.hashrate(seconds: 300, now: now),
            measured: rig.measured(now: now).map { Hashrate(rounding: $0.hashrate) }, shares: rig.counts,
            workers: miner?.workerCounts ?? [:], switches: rig.switches, skipped: miner?.skipped ?? [],
            slices: rig.slices(now: now), figures: rig.figuresSnapshot(now: now))
    }
}
