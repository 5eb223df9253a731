import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ProofOfWork
import Stratum
import StratumProxy
import TestSupport
import Units

/// A rig that does what a test tells it, over one TCP connection, with real proof of work.
actor RigClient {
    /// A share that it found.
    struct Found {
        var submission: Submission
        var hash: Hash256
    }

    private final class Lines: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let received = NIOLockedValueBox<(bytes: [UInt8], isClosed: Bool)>(([], false))

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            received.withLockedValue { $0.bytes.append(contentsOf: bytes.readableBytesView) }
        }

        func channelInactive(context: ChannelHandlerContext) { received.withLockedValue { $0.isClosed = true } }
    }

    private let channel: any Channel
    private let lines: Lines
    private var session: PoolSession
    private let user: String
    /// Every line the edge sent.
    private(set) var log: [String] = []
    private(set) var jobs: [PoolJob] = []
    private(set) var answers: [UInt64: PoolSession.SubmitAnswer] = [:]
    private(set) var isReady = false
    private(set) var refusal: StratumError?
    private var nextTag: UInt64 = 1

    init(
        port: Int, user: String, password: String = "x", versionMask: UInt32 = 0, takesExtranonce: Bool = false,
        resuming name: String? = nil
    ) async throws {
        let lines = Lines()
        self.lines = lines
        self.user = user
        var configuration = PoolSession.Configuration(user: user, password: password)
        configuration.versionMask = versionMask
        configuration.subscribesExtranonce = takesExtranonce
        configuration.userAgent = "rig/1"
        session = PoolSession(configuration)
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(lines) }
            }
            .connect(host: "127.0.0.1", port: port).get()
        var start = String(decoding: session.start(at: SystemClock().now()), as: UTF8.self)
        if let name { start = start.replacing("[\"rig/1\"]", with: "[\"rig/1\",\"\(name)\"]") }
        try await sendRaw(start)
    }

    private func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    func sendRaw(_ text: String) async throws { try await send(Array(text.utf8)) }

    var isClosed: Bool { lines.received.withLockedValue { $0.isClosed } }

    /// What the edge calls its session.
    var sessionName: String? {
        for line in log {
            guard let start = line.firstRange(of: "\"mining.notify\",\"")?.upperBound else { continue }
            return String(line[start...].prefix { $0 != "\"" })
        }
        return nil
    }

    /// Asks something and waits for the answer's line.
    func ask(_ method: String, _ parameters: String, id: Int) async throws -> String {
        try await sendRaw("{\"id\":\(id),\"method\":\"\(method)\",\"params\":\(parameters)}\n")
        let start = "{\"id\":\(id),\"result\""
        try await waitFor("answer \(id)") { $0.log.contains { $0.hasPrefix(start) } }
        return log.last { $0.hasPrefix(start) } ?? ""
    }

    func close() async throws { try? await channel.close() }

    /// Takes in what has come.
    func poll() async throws {
        let bytes = lines.received.withLockedValue { received -> [UInt8] in
            guard let end = received.bytes.lastIndex(of: 10) else { return [] }
            defer { received.bytes.removeSubrange(...end) }
            return Array(received.bytes[...end])
        }
        for line in bytes.split(separator: 10) { try await take(Array(line)) }
    }

    private func take(_ line: [UInt8]) async throws {
        log.append(String(decoding: line, as: UTF8.self))
        switch session.receive(line, at: SystemClock().now()) {
        case .send(let bytes), .subscribed(_, _, let bytes): try await send(bytes)
        case .ready: isReady = true
        case .refused(_, let error): refusal = error
        case .job(let job): jobs.append(job)
        case .answered(let tag, let answer): answers[tag] = answer
        case .none, .authorized, .versionMask, .difficulty, .extranonce, .reconnect, .message, .malformed, .close: break
        }
    }

    func waitFor(_ what: String, within seconds: Double = 15, _ condition: @Sendable (isolated RigClient) -> Bool) async throws {
        let deadline = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
        while true {
            try await poll()
            if condition(self) { return }
            guard ContinuousClock.now < deadline else { throw TimedOut(what: what) }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits for the next job after `count`.
    @discardableResult
    func job(after count: Int) async throws -> PoolJob {
        try await waitFor("job \(count + 1)") { $0.jobs.count > count }
        return jobs[jobs.count - 1]
    }

    /// The first shares of a job, searching as firmware does: extranonce2 from zero, nonces from zero.
    func mine(_ job: PoolJob, count: Int = 1, skipping: Int = 0, difficulty: ShareDifficulty? = nil) -> [Found] {
        let target = difficulty?.target ?? job.difficulty.target
        let template = WorkTemplate(
            coinb1: job.job.coinb1, coinb2: job.job.coinb2, branches: job.job.branches, version: job.job.version,
            previousBlock: job.job.previousBlock, nbits: job.job.nbits)
        var found: [Found] = []
        var extranonce2: UInt32 = 0
        while found.count < count + skipping {
            let size = job.extranonce2Size
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: extranonce2 >> UInt32(8 * (size - 1 - $0))) }
            let header = template.header(
                extranonce1: job.extranonce1, extranonce2: bytes, ntime: job.job.ntime, nonce: 0, version: job.job.version)
            let scanner = NonceScanner(header: header, target: target)
            var tried: UInt64 = 0
            while tried < 1 << 32, found.count < count + skipping {
                let part = scanner.scan(from: UInt32(tried), count: min(1 << 22, (1 << 32) - tried))
                tried += part.tried
                for nonce in part.found {
                    found.append(Found(
                        submission: Submission(
                            worker: user, jobID: job.job.id, extranonce2: bytes, ntime: job.job.ntime, nonce: nonce),
                        hash: scanner.hash(nonce: nonce)))
                }
            }
            extranonce2 += 1
        }
        return Array(found[skipping..<skipping + count])
    }

    /// Submits and returns the tag that the answer will have.
    func submit(_ submission: Submission) async throws -> UInt64 {
        let tag = nextTag
        nextTag += 1
        try await send(session.submit(submission, tag: tag, at: SystemClock().now()))
        return tag
    }

    func answer(_ tag: UInt64) async throws -> PoolSession.SubmitAnswer? {
        try await waitFor("answer \(tag)") { $0.answers[tag] != nil }
        return answers[tag]
    }

    /// Submits and waits for the answer; nil when accepted, else the error's code.
    func tell(_ submission: Submission) async throws -> Int? {
        switch try await answer(try await submit(submission)) {
        case .accepted: return nil
        case .rejected(let error): return error.code
        case nil: return -1
        }
    }

    /// Finds shares of a job and has them accepted.
    func deliver(_ job: PoolJob, count: Int = 1, skipping: Int = 0) async throws -> [Int?] {
        var codes: [Int?] = []
        for found in mine(job, count: count, skipping: skipping) { codes.append(try await tell(found.submission)) }
        return codes
    }
}
