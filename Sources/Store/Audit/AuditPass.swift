internal import Database
internal import Exchange
internal import Units

/// What must hold, and the name that programs know it by.
struct AuditInvariant: Sendable {
    var code: String
    var sentence: String

    init(_ code: String, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }
}

/// One way through some tables, and all that is checked on it.
protocol AuditPass: Sendable {
    var invariants: [AuditInvariant] { get }

    /// Reads some thousand rows, or all where a query returns them one by one.
    ///
    /// - Returns: whether there is more to do
    mutating func step(_ connection: any SQLConnection, _ tally: inout AuditTally) throws -> Bool
}

extension AuditPass {
    func isWanted(_ options: AuditOptions) -> Bool {
        guard let only = options.only else { return true }
        return invariants.contains { only.contains($0.code) }
    }
}

/// What a pass has found so far.
struct AuditTally: Sendable {
    let since: Timestamp?
    private let mostNamed: Int
    private var findings: [AuditFinding]
    private let observer: @Sendable (AuditEvent) -> Void
    private var done: Int64 = 0
    /// About how many rows the pass will read.
    var expected: Int64 = 0

    init(_ invariants: [AuditInvariant], _ options: AuditOptions, _ observer: @escaping @Sendable (AuditEvent) -> Void) {
        since = options.since
        mostNamed = options.mostNamed
        findings = invariants.filter { options.only?.contains($0.code) ?? true }.map {
            AuditFinding(code: $0.code, invariant: $0.sentence)
        }
        self.observer = observer
    }

    /// Whether somebody wants to know.
    func wants(_ code: String) -> Bool { findings.contains { $0.code == code } }

    mutating func looked(_ code: String, _ rows: Int64 = 1) { change(code) { $0.rows += rows } }

    mutating func note(_ code: String, _ text: String) {
        change(code) { if !$0.notes.contains(text) { $0.notes.append(text) } }
    }

    mutating func broken(_ code: String, _ subject: String, expected: String? = nil, found: String? = nil) {
        guard wants(code) else { return }
        let violation = AuditViolation(subject, expected: expected, found: found), most = mostNamed
        change(code) { finding in
            finding.violations += 1
            if finding.named.count < most { finding.named.append(violation) }
        }
        observer(.violation(code: code, violation))
    }

    /// A violation unless the two are the same.
    mutating func compare(_ code: String, _ subject: @autoclosure () -> String, expected: Int128, found: Int128) {
        if expected != found { broken(code, subject(), expected: "\(expected)", found: "\(found)") }
    }

    /// Counts rows that were read, and tells about it every now and then.
    mutating func read(_ rows: Int64 = 1) {
        done += rows
        if done & 0xffff == 0 { tellProgress() }
    }

    func tellProgress() {
        observer(.progress(codes: findings.map(\.code), done: done, of: max(done, expected)))
    }

    func finished() -> [AuditFinding] {
        for finding in findings { observer(.finding(finding)) }
        return findings
    }

    private mutating func change(_ code: String, _ body: (inout AuditFinding) -> Void) {
        guard let index = findings.firstIndex(where: { $0.code == code }) else { return }
        body(&findings[index])
    }
}

/// Rows of a query that takes its place to go on from as parameters, a page at a time: several such queries can be read side by side on
/// one connection, which streams only one.
struct RowPages: Sendable {
    /// With the place as $1, $2, ... and the page's size as the last parameter.
    private let sql: String
    private let size: Int
    private let key: @Sendable (SQLRow) throws -> [SQLValue]
    private var place: [SQLValue]
    private var page: [SQLRow] = []
    private var index = 0
    private var isOver = false

    init(_ sql: String, from place: [SQLValue], size: Int = 10_000, key: @escaping @Sendable (SQLRow) throws -> [SQLValue]) {
        self.sql = sql
        self.place = place
        self.size = size
        self.key = key
    }

    /// The next row, which stays the next one until it is taken.
    mutating func peek(_ connection: any SQLConnection) throws -> SQLRow? {
        if index == page.count, !isOver {
            page = try connection.query(sql, place + [.integer(Int64(size))])
            index = 0
            isOver = page.count < size
            if let last = page.last { place = try key(last) }
        }
        return index < page.count ? page[index] : nil
    }

    mutating func take() { index += 1 }
}

extension SQLRow {
    /// A sum, which on Postgres is a NUMERIC.
    func sum(_ index: Int) throws -> Int128 {
        guard let value = Int128(try decimal(index)) else { throw DatabaseError.decoding("column \(index): no whole number") }
        return value
    }
}

extension SQLConnection {
    func count(_ sql: String, _ parameters: [SQLValue] = []) throws -> Int64 {
        try queryOne(sql, parameters)?.optionalInt64(0) ?? 0
    }

    func hasTable(_ name: String) throws -> Bool {
        switch dialect {
        case .sqlite: try count("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1", [.text(name)]) > 0
        case .postgres: try count("SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)", [.text(name)]) > 0
        }
    }

    /// The market's rules; nil before there is a market.
    func marketRules() throws -> MarketRules? {
        guard let row = try queryOne("SELECT coding_version, rules FROM market_state WHERE id = 1"),
            let version = UInt8(exactly: try row.int64(0))
        else { return nil }
        return try TableReader(self).decode(MarketRules?.self, try row.blob(1), version: version)
    }

    /// The first number whose value reaches `value`; numbers and values rise together. `sql` gives number and value of the first row
    /// from $1 on. O(log last)
    func firstNumber(_ sql: String, reaching value: Int64, through last: Int64) throws -> Int64 {
        var (low, high) = (Int64(0), last)
        while low < high {
            let middle = low + (high - low) / 2
            guard let row = try queryOne(sql, [.integer(middle)]) else {
                high = middle
                continue
            }
            if try row.int64(1) >= value { high = middle } else { low = max(middle, try row.int64(0)) + 1 }
        }
        return low
    }
}
