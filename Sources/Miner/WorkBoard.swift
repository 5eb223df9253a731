import Foundation
import ProofOfWork
import Stratum
import Synchronization
import Units

/// A job to hash, and where its shares go.
struct Assignment: Sendable {
    /// Rises with every job and every loss of the connection.
    var generation: UInt64
    var job: PoolJob
    var template: WorkTemplate
    var target: Target
    /// Called on a hashing thread.
    var deliver: @Sendable (FoundShare) -> Void
}

struct FoundShare: Sendable {
    var generation: UInt64
    var job: PoolJob
    var extranonce2: [UInt8]
    var versionBits: UInt32?
    var nonce: UInt32
}

/// Hands the latest job to the hashing threads.
///
/// `@unchecked Sendable`: `current` and `isStopped` are only touched while `condition` is locked; the rest is atomic.
final class WorkBoard: @unchecked Sendable {
    let algorithm: Algorithm
    private let condition = NSCondition()
    private var current: Assignment?
    private var isStopped = false
    private let latest = Atomic<UInt64>(0)
    private let hashed = Atomic<Int64>(0)

    init(algorithm: Algorithm) { self.algorithm = algorithm }

    /// The number of the assignment in force; threads look at it between chunks.
    var generation: UInt64 { latest.load(ordering: .acquiring) }
    var hashes: Int64 { hashed.load(ordering: .relaxed) }
    func count(hashes: UInt64) { hashed.add(Int64(clamping: hashes), ordering: .relaxed) }

    /// Replaces the job: the threads leave the one before at once. Returns the new assignment's number.
    @discardableResult
    func post(_ job: PoolJob, deliver: @escaping @Sendable (FoundShare) -> Void) -> UInt64 {
        let template = WorkTemplate(
            coinb1: job.job.coinb1, coinb2: job.job.coinb2, branches: job.job.branches, version: job.job.version,
            previousBlock: job.job.previousBlock, nbits: job.job.nbits)
        let algorithm = algorithm
        return replace { generation in
            Assignment(
                generation: generation, job: job, template: template, target: algorithm.target(of: job.difficulty), deliver: deliver)
        }
    }

    /// There is nothing to do any more.
    func clear() { replace { _ in nil } }

    func stop() {
        condition.withLock {
            isStopped = true
            current = nil
            latest.add(1, ordering: .releasing)
            condition.broadcast()
        }
    }

    @discardableResult
    private func replace(_ make: (UInt64) -> Assignment?) -> UInt64 {
        condition.withLock {
            let generation = latest.load(ordering: .relaxed) + 1
            current = make(generation)
            latest.store(generation, ordering: .releasing)
            condition.broadcast()
            return generation
        }
    }

    /// Waits until there is an assignment with another number than this; nil when the miner stops.
    func next(after generation: UInt64?) -> Assignment? {
        condition.withLock {
            while !isStopped {
                if let current, current.generation != generation { return current }
                condition.wait()
            }
            return nil
        }
    }
}
