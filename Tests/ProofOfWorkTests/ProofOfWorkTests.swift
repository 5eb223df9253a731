import CHashing
import Crypto
import TestSupport
import Testing
import Units

@testable import ProofOfWork

let implementations: [hashing_implementation] = [hashing_portable, hashing_sha_ni]

func oracle(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: Array(SHA256.hash(data: bytes)))) }

@Test(arguments: implementations.map(\.rawValue))
func doubleHashAgreesWithSwiftCrypto(raw: UInt32) {
    let with = hashing_implementation(rawValue: raw)
    var random = SeededRandom(of: "doubleHashAgreesWithSwiftCrypto")
    for length in Array(0...200) + [1000, 4096, 65_537] {
        let bytes = random.bytes(length)
        var digest = [UInt8](repeating: 0, count: 32)
        hashing_double(with, bytes, bytes.count, &digest)
        #expect(digest == oracle(bytes), "length \(length)")

        var context = hashing_context()
        hashing_init(&context)
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Int.random(in: 1...130, using: &random)))
            hashing_update(with, &context, part, part.count)
            rest = rest.dropFirst(part.count)
        }
        hashing_finish_double(with, &context, &digest)
        #expect(digest == oracle(bytes), "length \(length) in parts")
    }
}

@Test(arguments: implementations.map(\.rawValue))
func scanFindsExactlyTheNoncesBelow(raw: UInt32) throws {
    let with = hashing_implementation(rawValue: raw)
    var random = SeededRandom(of: "scanFindsExactlyTheNoncesBelow")
    for count in [0, 1, 2, 3, 777] as [UInt64] {
        let header = random.bytes(80)
        let start = UInt32.max - UInt32.random(in: 0...500, using: &random)
        let high = UInt64.max / 50
        var midstate = [UInt32](repeating: 0, count: 8)
        hashing_midstate(with, header, &midstate)
        var found = [UInt32](repeating: 0, count: 1000)
        var tried: UInt64 = 0
        let hits = hashing_scan(with, midstate, Array(header[64..<76]), start, count, high, &found, 1000, &tried)
        let expected = (0..<count).map { start &+ UInt32($0) }.filter { nonce in
            let tail = (0..<4).map { UInt8(truncatingIfNeeded: nonce >> UInt32(8 * $0)) }
            return Hash256(bytes: oracle(header[..<76] + tail)).map { $0.l3 <= high } ?? false
        }
        #expect(tried == count)
        #expect(Array(found[..<hits]) == expected)
    }
}

@Test func realHeadersHashToTheirBlocks() throws {
    for line in try Vectors.text("headers.csv").split(separator: "\n").dropFirst() {
        let fields = line.split(separator: ",")
        let bytes = try #require(unhex(fields[1]))
        let header = try #require(BlockHeader(bytes: bytes))
        #expect(header.bytes == unhex(fields[1]))
        #expect(SHA256D.hash(header).description == String(fields[2]))
        let check = ShareCheck(header, assigned: ShareDifficulty(units: 65_536).target)
        #expect(check.meetsNetwork)
        #expect(check.meetsShare)
    }
}

@Test func scannerFindsTheGenesisNonce() throws {
    let line = try #require(try Vectors.text("headers.csv").split(separator: "\n").dropFirst().first)
    let bytes = try #require(unhex(line.split(separator: ",")[1]))
    let header = try #require(BlockHeader(bytes: bytes))
    let target = try #require(header.networkTarget)
    let scanner = NonceScanner(header: header, target: target)
    let (found, tried) = scanner.scan(from: header.nonce - 100_000, count: 200_000)
    #expect(found == [header.nonce])
    #expect(tried == 200_000)
}

@Test func merkleRootOfTwoLevels() {
    var random = SeededRandom(of: "merkleRootOfTwoLevels")
    let nodes = (0..<3).map { _ in random.bytes(32) }
    let expected = oracle(oracle(nodes[0] + nodes[1]) + nodes[2])
    let hashes = nodes.compactMap { Hash256(bytes: $0) }
    #expect(DoubleSHA256.merkleRoot(coinbase: hashes[0], branches: [hashes[1], hashes[2]]).bytes == expected)
    #expect(DoubleSHA256.merkleRoot(coinbase: hashes[0], branches: []) == hashes[0])
}

@Test func templateHashesTheWholeCoinbase() {
    var random = SeededRandom(of: "templateHashesTheWholeCoinbase")
    for _ in 0..<200 {
        let parts = [0, 1, 2, 3].map { _ in random.bytes(Int.random(in: 0...150, using: &random)) }
        let template = WorkTemplate(
            coinb1: parts[0], coinb2: parts[3], branches: [], version: 1, previousBlock: .zero, nbits: 0x1d00_ffff)
        #expect(template.coinbase(extranonce1: parts[1], extranonce2: parts[2]).bytes == oracle(Array(parts.joined())))
    }
}

@Test func difficultyOfATargetIsTheInverse() {
    var random = SeededRandom(of: "difficultyOfATargetIsTheInverse")
    for _ in 0..<500 {
        let units = Int64.random(in: 1...(1 << Int64.random(in: 1...60, using: &random)), using: &random)
        let target = ShareDifficulty(units: units).target
        // Rounding the target down can only raise the quotient, by less than one part in the target.
        #expect(target.difficultyUnits >= units)
        #expect(target.difficultyUnits <= units + 1)
    }
    #expect(Target.max.difficultyUnits == 0)
    #expect(Target.zero.difficultyUnits == .max)
    #expect(Target(l0: 1, l1: 0, l2: 0, l3: 0).difficultyUnits == .max)
}

@Test func scanSpeedIsReported() throws {
    let header = BlockHeader(version: 1, previousBlock: .zero, merkleRoot: .zero, ntime: 0, nbits: 0x1d00_ffff, nonce: 0)
    let scanner = NonceScanner(header: header, target: .zero)
    let clock = ContinuousClock()
    let time = clock.measure { #expect(scanner.scan(from: 0, count: 1_000_000).tried == 1_000_000) }
    print("scan: \(1.0 / (time / .seconds(1))) MH/s")
}
