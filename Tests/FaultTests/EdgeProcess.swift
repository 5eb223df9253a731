import Foundation
import Synchronization

/// An edge as a process of its own, with the same folder and port at every start.
final class EdgeProcess: Sendable {
    let name: String
    let port: Int
    private let scene: Scene
    private let options: [String]
    private let program = Mutex<Program?>(nil)

    init(_ name: String, _ scene: Scene, databaseURL: String?, folder: String? = nil) throws {
        guard let databaseURL else { throw Broken("edges need Postgres") }
        (self.name, self.scene) = (name, scene)
        port = try Loopback.freePorts(1)[0]
        options = [
            "edge", "--database", databaseURL, "--data", "\(scene.folder)/\(folder ?? name)", "--name", name, "--stratum-port",
            "\(port)", "--allow-private-pools",
        ]
    }

    var process: Program {
        get throws {
            guard let program = program.withLock({ $0 }) else { throw Broken("\(name) was not started") }
            return program
        }
    }

    /// Starts it and does not wait.
    func launch(logName: String? = nil) throws {
        let started = try scene.startHashspot(logName ?? name, options)
        program.withLock { $0 = started }
    }

    /// Starts it and waits until it takes connections.
    func start() throws {
        try launch()
        let process = try process
        try wait("\(name) serving") {
            guard process.isRunning else { throw Broken("\(name) ended with status \(process.status):\n\(process.tail())") }
            return (try? Socket.connect(port: port)) != nil
        }
    }

    func kill() throws { try process.cutDown() }

    /// Asks it to end, and sees that it did so well.
    func stop() throws {
        let process = try process
        process.signal(SIGTERM)
        let status = try process.waitForEnd()
        guard status == 0 else { throw Broken("\(name) ended with status \(status):\n\(process.tail())") }
    }

    /// How many lines of its log have this text.
    func lines(with text: String) throws -> Int {
        try process.log().split(separator: "\n").count { $0.contains(text) }
    }
}
