import Benchmarks
import OrderBook
import TestSupport
import Units

/// What a book tells its listener.
struct Recorder: BookListener, Equatable {
    enum Event: Equatable {
        case filled(maker: OrderID, taker: OrderID, price: Price, lots: Lots)
        case cancelled(OrderID, Lots)
    }

    var events: [Event] = []

    mutating func filled(maker: OrderID, taker: OrderID, price: Price, lots: Lots) {
        events.append(.filled(maker: maker, taker: taker, price: price, lots: lots))
    }

    mutating func cancelled(_ id: OrderID, lots: Lots) { events.append(.cancelled(id, lots)) }
}

struct Difference: Error, CustomStringConvertible {
    var description: String
}

/// What random orders look like.
struct Flavour {
    var name: String
    var prices: [Int64]
    var ids: Int64
    var lots: Int64
    var owners: Int64
    /// How many of a hundred orders have the feature.
    var icebergs = 15
    var minimumFills = 15
    var pegged = 15
    /// How many of a hundred commands are new orders: how full the book gets.
    var orders = 50

    static let all: [Flavour] = [
        Flavour(name: "one price", prices: [100], ids: 60, lots: 30, owners: 20),
        Flavour(name: "a tick wide", prices: [100, 101], ids: 60, lots: 20, owners: 4),
        Flavour(name: "some prices", prices: Array(95...105), ids: 200, lots: 40, owners: 6),
        Flavour(name: "all features", prices: Array(98...103), ids: 80, lots: 25, owners: 8, icebergs: 60, minimumFills: 60),
        Flavour(name: "plain", prices: Array(90...110), ids: 300, lots: 100, owners: 300, icebergs: 0, minimumFills: 0, pegged: 0),
        Flavour(name: "all or nothing", prices: Array(98...102), ids: 100, lots: 12, owners: 50, icebergs: 20, minimumFills: 90),
        Flavour(
            name: "the ends of what 64 bits hold", prices: [.min, .min + 1, -1, 0, 1, .max - 1, .max], ids: 60, lots: .max, owners: 9),
        Flavour(name: "coarse ticks", prices: (1...60).map { $0 << 40 }, ids: 120, lots: 50, owners: 5, orders: 65),
    ]
}

/// The book and the reference, which get the same commands and must stay equal in everything that can be seen.
struct BookPair {
    var book = OrderBook()
    var reference = ReferenceBook()
    var random: SeededRandom
    let flavour: Flavour

    init(_ flavour: Flavour, seed: UInt64) {
        self.flavour = flavour
        random = SeededRandom(seed: seed)
    }

    func expect<T: Equatable>(_ actual: T, _ expected: T, _ what: @autoclosure () -> String) throws(Difference) {
        if actual != expected { throw Difference(description: "\(what()): \(actual) instead of \(expected)") }
    }

    // MARK: - Commands

    mutating func anyID() -> OrderID { OrderID(random.int64(1...flavour.ids)) }

    mutating func anyLots(_ most: Int64) -> Int64 {
        most == .max && random.chance(50) ? random.int64(.max - 5 ... .max) : random.int64(1...max(1, most))
    }

    mutating func anyOrder(_ id: OrderID) -> OrderBook.Entry {
        let lots = anyLots(flavour.lots)
        var entry = OrderBook.Entry(
            id: id, owner: AccountID(random.int64(1...flavour.owners)), side: random.pick(Side.allCases),
            price: Price(random.pick(flavour.prices)), lots: Lots(lots), stamp: 0, selfTrade: random.pick(SelfTradePrevention.allCases),
            isPegged: random.chance(flavour.pegged))
        if random.chance(flavour.minimumFills) {
            entry.minimumFill = Lots(random.chance(30) ? random.int64(lots...max(lots, lots &+ 3)) : random.int64(1...lots))
        }
        if random.chance(flavour.icebergs) {
            let least = min(entry.minimumFill.rawValue, lots)
            entry.displayed = Lots(max(1, random.int64(max(1, min(least, lots / 9_000))...lots)))
        }
        return entry
    }

    /// One command of the book as a market of its own.
    mutating func submitReduceReplaceOrCancel() throws(Difference) {
        var heard = Recorder(), expected = Recorder()
        let id = anyID()
        switch random.int(1...100) {
        case 1...flavour.orders:
            let entry = anyOrder(id), time = anyTimeInForce(), isPostOnly = random.chance(10)
            try expect(
                book.submit(entry, timeInForce: time, isPostOnly: isPostOnly, &heard),
                reference.submit(entry, timeInForce: time, isPostOnly: isPostOnly, &expected), "submit \(entry) \(time) \(isPostOnly)")
        case ...70:
            let entry = anyOrder(random.chance(30) ? id : anyID()), time = anyTimeInForce(), isPostOnly = random.chance(10)
            try expect(
                book.replace(id, with: entry, timeInForce: time, isPostOnly: isPostOnly, &heard),
                reference.replace(id, with: entry, timeInForce: time, isPostOnly: isPostOnly, &expected), "replace \(id) \(entry)")
        case ...78:
            let lots = Lots(random.int64(0...max(1, reference[id]?.lots.rawValue ?? 1)))
            try expect(book.reduce(id, to: lots), reference.reduce(id, to: lots), "reduce \(id) to \(lots)")
        case ...82:
            let lots = Lots(random.int64(0...max(1, reference[id]?.lots.rawValue ?? 1)))
            try expect(book.reduce(id, by: lots), reference.reduce(id, by: lots), "reduce \(id) by \(lots)")
        case ...90:
            try expect(book.cancel(id), reference.cancel(id), "cancel \(id)")
        default:
            try expect(book.remove(id), reference.remove(id), "remove \(id)")
        }
        try expect(heard, expected, "events")
    }

    private mutating func anyTimeInForce() -> TimeInForce {
        random.chance(60) ? .goodTillCancelled : random.pick(TimeInForce.allCases)
    }

    // MARK: - What can be seen

    func compare() throws(Difference) {
        try expect(book.count, reference.count, "count")
        for side in Side.allCases {
            try expect(walk(side), reference.orders(side), "orders of \(side)")
            let depth = reference.depth(side)
            try expect(book.depth(side, limit: .max), depth, "depth of \(side)")
            try expect(book.depth(side, limit: 2), Array(depth.prefix(2)), "two levels of \(side)")
            try expect(book.best(side), reference.best(side), "best of \(side)")
            try expect(book.bestFixed(side), reference.bestFixed(side), "best fixed of \(side)")
        }
    }

    func walk(_ side: Side) -> [OrderBook.Entry] {
        var entries: [OrderBook.Entry] = []
        var cursor = book.first(on: side)
        while let here = cursor {
            entries.append(book[here])
            cursor = book.next(after: here)
        }
        return entries
    }

    func comparePosition(_ id: OrderID) throws(Difference) {
        try expect(book[id], reference[id], "order \(id)")
        try expect(book.position(of: id), reference.position(of: id), "position of \(id)")
    }

    // MARK: - Walking as the exchange does

    /// Walks for an order, and fills, skips, removes and refreshes as it goes.
    mutating func walkForATaker(_ id: OrderID) throws(Difference) {
        var entry = anyOrder(id)
        entry.stamp = 1 + max(lastStamp(.bid), lastStamp(.ask))
        try compareCanFill(OrderBook.Taker(entry), entry, behind: nil)
        var taker = OrderBook.Taker(entry), skipped: OrderBook.Entry?
        while true {
            let match = book.next(for: &taker)
            try expect(match, reference.next(for: entry, behind: skipped), "next for \(entry) behind \(String(describing: skipped))")
            guard let match, let maker = book[match.maker] else { return }
            if random.chance(20) { try compareCanFill(taker, entry, behind: skipped) }
            switch random.int(1...10) {
            case 1...5 where !match.isSelfTrade:
                fill(maker, match, &entry)
                taker.lots = entry.lots
                if entry.lots == Lots(0) { return }
            case ...8:
                book.skip(match, &taker)
                skipped = maker
            default:
                book.remove(match.maker)
                reference.remove(match.maker)
            }
            if random.chance(20) {
                let gone = random.chance(50) ? skipped?.id ?? anyID() : anyID()
                book.remove(gone)
                reference.remove(gone)
            }
            try compare()
        }
    }

    private func lastStamp(_ side: Side) -> Int64 { reference.orders(side).map(\.stamp).max() ?? 0 }

    private mutating func fill(_ old: OrderBook.Entry, _ match: OrderBook.Match, _ taker: inout OrderBook.Entry) {
        var maker = old
        if maker.take(match.lots) {
            book.remove(maker.id)
            maker.stamp = 1 + max(lastStamp(.bid), lastStamp(.ask), taker.stamp)
            book.insert(maker)
            reference.remove(maker.id)
            reference.insert(maker)
        } else if maker.lots == Lots(0) {
            book.remove(maker.id)
            reference.remove(maker.id)
        } else {
            book.update(maker.id, lots: maker.lots, shown: maker.shown)
            reference.update(maker.id, lots: maker.lots, shown: maker.shown)
        }
        taker.lots -= match.lots
    }

    // MARK: - Fill or kill

    /// Compares the simulation with fills that are really made, on a copy of the reference.
    private mutating func compareCanFill(
        _ taker: OrderBook.Taker, _ entry: OrderBook.Entry, behind skipped: OrderBook.Entry?
    ) throws(Difference) {
        let salt = random.next(), refused = random.pick([0, 0, 10, 50] as [UInt64])
        let admits = { (match: OrderBook.Match, number: Int) in
            (UInt64(bitPattern: match.maker.rawValue) &+ UInt64(number)) &* (salt | 1) >> 7 % 100 >= refused
        }
        var asked: [OrderBook.Match] = [], expected: [OrderBook.Match] = []
        let answer = book.canFill(taker) { match in
            asked.append(match)
            return admits(match, asked.count)
        }
        var copy = reference
        let truth = copy.fillsWhole(entry, behind: skipped) { match in
            expected.append(match)
            return admits(match, expected.count)
        }
        try expect(asked, expected, "fills asked for \(entry)")
        try expect(answer, truth, "whether \(entry) fills whole")
    }
}

extension ReferenceBook {
    fileprivate mutating func fillsWhole(
        _ entry: Entry, behind skippedBefore: Entry?, _ admits: (OrderBook.Match) -> Bool
    ) -> Bool {
        var taker = entry, skipped = skippedBefore
        while taker.lots > Lots(0) {
            guard let match = next(for: taker, behind: skipped) else { return false }
            if !admits(match) {
                skipped = self[match.maker]
            } else if !match.isSelfTrade {
                take(match.lots, from: match.maker)
                taker.lots -= match.lots
            } else if taker.selfTrade == .cancelResting {
                remove(match.maker)
            } else {
                return false
            }
        }
        return true
    }
}
