import OrderBook
import Units

/// A book and what it has told, in few words.
struct Scenario {
    var book = OrderBook()
    private var told: [String] = []

    /// Orders that rest, in the order of their stamps.
    init(_ orders: OrderBook.Entry...) {
        for order in orders { submit(order) }
        told = []
    }

    /// What happened since this was last asked: `maker x lots @ price` for a fill, `-id` for a cancelled order.
    mutating func heard() -> [String] {
        defer { told = [] }
        return told
    }

    @discardableResult
    mutating func submit(_ order: OrderBook.Entry, _ time: TimeInForce = .goodTillCancelled, postOnly: Bool = false) -> Submitted {
        var recorder = Recorder()
        defer { told += recorder.events.map(\.text) }
        return book.submit(order, timeInForce: time, isPostOnly: postOnly, &recorder)
    }

    mutating func replace(_ id: Int64, _ order: OrderBook.Entry, postOnly: Bool = false) -> Submitted {
        var recorder = Recorder()
        defer { told += recorder.events.map(\.text) }
        return book.replace(OrderID(id), with: order, isPostOnly: postOnly, &recorder)
    }

    /// A side's orders by priority, as `id:lots`, with `(shown)` where some are hidden.
    func queue(_ side: Side) -> [String] {
        var queue: [String] = []
        var cursor = book.first(on: side)
        while let here = cursor {
            let entry = book[here]
            queue.append("\(entry.id):\(entry.lots.rawValue)" + (entry.shown == entry.lots ? "" : "(\(entry.shown.rawValue))"))
            cursor = book.next(after: here)
        }
        return queue
    }
}

extension Recorder.Event {
    var text: String {
        switch self {
        case .filled(let maker, _, let price, let lots): "\(maker) x \(lots.rawValue) @ \(price)"
        case .cancelled(let id, _): "-\(id)"
        }
    }
}

/// Every order is of an owner of its own unless one is named.
func bid(
    _ id: Int64, _ lots: Int64, at price: Int64, displayed: Int64? = nil, minimum: Int64 = 1, owner: Int64? = nil,
    selfTrade: SelfTradePrevention = .cancelIncoming, pegged: Bool = false, stamp: Int64 = 0
) -> OrderBook.Entry {
    OrderBook.Entry(
        id: OrderID(id), owner: AccountID(owner ?? id), side: .bid, price: Price(price), lots: Lots(lots),
        displayed: displayed.map { Lots($0) }, minimumFill: Lots(minimum), stamp: stamp, selfTrade: selfTrade, isPegged: pegged)
}

func ask(
    _ id: Int64, _ lots: Int64, at price: Int64, displayed: Int64? = nil, minimum: Int64 = 1, owner: Int64? = nil,
    selfTrade: SelfTradePrevention = .cancelIncoming, pegged: Bool = false, stamp: Int64 = 0
) -> OrderBook.Entry {
    var order = bid(
        id, lots, at: price, displayed: displayed, minimum: minimum, owner: owner, selfTrade: selfTrade, pegged: pegged, stamp: stamp)
    order.side = .ask
    return order
}
