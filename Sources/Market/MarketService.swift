public import Exchange
internal import Foundation
public import Logging
public import Units

/// Why a market cannot start; the description is one line for the operator.
public enum MarketStartError: Error, CustomStringConvertible {
    case journalUnreadable(sequence: Int64, detail: String)
    case stateMismatch(position: Int64)
    case tablesInvalid(String)
    case rulesDiffer(String)

    public var description: String {
        switch self {
        case .journalUnreadable(let sequence, let detail):
            "journal row \(sequence) cannot be read: \(detail)"
        case .stateMismatch(let position):
            "the tables do not match the journal at position \(position): restore a backup, or rebuild the tables"
        case .tablesInvalid(let detail): "the tables cannot be read: \(detail)"
        case .rulesDiffer(let detail): "the database holds a market with other rules: \(detail)"
        }
    }
}

/// What start-up read: tables plus the journal's tail.
final class LoadedMarket {
    let committed: CommittedState
    let journal: any JournalPort
    let position: WriterPosition
    let at: Timestamp
    /// The tail that the tables lacked.
    let tail: Projection?

    init(
        committed: CommittedState, journal: any JournalPort, position: WriterPosition, at: Timestamp,
        tail: Projection?
    ) {
        self.committed = committed
        self.journal = journal
        self.position = position
        self.at = at
        self.tail = tail
    }

    /// Takes over as writer, loads the tables and applies what the journal has beyond them.
    ///
    /// - Parameter onStandby: called when another writer is found, which is waited for; nil: it is deposed
    static func load(
        tables: any TablesPort, journal: sending any JournalPort, onStandby: (@Sendable () -> Void)? = nil
    ) async throws -> LoadedMarket {
        do {
            if let onStandby { try await standBy(journal, onStandby) }
            return try await load(tables, journal, journal.takeOver(), triesLeft: 5)
        } catch {
            journal.close()
            throw error
        }
    }

    /// Returns when the journal is left.
    private static func standBy(_ journal: any JournalPort, _ onStandby: @Sendable () -> Void) async throws {
        // The database may need a moment to see that a killed writer is gone.
        for _ in 0..<20 {
            if try journal.mayTakeOver(hasWaited: false) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        onStandby()
        // Also while the database cannot be reached.
        while (try? journal.mayTakeOver(hasWaited: true)) != true { try await Task.sleep(for: .seconds(1)) }
    }

    private static func load(
        _ tables: any TablesPort, _ journal: any JournalPort, _ position: WriterPosition, triesLeft: Int
    ) async throws -> LoadedMarket {
        let stored = try await tables.load()
        let loaded = try load(stored, journal, position)
        guard let tail = loaded.tail else { return loaded }
        do { try await tables.project(tail) } catch {
            // Whoever was deposed may still have been bringing its last commits into the tables.
            guard triesLeft > 1, try await tables.load().last != stored.last else { throw error }
            return try await load(tables, journal, position, triesLeft: triesLeft - 1)
        }
        return loaded
    }

    private static func load(
        _ stored: StoredTables, _ journal: any JournalPort, _ position: WriterPosition
    ) throws -> LoadedMarket {
        guard stored.last <= position.last else {
            throw MarketStartError.tablesInvalid(
                "they are at position \(stored.last), but the journal ends at \(position.last)")
        }
        var state: MarketState
        do { state = try MarketState(restoring: stored.state) } catch {
            throw MarketStartError.tablesInvalid("\(error)")
        }
        // Nothing was projected yet: the tables must be empty.
        let expected = stored.last == 0 ? MarketState().hash : stored.stateHash
        state.settleHashes()
        // Another version's hash says nothing; the first row that this one writes does again.
        let isComparable = stored.last == 0 || stored.rulesVersion == JournalBody.rulesVersion
        guard !isComparable || state.hash == expected else { throw MarketStartError.stateMismatch(position: stored.last) }
        state.trackChanges()
        var at = stored.at
        var hash = stored.stateHash
        var version = stored.rulesVersion
        var last = stored.last
        var appended = Appended()
        try journal.replay(after: stored.last) { row in
            guard row.first == last + 1 else {
                throw MarketStartError.journalUnreadable(sequence: row.first, detail: "rows before it are missing")
            }
            let commands: [JournalledCommand]
            do { commands = try JournalBody.decode(row.body) } catch {
                throw MarketStartError.journalUnreadable(sequence: row.first, detail: "\(error)")
            }
            guard commands.count == row.last - row.first + 1 else {
                throw MarketStartError.journalUnreadable(sequence: row.first, detail: "commands are missing in it")
            }
            for command in commands { for event in command.events { state.evolve(event) } }
            state.settleHashes()
            guard row.rulesVersion != JournalBody.rulesVersion || state.hash == row.stateHash else {
                throw MarketStartError.stateMismatch(position: row.last)
            }
            appended.entries += Appended(commands, first: row.first).entries
            (at, version, hash, last) = (row.at, row.rulesVersion, row.stateHash, row.last)
        }
        guard last == position.last else {
            throw MarketStartError.journalUnreadable(sequence: position.last, detail: "the journal ends at \(last)")
        }
        let changes = state.takeChanges()
        let tail = last == stored.last ? nil : Projection(
            previous: stored.last, last: last, at: at, rulesVersion: version, stateHash: hash, changes: changes,
            appended: appended)
        return LoadedMarket(
            committed: CommittedState(state, position: last, at: at, stateHash: hash), journal: journal, position: position,
            at: at, tail: tail)
    }
}

/// A market in operation: its writer and projector.
public final class MarketService: Sendable {
    public let writer: MarketWriter
    private let projector: Projector
    private let projection: Task<Void, Never>

    private init(writer: MarketWriter, projector: Projector) {
        self.writer = writer
        self.projector = projector
        projection = Task { await projector.run() }
    }

    /// Loads, takes over and starts; returns when commands are accepted.
    ///
    /// - Parameter onStandby: called when another server has the market; then this one starts when that one has ended. nil:
    ///   it is deposed
    /// - Throws: ``MarketStartError`` or the storage's error
    public static func start(
        rules: MarketRules, tables: any TablesPort, journal: sending any JournalPort,
        configuration: MarketWriter.Configuration = .init(), logger: Logger,
        clock: @escaping @Sendable () -> Timestamp = MarketService.systemClock, onStandby: (@Sendable () -> Void)? = nil,
        onDeposed: @escaping @Sendable (JournalError) -> Void
    ) async throws -> MarketService {
        let loaded = try await LoadedMarket.load(tables: tables, journal: journal, onStandby: onStandby)
        let projector = Projector(tables: tables, committed: loaded.committed, logger: logger)
        let writer = MarketWriter(
            loaded: loaded, projector: projector, configuration: configuration, logger: logger, clock: clock,
            onDeposed: onDeposed)
        nonisolated(unsafe) let unshared = loaded
        writer.start(unshared)
        let service = MarketService(writer: writer, projector: projector)
        do { try await service.define(rules) } catch {
            await service.stop()
            throw error
        }
        return service
    }

    /// Commits what waits, brings the tables up to date and ends.
    public func stop() async {
        await writer.stop()
        projector.stop()
        await projection.value
    }

    /// Returns once everything committed so far is in the tables.
    public func projected() async { await projector.drained() }

    public static let systemClock: @Sendable () -> Timestamp = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    private func define(_ rules: MarketRules) async throws {
        let known = writer.read { $0.rules }
        if let known {
            // Its rules may have changed since it was created, what prices and lots mean may not.
            guard known.hasSameUnits(as: rules) else {
                throw MarketStartError.rulesDiffer("it was created with \(known), this server has \(rules)")
            }
            return
        }
        let outcome = try await writer.submit(CommandEnvelope(.defineMarket(rules)))
        if case .rejected(let rejection) = outcome { throw MarketStartError.tablesInvalid(rejection.explanation) }
    }
}
