import Metering
import ProofOfWork
import Stratum
import Units

/// What a rig's share comes to.
struct CheckedShare {
    var verdict: Verdict
    /// What the rig is told; nil when it is accepted.
    var refusal: StratumError?
    /// As the pool sees it; empty when the share could not be placed.
    var extranonce2: [UInt8] = []
    var version: UInt32 = 0
    var hash: Hash256?
    var meetsPool = false
    var meetsNetwork = false
}

/// Rebuilds and hashes a share's header and judges it: unknown job, out of range, duplicate, stale, low difficulty, valid.
struct ShareChecker {
    let staleWindow: Interval
    let lostJobs: Interval
    let sharesPerCoinbase: Int

    /// Pools take times up to about two hours ahead of the job's.
    static let maximalTimeRolling: UInt32 = 7000

    func check(
        _ share: Submission, job: RigJob, prefix: [UInt8], mask: UInt32, now: Timestamp
    ) -> CheckedShare {
        let work = job.work
        guard let extranonce2 = work.fold.poolExtranonce2(
            epoch: job.issue.epoch, rigExtranonce1: prefix, rigExtranonce2: share.extranonce2)
        else { return invalid("Invalid extranonce2 size") }
        guard share.ntime >= job.ntime, share.ntime - job.ntime <= ShareChecker.maximalTimeRolling else {
            return invalid("Ntime out of range")
        }
        guard let version = share.version(of: work.job, mask: mask) else { return invalid("Invalid version bits") }
        let hashed = work.template.check(
            extranonces: extranonce2, ntime: share.ntime, nonce: share.nonce, version: version, assigned: job.target,
            algorithm: work.algorithm)
        var checked = CheckedShare(verdict: .valid, extranonce2: extranonce2, version: version, hash: hashed.hash)
        checked.meetsPool = hashed.hash.meets(work.poolTarget)
        checked.meetsNetwork = hashed.meetsNetwork
        judge(hashed, work, now: now, &checked)
        return checked
    }

    /// Only shares that met their target are remembered: others cost nothing to make.
    private func judge(_ hashed: ShareCheck, _ work: PoolWork, now: Timestamp, _ checked: inout CheckedShare) {
        if work.space.contains(hashed.hash) {
            checked.verdict = .duplicate
            checked.refusal = .duplicate
            checked.meetsNetwork = false
            checked.meetsPool = false
            return
        }
        let isStale = work.isStale(now: now, window: staleWindow, lostJobs: lostJobs)
        if hashed.meetsShare || hashed.meetsNetwork, !work.space.insert(hashed.hash, limit: sharesPerCoinbase) {
            checked.verdict = .invalid
            checked.refusal = .other("Too many shares for one job")
        } else if !hashed.meetsShare {
            checked.verdict = .lowDifficulty
            checked.refusal = .lowDifficulty
        } else if isStale {
            checked.verdict = .stale
            checked.refusal = .stale
        }
    }

    private func invalid(_ text: String) -> CheckedShare {
        CheckedShare(verdict: .invalid, refusal: .other(text))
    }
}
