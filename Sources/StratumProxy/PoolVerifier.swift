import NIOCore
import NIOPosix
import Stratum
import Units

/// Tries a pool out as an edge would use it, before an order may name it.
public struct PoolVerifier: Sendable {
    public init() {}

    /// Opens two connections, one after the other, each for no longer than the policy's timeout. The password is neither
    /// logged nor reported.
    public func verify(
        url: String, user: String, password: String, policy: VerificationPolicy
    ) async -> VerificationReport {
        let first = await probe(url: url, user: user, password: password, policy: policy)
        var report = VerificationReport()
        guard report.add(first, policy: policy), let job = first.job else { return report }
        let second = await probe(url: url, user: user, password: password, policy: policy)
        let isUnique = second.extranonce1 != nil && second.extranonce1 != first.extranonce1
        if second.extranonce1 == nil {
            report.add(.secondConnection, true, "no second connection: only one will be used")
        } else {
            report.add(
                .secondConnection, true,
                isUnique ? "another extranonce1" : "the same extranonce1: only one connection will be used")
        }
        report.capabilities = PoolCapabilities(
            extranonce2Size: job.extranonce2Size, versionMask: job.versionMask, difficulty: job.difficulty,
            uniqueExtranonce1: isUnique)
        return report
    }

    private func probe(url: String, user: String, password: String, policy: VerificationPolicy) async -> ProbeFacts {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let future = loop.flatSubmit {
            let promise = loop.makePromise(of: ProbeFacts.self)
            var configuration = PoolSession.Configuration(user: user, password: password)
            configuration.handshakeTimeout = policy.timeout
            configuration.subscribesExtranonce = false
            let probe = PoolProbe(promise, loop: loop)
            probe.start(configuration, url: url, policy: policy)
            return promise.futureResult
        }
        return (try? await future.get()) ?? ProbeFacts()
    }
}

/// What one connection to a pool came to.
struct ProbeFacts: Sendable {
    var address: String?
    var isConnected = false
    var usesTLS = false
    var isSecured = false
    var extranonce1: [UInt8]?
    var isAuthorized = false
    var refusal: String?
    /// The first thing it sent that could not be used.
    var malformed: String?
    var job: PoolJob?
    var end: LinkEnd?
}

/// One connection of a verification; keeps itself alive until it has told what it found.
private final class PoolProbe: PoolLinkOwner {
    private let promise: EventLoopPromise<ProbeFacts>
    private let loop: any EventLoop
    private let clock = SystemClock()
    private var link: PoolLink?
    private var facts = ProbeFacts()
    private var isDone = false

    init(_ promise: EventLoopPromise<ProbeFacts>, loop: any EventLoop) {
        self.promise = promise
        self.loop = loop
    }

    func start(_ configuration: PoolSession.Configuration, url: String, policy: VerificationPolicy) {
        let clock = clock
        let environment = LinkEnvironment(
            loop: loop,
            resolver: AddressResolver(
                threads: .singleton, policy: AddressPolicy(allowsPrivate: policy.allowPrivatePools)),
            trust: policy.trust, flushes: FlushQueue(loop: loop), now: { clock.now() }, connectTimeout: policy.timeout,
            outputLimit: 64 * 1024)
        facts.usesTLS = (try? PoolAddress(parsing: url))?.usesTLS ?? false
        let link = PoolLink(configuration, environment: environment, owner: self)
        self.link = link
        link.open(url: url, attempt: 0)
        loop.assumeIsolated().scheduleTask(in: .microseconds(policy.timeout.microseconds)) { self.finish() }
    }

    private func finish() {
        guard !isDone else { return }
        isDone = true
        promise.succeed(facts)
        link?.close()
        link = nil
    }

    func linkResolved(_ link: PoolLink, address: SocketAddress) { facts.address = address.ipAddress ?? "" }
    func linkConnected(_ link: PoolLink) { facts.isConnected = true }
    func linkSecured(_ link: PoolLink) { facts.isSecured = true }

    func link(_ link: PoolLink, event: PoolSession.Event) {
        switch event {
        case .subscribed(let extranonce1, _, _): facts.extranonce1 = extranonce1
        case .ready: facts.isAuthorized = true
        case .refused(_, let error): facts.refusal = error.text
        case .job(let job): facts.job = job
        case .malformed(let error): facts.malformed = facts.malformed ?? "\(error)"
        case .none, .send, .authorized, .versionMask, .difficulty, .extranonce, .reconnect, .message, .answered, .close:
            break
        }
        if facts.isAuthorized, facts.job != nil { finish() }
    }

    func link(_ link: PoolLink, expired tags: [UInt64]) {}

    func link(_ link: PoolLink, ended end: LinkEnd, lost: [UInt64]) {
        if !isDone { facts.end = end }
        finish()
    }
}

extension VerificationReport {
    /// Adds what a first connection showed; false when something failed.
    mutating func add(_ facts: ProbeFacts, policy: VerificationPolicy) -> Bool {
        let why = facts.end?.description ?? facts.malformed.map { "unusable: \($0)" } ?? "no answer in time"
        if case .badAddress(let text)? = facts.end {
            add(.address, false, text)
            return false
        }
        add(.address, true, "well-formed")
        guard let address = facts.address else { return addUnresolved(facts.end) }
        add(.resolve, true, address)
        add(.addressAllowed, true, "a public address, or private ones are allowed")
        add(.connect, facts.isConnected, facts.isConnected ? "connected" : why)
        guard facts.isConnected, addSecurity(facts) else { return false }
        add(.subscribe, facts.extranonce1 != nil, facts.extranonce1 != nil ? "subscribed" : why)
        guard facts.extranonce1 != nil else { return false }
        add(.authorize, facts.isAuthorized, facts.isAuthorized ? "authorized" : facts.refusal ?? why)
        guard facts.isAuthorized else { return false }
        add(.firstJob, facts.job != nil, facts.job != nil ? "received" : why)
        guard let job = facts.job else { return false }
        if let malformed = facts.malformed {
            add(.difficulty, false, "the pool sent something unusable before its first job: \(malformed)")
            return false
        }
        return add(job, policy: policy)
    }

    private mutating func addSecurity(_ facts: ProbeFacts) -> Bool {
        guard facts.usesTLS else {
            add(.tls, true, "plain TCP, as the address says")
            return true
        }
        let why = if case .tls(let failure)? = facts.end { failure } else { TLSFailure.timedOut }
        add(.tls, facts.isSecured, facts.isSecured ? "the certificate is valid for the name" : why.description)
        return facts.isSecured
    }

    private mutating func addUnresolved(_ end: LinkEnd?) -> Bool {
        if case .unresolved(.refused(let text))? = end {
            add(.resolve, true, "resolved")
            add(.addressAllowed, false, text)
        } else {
            add(.resolve, false, "host not found")
        }
        return false
    }

    private mutating func add(_ job: PoolJob, policy: VerificationPolicy) -> Bool {
        let isHighEnough = policy.algorithm.wholeUnits(of: job.difficulty) >= policy.minimumDifficulty.units
        add(
            .difficulty, isHighEnough,
            isHighEnough
                ? "\(job.difficulty)"
                : "\(job.difficulty) is below the market's minimum of \(policy.algorithm.decimal(policy.minimumDifficulty))")
        guard isHighEnough else { return false }
        let layout = ExtranonceLayout.fitting(poolExtranonce2Size: job.extranonce2Size)
        let fits = layout != nil
        let sizes = "\(job.extranonce1.count) + \(job.extranonce2Size) bytes"
        add(
            .extranonceSizes, fits,
            layout == .standard ? sizes
                : fits ? "\(sizes): only for rigs that take mining.set_extranonce"
                : "an extranonce2 of \(job.extranonce2Size) bytes; at least 2 are needed")
        guard fits else { return false }
        let digits = String(job.versionMask, radix: 16)
        add(
            .versionMask, true,
            job.versionMask == 0 ? "no version rolling: only for rigs that do not roll"
                : String(repeating: "0", count: 8 - digits.count) + digits)
        return true
    }
}
