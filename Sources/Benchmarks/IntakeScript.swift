internal import Metering
internal import Store
internal import Units

/// Batches as edges would seal them: each rig has a share every so many seconds, one in ten goes to its pool, whose answer
/// comes in the same batch or in the next one.
struct IntakeScript: Sendable {
    struct Parameters: Sendable, Hashable {
        var seed: UInt64
        var edges: Int
        /// On each edge; every other one is sold.
        var rigs: Int
        /// Milliseconds between the shares of a rig, of a batch, and of everything.
        var shareInterval: Int
        var batchInterval: Int
        var length: Int
    }

    /// What must be in the database after all batches, summed while they were made.
    struct Sums: Sendable, Hashable, CustomStringConvertible {
        var shares: Int64 = 0
        var validWork: Int64 = 0
        var billableWork: Int64 = 0
        var otherShares: Int64 = 0
        var accepted: Int64 = 0
        var jobs: Int64 = 0
        var batches: Int64 = 0

        var description: String {
            "shares=\(shares) validWork=\(validWork) billableWork=\(billableWork) otherShares=\(otherShares)"
                + " accepted=\(accepted) jobs=\(jobs) batches=\(batches)"
        }
    }

    /// Of each edge, in order.
    private(set) var edges: [[DigestedBatch]] = []
    private(set) var sums = Sums()
    private var random: SplitMix64

    /// - Parameter start: when the first share is received
    init(_ parameters: Parameters, start: Timestamp) {
        random = SplitMix64(state: parameters.seed)
        for edge in 1...Int64(parameters.edges) { edges.append(makeEdge(edge, parameters, start)) }
    }

    private mutating func makeEdge(_ edge: Int64, _ parameters: Parameters, _ start: Timestamp) -> [DigestedBatch] {
        var batches: [DigestedBatch] = []
        var maker = EdgeMaker(edge: edge)
        for begin in stride(from: 0, to: parameters.length, by: parameters.batchInterval) {
            let end = min(begin + parameters.batchInterval, parameters.length)
            var records = maker.takeLate()
            for _ in 0..<2 { records.append(job(&maker)) }
            for millisecond in begin..<end {
                for rig in stride(
                    from: millisecond % parameters.shareInterval, to: parameters.rigs, by: parameters.shareInterval)
                {
                    let share = share(rig, start + Interval(microseconds: Int64(millisecond) * 1000), &maker)
                    records.append(.share(share))
                    if share.isForwarded { reply(share, &records, &maker) }
                }
            }
            if end == parameters.length { records += maker.takeLate() }
            maker.sequence += 1
            batches.append(DigestedBatch(
                SealedBatch(
                    edge: EdgeID(edge), epoch: 1, sequence: maker.sequence,
                    completeUntil: start + Interval(microseconds: Int64(end) * 1000), records: records),
                digest: random.bytes(32)))
        }
        sums.batches += Int64(batches.count)
        return batches
    }

    private struct EdgeMaker {
        var edge: Int64
        var sequence: Int64 = 0
        var shares: Int64 = 0
        var jobs: Int64 = 0
        var late: [MeterRecord] = []

        mutating func takeLate() -> [MeterRecord] {
            defer { late = [] }
            return late
        }
    }

    private mutating func job(_ maker: inout EdgeMaker) -> MeterRecord {
        maker.jobs += 1
        sums.jobs += 1
        return .job(JobRecord(
            number: maker.jobs, target: PoolTargetID(1 + maker.jobs % 50), poolJobID: random.bytes(8),
            coinbasePrefix: random.bytes(70), coinbaseSuffix: random.bytes(150), branches: random.bytes(12 * 32),
            previousHash: random.bytes(32), version: 0x2000_0000, nbits: 0x1702_3a04, ntime: 1_800_000_000))
    }

    private mutating func share(_ rig: Int, _ at: Timestamp, _ maker: inout EdgeMaker) -> ShareRecord {
        maker.shares += 1
        let dice = random.next()
        let number = maker.edge * 1_000_000 + Int64(rig)
        let verdict: Verdict = dice % 100 == 0 ? .stale : dice % 100 == 1 ? .lowDifficulty : .valid
        let difficulty = Int64(10_000 + dice >> 8 % 10_000)
        let isSold = rig.isMultiple(of: 2)
        sums.shares += 1
        if verdict == .valid {
            sums.validWork += difficulty
            if isSold { sums.billableWork += difficulty }
        } else {
            sums.otherShares += 1
        }
        return ShareRecord(
            number: maker.shares, receivedAt: at, rig: RigID(number), delivery: isSold ? DeliveryID(number) : nil,
            job: maker.jobs, verdict: verdict, difficulty: Work(units: difficulty), isBillable: isSold,
            isForwarded: dice >> 32 % 10 == 0, extranonce2: random.bytes(8), ntime: 1_800_000_000,
            nonce: UInt32(truncatingIfNeeded: dice), version: 0x2000_0000, hash: random.bytes(32))
    }

    private mutating func reply(_ share: ShareRecord, _ records: inout [MeterRecord], _ maker: inout EdgeMaker) {
        let reply = MeterRecord.poolReply(PoolReplyRecord(
            share: share.number, shareReceivedAt: share.receivedAt, rig: share.rig, delivery: share.delivery,
            reply: .accepted, errorCode: 0))
        sums.accepted += 1
        if random.next() % 10 == 0 { maker.late.append(reply) } else { records.append(reply) }
    }
}
