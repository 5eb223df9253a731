public import Exchange
internal import Foundation
internal import Logging
public import Routing
internal import Synchronization
internal import Units

/// Runs the exchange: queue, batch, one journal row and one commit per batch, then answers (design, section 6).
///
/// A thread of its own owns the exchange and the journal's connection. Nobody is answered, and nothing is published,
/// before the commit.
public final class MarketWriter: MarketGateway {
    public struct Configuration: Sendable {
        /// Commands that may wait; more are refused as busy.
        public var mostWaiting = 65_536
        /// Commands in one batch.
        public var mostInBatch = 4096
        /// Commands that the projector may trail behind before the queue refuses.
        public var mostUnprojected: Int64 = 4_000_000

        public init() {}
    }

    private struct Pending {
        var envelope: CommandEnvelope
        /// nil when nobody waits for the answer.
        var answer: (@Sendable (Result<Outcome, GatewayError>) -> Void)?
    }

    private struct Queue {
        var waiting: [Pending] = []
        var isStopping = false
        var isStopped = false
    }

    private let configuration: Configuration
    private let committed: CommittedState
    private let projector: Projector
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger
    private let queue = Mutex(Queue())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let routes = Mutex<@Sendable ([RouteUpdate]) -> Void>({ _ in })
    private let onDeposed: @Sendable (JournalError) -> Void
    private let lastPosition: Mutex<Int64>

    /// - Parameter onDeposed: called on the writer's thread when another process has taken over: end the process
    init(
        loaded: LoadedMarket, projector: Projector, configuration: Configuration = Configuration(), logger: Logger,
        clock: @escaping @Sendable () -> Timestamp, onDeposed: @escaping @Sendable (JournalError) -> Void
    ) {
        self.configuration = configuration
        self.projector = projector
        self.clock = clock
        self.logger = logger
        self.onDeposed = onDeposed
        committed = loaded.committed
        lastPosition = Mutex(loaded.position.last)
    }

    /// Takes everything over that `loaded` brought, and starts the thread.
    func start(_ loaded: sending LoadedMarket) {
        nonisolated(unsafe) let journal = loaded.journal
        let loop = Loop(
            exchange: Exchange(committed.copy(), time: loaded.at), journal: journal, position: loaded.position)
        nonisolated(unsafe) let unshared = loop
        let thread = Thread { [self] in
            run(unshared)
            ended.signal()
        }
        thread.name = "market writer"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Refuses new commands, commits those that wait, and ends the thread.
    public func stop() async {
        queue.withLock { $0.isStopping = true }
        wake.signal()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [self] in
                ended.wait()
                continuation.resume()
            }
        }
    }

    /// Where committed routes go; called on the writer's thread, must not block.
    public func onRoutes(_ body: @escaping @Sendable ([RouteUpdate]) -> Void) { routes.withLock { $0 = body } }

    /// The routes of all rigs as of the last commit.
    public func allRoutes() -> [RouteUpdate] {
        let position = lastPosition.withLock { $0 }
        return committed.read { MarketRoutes.all(in: $0, position: position) }
    }

    // MARK: - Gateway

    public func submit(_ envelope: CommandEnvelope) async throws(GatewayError) -> Outcome {
        let result: Result<Outcome, GatewayError> = await withCheckedContinuation { continuation in
            enqueue(Pending(envelope: envelope, answer: { continuation.resume(returning: $0) }))
        }
        return try result.get()
    }

    /// Queues a report whose answer nobody needs; false when the market is stopping or far behind.
    ///
    /// Reports must not be lost while callers crowd the queue, so they may fill it eight times over.
    @discardableResult
    public func post(_ command: Command) -> Bool { enqueue(Pending(envelope: CommandEnvelope(command), answer: nil)) }

    public func read<T>(_ body: (MarketState) -> T) -> T { committed.read(body) }

    @discardableResult
    private func enqueue(_ pending: Pending) -> Bool {
        let mayWrite = projector.lag < configuration.mostUnprojected
        let refusal: GatewayError? = queue.withLock { queue in
            if queue.isStopping { return .unavailable }
            let most = pending.answer == nil ? configuration.mostWaiting * 8 : configuration.mostWaiting
            guard mayWrite, queue.waiting.count < most else { return .busy }
            queue.waiting.append(pending)
            return nil
        }
        if let refusal {
            pending.answer?(.failure(refusal))
            return false
        }
        wake.signal()
        return true
    }

    // MARK: - The writer's thread

    /// What only the writer's thread touches.
    private final class Loop {
        var exchange: Exchange
        let journal: any JournalPort
        var position: WriterPosition
        var isDeposed = false

        init(exchange: Exchange, journal: any JournalPort, position: WriterPosition) {
            self.exchange = exchange
            self.journal = journal
            self.position = position
        }
    }

    private func run(_ loop: Loop) {
        while !loop.isDeposed {
            let (batch, isStopping) = nextBatch(loop)
            if !batch.isEmpty { commit(batch, loop) } else if isStopping { break }
        }
        let rest = queue.withLock { queue in
            queue.isStopping = true
            queue.isStopped = true
            defer { queue.waiting = [] }
            return queue.waiting
        }
        for pending in rest { pending.answer?(.failure(.unavailable)) }
        loop.journal.close()
    }

    private func nextBatch(_ loop: Loop) -> ([Pending], isStopping: Bool) {
        waitForWork(loop)
        var (batch, isStopping) = queue.withLock { queue in
            let taken = Array(queue.waiting.prefix(configuration.mostInBatch))
            queue.waiting.removeFirst(taken.count)
            return (taken, queue.isStopping)
        }
        if batch.isEmpty, let due = loop.exchange.nextDeadline, due <= clock() {
            batch = [Pending(envelope: CommandEnvelope(.advance), answer: nil)]
        }
        return (batch, isStopping)
    }

    private func waitForWork(_ loop: Loop) {
        if queue.withLock({ !$0.waiting.isEmpty || $0.isStopping }) { return }
        guard let due = loop.exchange.nextDeadline else {
            wake.wait()
            return
        }
        let wait = (due - clock()).microseconds
        if wait > 0 { _ = wake.wait(timeout: .now() + .microseconds(Int(min(wait, 3_600_000_000)))) }
    }

    private func commit(_ batch: [Pending], _ loop: Loop) {
        let now = clock()
        var journalled: [JournalledCommand] = []
        var outcomes: [Outcome] = []
        outcomes.reserveCapacity(batch.count)
        for pending in batch {
            let (outcome, events) = loop.exchange.apply(pending.envelope, at: now)
            outcomes.append(outcome)
            if !events.isEmpty { journalled.append(JournalledCommand(envelope: pending.envelope, events: events)) }
        }
        if !journalled.isEmpty, !write(journalled, loop) {
            for pending in batch { pending.answer?(.failure(.unavailable)) }
            // Reports that nobody waits for are tried again.
            let reports = batch.filter { $0.answer == nil }
            queue.withLock { $0.waiting.insert(contentsOf: reports, at: 0) }
            return
        }
        for (pending, outcome) in zip(batch, outcomes) { pending.answer?(.success(outcome)) }
    }

    /// Commits and publishes; on failure the exchange is put back to what is committed.
    private func write(_ commands: [JournalledCommand], _ loop: Loop) -> Bool {
        let previous = loop.position.last
        let row = JournalRow(
            first: previous + 1, last: previous + Int64(commands.count), epoch: loop.position.epoch,
            rulesVersion: JournalBody.rulesVersion, at: loop.exchange.time, stateHash: loop.exchange.state.hash,
            body: JournalBody.encode(commands))
        do throws(JournalError) {
            try loop.journal.append(row, after: previous)
        } catch {
            guard recover(from: error, row, previous, loop) else { return false }
        }
        loop.position.last = row.last
        publish(commands, row)
        return true
    }

    private func publish(_ commands: [JournalledCommand], _ row: JournalRow) {
        lastPosition.withLock { $0 = row.last }
        let (changes, routes) = committed.publish(commands, position: row.last)
        if !routes.isEmpty { self.routes.withLock { $0 }(routes) }
        projector.add(changes, Appended(commands, first: row.first), row)
    }

    /// Finds out whether the row was committed after all; true if it was.
    private func recover(from error: JournalError, _ row: JournalRow, _ previous: Int64, _ loop: Loop) -> Bool {
        logger.error("journal commit failed", metadata: ["detail": "\(error)"])
        var failure = error
        var pause = 0.05
        while true {
            if case .deposed = failure {
                loop.isDeposed = true
                onDeposed(failure)
                return false
            }
            do throws(JournalError) {
                let found = try loop.journal.position()
                guard found.epoch == loop.position.epoch else { throw .deposed }
                if found.last == row.last { return true }
                guard found.last == previous else { throw .deposed }
                loop.exchange = Exchange(committed.copy(), time: loop.exchange.time)
                return false
            } catch {
                failure = error
            }
            // The database is away. Callers have waited long enough; new ones are told at once.
            refuseWaiting()
            if queue.withLock({ $0.isStopping }) {
                loop.isDeposed = true
                return false
            }
            Thread.sleep(forTimeInterval: pause)
            pause = min(pause * 2, 2)
        }
    }

    private func refuseWaiting() {
        let refused = queue.withLock { queue in
            let kept = queue.waiting.filter { $0.answer == nil }
            let refused = queue.waiting.filter { $0.answer != nil }
            queue.waiting = kept
            return refused
        }
        for pending in refused { pending.answer?(.failure(.unavailable)) }
    }
}

extension Appended {
    /// The events of a batch that add rows.
    init(_ commands: [JournalledCommand], first: Int64) {
        self.init()
        for (offset, command) in commands.enumerated() {
            for (place, event) in command.events.enumerated() {
                switch event {
                case .entryPosted, .lineSettled:
                    entries.append(EventAt(sequence: first + Int64(offset), place: place, event: event))
                default: break
                }
            }
        }
    }
}
