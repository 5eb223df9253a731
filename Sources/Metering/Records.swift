public import BinaryCoding
public import Units

/// The market's own verdict on a share. It alone decides about billing (design, section 4).
public enum Verdict: UInt8, Sendable, CaseIterable {
    /// Verified and in time: work at the job's assigned difficulty.
    case valid = 1
    /// The job was no longer valid at its pool when the share was received.
    case stale = 2
    /// The same header hash came before.
    case duplicate = 3
    /// The hash does not meet the target assigned with the job.
    case lowDifficulty = 4
    /// Malformed, out of range, or for a job never sent.
    case invalid = 5
}

/// A job as it was issued to one or more rigs, kept so that the headers of its shares can be rebuilt.
public struct JobRecord: Hashable, Sendable {
    /// Number of the job on its edge and epoch, from 1 upwards.
    public var number: Int64
    public var target: PoolTargetID
    /// The pool's own name of the job.
    public var poolJobID: [UInt8]
    /// Everything before the pool's extranonce2: the pool's coinb1 and extranonce1.
    public var coinbasePrefix: [UInt8]
    public var coinbaseSuffix: [UInt8]
    /// 32 bytes each, one after the other.
    public var branches: [UInt8]
    /// In header order.
    public var previousHash: [UInt8]
    public var version: UInt32
    public var nbits: UInt32
    public var ntime: UInt32

    public init(
        number: Int64, target: PoolTargetID, poolJobID: [UInt8], coinbasePrefix: [UInt8], coinbaseSuffix: [UInt8],
        branches: [UInt8], previousHash: [UInt8], version: UInt32, nbits: UInt32, ntime: UInt32
    ) {
        self.number = number
        self.target = target
        self.poolJobID = poolJobID
        self.coinbasePrefix = coinbasePrefix
        self.coinbaseSuffix = coinbaseSuffix
        self.branches = branches
        self.previousHash = previousHash
        self.version = version
        self.nbits = nbits
        self.ntime = ntime
    }
}

/// One share that a rig submitted, with the verdict it got.
public struct ShareRecord: Hashable, Sendable {
    /// Number of the share on its edge and epoch, from 1 upwards; pool verdicts refer to it.
    public var number: Int64
    public var receivedAt: Timestamp
    public var rig: RigID
    /// The delivery whose job it is; nil for unsold work on the fallback pool.
    public var delivery: DeliveryID?
    /// ``JobRecord/number``; 0 when the job is not known.
    public var job: Int64
    public var verdict: Verdict
    /// Assigned with the job; the work credited when valid.
    public var difficulty: Work
    /// Whether the work counts towards the delivery's bill (false after its grace, and for unsold work).
    public var isBillable: Bool
    /// Whether it met the pool's target and was sent to the pool.
    public var isForwarded: Bool
    /// The full extranonce2 as the pool sees it.
    public var extranonce2: [UInt8]
    public var ntime: UInt32
    public var nonce: UInt32
    /// The header's version after rolling.
    public var version: UInt32
    /// Header hash, 32 bytes as hashed; empty when no header could be built.
    public var hash: [UInt8]

    public init(
        number: Int64, receivedAt: Timestamp, rig: RigID, delivery: DeliveryID?, job: Int64, verdict: Verdict,
        difficulty: Work, isBillable: Bool, isForwarded: Bool, extranonce2: [UInt8], ntime: UInt32, nonce: UInt32,
        version: UInt32, hash: [UInt8]
    ) {
        self.number = number
        self.receivedAt = receivedAt
        self.rig = rig
        self.delivery = delivery
        self.job = job
        self.verdict = verdict
        self.difficulty = difficulty
        self.isBillable = isBillable
        self.isForwarded = isForwarded
        self.extranonce2 = extranonce2
        self.ntime = ntime
        self.nonce = nonce
        self.version = version
        self.hash = hash
    }
}

/// What became of a forwarded share at its pool.
public enum PoolReply: UInt8, Sendable {
    case accepted = 1
    case rejected = 2
    /// The connection went before the pool answered.
    case unanswered = 3
}

/// A pool's answer to a forwarded share.
public struct PoolReplyRecord: Hashable, Sendable {
    /// ``ShareRecord/number`` of the share.
    public var share: Int64
    /// Received time of the share: its slot's minute.
    public var shareReceivedAt: Timestamp
    public var rig: RigID
    public var delivery: DeliveryID?
    public var reply: PoolReply
    /// The pool's error code; 0 when accepted or unanswered.
    public var errorCode: Int64

    public init(
        share: Int64, shareReceivedAt: Timestamp, rig: RigID, delivery: DeliveryID?, reply: PoolReply, errorCode: Int64
    ) {
        self.share = share
        self.shareReceivedAt = shareReceivedAt
        self.rig = rig
        self.delivery = delivery
        self.reply = reply
        self.errorCode = errorCode
    }
}

/// One entry of an edge's spool.
public enum MeterRecord: Hashable, Sendable {
    case job(JobRecord)
    case share(ShareRecord)
    case poolReply(PoolReplyRecord)
}

extension MeterRecord {
    /// Version of the binary form, the first byte of every encoded run of records.
    public static let codingVersion: UInt8 = 1

    public func encode(into writer: inout BinaryWriter) {
        switch self {
        case .job(let job):
            writer.write(UInt8(1))
            writer.write(job.number)
            writer.write(job.target.rawValue)
            writer.write(job.poolJobID)
            writer.write(job.coinbasePrefix)
            writer.write(job.coinbaseSuffix)
            writer.write(job.branches)
            writer.write(job.previousHash)
            writer.writeFixed(job.version)
            writer.writeFixed(job.nbits)
            writer.writeFixed(job.ntime)
        case .share(let share):
            writer.write(UInt8(2))
            writer.write(share.number)
            writer.write(share.receivedAt.microseconds)
            writer.write(share.rig.rawValue)
            writer.write(share.delivery?.rawValue ?? 0)
            writer.write(share.job)
            writer.write(share.verdict.rawValue)
            writer.write(share.difficulty.units)
            writer.write(UInt8((share.isBillable ? 1 : 0) | (share.isForwarded ? 2 : 0)))
            writer.write(share.extranonce2)
            writer.writeFixed(share.ntime)
            writer.writeFixed(share.nonce)
            writer.writeFixed(share.version)
            writer.write(share.hash)
        case .poolReply(let reply):
            writer.write(UInt8(3))
            writer.write(reply.share)
            writer.write(reply.shareReceivedAt.microseconds)
            writer.write(reply.rig.rawValue)
            writer.write(reply.delivery?.rawValue ?? 0)
            writer.write(reply.reply.rawValue)
            writer.write(reply.errorCode)
        }
    }

    public init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        switch try reader.readByte() {
        case 1:
            self = .job(JobRecord(
                number: try reader.readInt64(), target: PoolTargetID(try reader.readInt64()),
                poolJobID: try reader.readBytes(), coinbasePrefix: try reader.readBytes(),
                coinbaseSuffix: try reader.readBytes(), branches: try reader.readBytes(),
                previousHash: try reader.readBytes(), version: try reader.readFixed(),
                nbits: try reader.readFixed(), ntime: try reader.readFixed()))
        case 2:
            self = .share(try ShareRecord(from: &reader))
        case 3:
            let share = try reader.readInt64()
            let receivedAt = Timestamp(microseconds: try reader.readInt64())
            let rig = RigID(try reader.readInt64())
            let delivery = try reader.readDelivery()
            let tag = try reader.readByte()
            guard let reply = PoolReply(rawValue: tag) else { throw .unknownTag(tag) }
            self = .poolReply(PoolReplyRecord(
                share: share, shareReceivedAt: receivedAt, rig: rig, delivery: delivery, reply: reply,
                errorCode: try reader.readInt64()))
        case let tag:
            throw .unknownTag(tag)
        }
    }
}

extension ShareRecord {
    /// More than one share can stand for (9 EH/s for half a minute): keeps sums of slots within Int64.
    public static let mostDifficulty = Work(units: 1 << 52)

    fileprivate init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        let number = try reader.readInt64()
        let receivedAt = Timestamp(microseconds: try reader.readInt64())
        let rig = RigID(try reader.readInt64())
        let delivery = try reader.readDelivery()
        let job = try reader.readInt64()
        let tag = try reader.readByte()
        guard let verdict = Verdict(rawValue: tag) else { throw .unknownTag(tag) }
        let difficulty = try reader.readInt64()
        guard (0...ShareRecord.mostDifficulty.units).contains(difficulty) else { throw .outOfRange }
        let flags = try reader.readByte()
        guard flags <= 3 else { throw .unknownTag(flags) }
        self.init(
            number: number, receivedAt: receivedAt, rig: rig, delivery: delivery, job: job, verdict: verdict,
            difficulty: Work(units: difficulty), isBillable: flags & 1 != 0, isForwarded: flags & 2 != 0,
            extranonce2: try reader.readBytes(), ntime: try reader.readFixed(), nonce: try reader.readFixed(),
            version: try reader.readFixed(), hash: try reader.readBytes())
    }
}

extension BinaryReader {
    /// A delivery's number, where 0 stands for none.
    fileprivate mutating func readDelivery() throws(BinaryCodingError) -> DeliveryID? {
        let raw = try readInt64()
        return raw == 0 ? nil : DeliveryID(raw)
    }
}

/// What an edge hands to the database, at least once, and what is applied there exactly once.
public struct SealedBatch: Hashable, Sendable {
    public var edge: EdgeID
    /// Allotted by the database when the edge's spool is created.
    public var epoch: Int64
    /// 1, 2, 3 ... without gaps within an epoch.
    public var sequence: Int64
    /// Every share that the edge received before this time is in this batch or an earlier one.
    public var completeUntil: Timestamp
    public var records: [MeterRecord]

    public init(edge: EdgeID, epoch: Int64, sequence: Int64, completeUntil: Timestamp, records: [MeterRecord]) {
        self.edge = edge
        self.epoch = epoch
        self.sequence = sequence
        self.completeUntil = completeUntil
        self.records = records
    }

    /// The bytes whose digest names this batch's content.
    public func encoded() -> [UInt8] {
        var writer = BinaryWriter(reservingCapacity: 64 + records.count * 128)
        writer.write(MeterRecord.codingVersion)
        writer.write(edge.rawValue)
        writer.write(epoch)
        writer.write(sequence)
        writer.write(completeUntil.microseconds)
        writer.writeUnsigned(UInt64(records.count))
        for record in records { record.encode(into: &writer) }
        return writer.bytes
    }

    public init(decoding bytes: [UInt8]) throws(BinaryCodingError) {
        var reader = BinaryReader(bytes)
        let version = try reader.readByte()
        guard version == MeterRecord.codingVersion else { throw .unknownVersion(version) }
        edge = EdgeID(try reader.readInt64())
        epoch = try reader.readInt64()
        sequence = try reader.readInt64()
        completeUntil = Timestamp(microseconds: try reader.readInt64())
        let count = try reader.readCount()
        records = []
        records.reserveCapacity(min(count, 1024))
        for _ in 0..<count { records.append(try MeterRecord(from: &reader)) }
        try reader.finish()
    }
}
