internal import Exchange
internal import Logging
internal import Synchronization
internal import Units

/// Follows the commits and brings the tables up to date in bulk, each transaction recording how far it has come.
///
/// It takes what has changed when the one before is done: the further it is behind, the more one transaction brings in,
/// and the less each command costs. Transactions begin some time apart, so that they leave the disk to the commits;
/// unless somebody waits for the tables.
final class Projector: Sendable {
    private struct State {
        var waiter: CheckedContinuation<Void, Never>?
        /// Who waits for the tables to reach a position.
        var idlers: [(position: Int64, continuation: CheckedContinuation<Void, Never>)] = []
        var isStopping = false
        var hasEnded = false

        mutating func takeIdlers(upTo position: Int64) -> [CheckedContinuation<Void, Never>] {
            defer { idlers.removeAll { $0.position <= position } }
            return idlers.filter { $0.position <= position }.map(\.continuation)
        }

        mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
            defer { waiter = nil }
            return waiter
        }
    }

    private let tables: any TablesPort
    private let committed: CommittedState
    private let logger: Logger
    private let projected: Atomic<Int64>
    /// The position that somebody waits for.
    private let awaited = Atomic<Int64>(0)
    private let state = Mutex(State())

    init(tables: any TablesPort, committed: CommittedState, logger: Logger) {
        self.tables = tables
        self.committed = committed
        self.logger = logger
        projected = Atomic(committed.position)
    }

    /// Commands that are committed and not in the tables yet.
    var lag: Int64 { max(0, committed.position - projected.load(ordering: .acquiring)) }

    /// Whether the tables have come as far as a position.
    func hasReached(_ position: Int64) -> Bool { projected.load(ordering: .acquiring) >= position }

    /// Somebody waits for the tables to reach a position.
    func hurry(to position: Int64) { _ = awaited.max(position, ordering: .relaxed) }

    /// Something was committed.
    func wake() { state.withLock { $0.takeWaiter() }?.resume() }

    /// Projects until it is stopped and nothing is left, or the tables refuse for too long.
    func run() async {
        while let work = await next() {
            let began = ContinuousClock.now
            guard await project(work) else { break }
            projected.store(work.last, ordering: .releasing)
            for idler in state.withLock({ $0.takeIdlers(upTo: work.last) }) { idler.resume() }
            await rest(since: began)
        }
        let idlers = state.withLock { state in
            state.hasEnded = true
            return state.takeIdlers(upTo: .max)
        }
        for idler in idlers { idler.resume() }
    }

    func stop() {
        let waiter = state.withLock { state in
            state.isStopping = true
            return state.takeWaiter()
        }
        waiter?.resume()
    }

    /// Returns once everything committed so far is in the tables, or the projector has ended.
    func drained() async {
        let position = committed.position
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.hasEnded || hasReached(position) { return true }
                state.idlers.append((position, continuation))
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    private func next() async -> Projection? {
        while true {
            // In this order: what is committed before a stop is projected.
            let isStopping = state.withLock { $0.isStopping }
            if let work = committed.projection(after: projected.load(ordering: .acquiring)) { return work }
            if isStopping { return nil }
            await withCheckedContinuation { continuation in
                let mustGo = state.withLock { state in
                    if lag > 0 || state.isStopping { return true }
                    state.waiter = continuation
                    return false
                }
                if mustGo { continuation.resume() }
            }
        }
    }

    private func rest(since began: ContinuousClock.Instant) async {
        let now = ContinuousClock.now
        // Far behind, half of the time is the commits': what waits longer costs less for each command.
        let end = lag < Projector.farBehind ? began + Projector.pace : now + min(now - began, Projector.longestRest)
        while ContinuousClock.now < end, !mustHurry {
            do { try await Task.sleep(for: Projector.pauseOfLooks) } catch { return }
        }
    }

    private var mustHurry: Bool {
        awaited.load(ordering: .relaxed) > projected.load(ordering: .relaxed)
            || state.withLock { $0.isStopping || !$0.idlers.isEmpty }
    }

    /// From a transaction's begin to the next one's.
    private static let pace = Duration.milliseconds(75)
    private static let longestRest = Duration.seconds(1)
    /// Commands; more than the tables could take in within a second or two.
    private static let farBehind: Int64 = 100_000
    private static let pauseOfLooks = Duration.milliseconds(5)

    /// Tries until it succeeds: the journal has it, so a pause loses nothing.
    ///
    /// - Returns: false if it was given up, because the market is stopping; the next start applies it
    private func project(_ work: Projection) async -> Bool {
        var pause = Duration.milliseconds(50)
        var triesLeft = Projector.triesWhenStopping
        while true {
            do {
                try await tables.project(work)
                return true
            } catch {
                logger.error("projection failed", metadata: ["position": "\(work.last)", "detail": "\(error)"])
            }
            if state.withLock({ $0.isStopping }) {
                triesLeft -= 1
                if triesLeft == 0 { return false }
                pause = .milliseconds(50)
            }
            do { try await Task.sleep(for: pause) } catch { return false }
            pause = min(pause * 2, .seconds(2))
        }
    }

    private static let triesWhenStopping = 3
}
