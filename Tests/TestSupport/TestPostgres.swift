public import Database
internal import Foundation
internal import Synchronization

/// A real Postgres for tests: the one that HASHSPOT_TEST_POSTGRES names, or a throw-away server that
/// `Scripts/with-postgres` runs until this process ends.
public enum TestPostgres {
    /// Why there is no server. Fails the test: a test is never skipped for want of Postgres.
    public struct Missing: Error, CustomStringConvertible {
        public let description: String
    }

    private enum Server {
        case notStarted
        case running(url: String)
        case missing(Missing)
    }

    private static let server = Mutex(Server.notStarted)
    /// Kept until this process's end.
    private static let throwAway = Mutex<ThrowAwayPostgres?>(nil)
    private static let created = Mutex(0)

    /// The URL of the server's own database, in which others are made.
    public static func serverURL() throws -> String {
        try server.withLock { server in
            if case .notStarted = server { server = start() }
            switch server {
            case .running(let url): return url
            case .missing(let error): throw error
            case .notStarted: preconditionFailure("it was started above")
            }
        }
    }

    /// An empty database of the caller's own.
    public static func createDatabase() throws -> TestDatabase {
        let number = created.withLock { created in
            created += 1
            return created
        }
        let name = "test_\(ProcessInfo.processInfo.processIdentifier)_\(number)"
        let url = try serverURL()
        try withServer { connection in
            // Several processes may share the server, and process ids come again.
            try connection.script("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
            try connection.script("CREATE DATABASE \(name)")
        }
        guard var components = URLComponents(string: url) else { throw Missing(description: "not a URL: \(url)") }
        components.path = "/\(name)"
        return TestDatabase(name: name, url: components.string ?? url)
    }

    static func withServer(_ body: (any SQLConnection) throws -> Void) throws {
        let connection = try Database.openConnection(DatabaseLocation(serverURL()))
        defer { connection.close() }
        try body(connection)
    }

    private static func start() -> Server {
        if let url = ProcessInfo.processInfo.environment["HASHSPOT_TEST_POSTGRES"], !url.isEmpty {
            return .running(url: url)
        }
        do {
            let server = try ThrowAwayPostgres()
            throwAway.withLock { $0 = server }
            return .running(url: server.url)
        } catch {
            return .missing(
                Missing(
                    description: """
                        These tests need a Postgres server. Install one with \
                        'apt-get install postgresql libpq-dev libsqlite3-dev', or run \
                        'Scripts/with-postgres swift test', or name one in HASHSPOT_TEST_POSTGRES. (\(error))
                        """
                )
            )
        }
    }
}

/// A database made for one test.
public struct TestDatabase: Sendable {
    public let name: String
    public let url: String

    public var location: DatabaseLocation { .postgres(url: url) }

    /// Removes it, ending the sessions that it still has.
    public func drop() {
        try? TestPostgres.withServer { try $0.script("DROP DATABASE IF EXISTS \(name) WITH (FORCE)") }
    }
}
