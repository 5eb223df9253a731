import NIOCore
import NIOEmbedded
import NIOTestUtils
import ProofOfWork
import StratumLines
import TestSupport
import Testing
import Units

@testable import Miner
@testable import MiningPool
@testable import Stratum

@Test func linesAreCutByteByByteAndAllAtOnce() throws {
    try ByteToMessageDecoderVerifier.verifyDecoder(
        stringInputOutputPairs: [("a\n", ["a"]), ("\n", [""]), ("b\r\nc\n", ["b\r", "c"]), ("0123456789\n", ["0123456789"])].map {
            ($0.0, $0.1.map { ByteBuffer(string: $0) })
        }, decoderFactory: { LineDecoder(limit: 11) })
}

@Test(arguments: ["01234567890\n", "012345678901234"])
func longLinesAreErrors(text: String) {
    let channel = EmbeddedChannel(handler: ByteToMessageHandler(LineDecoder(limit: 11)))
    #expect(throws: LineDecoder.LineTooLong.self) { try channel.writeInbound(ByteBuffer(string: text)) }
    _ = try? channel.finish()
}

@Test func threadsNeverHashTheSameHeader() {
    for mask in [0, 0x6000] as [UInt32] {
        var spaces = (0..<3).map { SearchSpace(thread: $0, threads: 3, extranonce2Size: 1, versionMask: mask) }
        var seen = Set<[UInt64]>()
        for index in spaces.indices {
            while let row = spaces[index].next() {
                #expect(seen.insert([UInt64(row.extranonce2[0]), UInt64(row.versionBits ?? 0), UInt64(row.firstNonce)]).inserted)
                #expect(row.firstNonce == UInt32(UInt64(index) * row.nonceCount))
                #expect(UInt64(row.firstNonce) + row.nonceCount <= 1 << 32)
            }
        }
        #expect(seen.count == 3 * 256 * (mask == 0 ? 1 : 4))
    }
}

@Test func extranonce2StartsAtZero() {
    var space = SearchSpace(thread: 0, threads: 1, extranonce2Size: 4, versionMask: 0)
    #expect(space.next() == .init(extranonce2: [0, 0, 0, 0], versionBits: nil, firstNonce: 0, nonceCount: 1 << 32))
    #expect(space.next()?.extranonce2 == [1, 0, 0, 0])
    #expect(SearchSpace.spread(0b101, over: 0x1fff_e000) == 0xa000)
    #expect(SearchSpace.spread(.max, over: 0x1fff_e000) == 0x1fff_e000)
}

@Test func waitsDoubleUpToTheirBound() {
    var random = SeededRandom(of: "waitsDoubleUpToTheirBound")
    var configuration = MinerConfiguration(pool: PoolAddress(host: "h", port: 1), user: "u")
    configuration.maximalBackoff = .seconds(8)
    var backoff = Backoff(configuration)
    for expected in [1, 2, 4, 8, 8, 8] {
        let wait = backoff.next(using: &random)
        #expect(wait >= .milliseconds(expected * 750) && wait <= .milliseconds(expected * 1250))
    }
    backoff.reset()
    #expect(backoff.next(using: &random) <= .milliseconds(1250))
}

@Test func poolsJobsAreWellFormed() {
    var factory = JobFactory(seed: 5, nbits: 0x1d00_ffff, extranonceSize: 12)
    var again = JobFactory(seed: 5, nbits: 0x1d00_ffff, extranonceSize: 12)
    for i in 0..<50 {
        let job = factory.next(newBlock: i % 5 == 0, clock: 1_700_000_000)
        #expect(job == again.next(newBlock: i % 5 == 0, clock: 1_700_000_000))
        let script = Int(job.coinb1[41])
        // The script ends where the sequence begins.
        #expect(42 + script == job.coinb1.count + 12 + "/hashspot/".utf8.count)
        #expect(script <= 100)
        var session = PoolSession(.init(user: "u", password: ""))
        _ = session.start(at: Timestamp(microseconds: 0))
        _ = session.receive(Array("{\"id\":2,\"result\":[[],\"01020304\",8],\"error\":null}".utf8), at: Timestamp(microseconds: 0))
        guard case .job(let read) = session.receive(Line.notify(job), at: Timestamp(microseconds: 0)) else {
            Issue.record("not read back")
            return
        }
        #expect(read.job == job)
    }
}

@Test func sharesAreJudged() throws {
    var factory = JobFactory(seed: 5, nbits: 0x1d00_ffff, extranonceSize: 12)
    let job = factory.next(newBlock: true, clock: 1000)
    let template = WorkTemplate(
        coinb1: job.coinb1, coinb2: job.coinb2, branches: job.branches, version: job.version,
        previousBlock: job.previousBlock, nbits: job.nbits)
    let difficulty = try #require(DecimalDifficulty(mantissa: 1, scale: 6))
    let issued = IssuedJob(
        job: job, template: template, target: difficulty.target, difficulty: difficulty, extranonce1: [1, 2, 3, 4],
        extranonce2Size: 8)
    let zeros = [UInt8](repeating: 0, count: 8)
    let header = template.header(
        extranonce1: [1, 2, 3, 4], extranonce2: zeros, ntime: 1000, nonce: 0, version: job.version)
    let found = NonceScanner(header: header, target: difficulty.target).scan(from: 0, count: 1 << 22).found
    let nonce = try #require(found.first)
    var share = Submission(worker: "w", jobID: job.id, extranonce2: zeros, ntime: 1000, nonce: nonce)
    var ledger = PoolLedger()
    func judge(_ share: Submission, _ issued: IssuedJob?, refuse: Bool = false) -> Int? {
        ledger.judge(share, issued: issued, mask: 0x1fff_e000, latestTime: 2000, refuse: refuse)?.code
    }
    #expect(judge(share, nil) == 21)
    #expect(judge(share, issued) == nil)
    #expect(judge(share, issued) == 22)
    share.nonce = nonce == 0 ? 1 : nonce - 1
    #expect(judge(share, issued) == 23)
    share.nonce = nonce
    share.ntime = 999
    #expect(judge(share, issued) == 20)
    share.ntime = 2001
    #expect(judge(share, issued) == 20)
    share.ntime = 1000
    share.versionBits = 0x4000_0000
    #expect(judge(share, issued) == 20)
    share.versionBits = nil
    share.extranonce2 = [0]
    #expect(judge(share, issued) == 20)
    let worker = try #require(ledger.workers["w"])
    #expect(worker.accepted == 1)
    #expect(worker.rejected == ["20": 4, "21": 1, "22": 1, "23": 1])
}

@Test(arguments: [
    ("stratum+tcp://pool.example:3333", "pool.example", 3333), ("tcp://1.2.3.4:1", "1.2.3.4", 1), ("h:65535/", "h", 65_535),
    ("stratum+tcp://[::1]:3333", "::1", 3333),
])
func addressesAreRead(text: String, host: String, port: Int) throws {
    #expect(try PoolAddress(parsing: text) == PoolAddress(host: host, port: port))
}

@Test(arguments: ["stratum+ssl://h:1", "stratum+tls://h:1", "SSL://h:1", "tls://h:1/"])
func addressesWithTLSAreRead(text: String) throws {
    let address = try PoolAddress(parsing: text)
    #expect(address == PoolAddress(host: "h", port: 1, usesTLS: true))
    #expect(address != PoolAddress(host: "h", port: 1))
    #expect(try PoolAddress(parsing: address.description) == address)
}

@Test(arguments: [
    "", "http://h:1", "h", "h:0", "h:65536", "h:x", ":1", "::1:3333", "[::1]", "[::1", "h h:1", "https://h:1", "stratum+ssl://h", "h:+1", "h:",
])
func wrongAddressesAreRefused(text: String) {
    #expect(throws: PoolAddress.ParseError.self) { try PoolAddress(parsing: text) }
}
