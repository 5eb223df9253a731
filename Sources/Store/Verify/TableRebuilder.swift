public import Database
internal import Dispatch
internal import Exchange
internal import Market
internal import Units

/// Why tables were not rebuilt; the text is for the operator.
public enum RebuildError: Error, CustomStringConvertible {
    /// Others use this database: a server may be running.
    case inUse(sessions: Int64)
    case journal(String)
    /// What an interrupted rebuild left is not what the journal makes.
    case cannotContinue(position: Int64)

    public var description: String {
        switch self {
        case .inUse(let sessions):
            "\(sessions) other sessions use this database: stop the server first, or depose it with --force"
        case .journal(let flaw): "\(flaw): nothing can be rebuilt from there on; restore a backup"
        case .cannotContinue(let position):
            "the tables at position \(position) are not what the journal makes: rebuild without --continue"
        }
    }
}

/// Makes the tables that derive from the journal anew, in the same database, in transactions of bounded size.
///
/// First they are emptied, in one transaction; from then on they are always right for the position that they are at. So an
/// interrupted rebuild can be begun anew, continued, or left to the next start of a server, which applies the rest.
public struct TableRebuilder: Sendable {
    /// Tables that derive from the journal, those first that others refer to. `projector` says how far they are.
    public static let derivedTables = [
        "market_state", "pool_targets", "rigs", "farms", "orders", "deliveries", "billings", "ledger_balances",
        "ledger_postings", "ledger_entries", "deposits", "answers", "silences", "settlement_lines",
        "farm_logins", "curtailments", "cut_rigs", "blocks",
        "transfers", "payment_references", "account_freezes", "ledger_chain", "balance_snapshots",
    ]
    private let tables: DatabaseLocation
    private let journal: DatabaseLocation
    private let commandsPerTransaction: Int64

    /// - Parameter commandsPerTransaction: a transaction ends with the first row that reaches so many
    public init(tables: DatabaseLocation, journal: DatabaseLocation, commandsPerTransaction: Int64 = 10_000) {
        self.tables = tables.forLongWork
        self.journal = journal.forLongWork
        self.commandsPerTransaction = commandsPerTransaction
    }

    /// - Parameters:
    ///   - deposing: on Postgres, goes on although others use the database; a server is deposed
    ///   - continuing: goes on from where an interrupted rebuild ended
    ///   - progress: called after each transaction
    /// - Returns: the position of the tables: the journal's end
    /// - Throws: ``RebuildError``, ``JournalFlaw`` in it, or the database's error
    @discardableResult
    public func run(
        deposing: Bool = false, continuing: Bool = false, progress: @escaping @Sendable (ReplayProgress) -> Void = { _ in }
    ) async throws -> Int64 {
        let log = try Database.openConnection(journal)
        defer { log.close() }
        if !deposing { try await Self.refuseOthers(log) }
        let end = try JournalStore(log).takeOver()
        let database = try await Database.open(tables)
        do {
            if !continuing { try await database.write { try Self.empty($0) } }
            let last = try await rebuild(TableStore(database), JournalPages(connection: log), end, progress)
            await database.close()
            return last
        } catch {
            await database.close()
            throw error
        }
    }

    /// A server has sessions of its own all the time. The embedded database is guarded by its folder's lock.
    private static func refuseOthers(_ connection: any SQLConnection) async throws {
        for look in 1...looks {
            let others = try sessions(beside: connection)
            if others == 0 { return }
            guard look < looks else { throw RebuildError.inUse(sessions: others) }
            // A session that has just ended may still be listed.
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static let looks = 10

    private static func sessions(beside connection: any SQLConnection) throws -> Int64 {
        switch connection.dialect {
        case .sqlite: 0
        case .postgres:
            try connection.queryOne(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
                """)?.int64(0) ?? 0
        }
    }

    /// Triggers that keep rows from being deleted are out of the way meanwhile: in the same transaction, for this is the one
    /// who may.
    private static func empty(_ connection: any SQLConnection) throws {
        switch connection.dialect {
        case .sqlite:
            let guards = try connection.query("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'")
                .filter { derivedTables.contains(try $0.text(0)) }
            for row in guards { try connection.script("DROP TRIGGER \"\(try row.text(1))\"") }
            for table in derivedTables { try connection.execute("DELETE FROM \(table)") }
            for row in guards { try connection.script(try row.text(2)) }
        case .postgres:
            for table in derivedTables { try connection.script("ALTER TABLE \(table) DISABLE TRIGGER USER") }
            try connection.script("TRUNCATE \(derivedTables.joined(separator: ", "))")
            for table in derivedTables { try connection.script("ALTER TABLE \(table) ENABLE TRIGGER USER") }
        }
        try connection.execute("UPDATE projector SET last = 0, at = 0, rules_version = 1, state_hash = 0 WHERE id = 1")
    }

    private func rebuild(
        _ store: TableStore, _ pages: JournalPages, _ end: WriterPosition, _ progress: (ReplayProgress) -> Void
    ) async throws -> Int64 {
        let stored = try await store.load()
        var state = try MarketState(restoring: stored.state)
        try check(state, stored, pages)
        state.trackChanges()
        var replica = JournalReplica(.following, from: state, position: stored.last, at: stored.at)
        state = MarketState()
        var pending = Appended()
        var projected = stored.last
        while true {
            let page = try pages.next(after: replica.position, through: end.last)
            for row in page {
                pending.entries += try Self.take(row, &replica)
                guard replica.position - projected >= commandsPerTransaction || replica.position == end.last else { continue }
                try await store.project(Projection(
                    previous: projected, last: replica.position, at: replica.at, rulesVersion: replica.rulesVersion,
                    stateHash: replica.stateHash, changes: replica.takeChanges(), appended: pending))
                projected = replica.position
                pending = Appended()
                progress(ReplayProgress(rows: replica.rows, position: projected, end: end.last))
            }
            if page.isEmpty { break }
        }
        guard projected == end.last else {
            throw RebuildError.journal("\(JournalFlaw.endsEarly(at: projected, expected: end.last))")
        }
        return projected
    }

    /// That the tables are what the journal says at their position.
    private func check(_ state: MarketState, _ stored: StoredTables, _ pages: JournalPages) throws {
        guard stored.last > 0 else {
            guard state.hash == MarketState().hash else { throw RebuildError.cannotContinue(position: 0) }
            return
        }
        let row = try pages.connection.queryOne(
            "SELECT rules_version, state_hash FROM journal WHERE last = $1", [.integer(stored.last)])
        guard let row else { throw RebuildError.cannotContinue(position: stored.last) }
        // Another version's hash says nothing.
        guard try row.int64(0) == JournalBody.rulesVersion else { return }
        guard UInt64(bitPattern: try row.int64(1)) == state.hash else {
            throw RebuildError.cannotContinue(position: stored.last)
        }
    }

    private static func take(_ row: JournalRow, _ replica: inout JournalReplica) throws -> [Appended.EventAt] {
        do { return Appended(try replica.take(row), first: row.first).entries } catch {
            throw RebuildError.journal("\(error)")
        }
    }
}
