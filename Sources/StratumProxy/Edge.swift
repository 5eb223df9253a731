internal import Certificates
import Foundation
public import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
public import Routing
public import Units

/// The part of the market that holds Stratum connections: rigs on one side, pools on the other.
///
/// Everything happens on one event loop; `Edge` is its handle for the rest of the program.
public final class Edge: Sendable {
    private let configuration: EdgeConfiguration
    private let logger: Logger
    private let group: MultiThreadedEventLoopGroup
    private let resolving: NIOThreadPool
    private let spool = SpoolThread()
    private let loop: any EventLoop
    private let core: NIOLoopBoundBox<EdgeCore>
    private let shipper: Shipper
    private let trust: PoolTrust
    private let certificates: MinerCertificates?
    private let flaw: EdgeError?
    private let boundTLSPort = NIOLockedValueBox<Int?>(nil)
    private let life = NIOLockedValueBox(Life.new)

    private enum Life: Sendable {
        case new
        case running(Task<Void, Never>)
        case stopped
    }

    public init(
        configuration: EdgeConfiguration, directory: any EdgeDirectory, reports: any EdgeReports,
        registrar: (any EdgeRegistrar)? = nil, sink: any BatchSink, clock: any WallClock = SystemClock(), logger: Logger
    ) {
        self.configuration = configuration
        self.logger = logger
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        resolving = NIOThreadPool(numberOfThreads: 4)
        resolving.start()
        let loop = group.any()
        self.loop = loop
        let resolver = AddressResolver(
            threads: resolving, policy: AddressPolicy(allowsPrivate: configuration.allowPrivatePools))
        let trust = PoolTrust(extraFile: configuration.poolAuthorities)
        self.trust = trust
        let certificates: MinerCertificates?
        do throws(EdgeError) {
            certificates = try MinerCertificates(configuration.tls)
            flaw = nil
        } catch {
            certificates = nil
            flaw = error
        }
        self.certificates = certificates
        core = NIOLoopBoundBox.makeBoxSendingValue(
            EdgeCore(
                configuration: configuration, directory: directory, reports: reports, registrar: registrar, clock: clock,
                logger: logger, loop: loop, resolver: resolver, trust: trust, certificates: certificates, spool: spool),
            eventLoop: loop)
        shipper = Shipper(spool: spool, sink: sink, times: configuration.spool, logger: logger)
    }

    // MARK: life

    /// Opens the spool, ships what an earlier run left, and listens.
    ///
    /// - Returns: the port that is listened on
    /// - Throws: ``EdgeError``; then everything is closed again
    public func start() async throws(EdgeError) -> Int {
        let isNew = life.withLockedValue { life in
            guard case .new = life else { return false }
            life = .stopped
            return true
        }
        guard isNew else { throw .alreadyStarted }
        do throws(EdgeError) {
            try await checkCertificates()
            let state = try await openSpool()
            let core = core
            try? await loop.submit { core.value.opened(state) }.get()
            let port = try await listen()
            life.withLockedValue { $0 = .running(Task { [self] in await work() }) }
            return port
        } catch {
            await closeAll()
            throw error
        }
    }

    /// Closes listener and rigs, waits a bounded time for pools' answers, seals and ships what there is.
    public func stop() async {
        let task = life.withLockedValue { life -> Task<Void, Never>? in
            guard case .running(let task) = life else { return nil }
            life = .stopped
            return task
        }
        guard let task else { return }
        task.cancel()
        await task.value
        await drain()
        await closeAll()
    }

    /// What is configured has to work from the start: later it would only be found out by a rig or a pool.
    private func checkCertificates() async throws(EdgeError) {
        if let flaw { throw flaw }
        guard let path = configuration.poolAuthorities else { return }
        let trust = trust
        let isUsable = try? await resolving.runIfActive { () -> Bool in
            do throws(TLSFailure) { _ = try trust.context() } catch { return false }
            return true
        }
        if isUsable != true { throw .certificateUnusable(reason: "\(path) cannot be read as PEM certificates") }
    }

    private func openSpool() async throws(EdgeError) -> SpoolState {
        let known: Int64?
        do {
            known = try await spool.prepare(
                path: configuration.spoolPath, edge: configuration.edge, maximalBytes: configuration.spool.maximalBytes)
        } catch SpoolFailure.otherEdge {
            throw .spoolOfAnotherEdge
        } catch {
            throw .spoolUnusable(reason: "\(error)")
        }
        var epoch: Int64?
        if known == nil {
            do { epoch = try await configuration.allotEpoch() } catch { throw .noEpoch(reason: "\(error)") }
        }
        do { return try await spool.open(newEpoch: epoch) } catch { throw .spoolUnusable(reason: "\(error)") }
    }

    /// The port that rigs with TLS are listened for on; nil before the start and without TLS.
    public var tlsPort: Int? { boundTLSPort.withLockedValue { $0 } }

    private func listen() async throws(EdgeError) -> Int {
        let plain = try await bind(port: configuration.port, usesTLS: false)
        var listeners = [plain]
        if let tls = configuration.tls {
            do throws(EdgeError) {
                let channel = try await bind(port: tls.port, usesTLS: true)
                listeners.append(channel)
                boundTLSPort.withLockedValue { $0 = channel.localAddress?.port ?? tls.port }
            } catch {
                try? await plain.close()
                throw error
            }
        }
        let (core, all) = (core, listeners)
        try? await loop.submit { core.value.started(all) }.get()
        return plain.localAddress?.port ?? configuration.port
    }

    private func bind(port: Int, usesTLS: Bool) async throws(EdgeError) -> any Channel {
        let core = core
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childLiveness(.miners)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 32 * 1024, high: 128 * 1024))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try core.value.arrived(channel, usesTLS: usesTLS) }
            }
        do {
            return try await bootstrap.bind(host: configuration.host, port: port).get()
        } catch {
            throw .cannotListen(host: configuration.host, port: port, reason: Edge.reason(error))
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        return String(cString: strerror(error.errnoCode))
    }

    /// Seals and ships side by side until cancelled.
    private func work() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.sealForever() }
            group.addTask { await self.shipper.shipForever() }
            group.addTask { await self.watchCertificates() }
        }
    }

    /// Looks every few seconds whether the certificate's files have changed.
    private func watchCertificates() async {
        guard let certificates else { return }
        while !Task.isCancelled {
            do { try await Task.sleep(for: .microseconds(configuration.certificateCheck.microseconds)) } catch { return }
            guard let outcome = try? await resolving.runIfActive({ certificates.reloadIfChanged() }) else { return }
            switch outcome {
            case .unchanged: break
            case .reloaded: logger.notice("the certificate for rigs has been read again")
            case .failed(let reason): logger.error("the changed certificate for rigs is not used: \(reason)")
            }
        }
    }

    private func sealForever() async {
        var sinceHeartbeat = Interval.zero
        let times = configuration.spool
        while !Task.isCancelled {
            do { try await Task.sleep(for: .microseconds(times.sealing.microseconds)) } catch { return }
            sinceHeartbeat = Interval(microseconds: sinceHeartbeat.microseconds + times.sealing.microseconds)
            let isDue = sinceHeartbeat >= times.heartbeat
            if isDue { sinceHeartbeat = .zero }
            if await seal(heartbeat: isDue) { sinceHeartbeat = .zero }
        }
    }

    /// True when a batch was made.
    private func seal(heartbeat: Bool) async -> Bool {
        let core = core
        do {
            let made = try await loop.flatSubmit { core.value.seal(heartbeat: heartbeat) }.get()
            if made { shipper.wake() }
            return made
        } catch {
            logger.error("spool: cannot seal: \(error)")
            return false
        }
    }

    private func drain() async {
        let core = core
        try? await loop.submit { core.value.beginStop() }.get()
        let deadline = ContinuousClock.now + .microseconds(configuration.spool.stopping.microseconds)
        await waitUntil(deadline) { !core.value.hasForwards && core.value.farmLogins.isQuiet }
        try? await loop.submit { core.value.endStop() }.get()
        await waitUntil(deadline) { core.value.feed.isQuiet }
        _ = await seal(heartbeat: true)
        await shipper.shipRest(until: ContinuousClock.now + .microseconds(configuration.spool.stopping.microseconds))
    }

    /// Looks on the loop every few milliseconds.
    private func waitUntil(_ deadline: ContinuousClock.Instant, _ isDone: @escaping @Sendable () -> Bool) async {
        while ContinuousClock.now < deadline {
            if (try? await loop.submit { isDone() }.get()) ?? true { return }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return }
        }
    }

    private func closeAll() async {
        await spool.stop()
        try? await resolving.shutdownGracefully()
        try? await group.shutdownGracefully()
    }

    // MARK: routes

    /// Takes routes, in any order and from any thread; older ones than those known are ignored.
    public func apply(_ updates: [RouteUpdate]) {
        let core = core
        loop.execute { core.value.apply(updates) }
    }

    /// Billable work of running deliveries that the database has, after a restart. What the spool still holds is added.
    public func restore(_ credits: [DeliveryID: Work]) {
        let core = core
        loop.execute { core.value.restore(credits) }
    }

    /// Work of deliveries that is in the database, by whatever edge; what is known to be more stays.
    public func raiseCredits(_ credits: [DeliveryID: Work]) {
        let core = core
        loop.execute { core.value.raiseCredits(credits) }
    }

    /// Whether sold rigs work for their buyers. While they do not, they work for their fallback pools.
    public func setSelling(_ isSelling: Bool) {
        let core = core
        loop.execute { core.value.setSelling(isSelling) }
    }

    /// Sealed batches that wait to be shipped; 0 once the edge has stopped.
    public func backlog() async -> Int { (try? await spool.waitingBatches()) ?? 0 }

    public func snapshot() async -> EdgeSnapshot? {
        let core = core
        return try? await loop.submit { core.value.snapshot() }.get()
    }
}
