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
        /// nil for a report, whose answer nobody waits for, and once it is given.
        var answer: (@Sendable (Result<Outcome, GatewayError>) -> Void)?
        /// To be tried until it is committed.
        let isReport: Bool

        init(envelope: CommandEnvelope, answer: (@Sendable (Result<Outcome, GatewayError>) -> Void)?) {
            self.envelope = envelope
            self.answer = answer
            isReport = answer == nil
        }

        mutating func give(_ result: Result<Outcome, GatewayError>) {
            answer?(result)
            answer = nil
        }
    }

    private struct Queue {
        var waiting: [Pending] = []
        var isStopping = false
        /// The writer waits on `wake`, and nobody has signalled it yet.
        var isAsleep = false

        /// Whether the caller has to signal the writer.
        mutating func takeSleeper() -> Bool {
            defer { isAsleep = false }
            return isAsleep
        }
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
    private let health = Mutex(true)

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

    /// Refuses new commands, commits those that wait, and ends the thread. May be called again.
    public func stop() async {
        let isAsleep = queue.withLock { queue in
            queue.isStopping = true
            return queue.takeSleeper()
        }
        if isAsleep { wake.signal() }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [self] in
                ended.wait()
                // For whoever else waits.
                ended.signal()
                continuation.resume()
            }
        }
    }

    /// Where committed routes go; called on the writer's thread, must not block.
    public func onRoutes(_ body: @escaping @Sendable ([RouteUpdate]) -> Void) { routes.withLock { $0 = body } }

    /// The routes of all rigs as of the last commit.
    public func allRoutes() -> [RouteUpdate] { committed.routes() }

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

    public func isProjected() async -> Bool {
        let position = committed.position
        for _ in 0..<MarketWriter.looksAtProjector {
            if projector.hasReached(position) { return true }
            do { try await Task.sleep(for: MarketWriter.pauseOfLooks) } catch { return false }
        }
        return projector.hasReached(position)
    }

    private static let looksAtProjector = 200
    private static let pauseOfLooks = Duration.milliseconds(5)

    public var isHealthy: Bool { health.withLock { $0 } }

    @discardableResult
    private func enqueue(_ pending: Pending) -> Bool {
        let mayWrite = projector.lag < configuration.mostUnprojected
        let (refusal, isAsleep): (GatewayError?, Bool) = queue.withLock { queue in
            if queue.isStopping { return (.unavailable, false) }
            let most = pending.answer == nil ? configuration.mostWaiting * 8 : configuration.mostWaiting
            guard mayWrite, queue.waiting.count < most else { return (.busy, false) }
            queue.waiting.append(pending)
            return (nil, queue.takeSleeper())
        }
        if let refusal {
            pending.answer?(.failure(refusal))
            return false
        }
        if isAsleep { wake.signal() }
        return true
    }

    // MARK: - The writer's thread

    /// What only the writer's thread touches.
    private final class Loop {
        var exchange: Exchange
        let journal: any JournalPort
        var position: WriterPosition
        /// Time of the last command that was committed.
        var committedAt: Timestamp
        var isDeposed = false
        /// When an idle writer looks at its database again.
        var nextLook = DispatchTime.now() + .seconds(2)
        /// How long to wait after a batch that was not committed, in seconds; doubles each time in a row.
        var pause = MarketWriter.shortestPause

        init(exchange: Exchange, journal: any JournalPort, position: WriterPosition) {
            self.exchange = exchange
            self.journal = journal
            self.position = position
            committedAt = exchange.time
        }
    }

    private func run(_ loop: Loop) {
        while !loop.isDeposed {
            let (batch, isStopping) = nextBatch(loop)
            if !batch.isEmpty { commit(batch, loop) } else if isStopping { break } else { lookAround(loop) }
        }
        let rest = queue.withLock { queue in
            queue.isStopping = true
            defer { queue.waiting = [] }
            return queue.waiting
        }
        for pending in rest { pending.answer?(.failure(.unavailable)) }
        loop.journal.close()
    }

    /// An idle writer looks now and then whether the database is there and still its own.
    private func lookAround(_ loop: Loop) {
        let now = DispatchTime.now()
        guard now >= loop.nextLook else { return }
        loop.nextLook = now + .seconds(2)
        do throws(JournalError) {
            guard try loop.journal.position().epoch == loop.position.epoch else { throw .deposed }
            health.withLock { $0 = true }
        } catch {
            health.withLock { $0 = false }
            guard case .deposed = error else { return }
            logger.error("deposed", metadata: ["detail": "\(error)"])
            loop.isDeposed = true
            onDeposed(error)
        }
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
        let due = loop.exchange.nextDeadline
        let wait = due.map { ($0 - clock()).microseconds }
        if let wait, wait <= 0 { return }
        let mustSleep = queue.withLock { queue in
            guard queue.waiting.isEmpty, !queue.isStopping else { return false }
            queue.isAsleep = true
            return true
        }
        guard mustSleep else { return }
        let longest = MarketWriter.longestSleep.microseconds
        let timeout = DispatchTime.now() + .microseconds(Int(min(wait ?? longest, longest)))
        guard wake.wait(timeout: timeout) == .timedOut else { return }
        // Whoever signals from now on has taken the sleeper before, and its signal is on the way.
        if !queue.withLock({ $0.takeSleeper() }) { wake.wait() }
    }

    /// The clock is looked at this often: it may be set, or the machine may have slept.
    private static let longestSleep = Interval.milliseconds(500)
    private static let shortestPause = 0.05
    private static let longestPause = 2.0

    private func commit(_ commands: [Pending], _ loop: Loop) {
        var batch = commands
        let now = clock()
        var journalled: [JournalledCommand] = []
        var outcomes: [Outcome] = []
        outcomes.reserveCapacity(batch.count)
        for pending in batch {
            let (outcome, events) = loop.exchange.apply(pending.envelope, at: now)
            outcomes.append(outcome)
            if !events.isEmpty { journalled.append(JournalledCommand(envelope: pending.envelope, events: events)) }
        }
        if !journalled.isEmpty, !write(journalled, &batch, loop) {
            for index in batch.indices { batch[index].give(.failure(.unavailable)) }
            let reports = batch.filter(\.isReport)
            queue.withLock { $0.waiting.insert(contentsOf: reports, at: 0) }
            if !loop.isDeposed { rest(loop) }
            return
        }
        loop.pause = MarketWriter.shortestPause
        for (index, outcome) in outcomes.enumerated() { batch[index].give(.success(outcome)) }
    }

    /// Commits and publishes; on failure the exchange is put back to what is committed.
    private func write(_ commands: [JournalledCommand], _ batch: inout [Pending], _ loop: Loop) -> Bool {
        let previous = loop.position.last
        loop.exchange.settleHashes()
        let row = JournalRow(
            first: previous + 1, last: previous + Int64(commands.count), epoch: loop.position.epoch,
            rulesVersion: JournalBody.rulesVersion, at: loop.exchange.time, stateHash: loop.exchange.state.hash,
            body: JournalBody.encode(commands))
        do throws(JournalError) {
            try loop.journal.append(row, after: previous)
        } catch {
            guard recover(from: error, row, previous, &batch, loop) else { return false }
        }
        loop.position.last = row.last
        loop.committedAt = row.at
        health.withLock { $0 = true }
        publish(commands, row)
        return true
    }

    /// A journal that refuses what waits is not asked again at once.
    private func rest(_ loop: Loop) {
        if queue.withLock({ $0.isStopping }) {
            // It was tried once more with all that waited: what is left cannot be committed.
            loop.isDeposed = loop.pause > MarketWriter.shortestPause
        }
        Thread.sleep(forTimeInterval: loop.pause)
        loop.pause = min(loop.pause * 2, MarketWriter.longestPause)
    }

    private func publish(_ commands: [JournalledCommand], _ row: JournalRow) {
        let (changes, routes) = committed.publish(commands, position: row.last, at: row.at)
        if !routes.isEmpty { self.routes.withLock { $0 }(routes) }
        projector.add(changes, Appended(commands, first: row.first), row)
    }

    /// Finds out whether the row was committed after all; true if it was. While that cannot be known, nobody is kept
    /// waiting for it.
    private func recover(
        from error: JournalError, _ row: JournalRow, _ previous: Int64, _ batch: inout [Pending], _ loop: Loop
    ) -> Bool {
        logger.error("journal commit failed", metadata: ["detail": "\(error)"])
        health.withLock { $0 = false }
        var failure = error
        var pause = MarketWriter.shortestPause
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
                // Of that time, too: what the lost batch had seen come due must come due again.
                loop.exchange = Exchange(committed.copy(), time: loop.committedAt)
                return false
            } catch {
                failure = error
            }
            for index in batch.indices { batch[index].give(.failure(.unavailable)) }
            refuseWaiting()
            if queue.withLock({ $0.isStopping }) {
                loop.isDeposed = true
                return false
            }
            Thread.sleep(forTimeInterval: pause)
            pause = min(pause * 2, MarketWriter.longestPause)
        }
    }

    private func refuseWaiting() {
        let refused = queue.withLock { queue in
            let kept = queue.waiting.filter(\.isReport)
            let refused = queue.waiting.filter { !$0.isReport }
            queue.waiting = kept
            return refused
        }
        for pending in refused { pending.answer?(.failure(.unavailable)) }
    }
}

extension Appended {
    /// The events of a batch that add rows.
    ///
    /// - Parameter first: the sequence of the first command
    public init(_ commands: [JournalledCommand], first: Int64) {
        self.init()
        for (offset, command) in commands.enumerated() {
            var lines = 0
            for event in command.events {
                switch event {
                case .entryPosted:
                    entries.append(EventAt(sequence: first + Int64(offset), place: 0, event: event))
                case .lineSettled:
                    entries.append(EventAt(sequence: first + Int64(offset), place: lines, event: event))
                    lines += 1
                case .marketDefined, .poolTargetCreated, .poolTargetChanged, .rigRegistered, .rigOnline, .rigOffline,
                    .rigMeasured, .orderPlaced, .askOffered, .orderSuspended, .orderResumed, .orderStamped,
                    .orderClosed, .deliveryOpened, .deliveryEnded, .deliveryClosed, .answerRecorded, .orderAmended,
                    .ordersRepriced, .phaseChanged, .rulesScheduled, .rulesChanged, .indexPublished, .farmCreated,
                    .rigAssigned, .farmOffered, .silenceSet, .holdReleased:
                    break
                }
            }
        }
    }
}
