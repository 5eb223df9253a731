import Logging
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
    case unusable(String)
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
    private var lastEnd: LinkEnd?
    /// The end was of a kind that waiting does not mend.
    private var isHopeless = false

    /// A connection that lived for so long ends without being held against the pool.
    private static let steady = Interval.seconds(10)

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
        if let attached = miner.attached, attached.upstream === self, attached.isReady {
            if let obstacle = attached.obstacle(for: miner) { return .unusable(obstacle) }
            return .ready(attached)
        }
        let ready = connections.filter(\.isReady)
        if let obstacle = ready.first?.obstacle(for: miner) { return .unusable(obstacle) }
        if let free = ready.first(where: { !$0.isFull }) { return .ready(free) }
        if let defect = connections.lazy.compactMap(\.defect).first { return .unusable(defect) }
        return opening(hasReady: !ready.isEmpty, now: now)
    }

    private func opening(hasReady: Bool, now: Timestamp) -> PoolStanding {
        if !connections.contains(where: { !$0.isReady }), !(now < nextAttempt) {
            guard connections.count < core.configuration.limits.connectionsPerPool else {
                return .unusable("too many connections to this pool")
            }
            open(now: now)
        }
        let since = (hasReady ? crowdedSince : troubleSince) ?? now
        if hasReady { crowdedSince = since } else { troubleSince = since }
        if isHopeless || now - since > core.configuration.pools.outage {
            return .unusable(lastEnd?.description ?? "no answer")
        }
        return .opening(since: since)
    }

    func forget(_ miner: MinerConnection) { watchers[ObjectIdentifier(miner)] = nil }

    /// Lets everyone who looked look again.
    func changed() {
        let all = watchers
        watchers = [:]
        for miner in all.values { miner.evaluate() }
    }

    /// Why it is not usable by anyone now.
    func trouble(now: Timestamp) -> String? {
        if let pause, now < pause.until { return pause.reason }
        if connections.contains(where: \.isReady) { return nil }
        if let defect = connections.lazy.compactMap(\.defect).first { return defect }
        guard let troubleSince, isHopeless || now - troubleSince > core.configuration.pools.outage else { return nil }
        return lastEnd?.description ?? "no answer"
    }

    // MARK: connections

    private func open(now: Timestamp) {
        let connection = PoolConnection(core: core, upstream: self, now: now)
        connections.append(connection)
        connection.open(attempt: attempts)
    }

    func becameReady(_ connection: PoolConnection) {
        troubleSince = nil
        crowdedSince = nil
        isHopeless = false
        loginRefused = false
        lastEnd = nil
        core.logger.info("pool connection ready", metadata: metadata)
        changed()
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
            isHopeless = loginRefused || end.isHopeless
            if now - connection.openedAt > Upstream.steady { attempts = 0 }
            nextAttempt = now + retryPause()
            attempts += 1
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
    func answered() { overdue = 0 }

    /// Shares were not answered in time; a few in a row and the pool is left alone.
    func overdue(_ count: Int) {
        overdue += count
        guard overdue >= 3 else { return }
        leaveAlone("does not answer shares", now: core.now())
    }

    private func leaveAlone(_ reason: String, now: Timestamp) {
        refusals.clear()
        overdue = 0
        pause = (now + core.configuration.pools.refusalPause, reason)
        core.logger.warning("pool \(reason)", metadata: metadata)
        changed()
    }

    /// Timers; to be called a few times a second. False when nothing is left to do here.
    func tick(now: Timestamp) -> Bool {
        for connection in connections { connection.tick(now: now) }
        if let until = pause?.until, !(now < until) {
            pause = nil
            changed()
        }
        let idle = core.configuration.pools.idle
        for connection in connections {
            if !connection.rigs.isEmpty || connection === connections.first && now - lastWanted < idle {
                connection.lastWanted = now
            }
            if now - connection.lastWanted > idle { connection.close() }
        }
        if connections.isEmpty, !(now < nextAttempt), now - lastWanted < .seconds(15) { changed() }
        return !connections.isEmpty || now - lastWanted < .seconds(600)
    }

    func closeAll() { for connection in connections { connection.close() } }
}

extension LinkEnd {
    /// Trying again at once would end the same way.
    var isHopeless: Bool {
        switch self {
        case .badAddress, .unresolved(.refused): true
        case .unresolved(.unknownHost), .notConnected, .session, .closedByPool, .closedByUs: false
        }
    }
}
