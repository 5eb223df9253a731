import Metering
import NIOCore
import ProofOfWork
import Stratum
import Units

/// A pool's job on one of its connections: what shares are checked against, and how it is folded for rigs.
final class PoolWork {
    /// nil when it cannot be folded for rigs.
    let fold: CoinbaseFold
    let job: Job
    let template: WorkTemplate
    let algorithm: Algorithm
    let versionMask: UInt32
    /// A share whose hash does not exceed it is one for the pool.
    let poolTarget: Target
    /// The pool's difficulty in whole units, rounded down: the most that may be assigned.
    let poolUnits: Int64
    let space: SearchSpace
    let connection: PoolConnection
    /// When the pool's next clean job was read, or the work was pushed out by newer.
    var staleSince: Timestamp?
    /// When its connection was lost.
    var lostSince: Timestamp?
    private var folded: [WorkIssue: FoldedJob] = [:]
    private var numbers: [PoolTargetID: (number: Int64, isWritten: Bool)] = [:]

    /// Jobs that were folded the same way share their bytes; more than this many are not kept.
    private static let maximalFolded = 64

    init(_ poolJob: PoolJob, fold: CoinbaseFold, space: SearchSpace, connection: PoolConnection) {
        self.fold = fold
        job = poolJob.job
        versionMask = poolJob.versionMask
        algorithm = connection.core.configuration.algorithm
        poolTarget = connection.core.configuration.takesAnyHash ? .max : algorithm.target(of: poolJob.difficulty)
        poolUnits = algorithm.wholeUnits(of: poolJob.difficulty)
        self.space = space
        self.connection = connection
        template = WorkTemplate(
            coinb1: job.coinb1 + fold.poolExtranonce1, coinb2: job.coinb2, branches: job.branches, version: job.version,
            previousBlock: job.previousBlock, nbits: job.nbits)
    }

    /// Names the space: all that a header's merkle root and previous block come from, apart from the extranonce2.
    static func spaceKey(_ poolJob: PoolJob) -> Hash256 {
        let job = poolJob.job
        var bytes = job.previousBlock.bytes
        for part in [job.coinb1, poolJob.extranonce1, [UInt8(poolJob.extranonce2Size)], job.coinb2] {
            bytes += withUnsafeBytes(of: UInt32(part.count).littleEndian) { Array($0) }
            bytes += part
        }
        for branch in job.branches { bytes += branch.bytes }
        return DoubleSHA256.hash(bytes)
    }

    /// The job as rigs get it. Rigs with the same issue get the same bytes.
    func folded(_ issue: WorkIssue, name: () -> String) -> FoldedJob? {
        if let known = folded[issue] { return known }
        guard var job = fold.fold(job, id: name(), epoch: issue.epoch) else { return nil }
        job.ntime &+= issue.seconds
        let made = FoldedJob(job, issue: issue)
        if folded.count < PoolWork.maximalFolded { folded[issue] = made }
        return made
    }

    /// The number under which this job is spooled for a target.
    func number(for target: PoolTargetID, allot: () -> Int64) -> Int64 {
        if let known = numbers[target] { return known.number }
        let number = allot()
        numbers[target] = (number, false)
        return number
    }

    /// The number, if the job's record has yet to be written: the caller does it. It must be written once only.
    func unwrittenNumber(for target: PoolTargetID) -> Int64? {
        guard let known = numbers[target], !known.isWritten else { return nil }
        numbers[target] = (known.number, true)
        return known.number
    }

    func record(number: Int64, target: PoolTargetID) -> JobRecord {
        JobRecord(
            number: number, target: target, poolJobID: Array(job.id.utf8),
            coinbasePrefix: job.coinb1 + fold.poolExtranonce1, coinbaseSuffix: job.coinb2,
            branches: job.branches.flatMap(\.bytes), previousHash: job.previousBlock.bytes, version: job.version,
            nbits: job.nbits, ntime: job.ntime)
    }

    /// Whether it is dead for so long that shares for it are no longer known to be for anything.
    func isForgotten(now: Timestamp) -> Bool {
        guard let deadSince = [staleSince, lostSince].compactMap(\.self).min() else { return false }
        return now - deadSince > EdgeCore.retirement
    }

    /// Whether a share for it, received now, is too late.
    func isStale(now: Timestamp, window: Interval, lostJobs: Interval) -> Bool {
        if let staleSince, !(now < staleSince + window) { return true }
        if let lostSince, !(now < lostSince + lostJobs) { return true }
        return false
    }
}

/// A job in the form that rigs get, with its lines ready.
final class FoldedJob {
    let id: String
    let issue: WorkIssue
    let ntime: UInt32
    private let cleanLine: ByteBuffer
    private let plainLine: ByteBuffer

    init(_ job: Job, issue: WorkIssue) {
        var job = job
        id = job.id
        self.issue = issue
        ntime = job.ntime
        job.cleanJobs = true
        cleanLine = ByteBuffer(bytes: Line.notify(job))
        job.cleanJobs = false
        plainLine = ByteBuffer(bytes: Line.notify(job))
    }

    func line(clean: Bool) -> ByteBuffer { clean ? cleanLine : plainLine }
}
