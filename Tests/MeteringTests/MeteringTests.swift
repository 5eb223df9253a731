import BinaryCoding
import Metering
import TestSupport
import Testing
import Units

private struct RandomRecords {
    var random: SeededRandom

    mutating func next() -> MeterRecord {
        switch random.int(1...3) {
        case 1:
            return .job(JobRecord(
                number: random.hostileInt64(), target: PoolTargetID(random.hostileInt64()),
                poolJobID: random.bytes(random.int(0...20)), coinbasePrefix: random.bytes(random.int(0...200)),
                coinbaseSuffix: random.bytes(random.int(0...200)), branches: random.bytes(32 * random.int(0...12)),
                previousHash: random.bytes(32), version: UInt32(truncatingIfNeeded: random.next()),
                nbits: UInt32(truncatingIfNeeded: random.next()), ntime: UInt32(truncatingIfNeeded: random.next())))
        case 2:
            return .share(ShareRecord(
                number: random.hostileInt64(), receivedAt: Timestamp(microseconds: random.int64(0...300_000_000)),
                rig: RigID(random.int64(1...3)), delivery: random.chance(70) ? DeliveryID(random.int64(1...3)) : nil,
                job: random.int64(0...5), verdict: random.pick(Verdict.allCases),
                difficulty: Work(units: random.pick([0, 1, 65_536, ShareRecord.mostDifficulty.units])),
                isBillable: random.chance(50), isForwarded: random.chance(50), extranonce2: random.bytes(random.int(0...8)),
                ntime: UInt32(truncatingIfNeeded: random.next()), nonce: UInt32(truncatingIfNeeded: random.next()),
                version: UInt32(truncatingIfNeeded: random.next()), hash: random.bytes(random.chance(80) ? 32 : 0)))
        default:
            return .poolReply(PoolReplyRecord(
                share: random.hostileInt64(), shareReceivedAt: Timestamp(microseconds: random.int64(0...300_000_000)),
                rig: RigID(random.int64(1...3)), delivery: random.chance(70) ? DeliveryID(random.int64(1...3)) : nil,
                reply: random.pick([.accepted, .rejected, .unanswered]), errorCode: random.hostileInt64()))
        }
    }

    mutating func batch(_ count: Int) -> SealedBatch {
        SealedBatch(
            edge: EdgeID(random.hostileInt64()), epoch: random.hostileInt64(), sequence: random.hostileInt64(),
            completeUntil: Timestamp(microseconds: random.hostileInt64()), records: (0..<count).map { _ in next() })
    }
}

@Suite struct SealedBatchTests {
    @Test(arguments: Seeds.list(4))
    func batchesComeBack(_ seed: UInt64) throws {
        var records = RandomRecords(random: SeededRandom(seed: seed))
        for count in 0..<40 {
            let batch = records.batch(count)
            try #require(try SealedBatch(decoding: batch.encoded()) == batch, "seed \(seed)")
        }
    }

    @Test(arguments: Seeds.list(4))
    func everyTruncationIsRefused(_ seed: UInt64) {
        var records = RandomRecords(random: SeededRandom(seed: seed))
        let bytes = records.batch(6).encoded()
        for count in 0..<bytes.count {
            #expect(throws: BinaryCodingError.self) { try SealedBatch(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: BinaryCodingError.trailingBytes(1)) { try SealedBatch(decoding: bytes + [0]) }
    }

    @Test(arguments: Seeds.list(4))
    func hostileBytesNeverTrap(_ seed: UInt64) throws {
        var records = RandomRecords(random: SeededRandom(seed: seed))
        let good = records.batch(8).encoded()
        for _ in 0..<4000 {
            var bytes = good
            for _ in 0..<records.random.int(1...4) {
                bytes[records.random.int(0...bytes.count - 1)] = UInt8(truncatingIfNeeded: records.random.next())
            }
            if records.random.chance(20) { bytes = [MeterRecord.codingVersion] + records.random.bytes(60) }
            // What decodes can be metered and comes back as it was.
            guard let batch = try? SealedBatch(decoding: bytes) else { continue }
            _ = Meter(batch.records)
            try #require(try SealedBatch(decoding: batch.encoded()) == batch)
        }
    }

    @Test func unknownVersionsAndAbsurdWorkAreRefused() {
        #expect(throws: BinaryCodingError.unknownVersion(9)) { try SealedBatch(decoding: [9, 0, 0, 0, 0, 0]) }
        for units in [Int64.min, -1, ShareRecord.mostDifficulty.units + 1, .max] {
            let share = ShareRecord(
                number: 1, receivedAt: Timestamp(microseconds: 0), rig: RigID(1), delivery: nil, job: 0, verdict: .valid,
                difficulty: Work(units: units), isBillable: false, isForwarded: false, extranonce2: [], ntime: 0, nonce: 0,
                version: 0, hash: [])
            let batch = SealedBatch(
                edge: EdgeID(1), epoch: 1, sequence: 1, completeUntil: Timestamp(microseconds: 0), records: [.share(share)])
            #expect(throws: BinaryCodingError.outOfRange) { try SealedBatch(decoding: batch.encoded()) }
        }
    }
}

@Suite struct MeterTests {
    private func share(
        _ verdict: Verdict, second: Int64 = 0, delivery: Int64? = 1, billable: Bool = true, forwarded: Bool = false
    ) -> MeterRecord {
        .share(ShareRecord(
            number: 1, receivedAt: Timestamp(microseconds: second * 1_000_000), rig: RigID(1),
            delivery: delivery.map { DeliveryID($0) }, job: 1, verdict: verdict, difficulty: Work(units: 10),
            isBillable: billable, isForwarded: forwarded, extranonce2: [], ntime: 0, nonce: 0, version: 0, hash: []))
    }

    @Test func onlyValidBillableWorkCounts() throws {
        let meter = Meter([
            share(.valid), share(.valid, billable: false, forwarded: true), share(.stale), share(.duplicate),
            share(.lowDifficulty), share(.invalid), share(.valid, second: 60), share(.valid, delivery: nil),
        ])
        #expect(meter.slots.count == 3)
        let slot = try #require(meter.slots[SlotKey(delivery: DeliveryID(1), rig: RigID(1), minute: 0)])
        #expect(slot.validShares == 2 && slot.validWork == Work(units: 20) && slot.billableWork == Work(units: 10))
        #expect(slot.staleShares == 1 && slot.staleWork == Work(units: 10) && slot.forwardedShares == 1)
        #expect(slot.duplicateShares == 1 && slot.lowDifficultyShares == 1 && slot.invalidShares == 1)
    }

    @Test(arguments: Seeds.list(4))
    func sumsDoNotDependOnOrderOrBatches(_ seed: UInt64) {
        var records = RandomRecords(random: SeededRandom(seed: seed))
        let all = (0..<400).map { _ in records.next() }
        let whole = Meter(all).slots
        let shuffled = all.shuffled(using: &records.random)
        #expect(Meter(shuffled).slots == whole, "seed \(seed)")
        var sum: [SlotKey: SlotCounts] = [:]
        var rest = shuffled[...]
        while !rest.isEmpty {
            let part = rest.prefix(records.random.int(1...50))
            for (key, counts) in Meter(part).slots { sum[key, default: SlotCounts()] += counts }
            rest = rest.dropFirst(part.count)
        }
        #expect(sum == whole, "seed \(seed)")
    }
}
