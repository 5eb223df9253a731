import Logging
import Metering
import NIOCore
import Stratum
import Units

/// An answer to a rig that waits until its share is durable.
struct PendingAnswer {
    let miner: MinerConnection
    let id: MessageID
    let refusal: StratumError?
    let forward: ForwardedShare?
}

/// The event loop's side of the spool: collects records while a commit runs, hands them over as soon as it ended, and
/// answers rigs when theirs are durable.
final class SpoolFeed {
    private let spool: SpoolThread
    private let loop: any EventLoop
    private let times: EdgeConfiguration.SpoolTimes
    private let limits: EdgeConfiguration.Limits
    private unowned var core: EdgeCore?

    private var records: [MeterRecord] = []
    private var answers: [PendingAnswer] = []
    private var commitsRunning = 0
    private var answersRunning = 0
    private var isScheduled = false
    private var commits: Int64 = 0

    private(set) var epoch: Int64 = 0
    private var lastShare: Int64 = 0
    private var lastJob: Int64 = 0
    private var sessions: Range<Int64> = 0..<0
    private var isReserving = false
    /// False from a failed commit until one succeeds.
    private(set) var isHealthy = true

    init(spool: SpoolThread, loop: any EventLoop, times: EdgeConfiguration.SpoolTimes, edgeLimits: EdgeConfiguration.Limits) {
        self.spool = spool
        self.loop = loop
        self.times = times
        limits = edgeLimits
    }

    func opened(_ state: SpoolState, core: EdgeCore) {
        self.core = core
        epoch = state.epoch
        lastShare = state.lastShare
        lastJob = state.lastJob
        sessions = state.nextSession..<state.sessionLimit
    }

    var snapshot: SpoolSnapshot {
        SpoolSnapshot(isHealthy: isHealthy, epoch: epoch, waiting: answers.count + answersRunning, commits: commits)
    }

    var hasRoom: Bool { answers.count + answersRunning < limits.sharesWaiting }

    // MARK: numbers

    func nextShare() -> Int64 {
        lastShare += 1
        return lastShare
    }

    func nextJob() -> Int64 {
        lastJob += 1
        return lastJob
    }

    /// epoch << 32 | counter; nil while none can be set aside.
    func nextSession() -> Int64? {
        if sessions.count < SpoolStore.sessionsReserved / 2 { reserve() }
        guard let counter = sessions.first, counter >> 32 == 0 else { return nil }
        sessions = sessions.dropFirst()
        return epoch << 32 | counter
    }

    private func reserve() {
        guard !isReserving else { return }
        isReserving = true
        spool.reserveSessions(on: loop).assumeIsolated().whenComplete { result in
            self.isReserving = false
            if case .success(let limit) = result { self.sessions = self.sessions.lowerBound..<limit }
        }
    }

    // MARK: records

    func add(_ record: MeterRecord) {
        records.append(record)
        schedule()
    }

    func answer(_ answer: PendingAnswer) { answers.append(answer) }

    /// A pool answered a forwarded share; its record follows the share's own.
    func replied(_ share: ForwardedShare) {
        guard share.fate == .kept, let reply = share.reply else { return }
        add(.poolReply(PoolReplyRecord(
            share: share.number, shareReceivedAt: share.receivedAt, rig: share.rig, delivery: share.delivery,
            reply: reply.reply, errorCode: reply.code)))
    }

    private func schedule() {
        guard commitsRunning == 0, !isScheduled else { return }
        isScheduled = true
        loop.assumeIsolated().scheduleTask(in: .microseconds(times.commitDelay.microseconds)) {
            self.isScheduled = false
            if self.commitsRunning == 0, !self.records.isEmpty { self.commit() }
        }
    }

    /// Hands over all there is.
    private func commit() {
        let records = records, answers = answers
        self.records = []
        self.answers = []
        commitsRunning += 1
        answersRunning += answers.count
        spool.commit(records, lastShare: lastShare, lastJob: lastJob, on: loop).assumeIsolated().whenComplete { result in
            self.commitsRunning -= 1
            self.answersRunning -= answers.count
            switch result {
            case .success: self.committed(answers)
            case .failure(let error): self.failed(records, answers, error)
            }
            if self.isHealthy, self.commitsRunning == 0, !self.records.isEmpty { self.commit() }
        }
    }

    private func committed(_ answers: [PendingAnswer]) {
        commits += 1
        for answer in answers {
            answer.miner.send(answer.miner.session.answer(answer.id, refusal: answer.refusal))
            guard let share = answer.forward else { continue }
            share.fate = .kept
            replied(share)
        }
        guard !isHealthy else { return }
        isHealthy = true
        core?.spoolChanged(isHealthy: true)
    }

    private func failed(_ lost: [MeterRecord], _ answers: [PendingAnswer], _ error: any Error) {
        // Pools' replies, whose shares are kept already, and jobs, which are written once, wait for the next commit.
        records.insert(contentsOf: lost.filter { if case .share = $0 { false } else { true } }, at: 0)
        core?.logger.error("spool: \(error)")
        for answer in answers {
            answer.miner.rig?.counts.notKept += 1
            answer.miner.send(answer.miner.session.answer(answer.id, refusal: .other("Share could not be kept")))
            answer.forward?.fate = .lost
        }
        guard isHealthy else { return }
        isHealthy = false
        core?.spoolChanged(isHealthy: false)
    }

    /// Several times a second: a failed spool is tried again even if no share comes.
    func tick() {
        guard !isHealthy, commitsRunning == 0 else { return }
        commit()
    }

    /// Seals what was received until now.
    func seal(until now: Timestamp, isHeartbeat: Bool) -> EventLoopFuture<Bool> {
        if !records.isEmpty { commit() }
        return spool.seal(
            completeUntil: now, isHeartbeat: isHeartbeat, recordsPerBatch: times.recordsPerBatch, on: loop)
    }

    var isQuiet: Bool { records.isEmpty && commitsRunning == 0 }
}
