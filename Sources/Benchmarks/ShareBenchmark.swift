internal import Crypto
internal import ProofOfWork
internal import Units

/// Measures the full check of one share: a coinbase of 250 bytes, 12 branches, the header, two targets.
public struct ShareBenchmark: Sendable {
    public var shares: Int
    public var runs: Int

    public init(shares: Int = 100_000, runs: Int = 5) {
        self.shares = max(100, shares)
        self.runs = max(1, runs)
    }

    /// The processor's instructions (where it has them), portable C, swift-crypto, and scrypt.
    public func run() -> [BenchmarkReport] {
        let job = BenchmarkJob()
        var reports: [BenchmarkReport] = []
        if HashingPath.best == .instructions {
            reports.append(measure("sha instructions", shares) { job.check($0, .sha256d, .instructions) })
        }
        reports.append(measure("portable", shares) { job.check($0, .sha256d, .portable) })
        reports.append(measure("swift-crypto", shares) { job.checkBySwiftCrypto($0) })
        reports.append(measure("scrypt", shares / 100) { job.check($0, .scrypt, .instructions) })
        return reports
    }

    /// Whether all ways came to the same hashes, in every run.
    public static func agree(_ reports: [BenchmarkReport]) -> Bool {
        !reports.contains { $0.check == "runs differ" }
            && Set(reports.filter { $0.variant != "scrypt" }.map(\.check)).count == 1
    }

    private struct Run {
        var nanoseconds: UInt64
        var processor: UInt64
        var digest: UInt64
    }

    private func measure(_ variant: String, _ count: Int, _ check: (UInt32) -> ShareCheck) -> BenchmarkReport {
        _ = run(count / 10, check)
        let runs = (0..<runs).map { _ in run(count, check) }.sorted { $0.nanoseconds < $1.nanoseconds }
        let median = runs[runs.count / 2]
        var report = BenchmarkReport(
            bench: "share", variant: variant, operations: count,
            opsPerSecond: Double(count) / Double(max(1, median.nanoseconds)) * 1e9,
            cpuUsPerOp: Double(median.processor) / Double(count) / 1e3, rssBytes: Stopwatch.residentBytes())
        let digits = String(median.digest, radix: 16)
        report.check = Set(runs.map(\.digest)).count == 1 ? "hashes=" + digits : "runs differ"
        addLatencies(count, check, &report)
        return report
    }

    private func run(_ count: Int, _ check: (UInt32) -> ShareCheck) -> Run {
        var digest: UInt64 = 0
        let processor = Stopwatch.processor(), start = Stopwatch.now()
        for share in 0..<UInt32(count) { digest = digest &* 31 &+ ShareBenchmark.part(check(share)) }
        let end = Stopwatch.now()
        return Run(nanoseconds: end - start, processor: Stopwatch.processor() - processor, digest: digest)
    }

    private static func part(_ check: ShareCheck) -> UInt64 {
        check.hash.l0 ^ check.hash.l3 &+ (check.meetsShare ? 1 : 0) &+ (check.meetsNetwork ? 2 : 0)
    }

    private func addLatencies(_ count: Int, _ check: (UInt32) -> ShareCheck, _ report: inout BenchmarkReport) {
        var samples = Samples(capacity: count), digest: UInt64 = 0
        for share in 0..<UInt32(count) {
            let start = Stopwatch.now()
            digest ^= ShareBenchmark.part(check(share))
            samples.add(Stopwatch.now() &- start)
        }
        report.p50us = samples.quantile(0.5) / 1e3
        report.p99us = samples.quantile(0.99) / 1e3
        report.p999us = samples.quantile(0.999) / 1e3
        report.extras["timerNs"] = Stopwatch.ownCost()
        if digest == 0 { report.extras["empty"] = 1 }
    }
}

/// A job as pools send it, and shares for it that differ in their extranonce2, time and nonce.
private struct BenchmarkJob {
    private let coinb1 = BenchmarkJob.bytes(110, 1)
    private let coinb2 = BenchmarkJob.bytes(132, 2)
    private let branches: [Hash256]
    private let template: WorkTemplate
    private let assigned = Algorithm.sha256d.target(of: ShareDifficulty(units: 4))
    private let nbits: UInt32 = 0x1702_7df6
    private let time: UInt32 = 1_700_000_000

    init() {
        branches = (0..<12).compactMap { Hash256(bytes: BenchmarkJob.bytes(32, 3 + $0)) }
        template = WorkTemplate(
            coinb1: coinb1, coinb2: coinb2, branches: branches, version: 0x2000_0000,
            previousBlock: DoubleSHA256.hash(BenchmarkJob.bytes(80, 99)), nbits: nbits)
    }

    /// Any bytes, always the same.
    private static func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ 1) &* 167 &+ seed &* 59) }
    }

    private func extranonces(_ share: UInt32) -> [UInt8] {
        [0, 1, 2, 3] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: share >> $0) }
    }

    func check(_ share: UInt32, _ algorithm: Algorithm, _ path: HashingPath) -> ShareCheck {
        template.check(
            extranonces: extranonces(share), ntime: time &+ share & 0xfff, nonce: share &* 0x9e37_79b1, version: 0x2000_0000,
            assigned: assigned, algorithm: algorithm, path: path)
    }

    /// As one would write it with the library alone.
    func checkBySwiftCrypto(_ share: UInt32) -> ShareCheck {
        var hasher = SHA256()
        hasher.update(data: coinb1)
        hasher.update(data: extranonces(share))
        hasher.update(data: coinb2)
        var node = hasher.finalize().withUnsafeBytes { SHA256.hash(bufferPointer: $0) }
        for branch in branches {
            var pair = SHA256()
            node.withUnsafeBytes { pair.update(bufferPointer: $0) }
            withUnsafeBytes(of: branch) { pair.update(bufferPointer: $0) }
            node = pair.finalize().withUnsafeBytes { SHA256.hash(bufferPointer: $0) }
        }
        let header = BlockHeader(
            version: template.version, previousBlock: template.previousBlock, merkleRoot: Hash256(bytes: node) ?? .zero,
            ntime: time &+ share & 0xfff, nbits: nbits, nonce: share &* 0x9e37_79b1)
        let hash = header.withBytes { bytes in
            SHA256.hash(bufferPointer: bytes).withUnsafeBytes { SHA256.hash(bufferPointer: $0) }
        }
        let number = Hash256(bytes: hash) ?? .zero
        return ShareCheck(number, assigned: assigned, network: template.networkTarget)
    }
}

extension SHA256 {
    fileprivate static func hash(bufferPointer: UnsafeRawBufferPointer) -> SHA256Digest {
        var hasher = SHA256()
        hasher.update(bufferPointer: bufferPointer)
        return hasher.finalize()
    }
}
