public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Stratum
import StratumLines
import Synchronization
public import Units

/// A small but real Stratum V1 pool: it makes jobs, checks every share's proof of work itself, and keeps accounts.
///
/// For demonstrations, tests and soak runs: its blocks lead nowhere.
public final class MiningPool: Sendable {
    /// The ports it listens on.
    public struct Ports: Hashable, Sendable {
        public var stratum: Int
        public var http: Int?
    }

    /// Why a pool cannot start; safe to show.
    public enum StartError: Error, Hashable, Sendable, CustomStringConvertible {
        case invalidConfiguration(String)
        case portInUse(host: String, port: Int)
        case alreadyStarted

        public var description: String {
            switch self {
            case .invalidConfiguration(let text): text
            case .portInUse(let host, let port): "port \(port) on \(host) is in use"
            case .alreadyStarted: "the pool was started before"
            }
        }
    }

    private struct Running {
        var listeners: [any Channel]
        var group: MultiThreadedEventLoopGroup
        var core: NIOLoopBound<PoolCore>
    }

    private let configuration: MiningPoolConfiguration
    private let logger: Logger
    private let running = Mutex<Running?>(nil)

    public init(_ configuration: MiningPoolConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Binds its ports and begins; returns the ports. A pool starts once.
    public func start() async throws -> Ports {
        try validate()
        let tls = try tlsContext()
        guard running.withLock({ $0 == nil }) else { throw StartError.alreadyStarted }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let core = try await makeCore(on: group.next())
        var listeners: [any Channel] = []
        do {
            let stratum = try await listen(group, core, port: configuration.port) { channel in
                if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(LineDecoder(limit: 32_768)))
                try channel.pipeline.syncOperations.addHandler(MinerConnection(core: core.value))
            }
            listeners.append(stratum)
            if let port = configuration.httpPort {
                listeners.append(
                    try await listen(group, core, port: port) { channel in
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(AccountsHandler(core: core.value))
                    })
            }
        } catch {
            for listener in listeners { try await listener.close() }
            try await group.shutdownGracefully()
            throw error
        }
        try await group.next().submit { core.value.startTimers() }.get()
        running.withLock { $0 = Running(listeners: listeners, group: group, core: core) }
        return Ports(
            stratum: listeners[0].localAddress?.port ?? 0,
            http: configuration.httpPort == nil ? nil : listeners[1].localAddress?.port)
    }

    private func validate() throws {
        func check(_ valid: Bool, _ text: String) throws {
            guard valid else { throw StartError.invalidConfiguration(text) }
        }
        try check((0...65_535).contains(configuration.port), "the port is not in 0...65535")
        try check((0...65_535).contains(configuration.httpPort ?? 0), "the HTTP port is not in 0...65535")
        try check((1...8).contains(configuration.extranonce1Size), "the extranonce1 size is not in 1...8")
        try check((1...16).contains(configuration.extranonce2Size), "the extranonce2 size is not in 1...16")
        try check(Target(nbits: configuration.nbits) != nil, "nbits is not a target")
    }

    private func tlsContext() throws -> NIOSSLContext? {
        guard let files = configuration.tls else { return nil }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(files.certificatePath)
            let key = try NIOSSLPrivateKey(file: files.keyPath, format: .pem)
            return try NIOSSLContext(configuration: .makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
        } catch {
            throw StartError.invalidConfiguration("the certificate and its key cannot be used")
        }
    }

    private func makeCore(on loop: any EventLoop) async throws -> NIOLoopBound<PoolCore> {
        let (configuration, logger) = (configuration, logger)
        return try await loop.submit {
            NIOLoopBound(PoolCore(configuration, logger: logger, eventLoop: loop), eventLoop: loop)
        }.get()
    }

    private func listen(
        _ group: MultiThreadedEventLoopGroup, _ core: NIOLoopBound<PoolCore>, port: Int,
        _ initialize: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        do {
            return try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try initialize(channel) }
                }
                .bind(host: configuration.host, port: port).get()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw StartError.portInUse(host: configuration.host, port: port)
        }
    }

    /// Closes all ports and connections, and returns what was counted last; nil if it does not run.
    @discardableResult
    public func stop() async throws -> MiningPoolSnapshot? {
        guard let pool = running.withLock({ $0.take() }) else { return nil }
        for listener in pool.listeners { try await listener.close() }
        let core = pool.core
        let last = try await pool.group.next().submit {
            core.value.stop()
            return core.value.snapshot
        }.get()
        try await pool.group.shutdownGracefully()
        return last
    }

    // MARK: while it runs

    /// What was counted so far.
    public func snapshot() async throws -> MiningPoolSnapshot { try await onLoop { $0.snapshot } ?? MiningPoolSnapshot() }

    /// Issues a job at once; a new block makes all earlier jobs stale.
    public func issueJob(newBlock: Bool) async throws { try await onLoop { $0.issueJob(newBlock: newBlock) } }

    /// Misbehaves from now on, or behaves again.
    public func set(_ fault: MiningPoolFault) async throws { try await onLoop { $0.set(fault) } }

    /// Gives all connections another difficulty, with a job that carries it.
    public func set(_ difficulty: DecimalDifficulty) async throws { try await onLoop { $0.set(difficulty) } }

    /// Gives another extranonce1 to all miners that subscribed to such changes, then a clean job to all.
    public func changeExtranonces() async throws { try await onLoop { $0.changeExtranonces() } }

    /// Sends `client.reconnect` to all; without a host to the same address.
    public func askToReconnect(host: String? = nil, port: Int = 0) async throws {
        try await onLoop { $0.askToReconnect(host: host, port: port) }
    }

    @discardableResult
    private func onLoop<R: Sendable>(_ body: @escaping @Sendable (PoolCore) -> R) async throws -> R? {
        guard let (core, loop) = running.withLock({ $0.map { ($0.core, $0.group.next()) } }) else { return nil }
        return try await loop.submit { body(core.value) }.get()
    }
}
