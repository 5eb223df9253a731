import Logging
import Stratum
import Units

/// A pool as one user: what connections are shared by.
struct UpstreamKey: Hashable {
    var url: String
    var user: String
    var password: String
}

/// A pool's answers to shares over the last minute.
struct RefusalRate {
    private var answers: [(at: Timestamp, refused: Bool)] = []

    /// Answers remembered; more than enough to tell 5 %.
    private static let limit = 2048

    mutating func answered(refused: Bool, now: Timestamp) {
        if answers.count >= RefusalRate.limit { answers.removeFirst(RefusalRate.limit / 2) }
        answers.append((now, refused))
    }

    mutating func clear() { answers = [] }

    /// Refuses more than 5 % of at least 20 over the last minute.
    mutating func isTooHigh(now: Timestamp) -> Bool {
        let recent = answers.drop { now - $0.at > .seconds(60) }
        let refused = recent.count { $0.refused }
        return recent.count >= 20 && refused * 20 > recent.count
    }
}

/// What a rig can expect of a pool now.
enum PoolStanding {
    case ready(PoolConnection)
    /// Not yet, or not again; since when.
    case opening(since: Timestamp)
    /// By nobody.
    case unusable(String)
    /// By this rig; others may.
    case unfit(String)
}

/// A pool as one user, with its connections and its health.
final class Upstream {
    unowned let core: EdgeCore
    let key: UpstreamKey
    private(set) var connections: [PoolConnection] = []
    var refusals = RefusalRate()
    var loginRefused = false
    /// Who looked at this pool's standing and wants to know of changes.
    private var watchers: [ObjectIdentifier: MinerConnection] = [:]
    private var lastWanted: Timestamp
    private var attempts = 0
    private var nextAttempt: Timestamp
    /// Since when it is wanted but not ready.
    private var troubleSince: Timestamp?
    /// It is left alone until then, and why.
    private var pause: (until: Timestamp, reason: String)?
    /// Since when it is ready but has no room for another rig.
    private var crowdedSince: Timestamp?
    /// Shares whose answers were overdue, in a row.
    private var overdue = 0
    /// Shares refused in a row, late ones apart, and since when.
    private var row: (since: Timestamp, count: Int)?
    /// Rigs that work elsewhere stay there until then.
    private var recoveringUntil: Timestamp?
    /// It failed after it had worked, and is not back yet.
    private var hasFailed = false
    /// Failures that followed each other within ``calm``.
    private var relapses = 0
    private var lastFailure: Timestamp?
    /// A connection that the pool asked for: when to open it, and on which port if another one.
    private var replacement: (at: Timestamp, port: Int?)?
    private var lastReplacement: Timestamp?
    private var lastComplaint: Timestamp?
    /// The pool's last texts for people, oldest first.
    private(set) var messages: [String] = []
    private var lastEnd: LinkEnd?
    /// The end was of a kind that waiting does not mend.
    private var isHopeless = false

    /// A connection that lived for so long ends without being held against the pool.
    private static let steady = Interval.seconds(10)
    /// After so long without one a failure is the first again.
    private static let calm = Interval.seconds(600)
    /// A pool may ask to be connected to anew no more often than this.
    private static let betweenReplacements = Interval.seconds(30)
    /// So many refusals in a row are no accident.
    private static let mostRefusalsInARow = 6
    private static let longestRow = Interval.seconds(2)
    /// Wishes that are not followed are logged no more often than this.
    private static let betweenComplaints = Interval.seconds(60)

    /// What ended connections had counted.
    private var past = PoolTotals()

    struct PoolTotals {
        var forwarded: Int64 = 0
        var accepted: Int64 = 0
        var rejected: Int64 = 0
        var unanswered: Int64 = 0
    }

    init(core: EdgeCore, key: UpstreamKey, now: Timestamp) {
        self.core = core
        self.key = key
        lastWanted = now
        nextAttempt = now
    }

    var metadata: Logger.Metadata { ["pool": "\(key.url)"] }

    // MARK: standing

    /// What this pool is to a rig now. Asking opens it when needed, and subscribes to changes.
    func standing(for miner: MinerConnection, now: Timestamp) -> PoolStanding {
        lastWanted = now
        watchers[ObjectIdentifier(miner)] = miner
        miner.watches(self)
        if let pause, now < pause.until { return .unusable(pause.reason) }
        let ready = connections.filter { $0.isUsable && !$0.isLeaving }
        if let attached = miner.attached, attached.upstream === self, attached.isUsable, !attached.isLeaving || ready.isEmpty {
            if let obstacle = attached.obstacle(for: miner) { return attached.defect == nil ? .unfit(obstacle) : .unusable(obstacle) }
            return .ready(attached)
        }
        if ready.isEmpty, let leaving = connections.first(where: { $0.isUsable && !$0.isFull && $0.obstacle(for: miner) == nil }) {
            return .ready(leaving)
        }
        if let first = ready.first, let obstacle = first.obstacle(for: miner) {
            return first.defect == nil ? .unfit(obstacle) : .unusable(obstacle)
        }
        if let free = ready.first(where: { !$0.isFull }) { return .ready(free) }
        if let defect = connections.lazy.compactMap(\.defect).first { return .unusable(defect) }
        return opening(hasReady: !ready.isEmpty, now: now)
    }

    private func opening(hasReady: Bool, now: Timestamp) -> PoolStanding {
        if !connections.contains(where: { !$0.isReady }), !(now < nextAttempt) {
            guard connections.count < core.configuration.limits.connectionsPerPool else {
                return .unfit("too many connections to this pool")
            }
            open(now: now)
        }
        let since = (hasReady ? crowdedSince : troubleSince) ?? now
        if hasReady { crowdedSince = since } else { troubleSince = since }
        if isHopeless || now - since > allowedOutage {
            return .unusable(lastEnd?.description ?? "no answer")
        }
        return .opening(since: since)
    }

    /// A silent connection may speak again: it has as long as a share's answer.
    private var allowedOutage: Interval {
        let times = core.configuration.pools
        return connections.contains(where: \.isStalled) ? max(times.outage, times.answer) : times.outage
    }

    func forget(_ miner: MinerConnection) { watchers[ObjectIdentifier(miner)] = nil }

    /// Lets everyone who looked look again.
    func changed() {
        let all = watchers
        watchers = [:]
        for miner in all.values { miner.unwatches(self) }
        for miner in all.values { miner.evaluate() }
    }

    /// Why it is not usable by anyone now.
    func trouble(now: Timestamp) -> String? {
        if let pause, now < pause.until { return pause.reason }
        if connections.contains(where: \.isReady) { return nil }
        if let defect = connections.lazy.compactMap(\.defect).first { return defect }
        guard let troubleSince, isHopeless || now - troubleSince > allowedOutage else { return nil }
        return lastEnd?.description ?? "no answer"
    }

    // MARK: connections

    private func open(now: Timestamp, port: Int? = nil) {
        let connection = PoolConnection(core: core, upstream: self, now: now)
        connections.append(connection)
        connection.open(attempt: attempts, port: port)
    }

    /// A connection has its first job, or speaks again after a silence.
    func becameReady(_ connection: PoolConnection) {
        let isFurther = !hasFailed && !connections.contains(where: \.isLeaving)
            && connections.contains { $0 !== connection && $0.isUsable }
        if hasFailed { startRecovery(now: core.now()) }
        troubleSince = nil
        crowdedSince = nil
        isHopeless = false
        loginRefused = false
        lastEnd = nil
        core.logger.info("pool connection ready", metadata: metadata)
        if isFurther { admitWaiting(core.configuration.limits.rigsPerPoolConnection) } else { changed() }
    }

    /// A further connection: of those that wait, as many look again as it has room for, and one more, which opens the next. A
    /// fleet that comes at once opens many connections; to let all of it look at each would cost more than everything else.
    private func admitWaiting(_ most: Int) {
        var coming: [MinerConnection] = []
        for miner in watchers.values where miner.isWaiting && coming.count <= most { coming.append(miner) }
        for miner in coming { watchers[ObjectIdentifier(miner)] = nil }
        for miner in coming { miner.evaluate() }
    }

    func ended(_ connection: PoolConnection, _ end: LinkEnd, now: Timestamp) {
        connections.removeAll { $0 === connection }
        past.forwarded += connection.forwarded
        past.accepted += connection.accepted
        past.rejected += connection.rejected
        past.unanswered += connection.unanswered
        core.remember(connection.snapshot)
        if end != .closedByUs {
            core.logger.info("pool connection ended: \(end)", metadata: metadata)
            lastEnd = end
            stayAfterAll(connection)
            if !connection.isLeaving { failed(now: now) }
            isHopeless = loginRefused || end.isHopeless
            if now - connection.openedAt > Upstream.steady { attempts = 0 }
            nextAttempt = now + retryPause()
            attempts += 1
            if connection.isLeaving { keepAppointment(now: now) }
            if !connections.contains(where: \.isReady) { troubleSince = troubleSince ?? now }
        }
        for miner in connection.rigs.values { miner.lost(connection) }
        changed()
    }

    private func retryPause() -> Interval {
        let times = core.configuration.pools
        guard attempts > 0 || lastEnd != .closedByPool else { return .zero }
        let doubled = times.firstRetry.microseconds << Int64(min(attempts, 16))
        return min(times.lastRetry, Interval(microseconds: doubled))
    }

    func checkRefusals() {
        let now = core.now()
        guard refusals.isTooHigh(now: now) else { return }
        leaveAlone("refuses too many shares", now: now)
    }

    /// Answers count, also refusals.
    func answered(refusal: StratumError?) {
        overdue = 0
        guard let refusal else { return row = nil }
        // Late shares come in a row after each block.
        guard refusal.code != StratumError.stale.code else { return }
        let now = core.now()
        row = (row?.since ?? now, (row?.count ?? 0) + 1)
        checkRow(now: now)
    }

    /// Nothing but refusals for a while: not just those shares that were under way when something changed.
    private func checkRow(now: Timestamp) {
        guard let row, row.count >= Upstream.mostRefusalsInARow, now - row.since >= Upstream.longestRow else { return }
        leaveAlone("refuses all shares", now: now)
    }

    /// Shares were not answered in time; a few in a row and the pool is left alone. Unless another connection works: then it
    /// was the connection that died.
    func overdue(_ count: Int, on connection: PoolConnection) {
        guard !connections.contains(where: { $0 !== connection && $0.isUsable }) else { return }
        overdue += count
        guard overdue >= 3 else { return }
        leaveAlone("does not answer shares", now: core.now())
    }

    private func leaveAlone(_ reason: String, now: Timestamp) {
        refusals.clear()
        overdue = 0
        row = nil
        failed(now: now)
        pause = (now + core.configuration.pools.refusalPause, reason)
        core.logger.warning("pool \(reason)", metadata: metadata)
        changed()
    }

    /// Timers; to be called a few times a second. False when nothing is left to do here.
    func tick(now: Timestamp) -> Bool {
        for connection in connections { connection.tick(now: now) }
        if let until = pause?.until, !(now < until) {
            pause = nil
            if hasFailed, connections.contains(where: \.isUsable) { startRecovery(now: now) }
            changed()
        }
        checkRow(now: now)
        replaceWhenDue(now: now)
        let idle = core.configuration.pools.idle
        for connection in connections {
            let isSpare = connection === connections.first && !connection.isLeaving && now - lastWanted < idle
            if !connection.rigs.isEmpty || isSpare { connection.lastWanted = now }
            // Late shares still find their way to one that is being left.
            let patience = connection.isLeaving ? min(idle, .seconds(5)) : idle
            if now - connection.lastWanted > patience { connection.close() }
        }
        if connections.isEmpty, !(now < nextAttempt), now - lastWanted < .seconds(15) { changed() }
        return !connections.isEmpty || now - lastWanted < .seconds(600)
    }

    // MARK: failing and coming back

    /// It failed while rigs could have worked there.
    private func failed(now: Timestamp) {
        guard !hasFailed else { return }
        hasFailed = true
        relapses = lastFailure.map { now - $0 < Upstream.calm ? min(relapses + 1, 6) : 0 } ?? 0
        lastFailure = now
    }

    private func startRecovery(now: Timestamp) {
        hasFailed = false
        let longer = core.configuration.pools.recovery.microseconds << Int64(relapses)
        recoveringUntil = now + Interval(microseconds: longer)
    }

    /// Whether a rig does better not to come here now although it could: it works elsewhere, or the pool comes and goes.
    func isToBeLeftAlone(by miner: MinerConnection, now: Timestamp) -> Bool {
        guard let recoveringUntil, now < recoveringUntil else { return false }
        if let attached = miner.attached, attached.isUsable { return attached.upstream !== self }
        return relapses >= 2
    }

    /// A connection's pool owes answers and says nothing.
    func stalled(_ connection: PoolConnection, now: Timestamp) {
        core.logger.warning("pool is silent although it has shares to answer", metadata: metadata)
        failed(now: now)
        if !connections.contains(where: \.isUsable) { troubleSince = troubleSince ?? now }
        changed()
    }

    // MARK: what pools ask for

    /// `client.reconnect`: a new connection to the same host, while rigs go on with the present one. Anything else is ignored.
    func asksToReconnect(_ connection: PoolConnection, host: String?, ownHost: String, port: Int?, wait: Int) {
        let now = core.now()
        let isSameHost = host.map { $0.lowercased() == ownHost.lowercased() } ?? true
        let isSamePort = port.map { $0 == (try? PoolAddress(parsing: key.url))?.port } ?? true
        guard isSameHost, isSamePort || core.configuration.pools.followsPorts else {
            return complain("pool asks to reconnect elsewhere; ignored", now: now)
        }
        guard lastReplacement.map({ now - $0 > Upstream.betweenReplacements }) ?? true else {
            return complain("pool asks to reconnect again; ignored", now: now)
        }
        core.logger.info("reconnecting as the pool asks", metadata: metadata)
        lastReplacement = now
        connection.isLeaving = true
        replacement = (now + .seconds(Int64(min(max(wait, 0), 60))), isSamePort ? nil : port)
    }

    private func complain(_ text: String, now: Timestamp) {
        guard lastComplaint.map({ now - $0 > Upstream.betweenComplaints }) ?? true else { return }
        lastComplaint = now
        core.logger.info("\(text)", metadata: metadata)
    }

    private func replaceWhenDue(now: Timestamp) {
        guard let next = replacement, !(now < next.at) else { return }
        replacement = nil
        if connections.count < core.configuration.limits.connectionsPerPool { open(now: now, port: next.port) }
    }

    /// The connection being left was closed by the pool: the new one comes when it was asked for, but soon.
    private func keepAppointment(now: Timestamp) {
        attempts = 0
        guard let next = replacement else { return }
        nextAttempt = min(max(next.at, now), now + .seconds(3))
        if next.port == nil { replacement = nil } else { replacement = (nextAttempt, next.port) }
    }

    /// A new connection failed: what was to be left is kept as long as the pool lets it.
    private func stayAfterAll(_ ended: PoolConnection) {
        guard !ended.isLeaving else { return }
        for connection in connections { connection.isLeaving = false }
    }

    /// Keeps a pool's text for people.
    func show(_ text: String) {
        let plain = text.unicodeScalars.prefix(200).map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) }
        core.logger.debug("message from the pool", metadata: ["pool": "\(key.url)", "text": "\(String(plain))"])
        messages.append(String(plain))
        if messages.count > 8 { messages.removeFirst() }
    }

    func closeAll() { for connection in connections { connection.close() } }
}

extension LinkEnd {
    /// Trying again at once would end the same way.
    var isHopeless: Bool {
        switch self {
        case .badAddress, .unresolved(.refused): true
        case .unresolved(.unknownHost), .notConnected, .tls, .session, .closedByPool, .closedByUs: false
        }
    }
}
