import Database
import Market
import MarketTestSupport
import Store
import TestSupport
import Testing
import Units

@Suite("Journal")
struct JournalTests {
    private func row(_ first: Int64, _ last: Int64, epoch: Int64) -> JournalRow {
        JournalRow(
            first: first, last: last, epoch: epoch, rulesVersion: 1, at: Timestamp(microseconds: 1000 + last),
            stateHash: .max - UInt64(last), body: [1, 0, 255, UInt8(truncatingIfNeeded: last)])
    }

    private func isDeposed(_ body: () throws(JournalError) -> Void) -> Bool {
        do throws(JournalError) {
            try body()
            return false
        } catch {
            if case .deposed = error { return true }
            return false
        }
    }

    private func hasFailed(_ body: () throws(JournalError) -> Void) -> Bool {
        do throws(JournalError) {
            try body()
            return false
        } catch {
            if case .failed = error { return true }
            return false
        }
    }

    @Test(arguments: Engine.allCases)
    func rowsComeBackInOrder(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let journal = try storage.openJournal()
            defer { journal.close() }
            let start = try journal.takeOver()
            #expect(start == WriterPosition(epoch: 1, last: 0))
            let rows = [row(1, 1, epoch: 1), row(2, 9, epoch: 1), row(10, 10, epoch: 1), row(11, 4000, epoch: 1)]
            for row in rows { try journal.append(row, after: row.first - 1) }
            #expect(try journal.position() == WriterPosition(epoch: 1, last: 4000))
            for position: Int64 in [0, 1, 9, 4000] {
                var found: [JournalRow] = []
                try journal.replay(after: position) { found.append($0) }
                let expected = rows.filter { $0.last > position }
                #expect(found.map(\.first) == expected.map(\.first))
                #expect(found.map(\.last) == expected.map(\.last))
                #expect(found.map(\.stateHash) == expected.map(\.stateHash))
                #expect(found.map(\.body) == expected.map(\.body))
                #expect(found.map(\.at) == expected.map(\.at))
                #expect(found.allSatisfy { $0.epoch == 1 && $0.rulesVersion == 1 })
            }
        }
    }

    @Test(arguments: Engine.allCases)
    func onlyTheWriterAppendsAndOnlyAtTheEnd(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let journal = try storage.openJournal()
            defer { journal.close() }
            _ = try journal.takeOver()
            try journal.append(row(1, 3, epoch: 1), after: 0)
            #expect(isDeposed { () throws(JournalError) in try journal.append(row(4, 4, epoch: 2), after: 3) })
            #expect(isDeposed { () throws(JournalError) in try journal.append(row(4, 4, epoch: 0), after: 3) })
            #expect(isDeposed { () throws(JournalError) in try journal.append(row(3, 3, epoch: 1), after: 2) })
            #expect(isDeposed { () throws(JournalError) in try journal.append(row(5, 5, epoch: 1), after: 4) })
            #expect(try storage.query("SELECT last FROM journal", in: storage.journal).count == 1)
            try journal.append(row(4, 4, epoch: 1), after: 3)
        }
    }

    @Test(arguments: Engine.allCases)
    func takingOverDeposesTheOlder(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let (old, new) = (try storage.openJournal(), try storage.openJournal())
            defer {
                old.close()
                new.close()
            }
            _ = try old.takeOver()
            try old.append(row(1, 2, epoch: 1), after: 0)
            #expect(try new.takeOver() == WriterPosition(epoch: 2, last: 2))
            #expect(isDeposed { () throws(JournalError) in try old.append(row(3, 3, epoch: 1), after: 2) })
            #expect(try old.position() == WriterPosition(epoch: 2, last: 2))
            try new.append(row(3, 3, epoch: 2), after: 2)
        }
    }

    /// Sessions that keep others off this database.
    private let locked = """
        FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """

    /// How many seconds ago the writer was last seen. It stays so however long a slow machine takes if it is yet to come.
    private func silence(_ seconds: Int, _ storage: Storage) throws {
        try storage.script("UPDATE writer SET seen_at = clock_timestamp() - interval '\(seconds) s'")
    }

    @Test
    func aSecondServerWaitsForTheFirst() async throws {
        try await Engine.postgres.withStorage { storage in
            let first = try storage.openJournal(), second = try storage.openJournal()
            defer { second.close() }
            #expect(try first.mayTakeOver(hasWaited: false))
            let epoch = try first.takeOver().epoch
            try silence(-600, storage)
            #expect(try !second.mayTakeOver(hasWaited: false))
            #expect(try !second.mayTakeOver(hasWaited: true))
            #expect(try first.signOfLife(epoch) == WriterPosition(epoch: epoch, last: 0))
            first.close()
            // Its lock is free: it may have lost its session only.
            try await eventually("its session is gone") {
                try storage.query("SELECT pid \(locked)").isEmpty
            }
            try silence(-600, storage)
            #expect(try !second.mayTakeOver(hasWaited: true))
            try silence(6, storage)
            #expect(try second.mayTakeOver(hasWaited: true))
        }
    }

    @Test
    func aWriterThatEndsIsNotWaitedFor() async throws {
        try await Engine.postgres.withStorage { storage in
            let first = try storage.openJournal(), second = try storage.openJournal()
            defer { second.close() }
            #expect(try first.mayTakeOver(hasWaited: false))
            let epoch = try first.takeOver().epoch
            try silence(-600, storage)
            first.resign(epoch)
            first.close()
            try await eventually("its session is gone") { try second.mayTakeOver(hasWaited: true) }
        }
    }

    @Test
    func aFrozenWriterLosesItsSessions() async throws {
        try await Engine.postgres.withStorage { storage in
            let first = try storage.openJournal(), second = try storage.openJournal()
            let tables = try Database.openConnection(storage.tables)
            defer {
                first.close()
                second.close()
                tables.close()
            }
            #expect(try first.mayTakeOver(hasWaited: false))
            let epoch = try first.takeOver().epoch
            #expect(throws: DatabaseError.self) {
                try tables.transaction {
                    try tables.execute("UPDATE projector SET last = last")
                    try silence(11, storage)
                    #expect(try second.mayTakeOver(hasWaited: true))
                    try tables.execute("UPDATE projector SET last = last")
                }
            }
            #expect(try second.takeOver().epoch == epoch + 1)
            // It finds its session lost, and when it has a new one, that another writes.
            #expect(hasFailed { () throws(JournalError) in _ = try first.signOfLife(epoch) })
            #expect(try first.signOfLife(epoch).epoch == epoch + 1)
            #expect(isDeposed { () throws(JournalError) in try first.append(row(1, 1, epoch: epoch), after: 0) })
            try silence(-600, storage)
            #expect(try !first.mayTakeOver(hasWaited: false))
        }
    }

    @Test
    func aWriterThatLostItsSessionKeepsOthersOffAgain() async throws {
        try await Engine.postgres.withStorage { storage in
            let first = try storage.openJournal(), second = try storage.openJournal()
            defer {
                first.close()
                second.close()
            }
            #expect(try first.mayTakeOver(hasWaited: false))
            let epoch = try first.takeOver().epoch
            _ = try storage.query("SELECT pg_terminate_backend(pid, 5000) \(locked)")
            #expect(hasFailed { () throws(JournalError) in _ = try first.signOfLife(epoch) })
            #expect(try first.signOfLife(epoch).epoch == epoch)
            try silence(-600, storage)
            #expect(try !second.mayTakeOver(hasWaited: false))
        }
    }

    @Test(arguments: Engine.allCases)
    func aRefusedRowStopsTheReplayAndLeavesTheConnectionUsable(_ engine: Engine) async throws {
        struct Enough: Error {}
        try await engine.withStorage { storage in
            let journal = try storage.openJournal()
            defer { journal.close() }
            _ = try journal.takeOver()
            for number: Int64 in 1...50 { try journal.append(row(number, number, epoch: 1), after: number - 1) }
            var seen = 0
            #expect(throws: Enough.self) {
                try journal.replay(after: 0) { _ in
                    seen += 1
                    if seen == 3 { throw Enough() }
                }
            }
            #expect(seen == 3)
            try journal.append(row(51, 51, epoch: 1), after: 50)
        }
    }

    @Test(arguments: Engine.allCases)
    func aRowThatCannotBeKeptMovesNothing(_ engine: Engine) async throws {
        try await engine.withStorage { storage in
            let journal = try storage.openJournal()
            defer { journal.close() }
            _ = try journal.takeOver()
            // first above last: the schema refuses it after the position has moved in the transaction.
            #expect(throws: JournalError.self) { try journal.append(row(2, 1, epoch: 1), after: 0) }
            #expect(try journal.position().last == 0)
            try journal.append(row(1, 1, epoch: 1), after: 0)
        }
    }
}
