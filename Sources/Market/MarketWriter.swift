public import Exchange
internal import Foundation
internal import Logging
public import Routing
internal import Synchronization
internal import Units

/// Runs the exchange: queue, batch, one journal row and one commit per batch, then answers (design, section 6).
///
/// A thread of its own owns the exchange and applies what waits; another one commits (``Committer``). Nobody is answered,
/// and nothing is published, before the commit. While a batch is being committed the next one grows: the slower the
/// commits, the larger the batches; an idle market commits a lone command at once.
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

    private let configuration: Configuration
    private let committed: CommittedState
    private let projector: Projector
    private let clock: @Sendable () -> Timestamp
    private let queue: CommandQueue
    private let committer: Committer
    private let ended = Sleep()
    private let news: NewsOutlet
    private let feed: FeedOutlet

    /// - Parameter onDeposed: called on a thread of the market's when another process has taken over: end the process
    init(
        loaded: LoadedMarket, projector: Projector, configuration: Configuration = Configuration(), logger: Logger,
        clock: @escaping @Sendable () -> Timestamp, onDeposed: @escaping @Sendable (JournalError) -> Void
    ) {
        self.configuration = configuration
        self.projector = projector
        self.clock = clock
        committed = loaded.committed
        queue = CommandQueue(most: configuration.mostWaiting, perChunk: configuration.mostInBatch)
        let news = NewsOutlet()
        self.news = news
        let feed = FeedOutlet()
        self.feed = feed
        committer = Committer(
            committed: committed, queue: queue, logger: logger,
            onCommit: { commit in
                if !commit.isEmpty { news.send(commit) }
                if let commit = commit.feed { feed.send(commit) }
                projector.wake()
            },
            onDeposed: onDeposed)
    }

    /// Takes everything over that `loaded` brought, and starts the threads.
    func start(_ loaded: sending LoadedMarket) {
        let (state, at) = committed.copy()
        let loop = WriterLoop(
            Exchange(state, time: at), position: loaded.position, mostCommands: configuration.mostInBatch)
        nonisolated(unsafe) let journal = loaded.journal
        committer.start(journal, loaded.position)
        nonisolated(unsafe) let unshared = loop
        let thread = Thread { [self] in
            while step(unshared) {}
            queue.stop()
            queue.putBack(unshared.abandon())
            queue.refuseAll()
            committer.stop()
            ended.signal()
        }
        thread.name = "market writer"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Refuses new commands, commits those that wait, and ends the threads. May be called again.
    public func stop() async {
        queue.stop()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [self] in
                ended.wait()
                // For whoever else waits.
                ended.signal()
                continuation.resume()
            }
        }
    }

    /// One more place where committed routes go; called on a thread of the market's, must not block.
    public func onRoutes(_ body: @escaping @Sendable ([RouteUpdate]) -> Void) {
        onNews { news in if !news.routes.isEmpty { body(news.routes) } }
    }

    /// One more place where all goes that edges need to know; called on a thread of the market's, must not block.
    public func onNews(_ body: @escaping @Sendable (CommitNews) -> Void) { news.connect(body) }

    /// The routes of all rigs as of the last commit.
    public func allRoutes() -> [RouteUpdate] { committed.routes() }

    // MARK: - Gateway

    public func submit(_ envelope: CommandEnvelope) async throws(GatewayError) -> Outcome {
        let result: Result<Outcome, GatewayError> = await withCheckedContinuation { continuation in
            submit(envelope) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Queues a command; `answer` is called once, at once when it is refused, otherwise on a thread of the market's after
    /// the commit. It must not block.
    public func submit(_ envelope: CommandEnvelope, answer: @escaping @Sendable (Result<Outcome, GatewayError>) -> Void) {
        guard projector.lag < configuration.mostUnprojected else { return answer(.failure(.busy)) }
        _ = queue.add(PendingCommand(envelope, answer: answer))
    }

    /// Queues a report whose answer nobody needs; false when the market is stopping or far behind.
    ///
    /// Reports must not be lost while callers crowd the queue, so they may fill it eight times over.
    @discardableResult
    public func post(_ command: Command) -> Bool {
        guard projector.lag < configuration.mostUnprojected else { return false }
        return queue.add(PendingCommand(CommandEnvelope(command), answer: nil)) == nil
    }

    /// Queues a report and answers after its commit, however often that has to be tried; at once when the market is stopping or
    /// far behind. `answer` must not block.
    public func report(_ command: Command, answer: @escaping @Sendable (Result<Outcome, GatewayError>) -> Void) {
        guard projector.lag < configuration.mostUnprojected else { return answer(.failure(.busy)) }
        _ = queue.add(PendingCommand(CommandEnvelope(command), isReport: true, answer: answer))
    }

    public func read<T>(_ body: (MarketState) -> T) -> T { committed.read(body) }

    public func committed<T>(_ body: (MarketState, Int64) -> T) -> T { committed.readWhole(body) }

    public func onFeed(_ body: @escaping @Sendable (FeedNews) -> Void) {
        feed.connect(body)
        committed.isFollowed.store(true, ordering: .releasing)
    }

    public func isProjected() async -> Bool {
        let position = committed.position
        projector.hurry(to: position)
        for _ in 0..<MarketWriter.looksAtProjector {
            if projector.hasReached(position) { return true }
            do { try await Task.sleep(for: MarketWriter.pauseOfLooks) } catch { return false }
        }
        return projector.hasReached(position)
    }

    private static let looksAtProjector = 200
    private static let pauseOfLooks = Duration.milliseconds(5)

    public var isHealthy: Bool { committer.isHealthy }

    /// The sequence of the last command that is committed and published.
    public var position: Int64 { committed.position }

    /// Commands that are committed and not in the tables yet.
    public var lag: Int64 { projector.lag }

    // MARK: - The writer's thread

    /// Does what there is to do, or sleeps; false when it is over.
    private func step(_ loop: WriterLoop) -> Bool {
        let standing = committer.standing
        switch standing {
        case .ended: return false
        case .lost: return startOver(loop)
        case .doubtful:
            loop.refuseCallers()
            committer.awaitChange(from: standing)
        case .committing:
            if loop.isFull {
                loop.seal()
                committer.awaitChange(from: standing)
            } else if !loop.applyWaiting(queue, clock) {
                rest(loop, standing)
            }
        case .idle:
            loop.wasCommitted()
            loop.applyWaiting(queue, clock)
            if loop.batch.isEmpty { loop.applyDue(clock) }
            if let batch = loop.takeBatch() {
                committer.commit(batch)
            } else {
                if queue.isStopping, queue.isEmpty { return false }
                rest(loop, standing)
            }
        }
        return true
    }

    /// Sleeps until there is something to do.
    private func rest(_ loop: WriterLoop, _ standing: Committer.Standing) {
        if queue.isStopping, standing == .committing { return committer.awaitChange(from: standing) }
        var wait = MarketWriter.longestSleep.microseconds
        if loop.batch.isEmpty, let due = loop.exchange.nextDeadline { wait = min(wait, (due - clock()).microseconds) }
        guard wait > 0 else { return }
        queue.sleep(microseconds: wait) { committer.standing != standing }
    }

    /// Goes back to what is committed. Reports are tried again; a journal that refuses is not asked again at once.
    private func startOver(_ loop: WriterLoop) -> Bool {
        let reports = committer.takeLost()
        queue.putBack(reports + loop.abandon())
        let (state, at) = committed.copy()
        // Of that time, too: what the lost batch had seen come due must come due again.
        loop.startOver(Exchange(state, time: at), committed.position)
        // When stopping it was tried once more with all that waited: what is left cannot be committed.
        if queue.isStopping, loop.pause > Committer.shortestPause { return false }
        Thread.sleep(forTimeInterval: loop.pause)
        loop.pause = min(loop.pause * 2, Committer.longestPause)
        return true
    }

    /// The clock is looked at this often: it may be set, or the machine may have slept.
    private static let longestSleep = Interval.milliseconds(500)
}

/// Where the news of commits goes.
private final class NewsOutlet: Sendable {
    private let bodies = Mutex<[@Sendable (CommitNews) -> Void]>([])

    func connect(_ body: @escaping @Sendable (CommitNews) -> Void) { bodies.withLock { $0.append(body) } }
    func send(_ news: CommitNews) { for body in bodies.withLock({ $0 }) { body(news) } }
}

/// Where what streams follow goes.
private final class FeedOutlet: Sendable {
    private let bodies = Mutex<[@Sendable (FeedNews) -> Void]>([])

    func connect(_ body: @escaping @Sendable (FeedNews) -> Void) { bodies.withLock { $0.append(body) } }
    func send(_ news: FeedNews) { for body in bodies.withLock({ $0 }) { body(news) } }
}
