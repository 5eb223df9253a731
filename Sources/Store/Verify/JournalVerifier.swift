public import Database
internal import Dispatch
internal import Exchange
internal import Market
internal import Units

/// Proves that the tables are what the journal makes, and the journal what the program's rules make (design, section 8).
///
/// May run beside a server: it holds no statement open for long, and reads what was there when it began. Memory holds
/// the market's state twice, and pages of rows.
public struct JournalVerifier: Sendable {
    private let tables: DatabaseLocation
    private let journal: DatabaseLocation

    public init(tables: DatabaseLocation, journal: DatabaseLocation) {
        self.tables = tables.forLongWork
        self.journal = journal.forLongWork
    }

    /// - Parameter progress: called after each page of the journal
    /// - Throws: if a database cannot be read; what is wrong in it is a finding
    public func run(progress: @escaping @Sendable (ReplayProgress) -> Void = { _ in }) async throws -> StorageVerification {
        let stored = try await loadTables()
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "hashspot.verify").async {
                continuation.resume(with: Result { try self.replay(stored, progress) })
            }
        }
    }

    private func loadTables() async throws -> Result<StoredTables, DatabaseError> {
        let database = try await Database.open(tables)
        do {
            let stored = try await TableStore(database).load()
            await database.close()
            return .success(stored)
        } catch let error as DatabaseError {
            await database.close()
            guard case .decoding = error else { throw error }
            return .failure(error)
        } catch {
            await database.close()
            return .failure(.decoding("\(error)"))
        }
    }

    private func replay(
        _ stored: Result<StoredTables, DatabaseError>, _ progress: (ReplayProgress) -> Void
    ) throws -> StorageVerification {
        let rows = try Database.openConnection(tables)
        defer { rows.close() }
        let log = try Database.openConnection(journal)
        defer { log.close() }
        var run = try Run(stored, rows, JournalPages(connection: log))
        try run.replay(progress)
        return run.report
    }
}

/// One verification.
private struct Run {
    private(set) var report = StorageVerification()
    private let pages: JournalPages
    private let rows: any SQLConnection
    /// nil once compared, or if they cannot be read.
    private var stored: StoredTables?
    private var added: AddedTables
    private var history: HistoryRows
    private var replica: JournalReplica
    private var findings = FindingList()
    private let end: WriterPosition

    init(_ stored: Result<StoredTables, DatabaseError>, _ rows: any SQLConnection, _ pages: JournalPages) throws {
        self.pages = pages
        self.rows = rows
        added = AddedTables(rows)
        history = HistoryRows(rows)
        var state = MarketState()
        state.trackChanges()
        replica = JournalReplica(.deciding, from: state)
        // After the tables were loaded: it is not behind them.
        end = try pages.position()
        report.journal = end.last
        switch stored {
        case .success(let tables):
            report.tables = tables.last
            self.stored = tables
        case .failure(let error):
            findings.add(StorageFinding("state.unreadable", "tables", "the tables cannot be read: \(error.detail)"))
        }
        guard let last = self.stored?.last, last > end.last else { return }
        findings.add(StorageFinding(
            "tables.ahead", "projector", expected: "\(end.last)", found: "\(last)",
            "the tables are at position \(last), but the journal ends at \(end.last)"))
        self.stored = nil
    }

    mutating func replay(_ progress: (ReplayProgress) -> Void) throws {
        do {
            try compareTables()
            while true {
                let page = try nextPage()
                if page.isEmpty { break }
                for row in page { try take(row) }
                try compareHistory()
                progress(ReplayProgress(rows: replica.rows, position: replica.position, end: end.last))
            }
            try checkEnd()
        } catch let flaw as JournalFlaw {
            findings.add(StorageFinding(flaw))
        }
        finish()
    }

    private func nextPage() throws -> [JournalRow] {
        do { return try pages.next(after: replica.position, through: end.last) } catch let row as JournalPages.Unreadable {
            throw JournalFlaw.undecodable(first: row.after + 1, detail: row.error.detail)
        }
    }

    private mutating func take(_ row: JournalRow) throws {
        let commands: [JournalledCommand]
        do { commands = try replica.take(row) } catch {
            guard case .stateHash = error else { throw error }
            // The state is what the events make; the tables can be compared with it.
            findings.add(StorageFinding(error))
            commands = (try? JournalBody.decode(row.body)) ?? []
        }
        guard let stored else { return }
        guard row.last <= stored.last else {
            findings.add(StorageFinding(
                "tables.betweenRows", "projector", found: "\(stored.last)",
                "the tables are at position \(stored.last), within the journal's row \(row.first) to \(row.last)"))
            self.stored = nil
            return
        }
        for (offset, command) in commands.enumerated() {
            try added.take(command, sequence: row.first + Int64(offset), &findings)
        }
        try compareTables()
    }

    /// At the tables' position.
    private mutating func compareTables() throws {
        guard let stored, stored.last == replica.position else { return }
        self.stored = nil
        try history.take(replica.takeChanges(), &findings)
        let (expected, counters) = replica.read { ($0, $0.counters) }
        try added.end(counters, position: stored.last, &findings)
        try history.end(counters, stored.state.books, &findings)
        try checkNothingBeyond(counters, stored.last)
        report.digests = added.digests()
        report.stateHash = replica.stateHash
        if stored.last > 0, stored.stateHash != replica.stateHash, stored.rulesVersion == JournalBody.rulesVersion {
            findings.add(StorageFinding(
                "tables.stateHash", "projector", expected: "\(replica.stateHash)", found: "\(stored.stateHash)",
                "projector: the state at position \(stored.last) hashes to \(replica.stateHash), it says \(stored.stateHash)"))
        }
        if stored.last > 0, stored.at != replica.at {
            findings.add(StorageFinding(
                "tables.time", "projector", expected: "\(replica.at)", found: "\(stored.at)",
                "projector: expected the time \(replica.at), found \(stored.at)"))
        }
        compare(expected, stored)
    }

    /// As long as the tables are compared; what changes afterwards is not kept.
    private mutating func compareHistory() throws {
        let changes = replica.takeChanges()
        if stored != nil { try history.take(changes, &findings) }
    }

    /// If the tables have not moved on, nothing in them is numbered beyond the replay.
    private mutating func checkNothingBeyond(_ counters: Counters, _ position: Int64) throws {
        let bounds: [(table: String, column: String, next: Int64)] = [
            ("ledger_entries", "id", counters.entry), ("ledger_postings", "entry", counters.entry),
            ("settlement_lines", "number", (position + 1) * 1_000_000), ("answers", "number", counters.answer),
            ("orders", "id", counters.order), ("deliveries", "id", counters.delivery),
        ]
        let found: [(table: String, rows: Int64)] = try rows.transaction(.read) {
            guard try rows.queryOne("SELECT last FROM projector WHERE id = 1")?.int64(0) == position else { return [] }
            return try bounds.map { bound in
                let sql = "SELECT count(*) FROM \(bound.table) WHERE \(bound.column) >= $1"
                return (bound.table, try rows.queryOne(sql, [.integer(bound.next)])?.int64(0) ?? 0)
            }
        }
        for (table, count) in found where count > 0 {
            findings.add(StorageFinding(
                "table.rowUnexpected", table, expected: "0", found: "\(count)",
                "\(table): \(count) rows that are numbered beyond the journal's position \(position)"))
        }
    }

    private mutating func compare(_ expected: MarketState, _ stored: StoredTables) {
        do {
            let state = try MarketState(restoring: stored.state)
            for difference in expected.differences(in: state, most: FindingList.mostShown) {
                findings.add(StorageFinding(difference))
            }
        } catch {
            findings.add(StorageFinding("state.ledger", "ledger_balances", "tables: the balances do not fit: \(error)"))
        }
    }

    private func checkEnd() throws(JournalFlaw) {
        guard replica.position == end.last else { throw .endsEarly(at: replica.position, expected: end.last) }
        guard replica.epoch <= end.epoch else {
            throw .epochFell(first: replica.position, from: replica.epoch, to: end.epoch)
        }
    }

    private mutating func finish() {
        if let stored {
            findings.add(StorageFinding(
                "tables.notCompared", "tables", "the tables at position \(stored.last) were not compared: the journal was "
                    + "followed to \(replica.position) only"))
        }
        (report.rows, report.commands, report.events) = (replica.rows, replica.commands, replica.events)
        report.decided = replica.decided
        (report.findings, report.findingCount) = (findings.shown, findings.count)
    }
}
