public import BinaryCoding
internal import Units

/// What became of an entity since changes were last taken.
public enum EntityChange<Entity: Sendable>: Sendable {
    /// Its present image.
    case live(Entity)
    /// It left the state; its last image.
    case gone(Entity)
}

/// The entities of one kind, with the sum of their hashes.
///
/// Entities stay in the slot of a dense array that they were given at first, and are changed there. A change only notes
/// the slot, once: the hash of the entity is computed when ``hash`` is asked for or settled, its image is taken when
/// changes are. Both lists name every slot at most once, so they never outgrow the table.
///
/// Copies share their storage until one of them changes.
public struct EntityTable<Key: EntityKey, Entity: Sendable & BinaryCodable>: Sendable {
    private var rows = EntityRows<Key, Entity>()
    private var index = SlotIndex()
    private var free: ContiguousArray<Int32> = []
    private var settledSum: UInt64 = 0
    private var unsettled: ContiguousArray<Int32> = []
    /// The notes of a slot whose entity was changed.
    private var wanted: EntityNotes = [.used, .unsettled]
    private var changed: ContiguousArray<Int32> = []
    private var gone: [(key: Key, entity: Entity)] = []

    init() {}

    public var count: Int { index.count }
    /// In the order of their slots.
    public var values: some Sequence<Entity> { usedSlots.map { rows.entity($0) } }
    /// In the order of ``values``.
    public var keys: some Sequence<Key> { usedSlots.map { rows[$0].key } }

    private var usedSlots: LazyFilterSequence<Range<Int>> { (0..<rows.count).lazy.filter { rows.isUsed($0) } }

    // MARK: - Reading

    /// O(1). `table[key]?.field` reads that field only; what keeps the entity copies it, with a retain for each of its
    /// strings and arrays. Ask ``contains(_:)`` rather than whether this is nil: that copies too.
    public subscript(key: Key) -> Entity? {
        @inline(__always) get { slot(of: key).map { rows.entity($0) } }
    }

    public func contains(_ key: Key) -> Bool { slot(of: key) != nil }

    /// What `body` makes of an entity, which is not copied for it; nil if there is none.
    @inline(__always)
    public func with<R>(_ key: Key, _ body: (borrowing Entity) -> R) -> R? {
        guard let slot = slot(of: key) else { return nil }
        return rows.with(slot, body)
    }

    @inline(__always)
    private func slot(of key: Key) -> Int? { index.slot(key.indexHash) { rows[$0].key == key } }

    // MARK: - Changing

    /// Inserts or replaces. O(1) amortised.
    mutating func set(_ key: Key, _ entity: Entity) {
        if let slot = slot(of: key) {
            rows[slot].entity = entity
            note(slot)
        } else {
            insert(key, entity)
        }
    }

    /// Changes an entity that is there, in its place. O(1).
    @discardableResult
    @inline(__always)
    mutating func update<R>(_ key: Key, _ body: (inout Entity) -> R) -> R {
        guard let slot = slot(of: key) else { preconditionFailure("no such entity") }
        defer { note(slot) }
        return rows.update(slot, body)
    }

    /// Changes an entity in its place, after inserting one if there is none. O(1) amortised.
    @discardableResult
    @inline(__always)
    mutating func update<R>(_ key: Key, default entity: @autoclosure () -> Entity, _ body: (inout Entity) -> R) -> R {
        let slot = slot(of: key) ?? insert(key, entity())
        defer { note(slot) }
        return rows.update(slot, body)
    }

    /// Removes an entity if it is there, and returns it. O(1).
    @discardableResult
    mutating func remove(_ key: Key) -> Entity? {
        guard let slot = slot(of: key) else { return nil }
        let entity = rows[slot].entity.take()
        index.remove(key.indexHash, slot: slot)
        settledSum &-= rows[slot].settledHash
        rows[slot].settledHash = 0
        rows[slot].notes.remove(.used)
        free.append(Int32(slot))
        if wanted.contains(.changed), let entity { gone.append((key, entity)) }
        return entity
    }

    @discardableResult
    private mutating func insert(_ key: Key, _ entity: Entity) -> Int {
        let slot: Int
        if let used = free.popLast() {
            slot = Int(used)
            // It may still be in the lists.
            rows[slot] = .init(key: key, notes: rows[slot].notes, entity: entity)
        } else {
            slot = rows.count
            precondition(slot < Int32.max, "too many entities")
            rows.append(.init(key: key, notes: [], entity: entity))
        }
        index.insert(key.indexHash, slot: slot)
        note(slot)
        return slot
    }

    @inline(__always)
    private mutating func note(_ slot: Int) {
        if rows[slot].notes != wanted { enlist(slot) }
    }

    @inline(never)
    private mutating func enlist(_ slot: Int) {
        let missing = wanted.subtracting(rows[slot].notes)
        rows[slot].notes = wanted
        if missing.contains(.unsettled) { unsettled.append(Int32(slot)) }
        if missing.contains(.changed) { changed.append(Int32(slot)) }
    }

    // MARK: - Hash

    /// Wrapping sum of the entities' hashes. O(entities changed since it was last settled).
    public var hash: UInt64 {
        guard !unsettled.isEmpty else { return settledSum }
        var scratch = BinaryWriter(reservingCapacity: 512, isForHashing: true)
        return unsettled.reduce(settledSum) {
            $0 &+ rows.hash(Int($1), &scratch) &- rows[Int($1)].settledHash
        }
    }

    /// Brings the sum up to date, so that the changes so far cost nothing when it is read again.
    mutating func settleHash(_ scratch: inout BinaryWriter) {
        for entry in unsettled {
            let slot = Int(entry)
            let hash = rows.hash(slot, &scratch)
            settledSum &+= hash &- rows[slot].settledHash
            rows[slot].settledHash = hash
            rows[slot].notes.remove(.unsettled)
        }
        unsettled.removeAll(keepingCapacity: true)
    }

    mutating func settleHash() {
        var scratch = BinaryWriter(reservingCapacity: 512, isForHashing: true)
        settleHash(&scratch)
    }

    // MARK: - Changes

    /// From now on changes are collected for ``takeChanges()``.
    mutating func trackChanges() {
        forgetChanges()
        wanted.insert(.changed)
    }

    mutating func stopTrackingChanges() {
        forgetChanges()
        wanted.remove(.changed)
    }

    /// The last image of every entity that changed since the last call, by key.
    mutating func takeChanges() -> [Key: EntityChange<Entity>] {
        guard !changed.isEmpty || !gone.isEmpty else { return [:] }
        var taken: [Key: EntityChange<Entity>] = [:]
        taken.reserveCapacity(changed.count + gone.count)
        for (key, entity) in gone { taken[key] = .gone(entity) }
        for slot in changed.lazy.map(Int.init) where rows.isUsed(slot) {
            taken[rows[slot].key] = .live(rows.entity(slot))
        }
        forgetChanges()
        return taken
    }

    private mutating func forgetChanges() {
        for slot in changed { rows[Int(slot)].notes.remove(.changed) }
        changed.removeAll(keepingCapacity: true)
        gone.removeAll(keepingCapacity: true)
    }
}
