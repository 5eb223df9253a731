internal import Settlement
public import Units

/// What is fixed about a market: sizes, limits, fees and times (design, section 4).
public struct MarketRules: Hashable, Sendable {
    /// Name of the algorithm's market, e.g. `SHA256D`: an ``Algorithm``'s raw value.
    public var symbol: String {
        didSet { algorithm = Algorithm(rawValue: symbol) ?? .sha256d }
    }
    /// What the market trades, by its symbol. Rules with another symbol have a ``flaw``.
    public private(set) var algorithm: Algorithm
    /// The smallest tradable hashrate.
    public var lot: Hashrate
    /// Prices are whole multiples of it.
    public var tick: Int64
    /// The hashrate that a price buys for a day.
    public var priceUnit: Hashrate
    /// The lowest and highest price an order may name.
    public var lowestPrice: Price
    public var highestPrice: Price
    /// The most lots one order may name.
    public var mostLots: Lots
    /// What a bid must at least be worth over one term, in satoshis.
    public var minimumOrderValue: Satoshis
    /// The longest time a delivery runs before both sides meet the book again.
    public var term: Interval
    /// The shortest time that a delivery may be shrunk to for want of funds.
    public var shortestTerm: Interval
    public var sellerFee: PartsPerMillion
    public var buyerFee: PartsPerMillion
    /// The lowest difficulty that edges assign.
    public var minimumDifficulty: ShareDifficulty
    /// The time between a rig's shares that edges aim at.
    public var shareInterval: Interval
    /// A rig that is away for longer ends its delivery.
    public var awayLimit: Interval
    /// A hold is given back this long after its delivery's end at the latest.
    public var holdLimit: Interval
    /// The smallest part of a rig that is sold, in millionths of what its ask offers; 1,000,000 sells rigs whole.
    public var smallestSlice: PartsPerMillion
    /// The most live orders an account may have.
    public var mostOrders: Int64

    public init(
        symbol: String, lot: Hashrate, tick: Int64, priceUnit: Hashrate, lowestPrice: Price, highestPrice: Price,
        mostLots: Lots, minimumOrderValue: Satoshis, term: Interval, shortestTerm: Interval,
        sellerFee: PartsPerMillion, buyerFee: PartsPerMillion, minimumDifficulty: ShareDifficulty,
        shareInterval: Interval, awayLimit: Interval, holdLimit: Interval,
        smallestSlice: PartsPerMillion = MarketRules.wholeRig, mostOrders: Int64 = MarketRules.usualMostOrders
    ) {
        self.symbol = symbol
        algorithm = Algorithm(rawValue: symbol) ?? .sha256d
        self.lot = lot
        self.tick = tick
        self.priceUnit = priceUnit
        self.lowestPrice = lowestPrice
        self.highestPrice = highestPrice
        self.mostLots = mostLots
        self.minimumOrderValue = minimumOrderValue
        self.term = term
        self.shortestTerm = shortestTerm
        self.sellerFee = sellerFee
        self.buyerFee = buyerFee
        self.minimumDifficulty = minimumDifficulty
        self.shareInterval = shareInterval
        self.awayLimit = awayLimit
        self.holdLimit = holdLimit
        self.smallestSlice = smallestSlice
        self.mostOrders = mostOrders
    }

    public static let wholeRig = PartsPerMillion(1_000_000)
    public static let usualMostOrders: Int64 = 100_000

    /// SHA256D: lots of 1 TH/s, prices per PH/s and day; rigs are sold in parts of 5 % or more.
    public static let sha256d = MarketRules(
        symbol: "SHA256D", lot: Hashrate(hashesPerSecond: 1_000_000_000_000), tick: 1,
        priceUnit: Hashrate(hashesPerSecond: 1_000_000_000_000_000), lowestPrice: Price(1),
        highestPrice: Price(100_000_000), mostLots: Lots(9_000_000), minimumOrderValue: Satoshis(1),
        term: .seconds(3600), shortestTerm: .seconds(60), sellerFee: PartsPerMillion(10_000),
        buyerFee: PartsPerMillion(10_000), minimumDifficulty: ShareDifficulty(units: 65_536),
        shareInterval: .seconds(5), awayLimit: .seconds(60), holdLimit: .day, smallestSlice: PartsPerMillion(50_000))

    /// A market for CPUs: lots of 100 kH/s, prices per MH/s and day, short terms, shares of a fraction of difficulty 1.
    public static let demo = MarketRules(
        symbol: "SHA256D", lot: Hashrate(hashesPerSecond: 100_000), tick: 1,
        priceUnit: Hashrate(hashesPerSecond: 1_000_000), lowestPrice: Price(1),
        highestPrice: Price(1_000_000_000_000), mostLots: Lots(1_000_000), minimumOrderValue: Satoshis(1),
        term: .seconds(20), shortestTerm: .seconds(5), sellerFee: PartsPerMillion(10_000),
        buyerFee: PartsPerMillion(10_000), minimumDifficulty: ShareDifficulty(units: 1),
        shareInterval: .milliseconds(500), awayLimit: .seconds(60), holdLimit: .day)

    /// Scrypt: lots of 1 MH/s, prices per GH/s and day.
    public static let scrypt = MarketRules(
        symbol: Algorithm.scrypt.rawValue, lot: Hashrate(hashesPerSecond: 1_000_000), tick: 1,
        priceUnit: Hashrate(hashesPerSecond: 1_000_000_000), lowestPrice: Price(1),
        highestPrice: Price(100_000_000), mostLots: Lots(9_000_000), minimumOrderValue: Satoshis(1),
        term: .seconds(3600), shortestTerm: .seconds(60), sellerFee: PartsPerMillion(10_000),
        buyerFee: PartsPerMillion(10_000), minimumDifficulty: ShareDifficulty(units: 16 * Algorithm.scrypt.unitsPerDifficulty),
        shareInterval: .seconds(5), awayLimit: .seconds(60), holdLimit: .day)

    /// Scrypt for CPUs: lots of 100 H/s, prices per kH/s and day, otherwise as ``demo``.
    public static let scryptDemo: MarketRules = {
        var rules = demo
        rules.symbol = Algorithm.scrypt.rawValue
        rules.lot = Hashrate(hashesPerSecond: 100)
        rules.priceUnit = Hashrate(hashesPerSecond: 1000)
        return rules
    }()

    /// The hashrate of some lots.
    ///
    /// - Precondition: `lots` is at most ``mostLots``
    public func hashrate(_ lots: Lots) -> Hashrate {
        Hashrate(hashesPerSecond: lots.rawValue * lot.hashesPerSecond)
    }

    /// The whole lots in a hashrate, rounded down, at most ``mostLots``.
    public func lots(in hashrate: Hashrate) -> Lots {
        min(Lots(hashrate.hashesPerSecond / lot.hashesPerSecond), mostLots)
    }

    /// The fewest lots that are sold of a rig which offers `offered`, rounded up.
    public func smallestPart(of offered: Lots) -> Lots { smallestSlice.smallestPart(of: offered) }

    /// Whether prices and lots mean the same under both: only then can rules follow others while orders stand.
    public func hasSameUnits(as other: MarketRules) -> Bool {
        symbol == other.symbol && lot == other.lot && priceUnit == other.priceUnit
    }

    /// The highest difficulty for a delivery: a share every two share intervals at the sold hashrate.
    public func highestDifficulty(_ sold: Hashrate) -> ShareDifficulty {
        let units = Tariff.work(sold, for: Interval(microseconds: shareInterval.microseconds * 2), algorithm: algorithm).units
        return ShareDifficulty(units: max(minimumDifficulty.units, units))
    }

    /// Why these rules cannot be a market's; nil when they can.
    public var flaw: String? {
        if symbol.isEmpty || symbol.utf8.count > 32 { return "symbol must have 1 to 32 bytes" }
        if Algorithm(rawValue: symbol) == nil { return "symbol must be one of \(Algorithm.allCases.map(\.rawValue))" }
        if lot.hashesPerSecond < 1 { return "lot must be at least 1 H/s" }
        if !(1...MarketRules.mostPriceUnit).contains(priceUnit.hashesPerSecond) {
            return "price unit must be 1 H/s to 1 EH/s"
        }
        if tick < 1 { return "tick must be at least 1" }
        if lowestPrice.rawValue < 1 || highestPrice < lowestPrice { return "price band is empty" }
        if !(1...MarketRules.mostLotsOfAnyMarket).contains(mostLots.rawValue) {
            return "an order must be allowed one lot, and at most a million million"
        }
        if mostLots.rawValue.multipliedReportingOverflow(by: lot.hashesPerSecond).overflow {
            return "the most lots are more hashes per second than can be counted"
        }
        if term.microseconds % 1_000_000 != 0 || shortestTerm.microseconds % 1_000_000 != 0 {
            return "terms must be whole seconds"
        }
        if shortestTerm < .seconds(1) || term > .day { return "terms must be a second to a day" }
        if term < shortestTerm { return "term must not be below the shortest term" }
        if !(0...1_000_000).contains(sellerFee.rawValue) || !(0...1_000_000).contains(buyerFee.rawValue) {
            return "fees must be 0 to 1,000,000 ppm"
        }
        if minimumDifficulty.units > MarketRules.mostMinimumDifficulty { return "minimum difficulty is too high" }
        if shareInterval < .milliseconds(100) || shareInterval > .seconds(60) {
            return "share interval must be 0.1 to 60 seconds"
        }
        if awayLimit < .zero || holdLimit < awayLimit { return "hold limit must not be below the away limit" }
        if holdLimit > MarketRules.longestHoldLimit { return "hold limit must be at most 366 days" }
        if !(1...1_000_000).contains(smallestSlice.rawValue) { return "the smallest slice must be 1 to 1,000,000 ppm" }
        if !(1...1_000_000).contains(mostOrders) { return "an account must be allowed 1 to 1,000,000 orders" }
        return nil
    }

    // Bounds that keep sums far from the ends of Int64 and Int128 (see `Tariff.charge`).
    private static let mostPriceUnit: Int64 = 1_000_000_000_000_000_000
    private static let mostLotsOfAnyMarket: Int64 = 1_000_000_000_000
    private static let mostMinimumDifficulty: Int64 = 1 << 52
    private static let longestHoldLimit = Interval.seconds(366 * 86_400)
}

extension PartsPerMillion {
    /// This part of some lots, rounded up, at least 1.
    func smallestPart(of offered: Lots) -> Lots {
        if self == MarketRules.wholeRig { return offered }
        return Lots(max(1, Int64(Rounding.up(Int128(offered.rawValue) * Int128(rawValue), by: 1_000_000))))
    }
}
