#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore
import NIOPosix
import NIOSSL
import Stratum
import Units

/// Why a pool connection ended. Safe to show.
enum LinkEnd: Hashable, CustomStringConvertible {
    case badAddress(String)
    case unresolved(ResolutionFailure)
    case notConnected(String)
    case tls(TLSFailure)
    case session(String)
    case closedByPool
    case closedByUs

    var description: String {
        switch self {
        case .badAddress(let why): "address: \(why)"
        case .unresolved(let failure): "address: \(failure)"
        case .notConnected(let why): "cannot connect: \(why)"
        case .tls(let failure): "TLS: \(failure)"
        case .session(let why): why
        case .closedByPool: "closed by the pool"
        case .closedByUs: "closed"
        }
    }
}

protocol PoolLinkOwner: AnyObject {
    func linkResolved(_ link: PoolLink, address: SocketAddress)
    func linkConnected(_ link: PoolLink)
    /// The TLS handshake went well; only of pools with TLS.
    func linkSecured(_ link: PoolLink)
    func link(_ link: PoolLink, event: PoolSession.Event)
    /// Shares whose answers are overdue.
    func link(_ link: PoolLink, expired tags: [UInt64])
    /// Called once; `lost` are shares without an answer.
    func link(_ link: PoolLink, ended end: LinkEnd, lost: [UInt64])
}

/// What links need of their surroundings.
struct LinkEnvironment {
    let loop: any EventLoop
    let resolver: AddressResolver
    let trust: PoolTrust
    let flushes: FlushQueue
    let now: () -> Timestamp
    let connectTimeout: Interval
    let outputLimit: Int
}

/// One connection to a pool: resolving, connecting, lines, timers. What it means is its owner's affair.
///
/// Lives on the event loop. Ends by telling its owner once.
final class PoolLink: LineReceiver {
    private let environment: LinkEnvironment
    private let lineLimit: Int
    private var session: PoolSession
    private var output: LineOutput?
    private var channel: (any Channel)?
    /// Until it has been told of the end.
    private var owner: (any PoolLinkOwner)?
    /// The name it is connected by.
    private(set) var host = ""
    private var budget = LineBudget.pools
    private var hasSpoken = false
    private var hasEnded = false
    private var endReason: LinkEnd?

    init(_ configuration: PoolSession.Configuration, environment: LinkEnvironment, owner: any PoolLinkOwner) {
        session = PoolSession(configuration)
        lineLimit = configuration.lineLimit
        self.environment = environment
        self.owner = owner
    }

    var isReady: Bool { session.isReady }
    var outstandingCount: Int { session.outstandingCount }
    var versionMask: UInt32 { session.versionMask }
    var extranonce1: [UInt8]? { session.extranonce1 }
    var extranonce2Size: Int? { session.extranonce2Size }
    var difficulty: DecimalDifficulty { session.difficulty }

    /// Starts to resolve and connect.
    ///
    /// - Parameters:
    ///   - port: instead of the one in the address
    ///   - attempt: chooses among several addresses
    func open(url: String, port: Int? = nil, attempt: Int) {
        var address: PoolAddress
        do throws(PoolAddress.ParseError) {
            address = try PoolAddress(parsing: url)
        } catch {
            return end(.badAddress(error.description))
        }
        if let port { address.port = port }
        host = address.host
        environment.resolver.resolve(address, on: environment.loop).assumeIsolated().whenComplete { result in
            switch result {
            case .success(.success(let addresses)): self.prepare(address, addresses[attempt % addresses.count])
            case .success(.failure(let failure)): self.end(.unresolved(failure))
            case .failure: self.end(.unresolved(.unknownHost))
            }
        }
    }

    /// Reads whom to trust where that is needed, then connects.
    private func prepare(_ pool: PoolAddress, _ address: SocketAddress) {
        guard !hasEnded else { return }
        owner?.linkResolved(self, address: address)
        guard pool.usesTLS else { return connect(address, host: pool.host, nil) }
        let trust = environment.trust
        environment.resolver.threads.runIfActive(eventLoop: environment.loop) { () -> NIOSSLContext? in
            do throws(TLSFailure) { return try trust.context() } catch { return nil }
        }.assumeIsolated().whenComplete { result in
            guard case .success(let context?) = result else { return self.end(.tls(.noTrust)) }
            self.connect(address, host: pool.host, context)
        }
    }

    private func connect(_ address: SocketAddress, host: String, _ context: NIOSSLContext?) {
        guard !hasEnded else { return }
        ClientBootstrap(group: environment.loop)
            .connectTimeout(.microseconds(environment.connectTimeout.microseconds))
            .liveness(.pools)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context { try TLSHandshake.add(to: channel, context: context, host: host) }
                }
            }
            .connect(to: address).assumeIsolated().whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel, isSecure: context != nil)
                case .failure(let error): self.end(.notConnected(PoolLink.reason(error)))
                }
            }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case is ChannelError: "timed out"
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError: "error \(error.errnoCode)"
        default: "failed"
        }
    }

    /// Goes on when TLS, if any, is there.
    private func connected(_ channel: any Channel, isSecure: Bool) {
        guard !hasEnded else { return channel.close(promise: nil) }
        owner?.linkConnected(self)
        guard isSecure else { return begin(channel) }
        guard let handshake = try? channel.pipeline.syncOperations.handler(type: TLSHandshake.self) else {
            channel.close(promise: nil)
            return end(.tls(.closed))
        }
        self.channel = channel
        let timeout = TimeAmount.microseconds(environment.connectTimeout.microseconds)
        let timer = environment.loop.assumeIsolated().scheduleTask(in: timeout) { self.end(.tls(.timedOut)) }
        handshake.whenDone { result in
            timer.cancel()
            switch result {
            case .success:
                self.owner?.linkSecured(self)
                self.begin(channel)
            case .failure(let failure): self.end(.tls(failure))
            }
        }
    }

    private func begin(_ channel: any Channel) {
        guard !hasEnded else { return channel.close(promise: nil) }
        let output = LineOutput(channel: channel, queue: environment.flushes, limit: environment.outputLimit)
        let handler = LineHandler(limit: lineLimit, receiver: self, output: output)
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            channel.close(promise: nil)
            return end(.notConnected("failed"))
        }
        self.output = output
        self.channel = channel
        guard channel.isActive else { return end(.closedByPool) }
        output.send(session.start(at: environment.now()))
        output.flush()
    }

    // MARK: lines

    func received(line: UnsafeRawBufferPointer) {
        guard !hasEnded else { return }
        let now = environment.now()
        let event = session.receive(line, at: now)
        hasSpoken = true
        guard event.isAnswerToShare || budget.take(now: now) else { return end(.session("too many lines")) }
        handle(event)
    }

    /// Whether anything has been heard since this was asked last.
    func takeHasSpoken() -> Bool {
        defer { hasSpoken = false }
        return hasSpoken
    }

    func lineTooLong() { handle(session.lineTooLong()) }

    func disconnected() { end(endReason ?? .closedByPool) }

    private func handle(_ event: PoolSession.Event) {
        switch event {
        case .none: return
        case .send(let bytes): output?.send(bytes)
        case .subscribed(_, _, let bytes): output?.send(bytes)
        case .close(let reason): return end(.session(reason.description))
        case .refused(let user, let error):
            owner?.link(self, event: .refused(user: user, error))
            return end(.session("login refused: \(error.text)"))
        case .ready, .authorized, .versionMask, .difficulty, .job, .extranonce, .reconnect, .message, .answered,
            .malformed:
            break
        }
        owner?.link(self, event: event)
    }

    /// Sends a share; false when the session cannot take it.
    func submit(_ share: Submission, tag: UInt64) -> Bool {
        guard !hasEnded, let output else { return false }
        do throws(PoolSession.SubmitRefusal) {
            output.send(try session.submit(share, tag: tag, at: environment.now()))
            return true
        } catch {
            return false
        }
    }

    func suggest(_ difficulty: DecimalDifficulty) { output?.send(session.suggest(difficulty)) }

    /// To be called about once a second.
    func tick() {
        guard !hasEnded else { return }
        switch session.timeout(at: environment.now()) {
        case .none: break
        case .expired(let tags): owner?.link(self, expired: tags)
        case .close(let reason): end(.session(reason.description))
        }
    }

    func close(_ reason: LinkEnd = .closedByUs) { end(reason) }

    private func end(_ reason: LinkEnd) {
        guard !hasEnded else { return }
        hasEnded = true
        if let output { output.close() } else { channel?.close(promise: nil) }
        let lost = session.disconnected()
        let owner = owner
        self.owner = nil
        owner?.link(self, ended: reason, lost: lost)
    }
}

extension PoolSession.Event {
    /// One that we asked for: there are as many as shares.
    fileprivate var isAnswerToShare: Bool {
        if case .answered = self { return true }
        return false
    }
}
