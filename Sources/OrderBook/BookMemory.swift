public import Units

/// Memory that the book manages itself: trivial values, aligned to cache lines.
@usableFromInline
enum BookMemory {
    static func allocate<T: BitwiseCopyable>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
        UnsafeMutableRawPointer.allocate(byteCount: max(1, count) * MemoryLayout<T>.stride, alignment: 64)
            .bindMemory(to: type, capacity: count)
    }

    /// New memory for `capacity` values, the first `count` of them copied.
    static func copy<T: BitwiseCopyable>(_ source: UnsafeMutablePointer<T>, count: Int, capacity: Int) -> UnsafeMutablePointer<T> {
        let copy = allocate(T.self, capacity)
        copy.initialize(from: source, count: count)
        return copy
    }

    /// Moves the first `count` values to memory for `capacity`.
    static func grow<T: BitwiseCopyable>(_ pointer: inout UnsafeMutablePointer<T>, count: Int, to capacity: Int) {
        let grown = copy(pointer, count: count, capacity: capacity)
        pointer.deallocate()
        pointer = grown
    }
}

/// A resting order in the book's memory: one cache line.
@frozen @usableFromInline
struct Slot: BitwiseCopyable {
    @usableFromInline var id: Int64
    @usableFromInline var owner: Int64
    @usableFromInline var lots: Int64
    @usableFromInline var shown: Int64
    @usableFromInline var stamp: Int64
    /// The order ahead of it in its level; ``BookCore/none`` for the first.
    @usableFromInline var previous: Int32
    /// The order behind it in its level; of a free slot, the next free one.
    @usableFromInline var next: Int32
    @usableFromInline var level: Int32
    @usableFromInline var flags: Flags
    /// Goes up whenever an order comes to or leaves this place; odd while there is one.
    @usableFromInline var generation: UInt32

    @frozen @usableFromInline
    struct Flags: BitwiseCopyable {
        @usableFromInline var bits: UInt32

        @inlinable init(bits: UInt32) { self.bits = bits }

        @inlinable init(_ selfTrade: SelfTradePrevention, isPegged: Bool, hasTerms: Bool) {
            bits = UInt32(selfTrade.rawValue) | (isPegged ? 4 : 0) | (hasTerms ? 8 : 0)
        }

        /// 1 for an order that is not pegged, else 0.
        @inlinable var fixed: Int32 { bits & 4 == 0 ? 1 : 0 }
        @inlinable var isPegged: Bool { bits & 4 != 0 }
        /// Whether the slot's ``SlotTerms`` count.
        @inlinable var hasTerms: Bool { bits & 8 != 0 }
        @inlinable var selfTrade: SelfTradePrevention {
            guard let mode = SelfTradePrevention(rawValue: UInt8(truncatingIfNeeded: bits & 3)) else {
                preconditionFailure("a slot's flags hold a self-trade prevention mode")
            }
            return mode
        }
    }
}

/// What few orders have, beside the slots and touched for those orders only.
@frozen @usableFromInline
struct SlotTerms: BitwiseCopyable {
    @usableFromInline var minimumFill: Int64
    /// `Int64.max`: all.
    @usableFromInline var displayed: Int64
    /// Whether the order has a number of lots to display.
    @usableFromInline var isIceberg: Bool

    @inlinable init(minimumFill: Int64, displayed: Int64, isIceberg: Bool) {
        self.minimumFill = minimumFill
        self.displayed = displayed
        self.isIceberg = isIceberg
    }

    @inlinable init(_ entry: OrderBook.Entry) {
        minimumFill = entry.minimumFill.rawValue
        displayed = entry.displayed?.rawValue ?? .max
        isIceberg = entry.displayed != nil
    }

    /// Those of most orders.
    @inlinable static var plain: SlotTerms { SlotTerms(minimumFill: 1, displayed: .max, isIceberg: false) }
}

/// A price of one side in the book's memory.
@frozen @usableFromInline
struct Level: BitwiseCopyable {
    /// Displayed lots. Each order may have up to `Int64.max` of them.
    @usableFromInline var shown: Int128
    /// The price as a number that is higher the better it is: ``Side/key(_:)``.
    @usableFromInline var key: Int64
    @usableFromInline var head: Int32
    @usableFromInline var tail: Int32
    /// The neighbouring levels of the side. Of a free level, `worse` is the next free one.
    @usableFromInline var better: Int32
    @usableFromInline var worse: Int32
    /// 0 in a free level.
    @usableFromInline var orders: Int32
    /// Of them not pegged.
    @usableFromInline var fixed: Int32
    @usableFromInline var side: Side

    @inlinable init(key: Int64, side: Side) {
        shown = 0
        self.key = key
        head = BookCore.none
        tail = BookCore.none
        better = BookCore.none
        worse = BookCore.none
        orders = 0
        fixed = 0
        self.side = side
    }

    @inlinable var price: Int64 { side.key(key) }
}
