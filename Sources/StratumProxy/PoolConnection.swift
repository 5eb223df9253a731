import Logging
import Metering
import NIOCore
import Stratum
import Units

/// A share that a pool has yet to answer.
final class ForwardedShare {
    enum Fate { case waiting, kept, lost }

    let number: Int64
    let receivedAt: Timestamp
    let rig: RigID
    let delivery: DeliveryID?
    /// Whether the share's own record is durable: replies to shares that were not kept are dropped.
    var fate = Fate.waiting
    var reply: (reply: PoolReply, code: Int64)?
    /// The header's hash, of one that meets the network's target.
    var block: Hash256?

    init(number: Int64, receivedAt: Timestamp, rig: RigID, delivery: DeliveryID?) {
        self.number = number
        self.receivedAt = receivedAt
        self.rig = rig
        self.delivery = delivery
    }
}

/// One connection to a pool, shared by rigs: its jobs, its shares under way.
final class PoolConnection: PoolLinkOwner {
    unowned let core: EdgeCore
    let upstream: Upstream
    let openedAt: Timestamp
    private var link: PoolLink?
    private(set) var isClosed = false
    /// Works whose shares are taken, oldest first.
    private(set) var works: [PoolWork] = []
    /// What rigs work on; nil before the first job and when the pool's jobs cannot be folded.
    private(set) var current: PoolWork?
    /// Why the pool's jobs cannot be used.
    private(set) var defect: String?
    private(set) var rigs: [ObjectIdentifier: MinerConnection] = [:]
    private(set) var forwards: [UInt64: ForwardedShare] = [:]
    private(set) var forwarded: Int64 = 0
    private(set) var accepted: Int64 = 0
    private(set) var rejected: Int64 = 0
    private(set) var unanswered: Int64 = 0
    private var jobTimes: [Timestamp] = []
    /// Rigs that nobody pays for and that have yet to get the present job, and whether it makes their earlier ones stale.
    private var owed: (miners: [MinerConnection], isClean: Bool) = ([], false)
    var lastWanted: Timestamp
    private var prefixes = ConnectionPrefixes()
    private var nextSuggestion = Timestamp(microseconds: 0)
    /// The pool wishes another connection instead of this one.
    var isLeaving = false
    private var hasNewMask = false
    /// Since when shares wait and the pool has said nothing.
    private var waitingSince: Timestamp?
    /// The pool owes answers and is silent: rigs are better off elsewhere until it speaks.
    private(set) var isStalled = false

    init(core: EdgeCore, upstream: Upstream, now: Timestamp) {
        self.core = core
        self.upstream = upstream
        openedAt = now
        lastWanted = now
    }

    /// - Parameter port: instead of the one in the pool's address
    func open(attempt: Int, port: Int? = nil) {
        var configuration = PoolSession.Configuration(user: upstream.key.user, password: upstream.key.password)
        configuration.handshakeTimeout = core.configuration.pools.handshake
        configuration.answerTimeout = core.configuration.pools.answer
        let link = PoolLink(configuration, environment: core.linkEnvironment, owner: self)
        self.link = link
        link.open(url: upstream.key.url, port: port, attempt: attempt)
    }

    /// It has a job that rigs can get.
    var isReady: Bool { !isClosed && current != nil && (link?.isReady ?? false) }
    var isUsable: Bool { isReady && !isStalled }
    var isFull: Bool { rigs.count >= prefixes.room(for: current?.fold.layout, limit: core.configuration.limits.rigsPerPoolConnection) }

    /// Why this rig cannot work here; nil when it can.
    func obstacle(for miner: MinerConnection) -> String? {
        guard let current else { return defect }
        if !contains(miner.versionMask, current) { return "the pool's version mask does not contain the rig's" }
        if let obstacle = layoutObstacle(current, miner) { return obstacle }
        if floods(miner, current) { return "the pool's difficulty is too low for the rig's hashrate" }
        return nil
    }

    /// Jobs so far had one mask, those to come may have another: a rig needs both.
    private func contains(_ mask: UInt32, _ work: PoolWork) -> Bool {
        mask & ~(work.versionMask & (link?.versionMask ?? work.versionMask)) == 0
    }

    /// Pools that rigs cannot be folded into take those that obey `mining.set_extranonce`, and have enough to search.
    private func layoutObstacle(_ work: PoolWork, _ miner: MinerConnection) -> String? {
        let layout = work.fold.layout
        guard layout != .standard else { return nil }
        let size = work.fold.poolExtranonce2Size
        guard miner.session.subscribesExtranonce else {
            return "the pool's extranonce2 size \(size) is below \(ExtranonceLayout.standard.byteCount), "
                + "and the rig does not ask for mining.set_extranonce"
        }
        if layout.isAlone, rigs.count > 1, rigs[ObjectIdentifier(miner)] != nil {
            return "the pool's extranonce2 size \(size) has room for one rig a connection"
        }
        guard layout.lasts(miner.hashrate, versionMask: miner.versionMask) else {
            return "the pool's extranonce2 size \(size) leaves the rig too little to search"
        }
        return nil
    }

    /// The rig's part of this pool's extranonce2; nil when there is none left.
    func prefix(of miner: MinerConnection, for layout: ExtranonceLayout) -> RigPrefix? {
        prefixes.prefix(of: ObjectIdentifier(miner), own: miner.prefix, for: layout)
    }

    /// The rig would find too many shares for this pool.
    private func floods(_ miner: MinerConnection, _ work: PoolWork) -> Bool {
        let rate = Double(core.configuration.limits.sharesPerRigAndSecond)
        return miner.hashrate > Double(work.poolUnits) * Double(work.algorithm.hashesPerUnit) * rate
    }

    /// Asks the pool for the rigs' wishes where its difficulty is too low for one; at most once a minute.
    func suggestDifficulty(now: Timestamp) {
        guard let current, !(now < nextSuggestion) else { return }
        nextSuggestion = now + .seconds(5)
        guard let flooding = rigs.values.first(where: { floods($0, current) }) else { return }
        nextSuggestion = now + .seconds(60)
        link?.suggest(current.algorithm.decimal(flooding.wish.difficulty))
    }

    func join(_ miner: MinerConnection) { rigs[ObjectIdentifier(miner)] = miner }
    func leave(_ miner: MinerConnection) {
        rigs[ObjectIdentifier(miner)] = nil
        prefixes.leave(ObjectIdentifier(miner))
    }

    // MARK: the link

    func linkResolved(_ link: PoolLink, address: SocketAddress) {}
    func linkConnected(_ link: PoolLink) {}
    func linkSecured(_ link: PoolLink) {}

    func link(_ link: PoolLink, event: PoolSession.Event) {
        switch event {
        case .job(let job): received(job)
        case .answered(let tag, let answer): answered(tag, answer)
        case .ready: if isReady { upstream.becameReady(self) }
        // Takes effect with the next job; rigs that cannot follow leave at the next tick.
        case .versionMask: hasNewMask = true
        case .extranonce, .difficulty: break
        case .reconnect(let host, let port, let wait):
            upstream.asksToReconnect(self, host: host, ownHost: link.host, port: port, wait: wait)
        case .message(let text): upstream.show(text)
        case .malformed(let error):
            core.logger.info("malformed line from pool: \(error)", metadata: upstream.metadata)
        case .refused(_, let error):
            core.logger.info("pool refused the login: code \(error.code)", metadata: upstream.metadata)
            upstream.loginRefused = true
        case .none, .send, .subscribed, .authorized, .close: break
        }
    }

    func link(_ link: PoolLink, expired tags: [UInt64]) {
        for tag in tags { conclude(tag, .unanswered, code: 0) }
        upstream.overdue(tags.count, on: self)
    }

    func link(_ link: PoolLink, ended end: LinkEnd, lost: [UInt64]) {
        isClosed = true
        for tag in lost { conclude(tag, .unanswered, code: 0) }
        let now = core.now()
        for work in works {
            work.lostSince = now
            core.retire(work, now: now)
        }
        works = []
        current = nil
        upstream.ended(self, end, now: now)
        // Rigs may keep jobs of it, and with them this.
        rigs = [:]
    }

    func close(_ reason: LinkEnd = .closedByUs) { link?.close(reason) }

    /// Timers; to be called a few times a second.
    func tick(now: Timestamp) {
        link?.tick()
        suggestDifficulty(now: now)
        lookForSilence(now: now)
        if hasNewMask {
            hasNewMask = false
            upstream.changed()
        }
        guard !isClosed, !isReady, defect == nil else { return }
        if now - openedAt > core.configuration.pools.handshake { close(.session("no job in time")) }
    }

    private func lookForSilence(now: Timestamp) {
        guard !isClosed, let link else { return }
        if link.takeHasSpoken() || forwards.isEmpty { waitingSince = forwards.isEmpty ? nil : now }
        let isSilent = waitingSince.map { now - $0 > core.configuration.pools.silence } ?? false
        guard isSilent != isStalled else { return }
        isStalled = isSilent
        if isSilent { upstream.stalled(self, now: now) } else { upstream.becameReady(self) }
    }

    // MARK: jobs

    private func received(_ job: PoolJob) {
        let now = core.now()
        guard keepsPace(now) else { return close(.session("too many jobs")) }
        if job.job.cleanJobs { cleanJobs(now: now) }
        guard let fold = usableFold(job) else {
            current = nil
            return upstream.changed()
        }
        let work = PoolWork(job, fold: fold, space: core.spaces.open(PoolWork.spaceKey(job)), connection: self)
        works.append(work)
        if works.count > core.configuration.limits.jobsPerPoolConnection { expire(works.removeFirst(), now: now) }
        let wasReady = isReady
        let narrowed = current.map { $0.versionMask != work.versionMask } ?? false
        current = work
        issue(work, clean: job.job.cleanJobs)
        if !wasReady, isReady { upstream.becameReady(self) }
        if narrowed { upstream.changed() }
    }

    /// Sold rigs get it at once; the others when those of all pools whose jobs came at the same time have theirs.
    private func issue(_ work: PoolWork, clean: Bool) {
        owed.isClean = clean || owed.isClean && !owed.miners.isEmpty
        owed.miners.removeAll(keepingCapacity: true)
        for miner in Array(rigs.values) where contains(miner.versionMask, work) {
            guard miner.delivery != nil else {
                owed.miners.append(miner)
                continue
            }
            miner.issue(work, clean: clean)
            miner.flush()
        }
        if !owed.miners.isEmpty { core.owes(self) }
    }

    /// Gives unsold rigs the present job.
    func payOwed() {
        let owing = owed
        owed = ([], false)
        guard let current, !isClosed else { return }
        for miner in owing.miners where miner.attached === self && miner.jobs.last?.work !== current {
            miner.issue(current, clean: owing.isClean)
            miner.flush()
        }
    }

    private func keepsPace(_ now: Timestamp) -> Bool {
        jobTimes.append(now)
        guard jobTimes.count > core.configuration.limits.jobsPerMinute else { return true }
        return now - jobTimes.removeFirst() >= .seconds(60)
    }

    private func usableFold(_ job: PoolJob) -> CoinbaseFold? {
        defect = nil
        let algorithm = core.configuration.algorithm, minimum = core.configuration.minimumDifficulty
        let layout = ExtranonceLayout.fitting(poolExtranonce2Size: job.extranonce2Size)
        guard let layout, let fold = try? CoinbaseFold(
            layout: layout, poolExtranonce1: job.extranonce1, poolExtranonce2Size: job.extranonce2Size)
        else {
            defect = "the pool's extranonce2 size \(job.extranonce2Size) is below 2"
            return nil
        }
        guard algorithm.wholeUnits(of: job.difficulty) >= minimum.units else {
            defect = "the pool's difficulty \(job.difficulty) is below the market's minimum \(algorithm.decimal(minimum))"
            return nil
        }
        let size = job.job.coinb1.count + job.extranonce1.count + fold.paddingSize + job.job.coinb2.count
        guard size <= Job.maximalCoinbaseBytes else {
            defect = "the pool's coinbase is too large"
            return nil
        }
        return fold
    }

    private func cleanJobs(now: Timestamp) {
        let old = works
        works = []
        for work in old { expire(work, now: now) }
    }

    private func expire(_ work: PoolWork, now: Timestamp) {
        work.staleSince = work.staleSince ?? now
        core.retire(work, now: now)
    }

    // MARK: shares

    /// Sends a share to the pool; false when it cannot be sent.
    func forward(_ share: ForwardedShare, _ submission: Submission) -> Bool {
        let tag = UInt64(share.number)
        guard let link, !isClosed, link.submit(submission, tag: tag) else { return false }
        forwards[tag] = share
        forwarded += 1
        waitingSince = waitingSince ?? share.receivedAt
        return true
    }

    private func answered(_ tag: UInt64, _ answer: PoolSession.SubmitAnswer) {
        switch answer {
        case .accepted:
            upstream.answered(refusal: nil)
            conclude(tag, .accepted, code: 0)
            upstream.refusals.answered(refused: false, now: core.now())
        case .rejected(let error):
            conclude(tag, .rejected, code: Int64(error.code))
            upstream.answered(refusal: error)
            upstream.refusals.answered(refused: true, now: core.now())
            upstream.checkRefusals()
        }
    }

    private func conclude(_ tag: UInt64, _ reply: PoolReply, code: Int64) {
        guard let share = forwards.removeValue(forKey: tag) else { return }
        switch reply {
        case .accepted: accepted += 1
        case .rejected: rejected += 1
        case .unanswered: unanswered += 1
        }
        share.reply = (reply, code)
        if let block = share.block { core.reports.blockJudged(block, reply, code: code) }
        core.feed.replied(share)
    }

    var snapshot: PoolConnectionSnapshot {
        PoolConnectionSnapshot(
            url: upstream.key.url, user: upstream.key.user,
            state: isClosed ? .closed : isReady ? .ready : .opening, rigs: rigs.count, difficulty: link?.difficulty,
            extranonce2Size: link?.extranonce2Size ?? 0, versionMask: link?.versionMask ?? 0, forwarded: forwarded,
            accepted: accepted, rejected: rejected, unanswered: unanswered, waiting: forwards.count,
            messages: upstream.messages)
    }
}
