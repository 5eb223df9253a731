public import OrderBook
public import Units

/// A book that runs workloads.
public protocol WorkloadBook {
    mutating func submit(
        _ entry: OrderBook.Entry, timeInForce: TimeInForce, isPostOnly: Bool, _ listener: inout some BookListener
    ) -> Submitted
    mutating func replace(
        _ id: OrderID, with entry: OrderBook.Entry, timeInForce: TimeInForce, isPostOnly: Bool, _ listener: inout some BookListener
    ) -> Submitted
    mutating func reduce(_ id: OrderID, by lots: Lots) -> BookRefusal?
    mutating func cancel(_ id: OrderID) -> Bool
    func depth(_ side: Side) -> [OrderBook.Depth]
}

extension ReferenceBook: WorkloadBook {}

extension OrderBook: WorkloadBook {
    public func depth(_ side: Side) -> [OrderBook.Depth] { depth(side, limit: .max) }
}

extension WorkloadResult: BookListener {
    @inlinable
    public mutating func filled(maker: OrderID, taker: OrderID, price: Price, lots: Lots) {
        trade(
            maker: UInt64(bitPattern: maker.rawValue), taker: UInt64(bitPattern: taker.rawValue), price: price.rawValue,
            quantity: UInt64(bitPattern: lots.rawValue))
    }

    @inlinable
    public mutating func cancelled(_ id: OrderID, lots: Lots) {}
}

/// What a workload's orders are like.
public enum WorkloadOrders: Sendable {
    /// As in the file: no order has any feature, each is of an owner of its own, and the result is the known one.
    case plain
    /// Of 16 orders one is an iceberg of about five parts, one has a minimum fill of half of it, one is pegged; 1,024 owners,
    /// whose resting orders give way to their new ones.
    case mixed
}

extension WorkloadResult {
    /// Runs one operation.
    @inline(__always)
    mutating func apply(_ operation: Workload.Operation, to book: inout some WorkloadBook, _ orders: WorkloadOrders) {
        let id = OrderID(Int64(bitPattern: operation.id))
        switch operation.type {
        case Workload.Operation.add:
            _ = book.submit(operation.entry(id, orders), timeInForce: .goodTillCancelled, isPostOnly: false, &self)
        case Workload.Operation.cancel:
            if !book.cancel(id) { rejects &+= 1 }
        case Workload.Operation.reduce:
            if book.reduce(id, by: Lots(Int64(operation.quantity))) != nil { rejects &+= 1 }
        default:
            let entry = operation.entry(OrderID(Int64(bitPattern: operation.newID)), orders)
            let result = book.replace(id, with: entry, timeInForce: .goodTillCancelled, isPostOnly: false, &self)
            if case .refused = result { rejects &+= 1 }
        }
    }

    /// Runs operations one after the other.
    @inline(never)
    mutating func run(_ operations: ArraySlice<Workload.Operation>, on book: inout some WorkloadBook, _ orders: WorkloadOrders) {
        operations.withUnsafeBufferPointer { operations in
            for operation in operations { apply(operation, to: &book, orders) }
        }
    }

    /// What the book holds at the end.
    mutating func close(_ book: some WorkloadBook) {
        let bids = book.depth(.bid), asks = book.depth(.ask)
        bid = bids.first?.price.rawValue ?? 0
        ask = asks.first?.price.rawValue ?? 0
        orders = (bids + asks).reduce(0) { $0 + $1.orders }
        resting = (bids + asks).reduce(0) { $0 + UInt64($1.lots.rawValue) }
    }

    /// The result of a whole workload on an empty book.
    public init(of workload: Workload, on book: inout some WorkloadBook, _ orders: WorkloadOrders = .plain) {
        self.init()
        run(workload.preload[...], on: &book, orders)
        run(workload.operations[...], on: &book, orders)
        close(book)
    }
}

extension Workload.Operation {
    @inline(__always)
    fileprivate func entry(_ id: OrderID, _ orders: WorkloadOrders) -> OrderBook.Entry {
        var entry = OrderBook.Entry(
            id: id, owner: AccountID(id.rawValue), side: side == 0 ? .bid : .ask, price: Price(price), lots: Lots(Int64(quantity)),
            stamp: 0)
        if orders == .mixed { mix(&entry) }
        return entry
    }

    private func mix(_ entry: inout OrderBook.Entry) {
        let dice = UInt64(bitPattern: entry.id.rawValue) &* 0x9e37_79b9_7f4a_7c15 >> 40
        entry.owner = AccountID(Int64(dice >> 4 & 1023))
        entry.selfTrade = .cancelResting
        switch dice & 15 {
        case 0: entry.displayed = Lots(max(1, Int64(quantity) / 5))
        case 1: entry.minimumFill = Lots(max(1, Int64(quantity) / 2))
        case 2: entry.isPegged = true
        default: break
        }
    }
}
