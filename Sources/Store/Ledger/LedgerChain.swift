internal import Crypto
public import Database
internal import Exchange
public import Ledger
internal import Market
internal import Units

/// The hash chain of the ledger's entries: whoever knows the last hash can tell whether any entry was changed since.
///
/// An entry's hash is SHA-256 over `LedgerEntry.chainForm(after:)`.
public struct LedgerChain: Sendable {
    /// What comes before the first entry.
    public static let root = [UInt8](repeating: 0, count: 32)
    static let pageSize: Int64 = 1000

    private let database: Database

    public init(_ database: Database) { self.database = database }

    public static func hash(_ entry: LedgerEntry, after previous: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: entry.chainForm(after: previous)))
    }

    // MARK: - Writing

    /// Chains entries that were just inserted, in their transaction. Entries whose predecessor is not chained wait for
    /// ``complete(progress:)``.
    static func extend(_ connection: any SQLConnection, by appended: Appended) throws {
        let entries = appended.entries.compactMap { item -> LedgerEntry? in
            guard case .entryPosted(let entry) = item.event else { return nil }
            return entry
        }
        guard let first = entries.first, let previous = try hash(of: first.id - 1, connection) else { return }
        try insert(entries, after: previous, connection)
    }

    /// nil when the entry is not chained.
    private static func hash(of entry: Int64, _ connection: any SQLConnection) throws -> [UInt8]? {
        if entry == 0 { return root }
        return try connection.queryOne("SELECT hash FROM ledger_chain WHERE entry = $1", [.integer(entry)])?.blob(0)
    }

    private static func insert(_ entries: [LedgerEntry], after last: [UInt8], _ connection: any SQLConnection) throws {
        var rows = SQLRows(columns: 2, reservingCapacity: entries.count)
        var previous = last
        for entry in entries {
            previous = hash(entry, after: previous)
            rows.append(.integer(entry.id))
            rows.append(.blob(previous))
        }
        if !rows.isEmpty { try connection.insert(into: "ledger_chain", ["entry", "hash"], rows) }
    }

    /// Chains what is in the ledger from before it had a chain, in transactions of bounded size beside everything else.
    ///
    /// - Parameter progress: called after each batch, with the last chained entry and the last one that there is
    /// - Returns: how many entries it chained
    @discardableResult
    public func complete(progress: (@Sendable (Int64, Int64) -> Void)? = nil) async throws -> Int64 {
        var count: Int64 = 0
        while true {
            let (last, end, added) = try await database.write { try LedgerChain.chainPage($0) }
            count += added
            if added > 0 { progress?(last, end) }
            if last >= end || added == 0 { return count }
        }
    }

    private static func chainPage(_ connection: any SQLConnection) throws -> (last: Int64, end: Int64, added: Int64) {
        let end = try lastNumber("ledger_entries", "id", connection)
        let last = try lastNumber("ledger_chain", "entry", connection)
        guard last < end, let previous = try hash(of: last, connection) else { return (last, end, 0) }
        let entries = try entries(after: last, limit: pageSize, connection)
        // After a gap nothing can be chained.
        guard entries.first?.id == last + 1 else { return (last, end, 0) }
        try insert(entries, after: previous, connection)
        return (entries[entries.count - 1].id, end, Int64(entries.count))
    }

    private static func lastNumber(_ table: String, _ column: String, _ connection: any SQLConnection) throws -> Int64 {
        try connection.queryOne("SELECT CAST(coalesce(max(\(column)), 0) AS BIGINT) FROM \(table)")?.int64(0) ?? 0
    }

    // MARK: - Reading

    /// Entries with their postings, by number.
    static func entries(after cursor: Int64, limit: Int64, _ connection: any SQLConnection) throws -> [LedgerEntry] {
        var entries: [LedgerEntry] = []
        try connection.forEach(
            "SELECT \(LedgerRows.entryColumns("")) FROM ledger_entries WHERE id > $1 ORDER BY id LIMIT $2",
            [.integer(cursor), .integer(limit)]
        ) { entries.append(try LedgerRows.entry($0)) }
        guard let last = entries.last?.id else { return [] }
        var places: [Int64: Int] = [:]
        for (place, entry) in entries.enumerated() { places[entry.id] = place }
        try connection.forEach(
            """
            SELECT entry, account_kind, owner, amount FROM ledger_postings
            WHERE entry > $1 AND entry <= $2 ORDER BY entry, line
            """, [.integer(cursor), .integer(last)]
        ) { row in
            guard let place = places[try row.int64(0)] else { return }
            entries[place].postings.append(try LedgerRows.posting(row, from: 1))
        }
        return entries
    }

    /// What is wrong with a chain.
    public struct Flaw: Hashable, Sendable, CustomStringConvertible {
        public enum Kind: String, Sendable {
            /// The entry's bytes do not give its hash.
            case differs
            /// The entry has no hash, although a later one has.
            case missing
            /// There is a hash of an entry that is not there.
            case unexpected
        }

        public var entry: Int64
        public var kind: Kind

        public var description: String {
            switch kind {
            case .differs: "ledger entry \(entry) does not give the hash that was recorded with it"
            case .missing: "ledger entry \(entry) has no hash"
            case .unexpected: "there is a hash of ledger entry \(entry), which is not there"
            }
        }
    }

    /// What a check found.
    public struct Report: Hashable, Sendable {
        /// Entries whose hash was recomputed.
        public var checked: Int64 = 0
        /// The last entry of the ledger, and of the chain: the same unless entries from before still wait to be chained.
        public var lastEntry: Int64 = 0
        public var lastChained: Int64 = 0
        /// The hash of the last chained entry: what an auditor writes down.
        public var head: [UInt8] = LedgerChain.root
        /// At most 100.
        public var flaws: [Flaw] = []
        public var flawCount: Int64 = 0

        public var holds: Bool { flawCount == 0 }

        fileprivate mutating func add(_ entry: Int64, _ kind: Flaw.Kind) {
            flawCount += 1
            if flaws.count < 100 { flaws.append(Flaw(entry: entry, kind: kind)) }
        }
    }

    /// Recomputes every hash, a page at a time: memory is bounded, and no statement stays open for long.
    ///
    /// A hash that differs is reported once: the next is recomputed from the one that was recorded.
    ///
    /// - Parameter progress: called after each page, with the last checked entry and the last one that there is
    public func check(progress: (@Sendable (Int64, Int64) -> Void)? = nil) async throws -> Report {
        var report = Report()
        (report.lastEntry, report.lastChained) = try await database.read { connection in
            (
                try LedgerChain.lastNumber("ledger_entries", "id", connection),
                try LedgerChain.lastNumber("ledger_chain", "entry", connection)
            )
        }
        var cursor: Int64 = 0
        let end = report.lastChained
        while cursor < end {
            let from = cursor
            let (entries, hashes) = try await database.read { connection in
                (
                    try LedgerChain.entries(after: from, limit: LedgerChain.pageSize, connection).filter { $0.id <= end },
                    try LedgerChain.hashes(after: from, limit: LedgerChain.pageSize, connection).filter { $0.entry <= end }
                )
            }
            // Both tables, as far as both pages reach.
            let full = Int(LedgerChain.pageSize)
            let through = min(
                entries.count == full ? entries[full - 1].id : end, hashes.count == full ? hashes[full - 1].entry : end)
            LedgerChain.compare(entries.filter { $0.id <= through }, hashes.filter { $0.entry <= through }, &report)
            cursor = through
            progress?(cursor, report.lastEntry)
        }
        return report
    }

    private static func hashes(
        after cursor: Int64, limit: Int64, _ connection: any SQLConnection
    ) throws -> [(entry: Int64, hash: [UInt8])] {
        try connection.query(
            "SELECT entry, hash FROM ledger_chain WHERE entry > $1 ORDER BY entry LIMIT $2", [.integer(cursor), .integer(limit)]
        ).map { (try $0.int64(0), try $0.blob(1)) }
    }

    private static func compare(_ entries: [LedgerEntry], _ hashes: [(entry: Int64, hash: [UInt8])], _ report: inout Report) {
        var rest = hashes[...]
        for entry in entries {
            while let first = rest.first, first.entry < entry.id {
                report.add(first.entry, .unexpected)
                report.head = first.hash
                rest.removeFirst()
            }
            guard let recorded = rest.first, recorded.entry == entry.id else {
                report.add(entry.id, .missing)
                report.head = hash(entry, after: report.head)
                continue
            }
            rest.removeFirst()
            report.checked += 1
            if hash(entry, after: report.head) != recorded.hash { report.add(entry.id, .differs) }
            report.head = recorded.hash
        }
        for left in rest {
            report.add(left.entry, .unexpected)
            report.head = left.hash
        }
    }
}
