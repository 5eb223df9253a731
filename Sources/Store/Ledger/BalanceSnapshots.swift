public import Database
internal import Ledger
public import Market
public import Units

/// Balances at times whose books are closed, kept so that those of any time are a short sum. All of them follow from the ledger.
public struct BalanceSnapshots: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    /// Keeps the balances of a time, by value date and by booking, unless that is done, or too little has been booked since the
    /// last ones to be worth it.
    ///
    /// - Parameters:
    ///   - until: nothing is ever booked at this time or for it any more: a closed period's last microsecond
    ///   - leastEntries: so many entries must have been booked since the snapshot before
    /// - Returns: whether there is a new one
    @discardableResult
    public func take(until: Timestamp, leastEntries: Int64 = 100_000) async throws -> Bool {
        try await database.write { connection in
            let since = try connection.queryOne("SELECT max(until) FROM balance_snapshots")?.optionalInt64(0)
            if let since, since >= until.microseconds { return false }
            let count = try connection.queryOne(
                """
                SELECT coalesce((SELECT id FROM ledger_entries WHERE at <= $1 ORDER BY at DESC, id DESC LIMIT 1), 0)
                     - coalesce((SELECT id FROM ledger_entries WHERE at <= $2 ORDER BY at DESC, id DESC LIMIT 1), 0)
                """, [.integer(until.microseconds), .integer(since ?? .min)])?.int64(0) ?? 0
            guard count >= leastEntries else { return false }
            for basis in LedgerBasis.allCases { try BalanceSnapshots.write(basis, until, connection) }
            return true
        }
    }

    private static func write(_ basis: LedgerBasis, _ until: Timestamp, _ connection: any SQLConnection) throws {
        var rows = SQLRows(columns: 5)
        for line in try BalanceReader(connection, basis).balances(asOf: until) {
            let (kind, owner) = line.account.code
            rows.append(Int64(basis.rawValue), until.microseconds, Int64(kind), owner, line.balance.rawValue)
        }
        if !rows.isEmpty { try connection.insert(into: "balance_snapshots", ["basis", "until", "kind", "owner", "balance"], rows) }
    }

    /// A kept balance that is not the sum of its postings.
    public struct Difference: Hashable, Sendable {
        public var basis: LedgerBasis
        public var until: Timestamp
        /// Kind and owner of the ledger account.
        public var kind: Int64
        public var owner: Int64
        /// What is kept minus what the postings give.
        public var excess: Satoshis
    }

    /// Compares what is kept with the postings, each snapshot with the one before and what lies between.
    public func check() async throws -> [Difference] {
        let times = try await database.read { connection in
            try connection.query("SELECT DISTINCT basis, until FROM balance_snapshots ORDER BY basis, until").map {
                (basis: try $0.int64(0), until: try $0.int64(1))
            }
        }
        var differences: [Difference] = []
        for (place, time) in times.enumerated() {
            guard let basis = LedgerBasis(rawValue: UInt8(time.basis)) else { continue }
            let before = place > 0 && times[place - 1].basis == time.basis ? times[place - 1].until : Int64.min
            differences += try await check(basis, from: before, until: time.until)
        }
        return differences
    }

    private func check(_ basis: LedgerBasis, from: Int64, until: Int64) async throws -> [Difference] {
        let column = basis == .value ? "value_at" : "at"
        return try await database.read { connection in
            try connection.query(
                """
                SELECT kind, owner, CAST(sum(amount) AS BIGINT) FROM (
                    SELECT kind, owner, balance AS amount FROM balance_snapshots WHERE basis = $1 AND until = $3
                    UNION ALL
                    SELECT kind, owner, -balance FROM balance_snapshots WHERE basis = $1 AND until = $2
                    UNION ALL
                    SELECT p.account_kind, p.owner, -p.amount FROM ledger_entries e JOIN ledger_postings p ON p.entry = e.id
                    WHERE e.\(column) > $2 AND e.\(column) <= $3
                ) AS all_sides GROUP BY kind, owner HAVING sum(amount) <> 0 ORDER BY kind, owner
                """, [.integer(Int64(basis.rawValue)), .integer(from), .integer(until)]
            ).map {
                Difference(
                    basis: basis, until: Timestamp(microseconds: until), kind: try $0.int64(0), owner: try $0.int64(1),
                    excess: Satoshis(try $0.int64(2)))
            }
        }
    }
}
