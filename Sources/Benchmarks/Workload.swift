/// A deterministic stream of book operations: a preload that builds the book, and what is timed.
public struct Workload: Sendable {
    public var parameters: Parameters
    /// One more than the highest id.
    public var endOfIDs: UInt64
    public var preload: [Operation]
    public var operations: [Operation]

    /// What the operations follow from.
    public struct Parameters: Hashable, Sendable {
        public var seed: UInt64
        public var operations: Int
        /// Orders in the book, about.
        public var resting: Int
        /// Twice the farthest distance of a price from the middle.
        public var levels: Int

        /// - Precondition: at least 100 resting orders, 4...100,000 levels
        public init(seed: UInt64 = 20_260_729, operations: Int = 5_000_000, resting: Int = 100_000, levels: Int = 1000) {
            precondition(operations >= 0, "a workload has operations")
            precondition(resting >= 100, "a workload has at least 100 resting orders")
            precondition((4...100_000).contains(levels), "a workload has 4...100,000 levels")
            self.seed = seed
            self.operations = operations
            self.resting = resting
            self.levels = levels
        }
    }

    /// One operation, laid out as in the file.
    public struct Operation: Hashable, Sendable, BitwiseCopyable {
        public var type: UInt8
        /// 0 bid, 1 ask.
        public var side: UInt8
        public var zero: UInt16 = 0
        public var quantity: UInt32
        public var id: UInt64
        public var newID: UInt64
        public var price: Int64

        public static let add: UInt8 = 1
        public static let cancel: UInt8 = 2
        public static let reduce: UInt8 = 3
        public static let replace: UInt8 = 4

        public init(type: UInt8, side: UInt8 = 0, quantity: UInt32 = 0, id: UInt64, newID: UInt64 = 0, price: Int64 = 0) {
            self.type = type
            self.side = side
            self.quantity = quantity
            self.id = id
            self.newID = newID
            self.price = price
        }
    }
}

/// What a book made of a workload: equal for all correct books.
public struct WorkloadResult: Hashable, Sendable, CustomStringConvertible {
    public var trades: UInt64 = 0
    public var quantity: UInt64 = 0
    public var notional: UInt64 = 0
    /// Folds maker, taker, price and quantity of every trade, in order.
    public var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    /// Operations on orders that were gone.
    public var rejects: UInt64 = 0
    public var bid: Int64 = 0
    public var ask: Int64 = 0
    public var orders = 0
    public var resting: UInt64 = 0

    public init() {}

    @inlinable
    public mutating func trade(maker: UInt64, taker: UInt64, price: Int64, quantity lots: UInt64) {
        trades &+= 1
        quantity &+= lots
        notional &+= UInt64(bitPattern: price) &* lots
        let folded = maker &* 0x9e37_79b9_7f4a_7c15 &+ taker &* 0xc2b2_ae3d_27d4_eb4f
            &+ UInt64(bitPattern: price) &* 0x1656_67b1_9e37_79f9 &+ lots
        hash = (hash ^ folded) &* 0x100_0000_01b3
    }

    public var description: String {
        let hex = String(hash, radix: 16)
        return "trades=\(trades) quantity=\(quantity) notional=\(notional) hash=\(String(repeating: "0", count: 16 - hex.count))\(hex) "
            + "rejects=\(rejects) bid=\(bid) ask=\(ask) orders=\(orders) resting=\(resting)"
    }
}
