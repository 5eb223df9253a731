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

/// A job as one rig has it.
struct RigJob {
    let work: PoolWork
    let issue: WorkIssue
    /// The rig's own part of the pool's extranonce2.
    let prefix: [UInt8]
    let ntime: UInt32
    let difficulty: ShareDifficulty
    let target: Target
    let assignment: Assignment
}

/// The jobs of one miner connection, the latest of them; shares for others are for unknown jobs.
struct RigJobTable {
    private var jobs: [String: RigJob] = [:]
    private var order: [String] = []
    private var oldest = 0
    private let limit: Int

    init(limit: Int) {
        precondition(limit >= 1, "a rig has at least one job")
        self.limit = limit
    }

    private(set) var last: RigJob?

    subscript(_ id: String) -> RigJob? { jobs[id] }

    mutating func add(_ job: RigJob, id: String) {
        last = job
        guard jobs.updateValue(job, forKey: id) == nil else { return }
        if order.count < limit {
            order.append(id)
        } else {
            jobs[order[oldest]] = nil
            order[oldest] = id
            oldest = (oldest + 1) % limit
        }
    }
}
