import Logging
import Metering
import Routing
import Stratum
import Units

extension EdgeCore {
    /// A share came: it is checked, goes to its pool at once if it is good enough, and is answered when it is durable.
    func submit(_ submission: Submission, id: MessageID, from miner: MinerConnection) {
        guard let rig = miner.rig else { return miner.send(miner.session.answer(id, refusal: .unauthorized)) }
        guard feed.hasRoom else {
            rig.counts.notKept += 1
            rig.figures.refuse(.notKept)
            return miner.send(miner.session.answer(id, refusal: .other("Too busy")))
        }
        let now = now()
        guard let job = miner.jobs[submission.jobID] else { return unknownJob(submission, id, miner, rig, now) }
        let checker = ShareChecker(
            staleWindow: configuration.staleWindow, lostJobs: configuration.pools.lostJobs,
            sharesPerCoinbase: configuration.limits.sharesPerCoinbase)
        let checked = checker.check(
            submission, job: job, prefix: job.prefix, mask: miner.versionMask, now: now)
        let number = feed.nextShare()
        let forward = forward(checked, submission, job, ForwardedShare(
            number: number, receivedAt: now, rig: rig.id, delivery: job.assignment.delivery))
        let record = record(checked, submission, job, rig, number: number, isForwarded: forward != nil, now: now)
        if checked.hash != nil { addJobRecord(job) }
        feed.add(.share(record))
        feed.answer(PendingAnswer(miner: miner, id: id, refusal: checked.refusal, forward: forward))
        miner.count(checked.verdict, worker: submission.worker)
        account(record, checked, job, miner, rig, now)
    }

    private func unknownJob(
        _ submission: Submission, _ id: MessageID, _ miner: MinerConnection, _ rig: Rig, _ now: Timestamp
    ) {
        rig.counts.invalid += 1
        rig.figures.refuse(.unknownJob)
        feed.add(.share(ShareRecord(
            number: feed.nextShare(), receivedAt: now, rig: rig.id, delivery: nil, job: 0, verdict: .invalid,
            difficulty: .zero, isBillable: false, isForwarded: false, extranonce2: submission.extranonce2,
            ntime: submission.ntime, nonce: submission.nonce, version: submission.versionBits ?? 0, hash: [])))
        feed.answer(PendingAnswer(miner: miner, id: id, refusal: .jobNotFound, forward: nil))
        miner.count(.invalid, worker: submission.worker)
        miner.countInvalid(true)
    }

    /// Sends it to its pool if it is one for the pool, or a block whatever its verdict.
    private func forward(
        _ checked: CheckedShare, _ submission: Submission, _ job: RigJob, _ share: ForwardedShare
    ) -> ForwardedShare? {
        let isWanted = checked.verdict == .valid && checked.meetsPool && (feed.isHealthy || share.delivery == nil)
        guard checked.meetsNetwork || isWanted else { return nil }
        let work = job.work
        // Pools replace the bits inside their mask by those submitted.
        let bits = work.versionMask == 0 ? nil : checked.version & work.versionMask
        let wasSent = work.connection.forward(share, Submission(
            worker: work.connection.upstream.key.user, jobID: work.job.id, extranonce2: checked.extranonce2,
            ntime: submission.ntime, nonce: submission.nonce, versionBits: bits))
        if checked.meetsNetwork { foundBlock(checked, submission, job, share, wasSent: wasSent) }
        return wasSent ? share : nil
    }

    private func record(
        _ checked: CheckedShare, _ submission: Submission, _ job: RigJob, _ rig: Rig, number: Int64, isForwarded: Bool,
        now: Timestamp
    ) -> ShareRecord {
        let delivery = job.assignment.delivery
        let isBillable = checked.verdict == .valid && delivery.map { rig.route.isBillable($0, now: now) } ?? false
        return ShareRecord(
            number: number, receivedAt: now, rig: rig.id, delivery: delivery,
            job: checked.hash == nil ? 0 : job.work.number(for: job.assignment.target, allot: feed.nextJob), verdict: checked.verdict,
            difficulty: job.difficulty.work, isBillable: isBillable, isForwarded: isForwarded,
            extranonce2: checked.extranonce2, ntime: submission.ntime, nonce: submission.nonce,
            version: checked.version, hash: checked.hash?.bytes ?? [])
    }

    private func addJobRecord(_ job: RigJob) {
        guard let number = job.work.unwrittenNumber(for: job.assignment.target) else { return }
        feed.add(.job(job.work.record(number: number, target: job.assignment.target)))
    }

    private func account(
        _ record: ShareRecord, _ checked: CheckedShare, _ job: RigJob, _ miner: MinerConnection, _ rig: Rig,
        _ now: Timestamp
    ) {
        if checked.meetsNetwork { rig.counts.blocks += 1 }
        if let reason = RejectReason(checked) { rig.figures.refuse(reason) }
        if checked.verdict != .stale { miner.countInvalid(checked.verdict != .valid) }
        switch checked.verdict {
        case .valid: rig.counts.valid += 1
        case .stale: rig.counts.stale += 1
        case .duplicate: rig.counts.duplicate += 1
        case .lowDifficulty: rig.counts.lowDifficulty += 1
        case .invalid: rig.counts.invalid += 1
        }
        guard checked.verdict == .valid else { return }
        rig.add(record.difficulty, delivery: record.delivery, at: now)
        rig.figures.add(record.difficulty, hash: checked.hash, at: now)
        miner.wish.observe(job.difficulty)
        guard record.isBillable, let delivery = record.delivery else { return }
        rig.route.credit(record.difficulty, delivery: delivery)
        if miner.routeEnds != nil, rig.route.routeInForce(delivery, now: now) == nil { miner.evaluate() }
    }
}
