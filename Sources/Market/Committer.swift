internal import Exchange
internal import Foundation
internal import Logging
internal import Synchronization

/// Commands that were applied together, and the journal row that commits them.
struct SealedCommands: Sendable {
    var commands: ContiguousArray<PendingCommand> = []
    /// One for each of the commands.
    var outcomes: ContiguousArray<Outcome> = []
    /// Those of the commands that did something.
    var journalled: [JournalledCommand] = []
    /// nil when none of them did.
    var row: JournalRow?

    var isEmpty: Bool { commands.isEmpty }

    /// Tells the callers that nothing is known of their commands; reports keep waiting.
    mutating func refuse() {
        for index in commands.indices where !commands[index].isReport { commands[index].give(.failure(.unavailable)) }
    }

    /// Answers, in order.
    mutating func answer() {
        for index in commands.indices { commands[index].give(.success(outcomes[index])) }
    }
}

/// The thread beside the writer's: commits its batches one after the other, publishes them and answers. Meanwhile the
/// writer applies the next commands.
///
/// It owns the journal's connection.
final class Committer: Sendable {
    /// What the writer can expect.
    enum Standing: Sendable {
        /// A batch may be handed over.
        case idle
        case committing
        /// Whether the last batch is committed is not known: the journal cannot be reached.
        case doubtful
        /// The last batch is not committed: the writer starts over from the committed state.
        case lost
        /// Another process has taken over, or the journal could not be reached until the end.
        case ended
    }

    private struct State {
        var standing = Standing.idle
        var next: SealedCommands?
        var lostReports: ContiguousArray<PendingCommand> = []
        var isStopping = false
        /// The writer waits on `decision`.
        var isAwaited = false

        mutating func takeAwaiter() -> Bool {
            defer { isAwaited = false }
            return isAwaited
        }
    }

    private let committed: CommittedState
    private let queue: CommandQueue
    private let logger: Logger
    private let onCommit: @Sendable (CommitNews) -> Void
    private let onDeposed: @Sendable (JournalError) -> Void
    private let state = Mutex(State())
    private let work = Sleep()
    private let decision = Sleep()
    private let ended = Sleep()
    private let health = Atomic(true)

    /// - Parameter onCommit: called on this thread after each commit, with what edges need to know of it
    /// - Parameter onDeposed: called on this thread when another process has taken over
    init(
        committed: CommittedState, queue: CommandQueue, logger: Logger,
        onCommit: @escaping @Sendable (CommitNews) -> Void, onDeposed: @escaping @Sendable (JournalError) -> Void
    ) {
        self.committed = committed
        self.queue = queue
        self.logger = logger
        self.onCommit = onCommit
        self.onDeposed = onDeposed
    }

    /// Whether the journal took, or would take, the last commit.
    var isHealthy: Bool { health.load(ordering: .relaxed) }

    func start(_ journal: any JournalPort, _ position: WriterPosition) {
        nonisolated(unsafe) let unshared = Line(journal: journal, position: position)
        let thread = Thread { [self] in
            run(unshared)
            ended.signal()
        }
        thread.name = "market commits"
        thread.stackSize = 8 << 20
        thread.start()
    }

    // MARK: - The writer's side

    var standing: Standing { state.withLock { $0.standing } }

    /// Takes a batch; only while idle.
    func commit(_ batch: consuming SealedCommands) {
        let batch = batch
        state.withLock { state in
            guard case .idle = state.standing else { preconditionFailure("one batch at a time") }
            state.standing = .committing
            state.next = batch
        }
        work.signal()
    }

    /// The writer starts over: the reports of the lost batch, which are to be tried again.
    func takeLost() -> ContiguousArray<PendingCommand> {
        state.withLock { state in
            guard case .lost = state.standing else { preconditionFailure("nothing is lost") }
            state.standing = .idle
            defer { state.lostReports = [] }
            return state.lostReports
        }
    }

    /// Waits until the standing is another one.
    func awaitChange(from known: Standing) {
        let mustWait = state.withLock { state in
            state.isAwaited = state.standing == known
            return state.isAwaited
        }
        if mustWait { decision.wait() }
    }

    /// Ends the thread after the batch that it has, and waits for its end.
    func stop() {
        state.withLock { $0.isStopping = true }
        work.signal()
        ended.wait()
    }

    // MARK: - The thread

    /// What only this thread touches.
    private final class Line {
        let journal: any JournalPort
        var position: WriterPosition

        init(journal: any JournalPort, position: WriterPosition) {
            self.journal = journal
            self.position = position
        }
    }

    private func set(_ standing: Standing, lost: ContiguousArray<PendingCommand> = []) {
        let isAwaited = state.withLock { state in
            state.standing = standing
            state.lostReports = lost
            return state.takeAwaiter()
        }
        if isAwaited { decision.signal() }
        queue.nudge()
    }

    private func run(_ line: Line) {
        while true {
            let isWoken = work.wait(microseconds: Committer.pauseOfLooks)
            let (batch, isOver) = state.withLock { state in
                defer { state.next = nil }
                if case .ended = state.standing { return (state.next, true) }
                return (state.next, state.isStopping && state.next == nil)
            }
            if let batch { process(batch, line) } else if isOver { break } else if !isWoken { lookAround(line) }
        }
        line.journal.resign(line.position.epoch)
        line.journal.close()
    }

    private func process(_ given: consuming SealedCommands, _ line: Line) {
        var batch = given
        if let row = batch.row {
            guard append(row, &batch, line) else { return }
            line.position.last = row.last
            health.store(true, ordering: .relaxed)
            onCommit(committed.publish(batch.journalled, row))
        }
        // The next batch can be committed while callers hear of this one.
        set(.idle)
        batch.answer()
    }

    /// Idle, it looks now and then whether the database is there and still its own.
    private func lookAround(_ line: Line) {
        do throws(JournalError) {
            guard try line.journal.signOfLife(line.position.epoch).epoch == line.position.epoch else { throw .deposed }
            health.store(true, ordering: .relaxed)
        } catch {
            health.store(false, ordering: .relaxed)
            if case .deposed = error { end(error) }
        }
    }

    private func end(_ error: JournalError) {
        logger.error("deposed", metadata: ["detail": "\(error)"])
        set(.ended)
        onDeposed(error)
    }

    /// Commits a row. If it cannot, the callers are refused and the standing says what to do.
    private func append(_ row: JournalRow, _ batch: inout SealedCommands, _ line: Line) -> Bool {
        do throws(JournalError) {
            try line.journal.append(row, after: line.position.last)
            return true
        } catch {
            logger.error("journal commit failed", metadata: ["detail": "\(error)"])
            health.store(false, ordering: .relaxed)
            return recover(from: error, row, &batch, line)
        }
    }

    /// Finds out whether the row was committed after all; true if it was. While that cannot be known, nobody is kept
    /// waiting for it.
    private func recover(
        from error: JournalError, _ row: JournalRow, _ batch: inout SealedCommands, _ line: Line
    ) -> Bool {
        var failure = error
        var pause = Committer.shortestPause
        while true {
            if case .deposed = failure {
                end(failure)
                batch.refuse()
                return false
            }
            do throws(JournalError) {
                // A lost session has lost what it kept others off with, too.
                let found = try line.journal.signOfLife(line.position.epoch)
                guard found.epoch == line.position.epoch else { throw .deposed }
                if found.last == row.last { return true }
                guard found.last == line.position.last else { throw .deposed }
                batch.refuse()
                set(.lost, lost: batch.commands.filter(\.isReport))
                return false
            } catch {
                failure = error
                if case .deposed = error { continue }
            }
            batch.refuse()
            set(.doubtful)
            queue.refuseCallers()
            if queue.isStopping {
                set(.ended)
                return false
            }
            Thread.sleep(forTimeInterval: pause)
            pause = min(pause * 2, Committer.longestPause)
        }
    }

    static let shortestPause = 0.05
    static let longestPause = 2.0
    private static let pauseOfLooks: Int64 = 2_000_000
}
