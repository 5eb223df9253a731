/// Makes workloads: 45 % passive orders, 10 % that sweep one to five others, 40 % cancellations, some of them of orders already
/// gone, 2.5 % reductions, 2.5 % replacements. The same parameters give the same operations everywhere.
struct WorkloadGenerator {
    private let parameters: Workload.Parameters
    private var random: SplitMix64
    private var book: GeneratorBook
    private var middle: Int64 = 100_000
    private var nextID: UInt64 = 1
    /// Ids that are gone, the newest 65,536 of them in a ring.
    private var dead: [UInt64] = []
    private var deaths = 0

    static let middles: ClosedRange<Int64> = 90_000...110_000
    private static let mostDead = 65_536

    init(_ parameters: Workload.Parameters) {
        self.parameters = parameters
        random = SplitMix64(state: parameters.seed)
        book = GeneratorBook(parameters)
    }

    mutating func run() -> Workload {
        var operations: [Workload.Operation] = []
        let total = parameters.resting + parameters.operations
        operations.reserveCapacity(total)
        for number in 0..<total {
            let operation = next(number)
            operations.append(operation)
            for id in book.apply(operation) { bury(id) }
        }
        return Workload(
            parameters: parameters, endOfIDs: nextID, preload: Array(operations.prefix(parameters.resting)),
            operations: Array(operations.dropFirst(parameters.resting)))
    }

    private mutating func bury(_ id: UInt64) {
        if dead.count < Self.mostDead { dead.append(id) } else { dead[deaths % Self.mostDead] = id }
        deaths += 1
    }

    private mutating func next(_ number: Int) -> Workload.Operation {
        if number % 100 == 0 {
            let step: Int64 = random.below(2) == 1 ? 1 : -1
            middle = min(max(middle + step, Self.middles.lowerBound), Self.middles.upperBound)
        }
        let roll = number < parameters.resting ? 0 : random.below(1000)
        switch roll {
        case 450..<550: return sweep() ?? passive()
        case 550..<950: return cancellation()
        case 950..<975: return reduction()
        case 975...: return replacement()
        default: return passive()
        }
    }

    private mutating func newID() -> UInt64 {
        defer { nextID += 1 }
        return nextID
    }

    private mutating func anyLive() -> UInt64 { book.live[Int(random.below(UInt64(book.live.count)))] }

    private mutating func passive() -> Workload.Operation {
        let side = Int(random.below(2)), id = newID()
        let quantity = UInt32(1 + random.below(100))
        return Workload.Operation(
            type: Workload.Operation.add, side: UInt8(side), quantity: quantity, id: id, price: passivePrice(side))
    }

    /// A price on the order's own side, near the middle more often than far from it, never crossing.
    private mutating func passivePrice(_ side: Int) -> Int64 {
        let x = random.next() >> 43
        let scaled = (x * x * x).multipliedFullWidth(by: UInt64(parameters.levels / 2 - 1))
        let distance = Int64(1 + (scaled.high << 1 | scaled.low >> 63))
        if side == 1 { return max(middle + distance, (book.best(0) ?? 0) + 1) }
        return min(middle - distance, (book.best(1) ?? .max) - 1)
    }

    /// An order that takes one to five others; nil where there are none.
    private mutating func sweep() -> Workload.Operation? {
        let side = Int(random.below(2))
        guard book.best(1 - side) != nil else { return nil }
        let z = random.below(100)
        let orders = z < 55 ? 1 : z < 75 ? 2 : z < 87 ? 3 : z < 95 ? 4 : 5
        let swept = book.firstOrders(1 - side, orders)
        var quantity = swept.dropLast().reduce(0) { $0 + UInt64(book.quantity[Int($1)]) }
        let last = swept[swept.count - 1]
        quantity += swept.count == orders ? 1 + random.below(UInt64(book.quantity[Int(last)])) : UInt64(book.quantity[Int(last)])
        return Workload.Operation(
            type: Workload.Operation.add, side: UInt8(side), quantity: UInt32(quantity), id: newID(), price: book.price[Int(last)])
    }

    /// Mostly of recent orders, some already gone.
    private mutating func cancellation() -> Workload.Operation {
        guard book.live.count >= parameters.resting || dead.isEmpty else {
            return Workload.Operation(type: Workload.Operation.cancel, id: dead[Int(random.below(UInt64(dead.count)))])
        }
        var id: UInt64 = 0
        if random.below(10) < 7 {
            id = nextID - 1 - random.below(min(4096, nextID - 1))
            if !book.isAlive(id) { id = 0 }
        }
        return Workload.Operation(type: Workload.Operation.cancel, id: id == 0 ? anyLive() : id)
    }

    private mutating func reduction() -> Workload.Operation {
        var id = anyLive()
        while book.quantity[Int(id)] < 2 { id = anyLive() }
        let quantity = 1 + random.below(UInt64(book.quantity[Int(id)] - 1))
        return Workload.Operation(type: Workload.Operation.reduce, quantity: UInt32(quantity), id: id)
    }

    private mutating func replacement() -> Workload.Operation {
        let id = anyLive(), new = newID()
        let side = book.side[Int(id)]
        let quantity = UInt32(1 + random.below(100))
        return Workload.Operation(
            type: Workload.Operation.replace, side: side, quantity: quantity, id: id, newID: new, price: passivePrice(Int(side)))
    }
}

/// splitmix64
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var value: UInt64 = 0
        return (0..<count).map { index in
            if index % 8 == 0 { value = next() }
            return UInt8(truncatingIfNeeded: value >> UInt64(index % 8 * 8))
        }
    }
}

extension Workload {
    /// Makes a workload. Some 0.2 s a million operations in a release build
    public init(_ parameters: Parameters) {
        var generator = WorkloadGenerator(parameters)
        self = generator.run()
    }
}
