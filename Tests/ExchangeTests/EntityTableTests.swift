import BinaryCoding
@testable import Exchange
import Ledger
import TestSupport
import Testing
import Units

/// An entity with all that makes copies expensive, and sizes that differ.
private struct Thing: Hashable, Sendable, BinaryCodable {
    var number: Int64
    var name: String?
    var parts: [Int64]

    init(number: Int64, name: String?, parts: [Int64]) {
        (self.number, self.name, self.parts) = (number, name, parts)
    }

    init(_ random: inout SeededRandom) {
        let parts = (0..<random.int(0...5)).map { _ in random.hostileInt64() }
        self.init(number: random.hostileInt64(), name: random.chance(50) ? "thing \(random.next())" : nil, parts: parts)
    }

    func encode(into writer: inout BinaryWriter) {
        writer.write(number)
        name.encode(into: &writer)
        parts.encode(into: &writer)
    }

    init(from reader: inout BinaryReader) throws(BinaryCodingError) {
        self.init(
            number: try reader.readInt64(), name: try String?(from: &reader), parts: try [Int64](from: &reader))
    }
}

extension EntityChange where Entity: Equatable {
    fileprivate var image: (isLive: Bool, Entity) {
        switch self {
        case .live(let entity): (true, entity)
        case .gone(let entity): (false, entity)
        }
    }
}

/// A table beside dictionaries that do what it should do.
private struct Pair<Key: EntityKey> {
    var table = EntityTable<Key, Thing>()
    var model: [Key: Thing] = [:]
    /// nil: not tracked.
    var changes: [Key: EntityChange<Thing>]?

    mutating func set(_ key: Key, _ thing: Thing) {
        table.set(key, thing)
        model[key] = thing
        changes?[key] = .live(thing)
    }

    mutating func update(_ key: Key, _ number: Int64, or fresh: Thing) {
        if var thing = model[key] {
            thing.number = number
            thing.parts.append(number)
            model[key] = thing
            changes?[key] = .live(thing)
            let parts = table.update(key) {
                $0.number = number
                $0.parts.append(number)
                return $0.parts
            }
            #expect(parts == thing.parts)
        } else {
            var thing = fresh
            thing.number = number
            model[key] = thing
            changes?[key] = .live(thing)
            table.update(key, default: fresh) { $0.number = number }
        }
    }

    mutating func remove(_ key: Key) {
        let gone = model.removeValue(forKey: key)
        if let gone { changes?[key] = .gone(gone) }
        #expect(table.remove(key) == gone)
    }

    mutating func track(_ isTracking: Bool) {
        if isTracking { table.trackChanges() } else { table.stopTrackingChanges() }
        changes = isTracking ? [:] : nil
    }

    /// The same entities in a table that came about another way.
    func rebuilt(using random: inout SeededRandom) -> EntityTable<Key, Thing> {
        var table = EntityTable<Key, Thing>()
        for (key, thing) in model.shuffled(using: &random) { table.set(key, thing) }
        return table
    }

    func check(_ keys: [Key], _ at: Comment) throws {
        try #require(table.count == model.count, at)
        for key in keys {
            try #require(table[key] == model[key], at)
            try #require(table.contains(key) == (model[key] != nil), at)
            try #require(table.with(key) { $0.number } == model[key]?.number, at)
        }
        try #require(Dictionary(uniqueKeysWithValues: zip(table.keys, table.values)) == model, at)
    }

    mutating func checkChanges(_ at: Comment) throws {
        let taken = table.takeChanges(), expected = changes ?? [:]
        try #require(Set(taken.keys) == Set(expected.keys), at)
        for (key, change) in taken {
            let wanted = try #require(expected[key]?.image, at)
            try #require(change.image == wanted, at)
        }
        if changes != nil { changes = [:] }
    }
}

@Suite struct EntityTableTests {
    @Test(arguments: Seeds.list(8))
    func isADictionaryByNumbers(_ seed: UInt64) throws {
        try compare(seed) { OrderID($0) }
        // Far apart, and equal in the lower half.
        try compare(seed) { OrderID($0 << 32) }
    }

    @Test(arguments: Seeds.list(4))
    func isADictionaryByOtherKeys(_ seed: UInt64) throws {
        try compare(seed) { BillingKey(bid: OrderID($0 / 9), ask: OrderID($0 / 3 % 3), rig: RigID($0 % 3)) }
        try compare(seed) { AnswerKey(account: AccountID($0 % 5), key: "a key that does not fit in a word \($0)") }
        try compare(seed) { $0 < 3 ? [.custody, .fees, .loss][Int($0)] : LedgerAccount.available(AccountID($0)) }
    }

    private func compare<Key: EntityKey>(_ seed: UInt64, _ key: (Int64) -> Key) throws {
        var random = SeededRandom(seed: seed)
        let keys = (0..<Int64(random.pick([3, 40, 400]))).map(key)
        var pair = Pair<Key>()
        var copies: [Pair<Key>] = []
        for step in 0..<1500 {
            let at: Comment = "seed \(seed), step \(step)"
            let key = random.pick(keys)
            switch random.int(1...100) {
            case 1...30: pair.set(key, Thing(&random))
            case 31...60: pair.update(key, random.hostileInt64(), or: Thing(&random))
            case 61...85: pair.remove(key)
            case 86...90:
                let before = pair.table.hash
                pair.table.settleHash()
                try #require(pair.table.hash == before, at)
            case 91...94: try pair.checkChanges(at)
            case 95: pair.track(random.chance(70))
            case 96...97: copies.append(pair)
            case 98 where !copies.isEmpty:
                // An older state goes on; what was done to the others must not show in it.
                swap(&pair, &copies[random.int(0...copies.count - 1)])
                try pair.check(keys, at)
            default:
                try pair.check(keys, at)
                try #require(pair.table.hash == pair.rebuilt(using: &random).hash, at)
            }
        }
        for var pair in copies + [pair] {
            try pair.check(keys, "seed \(seed)")
            var rebuilt = pair.rebuilt(using: &random)
            rebuilt.settleHash()
            try #require(pair.table.hash == rebuilt.hash, "seed \(seed)")
            try pair.checkChanges("seed \(seed)")
        }
    }

    @Test func theHashCoversKeysAndEveryField() {
        func hash(_ things: [Int64: Thing]) -> UInt64 {
            var table = EntityTable<RigID, Thing>()
            for (id, thing) in things { table.set(RigID(id), thing) }
            return table.hash
        }
        let thing = Thing(number: 1, name: nil, parts: [])
        let states: [[Int64: Thing]] = [
            [:], [1: thing], [2: thing], [1: thing, 2: thing],
            [1: Thing(number: 2, name: nil, parts: [])], [1: Thing(number: 1, name: "", parts: [])],
            [1: Thing(number: 1, name: "1", parts: [])], [1: Thing(number: 1, name: nil, parts: [0])],
            [1: Thing(number: 1, name: nil, parts: [0, 0])],
        ]
        #expect(Set(states.map(hash)).count == states.count)
        #expect(hash([:]) == 0)
    }

    @Test func aReplacedEntityIsChangedOnce() {
        var table = EntityTable<RigID, Thing>()
        table.trackChanges()
        for number in 0..<3 as Range<Int64> { table.set(RigID(1), Thing(number: number, name: nil, parts: [])) }
        table.remove(RigID(1))
        table.set(RigID(2), Thing(number: 7, name: nil, parts: []))
        let taken = table.takeChanges()
        #expect(taken.count == 2)
        #expect(taken[RigID(1)]?.image.isLive == false)
        #expect(taken[RigID(1)]?.image.1.number == 2)
        #expect(taken[RigID(2)]?.image.isLive == true)
        #expect(table.takeChanges().isEmpty)
    }

    /// What was frozen is taken in parts while the table goes on: always the images of the moment it was frozen at.
    @Test(arguments: Seeds.list(6))
    func frozenChangesAreOfOneMoment(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var table = EntityTable<RigID, Thing>(), followed: [RigID: Thing] = [:]
        table.trackChanges()
        for round in 0..<60 {
            for _ in 0..<random.int(0...40) { Self.change(&table, &random) }
            table.freezeChanges()
            let expected = Dictionary(uniqueKeysWithValues: zip(table.keys, table.values))
            var taken: [RigID: EntityChange<Thing>] = [:]
            let part = random.int(1...9)
            var copies: [EntityTable<RigID, Thing>] = []
            while true {
                for _ in 0..<random.int(0...6) { Self.change(&table, &random) }
                if random.chance(5) { copies.append(table) }
                if random.chance(10) { table.settleHash() }
                if table.takeFrozen(part, into: &taken) < part { break }
            }
            #expect(table.frozenCount == 0)
            for (key, change) in taken {
                switch change {
                case .live(let thing): followed[key] = thing
                case .gone: followed[key] = nil
                }
            }
            try #require(followed == expected, "seed \(seed), round \(round)")
        }
    }

    private static func change(_ table: inout EntityTable<RigID, Thing>, _ random: inout SeededRandom) {
        let key = RigID(random.int64(1...30))
        switch random.int(1...4) {
        case 1: table.set(key, Thing(&random))
        case 2: table.remove(key)
        default:
            let number = random.int64(0...99), fresh = Thing(&random)
            table.update(key, default: fresh) { $0.number = number }
        }
    }
}
