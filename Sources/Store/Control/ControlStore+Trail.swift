internal import BinaryCoding
internal import Crypto
internal import Database
public import Market
public import Units

extension ControlStore: AuditTrail {
    public func begin(_ act: AuditAct, at time: Timestamp) async throws -> Int64 {
        try await change { connection in try TrailRow.append(.intent, act, intent: nil, nil, at: time, connection) }
    }

    public func end(_ number: Int64, _ outcome: AuditOutcome, at time: Timestamp) async throws {
        try await change { connection in
            guard let row = try connection.queryOne("SELECT \(TrailRow.columns) FROM audit_trail WHERE number = $1", [.integer(number)])
            else { throw DatabaseError.programming("there is no act \(number)") }
            let act = try TrailRow(row).act
            _ = try TrailRow.append(.outcome, act, intent: number, outcome, at: time, connection)
        }
    }

    public func read(_ act: AuditAct, _ outcome: AuditOutcome, at time: Timestamp) async throws {
        try await change { connection in _ = try TrailRow.append(.read, act, intent: nil, outcome, at: time, connection) }
    }

    public func trail(_ filter: AuditFilter, after cursor: Int64, limit: Int) async throws -> [AuditRecord] {
        try await database.read { connection in
            var conditions = ["a.number > $1", "a.kind <> 2"]
            var values: [SQLValue] = [.integer(cursor), .integer(Int64(limit))]
            func add(_ condition: (String) -> String, _ value: SQLValue) {
                values.append(value)
                conditions.append(condition("$\(values.count)"))
            }
            if let actor = filter.actor { add({ "a.actor = \($0)" }, .integer(actor.rawValue)) }
            if let action = filter.action { add({ "substr(a.action, 1, length(\($0))) = \($0)" }, .text(action)) }
            if let from = filter.from { add({ "a.at >= \($0)" }, .integer(from.microseconds)) }
            if let to = filter.to { add({ "a.at < \($0)" }, .integer(to.microseconds)) }
            let rows = try connection.query(
                """
                SELECT \(TrailRow.columnNames.map { "a.\($0)" }.joined(separator: ", ")), o.status, o.code
                FROM audit_trail a LEFT JOIN audit_trail o ON o.intent = a.number
                WHERE \(conditions.joined(separator: " AND ")) ORDER BY a.number LIMIT $2
                """, values)
            return try rows.map { row in
                let count = TrailRow.columnNames.count
                var found = try TrailRow(row)
                if let status = try row.optionalInt64(count) {
                    found.outcome = AuditOutcome(status: status, code: try row.optionalText(count + 1))
                }
                return AuditRecord(
                    number: found.number, at: found.at, act: found.act, isRead: found.kind == .read, outcome: found.outcome,
                    chain: found.chain)
            }
        }
    }

    /// The first row of the audit trail that is not what was written, or does not follow the one before it; nil: all is well.
    public func firstTrailFlaw() async throws -> Int64? {
        try await database.read { connection in
            var (number, chain, flaw): (Int64, [UInt8], Int64?) = (0, TrailRow.root, nil)
            try connection.forEach("SELECT \(TrailRow.columns) FROM audit_trail ORDER BY number") { row in
                guard flaw == nil else { return }
                let found = try TrailRow(row)
                number += 1
                guard found.number == number, found.chained(to: chain) == found.chain else {
                    flaw = number
                    return
                }
                chain = found.chain
            }
            return flaw
        }
    }
}

/// A row of the audit trail.
private struct TrailRow {
    enum Kind: UInt8 {
        case intent = 1
        case outcome = 2
        case read = 3
    }

    static let columnNames = [
        "number", "at", "kind", "intent", "actor", "actor_name", "action", "subject", "request", "digest", "status", "code",
        "request_id", "chain",
    ]
    static let columns = columnNames.joined(separator: ", ")
    /// What the first row follows.
    static let root = [UInt8](repeating: 0, count: 32)

    var number: Int64
    var at: Timestamp
    var kind: Kind
    var intent: Int64?
    var act: AuditAct
    var outcome: AuditOutcome?
    var chain: [UInt8] = []

    init(_ row: SQLRow) throws(DatabaseError) {
        number = try row.int64(0)
        at = Timestamp(microseconds: try row.int64(1))
        kind = try ControlStore.known(try row.int64(2), Kind.self)
        intent = try row.optionalInt64(3)
        act = AuditAct(
            actor: AccountID(try row.int64(4)), actorName: try row.text(5), action: try row.text(6), subject: try row.text(7),
            request: try row.text(8), digest: try row.blob(9), requestID: try row.text(12))
        if let status = try row.optionalInt64(10) { outcome = AuditOutcome(status: status, code: try row.optionalText(11)) }
        chain = try row.blob(13)
    }

    private init(number: Int64, at: Timestamp, kind: Kind, intent: Int64?, act: AuditAct, outcome: AuditOutcome?) {
        self.number = number
        self.at = at
        self.kind = kind
        self.intent = intent
        self.act = act
        self.outcome = outcome
    }

    static func append(
        _ kind: Kind, _ act: AuditAct, intent: Int64?, _ outcome: AuditOutcome?, at time: Timestamp, _ connection: any SQLConnection
    ) throws(DatabaseError) -> Int64 {
        let last = try connection.queryOne("SELECT number, chain FROM audit_trail ORDER BY number DESC LIMIT 1")
        let number = try (last?.int64(0) ?? 0) + 1
        var row = TrailRow(number: number, at: time, kind: kind, intent: intent, act: act, outcome: outcome)
        row.chain = row.chained(to: try last?.blob(1) ?? root)
        let places = (1...columnNames.count).map { "$\($0)" }.joined(separator: ", ")
        try connection.execute("INSERT INTO audit_trail (\(columns)) VALUES (\(places))", row.values)
        return number
    }

    private var values: [SQLValue] {
        [
            .integer(number), .integer(at.microseconds), .integer(Int64(kind.rawValue)), ControlStore.optional(intent),
            .integer(act.actor.rawValue), .text(act.actorName), .text(act.action), .text(act.subject), .text(act.request),
            .blob(act.digest), ControlStore.optional(outcome?.status), outcome?.code.map { .text($0) } ?? .null, .text(act.requestID),
            .blob(chain),
        ]
    }

    /// SHA-256 of the previous chain and of all fields, each with its length where it has one.
    func chained(to previous: [UInt8]) -> [UInt8] {
        var writer = BinaryWriter(reservingCapacity: 512)
        writer.write(previous)
        writer.write(number)
        writer.write(at.microseconds)
        writer.write(kind.rawValue)
        writer.write(intent ?? 0)
        writer.write(act.actor.rawValue)
        for text in [act.actorName, act.action, act.subject, act.request, act.requestID] { writer.write(Array(text.utf8)) }
        writer.write(act.digest)
        writer.write(UInt8(outcome == nil ? 0 : 1))
        writer.write(outcome?.status ?? 0)
        writer.write(Array((outcome?.code ?? "").utf8))
        return Array(SHA256.hash(data: writer.bytes))
    }
}
