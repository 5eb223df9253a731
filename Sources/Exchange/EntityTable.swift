public import BinaryCoding

/// What became of an entity since changes were last taken.
public enum EntityChange<Entity: Sendable>: Sendable {
    /// Its present image.
    case live(Entity)
    /// It left the state; its last image.
    case gone(Entity)
}

/// The entities of one kind, with the sum of their hashes kept up to date.
///
/// The hash of an entity covers its key and every field, by its binary form.
public struct EntityTable<Key: Hashable & Comparable & Sendable & BinaryCodable, Entity: Sendable & BinaryCodable>: Sendable {
    private struct Row: Sendable {
        var entity: Entity
        var hash: UInt64
    }

    private var rows: [Key: Row] = [:]
    private var changes: [Key: EntityChange<Entity>]?
    /// Wrapping sum of the entities' hashes.
    public private(set) var hash: UInt64 = 0

    init() {}

    public var count: Int { rows.count }
    public var values: some Sequence<Entity> { rows.lazy.map(\.value.entity) }
    public var keys: some Sequence<Key> { rows.keys }

    public subscript(key: Key) -> Entity? { rows[key]?.entity }

    /// Inserts or replaces.
    mutating func set(_ key: Key, _ entity: Entity) {
        let newHash = StateHash.of(key, entity)
        if let old = rows[key] { hash &-= old.hash }
        hash &+= newHash
        rows[key] = Row(entity: entity, hash: newHash)
        changes?[key] = .live(entity)
    }

    /// Changes an entity that is there.
    mutating func update(_ key: Key, _ body: (inout Entity) -> Void) {
        guard var entity = rows[key]?.entity else { preconditionFailure("no such entity") }
        body(&entity)
        set(key, entity)
    }

    mutating func remove(_ key: Key) {
        guard let row = rows.removeValue(forKey: key) else { return }
        hash &-= row.hash
        changes?[key] = .gone(row.entity)
    }

    /// From now on changes are collected for ``takeChanges()``.
    mutating func trackChanges() { changes = [:] }

    mutating func stopTrackingChanges() { changes = nil }

    /// The last image of every entity that changed since the last call, by key.
    mutating func takeChanges() -> [Key: EntityChange<Entity>] {
        guard let taken = changes else { return [:] }
        changes = [:]
        return taken
    }
}

/// The 64-bit hash that a market's state is compared by. Not cryptographic: it finds errors, not forgeries.
enum StateHash {
    static func of(_ key: some BinaryCodable, _ entity: some BinaryCodable) -> UInt64 {
        var writer = BinaryWriter(reservingCapacity: 160)
        key.encode(into: &writer)
        entity.encode(into: &writer)
        return of(writer.bytes)
    }

    /// FNV-1a over the bytes, then splitmix64's finish so that a sum of hashes mixes well.
    static func of(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
        hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
        return hash ^ (hash >> 31)
    }
}
