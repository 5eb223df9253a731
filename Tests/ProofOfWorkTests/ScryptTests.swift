import Crypto
import CryptoExtras
import ProofOfWork
import TestSupport
import Testing
import Units

@Suite struct ScryptTests {
    /// RFC 7914, section 12, the first vector: what the library computes is scrypt.
    @Test func theLibraryAgreesWithTheRFC() throws {
        let key = try KDF.Scrypt.deriveKey(
            from: [UInt8](), salt: [UInt8](), outputByteCount: 64, rounds: 16, blockSize: 1, parallelism: 1)
        let expected = "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
            + "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        #expect(key.withUnsafeBytes { Array($0) } == unhex(expected))
    }

    /// Litecoin's first block.
    @Test func litecoinsGenesisMeetsItsTarget() throws {
        let root = try #require(unhex("97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9"))
        let header = BlockHeader(
            version: 1, previousBlock: .zero, merkleRoot: try #require(Hash256(bytes: root.reversed())),
            ntime: 1_317_972_665, nbits: 0x1e0f_fff0, nonce: 2_084_524_493)
        #expect(
            SHA256D.hash(header).description == "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2")
        #expect(
            Scrypt.hash(header).description == "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00")
        let check = ShareCheck(header, assigned: Algorithm.scrypt.target(of: Algorithm.scrypt.difficultyOne), algorithm: .scrypt)
        #expect(check.meetsNetwork)
        #expect(check.meetsShare)
        // Found by scanning, like a share.
        let target = try #require(header.networkTarget)
        let scanner = NonceScanner(header: header, target: target, algorithm: .scrypt)
        #expect(scanner.scan(from: header.nonce - 20, count: 25) == ([header.nonce], 25))
    }

    /// Headers of Litecoin's chain with their proof-of-work hashes.
    @Test(arguments: [
        (
            "020000004c1271c211717198227392b029a64a7971931d351b387bb80db027f270411e398a07046f7d4a08dd815412a8712f874a7ebf0507e38"
                + "78bd24e20a3b73fd750a667d2f451eac7471b00de6659",
            "00000000002bef4107f882f6115e0b01f348d21195dacd3582aa2dabd7985806"
        ),
        (
            "0200000011503ee6a855e900c00cfdd98f5f55fffeaee9b6bf55bea9b852d9de2ce35828e204eef76acfd36949ae56d1fbe81c1ac9c0209e633"
                + "1ad56414f9072506a77f8c6faf551eac7471b00389d01",
            "00000000003a0d11bdd5eb634e08b7feddcfbbf228ed35d250daf19f1c88fc94"
        ),
        (
            "02000000a72c8a177f523946f42f22c3e86b8023221b4105e8007e59e81f6beb013e29aaf635295cb9ac966213fb56e046dc71df5b3f7f67cea"
                + "eab24038e743f883aff1aaafaf551eac7471b0166249b",
            "00000000000b40f895f288e13244728a6c2d9d59d8aff29c65f8dd5114a8ca81"
        ),
    ])
    func blocksHashAsPublished(_ hex: String, _ hash: String) throws {
        let header = try #require(unhex(hex).flatMap { BlockHeader(bytes: $0) })
        #expect(Scrypt.hash(header).description == hash)
        #expect(ShareCheck(header, assigned: .zero, algorithm: .scrypt).meetsNetwork)
    }

    @Test func aScanFindsExactlyWhatHashesBelow() {
        let header = BlockHeader(version: 7, previousBlock: .zero, merkleRoot: .zero, ntime: 9, nbits: 0x1d00_ffff, nonce: 0)
        let target = Target(l0: 0, l1: 0, l2: 0, l3: .max / 8)
        let scanner = NonceScanner(header: header, target: target, algorithm: .scrypt)
        let start = UInt32.max - 30
        let expected = (0..<UInt32(64)).map { start &+ $0 }.filter { scanner.hash(nonce: $0).meets(target) }
        #expect(!expected.isEmpty)
        let (found, tried) = scanner.scan(from: start, count: 64)
        #expect(tried == 64)
        #expect(found == expected)
    }

    @Test func aScanEndsAfterSixteen() {
        let header = BlockHeader(version: 7, previousBlock: .zero, merkleRoot: .zero, ntime: 9, nbits: 0x1d00_ffff, nonce: 0)
        let (found, tried) = NonceScanner(header: header, target: .max, algorithm: .scrypt).scan(from: 5, count: 100)
        #expect(found == Array(5..<21))
        #expect(tried == 16)
    }
}
