import OrderBook
import TestSupport
import Testing
import Units

/// The same book as a sorted array.
private struct NaiveBook {
    var entries: [OrderBook.Entry] = []

    func sorted(_ side: Side) -> [OrderBook.Entry] {
        entries.filter { $0.side == side }.sorted {
            if $0.price != $1.price { return (side == .bid) == ($0.price > $1.price) }
            return $0.stamp < $1.stamp
        }
    }

    func depth(_ side: Side) -> [OrderBook.Depth] {
        var levels: [OrderBook.Depth] = []
        for entry in sorted(side) {
            if levels.last?.price != entry.price {
                levels.append(OrderBook.Depth(price: entry.price, lots: .zero, orders: 0))
            }
            levels[levels.count - 1].lots += entry.lots
            levels[levels.count - 1].orders += 1
        }
        return levels
    }
}

@Suite struct OrderBookTests {
    private static func walk(_ book: OrderBook, _ side: Side) -> [OrderBook.Entry] {
        var entries: [OrderBook.Entry] = []
        var cursor = book.first(on: side)
        while let here = cursor {
            entries.append(book[here])
            cursor = book.next(after: here)
        }
        return entries
    }

    @Test(arguments: Seeds.list(6))
    func isASortedArray(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var book = OrderBook(), naive = NaiveBook(), stamps: Set<Int64> = []
        for step in 0..<1500 {
            // Grows to some dozens of orders, shrinks to nothing, grows again.
            let isGrowing = step / 250 % 2 == 0
            switch random.int(1...10) {
            case 1...(isGrowing ? 6 : 2):
                let id = OrderID(random.int64(1...200))
                guard book[id] == nil else { continue }
                var stamp = random.int64(1...1_000_000)
                while !stamps.insert(stamp).inserted { stamp += 1 }
                let entry = OrderBook.Entry(
                    id: id, side: random.pick(Side.allCases), price: Price(random.int64(1...9)),
                    lots: Lots(random.int64(1...50)), stamp: stamp)
                book.insert(entry)
                naive.entries.append(entry)
            case 7, 8:
                guard !naive.entries.isEmpty else { continue }
                let at = random.int(0...naive.entries.count - 1)
                naive.entries[at].lots = Lots(random.int64(1...50))
                book.setLots(naive.entries[at].id, naive.entries[at].lots)
            default:
                let id = OrderID(random.int64(1...200))
                let at = naive.entries.firstIndex { $0.id == id }
                try #require(book.remove(id) == at.map { naive.entries[$0] }, "seed \(seed), step \(step)")
                if let at { naive.entries.remove(at: at) }
            }
            try #require(book.count == naive.entries.count, "seed \(seed), step \(step)")
            for side in Side.allCases {
                let sorted = naive.sorted(side)
                try #require(Self.walk(book, side) == sorted, "seed \(seed), step \(step)")
                try #require(book.best(side) == sorted.first?.price)
                try #require(book.depth(side, limit: 100) == naive.depth(side), "seed \(seed), step \(step)")
                try #require(book.depth(side, limit: 2) == Array(naive.depth(side).prefix(2)))
            }
        }
    }

    @Test func aWalkSurvivesTheRemovalOfWhatItHasPassed() {
        var book = OrderBook()
        for (id, price) in [(1, 10), (2, 10), (3, 9), (4, 8)] as [(Int64, Int64)] {
            book.insert(.init(id: OrderID(id), side: .bid, price: Price(price), lots: Lots(1), stamp: id))
        }
        var cursor = book.first(on: .bid), seen: [Int64] = []
        while let here = cursor {
            let id = book[here].id
            cursor = book.next(after: here)
            book.remove(id)
            seen.append(id.rawValue)
        }
        #expect(seen == [1, 2, 3, 4])
        #expect(book.count == 0)
    }

    @Test func hostileLimitsOfDepthAreEmpty() {
        var book = OrderBook()
        book.insert(.init(id: OrderID(1), side: .ask, price: Price(.max), lots: Lots(.max), stamp: .min))
        #expect(book.depth(.ask, limit: .min) == [])
        #expect(book.depth(.ask, limit: .max).count == 1)
        #expect(book.depth(.bid, limit: 5) == [])
    }
}
