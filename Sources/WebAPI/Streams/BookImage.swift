internal import NIOCore
internal import OrderBook
internal import Units

/// The book's best levels, as they were published.
struct BookImage: Hashable, Sendable {
    /// The last command in it; of books that are alike, the first one's.
    var sequence: Int64
    /// Best first, at most ``Limits/bookLevels`` each.
    var bids: [OrderBook.Depth]
    var asks: [OrderBook.Depth]

    /// What leads from this image to a later one; nil when they are alike.
    func change(to later: BookImage) -> BookChange? {
        let bids = BookImage.difference(self.bids, later.bids) { $0 > $1 }
        let asks = BookImage.difference(self.asks, later.asks) { $0 < $1 }
        guard !bids.isEmpty || !asks.isEmpty else { return nil }
        return BookChange(previous: sequence, sequence: later.sequence, bids: bids, asks: asks)
    }

    /// Levels that are new or other, and with no lots those that are gone; best first. O(levels)
    private static func difference(
        _ old: [OrderBook.Depth], _ new: [OrderBook.Depth], isBetter: (Price, Price) -> Bool
    ) -> [OrderBook.Depth] {
        var found: [OrderBook.Depth] = []
        var rest = old[...]
        for level in new {
            while let first = rest.first, isBetter(first.price, level.price) { found.append(gone(rest.removeFirst())) }
            if rest.first?.price == level.price, rest.removeFirst() == level { continue }
            found.append(level)
        }
        return found + rest.map(gone)
    }

    private static func gone(_ level: OrderBook.Depth) -> OrderBook.Depth {
        OrderBook.Depth(price: level.price, lots: .zero, orders: 0)
    }
}

/// The levels that differ between two published images, with what they are now.
struct BookChange: Hashable, Sendable {
    /// The image that it changes, and the one that it leads to.
    var previous: Int64
    var sequence: Int64
    /// Levels without orders are gone.
    var bids: [OrderBook.Depth]
    var asks: [OrderBook.Depth]
}

/// The last changes of the book as events, from which readers resume: bounded in number and bytes.
struct BookHistory: Sendable {
    private struct Entry: Sendable {
        var previous: Int64
        var event: SharedEvent
    }

    static let mostEvents = 1024
    static let mostBytes = 4 << 20

    private var entries: [Entry] = []
    /// Those before it are no longer kept.
    private var first = 0
    private var bytes = 0

    mutating func append(_ event: SharedEvent, after previous: Int64) {
        entries.append(Entry(previous: previous, event: event))
        bytes += event.readableBytes
        while entries.count - first > BookHistory.mostEvents || bytes > BookHistory.mostBytes, first < entries.count {
            bytes -= entries[first].event.readableBytes
            first += 1
        }
        if first > BookHistory.mostEvents {
            entries.removeFirst(first)
            first = 0
        }
    }

    /// The events after an image that is not the present one; nil if they are no longer kept. O(log events)
    func events(after sequence: Int64) -> [SharedEvent]? {
        var (low, high) = (first, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].previous < sequence { low = middle + 1 } else { high = middle }
        }
        guard low < entries.count, entries[low].previous == sequence else { return nil }
        return entries[low...].map(\.event)
    }
}
