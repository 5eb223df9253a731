import Units

/// What a session that is resumed goes on with.
struct EarlierSession {
    let rig: RigID
    let jobs: RigJobTable
    let wish: DifficultyWish
}

/// A session's name on the wire and its part of the search space.
struct RigSession {
    let id: UInt64
    let prefix: UInt16
    /// What it was before, if it is resumed.
    var earlier: EarlierSession?

    /// Random: whoever knows it has been told it.
    var name: String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// nil for what is not a name of ours.
    static func id(named name: String) -> UInt64? {
        guard name.utf8.count == 16, name.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        return UInt64(name, radix: 16)
    }
}

/// Sessions whose connections ended, for a while: their prefixes are kept for them.
struct SessionShelf {
    private struct Resting {
        let session: RigSession
        let until: Timestamp
    }

    private let limit: Int
    private let rest: Interval
    private var resting: [UInt64: Resting] = [:]
    /// In the order in which they were put here; some have been taken since.
    private var order: [(id: UInt64, until: Timestamp)] = []

    /// - Parameters:
    ///   - limit: sessions at one time; the one that rests longest makes room
    ///   - rest: how long one may be resumed
    init(limit: Int, rest: Interval) {
        self.limit = limit
        self.rest = rest
    }

    var count: Int { resting.count }

    /// Keeps a session; returns the prefixes that are free by that.
    mutating func put(_ session: RigSession, now: Timestamp) -> [UInt16] {
        guard limit > 0 else { return [session.prefix] }
        let freed = resting.count >= limit ? dropOldest() : nil
        let until = now + rest
        resting[session.id] = Resting(session: session, until: until)
        order.append((session.id, until))
        return freed.map { [$0] } ?? []
    }

    /// Takes a session back into use.
    mutating func take(_ id: UInt64, now: Timestamp) -> RigSession? {
        guard let found = resting[id], now < found.until else { return nil }
        resting[id] = nil
        return found.session
    }

    /// Gives up the one that rests longest; returns its prefix.
    mutating func dropOldest() -> UInt16? {
        var index = 0
        defer { order.removeFirst(index) }
        while index < order.count {
            let entry = order[index]
            index += 1
            if let prefix = drop(entry) { return prefix }
        }
        return nil
    }

    /// Gives up those whose time is over; returns their prefixes. To be called about once a second.
    mutating func expire(now: Timestamp) -> [UInt16] {
        let due = order.prefix { !(now < $0.until) }
        order.removeFirst(due.count)
        return due.compactMap { drop($0) }
    }

    /// The entry's prefix, unless it has been taken or put here again since.
    private mutating func drop(_ entry: (id: UInt64, until: Timestamp)) -> UInt16? {
        guard let found = resting[entry.id], found.until == entry.until else { return nil }
        resting[entry.id] = nil
        return found.session.prefix
    }
}
