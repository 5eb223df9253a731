public import Exchange
public import Metering
public import Settlement
public import Units

/// A settlement line with all that its amounts follow from.
public struct LineEvidence: Hashable, Sendable {
    /// Where a line's work stands among its delivery's, in the market's units.
    public struct Account: Hashable, Sendable {
        /// Settled by the delivery's earlier lines.
        public var settledBefore: Work
        /// Billable work in the line's interval as metered by now; what came late is in it.
        public var billableInInterval: Work

        public init(settledBefore: Work, billableInInterval: Work) {
            self.settledBefore = settledBefore
            self.billableInInterval = billableInInterval
        }
    }

    public var number: Int64
    public var run: Int64
    public var chunk: Int64
    /// When it was booked, and the time that it counts for.
    public var at: Timestamp
    public var valueAt: Timestamp
    public var code: ChargeCode
    /// Minutes since 1970, the end excluded.
    public var interval: Range<Int64>
    /// Taken back when negative.
    public var work: Work
    public var amounts: LineAmounts
    public var fromHold: Satoshis
    public var fromAvailable: Satoshis
    public var fromLoss: Satoshis
    /// What the market bears of negative proceeds.
    public var sellerShort: Satoshis
    /// Number of the credit; of that code only.
    public var credit: Int64?
    /// As it was settled last.
    public var delivery: Delivery
    public var algorithm: Algorithm
    /// Totals of the line's bid, ask, rig and tariff by the lines before it.
    public var before: BillingTotals
    public var account: Account
    /// From when on slots and shares are kept; what is older may be gone.
    public var slotsKeptFrom: Timestamp
    public var sharesKeptFrom: Timestamp

    public init(
        number: Int64, run: Int64, chunk: Int64, at: Timestamp, valueAt: Timestamp, code: ChargeCode, interval: Range<Int64>, work: Work,
        amounts: LineAmounts, fromHold: Satoshis, fromAvailable: Satoshis, fromLoss: Satoshis, sellerShort: Satoshis, credit: Int64?,
        delivery: Delivery, algorithm: Algorithm, before: BillingTotals, account: Account, slotsKeptFrom: Timestamp,
        sharesKeptFrom: Timestamp
    ) {
        self.number = number
        self.run = run
        self.chunk = chunk
        self.at = at
        self.valueAt = valueAt
        self.code = code
        self.interval = interval
        self.work = work
        self.amounts = amounts
        self.fromHold = fromHold
        self.fromAvailable = fromAvailable
        self.fromLoss = fromLoss
        self.sellerShort = sellerShort
        self.credit = credit
        self.delivery = delivery
        self.algorithm = algorithm
        self.before = before
        self.account = account
        self.slotsKeptFrom = slotsKeptFrom
        self.sharesKeptFrom = sharesKeptFrom
    }

    public var start: Timestamp { Timestamp(microseconds: interval.lowerBound * 60_000_000) }
    public var end: Timestamp { Timestamp(microseconds: interval.upperBound * 60_000_000) }
    /// Some of its slots may be gone.
    public var lacksSlots: Bool { start < slotsKeptFrom }
    /// Some of its shares may be gone.
    public var lacksShares: Bool { start < sharesKeptFrom }
}

/// A minute of the line's delivery.
public struct SlotEvidence: Hashable, Sendable {
    public var rig: RigID
    public var minute: Int64
    public var counts: SlotCounts
    /// Shares without a row of their own.
    public var unlogged: Int64

    public init(rig: RigID, minute: Int64, counts: SlotCounts, unlogged: Int64) {
        self.rig = rig
        self.minute = minute
        self.counts = counts
        self.unlogged = unlogged
    }
}

/// Names a batch.
public struct BatchPlace: Hashable, Comparable, Sendable {
    public var edge: Int64
    public var epoch: Int64
    public var sequence: Int64

    public init(edge: Int64, epoch: Int64, sequence: Int64) {
        self.edge = edge
        self.epoch = epoch
        self.sequence = sequence
    }

    public static func < (a: BatchPlace, b: BatchPlace) -> Bool {
        (a.edge, a.epoch, a.sequence) < (b.edge, b.epoch, b.sequence)
    }
}

/// A batch that brought shares of the line's interval.
public struct BatchEvidence: Hashable, Sendable {
    public var place: BatchPlace
    /// SHA-256 of the batch as it left the edge.
    public var digest: [UInt8]
    public var completeUntil: Timestamp
    public var appliedAt: Timestamp
    public var records: Int64
    /// Numbers of all its shares; nil: not known.
    public var shares: ClosedRange<Int64>?
    /// The delivery's shares of the interval in it; nil where batches are known by their time only.
    public var ofLine: Int64?

    public init(
        place: BatchPlace, digest: [UInt8], completeUntil: Timestamp, appliedAt: Timestamp, records: Int64,
        shares: ClosedRange<Int64>?, ofLine: Int64?
    ) {
        self.place = place
        self.digest = digest
        self.completeUntil = completeUntil
        self.appliedAt = appliedAt
        self.records = records
        self.shares = shares
        self.ofLine = ofLine
    }
}

/// Names a share in the order of receipt.
public struct SharePlace: Hashable, Sendable {
    public var receivedAt: Timestamp
    public var edge: Int64
    public var epoch: Int64
    public var number: Int64

    public init(receivedAt: Timestamp, edge: Int64, epoch: Int64, number: Int64) {
        self.receivedAt = receivedAt
        self.edge = edge
        self.epoch = epoch
        self.number = number
    }
}

/// A share's header, built again from its job.
public struct HeaderEvidence: Hashable, Sendable {
    public var poolTarget: PoolTargetID
    /// The pool's own name of the job.
    public var poolJob: [UInt8]
    /// The coinbase transaction, and the merkle root above it.
    public var coinbase: [UInt8]
    public var branches: [Hash256]
    public var merkleRoot: Hash256
    /// The 80 bytes that are hashed.
    public var header: [UInt8]
    /// Of the header, calculated now.
    public var hash: Hash256
    /// The target that was assigned with the job.
    public var target: Target

    public init(
        poolTarget: PoolTargetID, poolJob: [UInt8], coinbase: [UInt8], branches: [Hash256], merkleRoot: Hash256, header: [UInt8],
        hash: Hash256, target: Target
    ) {
        self.poolTarget = poolTarget
        self.poolJob = poolJob
        self.coinbase = coinbase
        self.branches = branches
        self.merkleRoot = merkleRoot
        self.header = header
        self.hash = hash
        self.target = target
    }

    public var meetsTarget: Bool { hash.meets(target) }
}

/// A share of the line's interval.
public struct ShareEvidence: Hashable, Sendable {
    public var place: SharePlace
    public var rig: RigID
    public var verdict: Verdict
    /// Assigned with its job: the work that it counts for when it is valid.
    public var difficulty: Work
    public var isBillable: Bool
    public var isForwarded: Bool
    public var poolReply: PoolReply?
    public var poolError: Int64?
    public var job: Int64
    public var extranonce2: [UInt8]
    public var ntime: UInt32
    public var nonce: UInt32
    public var version: UInt32
    /// As it was recorded, in internal order; empty when no header could be built.
    public var hash: [UInt8]
    /// nil when its job is not known or gone.
    public var header: HeaderEvidence?

    public init(
        place: SharePlace, rig: RigID, verdict: Verdict, difficulty: Work, isBillable: Bool, isForwarded: Bool, poolReply: PoolReply?,
        poolError: Int64?, job: Int64, extranonce2: [UInt8], ntime: UInt32, nonce: UInt32, version: UInt32, hash: [UInt8],
        header: HeaderEvidence?
    ) {
        self.place = place
        self.rig = rig
        self.verdict = verdict
        self.difficulty = difficulty
        self.isBillable = isBillable
        self.isForwarded = isForwarded
        self.poolReply = poolReply
        self.poolError = poolError
        self.job = job
        self.extranonce2 = extranonce2
        self.ntime = ntime
        self.nonce = nonce
        self.version = version
        self.hash = hash
        self.header = header
    }

    /// Whether the header, hashed again, is what was recorded, and is worth the difficulty that was credited.
    public var isProven: Bool? { header.map { $0.hash.bytes == hash && $0.meetsTarget } }
}

/// What is behind a bill, down to single headers.
public protocol SettlementEvidence: Sendable {
    /// nil when there is no such line.
    func line(_ number: Int64) async throws -> LineEvidence?
    /// By minute, after `minute`.
    func slots(of line: LineEvidence, after minute: Int64, limit: Int) async throws -> [SlotEvidence]
    /// By place, after `place`.
    func batches(of line: LineEvidence, after place: BatchPlace?, limit: Int) async throws -> [BatchEvidence]
    /// In the order of receipt, after `place`.
    func shares(of line: LineEvidence, after place: SharePlace?, limit: Int) async throws -> [ShareEvidence]
}
