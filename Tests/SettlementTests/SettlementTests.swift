import Settlement
import TestSupport
import Testing
import Units

/// The formulas of the design's section 4 on their own, in 256 bits.
private enum Plain {
    static func charge(_ n: UInt128, _ unit: Int64, _ algorithm: Algorithm) -> (floor: Int64, isExact: Bool) {
        let hashes: UInt128 = algorithm == .scrypt ? 256 : 65_536
        let divisor = UInt128(unit) * 86_400
        let (quotient, rest) = divisor.dividingFullWidth(n.multipliedFullWidth(by: hashes))
        return (Int64(quotient), rest == 0)
    }

    static func fee(_ charge: Int64, _ ppm: Int64) -> Int64 { Int64(Int128(charge) * Int128(ppm) / 1_000_000) }
}

@Suite struct TariffTests {
    @Test func aDayOfThePriceUnitCostsThePrice() {
        for algorithm in Algorithm.allCases {
            let unit = Hashrate(hashesPerSecond: algorithm.hashesPerUnit * 1000)
            let work = Tariff.work(unit, for: .day, algorithm: algorithm)
            #expect(work.units == 86_400_000)
            let day = Int128(work.units) * 777
            #expect(Tariff.charge(weightedWork: day, priceUnit: unit, algorithm: algorithm) == Satoshis(777))
            #expect(Tariff.charge(weightedWork: day - 1, priceUnit: unit, algorithm: algorithm) == Satoshis(776))
        }
    }

    @Test func theCapIsFivePercentAndTheAllowance() {
        let rate = Hashrate(hashesPerSecond: 65_536)
        #expect(Tariff.workCap(rate, elapsed: .seconds(100), allowance: Work(units: 7), algorithm: .sha256d) == Work(units: 112))
        #expect(Tariff.workCap(rate, elapsed: .seconds(0), allowance: Work(units: 7), algorithm: .sha256d) == Work(units: 7))
        #expect(Tariff.workCap(rate, elapsed: .seconds(-5), allowance: Work(units: 7), algorithm: .sha256d) == Work(units: 7))
        let most = Work(units: .max)
        #expect(Tariff.workCap(Hashrate(hashesPerSecond: .max), elapsed: .day, allowance: most, algorithm: .sha256d) == most)
    }

    @Test func whatIsMoreThanAllBitcoinHasNoDebit() {
        let terms = Terms(
            price: Price(.max), priceUnit: Hashrate(hashesPerSecond: 1), sellerFee: PartsPerMillion(0),
            buyerFee: PartsPerMillion(1_000_000))
        #expect(Tariff.mostDebit(for: Work(units: .max), terms: terms, algorithm: .sha256d) == nil)
        #expect(Tariff.mostDebit(for: .zero, terms: terms, algorithm: .sha256d) == .zero)
    }

    /// However the work is cut up and in whatever order it comes, a pair's totals and the holds are the same.
    @Test(arguments: Seeds.list(8))
    func totalsAreTheFormula(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for round in 0..<300 {
            let algorithm = random.pick(Algorithm.allCases)
            let unit = random.pick([1_000_000, 1_000_000_007, 1_000_000_000_000_000, 1_000_000_000_000_000_000])
            let sellerFee = PartsPerMillion(random.int64(0...1_000_000)), buyerFee = PartsPerMillion(random.int64(0...1_000_000))
            // Deliveries of one pair: each a price and its chunks of work.
            var lines: [(Price, Work)] = []
            var n: UInt128 = 0
            for _ in 0..<random.int(1...4) {
                let terms = Terms(
                    price: Price(random.int64(1...random.pick([10, 1_000_000, 100_000_000_000]))),
                    priceUnit: Hashrate(hashesPerSecond: Int64(unit)), sellerFee: sellerFee, buyerFee: buyerFee)
                let most = random.pick([100, 1_000_000, 1_000_000_000_000]) as Int64
                for _ in 0..<random.int(1...6) {
                    let work = Work(units: random.int64(0...most))
                    guard Tariff.mostDebit(for: work, terms: terms, algorithm: algorithm) != nil else { continue }
                    lines.append((terms.price, work))
                    n += UInt128(terms.price.rawValue) * UInt128(work.units)
                }
            }
            let expected = Plain.charge(n, Int64(unit), algorithm).floor
            guard expected < Int64.max / 2 else { continue }
            lines.shuffle(using: &random)
            var totals = BillingTotals(), charges = Satoshis.zero, debits = Satoshis.zero, proceeds = Satoshis.zero
            for (price, work) in lines {
                let terms = Terms(
                    price: price, priceUnit: Hashrate(hashesPerSecond: Int64(unit)), sellerFee: sellerFee, buyerFee: buyerFee)
                let line = totals.add(work, terms: terms, algorithm: algorithm)
                try #require(min(line.charge, line.sellerFee, line.buyerFee, line.proceeds) >= .zero)
                try #require(line.debit == line.charge + line.buyerFee)
                try #require(line.charge == line.proceeds + line.sellerFee)
                let most = try #require(Tariff.mostDebit(for: work, terms: terms, algorithm: algorithm))
                try #require(line.debit <= most, "seed \(seed), round \(round): a hold of \(most) does not cover \(line)")
                charges += line.charge
                debits += line.debit
                proceeds += line.proceeds
            }
            try #require(charges.rawValue == expected, "seed \(seed), round \(round)")
            try #require(totals.charge == charges)
            try #require(debits.rawValue == expected + Plain.fee(expected, buyerFee.rawValue))
            try #require(proceeds.rawValue == expected - Plain.fee(expected, sellerFee.rawValue))
        }
    }

    @Test(arguments: Seeds.list(4))
    func theMostDebitRoundsBothPartsUp(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            let algorithm = random.pick(Algorithm.allCases)
            let unit = random.pick([1_000_000, 1_000_000_000_000_000]) as Int64
            let terms = Terms(
                price: Price(random.int64(1...1_000_000_000)), priceUnit: Hashrate(hashesPerSecond: unit),
                sellerFee: PartsPerMillion(0), buyerFee: PartsPerMillion(random.int64(0...1_000_000)))
            let work = Work(units: random.int64(0...1_000_000_000_000))
            guard let most = Tariff.mostDebit(for: work, terms: terms, algorithm: algorithm) else { continue }
            let (floor, isExact) = Plain.charge(UInt128(terms.price.rawValue) * UInt128(work.units), unit, algorithm)
            let charge = floor + (isExact ? 0 : 1)
            let fee = Int128(charge) * Int128(terms.buyerFee.rawValue)
            try #require(most.rawValue == charge + Int64((fee + 999_999) / 1_000_000))
        }
    }
}
