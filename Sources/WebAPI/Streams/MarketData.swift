internal import Exchange
internal import NIOCore
internal import OrderBook
internal import Units

/// What is read of the committed state for one publication.
struct BookReading: Sendable {
    var image: BookImage
    var rules: MarketRules?
    var index: IndexPrice?

    init(_ state: MarketState, _ position: Int64) {
        image = BookImage(
            sequence: position, bids: state.book.depth(.bid, limit: Limits.bookLevels),
            asks: state.book.depth(.ask, limit: Limits.bookLevels))
        rules = state.rules
        index = state.status.index
    }
}

/// A response that is ready to be sent, with what tells it from others.
struct RenderedPage: Sendable {
    var body: ByteBuffer
    /// With its quotes.
    var tag: String
}

/// The market's data for everybody as of the last publication, rendered once for all who ask.
struct MarketData: Sendable {
    let epoch: Int64
    private(set) var image = BookImage(sequence: 0, bids: [], asks: [])
    /// nil before the market is defined.
    private(set) var rules: MarketRules?
    private(set) var index: IndexPrice?
    private(set) var tape = TradeTape()
    /// The last command that was looked at.
    private(set) var position: Int64 = -1

    private var units = ""
    private var books: [Int: RenderedPage] = [:]
    private var snapshot: SharedEvent?
    private var ticker: (minute: Int64, page: RenderedPage)?
    private var tickers: Int64 = 0

    init(epoch: Int64) { self.epoch = epoch }

    // MARK: - Publication

    /// Takes over what was read.
    ///
    /// - Returns: what changed of the book
    mutating func publish(_ reading: BookReading) -> BookChange? {
        position = reading.image.sequence
        if reading.rules != rules {
            rules = reading.rules
            units = rules.map(MarketData.unitsText) ?? ""
            (books, snapshot, ticker) = ([:], nil, nil)
        }
        if reading.index != index { (index, ticker) = (reading.index, nil) }
        guard let change = image.change(to: reading.image) else { return nil }
        image = reading.image
        (books, snapshot, ticker) = ([:], nil, nil)
        return change
    }

    /// - Returns: the trades that are new
    mutating func append(_ trades: [Trade]) -> [Trade] {
        let fresh = tape.append(trades)
        if !fresh.isEmpty { ticker = nil }
        return fresh
    }

    mutating func addHistory(_ trades: [Trade]) {
        tape.addHistory(trades)
        ticker = nil
    }

    // MARK: - Rendering

    private static func unitsText(_ rules: MarketRules) -> String {
        struct UnitsModel: Encodable {
            var symbol: String
            var priceUnit: String
            var lotUnit: String
        }
        var text = EventText()
        text.add(encoded: UnitsModel(
            symbol: rules.symbol, priceUnit: UnitText.price(rules), lotUnit: UnitText.hashrate(rules.lot)))
        // Members without their braces.
        return String(String(buffer: text.buffer).dropFirst().dropLast())
    }

    /// Both sides' best levels.
    mutating func book(levels: Int) -> RenderedPage {
        if let page = books[levels] { return page }
        var text = EventText()
        text.add("{")
        if let best = image.bids.first {
            text.add("\"bestBid\":")
            text.add(best.price.rawValue)
            text.add(",")
        }
        if let best = image.asks.first {
            text.add("\"bestAsk\":")
            text.add(best.price.rawValue)
            text.add(",")
        }
        addImage(levels: levels, to: &text)
        let page = RenderedPage(body: text.buffer, tag: "\"\(epoch)-\(image.sequence)-\(levels)\"")
        books[levels] = page
        return page
    }

    /// What a stream of the book begins with.
    mutating func bookSnapshot() -> SharedEvent {
        if let snapshot { return snapshot }
        let event = EventText.event("snapshot", id: EventID(epoch: epoch, sequence: image.sequence)) {
            $0.add("{")
            addImage(levels: Limits.bookLevels, to: &$0)
        }
        snapshot = event
        return event
    }

    private func addImage(levels: Int, to text: inout EventText) {
        text.add(json: units)
        text.add(",\"epoch\":")
        text.add(epoch)
        text.add(",\"sequence\":")
        text.add(image.sequence)
        text.add(",\"bids\":")
        text.add(Array(image.bids.prefix(levels)))
        text.add(",\"asks\":")
        text.add(Array(image.asks.prefix(levels)))
        text.add("}")
    }

    func event(_ change: BookChange) -> SharedEvent {
        EventText.event("change", id: EventID(epoch: epoch, sequence: change.sequence)) {
            $0.add("{\"sequence\":")
            $0.add(change.sequence)
            $0.add(",\"previous\":")
            $0.add(change.previous)
            $0.add(",\"bids\":")
            $0.add(change.bids)
            $0.add(",\"asks\":")
            $0.add(change.asks)
            $0.add("}")
        }
    }

    /// What a stream of trades begins with: the last ones, oldest first.
    func tradesSnapshot() -> SharedEvent {
        EventText.event("snapshot", id: EventID(epoch: epoch, sequence: tape.last)) {
            $0.add("{")
            $0.add(json: units)
            $0.add(",\"epoch\":")
            $0.add(epoch)
            $0.add(",\"items\":[")
            for (index, trade) in tape.recent.suffix(Limits.defaultTrades).enumerated() {
                if index > 0 { $0.add(",") }
                $0.add(trade)
            }
            $0.add("]}")
        }
    }

    /// Best prices, the last trade, the last 24 hours and the index.
    mutating func ticker(at time: Timestamp) -> RenderedPage {
        if let ticker, ticker.minute == time.minute { return ticker.page }
        var text = EventText()
        text.add("{")
        text.add(json: units)
        addTicker(at: time, to: &text)
        text.add("}")
        if let ticker, ticker.page.body == text.buffer {
            self.ticker = (time.minute, ticker.page)
            return ticker.page
        }
        tickers += 1
        let page = RenderedPage(body: text.buffer, tag: "\"\(epoch)-t\(tickers)\"")
        ticker = (time.minute, page)
        return page
    }

    private func addTicker(at time: Timestamp, to text: inout EventText) {
        func member(_ name: StaticString, _ value: Int64?) {
            guard let value else { return }
            text.add(name)
            text.add(value)
        }
        member(",\"bestBid\":", image.bids.first?.price.rawValue)
        member(",\"bestAsk\":", image.asks.first?.price.rawValue)
        if let last = tape.recent.last {
            text.add(",\"last\":")
            text.add(last)
        }
        if let index {
            text.add(",\"index\":{\"price\":")
            text.add(index.price.rawValue)
            text.add(",\"at\":")
            text.add(index.at)
            text.add("}")
        }
        // Of whole minutes: the one that was going on 24 hours ago is left out.
        let day = tape.candles.candles(.oneMinute).drop { $0.start <= time.minute - 1440 }
        text.add(",\"day\":{\"trades\":")
        text.add(day.reduce(0) { $0 + $1.trades })
        let lots = day.reduce(Int128(0)) { $0 + $1.lots }
        text.add(",\"lots\":")
        text.add(lots)
        if lots > 0 {
            member(",\"open\":", day.first?.open.rawValue)
            member(",\"high\":", day.map(\.high.rawValue).max())
            member(",\"low\":", day.map(\.low.rawValue).min())
            member(",\"averagePrice\":", Int64(day.reduce(Int128(0)) { $0 + $1.turnover } / lots))
        }
        text.add("}")
    }

    /// Candles up to a time, oldest first.
    func candles(_ interval: CandleInterval, before: Timestamp, limit: Int) -> ByteBuffer {
        var text = EventText()
        text.add("{")
        text.add(json: units)
        text.add(",\"interval\":\"")
        text.add(json: interval.rawValue)
        text.add("\",\"items\":[")
        let known = tape.candles.candles(interval).prefix { $0.start * 60_000_000 < before.microseconds }
        for (index, candle) in known.suffix(limit).enumerated() {
            if index > 0 { text.add(",") }
            text.add(candle)
        }
        text.add("]}")
        return text.buffer
    }
}

extension EventText {
    fileprivate mutating func add(_ candle: Candle) {
        add("{\"start\":")
        add(Timestamp(microseconds: candle.start * 60_000_000))
        add(",\"open\":")
        add(candle.open.rawValue)
        add(",\"high\":")
        add(candle.high.rawValue)
        add(",\"low\":")
        add(candle.low.rawValue)
        add(",\"close\":")
        add(candle.close.rawValue)
        add(",\"lots\":")
        add(candle.lots)
        add(",\"averagePrice\":")
        add(candle.averagePrice)
        add(",\"trades\":")
        add(candle.trades)
        add("}")
    }
}
