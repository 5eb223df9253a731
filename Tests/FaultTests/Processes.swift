import Foundation
import Synchronization

/// A process of the scene; its output is appended to a file.
final class Program: Sendable {
    let name: String
    let logPath: String
    private let process: Process

    init(_ name: String, _ path: String, _ arguments: [String], logPath: String) throws {
        self.name = name
        self.logPath = logPath
        process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        if !FileManager.default.fileExists(atPath: logPath) {
            guard FileManager.default.createFile(atPath: logPath, contents: nil) else { throw Broken("no \(logPath)") }
        }
        let descriptor = open(logPath, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw Broken("\(logPath) cannot be written") }
        let output = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
    }

    var id: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    /// Only once it has ended.
    var status: Int32 { process.terminationStatus }
    var wasKilled: Bool { process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL }

    func signal(_ number: Int32) {
        if process.isRunning { kill(process.processIdentifier, number) }
    }

    /// Ends it as a power cut would. It must have been running.
    func cutDown() throws {
        guard process.isRunning else { throw Broken("\(name) ended by itself, status \(status):\n\(tail())") }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        guard wasKilled else { throw Broken("\(name) ended by itself, status \(status):\n\(tail())") }
    }

    /// Waits for its own end.
    func waitForEnd(within seconds: Double = 60) throws -> Int32 {
        try wait("the end of \(name)", within: seconds) { !process.isRunning }
        return process.terminationStatus
    }

    /// Asks it to end, and kills it when it does not.
    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        do { _ = try waitForEnd(within: 30) } catch { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    func kill9() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    func log() -> String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// The last lines of its output.
    func tail(_ lines: Int = 12) -> String { log().split(separator: "\n").suffix(lines).joined(separator: "\n") }
}

/// A shell that ends what this process leaves behind should it die: it reads their ids until this process is gone.
final class Janitor: Sendable {
    private let pipe = Pipe()
    private let process = Process()

    init() throws {
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = [
            "-c",
            """
            ids=()
            while read -r id; do ids+=("$id"); done
            for id in "${ids[@]}"; do
                name=$(readlink "/proc/$id/exe") || continue
                case $name in */hashspot | */postgres) kill -KILL "$id" ;; esac
            done
            """,
        ]
        process.standardInput = pipe
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        // Nobody else may hold the end that is written to.
        _ = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
    }

    func remember(_ id: Int32) { try? pipe.fileHandleForWriting.write(contentsOf: Data("\(id)\n".utf8)) }

    func end() {
        try? pipe.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
