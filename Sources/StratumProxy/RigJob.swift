import ProofOfWork
import Units

/// What jobs of one stay at a pool count for. A renewal changes the delivery of those already sent, too.
final class Assignment {
    var delivery: DeliveryID?
    var target: PoolTargetID

    init(delivery: DeliveryID?, target: PoolTargetID) {
        self.delivery = delivery
        self.target = target
    }
}

/// A difficulty with its target, shared by all jobs that have it.
final class AssignedDifficulty {
    let difficulty: ShareDifficulty
    let target: Target

    init(_ difficulty: ShareDifficulty, target: Target) {
        self.difficulty = difficulty
        self.target = target
    }
}

/// A job as one rig has it: 40 bytes, since an edge holds many for each of its rigs.
struct RigJob {
    let work: PoolWork
    private let folded: FoldedJob
    private let ownPrefix: RigPrefix
    private let assigned: AssignedDifficulty
    let assignment: Assignment

    init(
        work: PoolWork, folded: FoldedJob, prefix: RigPrefix, assigned: AssignedDifficulty, assignment: Assignment
    ) {
        self.work = work
        self.folded = folded
        ownPrefix = prefix
        self.assigned = assigned
        self.assignment = assignment
    }

    var id: String { folded.id }
    var issue: WorkIssue { folded.issue }
    var ntime: UInt32 { folded.ntime }
    /// The rig's own part of the pool's extranonce2.
    var prefix: [UInt8] { ownPrefix.bytes }
    var difficulty: ShareDifficulty { assigned.difficulty }
    var target: Target { assigned.target }
}

/// The jobs of one miner connection, the latest of them; shares for others are for unknown jobs.
struct RigJobTable {
    /// Oldest first; few, as those whose work is forgotten go.
    private var jobs: [RigJob] = []
    private let limit: Int

    init(limit: Int) {
        precondition(limit >= 1, "a rig has at least one job")
        self.limit = limit
    }

    var last: RigJob? { jobs.last }

    /// O(jobs), newest first: nearly all shares are for the last job or the one before.
    subscript(_ id: String) -> RigJob? { jobs.last { $0.id == id } }

    /// - Parameter isForgotten: whether a job's work has been dead for so long that nobody sends shares for it
    mutating func add(_ job: RigJob, isForgotten: (PoolWork) -> Bool) {
        let forgotten = jobs.prefix { isForgotten($0.work) }.count
        jobs.removeFirst(max(forgotten, jobs.count + 1 - limit))
        jobs.append(job)
    }
}
