import Dispatch
import Foundation
import ProofOfWork
import Stratum
import Units

/// One thread that hashes what the board says until the board stops.
struct HashingThread: Sendable {
    let index: Int
    let threads: Int
    /// Hashes a second; nil without a limit.
    let rate: Double?
    let board: WorkBoard

    func start(in group: DispatchGroup) {
        group.enter()
        let thread = Thread {
            run()
            group.leave()
        }
        thread.name = "hashing-\(index)"
        thread.start()
    }

    private func run() {
        var pace = Pace(rate: rate, mostHashes: board.algorithm.proofOfWork.hashesPerLook)
        var generation: UInt64?
        while let work = board.next(after: generation) {
            generation = work.generation
            hash(work, &pace)
        }
    }

    private func hash(_ work: Assignment, _ pace: inout Pace) {
        var space = SearchSpace(
            thread: index, threads: threads, extranonce2Size: work.job.extranonce2Size, versionMask: work.job.versionMask)
        while board.generation == work.generation, let row = space.next() {
            hash(row, of: work, &pace)
        }
    }

    private func hash(_ row: SearchSpace.Row, of work: Assignment, _ pace: inout Pace) {
        let job = work.job
        guard let version = VersionRolling.version(job: job.job.version, bits: row.versionBits, mask: job.versionMask)
        else { return }
        let header = work.template.header(
            extranonce1: job.extranonce1, extranonce2: row.extranonce2, ntime: job.job.ntime, nonce: 0, version: version)
        let scanner = NonceScanner(header: header, target: work.target, algorithm: board.algorithm)
        var done: UInt64 = 0
        while done < row.nonceCount, board.generation == work.generation {
            let start = row.firstNonce &+ UInt32(truncatingIfNeeded: done)
            let (found, tried) = scanner.scan(from: start, count: min(pace.chunk, row.nonceCount - done))
            done += tried
            board.count(hashes: tried)
            for nonce in found {
                work.deliver(
                    FoundShare(
                        generation: work.generation, job: job, extranonce2: row.extranonce2,
                        versionBits: row.versionBits, nonce: nonce))
            }
            pace.rest(after: tried)
        }
    }
}

/// Keeps a thread to its rate by sleeping between chunks.
struct Pace {
    /// Hashes between two looks at the board.
    let chunk: UInt64
    private let nanosecondsPerHash: Double?
    private var due: UInt64

    /// - Parameter mostHashes: about 10 ms of hashing
    init(rate: Double?, mostHashes: UInt64) {
        due = DispatchTime.now().uptimeNanoseconds
        guard let rate, rate > 0 else {
            chunk = mostHashes
            nanosecondsPerHash = nil
            return
        }
        // A chunk is 50 ms at the rate, or 10 ms at a processor's.
        chunk = UInt64(max(1, min(rate / 20, Double(mostHashes))))
        nanosecondsPerHash = 1e9 / rate
    }

    mutating func rest(after hashes: UInt64) {
        guard let nanosecondsPerHash else { return }
        let now = DispatchTime.now().uptimeNanoseconds
        // After a pause the time lost is not made up for.
        due = max(due, now < 200_000_000 ? 0 : now - 200_000_000) + UInt64(nanosecondsPerHash * Double(hashes))
        guard due > now else { return }
        Thread.sleep(forTimeInterval: Double(due - now) / 1e9)
    }
}
