internal import Database
internal import Ledger
internal import Market
internal import Units

/// Balances as of any time, in the transaction of its connection: from the present one backwards, or from the last snapshot (or
/// nothing) forwards, whichever has fewer entries to sum up.
struct BalanceReader {
    private let connection: any SQLConnection
    private let basis: LedgerBasis

    init(_ connection: any SQLConnection, _ basis: LedgerBasis) {
        self.connection = connection
        self.basis = basis
    }

    /// The entry's time that counts.
    private var column: String {
        switch basis {
        case .value: "value_at"
        case .booked: "at"
        }
    }

    func present() throws -> [LedgerBalance] { try list(try presentSums()) }

    /// Entries of this very time count.
    func balances(asOf time: Timestamp) throws -> [LedgerBalance] {
        var sums: [LedgerAccount: Int64]
        switch try way(to: time) {
        case .backwards:
            sums = try presentSums()
            try add(-1, "e.\(column) > $1", [.integer(time.microseconds)], to: &sums)
        case .forwards(let snapshot):
            sums = try snapshot.map { try snapshotSums($0) } ?? [:]
            try add(
                1, "e.\(column) > $1 AND e.\(column) <= $2", [.integer(snapshot ?? .min), .integer(time.microseconds)], to: &sums)
        }
        return try list(sums)
    }

    func balance(of account: LedgerAccount, asOf time: Timestamp) throws -> Satoshis {
        let (kind, owner) = account.code
        let key: [SQLValue] = [.integer(Int64(kind)), .integer(owner)]
        switch try way(to: time) {
        case .backwards:
            let balance = try number("SELECT balance FROM ledger_balances WHERE kind = $1 AND owner = $2", key)
            return Satoshis(balance - (try sum("e.\(column) > $3", key + [.integer(time.microseconds)])))
        case .forwards(let snapshot):
            let balance = try snapshot.map {
                try number(
                    "SELECT balance FROM balance_snapshots WHERE kind = $1 AND owner = $2 AND basis = $3 AND until = $4",
                    key + [.integer(Int64(basis.rawValue)), .integer($0)])
            } ?? 0
            return Satoshis(balance + (try sum(
                "e.\(column) > $3 AND e.\(column) <= $4", key + [.integer(snapshot ?? .min), .integer(time.microseconds)])))
        }
    }

    // MARK: - Which way

    private enum Way {
        case backwards
        /// From the snapshot of this time; nil: from nothing.
        case forwards(Int64?)
    }

    /// Entries are about in the order of both of their times: their numbers say how many lie between.
    private func way(to time: Timestamp) throws -> Way {
        let snapshot = try connection.queryOne(
            "SELECT max(until) FROM balance_snapshots WHERE basis = $1 AND until <= $2",
            [.integer(Int64(basis.rawValue)), .integer(time.microseconds)])?.optionalInt64(0)
        let end = try number("SELECT coalesce(max(id), 0) FROM ledger_entries", [])
        let here = try lastEntry(at: time.microseconds)
        let start = try snapshot.map { try lastEntry(at: $0) } ?? 0
        return end - here < here - start ? .backwards : .forwards(snapshot)
    }

    private func lastEntry(at time: Int64) throws -> Int64 {
        try number("SELECT id FROM ledger_entries WHERE at <= $1 ORDER BY at DESC, id DESC LIMIT 1", [.integer(time)])
    }

    // MARK: - Sums

    private func number(_ sql: String, _ parameters: [SQLValue]) throws -> Int64 {
        try connection.queryOne(sql, parameters)?.optionalInt64(0) ?? 0
    }

    private func sum(_ condition: String, _ parameters: [SQLValue]) throws -> Int64 {
        try number(
            """
            SELECT CAST(sum(p.amount) AS BIGINT) FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry
            WHERE p.account_kind = $1 AND p.owner = $2 AND \(condition)
            """, parameters)
    }

    private func presentSums() throws -> [LedgerAccount: Int64] {
        try sums("SELECT kind, owner, balance FROM ledger_balances", [])
    }

    private func snapshotSums(_ until: Int64) throws -> [LedgerAccount: Int64] {
        try sums(
            "SELECT kind, owner, balance FROM balance_snapshots WHERE basis = $1 AND until = $2",
            [.integer(Int64(basis.rawValue)), .integer(until)])
    }

    private func sums(_ sql: String, _ parameters: [SQLValue]) throws -> [LedgerAccount: Int64] {
        var sums: [LedgerAccount: Int64] = [:]
        try connection.forEach(sql, parameters) { sums[try LedgerRows.account($0, from: 0)] = try $0.int64(2) }
        return sums
    }

    private func add(
        _ sign: Int64, _ condition: String, _ parameters: [SQLValue], to sums: inout [LedgerAccount: Int64]
    ) throws {
        var changed = sums
        try connection.forEach(
            """
            SELECT p.account_kind, p.owner, CAST(sum(p.amount) AS BIGINT)
            FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id
            WHERE \(condition) GROUP BY p.account_kind, p.owner
            """, parameters
        ) { changed[try LedgerRows.account($0, from: 0), default: 0] += sign * (try $0.int64(2)) }
        sums = changed
    }

    private func list(_ sums: [LedgerAccount: Int64]) throws -> [LedgerBalance] {
        sums.map { LedgerBalance($0.key, Satoshis($0.value)) }.sorted { $0.account < $1.account }
    }
}
