import Database
import Foundation
import TestSupport
import Synchronization

/// A Postgres server of the scene's own, which it stops and starts as it likes.
///
/// It does not fsync: what it has written survives its processes, which is all that is done to it here.
final class PostgresServer: Sendable {
    enum StopMode: CaseIterable, Sendable {
        /// Sessions are ended, everything is written.
        case fast
        /// As a crash: it recovers at its next start.
        case immediate

        var signal: Int32 {
            switch self {
            case .fast: SIGINT
            case .immediate: SIGQUIT
            }
        }
    }

    let port: Int
    private let scene: Scene
    private let folder: String
    private let binaries: String
    private let server = Mutex<Program?>(nil)

    init(_ scene: Scene) throws {
        self.scene = scene
        binaries = try PostgresServer.findBinaries()
        folder = scene.folder + "/postgres"
        port = try Loopback.freePorts(1)[0]
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        // Postgres refuses to run as root.
        if getuid() == 0 { _ = try runToEnd("/bin/chown", ["postgres", folder]) }
        let made = try run("initdb", [
            "--pgdata", folder + "/data", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-locale",
            "--no-sync",
        ])
        guard made.status == 0 else { throw Broken("initdb: \(made.output)\(made.errors)") }
        try start()
    }

    var url: String { url(port: port) }

    /// The same database through something that listens on another port.
    func url(port: Int) -> String { "postgres://postgres@127.0.0.1:\(port)/postgres?sslmode=disable&gssencmode=disable" }

    func start() throws {
        let (path, arguments) = asOwner("postgres", [
            "-D", folder + "/data", "-p", "\(port)", "-h", "127.0.0.1", "-k", folder, "-c", "fsync=off", "-c", "max_connections=200",
        ])
        let program = try scene.start("postgres", path, arguments)
        server.withLock { $0 = program }
        try wait("Postgres") {
            guard program.isRunning else { throw Broken("Postgres ended: \(program.tail())") }
            guard let connection = try? Database.openConnection(.postgres(url: url)) else { return false }
            connection.close()
            return true
        }
    }

    func stop(_ mode: StopMode) throws {
        guard let program = server.withLock({ $0.take() }) else { throw Broken("Postgres is not running") }
        program.signal(mode.signal)
        _ = try program.waitForEnd()
    }

    private func run(_ name: String, _ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        let (path, arguments) = asOwner(name, arguments)
        return try runToEnd(path, arguments)
    }

    private func asOwner(_ name: String, _ arguments: [String]) -> (String, [String]) {
        guard getuid() == 0 else { return ("\(binaries)/\(name)", arguments) }
        return (
            "/usr/bin/setpriv",
            ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "\(binaries)/\(name)"] + arguments
        )
    }

    private static func findBinaries() throws -> String {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let found = versions.sorted { $0.compare($1, options: .numeric) == .orderedDescending }
            .map { "/usr/lib/postgresql/\($0)/bin" }
            .first { FileManager.default.isExecutableFile(atPath: $0 + "/initdb") }
        if let found { return found }
        let asked = (try? runToEnd("/usr/bin/env", ["pg_config", "--bindir"]))?.output ?? ""
        let folder = asked.trimmingCharacters(in: .whitespacesAndNewlines)
        guard FileManager.default.isExecutableFile(atPath: folder + "/initdb") else {
            throw Broken("no Postgres server found: apt-get install postgresql")
        }
        return folder
    }
}
