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
            return .running(url: try startThrowAway())
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

    /// The script stops the server when its command ends, and the command ends when this process has
    /// closed the pipe it reads, however it ended.
    private static func startThrowAway() throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [
            script.path(), "bash", "-c", "echo \"$HASHSPOT_TEST_POSTGRES\"; exec >/dev/null; cat",
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(["HASHSPOT_NO_INSTALL": "1"]) { $1 }
        let output = Pipe()
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        let answer = readLine(from: output.fileHandleForReading)
        guard answer.hasPrefix("postgres://") else {
            throw Missing(description: "Scripts/with-postgres started no server")
        }
        return answer
    }

    /// Never written to; its end is this process's end.
    private static let lifeline = Pipe()

    private static var script: URL {
        URL(fileURLWithPath: #filePath).appending(path: "../../../Scripts/with-postgres").standardizedFileURL
    }

    private static func readLine(from handle: FileHandle) -> String {
        var line: [UInt8] = []
        while let byte = (try? handle.read(upToCount: 1))?.first, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
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
