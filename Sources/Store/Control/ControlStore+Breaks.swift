internal import Database
public import Market
internal import Settlement
public import Units

extension ControlStore {
    public func breaks(_ filter: BreakFilter, after cursor: Int64, limit: Int) async throws -> [BreakRecord] {
        try await database.read { connection in
            try connection.query(
                """
                \(BreakSQL.select) WHERE b.number > $1 AND (CAST($2 AS BIGINT) = 0 OR b.area = $2)
                  AND (CAST($3 AS BIGINT) = 0 OR e.status = $3)
                  AND (CAST($4 AS BIGINT) = 0 OR e.assignee = $4) ORDER BY b.number LIMIT $5
                """, [
                    .integer(cursor), .integer(Int64(filter.area?.rawValue ?? 0)), .integer(Int64(filter.status?.rawValue ?? 0)),
                    .integer(filter.assignee?.rawValue ?? 0), .integer(Int64(limit)),
                ]
            ).map { try BreakSQL.record($0) }
        }
    }

    public func breakRecord(_ number: Int64) async throws -> BreakRecord? {
        try await database.read { connection in
            guard var record = try BreakSQL.find(number, connection) else { return nil }
            record.events = try connection.query(
                "SELECT \(BreakSQL.eventColumns) FROM break_events e WHERE e.break = $1 ORDER BY e.number", [.integer(number)]
            ).map { try BreakSQL.event($0, from: 0) }
            return record
        }
    }

    public func assign(
        _ number: Int64, to assignee: AccountID, note: String, by account: AccountID, once: Repeatable, at time: Timestamp
    ) async throws {
        try await handle(number, .assigned, note, by: account, assignee, once, time)
    }

    public func resolve(_ number: Int64, note: String, by account: AccountID, once: Repeatable, at time: Timestamp) async throws {
        try await handle(number, .resolved, note, by: account, nil, once, time)
    }

    /// What a person does with an open break.
    private func handle(
        _ number: Int64, _ kind: BreakEventKind, _ note: String, by account: AccountID, _ assignee: AccountID?, _ once: Repeatable,
        _ time: Timestamp
    ) async throws {
        try await change { connection in
            _ = try ControlStore.once(once, at: time, connection) {
                guard let record = try BreakSQL.find(number, connection) else { throw ControlRefusal.breakUnknown }
                guard record.last.state.status == .open else { throw ControlRefusal.breakClosed }
                if let assignee { try ControlStore.checkStaff(assignee, connection) }
                let event = BreakEvent(
                    number: record.last.number + 1, at: time, actor: account, run: nil, kind: kind,
                    state: BreakState(status: kind == .resolved ? .resolved : .open, amount: record.last.state.amount),
                    assignee: assignee ?? record.last.assignee, text: note)
                try BreakSQL.insert(event, of: number, connection)
                return number
            }
        }
    }

    private static func checkStaff(_ account: AccountID, _ connection: any SQLConnection) throws {
        let row = try connection.queryOne("SELECT roles FROM accounts WHERE id = $1", [.integer(account.rawValue)])
        let roles = try row?.text(0).split(separator: ",").map(String.init) ?? []
        guard roles.contains(Role.finance.rawValue) || roles.contains(Role.admin.rawValue) else { throw ControlRefusal.accountUnknown }
    }
}

enum BreakSQL {
    static let eventColumns = "e.number, e.at, e.actor, e.run, e.kind, e.status, e.amount, e.assignee, e.text"

    /// With the last event.
    static let select = """
        SELECT b.number, b.area, b.kind, b.key, b.at, b.found_at,
               (SELECT c.text FROM break_events c WHERE c.break = b.number AND c.run IS NOT NULL AND c.kind <> 3
                ORDER BY c.number DESC LIMIT 1),
               \(eventColumns)
        FROM reconciliation_breaks b
        JOIN break_events e ON e.break = b.number
            AND e.number = (SELECT max(x.number) FROM break_events x WHERE x.break = b.number)
        """

    static func find(_ number: Int64, _ connection: any SQLConnection) throws -> BreakRecord? {
        try connection.queryOne("\(select) WHERE b.number = $1", [.integer(number)]).map { try record($0) }
    }

    static func record(_ row: SQLRow) throws -> BreakRecord {
        BreakRecord(
            number: try row.int64(0), area: try ControlStore.known(try row.int64(1), ReconciliationArea.self),
            name: FoundBreak.Name(kind: try ControlStore.known(try row.int64(2), BreakKind.self), key: try row.text(3)),
            at: Timestamp(microseconds: try row.int64(4)), foundAt: Timestamp(microseconds: try row.int64(5)),
            cause: try row.optionalText(6) ?? "", last: try event(row, from: 7), events: [])
    }

    static func event(_ row: SQLRow, from first: Int) throws(DatabaseError) -> BreakEvent {
        let (actor, assignee) = (try row.int64(first + 2), try row.optionalInt64(first + 7))
        return BreakEvent(
            number: try row.int64(first), at: Timestamp(microseconds: try row.int64(first + 1)),
            actor: actor == 0 ? nil : AccountID(actor), run: try row.optionalInt64(first + 3),
            kind: try ControlStore.known(try row.int64(first + 4), BreakEventKind.self),
            state: BreakState(
                status: try ControlStore.known(try row.int64(first + 5), BreakStatus.self), amount: try row.int64(first + 6)),
            assignee: assignee.map { AccountID($0) }, text: try row.text(first + 8))
    }

    static func insert(_ event: BreakEvent, of number: Int64, _ connection: any SQLConnection) throws(DatabaseError) {
        try connection.execute(
            """
            INSERT INTO break_events (break, number, at, actor, run, kind, status, amount, assignee, text)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """, [
                .integer(number), .integer(event.number), .integer(event.at.microseconds), .integer(event.actor?.rawValue ?? 0),
                ControlStore.optional(event.run), .integer(Int64(event.kind.rawValue)), .integer(Int64(event.state.status.rawValue)),
                .integer(event.state.amount), ControlStore.optional(event.assignee?.rawValue), .text(event.text),
            ])
    }

    /// Takes down what a run found and did not find any more; how many breaks are new or other than they were.
    static func note(_ comparison: Comparison, _ run: ReconciliationRun, _ connection: any SQLConnection) throws -> Int64 {
        var news: Int64 = 0
        var seen: Set<FoundBreak.Name> = []
        for found in comparison.breaks where seen.insert(found.name).inserted {
            if try note(found, run, connection) { news += 1 }
        }
        let open = try connection.query(
            "\(select) WHERE b.area = $1 AND e.status = 1", [.integer(Int64(run.request.area.rawValue))]
        ).map { try record($0) }
        for known in open where !seen.contains(known.name) && comparison.covers(known.name, known.at) {
            guard let kind = BreakState.event(known: known.last.state, found: nil) else { continue }
            try insert(
                BreakEvent(
                    number: known.last.number + 1, at: run.at, actor: nil, run: run.run, kind: kind,
                    state: BreakState(status: .gone, amount: 0), assignee: known.last.assignee, text: "Not found any more."),
                of: known.number, connection)
        }
        return news
    }

    private static func note(_ found: FoundBreak, _ run: ReconciliationRun, _ connection: any SQLConnection) throws -> Bool {
        let area = Int64(run.request.area.rawValue)
        let known = try connection.queryOne(
            "\(select) WHERE b.area = $1 AND b.kind = $2 AND b.key = $3",
            [.integer(area), .integer(Int64(found.kind.rawValue)), .text(found.key)]
        ).map { try record($0) }
        guard let kind = BreakState.event(known: known?.last.state, found: found.amount) else { return false }
        var number = known?.number
        if number == nil {
            number = try ControlStore.next("number", of: "reconciliation_breaks", connection)
            try connection.execute(
                "INSERT INTO reconciliation_breaks (number, area, kind, key, at, found_at) VALUES ($1, $2, $3, $4, $5, $6)", [
                    .integer(number ?? 0), .integer(area), .integer(Int64(found.kind.rawValue)), .text(found.key),
                    .integer(found.at.microseconds), .integer(run.at.microseconds),
                ])
        }
        try insert(
            BreakEvent(
                number: (known?.last.number ?? 0) + 1, at: run.at, actor: nil, run: run.run, kind: kind,
                state: BreakState(status: .open, amount: found.amount), assignee: known?.last.assignee, text: found.cause),
            of: number ?? 0, connection)
        return true
    }
}
