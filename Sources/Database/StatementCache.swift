/// Prepared statements by their SQL (or what else is had per statement), bounded by `capacity`.
struct StatementCache<Statement> {
    private struct Entry {
        let statement: Statement
        var lastUse: UInt64
    }

    private let capacity: Int
    private var entries: [String: Entry] = [:]
    private var uses: UInt64 = 0

    init(capacity: Int = statementCacheCapacity) {
        precondition(capacity > 0, "a cache holds something")
        self.capacity = capacity
    }

    /// O(1).
    mutating func statement(for sql: String) -> Statement? {
        guard let index = entries.index(forKey: sql) else { return nil }
        uses += 1
        entries.values[index].lastUse = uses
        return entries.values[index].statement
    }

    /// Makes room for one more. O(capacity).
    /// - Returns: the statement to release, the one not used for longest, if the cache was full.
    @discardableResult
    mutating func evictIfFull() -> Statement? {
        guard entries.count >= capacity else { return nil }
        guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return nil }
        return remove(oldest.key)
    }

    mutating func insert(_ statement: Statement, for sql: String) {
        precondition(entries.count < capacity, "room was made before")
        uses += 1
        entries[sql] = Entry(statement: statement, lastUse: uses)
    }

    @discardableResult
    mutating func remove(_ sql: String) -> Statement? { entries.removeValue(forKey: sql)?.statement }

    @discardableResult
    mutating func removeAll() -> [Statement] {
        defer { entries.removeAll() }
        return entries.values.map(\.statement)
    }
}
