import TestSupport
import Testing
import Units

@Suite struct AlgorithmTests {
    @Test func conventionsAreThePools() throws {
        #expect(
            Algorithm.sha256d.target(of: Algorithm.sha256d.difficultyOne).description
                == "00000000ffff0000000000000000000000000000000000000000000000000000")
        // Pools of scrypt count 65,536 times finer.
        #expect(
            Algorithm.scrypt.target(of: Algorithm.scrypt.difficultyOne).description
                == "0000ffff00000000000000000000000000000000000000000000000000000000")
        for algorithm in Algorithm.allCases {
            #expect(algorithm.target(of: .one) == algorithm.target(of: algorithm.difficultyOne))
            #expect(algorithm.wholeUnits(of: .one) == algorithm.unitsPerDifficulty)
            #expect(algorithm.decimal(algorithm.difficultyOne) == .one)
            #expect(algorithm.hashesPerUnit % 128 == 0)
            #expect(Algorithm(rawValue: algorithm.description) == algorithm)
        }
        #expect(Algorithm.sha256d.hashesPerUnit * Algorithm.sha256d.unitsPerDifficulty == 1 << 32)
        #expect(Algorithm.scrypt.hashesPerUnit * Algorithm.scrypt.unitsPerDifficulty == 65_536)
        #expect(Algorithm.scrypt.decimal(ShareDifficulty(units: 1)).description == "0.00390625")
        #expect(Algorithm.scrypt.decimal(ShareDifficulty(units: 256 * 1000)).description == "1000")
        let thousandth = try #require(DecimalDifficulty(mantissa: 1, scale: 3))
        #expect(Algorithm.scrypt.wholeUnits(of: thousandth) == 0)
        #expect(Algorithm.sha256d.wholeUnits(of: thousandth) == 65)
    }

    /// The same hashes mean the same target, whatever the algorithm's units.
    @Test func targetsFollowFromHashes() {
        var random = SeededRandom(of: "targetsFollowFromHashes")
        for _ in 0..<200 {
            let units = Int64.random(in: 1...(1 << Int64.random(in: 1...50, using: &random)), using: &random)
            let ratio = Algorithm.sha256d.hashesPerUnit / Algorithm.scrypt.hashesPerUnit
            #expect(
                Algorithm.sha256d.target(of: ShareDifficulty(units: units))
                    == Algorithm.scrypt.target(of: ShareDifficulty(units: units * ratio)))
        }
    }

    @Test(arguments: Algorithm.allCases)
    func whatIsSentMeansWhatIsCredited(_ algorithm: Algorithm) {
        var random = SeededRandom(of: "whatIsSentMeansWhatIsCredited")
        for _ in 0..<500 {
            // What is assigned is a whole difficulty, or less than one.
            let one = algorithm.unitsPerDifficulty
            let difficulty = ShareDifficulty(
                units: Bool.random(using: &random) ? .random(in: 1...one, using: &random)
                    : one * .random(in: 1...0x7fff_ffff, using: &random))
            let sent = algorithm.decimal(difficulty)
            #expect(algorithm.wholeUnits(of: sent) == difficulty.units)
            #expect(algorithm.target(of: sent) == algorithm.target(of: difficulty))
            let back = algorithm.units(of: algorithm.target(of: difficulty))
            #expect(back >= difficulty.units)
            #expect(back <= difficulty.units + 1)
        }
    }

    @Test(arguments: Algorithm.allCases)
    func extremesSaturate(_ algorithm: Algorithm) throws {
        #expect(algorithm.units(of: .zero) == .max)
        #expect(algorithm.units(of: Target(l0: 1, l1: 0, l2: 0, l3: 0)) == .max)
        #expect(algorithm.units(of: .max) == 0)
        let least = try #require(DecimalDifficulty(mantissa: 1, scale: 18))
        #expect(algorithm.target(of: least) == .max)
        #expect(algorithm.wholeUnits(of: least) == 0)
        let most = try #require(DecimalDifficulty(mantissa: .max, scale: 0))
        #expect(algorithm.wholeUnits(of: most) == .max)
        #expect(algorithm.target(of: most) > .zero)
        _ = algorithm.decimal(ShareDifficulty(units: .max)).description
    }

    /// mantissa x 256^(exponent - 3), digit by digit.
    @Test func compactTargetsAreTheirNumbers() {
        let mantissas: [UInt32] = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x01_0000, 0x7f_ffff, 0x80_0000, 0x80_0001, 0xff_ffff]
        for exponent in UInt32(0)...255 {
            for mantissa in mantissas {
                var bytes = [UInt8](repeating: 0, count: 300)
                for place in 0..<3 where Int(exponent) - 3 + place >= 0 {
                    bytes[Int(exponent) - 3 + place] = UInt8(truncatingIfNeeded: mantissa >> UInt32(8 * place))
                }
                let isNegative = mantissa & 0x80_0000 != 0
                let isUsable = !isNegative && bytes.contains { $0 != 0 } && !bytes[32...].contains { $0 != 0 }
                let expected = isUsable ? Hash256(bytes: bytes[..<32])?.number : nil
                #expect(Target(nbits: exponent << 24 | mantissa) == expected, "\(exponent) \(mantissa)")
            }
        }
    }
}
