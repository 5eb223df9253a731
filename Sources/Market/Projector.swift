internal import Exchange
internal import Logging
internal import Synchronization
internal import Units

/// Follows the journal and brings the tables up to date in bulk, each transaction recording how far it has come.
final class Projector: Sendable {
    private struct State {
        var pending: Projection?
        var projected: Int64
        var taken: Int64
        var waiter: CheckedContinuation<Void, Never>?
        var idlers: [CheckedContinuation<Void, Never>] = []
        var isStopping = false
        var hasEnded = false

        mutating func takeIdlers() -> [CheckedContinuation<Void, Never>] {
            defer { idlers = [] }
            return idlers
        }
    }

    private let tables: any TablesPort
    private let logger: Logger
    private let state: Mutex<State>

    init(tables: any TablesPort, position: Int64, logger: Logger) {
        self.tables = tables
        self.logger = logger
        state = Mutex(State(projected: position, taken: position))
    }

    /// Commands that are committed and not in the tables yet.
    var lag: Int64 { state.withLock { max(0, ($0.pending?.last ?? $0.taken) - $0.projected) } }

    /// Whether the tables have come as far as a position.
    func hasReached(_ position: Int64) -> Bool { state.withLock { $0.projected >= position } }

    func add(_ changes: StateChanges, _ appended: Appended, _ row: JournalRow) {
        let waiter = state.withLock { state in
            if state.pending == nil {
                state.pending = Projection(
                    previous: state.taken, last: row.last, at: row.at, rulesVersion: row.rulesVersion,
                    stateHash: row.stateHash, changes: changes, appended: appended)
            } else {
                state.pending?.changes.merge(changes)
                state.pending?.appended.entries += appended.entries
                state.pending?.last = row.last
                state.pending?.at = row.at
                state.pending?.rulesVersion = row.rulesVersion
                state.pending?.stateHash = row.stateHash
            }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Projects until it is stopped and nothing is left, or the tables refuse for too long.
    func run() async {
        while let work = await next(), await project(work) {
            let idlers = state.withLock { state in
                state.projected = work.last
                return state.pending == nil ? state.takeIdlers() : []
            }
            for idler in idlers { idler.resume() }
        }
        let idlers = state.withLock { state in
            state.hasEnded = true
            return state.takeIdlers()
        }
        for idler in idlers { idler.resume() }
    }

    func stop() {
        let waiter = state.withLock { state in
            state.isStopping = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns once everything committed so far is in the tables, or the projector has ended.
    func drained() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.hasEnded || (state.pending == nil && state.projected == state.taken) { return true }
                state.idlers.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
    }

    private func next() async -> Projection? {
        while true {
            let (work, isStopping) = state.withLock { state in
                defer { state.pending = nil }
                if let pending = state.pending { state.taken = pending.last }
                return (state.pending, state.isStopping)
            }
            if let work { return work }
            if isStopping { return nil }
            await withCheckedContinuation { continuation in
                let mustGo = state.withLock { state in
                    if state.pending != nil || state.isStopping { return true }
                    state.waiter = continuation
                    return false
                }
                if mustGo { continuation.resume() }
            }
        }
    }

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
