import ProofOfWork
import TestSupport
import Testing
import Units

@testable import Stratum

func randomJob(_ random: inout SeededRandom) -> Job {
    let branches = (0..<Int.random(in: 0...12, using: &random)).compactMap { _ in Hash256(bytes: random.bytes(32)) }
    return Job(
        id: "job", previousBlock: Hash256(bytes: random.bytes(32)) ?? .zero,
        coinb1: random.bytes(Int.random(in: 40...200, using: &random)),
        coinb2: random.bytes(Int.random(in: 10...300, using: &random)), branches: branches,
        version: UInt32.random(in: 0 ... .max, using: &random), nbits: 0x1d00_ffff, ntime: 1_700_000_000,
        cleanJobs: Bool.random(using: &random))
}

@Test func rigAndPoolHashTheSameCoinbase() throws {
    var random = SeededRandom(of: "rigAndPoolHashTheSameCoinbase")
    for _ in 0..<300 {
        let layout = ExtranonceLayout(
            extranonce1Size: Int.random(in: 1...3, using: &random), extranonce2Size: Int.random(in: 2...5, using: &random))
        let size = Int.random(in: layout.byteCount...20, using: &random)
        let first = random.bytes(Int.random(in: 0...8, using: &random))
        let fold = try CoinbaseFold(layout: layout, poolExtranonce1: first, poolExtranonce2Size: size)
        let job = randomJob(&random)
        let epoch = UInt64.random(in: 0..<fold.epochCapacity, using: &random)
        let folded = try #require(fold.fold(job, id: "ours", epoch: epoch))
        let rig1 = random.bytes(layout.extranonce1Size), rig2 = random.bytes(layout.extranonce2Size)
        let pool2 = try #require(fold.poolExtranonce2(epoch: epoch, rigExtranonce1: rig1, rigExtranonce2: rig2))
        #expect(pool2.count == size)
        #expect(folded.coinb1 + rig1 + rig2 + folded.coinb2 == job.coinb1 + first + pool2 + job.coinb2)
        let rigHeader = WorkTemplate(folded).header(
            extranonce1: rig1, extranonce2: rig2, ntime: 1, nonce: 2, version: 3)
        let poolHeader = WorkTemplate(job).header(
            extranonce1: first, extranonce2: pool2, ntime: 1, nonce: 2, version: 3)
        #expect(rigHeader == poolHeader)
        var same = folded
        (same.id, same.coinb1) = (job.id, job.coinb1)
        #expect(same == job)
    }
}

@Test func epochsGiveDifferentCoinbases() throws {
    let fold = try CoinbaseFold(poolExtranonce1: [1], poolExtranonce2Size: 7)
    #expect(fold.epochCapacity == 256)
    let seen = Set((0..<256).compactMap { fold.poolExtranonce2(epoch: $0, rigExtranonce1: [1, 2], rigExtranonce2: [0, 0, 0, 0]) })
    #expect(seen.count == 256)
    #expect(fold.poolExtranonce2(epoch: 256, rigExtranonce1: [1, 2], rigExtranonce2: [0, 0, 0, 0]) == nil)
    #expect(fold.poolExtranonce2(epoch: 0, rigExtranonce1: [1, 2], rigExtranonce2: [0]) == nil)
}

@Test func foldingHasItsLimits() throws {
    #expect(throws: FoldError.extranonce2TooSmall(needs: 6, has: 5)) {
        try CoinbaseFold(poolExtranonce1: [1], poolExtranonce2Size: 5)
    }
    let tight = try CoinbaseFold(poolExtranonce1: [], poolExtranonce2Size: 6)
    #expect(tight.paddingSize == 0)
    #expect(tight.epochCapacity == 1)
    var random = SeededRandom(of: "foldingHasItsLimits")
    let job = randomJob(&random)
    #expect(tight.fold(job, id: job.id, epoch: 0) == job)
    #expect(tight.fold(job, id: job.id, epoch: 1) == nil)
    #expect(try CoinbaseFold(poolExtranonce1: [], poolExtranonce2Size: 32).epochCapacity == .max)
}
