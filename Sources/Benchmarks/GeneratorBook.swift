/// The generator's own book: what rests, by price and time. Everything is in arrays by id or by price.
struct GeneratorBook {
    private var gone: [UInt64] = []
    private(set) var live: [UInt64] = []
    private(set) var quantity: [UInt32]
    private(set) var side: [UInt8]
    private(set) var price: [Int64]
    /// Place in ``live``; -1 for what is not in the book.
    private var place: [Int32]
    private var previous: [UInt64]
    private var next: [UInt64]

    /// First and last order by side and price; 0 for none.
    private var heads: [[UInt64]]
    private var tails: [[UInt64]]
    private var bests: [Int]
    /// The price at place 0.
    private let lowest: Int64

    init(_ parameters: Workload.Parameters) {
        let ids = parameters.resting + parameters.operations + 2
        quantity = Array(repeating: 0, count: ids)
        side = Array(repeating: 0, count: ids)
        price = Array(repeating: 0, count: ids)
        place = Array(repeating: -1, count: ids)
        previous = Array(repeating: 0, count: ids)
        next = Array(repeating: 0, count: ids)
        let middles = WorkloadGenerator.middles
        lowest = middles.lowerBound - Int64(parameters.levels) - 1
        let prices = Int(middles.upperBound - lowest) + parameters.levels + 2
        heads = Array(repeating: Array(repeating: 0, count: prices), count: 2)
        tails = heads
        bests = [-1, prices]
    }

    func isAlive(_ id: UInt64) -> Bool { place[Int(id)] >= 0 }

    func best(_ side: Int) -> Int64? { heads[side].indices.contains(bests[side]) ? lowest + Int64(bests[side]) : nil }

    /// Up to `count` orders of a side, the best price first, then the oldest.
    func firstOrders(_ side: Int, _ count: Int) -> [UInt64] {
        var orders: [UInt64] = []
        var at = bests[side]
        while orders.count < count, heads[side].indices.contains(at) {
            var id = heads[side][at]
            while id != 0, orders.count < count {
                orders.append(id)
                id = next[Int(id)]
            }
            at += side == 0 ? -1 : 1
        }
        return orders
    }

    /// Returns the orders that are not in the book any more.
    mutating func apply(_ operation: Workload.Operation) -> [UInt64] {
        gone.removeAll(keepingCapacity: true)
        switch operation.type {
        case Workload.Operation.cancel:
            if isAlive(operation.id) { remove(operation.id) }
        case Workload.Operation.reduce:
            if isAlive(operation.id) { quantity[Int(operation.id)] -= operation.quantity }
        case Workload.Operation.replace:
            guard isAlive(operation.id) else { break }
            remove(operation.id)
            add(operation.newID, operation)
        default:
            add(operation.id, operation)
        }
        return gone
    }

    private mutating func add(_ id: UInt64, _ operation: Workload.Operation) {
        let other = 1 - Int(operation.side)
        var left = operation.quantity
        while left > 0, let best = best(other), operation.side == 1 ? best >= operation.price : best <= operation.price {
            let maker = heads[other][bests[other]]
            let filled = min(left, quantity[Int(maker)])
            left -= filled
            quantity[Int(maker)] -= filled
            if quantity[Int(maker)] == 0 { remove(maker) }
        }
        if left > 0 { rest(id, operation, left) }
    }

    private mutating func rest(_ id: UInt64, _ operation: Workload.Operation, _ lots: UInt32) {
        let side = Int(operation.side), at = Int(operation.price - lowest)
        quantity[Int(id)] = lots
        self.side[Int(id)] = operation.side
        price[Int(id)] = operation.price
        place[Int(id)] = Int32(live.count)
        live.append(id)
        previous[Int(id)] = tails[side][at]
        next[Int(id)] = 0
        if tails[side][at] == 0 { heads[side][at] = id } else { next[Int(tails[side][at])] = id }
        tails[side][at] = id
        bests[side] = side == 0 ? max(bests[0], at) : min(bests[1], at)
    }

    private mutating func remove(_ id: UInt64) {
        let side = Int(side[Int(id)]), at = Int(price[Int(id)] - lowest)
        let before = previous[Int(id)], after = next[Int(id)]
        if before == 0 { heads[side][at] = after } else { next[Int(before)] = after }
        if after == 0 { tails[side][at] = before } else { previous[Int(after)] = before }
        while heads[side].indices.contains(bests[side]), heads[side][bests[side]] == 0 { bests[side] += side == 0 ? -1 : 1 }
        let last = live[live.count - 1], hole = place[Int(id)]
        live[Int(hole)] = last
        place[Int(last)] = hole
        live.removeLast()
        place[Int(id)] = -1
        gone.append(id)
    }
}
