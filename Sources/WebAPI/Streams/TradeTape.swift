internal import Exchange
internal import Units

/// Lengths of candles. All divide a day and begin at whole multiples since 1970 in UTC.
enum CandleInterval: String, CaseIterable, Hashable, Sendable {
    case oneMinute = "1m"
    case fiveMinutes = "5m"
    case quarter = "15m"
    case hour = "1h"
    case fourHours = "4h"
    case day = "1d"

    var minutes: Int64 {
        switch self {
        case .oneMinute: 1
        case .fiveMinutes: 5
        case .quarter: 15
        case .hour: 60
        case .fourHours: 240
        case .day: 1440
        }
    }

    static var byCode: [String: CandleInterval] { Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) }) }
}

/// The trades of an interval.
struct Candle: Hashable, Sendable {
    /// Minutes since 1970.
    var start: Int64
    var open: Price
    var high: Price
    var low: Price
    var close: Price
    var lots: Int128
    /// Sum of price times lots.
    var turnover: Int128
    var trades: Int64
    /// By which open and close are known, whatever the order in which trades come.
    private var first: DeliveryID
    private var last: DeliveryID

    init(_ trade: Trade, start: Int64) {
        self.start = start
        (open, high, low, close) = (trade.price, trade.price, trade.price, trade.price)
        lots = Int128(trade.lots.rawValue)
        turnover = Int128(trade.price.rawValue) * Int128(trade.lots.rawValue)
        trades = 1
        (first, last) = (trade.delivery, trade.delivery)
    }

    mutating func add(_ trade: Trade) {
        if trade.delivery < first { (first, open) = (trade.delivery, trade.price) }
        if trade.delivery > last { (last, close) = (trade.delivery, trade.price) }
        high = max(high, trade.price)
        low = min(low, trade.price)
        lots += Int128(trade.lots.rawValue)
        turnover += Int128(trade.price.rawValue) * Int128(trade.lots.rawValue)
        trades += 1
    }

    /// Volume-weighted, rounded down to a whole satoshi.
    var averagePrice: Int64 { Int64(turnover / lots) }
}

/// The last candles of every length. Intervals without trades have none.
struct CandleSeries: Sendable {
    static let most = 1500

    private var series: [CandleInterval: [Candle]] = [:]

    /// By time, oldest first.
    func candles(_ interval: CandleInterval) -> [Candle] { series[interval] ?? [] }

    /// Trades may come in any order, each once.
    mutating func add(_ trade: Trade) {
        for interval in CandleInterval.allCases {
            let start = trade.at.minute / interval.minutes * interval.minutes
            CandleSeries.add(trade, start, to: &series[interval, default: []])
        }
    }

    /// Whether an older trade would not be kept by any series.
    func isFull(before time: Timestamp) -> Bool {
        CandleInterval.allCases.allSatisfy { interval in
            let candles = series[interval] ?? []
            return candles.count >= CandleSeries.most && time.minute < candles[0].start
        }
    }

    /// O(1) for the newest and the oldest interval, else O(candles)
    private static func add(_ trade: Trade, _ start: Int64, to candles: inout [Candle]) {
        let place: Int
        if let last = candles.last, last.start <= start {
            place = last.start == start ? candles.count - 1 : candles.count
        } else {
            place = candles.firstIndex { $0.start >= start } ?? candles.count
        }
        if place < candles.count, candles[place].start == start {
            candles[place].add(trade)
            return
        }
        if place == 0, candles.count >= most { return }
        candles.insert(Candle(trade, start: start), at: place)
        if candles.count > most { candles.removeFirst(candles.count - most) }
    }
}

/// Trades as the market publishes them: the last ones, and what they add up to.
struct TradeTape: Sendable {
    /// Trades that are kept one by one.
    static let most = 2000

    /// By number; at least the last ``most`` that are known, at most twice as many.
    private(set) var recent: [Trade] = []
    private(set) var candles = CandleSeries()
    /// Trades from this one on are counted; older ones are being read from the tables.
    private(set) var first: DeliveryID?

    /// The last trade's number; 0 before the first.
    var last: Int64 { recent.last?.delivery.rawValue ?? 0 }

    /// Adds those that are new.
    ///
    /// - Returns: them
    mutating func append(_ trades: [Trade]) -> [Trade] {
        let fresh = trades.filter { $0.delivery.rawValue > last }
        if first == nil { first = fresh.first?.delivery }
        recent += fresh
        if recent.count > 2 * TradeTape.most { recent.removeFirst(recent.count - TradeTape.most) }
        for trade in fresh { candles.add(trade) }
        return fresh
    }

    /// Adds older ones, newest first, to the candles.
    mutating func addHistory(_ trades: [Trade]) {
        for trade in trades where first.map({ trade.delivery < $0 }) ?? true {
            candles.add(trade)
            first = trade.delivery
        }
    }

    /// Those after a number; nil if some of them are no longer kept.
    func trades(after number: Int64) -> [Trade]? {
        guard let first = recent.first else { return number == 0 ? [] : nil }
        guard number >= first.delivery.rawValue - 1, number <= last else { return nil }
        return Array(recent.drop { $0.delivery.rawValue <= number })
    }

    /// Up to `limit` that are older than a number, newest first.
    ///
    /// - Returns: also whether there may be more that are not kept
    func trades(before number: Int64, limit: Int) -> (trades: [Trade], isCut: Bool) {
        let older = Array(recent.reversed().drop { $0.delivery.rawValue >= number }.prefix(limit))
        let reachesStart = recent.first.map { $0.delivery.rawValue <= 1 } ?? true
        return (older, older.count < limit && !reachesStart)
    }
}
