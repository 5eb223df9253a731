import Database
import Exchange
import Market
import MarketTestSupport
import Store
import TestSupport
import Units

/// A market's journal and tables after a random history, written as the service writes them.
struct Chronicle {
    let storage: Storage
    let history: History
    /// The last command of each row.
    private(set) var ends: [Int64] = []
    /// The row of the tables' position.
    private(set) var projected: Int64 = 0

    /// - Parameter tail: rows that the tables do not have yet
    static func with(
        _ engine: Engine, seed: UInt64, rows: Int = 24, tail: Int = 3, hasBooks: Bool = false, hasTreasury: Bool = false,
        _ body: (Chronicle) async throws -> Void
    ) async throws {
        try await engine.withStorage { storage in
            var history = History(seed: seed)
            history.hasBooks = hasBooks
            history.hasTreasury = hasTreasury
            let chronicle = try await storage.withTables { database in
                try await write(storage, database, &history, rows: rows, tail: tail)
            }
            try await body(chronicle)
        }
    }

    private static func write(
        _ storage: Storage, _ database: Database, _ history: inout History, rows: Int, tail: Int
    ) async throws -> Chronicle {
        let journal = try storage.openJournal()
        defer { journal.close() }
        var epoch = try journal.takeOver().epoch
        var follower = Follower()
        var sizes = SeededRandom(seed: 77)
        var ends: [Int64] = []
        var projected: Int64 = 0
        for number in 0..<rows {
            if number == rows / 2 { epoch = try journal.takeOver().epoch }
            let row = follower.commit(history.batch(sizes.int(1...40)), epoch: epoch, at: history.now)
            try journal.append(row, after: row.first - 1)
            ends.append(row.last)
            guard number % 4 == 3 || number == rows - tail - 1, number < rows - tail else { continue }
            try await TableStore(database).project(follower.projection(at: history.now))
            projected = row.last
        }
        return Chronicle(storage: storage, history: history, ends: ends, projected: projected)
    }

    private init(storage: Storage, history: History, ends: [Int64], projected: Int64) {
        (self.storage, self.history, self.ends, self.projected) = (storage, history, ends, projected)
    }

    func verify() async throws -> StorageVerification {
        try await JournalVerifier(tables: storage.tables, journal: storage.journal).run()
    }

    /// One number of the database.
    func number(_ sql: String, in location: DatabaseLocation? = nil) throws -> Int64 {
        try storage.query(sql, in: location)[0].int64(0)
    }
}

extension Storage {
    /// Runs statements on the tables as nobody should: without what guards them, which is there again afterwards.
    func damage(_ sql: String) throws {
        let connection = try Database.openConnection(tables)
        defer { connection.close() }
        switch connection.dialect {
        case .sqlite:
            try connection.script("PRAGMA ignore_check_constraints = ON")
            let guards = try connection.query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            for row in guards { try connection.script("DROP TRIGGER \"\(try row.text(0))\"") }
            try connection.script(sql)
            for row in guards { try connection.script(try row.text(1)) }
        case .postgres:
            try connection.script("SET session_replication_role = replica")
            try connection.script(sql)
        }
    }
}
