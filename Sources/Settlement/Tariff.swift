public import Units

/// The price, fees and limits that a delivery keeps from its fill to its last bill.
public struct Terms: Hashable, Sendable {
    public var price: Price
    /// The hashrate that the price buys for a day (u in the design's formula).
    public var priceUnit: Hashrate
    /// Taken out of the seller's proceeds.
    public var sellerFee: PartsPerMillion
    /// On top of the buyer's charge.
    public var buyerFee: PartsPerMillion

    public init(price: Price, priceUnit: Hashrate, sellerFee: PartsPerMillion, buyerFee: PartsPerMillion) {
        self.price = price
        self.priceUnit = priceUnit
        self.sellerFee = sellerFee
        self.buyerFee = buyerFee
    }
}

/// What a settlement line moves. Debit = charge + buyerFee; charge = proceeds + sellerFee.
public struct LineAmounts: Hashable, Sendable {
    public var charge: Satoshis
    public var sellerFee: Satoshis
    public var buyerFee: Satoshis

    public init(charge: Satoshis, sellerFee: Satoshis, buyerFee: Satoshis) {
        self.charge = charge
        self.sellerFee = sellerFee
        self.buyerFee = buyerFee
    }

    public var proceeds: Satoshis { charge - sellerFee }
    public var debit: Satoshis { charge + buyerFee }
}

/// Cumulative totals of one (bid, ask, rig) over all its deliveries: the only state that rounding needs.
public struct BillingTotals: Hashable, Sendable {
    /// N: the sum of price x work units.
    public var weightedWork: Int128 = 0
    public var charge: Satoshis = .zero
    public var sellerFee: Satoshis = .zero
    public var buyerFee: Satoshis = .zero

    public init() {}

    public init(weightedWork: Int128, charge: Satoshis, sellerFee: Satoshis, buyerFee: Satoshis) {
        self.weightedWork = weightedWork
        self.charge = charge
        self.sellerFee = sellerFee
        self.buyerFee = buyerFee
    }

    /// Adds newly billable work at its delivery's terms, or takes some back, and returns what it moves.
    ///
    /// charge = floor(N x h / (u x 86400)), h the algorithm's hashes per unit; fees = floor(cumulative charge x ppm /
    /// 10^6). Rounding down the cumulative sums favours the buyer by less than a satoshi per (bid, ask, rig) in all.
    ///
    /// - Precondition: no more is taken back than was added
    public mutating func add(_ work: Work, terms: Terms, algorithm: Algorithm) -> LineAmounts {
        weightedWork += Int128(terms.price.rawValue) * Int128(work.units)
        precondition(weightedWork >= 0, "no more work is taken back than was billed")
        let newCharge = Tariff.charge(weightedWork: weightedWork, priceUnit: terms.priceUnit, algorithm: algorithm)
        let newSellerFee = Tariff.fee(newCharge, terms.sellerFee)
        let newBuyerFee = Tariff.fee(newCharge, terms.buyerFee)
        let line = LineAmounts(
            charge: newCharge - charge, sellerFee: newSellerFee - sellerFee, buyerFee: newBuyerFee - buyerFee)
        (charge, sellerFee, buyerFee) = (newCharge, newSellerFee, newBuyerFee)
        return line
    }
}

/// The market's arithmetic (design, section 4, "Amounts" and "Billing"): the only place that rounds.
public enum Tariff {
    static let secondsPerDay: Int128 = 86_400

    /// floor(N x h / (u x 86400)), h the algorithm's hashes per unit, reduced by 128 so that N may be as large as all the bitcoin charged a
    /// hundred times over at a price unit of 1 EH/s.
    public static func charge(weightedWork: Int128, priceUnit: Hashrate, algorithm: Algorithm) -> Satoshis {
        let divisor = Int128(priceUnit.hashesPerSecond) * (secondsPerDay / 128)
        return Satoshis(Int64(Rounding.down(weightedWork * Int128(algorithm.hashesPerUnit / 128), by: divisor)))
    }

    /// floor(amount x ppm / 10^6)
    public static func fee(_ amount: Satoshis, _ rate: PartsPerMillion) -> Satoshis {
        Satoshis(Int64(Rounding.down(Int128(amount.rawValue) * Int128(rate.rawValue), by: 1_000_000)))
    }

    /// The most that `work` more can debit the buyer, whatever came before: both parts rounded up.
    ///
    /// nil when that is more than all the bitcoin there can be.
    public static func mostDebit(for work: Work, terms: Terms, algorithm: Algorithm) -> Satoshis? {
        let divisor = Int128(terms.priceUnit.hashesPerSecond) * secondsPerDay
        let (weighted, overflow) = (Int128(terms.price.rawValue) * Int128(work.units))
            .multipliedReportingOverflow(by: Int128(algorithm.hashesPerUnit))
        guard !overflow else { return nil }
        let charge = Rounding.up(weighted, by: divisor)
        guard charge <= Int128(Satoshis.supply.rawValue) else { return nil }
        let fee = Rounding.up(charge * Int128(terms.buyerFee.rawValue), by: 1_000_000)
        guard charge + fee <= Int128(Satoshis.supply.rawValue) else { return nil }
        return Satoshis(Int64(charge + fee))
    }

    /// The work that a hashrate does in a time, rounded down to units.
    public static func work(_ hashrate: Hashrate, for time: Interval, algorithm: Algorithm) -> Work {
        let hashes = Int128(hashrate.hashesPerSecond) * Int128(max(0, time.microseconds))
        return Work(units: Int64(clamping: Rounding.down(hashes, by: Int128(algorithm.hashesPerUnit) * 1_000_000)))
    }

    /// The most cumulative work of a delivery that is billed after `elapsed`: sold hashrate x time x 1.05, plus an
    /// allowance for luck.
    public static func workCap(_ sold: Hashrate, elapsed: Interval, allowance: Work, algorithm: Algorithm) -> Work {
        let hashes = Int128(sold.hashesPerSecond) * Int128(max(0, elapsed.microseconds)) * 105
        let units = Rounding.down(hashes, by: Int128(algorithm.hashesPerUnit) * 100_000_000)
        return Work(units: Int64(clamping: units + Int128(allowance.units)))
    }
}
