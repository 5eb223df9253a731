internal import BinaryCoding

/// The slots of an ``EntityTable``: an array whose rows are read and changed where they lie. Nothing copies a whole row
/// to look at one field, as an `Array` of large structs does.
///
/// Copies share the rows until one of them changes.
struct EntityRows<Key: EntityKey, Entity: Sendable & BinaryCodable>: @unchecked Sendable {
    // Sendable: the buffer is shared by values that only read it, and changed by its only owner.

    struct Row: Sendable {
        var key: Key
        /// What the entity adds to the sum of settled hashes: its hash when it was last settled, 0 before.
        var settledHash: UInt64 = 0
        var notes: EntityNotes
        /// nil in a slot that waits to be used again; whether it is, `notes` tells without reading it.
        var entity: Entity?
    }

    /// An entity that cannot be copied by mistake.
    private struct Held: ~Copyable {
        var entity: Entity

        func encode(into writer: inout BinaryWriter) { entity.encode(into: &writer) }
    }

    private struct Header {
        var count = 0
        let capacity: Int
    }

    private final class Buffer: ManagedBuffer<Header, Row> {
        static func make(capacity: Int) -> Buffer {
            let buffer = create(minimumCapacity: capacity) { _ in Header(capacity: capacity) }
            return unsafeDowncast(buffer, to: Buffer.self)
        }

        deinit { withUnsafeMutablePointers { _ = $1.deinitialize(count: $0.pointee.count) } }

        /// Another buffer with these rows; this one is left empty unless `isCopy`.
        func rehoused(capacity: Int, isCopy: Bool) -> Buffer {
            let other = Buffer.make(capacity: capacity)
            withUnsafeMutablePointers { header, rows in
                other.withUnsafeMutablePointers { otherHeader, otherRows in
                    let count = header.pointee.count
                    if isCopy {
                        otherRows.initialize(from: rows, count: count)
                    } else {
                        otherRows.moveInitialize(from: rows, count: count)
                        header.pointee.count = 0
                    }
                    otherHeader.pointee.count = count
                }
            }
            return other
        }
    }

    private var buffer = Buffer.make(capacity: 0)

    @inline(__always)
    var count: Int { buffer.withUnsafeMutablePointerToHeader { $0.pointee.count } }

    private var capacity: Int { buffer.withUnsafeMutablePointerToHeader { $0.pointee.capacity } }

    subscript(slot: Int) -> Row {
        @inline(__always) _read { yield address(of: slot).pointee }
        @inline(__always) _modify {
            if !isKnownUniquelyReferenced(&buffer) { own() }
            yield &address(of: slot).pointee
        }
    }

    @inline(__always)
    func entity(_ slot: Int) -> Entity { payload(of: slot).pointee.entity }

    /// What `body` makes of the entity in a slot, which is not copied for it.
    @inline(__always)
    func with<R>(_ slot: Int, _ body: (borrowing Entity) -> R) -> R { body(payload(of: slot).pointee.entity) }

    /// Changes the entity in a slot, in its place.
    @inline(__always)
    mutating func update<R>(_ slot: Int, _ body: (inout Entity) -> R) -> R {
        if !isKnownUniquelyReferenced(&buffer) { own() }
        return body(&payload(of: slot).pointee.entity)
    }

    mutating func append(_ row: Row) {
        let isShared = !isKnownUniquelyReferenced(&buffer)
        if isShared || count == capacity {
            buffer = buffer.rehoused(capacity: count == capacity ? max(8, capacity * 2) : capacity, isCopy: isShared)
        }
        buffer.withUnsafeMutablePointers { header, rows in
            (rows + header.pointee.count).initialize(to: row)
            header.pointee.count += 1
        }
    }

    @inline(__always)
    private func address(of slot: Int) -> UnsafeMutablePointer<Row> {
        buffer.withUnsafeMutablePointers { header, rows in
            precondition(slot >= 0 && slot < header.pointee.count, "no such row")
            return rows + slot
        }
    }

    /// The entity of a row that has one. An optional's payload lies at its start.
    @inline(__always)
    private func payload(of slot: Int) -> UnsafeMutablePointer<Held> {
        let entity = UnsafeMutableRawPointer(address(of: slot)) + EntityRows.entityOffset
        return entity.assumingMemoryBound(to: Held.self)
    }

    @inline(__always)
    private static var entityOffset: Int {
        guard let offset = MemoryLayout<Row>.offset(of: \.entity) else { preconditionFailure("rows have no layout") }
        return offset
    }

    @inline(never)
    private mutating func own() { buffer = buffer.rehoused(capacity: capacity, isCopy: true) }
}

/// What is to be known of a slot, and the lists of its table that it is in.
struct EntityNotes: OptionSet, Sendable {
    let rawValue: UInt8
    /// There is an entity.
    static let used = EntityNotes(rawValue: 4)
    static let unsettled = EntityNotes(rawValue: 1)
    /// Two notes that take turns: one for what changed, one for what is frozen.
    static let changedInTurn = EntityNotes(rawValue: 2)
    static let changedInOtherTurn = EntityNotes(rawValue: 8)
}

extension EntityRows {
    /// The hash of the entity in a slot covers its key and every field, by its binary form; 0 if there is none.
    func hash(_ slot: Int, _ scratch: inout BinaryWriter) -> UInt64 {
        guard isUsed(slot) else { return 0 }
        scratch.removeAll()
        self[slot].key.encode(into: &scratch)
        payload(of: slot).pointee.encode(into: &scratch)
        return scratch.withUnsafeBytes(Hash64.of)
    }

    @inline(__always)
    func isUsed(_ slot: Int) -> Bool { address(of: slot).pointee.notes.contains(.used) }
}
