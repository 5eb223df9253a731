import Logging
import NIOCore
import Stratum
import StratumLines
import Units

/// Carries a ``PoolSession`` on a channel: lines in, actions out, one timer.
final class PoolConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: MinerCore
    private var session: PoolSession
    private var timer: Scheduled<Void>?
    private var nextTag: UInt64 = 0
    /// Work units of the shares without an answer; as many as the session lets be outstanding.
    private var sent: [UInt64: Int64] = [:]
    /// Shares of assignments below this are for jobs that a clean job replaced.
    private var firstLiveGeneration: UInt64 = 0

    init(core: MinerCore) {
        self.core = core
        session = PoolSession(core.configuration.session)
    }

    private var now: Timestamp { Timestamp(microseconds: Int64(NIODeadline.now().uptimeNanoseconds / 1000)) }

    func channelActive(context: ChannelHandlerContext) {
        core.update { $0.connects += 1 }
        core.logger.info("connected", metadata: ["pool": "\(core.configuration.pool)"])
        write(session.start(at: now), context)
        schedule(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let line = unwrapInboundIn(data)
        let event = line.withUnsafeReadableBytes { session.receive($0, at: now) }
        handle(event, context)
        schedule(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        core.logger.warning("connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        core.board.clear()
        let lost = session.disconnected().count
        core.update { $0.unanswered += lost }
        core.logger.info("disconnected", metadata: ["unanswered": "\(lost)"])
        context.fireChannelInactive()
    }

    private func handle(_ event: PoolSession.Event, _ context: ChannelHandlerContext) {
        switch event {
        case .none: break
        case .send(let bytes): write(bytes, context)
        case .subscribed(let extranonce1, let size, let bytes):
            core.logger.info(
                "subscribed", metadata: ["extranonce1": "\(hex(extranonce1))", "extranonce2_size": "\(size)"])
            write(bytes, context)
        case .ready:
            core.becameReady()
            core.logger.info("authorized", metadata: ["user": "\(core.configuration.user)"])
        case .authorized: break
        case .refused(let user, let error):
            core.logger.error("refused", metadata: ["user": "\(user)", "error": "\(error)"])
            context.close(promise: nil)
        case .versionMask(let mask): core.logger.info("version mask", metadata: ["mask": "\(hex(mask))"])
        case .difficulty(let difficulty):
            core.logger.info("difficulty", metadata: ["difficulty": "\(difficulty)"])
        case .job(let job): start(job, context)
        case .extranonce(let extranonce1, let size):
            core.logger.info(
                "new extranonce", metadata: ["extranonce1": "\(hex(extranonce1))", "extranonce2_size": "\(size)"])
        case .reconnect(let host, let port, _): reconnect(host, port, context)
        case .message(let text): core.logger.notice("message from the pool", metadata: ["text": "\(text)"])
        case .answered(let tag, let answer): answered(tag, answer)
        case .malformed(let error): core.logger.warning("malformed line", metadata: ["error": "\(error)"])
        case .close(let reason):
            core.logger.warning("closing", metadata: ["reason": "\(reason)"])
            context.close(promise: nil)
        }
    }

    private func start(_ job: PoolJob, _ context: ChannelHandlerContext) {
        let me = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let generation = core.board.post(job) { share in
            loop.execute { me.value.0.submit(share, me.value.1) }
        }
        if job.job.cleanJobs { firstLiveGeneration = generation }
        core.update { $0.jobs += 1 }
        core.logger.debug(
            "job", metadata: ["job": "\(job.job.id)", "clean": "\(job.job.cleanJobs)", "difficulty": "\(job.difficulty)"])
    }

    private func submit(_ share: FoundShare, _ context: ChannelHandlerContext) {
        guard share.generation >= firstLiveGeneration, session.isReady, context.channel.isActive else {
            return core.update { $0.dropped += 1 }
        }
        let submission = Submission(
            worker: core.configuration.user, jobID: share.job.job.id, extranonce2: share.extranonce2,
            ntime: share.job.job.ntime, nonce: share.nonce, versionBits: share.versionBits)
        nextTag += 1
        do throws(PoolSession.SubmitRefusal) {
            write(try session.submit(submission, tag: nextTag, at: now), context)
            sent[nextTag] = core.configuration.algorithm.wholeUnits(of: share.job.difficulty)
            schedule(context)
        } catch {
            core.update { $0.dropped += 1 }
        }
    }

    private func answered(_ tag: UInt64, _ answer: PoolSession.SubmitAnswer) {
        let units = sent.removeValue(forKey: tag) ?? 0
        switch answer {
        case .accepted:
            core.update {
                $0.accepted += 1
                $0.acceptedUnits += units
            }
            core.logger.info("accepted", metadata: ["units": "\(units)"])
        case .rejected(let error):
            core.update { $0.rejected[error.code, default: 0] += 1 }
            core.logger.warning("rejected", metadata: ["code": "\(error.code)", "text": "\(error.text)"])
        }
    }

    /// Dials again when the pool asks for it, but never another host: pools have no say in where a rig works.
    private func reconnect(_ host: String?, _ port: Int?, _ context: ChannelHandlerContext) {
        let pool = core.configuration.pool
        guard host == nil || host == pool.host, port == nil || port == pool.port else {
            core.logger.warning("reconnect elsewhere ignored", metadata: ["host": "\(host ?? "")"])
            return
        }
        core.logger.info("reconnecting, as the pool asks")
        context.close(promise: nil)
    }

    // MARK: time and bytes

    private func schedule(_ context: ChannelHandlerContext) {
        timer?.cancel()
        guard let deadline = session.deadline else { return }
        let me = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let wait = max(0, (deadline - now).microseconds)
        timer = context.eventLoop.scheduleTask(in: .microseconds(wait)) { me.value.0.timeout(me.value.1) }
    }

    private func timeout(_ context: ChannelHandlerContext) {
        switch session.timeout(at: now) {
        case .none: break
        case .expired(let tags):
            for tag in tags { sent[tag] = nil }
            core.update { $0.unanswered += tags.count }
        case .close(let reason):
            core.logger.warning("closing", metadata: ["reason": "\(reason)"])
            context.close(promise: nil)
            return
        }
        schedule(context)
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func hex(_ word: UInt32) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
