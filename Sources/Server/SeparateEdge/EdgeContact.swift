internal import Database
internal import Foundation
internal import Logging
internal import Routing
internal import Store
internal import StratumProxy
internal import Synchronization
internal import Units

/// A separate edge's contact with its market: routes in; reports, signs of life and figures out. Whatever fails is tried again:
/// the edge serves its rigs meanwhile.
///
/// Only `run` and what it calls touch the state, one after the other.
actor EdgeContact {
    private let configuration: SeparateEdgeConfiguration
    private let databases: EdgeDatabases
    private let copy: EdgeCopy
    private let directory: FollowedDirectory
    private let reports: FollowedReports
    private let registrar: FollowedRegistrar
    private let edge: Edge
    private let url: String
    private let logger: Logger
    private let end: @Sendable (SeparateEdgeEnd) -> Void

    private var header: EdgeCopyHeader
    private var watch: ClockWatch
    private var outage: Outage?
    /// Whether a server publishes.
    private var isServed = true
    /// nil before the first sign of life.
    private var resync: Int64?
    private var nextBeat = ContinuousClock.now
    private var nextFigures = ContinuousClock.now
    /// When the copy is to be made anew, after it could not be written.
    private var nextCopy: ContinuousClock.Instant?

    private struct Outage {
        var pause: Duration
    }

    init(
        _ configuration: SeparateEdgeConfiguration, databases: EdgeDatabases, copy: EdgeCopy, header: EdgeCopyHeader,
        directory: FollowedDirectory, reports: FollowedReports, registrar: FollowedRegistrar, edge: Edge, url: String, watch: ClockWatch,
        isInContact: Bool, logger: Logger, end: @escaping @Sendable (SeparateEdgeEnd) -> Void
    ) {
        self.configuration = configuration
        self.databases = databases
        self.copy = copy
        self.header = header
        self.directory = directory
        self.reports = reports
        self.registrar = registrar
        self.edge = edge
        self.url = url
        self.watch = watch
        self.logger = logger
        self.end = end
        // Said already by whoever started without it.
        outage = isInContact ? nil : Outage(pause: EdgeContact.shortestPause)
    }

    private static let beats = Duration.seconds(1)
    private static let shortestPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(1)
    private static let longestPublisherSilence = Interval.seconds(5)
    private static let pauseOfCopies = Duration.seconds(30)
    private static let mostReports = 1000
    private static let mostCredits = 200

    private var id: EdgeID { EdgeID(header.edge) }

    /// Keeps contact until its task is cancelled, or the edge must end.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { [registrar] in await registrar.watch() }
            await keepContact()
            group.cancelAll()
        }
        registrar.setOpen(false)
    }

    private func keepContact() async {
        while !Task.isCancelled {
            var pause = configuration.lookInterval
            do {
                lookAtClock()
                try await round()
                if outage != nil { logger.notice("the database can be reached again") }
                outage = nil
                registrar.setOpen(isServed)
            } catch let error as SeparateEdgeEnd {
                return end(error)
            } catch {
                if Task.isCancelled { return }
                pause = failed(error)
            }
            do { try await Task.sleep(for: pause) } catch { return }
        }
    }

    private func failed(_ error: any Error) -> Duration {
        // It can be reached again when all of a round can be done.
        nextBeat = .now
        registrar.setOpen(false)
        guard let known = outage else {
            logger.warning("the database cannot be reached: rigs are served by what is known", metadata: ["detail": "\(detail(error))"])
            outage = Outage(pause: EdgeContact.shortestPause)
            return EdgeContact.shortestPause
        }
        outage?.pause = min(known.pause * 2, EdgeContact.longestPause)
        return known.pause
    }

    private func round() async throws {
        let database = try await databases.forControl()
        if ContinuousClock.now >= nextBeat { try await beat(EdgeRegister(database)) }
        try await follow(EdgeFeedStore(database))
        if let nextCopy, ContinuousClock.now >= nextCopy { try await copyAnew(EdgeFeedStore(database)) }
        try await send(EdgeReportStore(database))
        if registrar.isWaiting { try await hearRefusals(EdgeReportStore(database)) }
        try await learnCredits(database)
        if ContinuousClock.now >= nextFigures { try await sendFigures(EdgeRegister(database)) }
    }

    // MARK: - Routes

    private func follow(_ feed: EdgeFeedStore) async throws {
        let look = try await feed.look(since: header.mark)
        guard look.mark.serial >= header.mark.serial else {
            throw SeparateEdgeEnd(description: """
                the database is older than what this edge was told: was a backup restored? Start the edge again
                """)
        }
        note(isServed: look.silence < EdgeContact.longestPublisherSilence)
        guard look.mark != header.mark || look.rules != header.rules else { return }
        edge.apply(directory.merge(look.changes))
        registrar.settle()
        header.mark = look.mark
        header.rules = look.rules
        if nextCopy == nil { await keep(look.changes, replacing: false) }
    }

    /// A copy with a gap must not look complete: after a failure it stays as it was until all can be written.
    private func keep(_ changes: EdgeChanges, replacing: Bool) async {
        do {
            try await copy.save(changes, header, replacing: replacing)
            nextCopy = nil
        } catch {
            if nextCopy == nil {
                logger.error("the copy of what the edge was told cannot be written", metadata: ["detail": "\(detail(error))"])
            }
            nextCopy = ContinuousClock.now + EdgeContact.pauseOfCopies
        }
    }

    private func copyAnew(_ feed: EdgeFeedStore) async throws {
        let look = try await feed.look(since: EdgeFeedMark())
        edge.apply(directory.merge(look.changes))
        header.mark = look.mark
        header.rules = look.rules
        await keep(look.changes, replacing: true)
    }

    private func note(isServed: Bool) {
        guard self.isServed != isServed else { return }
        self.isServed = isServed
        if isServed {
            logger.notice("a server of the market is there again")
        } else {
            logger.warning("no server of the market gives a sign of life: routes stay as they are until they end")
        }
    }

    // MARK: - Reports

    private func send(_ store: EdgeReportStore) async throws {
        while !reports.isEmpty {
            let part = reports.first(EdgeContact.mostReports)
            try await store.add(part.reports, of: id)
            reports.remove(part)
        }
    }

    private func hearRefusals(_ store: EdgeReportStore) async throws {
        for refusal in try await store.takeRefusals(of: id) { registrar.refuse(refusal.request, refusal.reason) }
    }

    /// Rigs may have worked for their deliveries on other edges.
    private func learnCredits(_ database: Database) async throws {
        let all = reports.takeUnknownCredits()
        guard !all.isEmpty else { return }
        var left = all
        do {
            while !left.isEmpty {
                let some = Set(left.prefix(EdgeContact.mostCredits))
                edge.raiseCredits(try await MeterStore(database).credits(ofFew: some))
                left.subtract(some)
            }
        } catch {
            reports.putBack(unknownCredits: left)
            throw error
        }
    }

    // MARK: - Signs of life

    private func beat(_ register: EdgeRegister) async throws {
        let backlog = Int64(await edge.backlog())
        let sent = Reading()
        let clock = configuration.clock
        let answer = try await register.beat(
            id, holder: header.holder,
            EdgeBeat(
                version: EdgeContact.version, url: url, rigs: Int64(reports.connected), clockAhead: watch.ahead,
                isSelling: watch.isSelling, backlog: backlog),
            sending: { sent.begin(clock) }, received: { sent.end() })
        guard let answer else {
            throw SeparateEdgeEnd(description: "another process has taken the name '\(header.name)'")
        }
        nextBeat = ContinuousClock.now + EdgeContact.beats
        let times = sent.times
        if watch.compared(sent: times.sent, sentSteady: times.began, receivedSteady: times.ended, database: answer.now) {
            sellingChanged()
        }
        if let ahead = watch.ahead { reports.setClock(ahead: ahead) }
        if let known = resync, known != answer.resync {
            logger.warning("the market had counted this edge's rigs as away: they are reported again")
            reports.reportAgain(at: clock.now())
        }
        resync = answer.resync
    }

    /// Of the tables that edges and servers share.
    static let version = "1"

    private func lookAtClock() {
        if watch.looked(at: configuration.clock.now(), steady: SteadyClock.microseconds()) { sellingChanged() }
    }

    private func sellingChanged() {
        let ahead = watch.ahead?.microseconds ?? 0
        if watch.isSelling {
            logger.notice("the clock is right again: rigs are sold", metadata: ["ahead": "\(ahead / 1000) ms"])
        } else {
            logger.error("the clock is off by more than 2 s: nothing is sold, rigs work for their fallback pools", metadata: [
                "ahead": "\(ahead / 1000) ms",
            ])
        }
        reports.setClock(ahead: watch.ahead ?? .zero)
        edge.setSelling(watch.isSelling)
        reports.setSelling(watch.isSelling, at: configuration.clock.now())
    }

    private func sendFigures(_ register: EdgeRegister) async throws {
        guard let snapshot = await edge.snapshot() else { return }
        let directory = directory
        let figures = EdgeFigures(snapshot) { directory.url(of: $0) }
        try await register.keepFigures(figures.encoded(), of: id, at: snapshot.at)
        nextFigures = ContinuousClock.now + (figures.figures.count < 1000 ? .seconds(2) : .seconds(5))
    }

    // MARK: - The end

    /// Sends what is left, within a time, and gives the name up.
    func finish(within time: Duration) async {
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            do {
                let database = try await databases.forControl()
                try await send(EdgeReportStore(database))
                try await EdgeRegister(database).resign(id, holder: header.holder)
                return
            } catch {
                do { try await Task.sleep(for: EdgeContact.shortestPause) } catch { return }
            }
        }
        logger.warning("the last reports did not reach the database", metadata: ["reports": "\(reports.first(.max).reports.count)"])
    }
}

/// When a question went off and when its answer came, noted on the database's thread.
final class Reading: Sendable {
    private let values = Mutex((sent: Timestamp(microseconds: 0), began: Int64(0), ended: Int64(0)))

    func begin(_ clock: any WallClock) {
        let began = SteadyClock.microseconds()
        let sent = clock.now()
        values.withLock { ($0.sent, $0.began) = (sent, began) }
    }

    func end() {
        let ended = SteadyClock.microseconds()
        values.withLock { $0.ended = ended }
    }

    var times: (sent: Timestamp, began: Int64, ended: Int64) { values.withLock { $0 } }
}

/// A clock that is never set, and goes on while the machine sleeps: microseconds since this process first asked.
enum SteadyClock {
    private static let start = ContinuousClock.now

    static func microseconds() -> Int64 {
        let (seconds, attoseconds) = start.duration(to: .now).components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
