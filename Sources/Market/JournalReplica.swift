public import Exchange
public import Units

/// A market made anew from its journal, row by row, each row checked.
public struct JournalReplica: Sendable {
    /// How rows of the program's own rules become state. Those of older rules always follow their events.
    public enum Method: Sendable {
        /// Commands are decided again, and must come to the events that stand in the journal.
        case deciding
        /// Events are followed as they stand.
        case following
    }

    private let method: Method
    /// One of the two: an exchange from the first row on whose commands are decided again.
    private var followed: MarketState?
    private var exchange: Exchange?

    /// The last command that was taken.
    public private(set) var position: Int64
    /// Of the last row.
    public private(set) var at: Timestamp
    public private(set) var epoch: Int64 = 0
    public private(set) var stateHash: UInt64
    public private(set) var rulesVersion: Int64 = 0
    public private(set) var rows: Int64 = 0
    public private(set) var commands: Int64 = 0
    public private(set) var events: Int64 = 0
    /// Commands that were decided again.
    public private(set) var decided: Int64 = 0

    /// - Parameters:
    ///   - state: what the journal is followed from; its changes go on being tracked if they are
    ///   - position: the last command in it
    public init(
        _ method: Method, from state: MarketState = MarketState(), position: Int64 = 0,
        at: Timestamp = Timestamp(microseconds: 0)
    ) {
        self.method = method
        self.position = position
        self.at = at
        stateHash = state.hash
        followed = state
    }

    public func read<T>(_ body: (MarketState) throws -> T) rethrows -> T {
        if let exchange { return try body(exchange.state) }
        guard let followed else { preconditionFailure("a replica has a state") }
        return try body(followed)
    }

    /// What changed since the last call, if the state that it began with tracks its changes.
    public mutating func takeChanges() -> StateChanges {
        if exchange != nil { return exchange!.takeChanges() }
        precondition(followed != nil, "a replica has a state")
        return followed!.takeChanges()
    }

    /// Takes the next row.
    ///
    /// - Returns: its commands
    /// - Throws: what is wrong with it. A row that says another hash is taken nevertheless; after anything else the replica is
    ///   of no further use
    public mutating func take(_ row: JournalRow) throws(JournalFlaw) -> [JournalledCommand] {
        try checkFrame(row)
        let batch = try decode(row)
        let isOwn = row.rulesVersion == JournalBody.rulesVersion
        switch method {
        case .deciding where isOwn: try decide(batch, row)
        case .deciding, .following: follow(batch, row)
        }
        (position, at, epoch, rulesVersion) = (row.last, row.at, row.epoch, row.rulesVersion)
        rows += 1
        commands += Int64(batch.count)
        for command in batch { events += Int64(command.events.count) }
        // Another version's hash says nothing.
        guard !isOwn || stateHash == row.stateHash else {
            throw .stateHash(last: row.last, expected: stateHash, found: row.stateHash)
        }
        return batch
    }

    private func checkFrame(_ row: JournalRow) throws(JournalFlaw) {
        guard row.first == position + 1, row.last >= row.first else { throw .gap(after: position, next: row.first) }
        guard row.epoch >= epoch else { throw .epochFell(first: row.first, from: epoch, to: row.epoch) }
        guard row.at >= at else { throw .timeFell(first: row.first, from: at, to: row.at) }
        guard row.rulesVersion <= JournalBody.rulesVersion else {
            throw .newerRules(first: row.first, version: row.rulesVersion)
        }
    }

    private func decode(_ row: JournalRow) throws(JournalFlaw) -> [JournalledCommand] {
        let batch: [JournalledCommand]
        do { batch = try JournalBody.decode(row.body) } catch { throw .undecodable(first: row.first, detail: "\(error)") }
        let expected = row.last - row.first + 1
        guard batch.count == expected else {
            throw .commandCount(first: row.first, expected: expected, found: batch.count)
        }
        return batch
    }

    private mutating func follow(_ batch: [JournalledCommand], _ row: JournalRow) {
        // Rows of older rules after own ones: none are written, but nothing depends on it.
        var state = followed.take() ?? exchange.take()?.state ?? MarketState()
        for command in batch { for event in command.events { state.evolve(event) } }
        state.dropTimers(before: row.at)
        state.settleHashes()
        stateHash = state.hash
        followed = state
    }

    private mutating func decide(_ batch: [JournalledCommand], _ row: JournalRow) throws(JournalFlaw) {
        if let state = followed.take() { exchange = Exchange(state, time: at) }
        for (offset, command) in batch.enumerated() {
            let made = exchange!.apply(command.envelope, at: row.at).events
            guard made == command.events else {
                throw JournalReplica.difference(row.first + Int64(offset), command, made)
            }
        }
        decided += Int64(batch.count)
        exchange!.settleHashes()
        stateHash = exchange!.state.hash
    }

    private static func difference(_ sequence: Int64, _ command: JournalledCommand, _ made: [Event]) -> JournalFlaw {
        let stored = command.events
        let place = zip(made, stored).enumerated().first { $1.0 != $1.1 }?.offset ?? min(made.count, stored.count)
        func text(_ events: [Event]) -> String? { place < events.count ? events[place].withoutSecrets : nil }
        return .decidedOtherwise(
            sequence: sequence, command: command.envelope.command.name, event: place, expected: text(made), found: text(stored))
    }
}

extension Command {
    /// Its case, without what it carries.
    public var name: String { String("\(self)".prefix { $0 != "(" }) }
}

extension Event {
    /// Its case, without what it carries.
    public var name: String { String("\(self)".prefix { $0 != "(" }) }

    /// In words, as an operator may see it.
    var withoutSecrets: String {
        guard case .poolTargetCreated(var target) = self else { return "\(self)" }
        target.password = "..."
        return "\(Event.poolTargetCreated(target))"
    }
}
