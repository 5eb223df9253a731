internal import Database
internal import Exchange
internal import Logging
internal import Market
internal import Store
internal import Synchronization
internal import Units

/// Makes the reports of edges in processes of their own commands of the market, in order and at least once: they carry session
/// numbers, so that a second time changes nothing; a worker becomes a rig once, and a block is recorded once.
/// Counts the rigs of an edge as away that gives no sign of life.
final class EdgeIntake: Sendable {
    private let reports: EdgeReportStore
    private let register: EdgeRegister
    private let writer: MarketWriter
    private let live: LiveEdges
    private let logger: Logger
    /// Rigs that came to the edge inside of this server, and when.
    private let arrivals = Mutex<[RigID: Timestamp]>([:])
    /// After so much silence an edge's rigs are away; their deliveries end some time later, as those of any rig that is away.
    private let silence: Duration

    init(
        reports: EdgeReportStore, register: EdgeRegister, writer: MarketWriter, live: LiveEdges, logger: Logger,
        longestSilence: Duration
    ) {
        self.reports = reports
        self.register = register
        self.writer = writer
        self.live = live
        self.logger = logger
        silence = longestSilence
    }

    /// A rig came to the edge inside of this server.
    func note(_ rig: RigID, at: Timestamp) { arrivals.withLock { $0[rig] = at } }

    /// Takes reports until its task is cancelled.
    func run() async {
        var watch = SilenceWatch(longest: silence)
        var isFailing = false
        var rounds = 0
        while !Task.isCancelled {
            do {
                try await noteArrivals()
                while try await takeReports() { try Task.checkCancellation() }
                if rounds % EdgeIntake.roundsPerLook == 0 { try await lookAround(&watch) }
                if isFailing { logger.notice("edges' reports are taken again") }
                isFailing = false
            } catch is CancellationError {
                return
            } catch {
                if !isFailing { logger.error("edges' reports cannot be taken", metadata: ["detail": "\(detail(error))"]) }
                isFailing = true
                // Who cannot look does not see signs of life either.
                watch.forget()
            }
            rounds += 1
            do { try await Task.sleep(for: isFailing ? .milliseconds(500) : EdgeIntake.pause) } catch { return }
        }
    }

    private static let pause = Duration.milliseconds(50)
    private static let roundsPerLook = 20
    private static let mostReports = 1000

    private func noteArrivals() async throws {
        let rigs = arrivals.withLock { $0 }
        guard !rigs.isEmpty else { return }
        try await reports.note(rigs.sorted { $0.key < $1.key }.map { ($0.key, Server.edgeID, $0.value) })
        arrivals.withLock { known in
            for (rig, at) in rigs where known[rig] == at { known[rig] = nil }
        }
    }

    // MARK: - Reports

    /// True when there may be more.
    private func takeReports() async throws -> Bool {
        let waiting = try await reports.waiting(most: EdgeIntake.mostReports)
        guard !waiting.isEmpty else { return false }
        // First: nothing may be settled without asking this edge from now on.
        try await reports.note(waiting.compactMap { item in
            guard let report = item.report, case .rigOnline(let rig, _, _) = report.kind else { return nil }
            return (rig, item.edge, report.at)
        })
        let (done, refusals) = await commit(waiting)
        try await reports.remove(waiting[..<done], refusing: refusals)
        return done == EdgeIntake.mostReports
    }

    /// How many of the first are committed, and which of their workers cannot become rigs.
    private func commit(_ waiting: [WaitingReport]) async -> (done: Int, refusals: [WorkerRefusal]) {
        var done = 0
        var refusals: [WorkerRefusal] = []
        while done < waiting.count {
            // What an edge's start ends depends on all before it.
            let part = waiting[done...].prefix { !$0.isStart }
            let count = part.isEmpty ? 1 : part.count
            let known = part.filter { $0.command != nil }
            if known.count < part.count { logger.error("an edge's report cannot be read: is the edge newer than this server?") }
            let commands = part.isEmpty ? offline(startOf: waiting[done]) : known.compactMap(\.command)
            let (committed, rejections) = await commit(commands)
            refusals += zip(known.indices, known).compactMap { place, item in rejections[place].flatMap { item.refusal($0) } }
            // Those between that cannot be read only make this less: what is taken twice does no harm.
            guard committed == commands.count else { return (part.isEmpty ? done : done + committed, refusals) }
            done += count
        }
        return (done, refusals)
    }

    /// How many of the first are committed, refused ones included, and why these were refused.
    private func commit(_ commands: [Command]) async -> (committed: Int, rejections: [Int: Rejection]) {
        guard !commands.isEmpty else { return (0, [:]) }
        let tally = Mutex((answered: 0, firstFailure: commands.count, rejections: [Int: Rejection]()))
        return await withCheckedContinuation { continuation in
            for (place, command) in commands.enumerated() {
                writer.report(command) { result in
                    let done: (Int, [Int: Rejection])? = tally.withLock { tally in
                        tally.answered += 1
                        switch result {
                        case .success(.rejected(let rejection)): tally.rejections[place] = rejection
                        case .success: break
                        case .failure: tally.firstFailure = min(tally.firstFailure, place)
                        }
                        return tally.answered == commands.count ? (tally.firstFailure, tally.rejections) : nil
                    }
                    if let done { continuation.resume(returning: done) }
                }
            }
        }
    }

    private func offline(startOf item: WaitingReport) -> [Command] {
        guard case .started(let session)? = item.report?.kind else { return [] }
        return offline(item.edge, before: session)
    }

    /// For the rigs that are connected to an edge in a session before this one.
    private func offline(_ edge: EdgeID, before session: Int64 = .max) -> [Command] {
        writer.read { state in
            state.rigs.values.compactMap { rig in
                guard case .online(edge, let known, _) = rig.presence, known < session else { return nil }
                return .rigOffline(rig.id, session: known)
            }
        }
    }

    // MARK: - Silence

    private func lookAround(_ watch: inout SilenceWatch) async throws {
        let edges = try await register.edges()
        live.update(edges)
        let connected = Set(writer.read { state in
            state.rigs.values.compactMap { rig -> EdgeID? in
                guard case .online(let edge, _, _) = rig.presence else { return nil }
                return edge
            }
        })
        let beats = Dictionary(uniqueKeysWithValues: edges.map { ($0.edge, $0.beats) })
        let silent = watch.look(at: connected.subtracting([Server.edgeID]), beats: beats, now: .now)
        for edge in silent.sorted() {
            logger.warning("an edge gives no sign of life: its rigs count as away", metadata: [
                "edge": "\(edges.first { $0.edge == edge }?.name ?? "\(edge)")",
            ])
            try await register.askAgain(edge)
            _ = await commit(offline(edge))
        }
    }
}

/// Finds edges that gave no sign of life for too long. A value.
struct SilenceWatch {
    private var heard: [EdgeID: (beats: Int64, at: ContinuousClock.Instant)] = [:]
    private let longest: Duration

    init(longest: Duration) { self.longest = longest }

    /// Nothing could be heard of anybody: all begin anew.
    mutating func forget() { heard = [:] }

    /// - Parameter beats: how many signs of life each edge has given
    /// - Returns: those of `edges` that are silent
    mutating func look(at edges: Set<EdgeID>, beats: [EdgeID: Int64], now: ContinuousClock.Instant) -> Set<EdgeID> {
        var silent: Set<EdgeID> = []
        for edge in edges {
            let count = beats[edge] ?? 0
            guard let known = heard[edge], known.beats == count else {
                heard[edge] = (count, now)
                continue
            }
            if known.at.duration(to: now) >= longest { silent.insert(edge) }
        }
        heard = heard.filter { edges.contains($0.key) }
        return silent
    }
}

extension WaitingReport {
    fileprivate var isStart: Bool {
        switch report?.kind {
        case .started: true
        case .rigOnline, .rigOffline, .rigMeasured, .poolsUnusable, .underDelivered, .workerCame, .blockFound, .blockJudged, nil: false
        }
    }

    /// nil for a start, which is made of the state, and for what cannot be read.
    fileprivate var command: Command? {
        switch report?.kind {
        case .started, nil: nil
        case .rigOnline(let rig, let session, let mask): .rigOnline(rig, edge: edge, session: session, versionMask: mask)
        case .rigOffline(let rig, let session): .rigOffline(rig, session: session)
        case .rigMeasured(let rig, let session, let hashrate): .rigMeasured(rig, session: session, hashrate)
        case .poolsUnusable(let delivery, let reason): .poolsUnusable(delivery, reason: reason)
        case .underDelivered(let delivery, let hashrate): .underDelivered(delivery, hashrate)
        case .workerCame(let farm, let worker, _): .fleet(.registerWorker(farm, worker: worker))
        case .blockFound(let block): .blockFound(found(block))
        case .blockJudged(let hash, let verdict, let error): .blockJudged(hash, verdict, poolError: error)
        }
    }

    /// At the edge whose report it is, whatever it says itself.
    private func found(_ block: BlockReport) -> BlockReport {
        var block = block
        block.edge = edge
        return block
    }

    /// Word for the worker that cannot become a rig; nobody waits for word of other reports.
    fileprivate func refusal(_ rejection: Rejection) -> WorkerRefusal? {
        guard case .workerCame(_, _, let request)? = report?.kind else { return nil }
        return WorkerRefusal(edge: edge, request: request, reason: rejection.explanation)
    }
}

/// An error as the log has it.
func detail(_ error: any Error) -> String { (error as? DatabaseError)?.detail ?? "\(error)" }
