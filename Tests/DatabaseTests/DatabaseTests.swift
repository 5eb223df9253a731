import Database
import Dispatch
import Testing

@Suite("Database")
struct DatabaseTests {
    private static let schema = "CREATE TABLE t (id BIGINT PRIMARY KEY)"

    @Test("reads on several connections at once", arguments: Driver.allCases)
    func concurrentReaders(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema, configuration: .init(readers: 2)) { database in
            // Each of the two waits in its transaction for the other.
            let arrivals = [DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)]
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<2 {
                    group.addTask {
                        try await database.read { connection in
                            _ = try connection.query("SELECT * FROM t")
                            arrivals[index].signal()
                            return arrivals[1 - index].wait(timeout: .now() + 20) == .success
                        }
                    }
                }
                for try await met in group { #expect(met) }
            }
        }
    }

    @Test("reads while it writes", arguments: Driver.allCases)
    func readDuringWrite(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema) { database in
            let isWritten = DispatchSemaphore(value: 0)
            let mayCommit = DispatchSemaphore(value: 0)
            async let write: Bool = database.write { connection in
                try connection.execute("INSERT INTO t VALUES (1)")
                isWritten.signal()
                return mayCommit.wait(timeout: .now() + 20) == .success
            }
            let seen = try await database.read { connection in
                _ = isWritten.wait(timeout: .now() + 20)
                return try connection.queryOne("SELECT count(*) FROM t")
            }
            mayCommit.signal()
            #expect(seen == SQLRow([0]))
            #expect(try await write)
            #expect(try await database.read { try $0.queryOne("SELECT count(*) FROM t") } == SQLRow([1]))
        }
    }

    @Test("answers more reads than it has connections", arguments: Driver.allCases)
    func manyReads(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema, configuration: .init(readers: 2)) { database in
            try await withThrowingTaskGroup(of: Int64.self) { group in
                for number in 0..<300 as Range<Int64> {
                    group.addTask {
                        try await database.read { connection in
                            try connection.queryOne("SELECT CAST($1 AS BIGINT)", [.integer(number)])?.int64(0) ?? -1
                        }
                    }
                }
                var sum: Int64 = 0
                for try await number in group { sum += number }
                #expect(sum == 44_850)
            }
        }
    }

    @Test("refuses more waiters than its bound", arguments: Driver.allCases)
    func bound(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema, configuration: .init(readers: 1, maximumWaiting: 1)) { database in
            let started = DispatchSemaphore(value: 0)
            let mayEnd = DispatchSemaphore(value: 0)
            let running = Task {
                try await database.read { _ in
                    started.signal()
                    _ = mayEnd.wait(timeout: .now() + 20)
                }
            }
            await Self.wait(for: started)
            await withTaskGroup(of: DatabaseError?.self) { group in
                for _ in 0..<5 {
                    group.addTask {
                        do {
                            try await database.read { _ in }
                            return nil
                        } catch { return error as? DatabaseError }
                    }
                }
                var refused = 0
                for _ in 0..<4 {
                    if case .some(.some(.busy)) = await group.next() { refused += 1 }
                }
                #expect(refused == 4)
                mayEnd.signal()
                #expect(await group.next() == .some(nil))
            }
            try await running.value
        }
    }

    private static func wait(for semaphore: DispatchSemaphore) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                semaphore.wait()
                continuation.resume()
            }
        }
    }

    @Test("rolls a write back when it throws", arguments: Driver.allCases)
    func writeRollsBack(_ driver: Driver) async throws {
        struct Refusal: Error {}
        try await driver.withDatabase(Self.schema) { database throws in
            await #expect(throws: Refusal.self) {
                try await database.write { connection in
                    try connection.execute("INSERT INTO t VALUES (1)")
                    throw Refusal()
                }
            }
            #expect(try await database.read { try $0.queryOne("SELECT count(*) FROM t") } == SQLRow([0]))
        }
    }

    @Test("does not write where it reads", arguments: Driver.allCases)
    func readRefusesWrites(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema) { database in
            await #expect(throws: DatabaseError.self) {
                try await database.read { _ = try $0.execute("INSERT INTO t VALUES (1)") }
            }
        }
    }

    @Test("writes for a thread that waits", arguments: Driver.allCases)
    func writeSync(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema) { database throws in
            #expect(try database.writeSync { try $0.execute("INSERT INTO t VALUES (1), (2)") } == 2)
        }
    }

    @Test("rolls back what is left open", arguments: Driver.allCases)
    func leftOpen(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema) { database in
            try await database.withWriterConnection { connection in
                try connection.begin(.write)
                try connection.execute("INSERT INTO t VALUES (1)")
            }
            #expect(try await database.read { try $0.queryOne("SELECT count(*) FROM t") } == SQLRow([0]))
        }
    }

    @Test("is closed for good", arguments: Driver.allCases)
    func closed(_ driver: Driver) async throws {
        try await driver.withDatabase(Self.schema) { database in
            await database.close()
            await #expect(throws: DatabaseError.closed) { try await database.read { _ in } }
            await #expect(throws: DatabaseError.closed) { try await database.write { _ in } }
        }
    }
}
