internal import Database
internal import Exchange
internal import Logging
internal import Market
internal import Store
internal import Synchronization
internal import Units

/// Makes the reports of edges in processes of their own commands of the market, in order and at least once: they carry session
/// numbers, so that a second time changes nothing. Counts the rigs of an edge as away that gives no sign of life.
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
            guard case .rigOnline(let rig, _, _) = item.report.kind else { return nil }
            return (rig, item.edge, item.report.at)
        })
        let done = await commit(waiting)
        try await reports.remove(waiting[..<done])
        return done == EdgeIntake.mostReports
    }

    /// How many of the first are committed.
    private func commit(_ waiting: [WaitingReport]) async -> Int {
        var done = 0
        while done < waiting.count {
            // What an edge's start ends depends on all before it.
            let part = waiting[done...].prefix { !$0.isStart }
            let count = part.isEmpty ? 1 : part.count
            let commands = part.isEmpty ? offline(startOf: waiting[done]) : part.compactMap(\.command)
            let committed = await commit(commands)
            guard committed == commands.count else { return part.isEmpty ? done : done + committed }
            done += count
        }
        return done
    }

    /// How many of the first are committed, refused ones included.
    private func commit(_ commands: [Command]) async -> Int {
        guard !commands.isEmpty else { return 0 }
        let tally = Mutex((answered: 0, firstFailure: commands.count))
        return await withCheckedContinuation { continuation in
            for (place, command) in commands.enumerated() {
                writer.report(command) { result in
                    let done: Int? = tally.withLock { tally in
                        tally.answered += 1
                        if case .failure = result { tally.firstFailure = min(tally.firstFailure, place) }
                        return tally.answered == commands.count ? tally.firstFailure : nil
                    }
                    if let done { continuation.resume(returning: done) }
                }
            }
        }
    }

    private func offline(startOf item: WaitingReport) -> [Command] {
        guard case .started(let session) = item.report.kind else { return [] }
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
        switch report.kind {
        case .started: true
        case .rigOnline, .rigOffline, .rigMeasured, .poolsUnusable, .underDelivered: false
        }
    }

    /// nil for a start, which is made of the state.
    fileprivate var command: Command? {
        switch report.kind {
        case .started: nil
        case .rigOnline(let rig, let session, let mask): .rigOnline(rig, edge: edge, session: session, versionMask: mask)
        case .rigOffline(let rig, let session): .rigOffline(rig, session: session)
        case .rigMeasured(let rig, let session, let hashrate): .rigMeasured(rig, session: session, hashrate)
        case .poolsUnusable(let delivery, let reason): .poolsUnusable(delivery, reason: reason)
        case .underDelivered(let delivery, let hashrate): .underDelivered(delivery, hashrate)
        }
    }
}

/// An error as the log has it.
func detail(_ error: any Error) -> String { (error as? DatabaseError)?.detail ?? "\(error)" }
