import Dispatch
public import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Stratum
import StratumLines
import Synchronization
import Units

/// A Stratum V1 miner that hashes on the processor: real proof of work against a real pool.
///
/// It behaves as firmware does: extranonce2 starts at zero on every job, a new job replaces the one before at once, a lost
/// connection is dialled again after a growing wait.
public final class Miner: Sendable {
    private let core: MinerCore

    public init(_ configuration: MinerConfiguration, logger: Logger) {
        core = MinerCore(configuration: configuration, logger: logger)
    }

    /// What was done so far; may be read at any time from anywhere.
    public var statistics: MinerStatistics { core.statistics }

    /// Mines until the task is cancelled, then returns with all threads and the connection ended. A miner runs once.
    public func run() async throws {
        let threads = DispatchGroup()
        startThreads(in: threads)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.connectAgainAndAgain() }
            group.addTask { await self.report() }
        }
        core.board.stop()
        await withCheckedContinuation { done in
            threads.notify(queue: .global()) { done.resume() }
        }
    }

    private func startThreads(in group: DispatchGroup) {
        let count = max(1, min(core.configuration.threads, 256))
        let rate = core.configuration.maximalHashrate.map { Double(max(1, $0)) / Double(count) }
        for index in 0..<count {
            HashingThread(index: index, threads: count, rate: rate, board: core.board).start(in: group)
        }
    }

    /// Dials, stays until the connection ends, waits, and so on.
    private func connectAgainAndAgain() async {
        var backoff = Backoff(core.configuration)
        while !Task.isCancelled {
            let sessions = core.statistics.sessions
            do {
                try await withTaskCancellationHandler {
                    let channel = try await connect()
                    if Task.isCancelled { channel.close(promise: nil) }
                    try await channel.closeFuture.get()
                } onCancel: {
                    core.closeConnection()
                }
            } catch {
                core.logger.warning("cannot connect", metadata: ["error": "\(error)", "pool": "\(core.configuration.pool)"])
            }
            if core.statistics.sessions > sessions { backoff.reset() }
            guard await pause(backoff.next()) else { return }
        }
    }

    private func connect() async throws -> any Channel {
        let configuration = core.configuration
        let core = core
        let tls = try configuration.pool.usesTLS ? Miner.trust(configuration) : nil
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.nanoseconds(configuration.connectTimeout.nanoseconds))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                core.opened(channel)
                return channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(Miner.handler(tls, host: configuration.pool.host)) }
                    let limit = configuration.session.lineLimit
                    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(LineDecoder(limit: limit)))
                    try channel.pipeline.syncOperations.addHandler(PoolConnection(core: core))
                }
            }
            .connect(host: configuration.pool.host, port: configuration.pool.port).get()
    }

    private static func trust(_ configuration: MinerConfiguration) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let file = configuration.authorities { tls.additionalTrustRoots = [.file(file)] }
        return try NIOSSLContext(configuration: tls)
    }

    /// An address goes into no server name: the certificate has to be for it all the same.
    private static func handler(_ tls: NIOSSLContext, host: String) throws -> NIOSSLClientHandler {
        do { return try NIOSSLClientHandler(context: tls, serverHostname: host) } catch {
            return try NIOSSLClientHandler(context: tls, serverHostname: nil)
        }
    }

    /// False when the task was cancelled.
    private func pause(_ duration: Duration) async -> Bool {
        do {
            try await Task.sleep(for: duration)
            return true
        } catch {
            return false
        }
    }

    private func report() async {
        guard let interval = core.configuration.reportInterval else { return }
        let clock = ContinuousClock()
        var before = (hashes: core.statistics.hashes, at: clock.now)
        while await pause(interval) {
            let statistics = core.statistics
            let now = clock.now
            let seconds = (now - before.at) / .seconds(1)
            let rate = Double(statistics.hashes - before.hashes) / max(seconds, 1e-9)
            before = (statistics.hashes, now)
            core.logger.info(
                "hashrate",
                metadata: [
                    "hashes_per_second": "\(Int64(rate))", "accepted": "\(statistics.accepted)",
                    "rejected": "\(statistics.rejectedCount)",
                ])
        }
    }
}

/// What a miner's threads and connections share.
final class MinerCore: Sendable {
    let configuration: MinerConfiguration
    let logger: Logger
    let board: WorkBoard
    private let counters = Mutex(MinerStatistics())
    /// The connection, or the attempt at one.
    private let channel = Mutex<(any Channel)?>(nil)

    init(configuration: MinerConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        board = WorkBoard(algorithm: configuration.algorithm)
    }

    var statistics: MinerStatistics {
        var statistics = counters.withLock { $0 }
        statistics.hashes = board.hashes
        return statistics
    }

    func update(_ body: (inout MinerStatistics) -> Void) { counters.withLock { body(&$0) } }
    func opened(_ opened: any Channel) { channel.withLock { $0 = opened } }
    func closeConnection() { channel.withLock { $0 }?.close(promise: nil) }
    func becameReady() { update { $0.sessions += 1 } }
}

/// The waits between attempts: doubling, a quarter either way at random.
struct Backoff {
    private let initial: Duration
    private let maximal: Duration
    private var current: Duration

    init(_ configuration: MinerConfiguration) {
        initial = configuration.initialBackoff
        maximal = configuration.maximalBackoff
        current = configuration.initialBackoff
    }

    mutating func reset() { current = initial }

    mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let wait = current * Int.random(in: 750...1250, using: &random) / 1000
        current = min(current * 2, maximal)
        return wait
    }
}
