import Logging
import Metering
import NIOCore
import Routing
import Stratum
import Units

/// One TCP connection of a miner: its session, its prefix, its jobs.
final class MinerConnection: LineReceiver {
    unowned let core: EdgeCore
    let connectedAt: Timestamp
    /// Where it connects from; nil when a load balancer cannot tell.
    let source: SourceAddress?
    /// Its address is banned, but others behind it are good: one failure ends it.
    private let isStrict: Bool
    /// When its rig logged in.
    private(set) var loggedInAt: Timestamp?
    /// It knew a rig's password, whether that may work now or not.
    var isIdentified = false
    private let output: LineOutput
    private(set) var session: MinerSession
    private var named: RigSession?
    var prefix: UInt16? { named?.prefix }
    private(set) var rig: Rig?
    private(set) var number: Int64 = 0
    private var failedLogins = 0
    /// A farm's login whose answer it waits for: one at a time.
    var isAwaitingLogin = false
    private var invalidInARow = 0
    private(set) var isClosed = false
    private var lines = LineBudget.miners
    private var shareBudget: LineBudget
    private var watch: SilenceWatch
    /// Shares by worker; empty as long as there is only one.
    private(set) var workerCounts: [String: ShareCounts] = [:]

    private(set) var jobs: RigJobTable
    var wish: DifficultyWish
    private var sentDifficulty: ShareDifficulty?
    /// It was given another extranonce than the one it subscribed with.
    private var hasOtherExtranonce = false
    /// The pool connection that its jobs come from.
    private(set) var attached: PoolConnection?
    private var assignment: Assignment?
    private var watched: [ObjectIdentifier: Upstream] = [:]
    /// It should work elsewhere, or at all, and cannot yet.
    private(set) var isWaiting = false {
        didSet { if isWaiting != oldValue { core.waits(self, isWaiting) } }
    }
    private(set) var skipped: [SkippedTarget] = []
    /// When the present slice or route ends by itself.
    private(set) var routeEnds: Timestamp? {
        didSet { if let routeEnds, routeEnds != oldValue { core.wakes(self, at: routeEnds) } }
    }

    /// Which tick of a second is its own.
    let turn: Int

    init(core: EdgeCore, channel: any Channel, source: SourceAddress?, isStrict: Bool, turn: Int, now: Timestamp) {
        self.core = core
        self.source = source
        self.isStrict = isStrict
        self.turn = turn
        connectedAt = now
        let configuration = core.configuration
        var manners = MinerSession.Configuration()
        manners.handshakeTimeout = configuration.handshake
        manners.algorithm = configuration.algorithm
        session = MinerSession(manners, connectedAt: now)
        watch = SilenceWatch(limit: configuration.idle, now: now)
        let most = Int64(configuration.limits.sharesPerConnectionAndSecond)
        shareBudget = LineBudget(burst: most * 30, perSecond: most)
        output = LineOutput(channel: channel, queue: core.flushes, limit: configuration.limits.outputBytes)
        jobs = RigJobTable(limit: configuration.limits.jobsPerRig)
        wish = DifficultyWish(
            start: configuration.startDifficulty, minimum: configuration.minimumDifficulty,
            interval: configuration.shareInterval, algorithm: configuration.algorithm, now: now)
    }

    func start(on channel: any Channel) throws {
        let limit = MinerSession.Configuration().lineLimit
        try channel.pipeline.syncOperations.addHandler(LineHandler(limit: limit, receiver: self, output: output))
    }

    var versionMask: UInt32 { session.versionMask }
    var abilities: RigAbilities {
        RigAbilities(versionMask: versionMask, takesExtranonce: session.subscribesExtranonce)
    }
    var delivery: DeliveryID? { assignment?.delivery }
    var target: PoolTargetID? { assignment?.target }
    var prefixBytes: [UInt8] { prefix.map { [UInt8($0 >> 8), UInt8($0 & 0xff)] } ?? [] }
    /// It has work whose pool would take it.
    var isWorking: Bool { attached?.isReady ?? false }

    func send(_ bytes: [UInt8]) { output.send(bytes) }

    /// Writes what was sent now, not at the end of the loop's turn.
    func flush() { output.flush() }

    /// Writes what is pending and closes; the rest follows when the channel is gone.
    func close(_ reason: String) {
        guard !isClosed else { return }
        core.logger.info("miner connection closed: \(reason)", metadata: metadata)
        output.close()
        disconnected()
    }

    private var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = rig.map { ["rig": "\($0.id)"] } ?? [:]
        if let source { metadata["address"] = "\(source)" }
        return metadata
    }

    /// What is left of its session when it has ended; nothing when it never subscribed.
    var restingSession: RigSession? {
        guard var session = named else { return nil }
        if let rig { session.earlier = EarlierSession(rig: rig.id, jobs: jobs, wish: wish) }
        return session
    }

    // MARK: lines

    func received(line: UnsafeRawBufferPointer) {
        guard !isClosed else { return }
        watch.heard()
        let action = session.receive(line)
        guard action.isShare ? shareBudget.take(now: core.now()) : lines.take(now: core.now()) else {
            core.count(action.isShare ? .invalidShares : .malformed, self, now: core.now())
            return close(action.isShare ? "too many shares" : "too many lines")
        }
        carryOut(action)
    }

    func lineTooLong() { carryOut(session.lineTooLong()) }

    func disconnected() {
        guard !isClosed else { return }
        isClosed = true
        attached?.leave(self)
        attached = nil
        for upstream in watched.values { upstream.forget(self) }
        watched = [:]
        core.closed(self)
        // They lead to pool connections, and those to rigs.
        jobs = RigJobTable(limit: 1)
        assignment = nil
    }

    private func carryOut(_ action: MinerSession.Action) {
        switch action {
        case .none: break
        case .reply(let bytes): send(bytes)
        case .subscribesExtranonce(let bytes):
            send(bytes)
            abilitiesChanged()
        case .malformed(_, let bytes):
            send(bytes)
            countInvalid(true)
        case .configured(let extensions, let reply): configured(extensions, reply)
        case .subscribe(let id, let subscription): subscribe(id, subscription)
        case .authorize(let id, let login): authorize(id, login)
        case .submit(let id, let submission): core.submit(submission, id: id, from: self)
        case .suggestDifficulty(let difficulty, let reply):
            send(reply)
            wish.suggest(difficulty, now: core.now())
            reissueIfFarOff()
        case .close(let reason, let reply):
            send(reply)
            if reason != .handshakeTimeout { core.count(.malformed, self, now: core.now()) }
            close(reason.rawValue)
        }
    }

    private func configured(_ extensions: MinerSession.Extensions, _ reply: [UInt8]) {
        send(reply)
        if let minimum = extensions.minimumDifficulty { wish.require(minimum, now: core.now()) }
        if extensions.versionMask != nil || extensions.subscribesExtranonce { abilitiesChanged() }
    }

    /// Tells the exchange, if it knows otherwise.
    private func abilitiesChanged() {
        guard let rig, rig.reportedAbilities != abilities else { return }
        rig.reportedAbilities = abilities
        core.reports.rigOnline(rig.id, session: number, versionMask: abilities.word, at: core.now())
        evaluate()
    }

    private func subscribe(_ id: MessageID, _ subscription: MinerSession.Subscription) {
        guard let named = core.session(resuming: subscription.sessionID, on: self) else {
            send(session.refuse(id, .other("No room for more miners")))
            return close("no free prefix")
        }
        self.named = named
        send(session.accept(
            subscribe: id, extranonce1: prefixBytes,
            extranonce2Size: ExtranonceLayout.standard.extranonce2Size, sessionID: named.name))
        goOn()
        evaluate()
    }

    // MARK: login

    private func authorize(_ id: MessageID, _ login: MinerSession.Login) {
        conclude(id, login, core.outcome(of: login, id: id, on: self))
    }

    /// Answers a login, now or when it is known how.
    func conclude(_ id: MessageID, _ login: MinerSession.Login, _ outcome: LoginOutcome) {
        guard !isClosed else { return }
        switch outcome {
        case .waiting: break
        case .accepted(let rig):
            send(session.accept(authorize: id, login))
            if self.rig == nil { begin(rig) }
        case .refused(let error):
            send(session.refuse(id, error))
            failedLogins += 1
            if isStrict { return close("failed login from a banned address") }
            if failedLogins >= core.configuration.limits.failedLogins { close("too many failed logins") }
        }
    }

    private func begin(_ rig: Rig) {
        guard let number = core.nextSession() else { return close("no session number") }
        let now = core.now()
        self.rig = rig
        self.number = number
        loggedInAt = now
        core.began(self, rig: rig, now: now)
        goOn()
        evaluate()
    }

    /// A resumed session's jobs stay valid, for the rig that had them.
    private func goOn() {
        guard let rig, let earlier = named?.earlier else { return }
        named?.earlier = nil
        guard earlier.rig == rig.id else { return }
        jobs = earlier.jobs
        wish = earlier.wish
        core.logger.debug("session resumed", metadata: metadata)
    }

    func timeouts(now: Timestamp) {
        carryOut(session.timeout(at: now))
        guard !isClosed, let rig else { return }
        // A rig without work has nothing to say.
        if !isWorking { watch.heard() }
        switch watch.look(now: now, userAgent: session.userAgent, shareTime: shareTime(rig, now)) {
        case .none: break
        case .ask: send(Line.getVersion(id: 0))
        case .close: close("nothing heard for too long")
        }
    }

    /// How long the rig takes for a share; nil when that is not known.
    private func shareTime(_ rig: Rig, _ now: Timestamp) -> Interval? {
        guard let last = jobs.last, let rate = rig.measured(now: now)?.hashrate, rate > 0 else { return nil }
        let seconds = Double(last.difficulty.units) * Double(core.configuration.algorithm.hashesPerUnit) / rate
        return Interval(microseconds: Int64(min(seconds, 1e6) * 1e6))
    }

    func countInvalid(_ isInvalid: Bool) {
        invalidInARow = isInvalid ? invalidInARow + 1 : 0
        guard invalidInARow >= core.configuration.limits.invalidSharesInARow, !isClosed else { return }
        core.count(.invalidShares, self, now: core.now())
        close("too many invalid shares")
    }

    func count(_ verdict: Verdict, worker: String) {
        guard session.workers.count > 1 else { return }
        workerCounts[worker, default: ShareCounts()].count(verdict)
    }

    // MARK: where it works

    func watches(_ upstream: Upstream) { watched[ObjectIdentifier(upstream)] = upstream }
    func unwatches(_ upstream: Upstream) { watched[ObjectIdentifier(upstream)] = nil }

    /// Hashes per second over the last minute, as last looked at.
    private(set) var hashrate: Double = 0

    /// To be called about once a second; `isThorough` every few seconds.
    func everySecond(isThorough: Bool, now: Timestamp) {
        guard let rig, !isClosed else { return }
        if isThorough {
            hashrate = Double(rig.hashrate(seconds: 60, now: now).hashesPerSecond)
            // Also keeps the pools that it could use warm.
            evaluate()
        }
        if wish.adjust(now: now) { reissueIfFarOff() }
        if isThorough || rig.route.isShared { rig.mark(isWorking: isWorking, isServing: core.isServing, now: now) }
    }

    /// Its pool connection is gone; what it has goes on until there is something better.
    func lost(_ connection: PoolConnection) {
        guard attached === connection else { return }
        attached = nil
        isWaiting = true
    }

    /// Looks at where it should work and moves it there if that is possible now.
    func evaluate() {
        guard !isClosed, session.isReady, let rig else { return }
        let now = core.now()
        let choice = core.choose(for: rig, on: self, now: now)
        routeEnds = rig.route.nextTurn(now: now)
        skipped = choice.skipped
        guard let destination = choice.destination else {
            isWaiting = true
            return
        }
        isWaiting = false
        if attached === destination.connection, let assignment {
            if isTurn(assignment, destination, rig) { turn(to: destination) } else { renew(assignment, destination) }
        } else {
            move(to: destination, rig)
        }
    }

    /// Same pool connection, perhaps another delivery: nothing is sent.
    private func renew(_ assignment: Assignment, _ destination: Placement) {
        assignment.delivery = destination.delivery
        assignment.target = destination.target
        guard let last = jobs.last, let limit = core.maxDifficulty(of: self), last.difficulty > limit else { return }
        if let work = destination.connection.current { issue(work, clean: false) }
    }

    /// Whether both a present delivery and another one on the same pool connection go on: only their turns change.
    private func isTurn(_ assignment: Assignment, _ destination: Placement, _ rig: Rig) -> Bool {
        guard rig.route.isShared, assignment.delivery != destination.delivery else { return false }
        return assignment.delivery.map { rig.route.route(of: $0) != nil } ?? true
    }

    /// Same pool connection, another one's slice: what was sent before stays the other's.
    private func turn(to destination: Placement) {
        guard let work = destination.connection.current else { return }
        assignment = Assignment(delivery: destination.delivery, target: destination.target)
        issue(work, clean: true)
    }

    private func move(to destination: Placement, _ rig: Rig) {
        guard let work = destination.connection.current else { return }
        if assignment != nil { rig.switches += 1 }
        attached?.leave(self)
        attached = destination.connection
        destination.connection.join(self)
        assignment = Assignment(delivery: destination.delivery, target: destination.target)
        issue(work, clean: true)
    }

    /// Sends a job, and before it its difficulty if that is new.
    func issue(_ work: PoolWork, clean: Bool) {
        guard !isClosed, prefix != nil, let assignment, let prefix = work.connection.prefix(of: self, for: work.fold.layout)
        else { return }
        guard let issue = core.spaces.issue(work.space, to: prefix.key, epochs: work.fold.epochCapacity),
            let folded = work.folded(issue, name: core.nextJobName)
        else {
            return core.logger.info("job cannot be issued again; the rig waits for the next", metadata: metadata)
        }
        guard setExtranonce(work.fold, prefix) else { return }
        let difficulty = effectiveDifficulty(work)
        if difficulty != sentDifficulty {
            send(Line.setDifficulty(work.algorithm.decimal(difficulty)))
            sentDifficulty = difficulty
        }
        let now = core.now()
        jobs.add(
            RigJob(
                work: work, folded: folded, prefix: prefix, assigned: core.assigned(difficulty), assignment: assignment),
            isForgotten: { $0.isForgotten(now: now) })
        output.send(folded.line(clean: clean))
    }

    /// Gives the rig the extranonce that a pool's layout wants, if it has another; false when the rig takes none.
    private func setExtranonce(_ fold: CoinbaseFold, _ prefix: RigPrefix) -> Bool {
        if fold.layout == .standard, !hasOtherExtranonce { return true }
        let extranonce1 = fold.rigExtranonce1(prefix: prefix.bytes)
        let size = fold.layout.extranonce2Size
        if session.extranonce1 == extranonce1, session.extranonce2Size == size { return true }
        guard session.subscribesExtranonce else { return false }
        hasOtherExtranonce = fold.layout != .standard
        send(session.setExtranonce(extranonce1: extranonce1, extranonce2Size: size))
        return true
    }

    /// The smallest of what the rig should have, the pool's, and the route's bound; never below the market's minimum.
    private func effectiveDifficulty(_ work: PoolWork) -> ShareDifficulty {
        var units = min(wish.difficulty.units, work.poolUnits)
        if let limit = core.maxDifficulty(of: self) { units = min(units, limit.units) }
        let rounded = DifficultyWish.rounded(ShareDifficulty(units: max(1, units)), work.algorithm)
        return max(rounded, core.configuration.minimumDifficulty)
    }

    /// Follows the wish: a small change waits for the next job, a large one is a job of its own.
    private func reissueIfFarOff() {
        guard let last = jobs.last, let work = attached?.current, work === last.work else { return }
        let next = effectiveDifficulty(work)
        let (low, high) = (min(next, last.difficulty), max(next, last.difficulty))
        guard high.units / 4 >= low.units else { return }
        issue(work, clean: false)
    }
}

extension MinerSession.Action {
    fileprivate var isShare: Bool {
        if case .submit = self { return true }
        return false
    }
}
