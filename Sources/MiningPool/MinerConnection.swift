import Logging
import NIOCore
import ProofOfWork
import Stratum
import Units

/// Carries a ``MinerSession`` on a channel of the pool's event loop.
final class MinerConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: PoolCore
    private var session: MinerSession
    private var number: UInt64?
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var extranonce1: [UInt8] = []
    private var difficulty: DecimalDifficulty
    /// The difficulty as the miner knows it.
    private var announced: DecimalDifficulty?
    private var issued: [String: IssuedJob] = [:]
    private var issuedOrder: [String] = []

    init(core: PoolCore) {
        self.core = core
        difficulty = core.difficulty
        var configuration = MinerSession.Configuration()
        configuration.versionMask = core.configuration.versionMask
        session = MinerSession(configuration, connectedAt: MinerConnection.now)
    }

    private static var now: Timestamp { Timestamp(microseconds: Int64(NIODeadline.now().uptimeNanoseconds / 1000)) }

    // MARK: channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        number = core.add(self)
        guard number != nil else { return context.close(promise: nil) }
        guard let deadline = session.deadline else { return }
        let me = NIOLoopBound(self, eventLoop: context.eventLoop)
        let wait = TimeAmount.microseconds((deadline - MinerConnection.now).microseconds)
        timer = context.eventLoop.scheduleTask(in: wait) {
            me.value.perform(me.value.session.timeout(at: MinerConnection.now))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if let number { core.remove(number) }
        self.context = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !core.isSilent else { return }
        perform(unwrapInboundIn(data).withUnsafeReadableBytes { session.receive($0) })
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        core.logger.debug("miner's connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    private func write(_ bytes: [UInt8]) {
        guard let context, !core.isSilent, !bytes.isEmpty else { return }
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }

    func close() { context?.close(promise: nil) }

    // MARK: the session's actions

    private func perform(_ action: MinerSession.Action) {
        switch action {
        case .none: break
        case .reply(let bytes), .configured(_, let bytes), .subscribesExtranonce(let bytes), .malformed(_, let bytes):
            write(bytes)
        case .subscribe(let id, _): subscribe(id)
        case .authorize(let id, let login): authorize(id, login)
        case .submit(let id, let share):
            let refusal = core.judge(share, issued: issued[share.jobID], mask: session.versionMask)
            write(session.answer(id, refusal: refusal))
        case .suggestDifficulty(let wish, let bytes):
            write(bytes)
            if core.configuration.obeysSuggestions { difficulty = wish }
        case .close(_, let bytes):
            write(bytes)
            close()
        }
    }

    private func subscribe(_ id: MessageID) {
        extranonce1 = core.takeExtranonce1()
        write(
            session.accept(
                subscribe: id, extranonce1: extranonce1, extranonce2Size: core.configuration.extranonce2Size,
                sessionID: String(number ?? 0, radix: 16)))
        if let job = core.latestJob { send(job) }
    }

    private func authorize(_ id: MessageID, _ login: MinerSession.Login) {
        guard !login.user.isEmpty, core.hasRoom(for: login.user) else {
            return write(session.refuse(id, .unauthorized))
        }
        write(session.accept(authorize: id, login))
    }

    // MARK: what the pool sends

    /// Sends a job, and the difficulty first when it is another one; nothing before the subscription.
    func send(_ job: Job) {
        guard let size = session.extranonce2Size, !core.isSilent else { return }
        var bytes: [UInt8] = []
        if announced != difficulty {
            Line.append(setDifficulty: difficulty, to: &bytes)
            announced = difficulty
        }
        Line.append(notify: job, to: &bytes)
        remember(
            IssuedJob(
                job: job,
                template: WorkTemplate(
                    coinb1: job.coinb1, coinb2: job.coinb2, branches: job.branches, version: job.version,
                    previousBlock: job.previousBlock, nbits: job.nbits),
                target: core.configuration.algorithm.target(of: difficulty), difficulty: difficulty,
                extranonce1: extranonce1, extranonce2Size: size))
        write(bytes)
    }

    private func remember(_ job: IssuedJob) {
        issued[job.job.id] = job
        issuedOrder.append(job.job.id)
        if issuedOrder.count > PoolCore.maximalLiveJobs { issued[issuedOrder.removeFirst()] = nil }
    }

    func forgetJobs() {
        issued = [:]
        issuedOrder = []
    }

    func set(_ difficulty: DecimalDifficulty) { self.difficulty = difficulty }

    /// Only for miners that asked for it.
    func changeExtranonce() {
        guard session.subscribesExtranonce, let size = session.extranonce2Size else { return }
        extranonce1 = core.takeExtranonce1()
        write(session.setExtranonce(extranonce1: extranonce1, extranonce2Size: size))
    }

    func askToReconnect(host: String?, port: Int) {
        write(host.map { Line.reconnect(host: $0, port: port, wait: 0) } ?? Line.reconnect())
    }
}
