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
/// Changes can be frozen at one moment in no time, and taken in parts while the table goes on: an entity that is about
/// to change leaves its frozen image behind.
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
    private var turn: EntityNotes = .changedInTurn
    private var changed: ContiguousArray<Int32> = []
    private var gone: [(key: Key, entity: Entity)] = []
    private var frozen = Frozen()

    /// What had changed when it was frozen, and is not taken yet.
    private struct Frozen: Sendable {
        var slots: ContiguousArray<Int32> = []
        /// The first one that is not looked at yet.
        var next = 0
        var gone: [(key: Key, entity: Entity)] = []
        /// Images of entities that went on.
        var left: [(key: Key, entity: Entity)] = []

        var isEmpty: Bool { next == slots.count && gone.isEmpty && left.isEmpty }
    }

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
            note(slot)
            rows[slot].entity = entity
        } else {
            insert(key, entity)
        }
    }

    /// Changes an entity that is there, in its place. O(1).
    @discardableResult
    @inline(__always)
    mutating func update<R>(_ key: Key, _ body: (inout Entity) -> R) -> R {
        guard let slot = slot(of: key) else { preconditionFailure("no such entity") }
        note(slot)
        return rows.update(slot, body)
    }

    /// Changes an entity in its place, after inserting one if there is none. O(1) amortised.
    @discardableResult
    @inline(__always)
    mutating func update<R>(_ key: Key, default entity: @autoclosure () -> Entity, _ body: (inout Entity) -> R) -> R {
        let slot = slot(of: key) ?? insert(key, entity())
        note(slot)
        return rows.update(slot, body)
    }

    /// Removes an entity if it is there, and returns it. O(1).
    @discardableResult
    mutating func remove(_ key: Key) -> Entity? {
        guard let slot = slot(of: key) else { return nil }
        if rows[slot].notes.contains(frozenNote) { leaveImage(slot) }
        let entity = rows[slot].entity.take()
        index.remove(key.indexHash, slot: slot)
        settledSum &-= rows[slot].settledHash
        rows[slot].settledHash = 0
        rows[slot].notes.remove(.used)
        free.append(Int32(slot))
        if isTracking, let entity { gone.append((key, entity)) }
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

    /// Before the entity in a slot changes.
    @inline(__always)
    private mutating func note(_ slot: Int) {
        if rows[slot].notes != wanted { enlist(slot) }
    }

    @inline(never)
    private mutating func enlist(_ slot: Int) {
        if rows[slot].notes.contains(frozenNote) { leaveImage(slot) }
        let missing = wanted.subtracting(rows[slot].notes)
        rows[slot].notes = wanted
        if missing.contains(.unsettled) { unsettled.append(Int32(slot)) }
        if missing.contains(changedNote) { changed.append(Int32(slot)) }
    }

    private mutating func leaveImage(_ slot: Int) {
        rows[slot].notes.remove(frozenNote)
        guard rows.isUsed(slot) else { return }
        frozen.left.append((rows[slot].key, rows.entity(slot)))
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

    private var isTracking: Bool { !wanted.isDisjoint(with: [.changedInTurn, .changedInOtherTurn]) }
    /// Says that the slot is in `changed`: one of the two that take turns.
    private var changedNote: EntityNotes { turn }
    /// Says that the slot is in `frozen` and its image is still to be taken.
    private var frozenNote: EntityNotes { turn == .changedInTurn ? .changedInOtherTurn : .changedInTurn }

    /// From now on changes are collected for ``takeChanges()``.
    mutating func trackChanges() {
        forgetChanges()
        wanted.insert(changedNote)
    }

    mutating func stopTrackingChanges() {
        forgetChanges()
        wanted.remove(changedNote)
    }

    /// Fixes what changed since the last call, with the images of this moment, to be taken from now on. O(1).
    ///
    /// What was frozen before must have been taken.
    mutating func freezeChanges() {
        precondition(frozen.isEmpty, "what was frozen is taken first")
        frozen.slots = changed
        frozen.next = 0
        frozen.gone = gone
        changed = []
        gone = []
        guard isTracking else { return }
        wanted.remove(turn)
        turn = frozenNote
        wanted.insert(turn)
    }

    /// Takes the images of at most `most` of the frozen changes.
    ///
    /// - Returns: how many were looked at; less than `most` when none is left
    mutating func takeFrozen(_ most: Int, into taken: inout [Key: EntityChange<Entity>]) -> Int {
        var looked = 0
        // What left the table may have come back: that image, taken later, stands.
        while looked < most, let (key, entity) = frozen.gone.popLast() {
            if taken[key] == nil { taken[key] = .gone(entity) }
            looked += 1
        }
        while looked < most, let (key, entity) = frozen.left.popLast() {
            taken[key] = .live(entity)
            looked += 1
        }
        while looked < most, frozen.next < frozen.slots.count {
            let slot = Int(frozen.slots[frozen.next])
            frozen.next += 1
            looked += 1
            guard rows[slot].notes.contains(frozenNote) else { continue }
            rows[slot].notes.remove(frozenNote)
            if rows.isUsed(slot) { taken[rows[slot].key] = .live(rows.entity(slot)) }
        }
        if frozen.isEmpty { frozen = Frozen() }
        return looked
    }

    var frozenCount: Int { frozen.slots.count - frozen.next + frozen.gone.count + frozen.left.count }

    /// The last image of every entity that changed since the last call, by key.
    mutating func takeChanges() -> [Key: EntityChange<Entity>] {
        freezeChanges()
        var taken: [Key: EntityChange<Entity>] = [:]
        taken.reserveCapacity(frozenCount)
        _ = takeFrozen(.max, into: &taken)
        return taken
    }

    private mutating func forgetChanges() {
        for slot in changed { rows[Int(slot)].notes.subtract([.changedInTurn, .changedInOtherTurn]) }
        for slot in frozen.slots { rows[Int(slot)].notes.subtract([.changedInTurn, .changedInOtherTurn]) }
        changed.removeAll(keepingCapacity: true)
        gone.removeAll(keepingCapacity: true)
        frozen = Frozen()
    }
}
