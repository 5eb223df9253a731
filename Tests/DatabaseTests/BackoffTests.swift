@testable import Database
import TestSupport
import Testing

@Suite("Pauses before connecting again")
struct BackoffTests {
    private let start = ContinuousClock.now

    private func isAllowed(_ backoff: ConnectionBackoff, after pause: Duration) -> Bool {
        databaseError { try backoff.check(at: start + pause) } == nil
    }

    @Test("double from 50 ms to 2 s, less at most a half")
    func growth() {
        var random = SeededRandom(seed: 7)
        var backoff = ConnectionBackoff()
        #expect(isAllowed(backoff, after: .zero))
        for milliseconds in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            backoff.failed("no server", at: start, using: &random)
            #expect(!isAllowed(backoff, after: .milliseconds(milliseconds / 2 - 1)), "\(milliseconds) ms")
            #expect(isAllowed(backoff, after: .milliseconds(milliseconds)), "\(milliseconds) ms")
        }
        for _ in 0..<1000 { backoff.failed("no server", at: start, using: &random) }
        #expect(isAllowed(backoff, after: .seconds(2)))
    }

    @Test("begin anew after a success")
    func success() {
        var random = SeededRandom(seed: 7)
        var backoff = ConnectionBackoff()
        for _ in 0..<5 { backoff.failed("no server", at: start, using: &random) }
        backoff.succeeded()
        #expect(isAllowed(backoff, after: .zero))
        backoff.failed("no server", at: start, using: &random)
        #expect(isAllowed(backoff, after: .milliseconds(50)))
    }

    @Test("differ between connections")
    func jitter() {
        var random = SeededRandom(seed: 7)
        let ends = (0..<50).map { _ in
            var backoff = ConnectionBackoff()
            backoff.failed("no server", at: start, using: &random)
            return (25...50).first { isAllowed(backoff, after: .milliseconds($0)) } ?? 0
        }
        #expect(Set(ends).count > 10)
        #expect(ends.allSatisfy { $0 >= 25 })
    }

    @Test("keep the reason")
    func reason() {
        var random = SeededRandom(seed: 7)
        var backoff = ConnectionBackoff()
        backoff.failed("no server", at: start, using: &random)
        #expect(databaseError { try backoff.check(at: start) } == .unavailable(detail: "no server (not tried again yet)"))
    }

    @Test("answer at once, and end when the server is back")
    func readers() async throws {
        try await Driver.postgres.withDatabase("CREATE TABLE t (id BIGINT PRIMARY KEY)", configuration: .init(readers: 1)) { database in
            try await Self.allowConnections(false, to: database)
            var details: [String] = []
            // For none to fall into a pause each would have to come later than the pause, up to 2 s, before it.
            for _ in 0..<200 {
                do {
                    try await database.read { _ in }
                } catch let error as DatabaseError {
                    guard case .unavailable(let detail) = error else { throw error }
                    details.append(detail)
                }
            }
            #expect(details.count == 200)
            #expect(details.first?.contains("not tried again yet") == false)
            #expect(details.contains { $0.contains("not tried again yet") })
            try await Self.allowConnections(true, to: database)
            try await eventually("a read") {
                do {
                    return try await database.read { try $0.queryOne("SELECT count(*) FROM t") } == SQLRow([0])
                } catch DatabaseError.unavailable { return false }
            }
        }
    }

    private static func allowConnections(_ isAllowed: Bool, to database: Database) async throws {
        let name = try await database.withWriterConnection { try $0.queryOne("SELECT current_database()")?.text(0) ?? "" }
        let server = try Database.openConnection(DatabaseLocation(TestPostgres.serverURL()))
        defer { server.close() }
        try server.script("ALTER DATABASE \(name) ALLOW_CONNECTIONS \(isAllowed)")
    }
}
