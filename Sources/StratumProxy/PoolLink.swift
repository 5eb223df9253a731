#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore
import NIOPosix
import Stratum
import Units

/// Why a pool connection ended. Safe to show.
enum LinkEnd: Hashable, CustomStringConvertible {
    case badAddress(String)
    case unresolved(ResolutionFailure)
    case notConnected(String)
    case session(String)
    case closedByPool
    case closedByUs

    var description: String {
        switch self {
        case .badAddress(let why): "address: \(why)"
        case .unresolved(let failure): "address: \(failure)"
        case .notConnected(let why): "cannot connect: \(why)"
        case .session(let why): why
        case .closedByPool: "closed by the pool"
        case .closedByUs: "closed"
        }
    }
}

protocol PoolLinkOwner: AnyObject {
    func linkResolved(_ link: PoolLink, address: SocketAddress)
    func linkConnected(_ link: PoolLink)
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

    /// Starts to resolve and connect. `attempt` chooses among several addresses.
    func open(url: String, attempt: Int) {
        let address: PoolAddress
        do throws(PoolAddress.ParseError) {
            address = try PoolAddress(parsing: url)
        } catch {
            return end(.badAddress(error.description))
        }
        environment.resolver.resolve(address, on: environment.loop).assumeIsolated().whenComplete { result in
            switch result {
            case .success(.success(let addresses)): self.connect(addresses[attempt % addresses.count])
            case .success(.failure(let failure)): self.end(.unresolved(failure))
            case .failure: self.end(.unresolved(.unknownHost))
            }
        }
    }

    private func connect(_ address: SocketAddress) {
        guard !hasEnded else { return }
        owner?.linkResolved(self, address: address)
        ClientBootstrap(group: environment.loop)
            .connectTimeout(.microseconds(environment.connectTimeout.microseconds))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(to: address).assumeIsolated().whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel)
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

    private func connected(_ channel: any Channel) {
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
        owner?.linkConnected(self)
        guard channel.isActive else { return end(.closedByPool) }
        output.send(session.start(at: environment.now()))
        output.flush()
    }

    // MARK: lines

    func received(line: UnsafeRawBufferPointer) {
        guard !hasEnded else { return }
        handle(session.receive(line, at: environment.now()))
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
        output?.close()
        let lost = session.disconnected()
        let owner = owner
        self.owner = nil
        owner?.link(self, ended: reason, lost: lost)
    }
}
