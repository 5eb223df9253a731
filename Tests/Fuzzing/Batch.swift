import BinaryCoding
import Metering
import Units

/// A sealed batch: hostile bytes are refused, and what is read has only these bytes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBatch(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeRawBufferPointer(start: start, count: count))
    guard let batch = try? SealedBatch(decoding: bytes) else { return 0 }
    require(batch.encoded() == bytes, "a batch is written with other bytes than it was read from")
    for case .share(let share) in batch.records {
        require((0...ShareRecord.mostDifficulty.units).contains(share.difficulty.units), "a share of impossible work")
    }
    return 0
}

private func seeds() -> [[UInt8]] {
    let time = Timestamp(microseconds: 1_800_000_000_000_000)
    let job = JobRecord(
        number: 1, target: PoolTargetID(3), poolJobID: [0x61], coinbasePrefix: [1, 0, 0, 0], coinbaseSuffix: [0xff],
        branches: Array(repeating: 7, count: 64), previousHash: Array(repeating: 9, count: 32), version: 0x2000_0000,
        nbits: 0x1d00_ffff, ntime: 1_700_000_000)
    let shares = [Verdict.valid, .stale, .duplicate, .lowDifficulty, .invalid].enumerated().map { number, verdict in
        MeterRecord.share(ShareRecord(
            number: Int64(number) + 1, receivedAt: time, rig: RigID(5), delivery: number % 2 == 0 ? DeliveryID(8) : nil,
            job: 1, verdict: verdict, difficulty: Work(units: 65_536 << Int64(number)), isBillable: number == 0,
            isForwarded: number < 2, extranonce2: [0, 0, 1, 2, 3, 4, 5, 6], ntime: 1_700_000_001, nonce: .max,
            version: 0x2000_2000, hash: Array(repeating: UInt8(number), count: 32)))
    }
    let reply = MeterRecord.poolReply(PoolReplyRecord(
        share: 1, shareReceivedAt: time, rig: RigID(5), delivery: DeliveryID(8), reply: .rejected, errorCode: 23))
    return [[], [.job(job)], shares, [.job(job)] + shares + [reply]].map {
        SealedBatch(edge: EdgeID(1), epoch: 2, sequence: 3, completeUntil: time, records: $0).encoded()
    }
}

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<CInt>, _ arguments: UnsafeRawPointer) -> CInt {
    writeSeedsIfAsked(seeds())
    return 0
}
