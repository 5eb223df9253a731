internal import Units

/// Values by the numbers that the market gives. Nothing is allocated per entry.
struct KeyedValues<Key: EntityKey, Value: Sendable>: Sendable {
    private struct Row: Sendable {
        var key: Key
        var value: Value
    }

    private var rows: ContiguousArray<Row?> = []
    private var index = SlotIndex()
    private var free: ContiguousArray<Int32> = []

    init() {}

    @inline(__always)
    private func slot(of key: Key) -> Int? { index.slot(key.indexHash) { rows[$0]?.key == key } }

    subscript(key: Key) -> Value? { slot(of: key).flatMap { rows[$0]?.value } }

    /// Changes a value in its place, after setting one if there is none. O(1) amortised
    @inline(__always)
    mutating func update(_ key: Key, default value: @autoclosure () -> Value, _ body: (inout Value) -> Void) {
        let slot = slot(of: key) ?? insert(key, value())
        guard rows[slot] != nil else { preconditionFailure("an indexed row is there") }
        body(&rows[slot]!.value)
    }

    /// In no order. O(n)
    var all: [(key: Key, value: Value)] { rows.compactMap { row in row.map { ($0.key, $0.value) } } }

    /// O(1)
    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        guard let slot = slot(of: key), let row = rows[slot] else { return nil }
        index.remove(key.indexHash, slot: slot)
        rows[slot] = nil
        free.append(Int32(slot))
        return row.value
    }

    private mutating func insert(_ key: Key, _ value: Value) -> Int {
        let slot: Int
        if let used = free.popLast() {
            slot = Int(used)
            rows[slot] = Row(key: key, value: value)
        } else {
            slot = rows.count
            rows.append(Row(key: key, value: value))
        }
        index.insert(key.indexHash, slot: slot)
        return slot
    }
}
