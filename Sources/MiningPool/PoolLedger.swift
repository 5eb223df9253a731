import ProofOfWork
import Stratum
import Units

/// A job as it was sent to one connection: what its shares are judged by.
struct IssuedJob {
    var job: Job
    var template: WorkTemplate
    var target: Target
    var difficulty: DecimalDifficulty
    var extranonce1: [UInt8]
    var extranonce2Size: Int
}

/// Judges shares and keeps the workers' accounts. A value: no I/O, the clock comes in.
struct PoolLedger {
    /// Hashes of accepted shares of the present block; past the bound a new block is due.
    private var seen: Set<Hash256> = []
    private var accounts: [String: Account] = [:]
    private(set) var blocks = 0
    private let algorithm: Algorithm

    init(algorithm: Algorithm = .sha256d) { self.algorithm = algorithm }

    static let maximalSeen = 2_000_000
    static let maximalAccounts = 100_000

    private struct Account {
        var accepted: [DecimalDifficulty: Int] = [:]
        var rejected: [Int: Int] = [:]
        var refusedByFault = 0
    }

    var isFull: Bool { seen.count >= PoolLedger.maximalSeen }

    mutating func startBlock() { seen.removeAll(keepingCapacity: true) }

    func hasRoom(for worker: String) -> Bool {
        accounts[worker] != nil || accounts.count < PoolLedger.maximalAccounts
    }

    /// Judges a share, counts it, and returns the refusal, if any.
    ///
    /// - Parameters:
    ///   - issued: nil when the job is unknown or was cleaned
    ///   - latestTime: the highest ntime allowed
    ///   - refuse: an injected fault wants even a valid share refused
    mutating func judge(
        _ share: Submission, issued: IssuedJob?, mask: UInt32, latestTime: UInt32, refuse: Bool
    ) -> StratumError? {
        let refusal = check(share, issued: issued, mask: mask, latestTime: latestTime, refuse: refuse)
        if let refusal {
            accounts[share.worker, default: Account()].rejected[refusal.code, default: 0] += 1
        } else if let issued {
            accounts[share.worker, default: Account()].accepted[issued.difficulty, default: 0] += 1
        }
        return refusal
    }

    private mutating func check(
        _ share: Submission, issued: IssuedJob?, mask: UInt32, latestTime: UInt32, refuse: Bool
    ) -> StratumError? {
        guard let issued else { return .jobNotFound }
        guard share.extranonce2.count == issued.extranonce2Size else { return .other("Invalid extranonce2 size") }
        guard share.ntime >= issued.job.ntime, share.ntime <= latestTime else { return .other("Time out of range") }
        guard let version = share.version(of: issued.job, mask: mask) else { return .other("Invalid version bits") }
        let header = issued.template.header(
            extranonce1: issued.extranonce1, extranonce2: share.extranonce2, ntime: share.ntime, nonce: share.nonce,
            version: version)
        let result = ShareCheck(header, assigned: issued.target, algorithm: algorithm)
        guard result.meetsShare else { return .lowDifficulty }
        guard !seen.contains(result.hash) else { return .duplicate }
        seen.insert(result.hash)
        if refuse {
            accounts[share.worker, default: Account()].refusedByFault += 1
            return .other("Refused")
        }
        if result.meetsNetwork { blocks += 1 }
        return nil
    }

    var workers: [String: MiningPoolSnapshot.Worker] { accounts.mapValues(summary) }

    private func summary(_ account: Account) -> MiningPoolSnapshot.Worker {
        var worker = MiningPoolSnapshot.Worker()
        for (difficulty, count) in account.accepted {
            worker.accepted += count
            worker.acceptedByDifficulty[difficulty.description] = count
            worker.acceptedUnits += units(difficulty, times: count)
        }
        for (code, count) in account.rejected { worker.rejected[String(code)] = count }
        worker.refusedByFault = account.refusedByFault
        return worker
    }

    /// floor(difficulty x count x units of difficulty 1), saturated at the size of the types.
    private func units(_ difficulty: DecimalDifficulty, times count: Int) -> Int64 {
        let power = (0..<difficulty.scale).reduce(Int128(1)) { power, _ in power * 10 }
        let (product, overflow) = (Int128(difficulty.mantissa) * Int128(algorithm.unitsPerDifficulty))
            .multipliedReportingOverflow(by: Int128(count))
        return overflow ? .max : Int64(clamping: product / power)
    }
}
