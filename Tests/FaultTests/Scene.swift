import Foundation
import TestSupport
import Synchronization

/// A test's folder and processes. Everything ends with it; the folder stays when the test has failed.
final class Scene: Sendable {
    let name: String
    let folder: String
    let hashspot: String
    let seed: UInt64
    private let janitor: Janitor
    private let programs = Mutex<[Program]>([])
    private let endings = Mutex<[@Sendable () -> Void]>([])

    private init(_ name: String) throws {
        self.name = name
        hashspot = try Binary.path()
        folder = FileManager.default.temporaryDirectory.appending(path: "hashspot-faults-\(UUID().uuidString.prefix(8))").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        janitor = try Janitor()
        seed = ProcessInfo.processInfo.environment["HASHSPOT_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64(UInt32.max))
        progress("\(name): HASHSPOT_SEED=\(seed), \(hashspot)")
    }

    /// Plays a scene on a thread of its own; on failure it says where everything is.
    static func play(_ name: String, _ body: @escaping @Sendable (Scene) throws -> Void) async throws {
        try await onThread {
            let scene = try Scene(name)
            let start = ContinuousClock.now
            do {
                try body(scene)
                scene.end()
                try? FileManager.default.removeItem(atPath: scene.folder)
                progress("\(name): passed in \((ContinuousClock.now - start).components.seconds) s")
            } catch {
                scene.end()
                throw Broken("\(name), HASHSPOT_SEED=\(scene.seed), logs and data in \(scene.folder): \(error)")
            }
        }
    }

    /// Starts a program that the scene ends.
    func start(_ name: String, _ path: String, _ arguments: [String]) throws -> Program {
        let program = try Program(name, path, arguments, logPath: "\(folder)/\(name).log")
        janitor.remember(program.id)
        programs.withLock { list in
            list.removeAll { !$0.isRunning }
            list.append(program)
        }
        return program
    }

    /// Starts a `hashspot` process, which ends by itself after an hour at the latest.
    func startHashspot(_ name: String, _ arguments: [String]) throws -> Program {
        try start(name, hashspot, arguments + ["--for", "3600"])
    }

    /// Runs a `hashspot` command to its end.
    func run(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        try runToEnd(hashspot, arguments)
    }

    /// To be done at the scene's end, the last first.
    func atEnd(_ body: @escaping @Sendable () -> Void) { endings.withLock { $0.append(body) } }

    private func end() {
        for ending in endings.withLock({ $0.reversed() }) { ending() }
        for program in programs.withLock({ $0.reversed() }) { program.kill9() }
        janitor.end()
    }
}
