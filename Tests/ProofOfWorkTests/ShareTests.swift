import CHashing
import Crypto
import TestSupport
import Testing
import Units

@testable import ProofOfWork

/// A whole share by swift-crypto alone: the hash of its header.
private func oracleHash(_ header: BlockHeader, coinbase: [UInt8], branches: [[UInt8]]) -> Hash256? {
    let root = branches.reduce(oracle(coinbase)) { oracle($0 + $1) }
    let bytes = header.bytes
    return Hash256(bytes: oracle(bytes[..<36] + root + bytes[68...]))
}

@Suite struct ShareTests {
    /// Sizes around those of SHA-256's blocks, alone and together, on every way of computing it.
    @Test(arguments: HashingPath.allCases)
    func sharesAgreeWithSwiftCrypto(_ path: HashingPath) throws {
        var random = SeededRandom(of: "sharesAgreeWithSwiftCrypto")
        let edges = [0, 1, 31, 32, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 127, 128, 129, 183, 1000]
        for round in 0..<1500 {
            let sizes = (0..<3).map { _ in
                round % 2 == 0 ? edges.randomElement(using: &random) ?? 0 : Int.random(in: 0...300, using: &random)
            }
            let parts = sizes.map { random.bytes($0) }
            let branches = (0..<(round % 33)).map { _ in random.bytes(32) }
            let template = WorkTemplate(
                coinb1: parts[0], coinb2: parts[2], branches: branches.compactMap { Hash256(bytes: $0) },
                version: 1, previousBlock: try #require(Hash256(bytes: random.bytes(32))), nbits: 0x1d00_ffff)
            let header = BlockHeader(
                version: .random(in: 0 ... .max, using: &random), previousBlock: template.previousBlock, merkleRoot: .zero,
                ntime: .random(in: 0 ... .max, using: &random), nbits: template.nbits,
                nonce: .random(in: 0 ... .max, using: &random))
            let expected = try #require(oracleHash(header, coinbase: Array(parts.joined()), branches: branches))
            // Exactly at the hash, and one below it.
            let number = expected.number
            let below = Target(l0: number.l0 &- 1, l1: number.l1, l2: number.l2, l3: number.l3)
            for (target, meets) in [(number, true), (below, false)] where number.l0 > 0 {
                let check = template.check(
                    extranonces: parts[1], ntime: header.ntime, nonce: header.nonce, version: header.version,
                    assigned: target, algorithm: .sha256d, path: path)
                #expect(check.hash == expected, "sizes \(sizes), \(branches.count) branches")
                #expect(check.meetsShare == meets)
                #expect(check.meetsNetwork == expected.meets(try #require(Target(nbits: 0x1d00_ffff))))
            }
        }
    }

    @Test func theHeaderOfAShareHasItsRoot() throws {
        var random = SeededRandom(of: "theHeaderOfAShareHasItsRoot")
        for count in 0...12 {
            let parts = [0, 1, 2, 3].map { _ in random.bytes(Int.random(in: 0...150, using: &random)) }
            let branches = (0..<count).map { _ in random.bytes(32) }
            let template = WorkTemplate(
                coinb1: parts[0], coinb2: parts[3], branches: branches.compactMap { Hash256(bytes: $0) }, version: 1,
                previousBlock: .zero, nbits: 0x1d00_ffff)
            let header = template.header(
                extranonce1: parts[1], extranonce2: parts[2], ntime: 3, nonce: 4, version: 5)
            #expect(header.merkleRoot.bytes == branches.reduce(oracle(Array(parts.joined()))) { oracle($0 + $1) })
            for algorithm in Algorithm.allCases {
                let check = template.check(
                    extranonces: parts[1] + parts[2], ntime: 3, nonce: 4, version: 5, assigned: .max, algorithm: algorithm)
                #expect(check == ShareCheck(header, assigned: .max, algorithm: algorithm))
            }
        }
    }

    /// Merkle nodes one after the other, on each implementation by its number: those that the processor lacks fall back.
    @Test(arguments: [hashing_portable, hashing_sha_ni, hashing_sha_arm].map(\.rawValue))
    func rootsAgreeOnEveryImplementation(raw: UInt32) {
        var random = SeededRandom(of: "rootsAgreeOnEveryImplementation")
        for count in 0...32 {
            let coinbase = random.bytes(count * 7), branches = (0..<count).map { _ in random.bytes(32) }
            var prefix = hashing_context()
            hashing_init(&prefix)
            var root = [UInt8](repeating: 0, count: 32)
            let flat = Array(branches.joined())
            coinbase.withUnsafeBufferPointer { suffix in
                flat.withUnsafeBufferPointer { flat in
                    withUnsafePointer(to: prefix) { prefix in
                        var parts = hashing_coinbase(
                            prefix: prefix, extranonces: nil, extranonces_count: 0, suffix: suffix.baseAddress,
                            suffix_count: suffix.count, branches: flat.baseAddress, branch_count: count)
                        hashing_root(hashing_implementation(rawValue: raw), &parts, &root)
                    }
                }
            }
            #expect(root == branches.reduce(oracle(coinbase)) { oracle($0 + $1) }, "\(count) branches")
        }
    }

    /// The instructions of this machine are what was tested above, not a fall-back.
    @Test func theBestWayIsNamed() {
        #expect(HashingPath.portable.implementation == hashing_portable)
        #expect(HashingPath.best.implementation == hashing_best())
        print("SHA-256 here: \(HashingPath.best)")
    }
}
